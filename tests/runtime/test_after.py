"""Exits by time in a running bot: told of when they may act, and never again and again when they may not."""

import asyncio

import pytest

from tests.runtime.test_daemon import daemon, facts, held, of, rating
from tests.services.parts import until
from trader import After, Decision, Target, Wants
from trader.app import rehearse
from trader.core.facts import ExitHit, OrderSending, TimerDue
from trader.loopback.faults import Fault


class Leaves:
    """Holds what the newest rating says, and sells a share of it some seconds later."""

    wants = Wants(ratings=("weight",))

    def __init__(self, after, share=1.0):
        self.exit = After(after, share)

    def __repr__(self):
        return f"Leaves({self.exit})"

    def decide(self, view):
        weights = view.ratings("weight")
        sizes = {asset: weights[asset] / 100 for asset in view.wake.assets}
        return Decision.change({a: Target(size, (self.exit,)) if size else 0.0 for a, size in sizes.items()})


@pytest.mark.parametrize("share", [1.0, 0.5])
async def test_a_share_is_sold_once_and_the_bot_goes_on(tmp_path, share):
    async with daemon("gate", tmp_path / "j.db", strategy=Leaves("1s", share)) as (_, one, bus, journal):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) > 2 and one.desk.is_quiet)
        whole = held(one)
        await until(lambda: of(one, ExitHit) and one.desk.is_quiet and held(one) < whole)
        assert float(held(one)) == pytest.approx(float(whole) * (1 - share), abs=0.001)
        await asyncio.sleep(0.5)
        assert len(of(one, TimerDue)) == 1, "what is spent is due no more"
        await bus.publish(rating(2, ETH=20))
        await until(lambda: held(one, "ETH/USDT") > 0)
        assert rehearse(await facts(journal), Leaves("1s", share)).differences == []


async def test_what_falls_due_while_an_order_is_at_the_venue_waits_for_its_end(tmp_path):
    async with daemon("gate", tmp_path / "j.db", strategy=Leaves("3s")) as (it, one, bus, _):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) > 2 and one.desk.is_quiet)
        opened = one.desk.keeper.clock.monotonic()
        it.faults.rules.append(Fault("POST /spot/orders", "slow", seconds=2.0))
        await asyncio.sleep(1.9)
        await bus.publish(rating(2, BTC=20))
        await until(lambda: len(of(one, OrderSending)) == 2)
        await until(lambda: one.desk.keeper.clock.monotonic() - opened > 3.4)
        assert not of(one, ExitHit), "its time has come, and the answer has not"
        assert not of(one, TimerDue)
        await until(lambda: of(one, ExitHit) and not held(one), seconds=8)
        assert len(of(one, TimerDue)) == 1


@pytest.mark.timeout(30)
async def test_an_engine_that_is_due_again_at_once_does_not_hold_everything_up(tmp_path, monkeypatch):
    async with daemon("gate", tmp_path / "j.db") as (_, one, bus, _journal):
        at = one.desk.keeper.now()
        monkeypatch.setattr(type(one.desk.engine), "due", lambda _engine: at)
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) > 2)
