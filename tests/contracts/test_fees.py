"""What a Gate account's fees are taken in, and how much of a buy for money is filled: over real sockets, as ccxt reads it."""

from decimal import Decimal

import pytest

from tests.contracts.worlds import loopback
from trader.adapters.ccxt_venue import _fee
from trader.loopback.fees import POINTS, covered
from trader.ports import Accepted

D = Decimal
beside = pytest.mark.parametrize(("asset", "booked"), [("GT", "GT"), (POINTS, "GATEPOINT")])


async def bought(it, **more):
    """The venue's id of a market buy, or of what else is asked for."""
    reply = await it.venue.send(await it.sign(it.request(**more)))
    assert isinstance(reply, Accepted), reply
    return reply.venue_order


@beside
async def test_a_fee_that_is_taken_in_something_else_is_the_trades_fee(asset, booked):
    async with loopback("gate") as it:
        it.account.pays_in = asset
        it.exchange.deposit(it.account, asset, D(10))
        (trade,) = await it.venue.trades_of(await bought(it, quantity="2", limit="101"), "BTC/USDT")
        paid = D("0.4004") / (8 if asset == "GT" else 1)
        assert (trade.fee, trade.fee_asset) == (paid, booked)
        assert it.account.held("BTC").available == 2
        assert it.account.held(asset).available == 10 - paid
        balances = await it.venue.balances()
        assert {one for one in balances if balances[one].total} == {"USDT", "BTC", *({"GT"} if asset == "GT" else ())}


@beside
async def test_of_two_fees_the_one_that_moves_the_pair_is_booked_and_the_account_stays_readable(asset, booked):
    async with loopback("gate") as it:
        it.account.pays_in = asset
        it.exchange.deposit(it.account, asset, D("0.4004") / (8 if asset == "GT" else 1) / 4)
        venue_order = await bought(it, quantity="2", limit="101")
        row = it.exchange.trades[0]
        assert (row.fee, row.beside[0] > 0) == (D("0.003"), True)
        now_ms = await it.venue.now_ms()
        scan = await it.venue.scan(["BTC/USDT"], since_ms=now_ms - 60_000, until_ms=now_ms)
        for (trade,) in (scan.trades, await it.venue.trades_of(venue_order, "BTC/USDT")):
            assert (trade.fee, trade.fee_asset) == (D("0.003"), "BTC")
            assert it.account.held("BTC").available == trade.quantity - trade.fee


@pytest.mark.parametrize(
    ("fees", "booked"),
    [
        ([("0", "USDT")], (0, "USDT")),
        ([(None, "X")], (0, "USDT")),
        ([("0.00", "BTC"), ("0.4", "GATEPOINT")], ("0.4", "GATEPOINT")),
        ([("0.1", "GT"), ("0.2", "USDT")], ("0.2", "USDT")),
        ([("0", "BTC"), ("0.1", "GT"), ("0.4", "GATEPOINT")], ("0.1", "GT")),
    ],
)
def test_one_fee_is_booked(fees, booked):
    found = _fee({"symbol": "BTC/USDT", "fees": [{"cost": cost, "currency": name} for cost, name in fees]})
    assert (found["cost"], found["currency"]) == booked


def test_a_fee_is_covered_as_far_as_there_is_something():
    assert covered(D(8), "GT", D(3)) == (1, 0)
    assert covered(D(8), "GT", D("0.25")) == (D("0.25"), D("0.75"))
    assert covered(D(8), POINTS, D(-1)) == (0, 1)
    assert covered(D(8), "", D(3)) == covered(D(0), "GT", D(3)) == (0, 1)


@pytest.mark.parametrize("tells", [True, False])
async def test_what_a_buy_for_money_filled_is_the_sum_of_its_trades_or_not_said(tells):
    async with loopback("gate") as it:
        it.exchange.tells_filled = tells
        it.exchange.set_book("BTC/USDT", [(D(99), D(9))], [(D("100.07"), D("0.1373")), (D("100.13"), D(9))], 0)
        venue_order = await bought(it, spend="50", limit=None)
        trades = await it.venue.trades_of(venue_order, "BTC/USDT")
        assert len(trades) == 2
        filled, spent = sum(one.quantity for one in trades), sum(one.quantity * one.price for one in trades)
        now_ms = await it.venue.now_ms()
        scan = await it.venue.scan(["BTC/USDT"], since_ms=now_ms - 60_000, until_ms=now_ms)
        for order in (*scan.orders, await it.venue.order(venue_order, "BTC/USDT")):
            assert (order.quantity, order.is_open) == (None, False)
            assert (order.filled, order.spent) == ((filled, None) if tells else (None, spent))
        plain = await it.venue.order(await bought(it, quantity="0.5", limit="101"), "BTC/USDT")
        assert (plain.quantity, plain.filled, plain.spent) == (D("0.5"), D("0.5"), None)
