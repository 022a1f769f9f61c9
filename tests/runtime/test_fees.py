"""A whole bot at a Gate account whose fees are taken in something else, or whose buys go out as money."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from tests.contracts.worlds import loopback
from tests.runtime.houses import bot
from trader import Decision, FallBy, Quote, Target, Wants
from trader.core.facts import AttemptEnded, ExitHit, Filled
from trader.core.records import DiscrepancySeen
from trader.loopback.fees import POINTS
from trader.runtime.desk import Execution
from trader.runtime.snapshots import capture, restore

D = Decimal
MONEY = Execution(collar=0.005, again_seconds=0.05, fee=0.002, spends=True)


@dataclass(frozen=True)
class Spends:
    """Buys for the money that a rating says, with a stop."""

    wants = Wants(ratings=("weight",))

    def decide(self, view):
        sums = view.ratings("weight")
        return Decision.change({one: Target(Quote(sums[one]), (FallBy(0.1),)) for one in view.wake.assets})


async def begin(it, path, **more):
    one = await bot(it, "gate", path, **more)
    assert await one.reconciler.run()
    await one.desk.change("active", "reconciled")
    return one


async def stopped(it, one):
    """Let the price fall; what was booked, and whether all of it was sold."""
    it.exchange.set_price("BTC/USDT", D(80), it.clock.now_ms(), half_spread=D("0.001"))
    await one.bar(price=80.0)
    await one.work()
    facts = await one.facts()
    assert [fact for fact in facts if isinstance(fact, ExitHit)]
    assert await one.reconciler.run()
    assert not [fact for fact in facts if isinstance(fact, DiscrepancySeen)]
    return [fact for fact in facts if isinstance(fact, Filled)]


@pytest.mark.parametrize(("asset", "named"), [("GT", "GT"), (POINTS, "GATEPOINT")])
@pytest.mark.parametrize("share", ["whole", "part"])
@pytest.mark.parametrize("how", ["limit", "money"])
async def test_an_account_that_pays_its_fees_in_something_else_is_read_booked_and_stopped(
    asset, named, share, how, tmp_path
):
    async with loopback("gate") as it:
        it.account.pays_in = asset
        it.exchange.deposit(it.account, asset, D(100) if share == "whole" else D("0.001"))
        more = {"strategy": Spends(), "execution": MONEY} if how == "money" else {}
        one = await begin(it, tmp_path / "j.db", **more)
        await one.bar()
        await one.rate(BTC=50)
        await one.work()
        assert one.held() == it.account.held("BTC").available > 0
        assert one.cash == 500 - (1_000 - it.account.held("USDT").available)
        assert await one.reconciler.run()
        state = capture(one.made.house)
        await one.journal.close()

        again = await begin(it, tmp_path / "j.db", **more)  # the fold, and what a snapshot of it gives back
        assert again.held() == it.account.held("BTC").available
        restore(state, again.made.house)
        fills = await stopped(it, again)
        assert again.held() == it.account.held("BTC").available
        assert again.held() < D("0.0001")
        assert again.cash == 500 - (1_000 - it.account.held("USDT").available)
        assert {fill.fee_asset for fill in fills} == ({named} if share == "whole" else {"BTC/USDT", "quote"})
        await again.journal.close()


@pytest.mark.parametrize("tells", [True, False])
async def test_a_buy_for_money_over_two_prices_becomes_final_and_is_stopped(tells, tmp_path):
    async with loopback("gate") as it:
        it.exchange.tells_filled = tells
        it.exchange.set_book("BTC/USDT", [(D("99.9"), D(9))], [(D("100.07"), D("0.7373")), (D("100.13"), D(9))], 0)
        one = await begin(it, tmp_path / "j.db", strategy=Spends(), execution=MONEY)
        await one.bar()
        await one.rate(BTC=250)
        await one.work(4)
        (ended,) = [fact for fact in await one.facts() if isinstance(fact, AttemptEnded)]
        assert ended.filled == it.exchange.trades[0].quantity + it.exchange.trades[1].quantity
        assert one.desk.is_quiet
        assert not one.desk.outbox.live
        await stopped(it, one)
        assert one.held() < D("0.0001")
        await one.journal.close()
