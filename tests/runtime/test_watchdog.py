"""Signs of life for a service manager: real datagrams at a real socket, none while the loop is blocked or the work stands still."""

import asyncio
import os
import signal
import socket
import time

import pytest

from tests.crash.rig import rig
from trader.adapters.clock import SystemClock
from trader.adapters.service_manager import ServiceManager
from trader.runtime import watchdog as watching
from trader.runtime.logs import Log
from trader.runtime.watchdog import Pulse, Watchdog
from trader.settings import service_manager


@pytest.fixture
def manager(tmp_path):
    """The socket of a service manager, and its address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.setblocking(False)
        yield one


def told(manager):
    """Every line that has come since."""
    lines = []
    while True:
        try:
            lines += manager.recv(4_096).decode().split("\n")
        except BlockingIOError:
            return lines


def watchdog_at(manager, seconds):
    return Watchdog(ServiceManager(manager.getsockname()), SystemClock(), Log(), seconds)


async def test_it_says_once_that_it_is_ready_and_then_that_it_is_well(manager):
    one = watchdog_at(manager, 0.3)
    one.report()
    assert told(manager) == ["WATCHDOG=1", "STATUS=starting"]
    one.begin(lambda: "active: 0 orders under way, epoch 1")
    one.begin(lambda: "active: 0 orders under way, epoch 2")
    assert told(manager) == [
        "READY=1", "STATUS=active: 0 orders under way, epoch 1", "STATUS=active: 0 orders under way, epoch 2"
    ]  # fmt: skip
    reporting = asyncio.create_task(one.run())
    await asyncio.sleep(0.65)
    assert 5 <= told(manager).count("WATCHDOG=1") <= 8
    reporting.cancel()


async def test_a_blocked_loop_sends_nothing(manager):
    reporting = asyncio.create_task(watchdog_at(manager, 0.15).run())
    await asyncio.sleep(0.12)
    assert "WATCHDOG=1" in told(manager)
    time.sleep(0.5)  # noqa: ASYNC251 - that is what is tested
    assert told(manager) == []
    await asyncio.sleep(0.12)
    assert "WATCHDOG=1" in told(manager)
    reporting.cancel()


async def test_work_that_stands_still_is_named_and_is_not_well(manager, monkeypatch):
    monkeypatch.setattr(watching, "STILL_SECONDS", 0.2)
    one, pulse, clock = watchdog_at(manager, 60.0), Pulse(), SystemClock()
    one.begin(lambda: "active", pulse)
    for line in ("events", "orders"):
        pulse.beat(line, clock.monotonic())
    one.report()
    await asyncio.sleep(0.3)
    pulse.beat("events", clock.monotonic())
    told(manager)
    one.report()
    assert told(manager) == ["STATUS=active; stands still: orders"]
    pulse.beat("orders", clock.monotonic())
    one.report()
    assert told(manager) == ["WATCHDOG=1", "STATUS=active"]


async def test_a_start_that_fails_again_and_again_asks_for_time(manager):
    one = watchdog_at(manager, None)
    one.failed("VenueDownError")
    assert told(manager) == ["EXTEND_TIMEOUT_USEC=90000000", "STATUS=starting anew: VenueDownError"]
    one.report()
    assert told(manager) == ["STATUS=starting anew: VenueDownError"]  # nobody asked for signs of life


async def test_nobody_listens(tmp_path):
    ServiceManager().tell("READY=1")
    ServiceManager(str(tmp_path / "gone")).tell("READY=1")


def test_the_environment_says_who_listens(monkeypatch):
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    assert service_manager() == ("", None)
    monkeypatch.setenv("NOTIFY_SOCKET", "@abstract")
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    assert service_manager() == ("@abstract", 60.0)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert service_manager() == ("@abstract", 60.0)
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert service_manager() == ("@abstract", None)


async def test_a_bot_reports_from_start_to_end_and_falls_silent_when_it_stands_still(tmp_path, manager, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    async with rig(tmp_path) as it:
        await it.start()
        await it.started()
        await asyncio.sleep(0.5)
        lines = told(manager)
        assert lines.count("READY=1") == 1
        assert "STATUS=active: 0 orders under way, epoch 1" in lines
        assert "WATCHDOG=1" in lines[lines.index("READY=1") :]
        it.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.3)
        told(manager)
        await asyncio.sleep(0.7)
        assert told(manager) == []
        it.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.5)
        assert "WATCHDOG=1" in told(manager)
        await it.stop()
        assert told(manager)[-1] == "STOPPING=1"
