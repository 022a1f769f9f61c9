"""The standby over a real journal: it waits, leads when the lease is over or given back, and not while it cannot reach the exchange."""

import asyncio

import pytest

from trader.adapters.clock import SystemClock
from trader.adapters.journal_sqlite import SqliteJournal
from trader.ports import LeaseLostError, VenueDownError
from trader.runtime.control import Command
from trader.runtime.logs import Log
from trader.runtime.standby import Standby
from trader.runtime.supervise import supervise


class Exchange:
    """Answers, or not."""

    def __init__(self, *, is_down=False):
        self.is_down, self.looks = is_down, 0

    async def look(self):
        self.looks += 1
        if self.is_down:
            raise VenueDownError("gate refuses the key")


def standby(path, *, exchange=None, stopping=None, seconds=1.0):
    journal = SqliteJournal(path)
    return Standby(
        "m",
        journal,
        "second",
        seconds,
        SystemClock(),
        Log(),
        (exchange or Exchange()).look,
        stopping or asyncio.Event(),
    )


@pytest.fixture
async def leader(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    yield journal
    await journal.close()


async def test_it_leads_when_the_lease_is_over_and_the_former_leader_can_write_no_more(tmp_path, leader):
    await leader.take("first", seconds=1.2)
    one = standby(tmp_path / "journal.db")
    waiting = asyncio.create_task(one.wait())
    await asyncio.sleep(0.4)
    said = await one.act(Command("status"))
    assert (said["state"], said["leader"], said["is_ready"], said["trouble"]) == ("standby", "first", True, "")
    assert 0 < said["lease_seconds_left"] <= 1.2
    refused = await one.act(Command("halt"))
    assert (refused["ok"], "first leads" in refused["error"]) == (False, True)
    async with asyncio.timeout(3):
        assert await waiting
    assert one.journal.epoch == 2
    with pytest.raises(LeaseLostError):
        await leader.renew()
    await one.journal.close()


async def test_it_does_not_lead_while_the_lease_is_renewed(tmp_path, leader):
    await leader.take("first", seconds=0.8)
    one = standby(tmp_path / "journal.db")
    waiting = asyncio.create_task(one.wait())
    for _ in range(8):
        await asyncio.sleep(0.25)
        await leader.renew()
    assert not waiting.done()
    await leader.close()  # it gives the lease back
    async with asyncio.timeout(1):
        assert await waiting
    await one.journal.close()


async def test_who_cannot_reach_the_exchange_does_not_take_over(tmp_path, leader, monkeypatch):
    monkeypatch.setattr("trader.runtime.standby.AGAIN_SECONDS", 0.1)
    exchange = Exchange(is_down=True)
    one = standby(tmp_path / "journal.db", exchange=exchange)
    waiting = asyncio.create_task(one.wait())
    await asyncio.sleep(0.5)
    said = await one.act(Command("status"))
    assert (said["is_ready"], said["trouble"], one.journal.epoch) == (False, "gate refuses the key", 0)
    assert exchange.looks > 1
    exchange.is_down = False
    async with asyncio.timeout(1):
        assert await waiting
    await one.journal.close()


async def test_it_ends_when_it_is_told(tmp_path, leader):
    await leader.take("first", seconds=60)
    one = standby(tmp_path / "journal.db")
    waiting = asyncio.create_task(one.wait())
    await asyncio.sleep(0.1)
    assert await one.act(Command("stop")) == {"ok": True, "done": "stopping"}
    async with asyncio.timeout(1):
        assert not await waiting
    await one.journal.close()


@pytest.mark.parametrize("waits", [True, False])
async def test_who_lost_the_lease_waits_again_or_ends(waits):
    lives = []

    async def live():
        lives.append(1)
        if len(lives) == 1:
            raise LeaseLostError("another took it")

    if waits:
        await supervise(live, SystemClock(), Log(), waits=True)
        assert len(lives) == 2
    else:
        with pytest.raises(LeaseLostError):
            await supervise(live, SystemClock(), Log())
