"""Real bots whose clocks go wrong: a wall that jumps an hour or drifts, a process that is suspended, a machine that slept.

The exchange and those who send signals keep the right time. Afterwards: no order twice, no signal lost, the account explained; and while
it goes on: nothing leaves after the end of its validity, no storm of questions, and no standstill.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from tests.crash.rig import KEY, check, rig
from tests.endurance.shims import Clocks
from tests.services.parts import full
from trader.core.facts import BarClosed, OrderSending
from trader.core.records import SignalReceived
from trader.runtime.control import Command, ask, socket_of

IS_FULL = os.environ.get("MATRIX") == "full"
HOUR = 3_600.0
FENCE_MS = 400  # of the rig
pytestmark = [full, pytest.mark.slow, pytest.mark.timeout(400)]


def watched(it):
    """What arrives at the exchange: how much in each second, and each order with the end of its validity."""
    seen = SimpleNamespace(each_second=Counter(), orders=[])
    inner = it.server.dialect.respond

    def respond(request, now_ms):
        seen.each_second[now_ms // 1_000] += 1
        found = inner(request, now_ms)
        if request.method == "POST" and "order" in request.path:
            seen.orders.append((now_ms, valid_until(request), found.status))
        return found

    it.server.dialect.respond = respond
    return seen


def valid_until(request):
    if "x-gate-exptime" in request.headers:
        return int(request.headers["x-gate-exptime"])
    asked = dict(part.split("=", 1) for part in (request.query or request.body).split("&") if "=" in part)
    return int(asked["timestamp"]) + int(asked["recvWindow"])


@asynccontextmanager
async def bot(tmp_path, venue, *, step=0, signal="KILL"):
    """A rig whose bot has clocks of its own; checked at the end."""
    clocks = Clocks(tmp_path)
    async with rig(tmp_path, venue=venue) as it:
        it.environment = clocks.environment
        seen = watched(it)
        await it.start(step=step, signal=signal)
        await it.started(60)
        yield it, clocks, seen
        await it.healed()
        await it.stop()
        await check(it)
        facts = await it.facts()
        for fact in facts:
            if isinstance(fact, OrderSending):
                assert fact.not_after_ms - fact.signed_ms == FENCE_MS
        for at, until, status in seen.orders:
            assert status >= 400 or at <= until <= at + FENCE_MS + 100, f"{until - at} ms valid"
        assert max(seen.each_second.values()) < 150, seen.each_second.most_common(3)


async def traded(it, number, seconds=20):
    """A flip is ordered and filled."""
    before = len(it.exchange.accounts[KEY].orders)
    await it.send_flip(number)
    async with asyncio.timeout(seconds):
        while len(it.exchange.accounts[KEY].orders) == before:
            assert it.process.returncode is None, it.log()
            await asyncio.sleep(0.05)
    await it.healed(seconds)


async def just_reconciled(it):
    """The account was compared a moment ago: the venue's clock was read, and is not asked for again soon."""
    await ask(socket_of(it.folder / "state" / "rig"), Command("reconcile", key="now"), seconds=5)
    async with asyncio.timeout(20):
        while True:
            if (await it.status())["reconciled_seconds_ago"] < 0.5:
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("venue", ["gate", "mexc"])
async def test_a_wall_clock_that_jumps_and_drifts(tmp_path, venue):
    async with bot(tmp_path, venue) as (it, clocks, _):
        await traded(it, 1)
        for number, jump in enumerate((HOUR, -HOUR, -HOUR, HOUR), 2):
            clocks.jump(jump)
            await it.send_flip(number)
            await asyncio.sleep(1.5)
        await it.healed()
        clocks.set(since=time.monotonic(), drift=0.05)  # three minutes an hour
        for number in (6, 7, 8):
            await traded(it, number)
        received = [fact for fact in await it.facts() if isinstance(fact, SignalReceived)]
        assert {fact.key for fact in received} == set(it.sent)


async def test_no_bar_is_told_before_its_end_where_the_wall_runs_ahead(tmp_path):
    async with bot(tmp_path, "gate") as (it, clocks, _):
        clocks.jump(HOUR)
        await asyncio.sleep(7.0)
        facts = await it.facts()
        early = [fact for fact in facts if isinstance(fact, BarClosed) and fact.at.timestamp() > time.time() + 1.0]
        assert not early, f"bars that are not over: {early[:3]}"


async def test_killed_after_the_wall_was_set_back_it_starts_at_once(tmp_path):
    """The lease's end lies an hour ahead by then; it is our own."""
    async with bot(tmp_path, "gate") as (it, clocks, _):
        clocks.jump(-HOUR)
        await it.kill()
        begin = time.monotonic()
        await it.start()
        await it.started(20)
        assert time.monotonic() - begin < 15
        clocks.jump(HOUR)
        await traded(it, 1)


@pytest.mark.parametrize("edge", ["before send:1", "before commit:12", "after send:1"])
async def test_a_process_that_is_suspended_for_longer_than_its_lease(tmp_path, edge):
    async with bot(tmp_path, "gate", step=edge, signal="STOP") as (it, _, _):
        await it.send_flip(1)
        await asyncio.sleep(25.0 if IS_FULL else 11.0)
        status = (it.folder / "log").read_text(errors="replace")
        assert "VICTIM " in status, "it was not stopped"
        it.process.send_signal(signal.SIGCONT)
        await it.healed()
        await traded(it, 2)


READINGS = """
import inspect
from trader.adapters.clock import SystemClock
from trader.adapters.gate import gate_venue
from trader.adapters.mexc import mexc_venue
clocks = [SystemClock().monotonic, *(inspect.signature(one).parameters["monotonic"].default for one in (gate_venue, mexc_venue))]
for _ in range(2):
    print(*(clock() for clock in clocks), flush=True)
    input()
"""


def test_seconds_that_a_machine_slept_count_by_each_clock_that_ages_are_taken_from(tmp_path):
    clocks = Clocks(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", READINGS], env={**os.environ, **clocks.environment}, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        before = [float(word) for word in process.stdout.readline().split()]
        clocks.slept(1_000.0)
        print(file=process.stdin, flush=True)
        after = [float(word) for word in process.stdout.readline().split()]
        print(file=process.stdin, flush=True)
    assert len(before) == 3
    assert all(0.0 <= later - sooner < 60.0 for sooner, later in zip(before, after, strict=True)), (before, after)


@pytest.mark.parametrize("venue", ["gate", "mexc"])
async def test_a_machine_that_slept_looks_again_before_it_trades(tmp_path, venue):
    """Its monotonic clock stood still meanwhile: what was fresh by it is an hour old."""
    async with bot(tmp_path, venue) as (it, clocks, seen):
        await traded(it, 1)
        await just_reconciled(it)
        it.process.send_signal(signal.SIGSTOP)
        asked = sum(seen.each_second.values())
        number = len(seen.orders)
        await it.send_flip(2)
        pause = 20.0 if IS_FULL else 3.0
        await asyncio.sleep(pause)
        clocks.slept(pause)
        it.process.send_signal(signal.SIGCONT)
        await it.healed()
        assert sum(seen.each_second.values()) > asked
        taken = [status for _, _, status in seen.orders[number:]]
        assert taken
        assert all(status < 400 for status in taken), f"orders of an old hour were sent: {seen.orders[number:]}"
        await traded(it, 3)
