"""The loop of `trader notify` at a real journal, a real socket of commands and real targets, killed and begun again in one process."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.services.inboxes import Inbox
from tests.services.parts import Postgres, until
from trader.adapters.apprise_sender import AppriseSender, NotDeliveredError
from trader.adapters.clock import SystemClock
from trader.adapters.journal_pages import JournalPages
from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import Filled, OrderStuck
from trader.notify.alarms import Patience, Watch
from trader.notify.commands import Guard
from trader.notify.event import CRITICAL, INFO
from trader.notify.news import Teller
from trader.notify.office import Office, Rules
from trader.notify_loop import Notifier, Pace
from trader.notify_place import Place, PlaceError
from trader.ports import JournalDownError
from trader.runtime.control import Control, socket_of
from trader.runtime.logs import Log

D = Decimal
RULES = Rules({"mail": INFO, "phone": CRITICAL}, gather=timedelta(0))
PACE = Pace(read_seconds=0.02, ask_seconds=0.05, look_seconds=0.01)


def fill(number):
    return Filled(
        datetime.now(UTC),
        "m",
        number,
        "BTC/USDT",
        "gate",
        "buy",
        D(number),
        D(60_000),
        D(0),
        "quote",
        "x",
        f"t{number}",
    )


@pytest.fixture
async def journal(tmp_path):
    one = SqliteJournal(tmp_path / "journal.db")
    await one.take("test", seconds=60)
    yield one
    await one.close()


@pytest.fixture
def ends():
    both = {"mail": Inbox(), "phone": Inbox()}
    yield both
    for one in both.values():
        one.close()


def made(folder, ends, facts=None, **more):
    senders = {name: AppriseSender(name, one.url()) for name, one in ends.items()}
    return Notifier(
        facts or JournalPages(folder / "journal.db", may_begin=True), socket_of(folder), senders, (NotDeliveredError,), Office(RULES),
        more.pop("watch", Watch()), Teller(), Guard((), lambda *_: False, ""), Place(folder / "place.json"), SystemClock(), Log(),
        pace=PACE, **more,
    )  # fmt: skip


@asynccontextmanager
async def at_work(one):
    """Its loops, until the end, which cuts them off in whatever they are doing, as kill -9 does."""
    await one.begin()
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.wait([task])


def fills(inbox):
    return [line.split()[4] for text in inbox.texts for line in text.splitlines()[1:] if " fill: " in line]


async def test_each_fill_is_told_once_over_many_ends_in_the_middle(tmp_path, journal, ends):
    told = 0
    for _ in range(6):
        async with at_work(made(tmp_path, ends)):
            for _ in range(3):
                told += 1
                await journal.append([fill(told)])
                await asyncio.sleep(0.02)
            if told % 2:
                await until(lambda most=told - 1: len(fills(ends["mail"])) >= most)
    async with at_work(made(tmp_path, ends)):
        await until(lambda: str(told) in fills(ends["mail"]))
        await asyncio.sleep(0.2)
    got = fills(ends["mail"])
    assert list(dict.fromkeys(got)) == [str(one) for one in range(1, told + 1)], "none is lost, and in order"
    assert len(got) - told <= 18, "at most the letter under way at each end is told again"
    assert ends["phone"].texts == []


async def test_what_was_read_and_waits_outlives_an_end(tmp_path, journal, ends, monkeypatch):
    plain = Place.write
    async with at_work(made(tmp_path, ends)) as first:
        before = first.seq

    dead = []

    def write(self, seq, *rest):
        if dead:
            return  # whatever would clean up is gone as well
        plain(self, seq, *rest)
        if seq > before:
            dead.append(seq)
            raise KeyError("the power is gone in the instant after this write")

    monkeypatch.setattr(Place, "write", write)
    async with at_work(made(tmp_path, ends)):
        await journal.append([fill(1), fill(2)])
        await asyncio.sleep(0.5)
    monkeypatch.setattr(Place, "write", plain)
    async with at_work(made(tmp_path, ends)):
        await until(lambda: fills(ends["mail"]) == ["1", "2"])


async def test_it_begins_at_the_journals_end_and_not_with_old_news(tmp_path, journal, ends):
    await journal.append([fill(1)])
    async with at_work(made(tmp_path, ends)):
        await asyncio.sleep(0.2)
        await journal.append([fill(2), OrderStuck(datetime.now(UTC), "m", 2, "no proof")])
        await until(lambda: ends["phone"].texts and "2" in fills(ends["mail"]))
    assert fills(ends["mail"]) == ["2"]
    assert len(ends["phone"].texts) == 1


async def test_an_orderly_end_waits_for_the_letter_under_way(tmp_path, journal, ends):
    ends["mail"].slow = 0.5
    one = made(tmp_path, ends)
    await one.begin()
    task = asyncio.create_task(one.run())
    await journal.append([fill(1)])
    await until(lambda: ends["mail"].asked)
    one.stopping.set()
    await asyncio.wait_for(task, 5)
    assert not one.office.boxes["mail"].waiting
    async with at_work(made(tmp_path, ends)):
        await asyncio.sleep(0.3)
    assert fills(ends["mail"]) == ["1"]


async def test_silence_of_the_daemon_is_told_and_ended(tmp_path, journal, ends):
    async def act(command):
        return {"ok": True, "state": "active"}

    watch = Watch(Patience(silence=timedelta(seconds=0.2)))
    one = made(tmp_path, ends, watch=watch)
    one.office.rules = replace(RULES, calm=timedelta(seconds=0.1))
    async with at_work(one):
        await until(lambda: ends["phone"].texts)
        assert "the daemon does not answer" in ends["phone"].texts[0]
        control = Control(socket_of(tmp_path), act)
        await control.open()
        await until(lambda: len(ends["phone"].texts) == 2)
        assert "all clear" in ends["phone"].texts[1]
        await control.close()


async def test_a_journal_that_is_shorter_than_what_was_told_is_said(tmp_path, ends):
    for count in (5, 2):
        journal = SqliteJournal(tmp_path / "journal.db")
        await journal.take("test", seconds=60)
        async with at_work(made(tmp_path, ends)):
            await journal.append([fill(one) for one in range(1, count + 1)])
            await until(lambda count=count: str(count) in fills(ends["mail"]))
        assert sum("the journal is shorter" in one for one in ends["mail"].texts) == (count == 2)
        ends["mail"].got.clear()
        await journal.close()
        (tmp_path / "journal.db").unlink()


async def test_a_backup_that_is_put_in_its_place_meanwhile_is_read_from_its_end(tmp_path, journal, ends):
    async with at_work(made(tmp_path, ends)):
        await journal.append([fill(one) for one in range(1, 6)])
        await until(lambda: "5" in fills(ends["mail"]))
        other = SqliteJournal(tmp_path / "other.db")
        await other.take("test", seconds=60)
        await other.append([fill(1)])
        for end in ("", "-wal", "-shm"):
            (tmp_path / f"other.db{end}").replace(tmp_path / f"journal.db{end}")
        await until(lambda: any("the journal is shorter" in one for one in ends["mail"].texts))
        await other.append([fill(9)])
        await until(lambda: "9" in fills(ends["mail"]))
        await other.close()


async def test_a_place_that_cannot_be_read_is_an_error_with_a_remedy(tmp_path, journal, ends):
    (tmp_path / "place.json").write_text("{")
    with pytest.raises(PlaceError, match="move it away"):
        await made(tmp_path, ends).begin()


async def test_the_state_of_another_version_keeps_the_place(tmp_path, journal, ends):
    await journal.append([fill(1), fill(2)])
    (tmp_path / "place.json").write_text('{"version": 1, "seq": 2, "heard": 7, "parts": "{}"}')
    one = made(tmp_path, ends)
    await one.begin()
    assert (one.seq, one.heard) == (2, 7)


async def test_targets_may_come_and_go_between_two_starts(tmp_path, journal, ends):
    one = made(tmp_path, ends)
    await one.begin()
    await journal.append([fill(1)])
    await one.read()
    assert one.office.boxes["mail"].waiting
    for number, levels in ((2, {"phone": INFO}), (3, {"phone": INFO, "mail": INFO})):
        again = made(tmp_path, ends)
        again.office = Office(replace(RULES, levels=levels))
        await again.begin()
        assert {*again.office.boxes} == {*levels}
        await journal.append([fill(number)])
        await again.read()
        assert len(again.office.boxes["phone"].waiting) >= 1
    assert [one.event.key for one in again.office.boxes["mail"].waiting] == ["fill:m:3:t3"]


async def test_it_cannot_write_to_the_journal(tmp_path, journal, ends):
    facts = JournalPages(tmp_path / "journal.db")
    assert await facts.last() == 1
    with pytest.raises(JournalDownError, match="readonly"):
        await facts._rows("DELETE FROM journal")
    await facts.close()


async def test_a_file_that_is_put_in_its_place_is_read_and_one_that_is_not_there_yet_is_empty(tmp_path):
    facts = JournalPages(tmp_path / "other.db", may_begin=True)
    assert (await facts.last(), await facts.facts(0, 5), await facts.worths()) == (0, [], [])
    for name, count in (("other.db", 1), ("new.db", 2)):
        one = SqliteJournal(tmp_path / name)
        await one.take("test", seconds=60)
        await one.append([fill(number) for number in range(count)])
        await one.close()
    assert await facts.last() == 2
    for path in tmp_path.glob("new.db*"):
        path.replace(tmp_path / path.name.replace("new", "other"))
    assert await facts.last() == 3
    (tmp_path / "other.db").rename(tmp_path / "aside.db")  # or all that was ever told would be told again
    with pytest.raises(JournalDownError, match="no such journal"):
        await facts.last()
    await facts.close()


async def test_a_file_that_is_no_journal_is_said_and_not_the_end(tmp_path, ends):
    (tmp_path / "journal.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalDownError):
        await JournalPages(tmp_path / "journal.db", may_begin=True).last()


@pytest.mark.slow
async def test_a_journal_in_postgresql_is_read_and_cannot_be_changed(tmp_path, ends):
    from trader.adapters.journal_postgres import PostgresJournal

    server = Postgres().start()
    try:
        journal, reader = PostgresJournal(server.url), JournalPages(server.url, may_begin=True)
        await journal.take("test", seconds=60)
        async with at_work(made(tmp_path, ends, reader)):
            await journal.append([fill(1), fill(2)])
            await until(lambda: fills(ends["mail"]) == ["1", "2"])
        assert [one.seq for one in await reader.facts(1, 1)] == [2]
        assert await reader.worths() == []
        with pytest.raises(JournalDownError, match="ReadOnly"):
            await reader._rows("DELETE FROM journal")
        await reader.close()
        await journal.close()
    finally:
        server.stop()
