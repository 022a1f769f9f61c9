"""What those who only look on are shown of a journal, and the forms of its tables."""

# ruff: noqa: F811 - fixtures of another file are arguments here

import asyncio
import shutil
import sqlite3
from datetime import timedelta, timezone
from decimal import Decimal

import pytest
from sqlmodel import SQLModel

from tests.adapters.test_journal_rows import (  # noqa: F401 - fixtures
    AT,
    AT_TEXT,
    TERMS,
    D,
    bar,
    filled,
    journal,
    link,
    pages,
    path,
    placed,
    reader,
    received,
)
from trader.adapters import journal_checks, journal_migrations, journal_pages
from trader.adapters.journal_checks import sqlite_file
from trader.adapters.journal_migrations import statements
from trader.adapters.journal_pages import JournalPages
from trader.adapters.journal_sqlite import JournalReader, SqliteJournal
from trader.adapters.journal_tables import READ_MODELS, VERSION, Exact, Utc, utc_text
from trader.core.facts import (
    OrderAccepted,
    OrderClosed,
)
from trader.core.records import MountStarted, SignalClosed
from trader.ports import Entry, JournalDownError

# Who looks on


async def test_a_reader_shows_what_is_there_in_order(journal, reader, pages):
    facts = [
        received("k1"), placed(2), placed(1), placed(1, mount="b"), filled(2), filled(1, "B", trade="t2"), SignalClosed(AT, "k1", "m", "traded"),
        SignalClosed(AT, "k0", "m", "x"), OrderClosed(AT, "m", 1, "B", "filled"),
    ]  # fmt: skip
    await journal.append(facts)
    assert [(one.mount, one.number, one.state) for one in reader.orders()] == [
        ("b", 1, "placed"),
        ("m", 1, "closed"),
        ("m", 2, "placed"),
    ]
    assert [(one.mount, one.number) for one in reader.orders(working=True)] == [("b", 1), ("m", 2)]
    assert [(one.seq, one.trade) for one in reader.fills()] == [(6, "t1"), (7, "t2")]
    assert [(one.mount, one.asset, one.is_flat) for one in reader.holdings()] == [("m", "A", False), ("m", "B", False)]
    assert [one.key for one in reader.outcomes()] == ["k1", "k0"]
    assert reader.facts()[1:] == facts
    assert [one.split('"')[3] for one in reader.bodies(2)] == ["SignalClosed", "OrderClosed"]
    assert await pages.facts(8, 1) == [Entry(9, facts[7])]
    assert [entry.seq for entry in await pages.facts(8, 9)] == [9, 10]
    assert await pages.last() == 10
    assert reader.verify() is None
    journal._database.execute("UPDATE journal SET kind = 'Other' WHERE seq = 5")
    assert reader.verify().seq == 5


async def test_of_an_empty_journal_a_reader_shows_nothing(path):
    SqliteJournal(path)._database.close()
    reader, pages = JournalReader(path), JournalPages(path)
    assert (reader.facts(), reader.verify()) == ([], None)
    assert (await pages.last(), await pages.worths(), await pages.facts(0, 9)) == (0, [], [])
    reader.close()
    await pages.close()
    path.with_name("noise.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(JournalDownError, match="file is not a database"):
        await JournalPages(path.with_name("noise.db")).last()
    with pytest.raises(JournalDownError, match="cannot be read: file is not a database"):
        JournalReader(path.with_name("noise.db")).facts()


async def test_pages_of_facts_and_of_a_kind(journal, pages):
    assert await pages.last() == 1
    await journal.append([bar(1), bar(2), bar(1, "AB"), bar(3), link()])
    assert await pages.last() == 6
    assert [one.seq for one in await pages.facts(2, 2)] == [3, 4]
    assert [one.seq for one in await pages.of_kind("BarClosed", "A", 2)] == [3, 5]
    assert await pages.of_kind("LinkChanged", "A", 9) == []


async def test_pages_of_messages_and_how_they_ended(journal, pages):
    facts = [received(f"k{n}", "stale" if n % 3 == 0 else "") for n in range(1, 8)]
    await journal.append([*facts, SignalClosed(AT, "k1", "m", "traded")])
    seen = [(seq, fact.key, ended) for seq, fact, ended in await pages.signals(None, 99, None)]
    assert seen == [
        (8, "k7", "open"), (7, "k6", "stale"), (6, "k5", "open"), (5, "k4", "open"), (4, "k3", "stale"), (3, "k2", "open"), (2, "k1", "traded"),
    ]  # fmt: skip
    assert [one[0] for one in await pages.signals(None, 2, None)] == [8, 7]
    assert [one[0] for one in await pages.signals(6, 2, None)] == [5, 4]
    assert [one[0] for one in await pages.signals(None, 9, "stale")] == [7, 4]
    assert [one[0] for one in await pages.signals(None, 1, "stale")] == [7]
    assert [one[0] for one in await pages.signals(7, 9, "stale")] == [4]
    assert [one[0] for one in await pages.signals(None, 9, "traded")] == [2]
    assert await pages.signals(None, 0, None) == []


async def test_messages_with_an_outcome_are_looked_for_over_many_pages(journal, pages, monkeypatch):
    monkeypatch.setattr("trader.adapters.journal_pages.CHUNK", 2)
    await journal.append([received(f"k{n}", "stale" if n % 3 == 0 else "late") for n in range(1, 10)])
    assert [one[1].key for one in await pages.signals(None, 2, "stale")] == ["k9", "k6"]
    assert [one[1].key for one in await pages.signals(None, 9, "stale")] == ["k9", "k6", "k3"]
    assert await pages.signals(None, 9, "expired") == []


async def test_the_story_of_a_message_goes_until_its_orders_are_closed(journal, pages, monkeypatch):
    monkeypatch.setattr("trader.adapters.journal_pages.CHUNK", 3)
    story = [
        received("k1"),
        placed(1, cause="signal:k1"),
        placed(2, cause="signal:k2"),
        link(1),
        OrderClosed(AT, "m", 1, "A", "filled"),
    ]
    await journal.append([link(0), *story])
    assert await pages.around("k1") == story, "its outcome is not there yet: to the end"
    await journal.append([SignalClosed(AT, "k1", "m", "traded"), *(link(n) for n in range(9))])
    assert await pages.around("k1") == story[:3], "all that is of it was met, and it is over"
    assert await pages.around("k9") == []


async def test_a_story_goes_on_while_its_order_works_although_its_outcome_is_there(journal, pages, monkeypatch):
    monkeypatch.setattr("trader.adapters.journal_pages.CHUNK", 2)
    facts = [
        received("k1"),
        placed(1, cause="signal:k1"),
        SignalClosed(AT, "k1", "m", "traded"),
        *(link(n) for n in range(5)),
    ]
    await journal.append(facts)
    assert await pages.around("k1") == facts
    monkeypatch.setattr("trader.adapters.journal_pages.STORY_MOST", 4)
    assert await pages.around("k1") == facts[:4]


async def test_pages_of_orders_fills_and_holdings(journal, pages):
    await journal.append([placed(1), placed(2, "B", quantity=None, spend=D("50.0")), placed(3), OrderAccepted(AT, "m", 2, "v2"), OrderClosed(AT, "m", 3, "A", "cash"),
                          filled(1), filled(2, "B", trade="t2")])  # fmt: skip
    assert await pages.orders(None, 9, is_working=False) == [
        ("m", 3, AT, "A", "gate", "buy", D("1.50"), None, "closed", "cash", "target", ""),
        ("m", 2, AT, "B", "gate", "buy", None, D("50.0"), "accepted", "", "target", "v2"),
        ("m", 1, AT, "A", "gate", "buy", D("1.50"), None, "placed", "", "target", ""),
    ]
    assert [row[1] for row in await pages.orders(None, 9, is_working=True)] == [2, 1]
    assert [row[1] for row in await pages.orders(3, 1, is_working=False)] == [2]
    fills = await pages.fills(None, 9)
    assert fills[1] == (7, AT, "m", 1, "A", "gate", "buy", D("1.50"), D("10.01"), D("0.003"), "A", "target")
    assert [row[0] for row in fills] == [8, 7]
    assert [row[0] for row in await pages.fills(8, 9)] == [7]
    assert [row[0] for row in await pages.fills(None, 1)] == [8]
    held = await pages.holdings()
    assert [row[:4] for row in held] == [("m", "A", "gate", D("1.497")), ("m", "B", "gate", D("1.50"))]
    assert all(isinstance(one, Decimal) for row in held for one in row[3:])


async def test_what_is_thinned_keeps_the_newest_of_each_mount(journal, pages):
    starts = [MountStarted(AT, name, "Rules", D(1_000), TERMS, market) for name, market in (("a", "1h"), ("b", "4h"))]
    bars = [bar(n, market="1h") for n in range(1, 9)] + [bar(n, market="4h") for n in (4, 8)]
    await journal.append([*starts, *bars])
    assert [(row[1], row[0].hour) for row in await pages.worth(None, 5)] == [("a", n) for n in (2, 4, 6)] + [
        ("a", 8), ("b", 8),
    ]  # fmt: skip
    assert {row[1] for row in await pages.worth(None, 1)} == {"a", "b"}


async def test_pages_of_worth_are_thinned_to_what_is_asked_for(journal, pages):
    await journal.append([MountStarted(AT, "m", "Rules", D(1_000), TERMS), *(bar(n) for n in range(1, 8))])
    every = await pages.worth(None, 7)
    assert every == [(AT + timedelta(hours=n), "m", D(1000), D(1000)) for n in range(1, 8)]
    assert [row[0].hour for row in await pages.worth(None, 6)] == [1, 3, 5, 7], "the newest is among them"
    assert [row[0].hour for row in await pages.worth(AT + timedelta(hours=5), 7)] == [5, 6, 7]
    assert [row[0].hour for row in await pages.worth(None, 100)] == [1, 2, 3, 4, 5, 6, 7]
    assert await pages.worth(AT + timedelta(days=1), 7) == []
    await journal.append([filled(fee=D(0), price=D(10)), bar(8)])
    assert (await pages.worth(AT + timedelta(hours=8), 7))[0][2:] == (D(985), D(1003))
    assert (journal_pages.TOP, journal_pages.STORY_MOST, journal_pages.CHUNK) == (2_147_483_647, 20_000, 500)


async def test_pages_of_a_file_that_is_not_there_yet_come_when_it_is(path):
    pages = JournalPages(path)
    with pytest.raises(JournalDownError, match="no such journal yet"):
        await pages.last()
    await pages.close()
    journal = SqliteJournal(path)
    assert await pages.last() == 0
    journal._database.execute("DROP TABLE journal")
    with pytest.raises(JournalDownError, match="no such table"):
        await pages.last()
    assert pages._file is None, "it is opened anew the next time"
    await pages.close()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        pages._of_file("SELECT 1", ()) and pages._file.execute("DELETE FROM meta")
    pages._file.close()
    journal._database.close()


async def test_pages_are_asked_from_many_at_once(journal, pages):
    await journal.append([link(n) for n in range(20)])
    found = await asyncio.gather(*(pages.facts(n, 1) for n in range(10)))
    assert [one[0].seq for one in found] == list(range(1, 11))
    file = pages._file
    await pages.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        file.execute("SELECT 1")


# Forms


def test_an_instant_is_text_of_one_length_in_utc():
    assert utc_text(AT) == AT_TEXT
    assert utc_text(AT.astimezone(timezone(timedelta(hours=5)))) == AT_TEXT
    with pytest.raises(ValueError, match="no time zone"):
        utc_text(AT.replace(tzinfo=None))
    assert (Utc().process_bind_param(AT, None), Utc().process_result_value(AT_TEXT, None)) == (AT_TEXT, AT)
    assert (Utc().process_bind_param(None, None), Utc().process_result_value(None, None)) == (None, None)
    assert (Exact().process_bind_param(D("1.50"), None), Exact().process_result_value("1.50", None)) == (
        "1.50",
        D("1.50"),
    )
    assert str(Exact().process_result_value("1.50", None)) == "1.50"
    assert (Exact().process_bind_param(None, None), Exact().process_result_value(None, None)) == (None, None)
    assert VERSION == 3
    assert Exact.cache_ok is Utc.cache_ok is True
    keys = {table.name: [one.name for one in table.primary_key] for table in SQLModel.metadata.sorted_tables}
    assert {name: key for name, key in keys.items() if name in READ_MODELS} == {
        "receipts": ["key"], "outcomes": ["key", "mount"], "orders": ["mount", "number"], "attempts": ["client_id"], "fills": ["seq"],
        "holdings": ["mount", "asset"], "equity": ["mount", "at"],
    }  # fmt: skip
    assert READ_MODELS == ("receipts", "outcomes", "orders", "attempts", "fills", "holdings", "equity")


def test_the_steps_between_versions():
    assert statements("sqlite", VERSION) == ()
    assert statements("sqlite", 2, 2) == ()
    whole = statements("sqlite", 0)
    assert any("'0001'" in one for one in whole)
    from_1, from_2 = statements("sqlite", 1), statements("sqlite", 2)
    assert from_1[0].startswith("CREATE TABLE IF NOT EXISTS alembic_version")
    assert from_1[1].startswith("INSERT INTO alembic_version (version_num) SELECT '0001'")
    assert from_1[-len(from_2) :] == from_2
    assert all(one == one.strip() and one and not one.endswith(";") for one in (*whole, *from_1))
    assert statements("postgresql", 0) != whole
    assert statements("sqlite", 0, 1) == whole[: len(statements("sqlite", 0, 1))]


def test_the_steps_are_found_in_a_folder_of_any_name(tmp_path, monkeypatch):
    home = tmp_path / "50 % of it" / "migrations"
    shutil.copytree(journal_migrations.HOME, home, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(journal_migrations, "HOME", home)
    assert statements.__wrapped__("sqlite", 0) == statements("sqlite", 0)


def test_a_file_is_looked_at_without_a_writer(path, monkeypatch):
    with pytest.raises(JournalDownError, match="unable to open"):
        sqlite_file(path)
    assert not path.exists()
    SqliteJournal(path)._database.close()
    assert sqlite_file(path) == "tables of version 3"
    database = sqlite3.connect(path)
    for version, fits in ((4, False), (2, True)):
        database.execute("UPDATE meta SET value = ?", (version,))
        database.commit()
        if fits:
            assert sqlite_file(path) == f"tables of version {version}"
        else:
            with pytest.raises(JournalDownError, match="has tables of version 4; this program knows 3"):
                sqlite_file(path)
    database.execute("DELETE FROM meta")
    database.commit()
    with pytest.raises(JournalDownError, match="version None"):
        sqlite_file(path)
    database.execute("CREATE TABLE wide (text)")
    database.execute("CREATE INDEX narrow ON wide (text)")
    database.executemany("INSERT INTO wide VALUES (?)", [(f"{n:0400}",) for n in range(100)])
    database.execute("INSERT INTO meta VALUES ('version', 3)")
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("PRAGMA writable_schema = ON")
    database.execute(
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'meta') WHERE name = 'narrow'"
    )
    database.commit()
    database.close()
    with pytest.raises(JournalDownError, match="is damaged"):
        sqlite_file(path)
    assert (journal_checks.SECONDS, journal_checks.QUICK_BYTES) == (5.0, 256_000_000)
    monkeypatch.setattr(journal_checks, "QUICK_BYTES", path.stat().st_size)
    with pytest.raises(JournalDownError, match="is damaged"):
        sqlite_file(path)
    monkeypatch.setattr(journal_checks, "QUICK_BYTES", path.stat().st_size - 1)
    assert sqlite_file(path) == "tables of version 3", "a large file is not read through"
