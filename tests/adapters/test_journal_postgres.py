"""The journal in a real PostgreSQL: the same chain and fence as in a file, and a server that is killed and comes back."""

import asyncio

import pytest

from tests.adapters.test_journal import LATE, kept, link, long_story, story
from tests.services.parts import Postgres
from tests.test_cli_run import CONFIG
from trader.adapters.journal_chain import rows_of
from trader.adapters.journal_postgres import PostgresJournal
from trader.adapters.journal_tables import utc_text
from trader.cli_facts import rebuilt
from trader.core.records import EpochTaken
from trader.finding import REFUSED
from trader.output import Failure
from trader.ports import AlreadyKeptError, JournalDownError, LeaseHeldError, LeaseLostError


@pytest.fixture(scope="module")
def server():
    one = Postgres().start()
    yield one
    one.stop()


@pytest.fixture
async def url(server):
    """A fresh database."""
    import asyncpg

    connection = await asyncpg.connect(server.url)
    await connection.execute("DROP DATABASE IF EXISTS one WITH (FORCE)")
    await connection.execute("CREATE DATABASE one")
    await connection.close()
    return server.url.replace("/postgres", "/one")


async def test_facts_come_back_in_order_and_the_chain_holds(url):
    journal = PostgresJournal(url)
    assert await journal.take("me", seconds=60) == 1
    assert await journal.append(story(1)) == 9
    assert await journal.append(story(2)) == 17
    await journal.close()
    again = PostgresJournal(url)
    assert await again.take("you", seconds=60) == 2
    entries = await kept(again)
    assert [entry.seq for entry in entries] == list(range(1, 19))
    assert [entry.fact for entry in entries[1:9]] == story(1)
    assert isinstance(entries[-1].fact, EpochTaken)
    assert [entry.seq for entry in await kept(again, after=16)] == [17, 18]
    assert (await again.digest_of("k1"), await again.digest_of("k9")) == ("digest", None)
    assert await again.verify() is None
    await again._connection.execute("UPDATE journal SET body = replace(body, 'bus', 'bux') WHERE seq = 2")
    assert (await again.verify()).seq == 2
    await again.close()


async def test_read_models_grow_and_can_be_made_anew(url):
    journal = PostgresJournal(url)
    await journal.take("me", seconds=60)
    await journal.append(story(1))

    async def models():
        found = {}
        for table in ("receipts", "outcomes", "orders", "attempts", "fills"):
            found[table] = [tuple(row) for row in await journal._connection.fetch(f"SELECT * FROM {table}")]
        return found

    grown = await models()
    assert all(grown.values())
    assert await journal.rebuild() == 9
    assert await models() == grown
    await journal.close()


async def test_nobody_makes_them_anew_while_another_writes(url, tmp_path):
    journal, other = PostgresJournal(url), PostgresJournal(url)
    await journal.take("me", seconds=60)
    await journal.append(story(1))
    with pytest.raises(LeaseHeldError, match="me holds it"):
        await other.rebuild()
    await other.close()
    config = tmp_path / "run.yaml"
    config.write_text(f"{CONFIG.format(port=1)}journal: {url}\n")
    with pytest.raises(Failure, match="me holds it .* stop that process, or wait") as failure:
        await rebuilt(config)
    assert failure.value.code == REFUSED
    await journal.close()
    assert await rebuilt(config) == 9


async def test_making_them_anew_without_a_server_says_so():
    with pytest.raises(JournalDownError, match="nothing was lost"):
        await PostgresJournal("postgresql://trader@127.0.0.1:1/none").rebuild()


@pytest.mark.parametrize("place", [0, 2, 5, 7])
async def test_what_may_happen_once_happens_once(url, place):
    journal = PostgresJournal(url)
    await journal.take("me", seconds=60)
    await journal.append(story(1))
    with pytest.raises(AlreadyKeptError):
        await journal.append([link(), story(1)[place]])
    assert len(await kept(journal)) == 9
    await journal.append([link()])
    await journal.close()


async def test_a_second_instance_is_refused_and_an_old_one_loses_the_right_to_write(url):
    first, second = PostgresJournal(url), PostgresJournal(url)
    await first.take("first", seconds=60)
    with pytest.raises(LeaseLostError, match="first holds it"):
        await second.take("second", seconds=60)
    await first._connection.execute("UPDATE lease SET expires = 0")
    await second.take("second", seconds=60)
    with pytest.raises(LeaseLostError, match="second took epoch 2"):
        await first.append([link()])
    with pytest.raises(LeaseLostError):
        await first.renew()
    await second.append([link()])
    await second.renew()
    await first.close()
    await second.close()


async def test_a_server_that_is_killed_and_comes_back_loses_nothing(url, server):
    journal = PostgresJournal(url)
    await journal.take("me", seconds=60)
    await journal.append([link(1)])
    server.kill()
    with pytest.raises(JournalDownError, match="nothing was lost"):
        await journal.append([link(2)])
    server.start()
    for attempt in range(20):
        try:
            await journal.append([link(2)])
            break
        except JournalDownError:
            import asyncio

            assert attempt < 19
            await asyncio.sleep(0.3)
    assert [entry.fact for entry in await kept(journal)][1:] == [link(1), link(2)]
    assert await journal.verify() is None
    await journal.close()


async def test_a_commit_whose_answer_is_lost_is_repeated_without_a_second_row(url):
    journal = PostgresJournal(url)
    await journal.take("me", seconds=60)
    rows = rows_of([link(1)], 1, journal._seq, journal._hash)
    async with journal._connection.transaction():
        await journal._insert(journal._connection, rows, [link(1)])  # it was kept, but nobody learnt it
    journal._in_doubt = True
    assert await journal.append([link(1)]) == 2
    assert len(await kept(journal)) == 2
    await journal.append([link(2)])
    assert await journal.verify() is None
    await journal.close()


def test_an_address_in_an_error_has_no_password():
    journal = PostgresJournal("postgresql://trader:hunter22@127.0.0.1:1/none")
    assert "hunter22" not in str(journal._down(OSError("x")))


async def test_what_is_held_is_valued_after_a_restart_though_its_last_close_was_long_ago(url):
    journal = PostgresJournal(url)
    await journal.take("me", seconds=60)
    await journal.append(long_story())
    await journal.close()
    again = PostgresJournal(url)
    await again.take("me", seconds=60)
    await again.append([LATE])
    equity = "SELECT mount, at, cash, equity, seq FROM equity ORDER BY mount, at"
    grown = [tuple(row) for row in await again._connection.fetch(equity)]
    assert grown[-1][1] == utc_text(LATE.at)
    await again.rebuild()
    assert [tuple(row) for row in await again._connection.fetch(equity)] == grown
    await again.close()


async def test_a_writer_that_stands_still_amid_a_commit_does_not_keep_the_lease(url):
    """A stopped process, or a machine that is gone, holds the row of the lease: the server ends its session."""
    first, second = PostgresJournal(url), PostgresJournal(url)
    await first.take("first", seconds=1)
    amid = first._connection.transaction()
    await amid.start()
    await first._check_epoch(first._connection)
    await asyncio.sleep(1.2)
    async with asyncio.timeout(5):
        assert await second.take("second", seconds=60) == 2
    with pytest.raises(LeaseLostError, match="second took epoch 2"):
        await first.append([link()])
    await first.close()
    await second.close()


async def test_who_waits_for_the_lease_locks_nothing(url):
    first, second = PostgresJournal(url), PostgresJournal(url)
    await first.take("first", seconds=60)
    amid = first._connection.transaction()
    await amid.start()
    await first._check_epoch(first._connection)  # holds the row
    async with asyncio.timeout(1):
        with pytest.raises(LeaseHeldError) as held:
            await second.take("second", seconds=60)
    assert (held.value.owner, 58 < held.value.seconds <= 60) == ("first", True)
    await amid.rollback()
    await first.close()
    await second.close()
