"""The kill matrix: a real process, killed with SIGKILL at each step of its protocol and at random instants, then started again.

After healing: no signal lost, no order twice, no order without a fact, every fill booked, the account explained to the last digit.
`make test` runs a slice of each. MATRIX=full, as CI sets it, runs 200 random kills on SQLite and 200 on PostgreSQL, most of them
with signals through a real Mosquitto.
"""

import asyncio
import os
from random import Random

import pytest

from tests.crash.rig import check, rig, victim_names
from tests.services.parts import full

IS_FULL = os.environ.get("MATRIX") == "full"
EDGES = ["before send", "after send", "before acknowledge", "after acknowledge", "before commit", "after commit"]
NAMED = [f"{edge}:{n}" for edge in EDGES for n in (1, 2)]
KILLS = int(os.environ.get("KILLS", "200" if IS_FULL else "10"))
pytestmark = [pytest.mark.slow, pytest.mark.scaled, pytest.mark.timeout(1_500)]


async def at_random(it, kills, seed):
    """Send signals all the time; start, let live for a random while, kill, as often as asked."""
    lot, numbers, done = Random(seed), iter(range(1, 100_000)), asyncio.Event()

    async def producer():
        while not done.is_set():
            await it.send(next(numbers))
            await asyncio.sleep(lot.uniform(0.02, 0.4))

    await it.start()
    await it.started()  # the session with the broker exists from now on
    sending = asyncio.create_task(producer())
    try:
        while it.kills < kills:
            await asyncio.sleep(lot.uniform(0.0, 1.2) if lot.random() < 0.5 else lot.uniform(0.9, 2.2))
            assert await it.kill(), it.log()
            await it.start()
    finally:
        done.set()
        await sending
    await it.started()
    await it.healed()
    await it.stop()
    await check(it)


@pytest.mark.parametrize("venue", ["gate", pytest.param("mexc", marks=full)])
async def test_killed_at_random_on_sqlite(tmp_path, venue):
    async with rig(tmp_path, venue=venue) as it:
        await at_random(it, KILLS // 4 if IS_FULL else 5, 1)
        assert len(it.exchange.orders) > 3


@full
async def test_killed_at_random_on_sqlite_with_a_broker(tmp_path, broker):
    faults = [
        {"on": "POST /orders", "do": "lost_reply", "chance": 0.1, "seconds": 9},
        {"on": "POST /orders", "do": "lost_request", "chance": 0.05, "seconds": 9},
        {"on": "* /my_trades", "do": "status_before", "chance": 0.05},
    ]
    async with rig(tmp_path, broker=broker, faults=faults) as it:
        await at_random(it, max(KILLS // 2, 3), 2)


@full
async def test_killed_at_random_on_postgresql_with_a_broker(tmp_path, broker, postgres):
    async with rig(tmp_path, broker=broker, database=postgres.url) as it:
        await at_random(it, KILLS if IS_FULL else 3, 3)


async def at_each_step(it, steps):
    """One life per step: each is killed at that step, and the next goes on."""
    outlasted = 0
    for number, step in enumerate(steps, 1):
        if outlasted >= 3 and isinstance(step, int):
            continue  # so many steps there are not
        await it.send_flip(number)
        await it.start(step=step)
        try:
            async with asyncio.timeout(8):
                await it.process.wait()
            outlasted = 0
        except TimeoutError:
            await it.kill()
            outlasted += 1
    await it.start()
    await it.started()
    await it.healed()
    await it.stop()
    await check(it)


async def test_killed_at_each_step_on_sqlite(tmp_path):
    steps = [*range(1, 80), *NAMED] if IS_FULL else NAMED[0:8:2]
    async with rig(tmp_path) as it:
        await at_each_step(it, steps)
    assert set(EDGES if IS_FULL else EDGES[:4]) <= set(victim_names(tmp_path))


@full
async def test_killed_at_each_step_on_postgresql_with_a_broker(tmp_path, broker, postgres):
    async with rig(tmp_path, broker=broker, database=postgres.url) as it:
        await it.start()
        await it.started()
        await it.stop()
        await at_each_step(it, [*range(1, 80), *NAMED] if IS_FULL else NAMED[:4])
    assert set(EDGES if IS_FULL else EDGES[:2]) <= set(victim_names(tmp_path))
