"""A person gives up an order: one that waits is closed, one that is at the venue is left to its end, and nothing is sent afterwards."""

from datetime import UTC, datetime

import pytest

from tests.runtime.houses import house
from trader.core.facts import OrderClosed, OrderSending
from trader.core.records import CommandTaken

pytestmark = pytest.mark.asyncio


def command(key, number):
    return CommandTaken(datetime.now(UTC), key, "cancel", str(number))


@pytest.mark.parametrize("name", ["gate", "mexc"])
async def test_an_order_that_waits_is_given_up(tmp_path, name):
    async with house(name, tmp_path / "journal.db") as one:
        await one.bar()
        await one.rate(BTC=20)
        (track,) = one.desk.waiting()
        number = str(track.placed.order)
        assert await one.desk.cancel("99", command("c-0", 99)) == "no order '99' is on its way"
        assert await one.desk.cancel(number, command("c-1", number)) == ""
        assert one.desk.is_quiet
        await one.work()
        facts = await one.facts()
        assert not any(isinstance(fact, OrderSending) for fact in facts)
        assert [fact.reason for fact in facts if isinstance(fact, OrderClosed)] == ["cancelled"]
        assert one.desk.engine.mount.targets == {}  # nothing is held and nothing is on its way: the asset is free again
        await one.rate(BTC=21)
        await one.work()
        assert one.held() > 0


async def test_an_order_that_is_at_the_venue_is_left_to_its_end(tmp_path):
    async with house("gate", tmp_path / "journal.db") as one:
        await one.bar()
        await one.rate(BTC=20)
        (track,) = one.desk.waiting()
        track.state = "accepted"
        refused = await one.desk.cancel(str(track.placed.order), command("c-1", 1))
        assert "is accepted: what the venue has ends by itself" in refused
        track.state = "placed"
        await one.work()
        assert one.held() > 0
