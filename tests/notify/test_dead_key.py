"""A key that is revoked while the bot runs, at a loopback exchange through real ccxt: told within seconds, with and without an order."""

from datetime import UTC, datetime

import pytest

from tests.contracts.worlds import KEY
from tests.runtime.test_daemon import daemon, facts, rating
from tests.services.parts import until
from trader.adapters.venue_codes import DEAD_KEY
from trader.notify.alarms import Patience, Watch
from trader.notify.event import CRITICAL
from trader.notify.news import Teller


@pytest.mark.parametrize("name", ["gate", "mexc"])
async def test_a_revoked_key_is_an_alarm_and_a_restored_one_ends_it(name, tmp_path):
    async with daemon(name, tmp_path / "j.db") as (it, one, _, _journal):
        assert one.status()["trouble"] == ""
        account = it.exchange.accounts.pop(KEY)
        watch = Watch(Patience(dead=DEAD_KEY[name]))
        await until(lambda: "key" in watch.look(datetime.now(UTC), one.status()))
        found = watch.look(datetime.now(UTC), one.status())
        assert (found["key"].level, found["key"].title) == (CRITICAL, "the key is refused")
        assert KEY not in found["key"].text
        it.exchange.accounts[KEY] = account
        await until(lambda: not one.status()["trouble"])
        assert "key" not in watch.look(datetime.now(UTC), one.status())


@pytest.mark.parametrize("name", ["gate", "mexc"])
async def test_an_order_that_the_venue_refuses_for_its_key_is_told_as_that(name, tmp_path):
    async with daemon(name, tmp_path / "j.db") as (it, one, bus, journal):
        it.exchange.accounts["revoked"] = it.exchange.accounts.pop(KEY)
        await bus.publish(rating(1, BTC=50))
        teller = Teller(DEAD_KEY[name])

        async def told():
            events = [event for fact in await facts(journal) if (event := teller.told(fact)) is not None]
            return [one for one in events if one.title == "the key is refused"]

        for _ in range(100):
            if found := await told():
                break
            await one.desk.keeper.clock.sleep(0.05)
        assert {event.level for event in found} == {CRITICAL}
        it.exchange.accounts[KEY] = it.exchange.accounts.pop("revoked")
