"""The journal in PostgreSQL: the same tables, chain and fence as in SQLite, for whoever runs a database server already.

A connection that is lost is made anew at the next call; a commit whose answer was lost is recognised when it is repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import asyncpg

from trader.adapters.fact_codec import decode
from trader.adapters.journal_chain import GENESIS, Broken, JournalVersionError, Row, rows_of, sealed, walk
from trader.adapters.journal_migrations import statements
from trader.adapters.journal_models import ACCOUNTED, KEEP_SNAPSHOT, LAST_CLOSE, SNAPSHOT, Value, named, project
from trader.adapters.journal_tables import READ_MODELS, VERSION
from trader.core.accounts import Accounts
from trader.core.facts import Fact
from trader.core.records import EpochTaken
from trader.ports import AlreadyKeptError, Entry, JournalDownError, LeaseHeldError, LeaseLostError, Snapshot

TABLES = "SELECT value FROM meta WHERE name = 'version'"
SECONDS = 10.0  # for any one statement
HELD = "SELECT epoch, owner, expires, extract(epoch FROM clock_timestamp())::float8 AS now FROM lease"
LEASE = f"{HELD} FOR UPDATE"
# A process that stands still, or a machine that vanished, amid a transaction would keep the row of the lease locked, and nobody could
# take over: the server ends such a session.
IDLE = "SET idle_in_transaction_session_timeout = 3000"
PATIENT = "SET LOCAL idle_in_transaction_session_timeout = 0"  # while every fact is read anew
TAKE = (
    "INSERT INTO lease (id, epoch, owner, expires) VALUES (1, $1, $2, extract(epoch FROM clock_timestamp()) + $3) "
    "ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner, expires = excluded.expires"
)
RENEW = "UPDATE lease SET expires = extract(epoch FROM clock_timestamp()) + $1"
DOWN = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Steps:
    """Collects the statements by which the read models follow a fact, in the placeholders of this database."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, tuple[Value, ...]]] = []

    def execute(self, statement: str, values: tuple[Value, ...], /) -> object:
        """Note a statement."""
        parts = statement.split("?")
        text = "".join(part + (f"${n}" if n < len(parts) else "") for n, part in enumerate(parts, 1))
        self.steps.append((text, values))
        return None


class PostgresJournal:
    """The writer of a journal in a database. Until `take` has given it an epoch it may only read."""

    def __init__(self, url: str) -> None:
        self.epoch = 0
        self._url, self._owner, self._lease = url, "", 0.0
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        self._seq, self._hash, self._in_doubt = 0, GENESIS, False
        self._accounts: Accounts | None = None  # what the facts so far made of the mounts; None = to be read again
        self._where = url.rpartition("@")[2]  # never the part with the password

    async def _open(self) -> "asyncpg.Connection":
        if self._connection is None or self._connection.is_closed():
            connection = await asyncpg.connect(self._url, timeout=SECONDS, command_timeout=SECONDS)
            try:
                await connection.execute("SET synchronous_commit = on")
                await connection.execute(IDLE)
                await self._set_up(connection)
                self._connection = connection
            finally:
                if self._connection is not connection:
                    connection.terminate()  # nobody else knows of it
        return self._connection

    async def _set_up(self, connection: "asyncpg.Connection") -> None:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(7215)")
            if await connection.fetchval("SELECT to_regclass('meta')") is None:
                await self._migrate(connection, 0)
            version = await connection.fetchval(TABLES)
            if version is None or version > VERSION:
                raise JournalVersionError(
                    f"{self._where} has tables of version {version}; this program knows {VERSION}"
                )

    @staticmethod
    async def _migrate(connection: "asyncpg.Connection", have: int) -> None:
        """Bring the tables to the newest version, within the transaction."""
        for statement in statements("postgresql", have):
            await connection.execute(statement)

    def _down(self, error: BaseException) -> JournalDownError:
        return JournalDownError(f"{self._where}: {type(error).__name__} {error}; nothing was lost, give the same again")

    # The lease

    async def take(self, owner: str, *, seconds: float) -> int:
        """Take the lease and return its epoch; raises LeaseHeldError while another's lease runs."""
        async with self._turn:
            try:
                connection = await self._open()
                self._refuse(await connection.fetchrow(HELD), owner)  # who waits asks often: not with a lock
                async with connection.transaction():
                    row = await connection.fetchrow(LEASE)
                    self._refuse(row, owner)
                    if (version := await connection.fetchval(TABLES)) < VERSION:
                        await self._migrate(connection, version)
                        await self._rebuild(connection)
                    epoch = (0 if row is None else row["epoch"]) + 1
                    await connection.execute(TAKE, epoch, owner, seconds)
                    now = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
                    self._seq, self._hash = await self._head(connection)
                    taken = EpochTaken(datetime.fromtimestamp(now, UTC), epoch, owner)
                    rows = rows_of([taken], epoch, self._seq, self._hash)
                    await self._insert(connection, rows, [taken])
            except DOWN as error:
                raise self._down(error) from error
            self.epoch, self._owner, self._lease = epoch, owner, seconds
            self._seq, self._hash = rows[-1][0], rows[-1][-1]
            self._accounts = None
            return epoch

    def _refuse(self, row: "asyncpg.Record | None", owner: str) -> None:
        """Raise LeaseHeldError where another's lease runs."""
        if row is not None and row["owner"] != owner and row["expires"] > row["now"]:
            raise LeaseHeldError(self._where, row["owner"], row["expires"] - row["now"])

    async def renew(self) -> None:
        """Prolong the lease; raises LeaseLostError when it was taken over."""
        async with self._turn:
            try:
                connection = await self._open()
                async with connection.transaction():
                    await self._check_epoch(connection)
                    await connection.execute(RENEW, self._lease)
            except DOWN as error:
                raise self._down(error) from error

    async def _check_epoch(self, connection: "asyncpg.Connection") -> None:
        row = await connection.fetchrow("SELECT epoch, owner FROM lease FOR UPDATE")
        if row is None or not self.epoch or row["epoch"] != self.epoch:
            raise LeaseLostError(
                f"{self._where}: epoch {self.epoch} may not write; "
                + (f"{row['owner']} took epoch {row['epoch']}" if row else "nobody took it")
            )

    # Writing

    async def append(self, facts: Sequence[Fact]) -> int:
        """Write all the facts and their read models in one transaction; returns the last seq. See ports.Journal."""
        async with self._turn:
            rows = rows_of(facts, self.epoch, self._seq, self._hash)
            if not rows:
                return self._seq
            try:
                connection = await self._open()
                async with connection.transaction():
                    await self._check_epoch(connection)
                    if not (self._in_doubt and await self._head(connection) == (rows[-1][0], rows[-1][-1])):
                        await self._insert(connection, rows, facts)
            except asyncpg.UniqueViolationError as error:
                self._accounts = None
                raise AlreadyKeptError(f"{self._where}: {error}") from error
            except DOWN as error:
                self._in_doubt, self._accounts = True, None
                raise self._down(error) from error
            self._in_doubt = False
            self._seq, self._hash = rows[-1][0], rows[-1][-1]
            return self._seq

    async def _insert(self, connection: "asyncpg.Connection", rows: Sequence[Row], facts: Sequence[Fact]) -> None:
        await connection.executemany(
            "INSERT INTO journal (seq, epoch, at, kind, body, prev_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            rows,
        )
        if self._accounts is None:
            self._accounts = await self._recount(connection, rows[0][0])
        steps = Steps()
        for row, fact in zip(rows, facts, strict=True):
            project(steps, row[0], fact, self._accounts)
        for text, values in steps.steps:
            await connection.execute(text, *values)

    @staticmethod
    async def _recount(connection: "asyncpg.Connection", before: int) -> Accounts:
        """What the facts before a row made of the mounts."""
        accounts = Accounts()
        for (body,) in await connection.fetch(ACCOUNTED.replace("?", "$"), before):
            accounts.learn(decode(body))
        for asset in accounts.unpriced():
            for (body,) in await connection.fetch(LAST_CLOSE.replace("?", "$"), before, named(asset)):
                accounts.learn(decode(body))
        return accounts

    @staticmethod
    async def _head(connection: "asyncpg.Connection") -> tuple[int, str]:
        row = await connection.fetchrow("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1")
        return (0, GENESIS) if row is None else (row["seq"], row["hash"])

    # Reading

    async def read(self, after: int = 0) -> AsyncIterator[Entry]:
        """Yield what is kept, in order, from behind the given seq."""
        async with self._turn:
            try:
                connection = await self._open()
                rows = await connection.fetch("SELECT seq, body FROM journal WHERE seq > $1 ORDER BY seq", after)
            except DOWN as error:
                raise self._down(error) from error
        for seq, body in rows:
            yield Entry(seq, decode(body))

    async def digest_of(self, key: str) -> str | None:
        """The digest of the message received under this key, None when there was none."""
        async with self._turn:
            try:
                connection = await self._open()
                found = await connection.fetchval("SELECT digest FROM receipts WHERE key = $1", key)
            except DOWN as error:
                raise self._down(error) from error
        return None if found is None else str(found)

    async def keep_snapshot(self, program: str, body: str) -> None:
        """Keep what all facts so far have built; older ones make room."""
        async with self._turn:
            try:
                connection = await self._open()
                async with connection.transaction():
                    await self._check_epoch(connection)
                    await connection.execute("DELETE FROM snapshots")
                    values = (self._seq, self._hash, program, body, sealed(program, self._hash, body))
                    await connection.execute(KEEP_SNAPSHOT.replace("?", "$"), *values)
            except DOWN as error:
                raise self._down(error) from error

    async def snapshot(self, program: str) -> Snapshot | None:
        """The newest snapshot of this program whose place in the chain is still the same."""
        async with self._turn:
            try:
                connection = await self._open()
                row = await connection.fetchrow(SNAPSHOT.replace("?", "$"), program)
            except DOWN as error:
                raise self._down(error) from error
        if row is None or row["digest"] != sealed(program, row["hash"], row["body"]):
            return None
        return Snapshot(row["seq"], row["body"])

    async def verify(self) -> Broken | None:
        """Walk the chain; None when every row follows from the one before and is a fact."""
        try:
            connection = await self._open()
            rows = await connection.fetch("SELECT seq, epoch, kind, body, prev_hash, hash FROM journal ORDER BY seq")
        except DOWN as error:
            raise self._down(error) from error
        return walk(tuple(row) for row in rows)

    async def rebuild(self) -> int:
        """Make the read models anew from the facts, in one transaction; returns the number of facts.

        Raises LeaseHeldError while another's lease runs: what that one changes meanwhile would be missing. JournalDownError.
        """
        try:
            connection = await self._open()
            async with connection.transaction():
                self._refuse(await connection.fetchrow(LEASE), self._owner)  # whoever takes it now waits for us
                if (version := await connection.fetchval(TABLES)) < VERSION:
                    await self._migrate(connection, version)
                return await self._rebuild(connection)
        except DOWN as error:
            raise self._down(error) from error

    @staticmethod
    async def _rebuild(connection: "asyncpg.Connection") -> int:
        accounts = Accounts()
        await connection.execute(PATIENT)
        for table in READ_MODELS:
            await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        rows = await connection.fetch("SELECT seq, body FROM journal ORDER BY seq")
        for seq, body in rows:
            steps = Steps()
            project(steps, seq, decode(body), accounts)
            for text, values in steps.steps:
                await connection.execute(text, *values)
        return len(rows)

    async def close(self) -> None:
        """Give the lease back and close."""
        if self._connection is None:
            return
        with suppress(*DOWN):
            if not self._connection.is_closed():
                statement = "UPDATE lease SET expires = 0 WHERE epoch = $1 AND owner = $2"
                await self._connection.execute(statement, self.epoch, self._owner)
        with suppress(*DOWN):
            await self._connection.close(timeout=2.0)
        self._connection = None
