"""What can be said of a journal's database without being its writer: whether it answers, its version, and whether it is whole.

Nothing is made or changed: a database that is not there yet stays so.
"""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from trader.adapters.journal_tables import VERSION
from trader.ports import JournalDownError

SECONDS = 5.0
QUICK_BYTES = 256_000_000  # a larger file is not read through


def sqlite_file(path: Path) -> str:
    """What the file of a journal is; raises JournalDownError where it is damaged or of a newer program."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=SECONDS)) as database:
            if path.stat().st_size <= QUICK_BYTES:
                (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
                if said != "ok":
                    raise JournalDownError(f"{path} is damaged: {said}")
            version = database.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
    except (OSError, sqlite3.Error) as error:
        raise JournalDownError(f"{path}: {error}") from error
    return _known(str(path), None if version is None else int(version[0]))


async def postgres(url: str) -> tuple[str, str]:
    """The version of a server and what the journal in it is; raises JournalDownError."""
    import asyncpg  # noqa: PLC0415 - an extra

    where = url.rpartition("@")[2]
    try:
        async with asyncio.timeout(SECONDS):
            connection = await asyncpg.connect(url, timeout=SECONDS)
            try:
                server = str(connection.get_server_version().major)
                there = await connection.fetchval("SELECT to_regclass('meta') IS NOT NULL")
                found = await connection.fetchval("SELECT value FROM meta WHERE name = 'version'") if there else None
                may = await connection.fetchval("SELECT has_schema_privilege(current_schema(), 'CREATE')")
            finally:
                await connection.close(timeout=SECONDS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        raise JournalDownError(f"{where}: {type(error).__name__} {error}") from error
    if not there and not may:
        raise JournalDownError(f"{where}: this user may not make tables in it")
    return server, _known(where, None if found is None else int(found)) if there else "no journal in it yet"


def _known(where: str, version: int | None) -> str:
    if version is None or version > VERSION:
        raise JournalDownError(f"{where} has tables of version {version}; this program knows {VERSION}")
    return f"tables of version {version}"
