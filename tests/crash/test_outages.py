"""Outages of what a bot stands on, with real processes: broker, database, exchange and disk fail and come back; nothing is lost."""

import asyncio
import resource

import pytest

from tests.crash.rig import check, rig
from tests.services.parts import Mosquitto, Postgres, full
from trader.adapters.mqtt import MqttDownError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def send_until_taken(it, number):
    """What a producer does: it repeats until the broker says that it has the message."""
    for _ in range(100):
        try:
            await it.send(number)
        except MqttDownError:
            await asyncio.sleep(0.2)
        else:
            return
    raise AssertionError("the broker stays away")


async def test_a_broker_that_is_killed_and_comes_back(tmp_path):
    broker = Mosquitto(tmp_path / "mosquitto").start()
    try:
        async with rig(tmp_path, broker=broker) as it:
            await it.start()
            await it.started()
            for number in range(1, 5):
                await it.send(number)
            await it.healed()
            broker.kill()
            await asyncio.sleep(1.0)
            assert (await it.status())["state"] == "active"
            broker.start()
            for number in range(5, 9):
                await send_until_taken(it, number)
            await it.healed()
            await it.stop()
            await check(it)
    finally:
        broker.stop()


@full
async def test_a_database_that_is_killed_and_comes_back(tmp_path):
    database = Postgres().start()
    try:
        async with rig(tmp_path, database=database.url) as it:
            await it.start()
            await it.started()
            for number in range(1, 4):
                await it.send(number)
            await asyncio.sleep(0.1)
            database.kill()
            for number in range(4, 7):
                await it.send(number)
            orders = len(it.exchange.orders)
            await asyncio.sleep(2.0)
            assert len(it.exchange.orders) <= orders + 1, "orders left while nothing could be written"
            database.start()
            await it.healed(90)
            await it.stop()
            await check(it)
    finally:
        database.stop()


@pytest.mark.parametrize("venue", ["gate", "mexc"])
@full
async def test_an_exchange_that_is_away_when_the_bot_starts_and_later(tmp_path, venue):
    async with rig(tmp_path, venue=venue) as it:
        it.server.is_down = True
        await it.start()
        await it.send(1)
        await asyncio.sleep(3.0)
        it.server.is_down = False
        await it.started(60)
        await it.healed()
        it.server.is_down = True
        for number in range(2, 5):
            await it.send(number)
        await asyncio.sleep(4.0)
        it.server.is_down = False
        await it.healed()
        await it.stop()
        await check(it)
        assert it.exchange.orders


@full
async def test_a_full_disk(tmp_path):
    async with rig(tmp_path) as it:
        await it.start()
        await it.started()
        await it.send(1)
        await it.healed()
        size = max(path.stat().st_size for path in (tmp_path / "state" / "rig").iterdir())
        resource.prlimit(it.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for number in range(2, 30):
            await it.send(number)
        await asyncio.sleep(3.0)
        orders = len(it.exchange.orders)
        await asyncio.sleep(1.0)
        assert len(it.exchange.orders) == orders, "orders left while nothing could be written"
        assert list((tmp_path / "inbox").glob("*.json")), "everything was taken: the disk was not full"
        resource.prlimit(it.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await it.healed(90)
        await it.stop()
        await check(it)


async def test_a_second_bot_in_the_same_folder_is_refused(tmp_path):
    async with rig(tmp_path) as it:
        await it.start()
        await it.started()
        first = it.process
        await it.start()
        assert await it.process.wait() == 4
        assert "works there already" in it.log()
        it.process = first
        assert (await it.status())["state"] == "active"
        await it.stop()
