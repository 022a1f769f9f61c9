"""The journal keeps what it acknowledged, in order, once, through kill -9, lost answers, a full disk and a second instance."""

import asyncio
import random
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from trader.adapters.journal_chain import JournalVersionError
from trader.adapters.journal_sqlite import JournalReader, SqliteJournal, wal_fault
from trader.adapters.journal_tables import READ_MODELS, VERSION
from trader.core.facts import BarClosed, Filled, OrderAccepted, OrderClosed, OrderPlaced, OrderSending, OrderUnknown
from trader.core.records import EpochTaken, LinkChanged, MountStarted, SignalClosed, SignalReceived
from trader.ports import AlreadyKeptError, JournalDownError, LeaseLostError

AT = datetime(2024, 1, 1, tzinfo=UTC)
WRITER = Path(__file__).with_name("writer.py")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trader.db"


def run(coroutine):
    return asyncio.run(coroutine)


def opened(path, owner="me", seconds=60.0):
    journal = SqliteJournal(path)
    run(journal.take(owner, seconds=seconds))
    return journal


def link(number=0):
    return LinkChanged(AT, f"gate{number}", True, "up")


def story(number=1):
    """An order from its message to its outcome."""
    return [
        SignalReceived(AT, f"k{number}", "bus", "digest", "", "", "{}"),
        OrderPlaced(AT, "m", number, "A", "gate", "buy", Decimal("1.50"), None, "target"),
        OrderSending(AT, "m", number, f"t-{number}", 1, Decimal("1.50"), Decimal("10.1"), 1, 2, "abc", 1),
        OrderUnknown(AT, "m", number, "no reply"),
        OrderAccepted(AT, "m", number, "venue-7"),
        Filled(AT, "m", number, "A", "gate", "buy", Decimal("1.50"), Decimal("10.01"), Decimal("0.003"), "A", "target", f"t{number}"),
        OrderClosed(AT, "m", number, "A", "filled"),
        SignalClosed(AT, f"k{number}", "m", "traded", (("A", "filled"),)),
    ]  # fmt: skip


def long_story():
    """Something is bought and its market falls silent, while that of another goes on for more bars than are looked at first."""
    terms = (("A", "gate", "A/USDT", "0.01", "0.01", "", "quote"),)
    hours = [AT + timedelta(hours=n) for n in range(1, 1_100)]
    first = [MountStarted(AT, "m", "Rules", Decimal(1_000), terms), BarClosed(AT, "A", 10.0, 10.0, 10.0, 10.0, 1.0)]
    return [*first, *story(1), *(BarClosed(at, "B", 1.0, 1.0, 1.0, 1.0, 1.0) for at in hours)]


LATE = BarClosed(AT + timedelta(hours=1_200), "B", 2.0, 2.0, 2.0, 2.0, 1.0)


async def kept(journal, after=0):
    return [entry async for entry in journal.read(after)]


def test_facts_come_back_in_order_after_a_restart(path):
    journal = opened(path)
    assert run(journal.append(story(1))) == 9
    assert run(journal.append(story(2))) == 17
    run(journal.close())
    again = opened(path)
    entries = run(kept(again))
    assert [entry.seq for entry in entries] == list(range(1, 19))
    assert [entry.fact for entry in entries[1:9]] == story(1)
    assert again.verify() is None
    assert [entry.seq for entry in run(kept(again, after=16))] == [17, 18]
    assert again.epoch == 2
    assert run(again.digest_of("k1")) == "digest"
    assert run(again.digest_of("k9")) is None
    run(again.close())


def test_every_commit_is_synchronous(path):
    journal = opened(path)
    assert journal._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    run(journal.close())


def test_read_models_tell_the_story_exactly(path):
    journal = opened(path)
    run(journal.append(story()))
    reader = JournalReader(path)
    (order,) = reader.orders()
    assert (order.state, order.reason, order.venue_order, order.quantity) == (
        "closed",
        "filled",
        "venue-7",
        Decimal("1.50"),
    )
    assert str(order.quantity) == "1.50"
    assert order.placed_at == AT
    assert reader.orders(working=True) == []
    (fill,) = reader.fills()
    assert (fill.price, fill.fee, fill.fee_asset, fill.trade) == (Decimal("10.01"), Decimal("0.003"), "A", "t1")
    assert [(row.key, row.mount, row.outcome) for row in reader.outcomes()] == [("k1", "m", "traded")]
    assert len(reader.facts()) == 9
    reader.close()
    run(journal.close())


def test_a_reader_can_change_nothing_and_a_missing_journal_is_named(path):
    run(opened(path).close())
    reader = JournalReader(path)
    with reader._engine.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("DELETE FROM journal")
    reader.close()
    with pytest.raises(JournalDownError, match="no such journal"):
        JournalReader(path.with_name("other.db"))


def test_rebuilt_read_models_are_those_that_grew(path):
    journal = opened(path)
    for number in range(1, 6):
        run(journal.append(story(number)))
    dump = lambda: [journal._database.execute(f"SELECT * FROM {name}").fetchall() for name in READ_MODELS]  # noqa: E731
    grown = dump()
    journal._database.execute("UPDATE orders SET state = 'placed'")
    assert journal.rebuild() == 41
    assert dump() == grown
    run(journal.close())


@pytest.mark.parametrize(
    ("again", "says"),
    [
        (SignalReceived(AT, "k1", "mqtt", "digest", "", "", "{}"), "receipts.key"),
        (OrderSending(AT, "m", 9, "t-1", 1, None, None, 1, 2, "", 1), "attempts.client_id"),
        (OrderSending(AT, "m", 1, "t-other", 1, None, None, 1, 2, "", 1), "attempts.mount"),
        (Filled(AT, "m", 2, "A", "gate", "buy", Decimal(1), Decimal(1), Decimal(0), "A", "", "t1"), "fills.venue"),
        (SignalClosed(AT, "k1", "m", "expired"), "outcomes.key"),
    ],
)
def test_what_may_happen_once_happens_once(path, again, says):
    journal = opened(path)
    run(journal.append(story()))
    with pytest.raises(AlreadyKeptError, match=says):
        run(journal.append([link(), again]))
    assert len(run(kept(journal))) == 9  # nothing of the call was kept
    assert run(journal.append([link()])) == 10
    assert journal.verify() is None
    run(journal.close())


def test_that_a_key_came_again_is_kept_beside_the_first_receipt(path):
    journal = opened(path)
    run(journal.append(story()))
    run(journal.append([SignalReceived(AT, "k1", "mqtt", "digest", "duplicate", "seen", "{}")]))
    run(journal.append([SignalReceived(AT, "k1", "mqtt", "other", "conflict", "other content", "{}")]))
    assert run(journal.digest_of("k1")) == "digest"
    run(journal.close())


class LosesTheAnswer:
    """A connection whose next COMMIT does its work and then fails, or fails before it."""

    def __init__(self, inner, commits):
        self.inner, self.commits, self.armed = inner, commits, True

    def execute(self, statement, *values):
        if statement == "COMMIT" and self.armed:
            self.armed = False
            if self.commits:
                self.inner.execute(statement)
            raise sqlite3.OperationalError("disk I/O error")
        return self.inner.execute(statement, *values)

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.mark.parametrize("commits", [True, False])
def test_a_commit_whose_answer_is_lost_is_repeated_without_a_second_row(path, commits):
    journal = opened(path)
    journal._database = LosesTheAnswer(journal._database, commits)
    with pytest.raises(JournalDownError, match="give the same facts again"):
        run(journal.append(story()))
    assert run(journal.append(story())) == 9
    assert run(journal.append([link()])) == 10
    assert len(run(kept(journal))) == 10
    assert journal.verify() is None
    run(journal.close())


def test_a_full_disk_loses_nothing_and_is_no_end(path):
    journal = opened(path)
    run(journal.append(story()))
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages + 1}")
    big = [SignalReceived(AT, "big", "bus", "d", "", "", "x" * 200_000)]
    with pytest.raises(JournalDownError, match="full"):
        run(journal.append(big))
    assert journal.verify() is None
    journal._database.execute("PRAGMA max_page_count = 1000000")
    assert run(journal.append(big)) == 10
    assert journal.verify() is None
    run(journal.close())


def test_a_second_instance_is_refused_and_an_old_one_loses_the_right_to_write(path):
    first = opened(path, "first", seconds=0.3)
    second = SqliteJournal(path)
    with pytest.raises(LeaseLostError, match="first holds it"):
        run(second.take("second", seconds=60))
    with pytest.raises(LeaseLostError, match="may not write"):
        run(second.append([link()]))
    run(first.append([link(1)]))
    time.sleep(0.2)
    run(first.renew())
    time.sleep(0.2)
    with pytest.raises(LeaseLostError):
        run(second.take("second", seconds=60))
    time.sleep(0.3)
    assert run(second.take("second", seconds=60)) == 2
    for attempt in (first.append([link(2)]), first.renew()):
        with pytest.raises(LeaseLostError, match="second took epoch 2"):
            run(attempt)
    run(second.append([link(3)]))
    facts = [entry.fact for entry in run(kept(second))]
    assert [(fact.epoch, fact.owner) for fact in facts if isinstance(fact, EpochTaken)] == [(1, "first"), (2, "second")]
    assert [fact.link for fact in facts if isinstance(fact, LinkChanged)] == ["gate1", "gate3"]
    assert second.verify() is None
    run(first.close())
    run(second.append([link(4)]))  # the old one's goodbye took nothing away
    run(second.close())


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE journal SET body = replace(body, 'gate3', 'gate9') WHERE seq = 4", 4),
        ("UPDATE journal SET epoch = 7 WHERE seq = 2", 2),
        ("DELETE FROM journal WHERE seq = 5", 5),
        ("UPDATE journal SET hash = prev_hash WHERE seq = 6", 6),
    ],
)
def test_a_changed_row_is_found(path, statement, seq):
    journal = opened(path)
    run(journal.append([link(number) for number in range(1, 8)]))
    journal._database.execute(statement.replace("gate3", "gate3"))
    assert journal.verify().seq == seq
    run(journal.close())


def test_a_newer_journal_and_another_database_are_refused(path):
    run(opened(path).close())
    database = sqlite3.connect(path)
    database.execute("UPDATE meta SET value = ?", (VERSION + 1,))
    database.commit()
    database.close()
    with pytest.raises(JournalVersionError, match="newer program"):
        SqliteJournal(path)
    other = path.with_name("other.db")
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE songs (name)")
    database.close()
    with pytest.raises(JournalVersionError, match="songs"):
        SqliteJournal(other)


@pytest.mark.parametrize(
    ("version", "has"),
    [((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False), ((3, 50, 6), True), ((3, 50, 7), False),
     ((3, 51, 2), True), ((3, 51, 3), False), ((3, 6, 9), False)],
)  # fmt: skip
def test_the_fault_of_some_sqlite_versions_is_known(version, has):
    assert (wal_fault(version) is not None) == has


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_instant_it_keeps_what_it_acknowledged(path, seed):
    lot, begin = random.Random(seed), 0
    acknowledged = 0
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, str(WRITER), str(path), str(begin)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(lot.randint(1, 60)):
            line = writer.stdout.readline()
        time.sleep(lot.uniform(0, 0.01))
        writer.kill()
        said = [line, *writer.stdout.read().splitlines(keepends=True)]
        writer.wait()
        writer.stdout.close()
        last = [text for text in said if text.endswith("\n")][-1].split()
        acknowledged = int(last[0])
        journal = SqliteJournal(path)
        assert journal.verify() is None
        facts = [entry.fact for entry in run(kept(journal))]
        assert len(facts) >= acknowledged
        orders = [fact.order for fact in facts if isinstance(fact, OrderPlaced)]
        fills = [fact.order for fact in facts if isinstance(fact, Filled)]
        assert orders == fills == list(range(len(orders)))  # whole groups, none twice, none missing
        grown = [journal._database.execute(f"SELECT * FROM {name}").fetchall() for name in READ_MODELS]
        journal.rebuild()
        assert [journal._database.execute(f"SELECT * FROM {name}").fetchall() for name in READ_MODELS] == grown
        begin = len(orders)
        run(journal.close())
        assert int(last[1]) < begin


def test_what_is_held_is_valued_after_a_restart_though_its_last_close_was_long_ago(path):
    journal = opened(path)
    run(journal.append(long_story()))
    run(journal.close())
    again = opened(path)
    run(again.append([LATE]))
    grown = JournalReader(path).equity()
    assert grown[-1].at == LATE.at
    again.rebuild()
    assert JournalReader(path).equity() == grown
