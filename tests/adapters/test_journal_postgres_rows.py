"""The journal in PostgreSQL at its borders: who may write, what is one commit, and what those who only look on are shown."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from tests.adapters.test_journal import AT, kept, link, story
from tests.adapters.test_journal_postgres import server, url  # noqa: F401 - fixtures
from tests.adapters.test_journal_rows import TERMS, bar, filled, placed
from trader.adapters.journal_chain import JournalVersionError
from trader.adapters.journal_checks import postgres as look
from trader.adapters.journal_pages import JournalPages
from trader.adapters.journal_postgres import PostgresJournal, Steps
from trader.adapters.journal_tables import READ_MODELS, VERSION, utc_text
from trader.core.records import EpochTaken, MountStarted, SignalClosed
from trader.ports import AlreadyKeptError, Entry, JournalDownError, LeaseHeldError, LeaseLostError, Snapshot

D = Decimal


@pytest.fixture
async def journal(url):  # noqa: F811
    one = PostgresJournal(url)
    await one.take("me", seconds=60)
    yield one
    await one.close()


async def rows(journal, table):
    return [tuple(row) for row in await journal._connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]


async def left(journal):
    return await journal._connection.fetchval(
        "SELECT expires - extract(epoch FROM clock_timestamp())::float8 FROM lease"
    )


async def test_an_epoch_is_one_higher_at_each_start_and_a_fact(url):  # noqa: F811
    for epoch, owner in enumerate(("me", "me", "you"), 1):
        journal = PostgresJournal(url)
        assert journal.epoch == 0
        assert await journal.take(owner, seconds=60) == epoch == journal.epoch
        fact = (await kept(journal))[-1].fact
        assert (type(fact), fact.epoch, fact.owner) == (EpochTaken, epoch, owner)
        assert abs((fact.at - datetime.now(UTC)).total_seconds()) < 60
        await journal.close()
        assert journal._connection is None
    await journal.close()
    await PostgresJournal(url).close()


async def test_a_connection_is_synchronous_and_does_not_keep_a_lock(journal):
    for name, value in (("synchronous_commit", "on"), ("idle_in_transaction_session_timeout", "3s")):
        assert await journal._connection.fetchval(f"SHOW {name}") == value


async def test_a_lease_runs_by_the_clock_of_the_database_and_is_prolonged(journal, url):  # noqa: F811
    assert 55 < await left(journal) <= 60
    await journal._connection.execute("UPDATE lease SET expires = expires - 50")
    await journal.renew()
    assert 55 < await left(journal) <= 60
    other = PostgresJournal(url)
    with pytest.raises(LeaseHeldError) as held:
        await other.take("you", seconds=60)
    assert (held.value.owner, 55 < held.value.seconds <= 60) == ("me", True)
    assert "trader@" not in str(held.value)
    assert (other.epoch, len(await kept(other))) == (0, 1)
    assert await other.take("me", seconds=60) == 2, "a lease of our own is no hindrance"
    await journal.close()
    assert await left(other) > 55, "the old one's goodbye takes nothing away"
    await other._connection.execute("UPDATE lease SET owner = 'somebody'")
    await other.close()
    other = PostgresJournal(url)
    with pytest.raises(LeaseHeldError):
        await other.take("you", seconds=60)
    await other.close()


async def test_nobody_writes_without_a_lease(url):  # noqa: F811
    journal = PostgresJournal(url)
    assert await journal.append([]) == 0, "there is nothing to write"
    for attempt in (journal.append([link()]), journal.renew(), journal.keep_snapshot("p", "body")):
        with pytest.raises(LeaseLostError, match="epoch 0 may not write; nobody took it"):
            await attempt
    await journal.close()


async def test_an_epoch_that_was_taken_over_writes_nothing(journal, url):  # noqa: F811
    await journal._connection.execute("UPDATE lease SET expires = 0")
    other = PostgresJournal(url)
    await other.take("you", seconds=60)
    for attempt in (journal.append([link()]), journal.renew(), journal.keep_snapshot("p", "body")):
        with pytest.raises(LeaseLostError, match="epoch 1 may not write; you took epoch 2"):
            await attempt
    assert len(await kept(other)) == 2
    await other.close()


async def test_a_commit_is_all_or_nothing_and_the_chain_goes_on_behind_it(journal):
    assert await journal.append([link(1), link(2)]) == 3
    with pytest.raises(AlreadyKeptError, match="outcomes"):
        await journal.append([link(3), SignalClosed(AT, "k", "m", "x"), SignalClosed(AT, "k", "m", "y")])
    assert await journal.append([link(4)]) == 4
    assert await journal.append([link(4)]) == 5, "the same again is another fact"
    assert await kept(journal, after=4) == [Entry(5, link(4))]
    assert await journal.verify() is None


async def test_what_was_kept_in_doubt_is_recognised_by_its_place_and_its_hash(journal):
    await journal.append([link(1)])
    journal._in_doubt = True
    assert await journal.append([link(2)]) == 3
    assert journal._in_doubt is False
    assert [entry.fact for entry in await kept(journal, after=1)] == [link(1), link(2)]


async def test_a_server_that_is_away_is_down_and_the_same_is_given_again(journal, monkeypatch):
    await journal.append(story(1))
    connection = journal._connection

    class Cut:
        def is_closed(self):
            return False

        def __getattr__(self, name):
            raise OSError("cut")

    journal._connection = Cut()
    attempts = (
        journal.append([link()]), journal.renew(), journal.keep_snapshot("p", "b"), journal.snapshot("p"), journal.digest_of("k1"),
        journal.take("me", seconds=60), journal.verify(), kept(journal),
    )  # fmt: skip
    for attempt in attempts:
        with pytest.raises(JournalDownError, match="OSError cut; nothing was lost"):
            await attempt
    assert (journal._in_doubt, journal._accounts) == (True, None)
    journal._connection = connection
    assert await journal.append([link()]) == 10
    await connection.close()
    assert await journal.append([link()]) == 11, "a connection that is closed is made anew"


async def test_read_models_are_made_anew_from_the_facts(journal):
    start = MountStarted(AT, "m", "Rules", D(1_000), TERMS)
    await journal.append([start, *story(1), bar(1), filled(7, "B", fee=D(0), trade="t9"), bar(2), bar(2, "B")])
    grown = {table: await rows(journal, table) for table in READ_MODELS}
    assert all(grown.values())
    assert [row[6] for row in grown["holdings"]] == [False, False]
    for table in ("holdings", "equity", "fills"):
        await journal._connection.execute(f"DELETE FROM {table}")
    assert await journal.rebuild() == 14
    assert {table: await rows(journal, table) for table in READ_MODELS} == grown


async def test_after_a_start_the_accounts_are_those_of_all_facts(journal, url):  # noqa: F811
    await journal.append(
        [MountStarted(AT, "m", "Rules", D(1_000), TERMS), filled(fee=D(0), price=D(10)), bar(1), bar(1, "B")]
    )
    await journal.close()
    again = PostgresJournal(url)
    await again.take("me", seconds=60)
    await again.append([bar(2, "B"), filled(2, "B", fee=D(0), trade="t9")])
    assert (await rows(again, "equity"))[-1][1:4] == (utc_text(AT + timedelta(hours=2)), "985.00", "1003.000")
    await again.close()


async def test_who_takes_the_lease_again_knows_what_was_written_meanwhile(url):  # noqa: F811
    first, second = PostgresJournal(url), PostgresJournal(url)
    await first.take("first", seconds=0)
    await first.append([MountStarted(AT, "m", "Rules", D(1_000), TERMS), bar(1)])
    await second.take("second", seconds=0)
    await second.append([filled(fee=D(0), price=D(10))])
    await first.take("first", seconds=60)
    await first.append([bar(2)])
    assert (await rows(first, "equity"))[-1][2:4] == ("985.00", "1003.000")
    await second.close()
    await first.close()


async def test_what_was_refused_is_not_counted(journal):
    await journal.append([MountStarted(AT, "m", "Rules", D(1_000), TERMS), SignalClosed(AT, "k", "m", "x")])
    with pytest.raises(AlreadyKeptError):
        await journal.append([filled(), SignalClosed(AT, "k", "m", "y")])
    await journal.append([bar(1)])
    assert (await rows(journal, "equity"))[-1][2:4] == ("1000.0", "1000.0")
    assert await rows(journal, "holdings") == []


async def test_a_start_at_the_newest_version_makes_nothing_anew(journal):
    await journal.append([placed()])
    await journal._connection.execute("UPDATE orders SET reason = 'touched'")
    await journal.take("me", seconds=60)
    assert (await rows(journal, "orders"))[0][10] == "touched"


async def test_a_lease_that_is_gone_lets_nobody_write(journal):
    await journal._connection.execute("DELETE FROM lease")
    with pytest.raises(LeaseLostError, match="epoch 1 may not write; nobody took it"):
        await journal.append([link()])


async def test_tables_of_a_newer_program_are_refused(journal, url):  # noqa: F811
    await journal._connection.execute(f"UPDATE meta SET value = {VERSION + 1}")
    with pytest.raises(JournalVersionError, match=f"has tables of version {VERSION + 1}; this program knows {VERSION}"):
        await PostgresJournal(url).take("me", seconds=60)
    await journal._connection.execute("DELETE FROM meta")
    with pytest.raises(JournalVersionError, match="version None"):
        await PostgresJournal(url).take("me", seconds=60)


async def test_a_snapshot_counts_for_its_program_and_its_place_in_the_chain(journal):
    await journal.append([link(1)])
    await journal.keep_snapshot("old", "first")
    await journal.append([link(2)])
    await journal.keep_snapshot("p", "body")
    assert len(await rows(journal, "snapshots")) == 1, "older ones make room"
    await journal.append([link(3)])
    assert await journal.snapshot("p") == Snapshot(3, "body")
    assert await journal.snapshot("q") is None
    await journal._connection.execute("UPDATE snapshots SET body = 'changed'")
    assert await journal.snapshot("p") is None


async def test_who_looks_on_is_shown_what_is_there_and_can_change_nothing(journal, url):  # noqa: F811
    await journal.append([MountStarted(AT, "m", "Rules", D(1_000), TERMS), bar(1), bar(2)])
    pages = JournalPages(url)
    assert (await pages.facts(3, 9))[0] == Entry(4, bar(2))
    assert await pages.worths() == [("m", 1000.0, 1000.0)]
    with pytest.raises(JournalDownError, match="ReadOnlySQLTransactionError"):
        await pages._rows("DELETE FROM journal")
    assert (await pages.last(), [one.seq for one in await pages.facts(1, 2)]) == (4, [2, 3])
    assert [one.seq for one in await pages.of_kind("BarClosed", "A", 1)] == [4]
    await pages.close()


async def test_every_page_is_shown_as_of_a_file(journal, url):  # noqa: F811
    """Found by looking for a test that would notice: the highest place was one that this database has no number for."""
    start = MountStarted(AT, "m", "Rules", D(1_000), TERMS)
    await journal.append([start, *story(1), bar(1), bar(2)])
    pages = JournalPages(url)
    assert [(seq, fact.key, ended) for seq, fact, ended in await pages.signals(None, 9, None)] == [(3, "k1", "traded")]
    assert [seq for seq, _, _ in await pages.signals(None, 9, "traded")] == [3]
    assert await pages.around("k1") == [*story(1), bar(1), bar(2)]
    assert [row[1] for row in await pages.orders(None, 9, is_working=False)] == [1]
    assert await pages.orders(None, 9, is_working=True) == []
    assert [row[0] for row in await pages.fills(None, 9)] == [8]
    assert [row[:3] for row in await pages.holdings()] == [("m", "A", "gate")]
    assert [row[0].hour for row in await pages.worth(None, 9)] == [1, 2]
    assert [row[0].hour for row in await pages.worth(AT + timedelta(hours=2), 9)] == [2]
    await pages.close()


async def test_an_empty_journal_has_no_facts(url):  # noqa: F811
    journal = PostgresJournal(url)
    assert await kept(journal) == []
    pages = JournalPages(url)
    assert (await pages.last(), await pages.worths(), await pages.facts(0, 9)) == (0, [], [])
    await pages.close()
    await journal.close()


async def test_an_address_that_nobody_answers_at_has_no_password_in_its_error():
    where = "postgresql://trader:hunter22@127.0.0.1:1/none"
    for work in (
        PostgresJournal(where).take("me", seconds=1),
        JournalPages(where).last(),
    ):
        with pytest.raises(JournalDownError, match="127.0.0.1:1/none: ") as caught:
            await work
        assert "hunter22" not in str(caught.value)


async def test_a_server_is_looked_at_without_a_writer(url):  # noqa: F811
    where = url.rpartition("@")[2]
    version, said = await look(url)
    assert (int(version) >= 13, said) == (True, "no journal in it yet")
    connection = await asyncpg.connect(url)
    guests = "SELECT 1 FROM pg_roles WHERE rolname = 'guest'"
    if not await connection.fetchval(guests):
        await connection.execute("CREATE ROLE guest LOGIN")
    await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(JournalDownError, match=f"{where}: this user may not make tables in it"):
        await look(url.replace("trader@", "guest@"))
    journal = PostgresJournal(url)
    await journal.take("me", seconds=60)
    assert await look(url) == (version, "tables of version 3")
    await connection.execute("GRANT SELECT ON meta TO guest")
    assert await look(url.replace("trader@", "guest@")) == (version, "tables of version 3"), (
        "there is nothing to make any more"
    )
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'one' AND pid <> pg_backend_pid()"
    for _ in range(40):
        if (there := await connection.fetchval(others)) == 1:
            break
        await asyncio.sleep(0.05)
    assert there == 1, "who looked has let go"
    for version in (4, None):
        await connection.execute("DELETE FROM meta" if version is None else f"UPDATE meta SET value = {version}")
        with pytest.raises(JournalDownError, match=f"{where} has tables of version {version}; this program knows 3"):
            await look(url)
    await connection.close()
    await journal.close()


async def test_a_server_that_is_not_there_is_named_without_its_password():
    with pytest.raises(JournalDownError, match="^127.0.0.1:1/none: ") as caught:
        await look("postgresql://trader:hunter22@127.0.0.1:1/none")
    assert "hunter22" not in str(caught.value)


async def test_pages_of_a_server_change_nothing(journal, url):  # noqa: F811
    pages = JournalPages(url)
    assert await pages.last() == 1
    pool = pages._pool
    with pytest.raises(JournalDownError, match="ReadOnlySQLTransactionError"):
        await pages._rows("DELETE FROM journal WHERE seq > ?", 0)
    assert await pages.last() == 1
    assert pages._pool is pool
    await pages.close()
    with pytest.raises(asyncpg.InterfaceError):
        await pool.fetch("SELECT 1")


def test_placeholders_are_numbered():
    steps = Steps()
    assert steps.execute("INSERT INTO t VALUES (?, ?, 'x')", (1, "a")) is None
    steps.execute("DELETE FROM t", ())
    assert steps.steps == [("INSERT INTO t VALUES ($1, $2, 'x')", (1, "a")), ("DELETE FROM t", ())]
