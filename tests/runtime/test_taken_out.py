"""What a restart makes of the past: assets that the configuration names no more, and words of a strategy that sound like the engine's."""

from decimal import Decimal

import pytest

from tests.contracts.worlds import loopback
from tests.runtime import houses
from trader import Decision, FallBy, Target, Wants
from trader.app import start
from trader.runtime.registry import LeftBehindError

D = Decimal


@pytest.fixture
def alone(monkeypatch):
    """From now on the configuration names one asset."""
    return lambda: monkeypatch.setattr(houses, "ASSETS", ("BTC/USDT",))


async def begun(it, path, name="gate", **more):
    one = await houses.bot(it, name, path, **more)
    await start(one.made)
    await one.reconciler.run()
    await one.desk.change("active", "reconciled")
    return one


async def test_an_asset_that_is_held_cannot_be_taken_out(tmp_path, alone):
    async with loopback("gate") as it:
        one = await begun(it, tmp_path / "j.db")
        await one.bar("BTC/USDT")
        await one.bar("ETH/USDT", 10.0)
        await one.rate(BTC=30, ETH=30)
        await one.work()
        assert one.held("ETH/USDT") > 0
        await one.journal.close()
        alone()
        with pytest.raises(LeftBehindError, match=r"assets of m: it has [\d.]+ ETH/USDT.*trader flatten"):
            await houses.bot(it, "gate", tmp_path / "j.db")


async def test_an_asset_with_an_order_on_its_way_cannot_be_taken_out(tmp_path, alone):
    async with loopback("gate") as it:
        one = await begun(it, tmp_path / "j.db")
        await one.bar("ETH/USDT", 10.0)
        await one.rate(ETH=30)
        await one.journal.close()
        alone()
        with pytest.raises(LeftBehindError, match=r"1 orders on their way \(ETH/USDT\)"):
            await houses.bot(it, "gate", tmp_path / "j.db")


@pytest.mark.parametrize("name", ["gate", "mexc"])
async def test_what_was_sold_may_be_taken_out_with_its_dust(tmp_path, alone, name):
    async with loopback(name) as it:
        one = await begun(it, tmp_path / "j.db", name)
        await one.bar("BTC/USDT")
        await one.bar("ETH/USDT", 10.0)
        await one.rate(BTC=30, ETH=31.37)
        await one.work()
        await one.rate(ETH=0)
        await one.work()
        dust, held = one.held("ETH/USDT"), one.held("BTC/USDT")
        assert dust < D("0.001")
        assert dust > 0 or name == "mexc", "where fees are taken of what was bought, something is left"
        equity = one.desk.engine.mount.ledger.total_cash() + held * 100 + dust * 10
        await one.journal.close()
        alone()
        two = await begun(it, tmp_path / "j.db", name)
        assert (two.held("BTC/USDT"), two.reconciler.off) == (held, {})
        await two.bar("BTC/USDT", 100.0)
        assert two.desk.keeps("ETH") == dust
        await two.rate(BTC=60)
        await two.work()
        bought = two.held("BTC/USDT") * 100
        assert bought == pytest.approx(equity * D("0.6"), rel=D("0.01")), "a weight of all that it is worth"
        await two.journal.close()


class Speaks:
    """A strategy whose reasons are the engine's words."""

    wants = Wants(ratings=("weight",))

    def __init__(self, why):
        self.why = why

    def decide(self, view):
        weights = view.ratings("weight")
        said = {a: (weights[a] / 100, self.why) for a in view.wake.assets}
        return Decision.change(
            {a: Target(size, (FallBy(0.1),) if size else (), why=why) for a, (size, why) in said.items()}
        )


@pytest.mark.parametrize("why", ["exit of shorts", "exit FallBy", "exit After (share 0.5)"])
async def test_a_strategys_words_make_no_exit_after_a_restart(tmp_path, why):
    async with loopback("gate") as it:
        one = await begun(it, tmp_path / "j.db", strategy=Speaks(why))
        await one.bar("BTC/USDT")
        await one.rate(BTC=30)
        (order,) = one.desk.engine.mount.orders.values()
        assert not order.is_exit
        await one.journal.close()
        two = await begun(it, tmp_path / "j.db", strategy=Speaks(why))
        mount = two.desk.engine.mount
        assert [again.is_exit for again in mount.orders.values()] == [False]
        assert not mount.exiting
        await two.rate(BTC=0)
        await two.work()
        assert two.held() == 0, "it was to leave before it was bought"
        await two.journal.close()


async def test_a_hint_that_comes_while_the_account_is_compared_is_not_forgotten(tmp_path):
    async with houses.house("gate", tmp_path / "j.db") as one:
        (till,) = one.made.house.tills
        compare = till.reconciler.run

        async def run():
            found = await compare()
            till.stream.is_stirred = True  # a stranger's order, right after the lists were read
            return found

        till.reconciler.run = run
        assert await till.reconcile()
        assert till.stream.is_stirred
        assert not till.wants_reconcile
