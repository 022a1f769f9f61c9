"""A journal of an older version is brought to the newest one with all it holds, and ends with the tables that models declare."""

import asyncio
import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlmodel import SQLModel

from tests.adapters.test_journal import kept, story
from tests.adapters.test_journal_postgres import server, url  # noqa: F401 - fixtures
from trader.adapters.journal_chain import GENESIS, rows_of
from trader.adapters.journal_migrations import statements
from trader.adapters.journal_postgres import PostgresJournal
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.journal_tables import VERSION

INSERT = "INSERT INTO journal (seq, epoch, at, kind, body, prev_hash, hash) VALUES "
OLD = [*story(1), *story(2)]


def version_1(path):
    """A journal as version 1 left it: no table of alembic's."""
    database = sqlite3.connect(path)
    for statement in statements("sqlite", 0, 1):
        database.execute(statement)
    database.execute("DROP TABLE alembic_version")
    database.executemany(INSERT + "(?, ?, ?, ?, ?, ?, ?)", rows_of(OLD, 1, 0, GENESIS))
    database.commit()
    database.close()


async def test_an_old_file_is_migrated_when_it_is_taken_and_its_read_models_are_made(tmp_path):
    path = tmp_path / "trader.db"
    version_1(path)
    journal = SqliteJournal(path)
    tables = "SELECT count(*) FROM sqlite_master WHERE name = 'holdings'"
    assert journal._database.execute(tables).fetchone() == (0,), "reading changes nothing"
    await journal.take("me", seconds=60)
    assert [entry.fact for entry in (await kept(journal))[: len(OLD)]] == OLD
    assert journal.verify() is None
    held = journal._database.execute("SELECT asset, quantity, is_flat FROM holdings").fetchall()
    assert held == [("A", "2.994", 0)]
    assert journal._database.execute("SELECT count(*) FROM orders").fetchone() == (2,)
    assert journal._database.execute("SELECT version_num FROM alembic_version").fetchall() == [(f"{VERSION:04}",)]
    await journal.close()


@pytest.mark.parametrize("have", range(VERSION))
def test_a_step_that_fails_leaves_the_old_version(tmp_path, have):
    database = sqlite3.connect(tmp_path / "one.db", isolation_level=None)
    for statement in statements("sqlite", 0, have) if have else ():
        database.execute(statement)
    before = sorted(database.execute("SELECT name FROM sqlite_master"))
    database.execute("BEGIN")
    for statement in statements("sqlite", have)[:-1]:
        database.execute(statement)
    database.execute("ROLLBACK")
    assert sorted(database.execute("SELECT name FROM sqlite_master")) == before


def test_a_new_file_has_the_tables_that_the_models_declare(tmp_path):
    journal = SqliteJournal(tmp_path / "trader.db")
    asyncio.run(journal.close())
    differs(f"sqlite:///{tmp_path / 'trader.db'}")


async def test_an_old_database_of_postgresql_is_migrated_with_all_it_holds(url):  # noqa: F811
    import asyncpg

    connection = await asyncpg.connect(url)
    for statement in statements("postgresql", 0, 1):
        await connection.execute(statement)
    await connection.execute("DROP TABLE alembic_version")
    await connection.executemany(INSERT + "($1, $2, $3, $4, $5, $6, $7)", rows_of(OLD, 1, 0, GENESIS))
    journal = PostgresJournal(url)
    await journal.take("me", seconds=60)
    assert [entry.fact for entry in (await kept(journal))[: len(OLD)]] == OLD
    assert await journal.verify() is None
    assert await connection.fetchval("SELECT quantity FROM holdings WHERE asset = 'A'") == "2.994"
    columns = await connection.fetch(
        "SELECT table_name, column_name, is_nullable FROM information_schema.columns WHERE table_schema = 'public'"
    )
    found = {(table, name, nullable == "YES") for table, name, nullable in columns if table != "alembic_version"}
    declared = {
        (table.name, one.name, bool(one.nullable)) for table in SQLModel.metadata.sorted_tables for one in table.columns
    }
    assert found == declared
    await journal.close()
    await connection.close()


def differs(address):
    engine = create_engine(address)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        found = compare_metadata(context, SQLModel.metadata)
    engine.dispose()
    assert found == []
