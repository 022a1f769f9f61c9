"""What the journal's tables hold after each kind of fact, who may write when, and what those who only look on are shown."""

import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from trader.adapters.journal_pages import JournalPages
from trader.adapters.journal_sqlite import JournalReader, SqliteJournal, wal_fault
from trader.adapters.journal_tables import READ_MODELS, utc_text
from trader.core.facts import (
    BarClosed,
    DustLeft,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
)
from trader.core.records import EpochTaken, LinkChanged, MountStarted, SignalClosed, SignalReceived
from trader.ports import AlreadyKeptError, Entry, JournalDownError, LeaseHeldError, LeaseLostError, Snapshot

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)
LOT, PRICE, FEE = D("1.50"), D("10.01"), D("0.003")
AT_TEXT = "2024-01-01T00:00:00.000000+00:00"
TERMS = (("A", "gate", "A/USDT", "0.01", "0.01", "", "quote"), ("B", "gate", "B/USDT", "0.01", "0.01", "", "quote"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trader.db"


@pytest.fixture
async def journal(path):
    one = SqliteJournal(path)
    await one.take("me", seconds=60)
    yield one
    await one.close()


@pytest.fixture
def reader(journal, path):
    one = JournalReader(path)
    yield one
    one.close()


@pytest.fixture
async def pages(journal, path):
    one = JournalPages(path)
    yield one
    await one.close()


def rows(journal, table):
    return journal._database.execute(f"SELECT * FROM {table}").fetchall()


def link(n=0):
    return LinkChanged(AT, f"gate{n}", True, "up")


def received(key, outcome="", payload="{}"):
    return SignalReceived(AT, key, "bus", f"digest of {key}", outcome, "why", payload)


def placed(number=1, asset="A", *, mount="m", quantity=LOT, spend=None, cause=""):
    return OrderPlaced(AT, mount, number, asset, "gate", "buy", quantity, spend, "target", cause)


def sending(number=1, attempt=1, mount="m"):
    return OrderSending(
        AT, mount, number, f"t-{mount}-{number}-{attempt}", attempt, D("1.5"), D("10.1"), 11, 12, "abc", 1
    )


def filled(
    number=1,
    asset="A",
    *,
    side="buy",
    quantity=LOT,
    price=PRICE,
    fee=FEE,
    fee_asset="A",
    trade="t1",
    mount="m",
):
    return Filled(AT, mount, number, asset, "gate", side, quantity, price, fee, fee_asset, "target", trade)


def bar(hours, asset="A", close=12.0, **more):
    return BarClosed(AT + timedelta(hours=hours), asset, close, close, close, close, 1.0, **more)


# Read models


async def test_a_receipt_is_kept_once_and_what_came_again_is_not_another(journal):
    await journal.append(
        [received("k1"), received("k2", "stale"), received("k1", "duplicate"), received("k2", "conflict")]
    )
    assert rows(journal, "receipts") == [
        ("k1", "bus", "digest of k1", "", "why", 2),
        ("k2", "bus", "digest of k2", "stale", "why", 3),
    ]
    assert await journal.digest_of("k2") == "digest of k2"
    assert await journal.digest_of("k3") is None


async def test_an_outcome_is_one_per_mount(journal):
    await journal.append([SignalClosed(AT, "k1", "m", "traded"), SignalClosed(AT, "k1", "n", "expired")])
    assert rows(journal, "outcomes") == [("k1", "m", "traded", 2), ("k1", "n", "expired", 3)]


async def test_an_order_and_its_attempts_in_every_state(journal):
    await journal.append([placed(), placed(2, quantity=None, spend=D("50.0")), placed(1, mount="n")])

    def order():
        return rows(journal, "orders")[0]

    assert order() == ("m", 1, AT_TEXT, "A", "gate", "buy", "1.50", None, "target", "placed", "", "")
    assert rows(journal, "orders")[1][6:8] == (None, "50.0")
    for fact, state in (
        (sending(), "sending"), (OrderUnknown(AT, "m", 1), "unknown"), (OrderStuck(AT, "m", 1, ""), "stuck"), (OrderAbsent(AT, "m", 1, ""), "absent"),
        (sending(1, 2), "sending"), (OrderAccepted(AT, "m", 1, "v7"), "accepted"), (OrderClosed(AT, "m", 1, "A", "filled"), "closed"),
    ):  # fmt: skip
        await journal.append([fact])
        assert order()[9] == state
    assert order()[10:] == ("filled", "v7")
    assert [row[9:] for row in rows(journal, "orders")[1:]] == [("placed", "", "")] * 2, "others are left alone"
    assert rows(journal, "attempts") == [
        ("t-m-1-1", "m", 1, 1, 11, 12, "abc", 1),
        ("t-m-1-2", "m", 1, 2, 11, 12, "abc", 1),
    ]


async def test_a_fill_moves_its_holding(journal):
    await journal.append([placed(), filled(), filled(1, trade="t2", price=D("10.03"), fee=D(0))])
    assert rows(journal, "fills") == [
        (3, AT_TEXT, "m", 1, "A", "gate", "buy", "1.50", "10.01", "0.003", "A", "target", "t1"),
        (4, AT_TEXT, "m", 1, "A", "gate", "buy", "1.50", "10.03", "0", "A", "target", "t2"),
    ]
    ((mount, asset, venue, quantity, entry, realised, is_flat, seq),) = rows(journal, "holdings")
    assert (mount, asset, venue, quantity, D(realised), is_flat, seq) == ("m", "A", "gate", "2.997", 0, 0, 4)
    assert 10 < D(entry) < D("10.03")
    await journal.append(
        [filled(2, side="sell", quantity=D("2.997"), price=D(11), fee=D(1), fee_asset="quote", trade="t3")]
    )
    ((*_, quantity, _, realised, is_flat, seq),) = rows(journal, "holdings")
    assert (D(quantity), is_flat, seq) == (0, 1, 5)
    assert D(realised) == pytest.approx((11 - D(entry)) * D("2.997") - 1)
    await journal.append([DustLeft(AT, "m", "A")])
    assert rows(journal, "holdings")[0][-1] == 6


async def test_what_a_mount_is_worth_is_kept_at_each_close_and_the_last_word_counts(journal, reader, pages):
    await journal.append(
        [
            MountStarted(AT, "m", "Rules", D(1_000), TERMS),
            filled(fee=D(0), price=D(10)),
            bar(1),
            bar(1, "B"),
            bar(2, close=14.0),
        ]
    )
    hour = [utc_text(AT + timedelta(hours=n)) for n in range(3)]
    assert rows(journal, "equity") == [("m", hour[1], "985.00", "1003.000", 5), ("m", hour[2], "985.00", "1006.000", 6)]
    assert [(one.at, one.cash, one.equity) for one in reader.equity()] == [
        (AT + timedelta(hours=1), D(985), D(1003)), (AT + timedelta(hours=2), D(985), D(1006)),
    ]  # fmt: skip
    await journal.append([bar(3, close=1.0)])
    assert await pages.worths() == [("m", 986.5, 1006.0)]


async def test_after_a_start_the_accounts_are_those_of_all_facts(path):
    facts = [
        MountStarted(AT, "m", "Rules", D(1_000), TERMS),
        placed(),
        filled(fee=D(0), price=D(10)),
        bar(1),
        bar(1, "B"),
    ]
    one = SqliteJournal(path)
    await one.take("me", seconds=60)
    await one.append(facts)
    await one.close()
    again = SqliteJournal(path)
    await again.take("me", seconds=60)
    await again.append([bar(2, "B"), filled(2, "B", fee=D(0), trade="t9")])
    assert rows(again, "equity")[-1][1:4] == (utc_text(AT + timedelta(hours=2)), "985.00", "1003.000")
    assert [row[:4] for row in rows(again, "holdings")] == [("m", "A", "gate", "1.50"), ("m", "B", "gate", "1.50")]
    grown = {table: rows(again, table) for table in READ_MODELS}
    for table in READ_MODELS:
        again._database.execute(f"UPDATE {table} SET seq = seq + 1000") if table not in {"orders", "attempts"} else None
    assert again.rebuild() == 9
    assert {table: rows(again, table) for table in READ_MODELS} == grown
    await again.close()


# Who may write


async def test_an_epoch_is_one_higher_at_each_start_and_a_fact(path):
    for epoch, owner in enumerate(("me", "me", "you"), 1):
        journal = SqliteJournal(path)
        assert journal.epoch == 0
        assert await journal.take(owner, seconds=60) == epoch == journal.epoch
        fact = [entry.fact async for entry in journal.read()][-1]
        assert (type(fact), fact.epoch, fact.owner) == (EpochTaken, epoch, owner)
        assert abs((fact.at - datetime.now(UTC)).total_seconds()) < 60
        await journal.close()
    assert fact.at.tzinfo is not None


async def test_a_lease_runs_by_the_clock_of_the_database_and_is_prolonged(journal, path):
    def left():
        ((expires, now),) = journal._database.execute(
            "SELECT expires, (julianday('now') - 2440587.5) * 86400.0 FROM lease"
        ).fetchall()
        return expires - now

    assert 55 < left() <= 60
    journal._database.execute("UPDATE lease SET expires = expires - 50")
    await journal.renew()
    assert 55 < left() <= 60
    other = SqliteJournal(path)
    with pytest.raises(LeaseHeldError) as held:
        await other.take("you", seconds=60)
    assert (held.value.owner, 55 < held.value.seconds <= 60) == ("me", True)
    assert (other.epoch, len([entry async for entry in other.read()])) == (0, 1)
    assert await other.take("me", seconds=5) == 2, "a lease of our own is no hindrance"
    await other.close()
    assert journal._database.execute("SELECT expires FROM lease").fetchone() == (0.0,)


async def test_nobody_writes_without_a_lease(path):
    journal = SqliteJournal(path)
    for attempt in (journal.append([link()]), journal.renew(), journal.keep_snapshot("p", "body")):
        with pytest.raises(LeaseLostError, match="epoch 0 may not write; nobody took it"):
            await attempt
    assert await journal.append([]) == 0, "there is nothing to write"
    await journal.close()


async def test_an_epoch_that_was_taken_over_writes_nothing_and_takes_nothing_away(journal, path):
    journal._database.execute("UPDATE lease SET expires = 0")
    other = SqliteJournal(path)
    await other.take("you", seconds=60)
    for attempt in (journal.append([link()]), journal.renew(), journal.keep_snapshot("p", "body")):
        with pytest.raises(LeaseLostError, match="epoch 1 may not write; you took epoch 2"):
            await attempt
    assert [entry.seq async for entry in journal.read()] == [1, 2]
    await journal.close()
    assert other._database.execute("SELECT expires > 0 FROM lease").fetchone() == (1,)
    assert await other.append([link()]) == 3
    await other.close()


async def test_a_commit_is_all_or_nothing_and_the_chain_goes_on_behind_it(journal):
    assert await journal.append([link(1), link(2)]) == 3
    with pytest.raises(AlreadyKeptError, match="outcomes"):
        await journal.append([link(3), SignalClosed(AT, "k", "m", "x"), SignalClosed(AT, "k", "m", "y")])
    assert await journal.append([link(4)]) == 4
    assert await journal.append([]) == 4
    assert [entry.seq async for entry in journal.read(2)] == [3, 4]
    assert [entry async for entry in journal.read(3)] == [Entry(4, link(4))]
    assert journal.verify() is None
    journal._database.execute("UPDATE journal SET epoch = 9 WHERE seq = 3")
    assert journal.verify().seq == 3


async def test_only_a_commit_in_doubt_is_taken_for_kept(journal):
    await journal.append([link(1)])
    assert await journal.append([link(1)]) == 3, "the same again is another fact"
    assert len([entry async for entry in journal.read()]) == 3


async def test_a_database_that_is_locked_is_down_and_nothing_is_lost(journal, path):
    journal._database.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for attempt in (
        journal.append([link()]),
        journal.renew(),
        journal.keep_snapshot("p", "b"),
        journal.take("me", seconds=1),
    ):
        with pytest.raises(JournalDownError, match="locked"):
            await attempt
    other.execute("ROLLBACK")
    other.close()
    assert await journal.append([link()]) == 2
    assert journal.verify() is None


def test_what_cannot_be_opened_is_down(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(JournalDownError, match="file"):
        SqliteJournal(tmp_path / "file" / "trader.db")
    (tmp_path / "noise.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(JournalDownError, match="not a database"):
        SqliteJournal(tmp_path / "noise.db")
    one = SqliteJournal(tmp_path / "deep" / "folder" / "trader.db")
    assert one._database.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert one._database.execute("PRAGMA busy_timeout").fetchone() == (5_000,)
    one._database.close()


@pytest.mark.parametrize(
    ("version", "has"), [((3, 7, 0), True), ((3, 6, 99), False), ((3, 45, 0), True), ((3, 44, 99), False), ((3, 51, 0), True), ((3, 50, 99), False)]
)  # fmt: skip
def test_which_sqlite_has_the_fault(version, has):
    said = wal_fault(version)
    assert (said is not None) is has
    assert said is None or ".".join(map(str, version)) in said


async def test_who_takes_the_lease_again_knows_what_was_written_meanwhile(path):
    first, second = SqliteJournal(path), SqliteJournal(path)
    await first.take("first", seconds=0)
    await first.append([MountStarted(AT, "m", "Rules", D(1_000), TERMS), bar(1)])
    await second.take("second", seconds=0)
    await second.append([filled(fee=D(0), price=D(10))])
    await first.take("first", seconds=60)
    await first.append([bar(2)])
    assert rows(first, "equity")[-1][2:4] == ("985.00", "1003.000")
    await second.close()
    await first.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        first._database.execute("SELECT 1")


async def test_what_was_refused_is_not_counted(journal):
    await journal.append([MountStarted(AT, "m", "Rules", D(1_000), TERMS), SignalClosed(AT, "k", "m", "x")])
    with pytest.raises(AlreadyKeptError):
        await journal.append([filled(), SignalClosed(AT, "k", "m", "y")])
    await journal.append([bar(1)])
    assert rows(journal, "equity")[-1][2:4] == ("1000.0", "1000.0")
    assert rows(journal, "holdings") == []


async def test_a_start_at_the_newest_version_makes_nothing_anew(journal):
    await journal.append([placed()])
    journal._database.execute("UPDATE orders SET reason = 'touched'")
    await journal.take("me", seconds=60)
    assert rows(journal, "orders")[0][10] == "touched"


async def test_a_lease_that_is_gone_lets_nobody_write(journal):
    journal._database.execute("DELETE FROM lease")
    with pytest.raises(LeaseLostError, match="epoch 1 may not write; nobody took it"):
        await journal.append([link()])


# Snapshots


async def test_a_snapshot_counts_for_its_program_and_its_place_in_the_chain(journal):
    await journal.append([link(1)])
    await journal.keep_snapshot("old", "first")
    await journal.append([link(2)])
    await journal.keep_snapshot("p", "body")
    assert rows(journal, "snapshots")[0][:2] == (3, journal._hash)
    assert len(rows(journal, "snapshots")) == 1, "older ones make room"
    await journal.append([link(3)])
    assert await journal.snapshot("p") == Snapshot(3, "body")
    assert await journal.snapshot("q") is None
    for change in ("body = 'changed'", "digest = ''", "hash = ''", "seq = 2"):
        journal._database.execute("SAVEPOINT one")
        journal._database.execute(f"UPDATE snapshots SET {change}")
        assert await journal.snapshot("p") is None, change
        journal._database.execute("ROLLBACK TO one")
