"""Two bots on one journal: the second takes over from a first that is killed, stopped, or cut off; no order twice, no signal lost.

`make test` runs a few kills with a short lease; MATRIX=full, as CI sets it, 50 with that of production, and prints how long it took:
MATRIX=full SERVICES=required .venv/bin/python -m pytest -s -k fifty tests/crash/test_standby.py
"""

import asyncio
import os
import signal
from random import Random

import pytest

from tests.crash.pair import epochs, pair, sessions_lost
from tests.crash.rig import check
from tests.services.parts import full, until
from trader.core.facts import OrderAbsent, OrderPlaced, OrderSending, OrderUnknown
from trader.core.records import ConfigApplied
from trader.runtime.control import Command, ask, socket_of

KILLS = int(os.environ.get("KILLS", "50"))
LONGEST = 15.0  # seconds from the leader's death until the other trades
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]


def applied(facts):
    return [fact for fact in facts if isinstance(fact, ConfigApplied)]


async def kills(it, count, seed):
    """Send signals all the time and kill whoever leads; returns the seconds of each takeover."""
    lot, numbers, done, found = Random(seed), iter(range(1, 100_000)), asyncio.Event(), []

    async def producer():
        while not done.is_set():
            await it.first.send(next(numbers))
            await asyncio.sleep(lot.uniform(0.05, 0.5))

    await it.start()
    sending, leader = asyncio.create_task(producer()), it.first
    try:
        for _ in range(count):
            await asyncio.sleep(lot.uniform(0.0, 2.0))
            found.append(await it.replaced(leader))
            leader = it.other(leader)
    finally:
        done.set()
        await sending
    await leader.healed()
    await it.stop()
    return found


@full
async def test_a_killed_leader_is_replaced_in_time(tmp_path, broker, postgres):
    async with pair(tmp_path, broker=broker, database=postgres.url) as it:
        found = await kills(it, 2, 1)
        await check(it.first)
        assert max(found) <= LONGEST, found
        assert len(it.first.exchange.orders) > 2


@full
async def test_fifty_kills_of_the_leader(tmp_path, broker, postgres):
    faults = [
        {"on": "POST /orders", "do": "lost_reply", "chance": 0.1, "seconds": 9},
        {"on": "POST /orders", "do": "late", "chance": 0.05, "seconds": 2},
    ]
    async with pair(tmp_path, broker=broker, database=postgres.url, faults=faults, lease=0.0) as it:
        found = sorted(await kills(it, KILLS, 2))
        await check(it.first)  # not one order twice, every fill booked, no signal lost
        facts = await it.first.facts()
        p50, p99 = found[len(found) // 2], found[min(int(len(found) * 0.99), len(found) - 1)]
        print(
            f"\n{len(found)} kills, {len(it.first.sent)} signals, {len(it.first.exchange.orders)} orders, 0 twice; takeover"
            f" p50 {p50:.1f} s, p99 {p99:.1f} s, longest {found[-1]:.1f} s"
        )
        assert len(epochs(facts)) == len(found) + 1
        assert p99 <= LONGEST, found


@full
async def test_a_leader_that_stands_still_wakes_up_and_does_not_trade(tmp_path, broker, postgres):
    """Stopped with its order signed and written down, and the bytes not sent: they leave when another leads, and the venue refuses them."""
    async with pair(tmp_path, broker=broker, database=postgres.url) as it:
        await it.first.start(step="before send:1", signal="STOP")
        await it.first.started()
        await it.second.start()
        await it.waits(it.second)
        await it.first.send(1, {"BTC/USDT": 85.0})
        await it.leads(it.second)
        await it.second.healed()
        orders = len(it.first.exchange.orders)
        assert orders == 1, "the one who took over sent it once it had proven that there is none"
        it.first.process.send_signal(signal.SIGCONT)
        await it.waits(it.first)
        await it.first.send(2, {"BTC/USDT": 20.0})
        await it.second.healed()
        facts = await it.first.facts()
        assert [epoch for epoch, _ in epochs(facts)] == [1, 2]
        assert [fact.epoch for fact in facts if isinstance(fact, OrderSending)] == [1, 2, 2]
        assert [type(fact) for fact in facts if isinstance(fact, OrderUnknown | OrderAbsent)] == [
            OrderUnknown,
            OrderAbsent,
        ]
        assert not sessions_lost(facts, 2), "both wanted the broker's session"
        assert await it.replaced(it.second) <= LONGEST  # who stood still leads again
        await it.stop()
        await check(it.first)


@full
async def test_a_leader_that_stands_still_amid_a_commit_holds_up_nobody(tmp_path, broker, postgres):
    """Its transaction has the row of the lease: the server ends it, or nobody could take over."""
    async with pair(tmp_path, broker=broker, database=postgres.url) as it:
        await it.first.start()
        await it.first.started()
        await it.first.stop()
        await it.first.start(step="before insert:20", signal="STOP")
        await it.second.start()
        for number in range(1, 30):
            await it.first.send(number)
            if await it.first.status() is None and "VICTIM before insert" in it.first.log():
                break
            await asyncio.sleep(0.2)
        assert await it.leads(it.second) <= LONGEST
        it.first.process.send_signal(signal.SIGCONT)
        await it.waits(it.first)
        await it.second.healed()
        await it.stop()
        await check(it.first)


@full
async def test_a_request_that_still_travels_is_waited_for(tmp_path, broker, postgres):
    """The leader dies, and its order comes to the exchange after the other took over: that is the order, and there is no second."""
    late = {"on": "POST /orders", "do": "late", "nth": 1, "seconds": 7}
    async with pair(tmp_path, broker=broker, database=postgres.url, fence="12s", faults=[late]) as it:
        await it.start()
        await it.first.send(1, {"BTC/USDT": 85.0})
        await until(lambda: any(what.startswith("POST") for _, what in it.first.server.log))
        await it.first.kill()
        assert await it.leads(it.second) <= LONGEST
        assert not it.first.exchange.orders, "it travels still"
        await it.second.healed()
        await it.stop()
        await check(it.first)
        facts = await it.first.facts()
        assert len([fact for fact in facts if isinstance(fact, OrderPlaced)]) == 1
        assert [fact.epoch for fact in facts if isinstance(fact, OrderSending)] == [1]
        assert len(it.first.exchange.orders) == 1


@full
async def test_a_database_that_restarts_leaves_one_leader(tmp_path, broker, postgres):
    async with pair(tmp_path, broker=broker, database=postgres.url) as it:
        await it.start()
        for number in range(1, 4):
            await it.first.send(number)
        postgres.kill()
        for number in range(4, 7):
            await it.first.send(number)
        await asyncio.sleep(3.0)
        postgres.start()
        await it.settled()
        await it.stop()
        await check(it.first)


@full
async def test_a_leader_that_ends_gives_the_lease_back(tmp_path, broker, postgres):
    async with pair(tmp_path, broker=broker, database=postgres.url) as it:
        await it.start()
        waiting = socket_of(it.second.folder / "state" / "rig")
        found = await ask(waiting, Command("status"))
        assert (found["state"], found["trouble"]) == ("standby", "")
        assert str(it.first.folder) in found["leader"]
        refused = await ask(waiting, Command("halt"))
        assert not refused["ok"]
        assert "this one is a standby" in refused["error"]
        for one in it.both:  # a change that was applied where it leads counts where it is taken over
            one.config.write_text(one.config.read_text().replace("weight_per_asset: 60%", "weight_per_asset: 50%"))
        it.first.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while len(applied(await it.first.facts())) < 2:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.1)
        await it.first.stop()
        assert await it.leads(it.second) <= 5.0
        await it.first.send(1, {"BTC/USDT": 85.0})
        await it.second.healed()
        versions = applied(await it.first.facts())
        assert [one.why for one in versions] == ["a start", "SIGHUP"]
        assert (await it.second.status())["configuration"] == versions[1].hash[:12]
        await it.stop()
        await check(it.first)
