"""What every venue keeps to: the real ccxt classes over real sockets to the loopback exchanges."""

import time
from decimal import Decimal

import pytest

from tests.contracts.worlds import BUILDERS, KEY, SECRET, loopback, paper, world
from trader.loopback.server import VenueClock
from trader.ports import Accepted, RefusedByVenue, Unclear, VenueDownError

D = Decimal
every = pytest.mark.parametrize("name", ["gate", "mexc", "paper"])
wired = pytest.mark.parametrize("name", ["gate", "mexc"])  # what only an exchange with a book and a wire can show


@every
async def test_the_markets_tell_their_rules(name):
    async with world(name) as it:
        btc, eth = await it.venue.instruments(["BTC/USDT", "ETH/USDT", "OFF/USDT", "NONE/USDT"])
    assert (btc.asset, btc.venue, btc.symbol) == ("BTC/USDT", name, "BTC/USDT")
    assert (btc.tick, btc.lot, btc.min_notional) == (0.01, 0.0001, 3.0)
    assert (eth.lot, btc.fee_on_buy) == (0.001, {"gate": "received", "mexc": "quote", "paper": "received"}[name])


@every
async def test_an_order_is_taken_once_filled_and_found_again(name):
    async with world(name) as it:
        request = it.request(quantity="2", limit="101")
        reply = await it.venue.send(await it.sign(request))
        assert isinstance(reply, Accepted)
        order = await it.venue.order(reply.venue_order, "BTC/USDT")
        assert order is not None
        assert (order.client_id, order.side, order.quantity, order.filled) == (request.client_id, "buy", D(2), D(2))
        assert not order.is_open
        (trade,) = await it.venue.trades_of(reply.venue_order, "BTC/USDT")
        assert (trade.quantity, trade.price, trade.side) == (D(2), D("100.1"), "buy")
        assert (trade.fee, trade.fee_asset) == (D("0.1001"), "USDT") if name == "mexc" else (D("0.004"), "BTC")
        assert trade.venue_order == reply.venue_order
        balances = await it.venue.balances()
        assert balances["BTC"].total == it.account.held("BTC").available == (D(2) if name == "mexc" else D("1.996"))
        assert balances["USDT"].free == it.account.held("USDT").available


@wired
async def test_what_the_limit_does_not_reach_is_cancelled_and_the_rest_is_filled(name):
    async with loopback(name) as it:
        it.exchange.set_book("BTC/USDT", [(D(99), D(5))], [(D(100), D("0.5")), (D(101), D("0.25")), (D(103), D(9))], 0)
        reply = await it.venue.send(await it.sign(it.request(quantity="2", limit="102")))
        assert isinstance(reply, Accepted)
        order = await it.venue.order(reply.venue_order, "BTC/USDT")
        assert order is not None
        assert not order.is_open
        trades = await it.venue.trades_of(reply.venue_order, "BTC/USDT")
        assert sorted((one.quantity, one.price) for one in trades) == [(D("0.25"), D(101)), (D("0.5"), D(100))]
        assert len({one.trade for one in trades}) == 2
        assert it.account.held("USDT").locked == 0


@every
async def test_nothing_in_reach_is_an_order_without_trades(name):
    async with world(name) as it:
        reply = await it.venue.send(await it.sign(it.request(limit="99", quantity="1")))
        assert isinstance(reply, Accepted)
        assert await it.venue.trades_of(reply.venue_order, "BTC/USDT") == []
        assert it.account.held("USDT").available == 1_000


@every
async def test_a_market_buy_spends_money_and_never_more(name):
    async with world(name) as it:
        request = it.request(spend="25", limit=None)
        reply = await it.venue.send(await it.sign(request))
        assert isinstance(reply, Accepted), reply
        (trade,) = await it.venue.trades_of(reply.venue_order, "BTC/USDT")
        assert D(24) < trade.quantity * trade.price <= 25
        assert it.account.held("USDT").available >= 975 - trade.fee


@wired
async def test_a_refusal_has_the_venues_code_and_leaves_no_order(name):
    async with loopback(name) as it:
        cases = [
            (it.request(quantity="1000"), {"gate": "BALANCE_NOT_ENOUGH", "mexc": "30004"}),
            (it.request(quantity="0.0001"), {"gate": "INVALID_PARAM_VALUE", "mexc": "30002"}),
            (it.request(symbol="OFF/USDT", quantity="1"), {"gate": "TRADE_RESTRICTED", "mexc": "30014"}),
        ]
        for request, codes in cases:
            reply = await it.venue.send(await it.sign(request))
            assert isinstance(reply, RefusedByVenue), reply
            assert reply.code == codes[name]
        assert it.account.orders == []


@every
async def test_what_would_be_rounded_is_refused_before_it_is_signed(name):
    async with world(name) as it:
        for request in (it.request(quantity="0.00015"), it.request(limit="100.001")):
            with pytest.raises(ValueError, match="would be sent as"):
                await it.sign(request)


@every
async def test_a_request_that_arrives_after_its_end_is_no_order(name):
    async with world(name) as it:
        signed = await it.sign(it.request(), valid_ms=1_000)
        it.clock.skew_ms += 1_500
        reply = await it.venue.send(signed)
        assert isinstance(reply, RefusedByVenue)
        assert reply.code == ("700003" if name == "mexc" else "REQUEST_EXPIRED")
        assert it.account.orders == []


@every
async def test_the_signed_bytes_are_the_same_for_the_same_request_and_time(name):
    async with world(name) as it:
        request = it.request()
        first, second = (it.venue.sign(request, signed_ms=10**12, not_after_ms=10**12 + 5_000) for _ in range(2))
        assert (first.digest, first.url, first.body) == (second.digest, second.url, second.body)
        assert it.venue.sign(it.request(), signed_ms=10**12, not_after_ms=10**12 + 5_000).digest != first.digest


UNCLEAR = [
    ("lost_reply", {"seconds": 8}, 1),
    ("lost_request", {"seconds": 8}, 0),
    ("reset_before", {}, 0),
    ("reset_after", {}, 1),
    ("status_before", {"status": 503}, 0),
    ("status_after", {"status": 500}, 1),
    ("status_before", {"status": 429, "code": "TOO_MANY_REQUESTS"}, 0),
    ("truncated", {}, 1),
    ("empty", {}, 1),
    ("html", {"status": 502}, 1),
    ("html", {"status": 403}, 1),
]


@pytest.mark.parametrize(("do", "more", "orders"), UNCLEAR, ids=[f"{do}-{n}" for n, (do, *_) in enumerate(UNCLEAR)])
@wired
async def test_an_answer_that_proves_nothing_is_unclear_and_was_asked_once(name, do, more, orders, monkeypatch):
    monkeypatch.setattr("trader.adapters.ccxt_venue.SEND_SECONDS", 0.5)
    async with loopback(name, {"on": "POST /order" + ("s" if name == "gate" else ""), "do": do, **more}) as it:
        reply = await it.venue.send(await it.sign(it.request()))
        assert isinstance(reply, Unclear), reply
        assert len(it.account.orders) == orders
        assert sum(asked.startswith("POST") for _, asked in it.server.log) == 1


@wired
async def test_a_scan_shows_everything_of_its_span_over_all_pages(name):
    async with loopback(name) as it:
        begin = await it.venue.now_ms()
        for number in range(130):
            it.exchange.place(
                it.account, "ETH/USDT", "buy", quantity=D("0.3"), limit=D(11), spend=None, lasts="ioc",
                client_id=f"t-hand{number}", at_ms=begin - number,
            )  # fmt: skip
        it.exchange.place(
            it.account, "ETH/USDT", "buy", quantity=D(1), limit=D(5), spend=None, lasts="gtc", client_id="t-rests",
            at_ms=begin,
        )  # fmt: skip
        scan = await it.venue.scan(["ETH/USDT"], since_ms=begin - 1_000, until_ms=begin + 5_000)
    assert {one.client_id for one in scan.orders} == {"t-rests", *(f"t-hand{n}" for n in range(130))}
    assert [one.client_id for one in scan.orders if one.is_open] == ["t-rests"]
    assert len({one.trade for one in scan.trades}) == 130


@every
async def test_a_finished_order_is_found_by_scanning_when_the_look_up_forgets_it(name):
    async with world(name) as it:
        request = it.request(quantity="1", limit="101")
        reply = await it.venue.send(await it.sign(request))
        assert isinstance(reply, Accepted)
        found = await it.venue.find(request.client_id, "BTC/USDT")
        assert (found is None) == (name == "gate")
        now_ms = await it.venue.now_ms()
        scan = await it.venue.scan(["BTC/USDT"], since_ms=now_ms - 60_000, until_ms=now_ms)
        assert [one.client_id for one in scan.orders] == [request.client_id]


@wired
async def test_a_resting_order_is_cancelled_and_cancelling_again_is_no_error(name):
    async with loopback(name) as it:
        order = it.exchange.place(
            it.account, "ETH/USDT", "buy", quantity=D(1), limit=D(5), spend=None, lasts="gtc", client_id="t-rests",
            at_ms=it.clock.now_ms(),
        )  # fmt: skip
        seen = await it.venue.find("t-rests", "ETH/USDT")
        assert seen is not None
        assert seen.is_open
        for _ in range(2):
            await it.venue.cancel(seen.venue_order, "ETH/USDT")
        assert order.ended == "cancelled"
        assert it.account.held("USDT").available == 1_000


@wired
async def test_a_question_without_an_answer_raises_and_tells_no_secret(name):
    async with loopback(name) as it:
        it.server.is_down = True
        for question in (
            it.venue.balances(), it.venue.now_ms(), it.venue.touch("BTC/USDT"), it.venue.find("t-x", "BTC/USDT"),
            it.venue.scan(["BTC/USDT"], since_ms=0, until_ms=1), it.venue.trades_of("1", "BTC/USDT"),
        ):  # fmt: skip
            with pytest.raises(VenueDownError) as caught:
                await question
            assert "secret" not in str(caught.value)
            assert "key-of" not in str(caught.value)
        it.server.is_down = False


@wired
async def test_a_wrong_key_raises_and_tells_no_secret(name):
    async with loopback(name) as it:
        it.account.secret = "another"
        with pytest.raises(VenueDownError) as caught:
            await it.venue.balances()
        assert "secret-of" not in str(caught.value)


@every
async def test_the_best_prices(name):
    async with world(name) as it:
        touch = await it.venue.touch("BTC/USDT")
    assert (touch.bid, touch.ask) == (D("99.9"), D("100.1"))


async def test_a_paper_account_outlives_its_process(tmp_path):
    path = tmp_path / "account.jsonl"
    async with paper(path) as it:
        reply = await it.venue.send(await it.sign(it.request(quantity="2", limit="101")))
        assert isinstance(reply, Accepted)
        before = await it.venue.balances()
    async with paper(path) as it:
        assert await it.venue.balances() == before
        assert before["BTC"].total == D("1.996")
        order = await it.venue.order(reply.venue_order, "BTC/USDT")
        assert order is not None
        assert len(await it.venue.trades_of(reply.venue_order, "BTC/USDT")) == 1


async def test_paper_refuses_what_an_exchange_refuses():
    async with paper() as it:
        for request, code in (
            (it.request(quantity="1000"), "BALANCE_NOT_ENOUGH"),
            (it.request(quantity="0.0001"), "AMOUNT_TOO_LITTLE"),
            (it.request(side="sell", quantity="1", limit="90"), "BALANCE_NOT_ENOUGH"),
        ):
            reply = await it.venue.send(await it.sign(request))
            assert isinstance(reply, RefusedByVenue), reply
            assert reply.code == code
        assert it.account.orders == []
        with pytest.raises(ValueError, match="OFF/USDT is no market here"):
            await it.sign(it.request(symbol="OFF/USDT"))


@wired
async def test_without_a_key_markets_prices_and_candles_are_open(name):
    async with loopback(name) as it:
        venue = BUILDERS[name](key="", secret="", url=it.server.url, paces=False)
        try:
            assert [one.asset for one in await venue.instruments(["BTC/USDT"])] == ["BTC/USDT"]
            assert (await venue.touch("BTC/USDT")).ask == D("100.1")
            await venue.bars("BTC/USDT", "1h", since_ms=0)
            with pytest.raises(VenueDownError, match="key"):
                await venue.balances()
        finally:
            await venue.close()


@pytest.mark.parametrize("name", ["gate", "mexc"])
async def test_a_local_clock_that_is_minutes_off_is_no_hindrance(name):
    async with loopback(name, clock=VenueClock(skew_ms=600_000)) as it:
        reply = await it.venue.send(await it.sign(it.request()))
        assert isinstance(reply, Accepted)
        assert await it.venue.balances()


@pytest.mark.parametrize("name", ["gate", "mexc"])
async def test_both_clocks_come_from_outside_and_may_be_wrong(name):
    async with loopback(name) as it:
        venue = BUILDERS[name](
            key=KEY, secret=SECRET, url=it.server.url, paces=False, wall=lambda: time.time() - 3_600.0,
            monotonic=lambda: time.monotonic() * 1.0 + 1e6,
        )  # fmt: skip
        await venue.prepare()
        assert abs(await venue.now_ms() - it.clock.now_ms()) < 1_000
        assert abs(await venue.signing_ms() - it.clock.now_ms()) < 1_000
        assert await venue.balances()
        await venue.close()


async def test_a_coin_is_called_what_the_venue_calls_it():
    """Ccxt gives another name to a coin whose ticker is another coin's elsewhere: what is meant must not be guessed."""
    async with loopback("gate") as it:
        assert (it.venue.coin("BTC/USDT").ticker, it.venue.coin("BTC/USDT").namesake) == ("BTC", "")
        assert (it.venue.coin("TRAC/USDT").ticker, it.venue.coin("TRAC/USDT").namesake) == (None, "TRACO")
        traco = it.venue.coin("TRACO/USDT")
        assert (traco.ticker, traco.namesake) == ("TRAC", "")
        assert traco.contracts == {"0xaa7a9ca87d3694b5755f213b5d04094b8d0f0a6f"}
    async with loopback("mexc") as it:
        assert (it.venue.coin("GMT/USDT").ticker, it.venue.coin("GMT/USDT").namesake) == ("STEPN", "GMTTOKEN")
        assert it.venue.coin("TRAC/USDT").contracts == {"0xaa7a9ca87d3694b5755f213b5d04094b8d0f0a6f"}
        assert it.venue.coin("NONE/USDT").ticker is None
