"""The journal in SQLite: write-ahead log, fully synchronous, one writer, each row chained to the one before by its hash.

The order path uses no threads: a commit is a short call into the driver on the event loop, and durable when it returns.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, create_engine
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session, select

from trader.adapters.durable import make_folder
from trader.adapters.fact_codec import decode
from trader.adapters.journal_chain import GENESIS, Broken, JournalVersionError, Row, rows_of, sealed, walk
from trader.adapters.journal_migrations import statements
from trader.adapters.journal_models import ACCOUNTED, KEEP_SNAPSHOT, LAST_CLOSE, SNAPSHOT, named, project
from trader.adapters.journal_tables import (
    READ_MODELS,
    VERSION,
    EquityRow,
    FillRow,
    HoldingRow,
    JournalRow,
    OrderRow,
    OutcomeRow,
)
from trader.core.accounts import Accounts
from trader.core.facts import Fact
from trader.core.records import EpochTaken
from trader.ports import AlreadyKeptError, Entry, JournalDownError, LeaseHeldError, LeaseLostError, Snapshot

NOW = "(julianday('now') - 2440587.5) * 86400.0"  # the database's clock, in seconds since 1970
LEASE = f"SELECT epoch, owner, expires, {NOW} FROM lease"  # noqa: S608 - our own text
TAKE = (
    f"INSERT INTO lease (id, epoch, owner, expires) VALUES (1, ?, ?, {NOW} + ?) ON CONFLICT (id) DO UPDATE SET "  # noqa: S608
    "epoch = excluded.epoch, owner = excluded.owner, expires = excluded.expires"
)
RENEW = f"UPDATE lease SET expires = {NOW} + ?"  # noqa: S608 - our own text
WAL_FAULT = (
    "SQLite {version} may corrupt a write-ahead log that several connections write and checkpoint (fixed in 3.44.6, 3.50.7 and "
    "3.51.3). Only the writer checkpoints here and everybody else reads only, which avoids it; a newer SQLite ends it."
)


def wal_fault(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str | None:
    """What `doctor` says of this SQLite: it has the fault of the reset of a write-ahead log, or None."""
    fixed = version >= (3, 51, 3) or (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51)
    return None if fixed or version < (3, 7) else WAL_FAULT.format(version=".".join(map(str, version)))


class SqliteJournal:
    """The writer of a journal file. Until `take` has given it an epoch it may only read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.epoch = 0
        self._owner = ""
        self._seconds = 0.0
        try:
            make_folder(path.parent)
            self._database = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
                self._database.execute(f"PRAGMA {pragma}")
            self._set_up()
        except (OSError, sqlite3.Error) as error:
            raise JournalDownError(f"{path}: {error}") from error
        self._seq, self._hash = self._head()
        self._in_doubt = False
        self._accounts: Accounts | None = None  # what the facts so far made of the mounts; None = to be read again

    def _set_up(self) -> None:
        have = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if have and "meta" not in have:
            raise JournalVersionError(f"{self.path} is no journal: it has the tables {', '.join(sorted(have))}")
        if not have:
            with self._transaction():
                self._migrate(0)
        version = self._version()
        if version > VERSION:
            raise JournalVersionError(
                f"{self.path} has tables of version {version}; this program knows {VERSION}. Run the newer program"
            )

    def _version(self) -> int:
        (version,) = self._database.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        return int(version)

    def _migrate(self, have: int) -> None:
        """Bring the tables to the newest version, within the transaction."""
        for statement in statements("sqlite", have):
            self._database.execute(statement)

    def _head(self) -> tuple[int, str]:
        row = self._database.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
        return (0, GENESIS) if row is None else (row[0], row[1])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        is_done = False
        try:
            yield
            self._database.execute("COMMIT")
            is_done = True
        finally:
            if not is_done:
                with suppress(sqlite3.Error):  # it may be over already: the failed commit of a full disk ends it
                    self._database.execute("ROLLBACK")

    # The lease

    async def take(self, owner: str, *, seconds: float) -> int:
        """Take the lease and return its epoch; raises LeaseHeldError while another's lease runs."""
        try:
            with self._transaction():
                row = self._database.execute(LEASE).fetchone()
                if row is not None and row[1] != owner and row[2] > row[3]:
                    raise LeaseHeldError(str(self.path), row[1], row[2] - row[3])
                if (version := self._version()) < VERSION:
                    self._migrate(version)
                    self._rebuild()
                epoch = (0 if row is None else row[0]) + 1
                self._database.execute(TAKE, (epoch, owner, seconds))
                (now,) = self._database.execute(f"SELECT {NOW}").fetchone()
                self._seq, self._hash = self._head()
                taken = EpochTaken(datetime.fromtimestamp(now, UTC), epoch, owner)
                rows = rows_of([taken], epoch, self._seq, self._hash)
                self._insert(rows, [taken])
        except sqlite3.Error as error:
            raise JournalDownError(f"{self.path}: {error}") from error
        self.epoch, self._owner, self._seconds = epoch, owner, seconds
        self._seq, self._hash = rows[-1][0], rows[-1][-1]
        self._accounts = None
        return epoch

    async def renew(self) -> None:
        """Prolong the lease; raises LeaseLostError when it was taken over."""
        try:
            with self._transaction():
                self._check_epoch()
                self._database.execute(RENEW, (self._seconds,))
        except sqlite3.Error as error:
            raise JournalDownError(f"{self.path}: {error}") from error

    def _check_epoch(self) -> None:
        row = self._database.execute("SELECT epoch, owner FROM lease").fetchone()
        if row is None or not self.epoch or row[0] != self.epoch:
            raise LeaseLostError(
                f"{self.path}: epoch {self.epoch} may not write; "
                + (f"{row[1]} took epoch {row[0]}" if row else "nobody took it")
            )

    # Writing

    async def append(self, facts: Sequence[Fact]) -> int:
        """Write the facts and their read models in one transaction; returns the last seq.

        Raises LeaseLostError, AlreadyKeptError where a key that may be used once was used before, and JournalDownError:
        then give the same facts again, and what was kept after all is recognised.
        """
        rows = rows_of(facts, self.epoch, self._seq, self._hash)
        if not rows:
            return self._seq
        try:
            with self._transaction():
                self._check_epoch()
                if not (self._in_doubt and self._has(rows)):
                    self._insert(rows, facts)
        except sqlite3.IntegrityError as error:
            self._accounts = None
            raise AlreadyKeptError(f"{self.path}: {error}") from error
        except sqlite3.Error as error:
            self._in_doubt, self._accounts = True, None
            raise JournalDownError(f"{self.path}: {error}; nothing was lost, give the same facts again") from error
        self._in_doubt = False
        self._seq, self._hash = rows[-1][0], rows[-1][-1]
        return self._seq

    def _insert(self, rows: Sequence[Row], facts: Sequence[Fact]) -> None:
        self._database.executemany(
            "INSERT INTO journal (seq, epoch, at, kind, body, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
        )
        if self._accounts is None:
            self._accounts = self._recount(rows[0][0])
        for row, fact in zip(rows, facts, strict=True):
            project(self._database, row[0], fact, self._accounts)

    def _recount(self, before: int) -> Accounts:
        """What the facts before a row made of the mounts."""
        accounts = Accounts()
        for (body,) in self._database.execute(ACCOUNTED, (before,)):
            accounts.learn(decode(body))
        for asset in accounts.unpriced():
            for (body,) in self._database.execute(LAST_CLOSE, (before, named(asset))):
                accounts.learn(decode(body))
        return accounts

    def _has(self, rows: Sequence[Row]) -> bool:
        """Whether a commit whose answer was lost kept these rows."""
        return self._head() == (rows[-1][0], rows[-1][-1])

    # Reading

    async def read(self, after: int = 0) -> AsyncIterator[Entry]:
        """Yield what is kept, in order, from behind the given seq."""
        for seq, body in self._database.execute("SELECT seq, body FROM journal WHERE seq > ? ORDER BY seq", (after,)):
            yield Entry(seq, decode(body))

    async def digest_of(self, key: str) -> str | None:
        """The digest of the message received under this key, None when there was none."""
        row = self._database.execute("SELECT digest FROM receipts WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    async def keep_snapshot(self, program: str, body: str) -> None:
        """Keep what all facts so far have built; older ones make room."""
        try:
            with self._transaction():
                self._check_epoch()
                self._database.execute("DELETE FROM snapshots")
                values = (self._seq, self._hash, program, body, sealed(program, self._hash, body))
                self._database.execute(KEEP_SNAPSHOT, values)
        except sqlite3.Error as error:
            raise JournalDownError(f"{self.path}: {error}") from error

    async def snapshot(self, program: str) -> Snapshot | None:
        """The newest snapshot of this program whose place in the chain is still the same."""
        row = self._database.execute(SNAPSHOT, (program,)).fetchone()
        return None if row is None or row[3] != sealed(program, row[1], row[2]) else Snapshot(row[0], row[2])

    def verify(self) -> Broken | None:
        """Walk the chain; None when every row follows from the one before and is a fact."""
        return walk(self._database.execute("SELECT seq, epoch, kind, body, prev_hash, hash FROM journal ORDER BY seq"))

    def rebuild(self) -> int:
        """Make the read models anew from the facts, in one transaction; returns the number of facts. Raises JournalDownError."""
        try:
            with self._transaction():
                if (version := self._version()) < VERSION:
                    self._migrate(version)
                return self._rebuild()
        except sqlite3.Error as error:
            raise JournalDownError(f"{self.path}: {error}") from error

    def _rebuild(self) -> int:
        count, accounts = 0, Accounts()
        for table in READ_MODELS:
            self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        for seq, body in self._database.execute("SELECT seq, body FROM journal ORDER BY seq").fetchall():
            project(self._database, seq, decode(body), accounts)
            count += 1
        return count

    async def close(self) -> None:
        """Give the lease back and close."""
        with suppress(sqlite3.Error):
            self._database.execute(
                "UPDATE lease SET expires = 0 WHERE epoch = ? AND owner = ?", (self.epoch, self._owner)
            )
        self._database.close()


class JournalReader:
    """Reads the models of a journal file beside its writer; it can change nothing."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise JournalDownError(f"{path}: no such journal")
        there = URL.create("sqlite", database=path.resolve().as_uri(), query={"mode": "ro", "uri": "true"})
        self._path, self._engine = path, create_engine(there)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """A session; what the file cannot give is JournalDownError."""
        try:
            with Session(self._engine) as session:
                yield session
        except DatabaseError as error:
            raise JournalDownError(f"{self._path}: cannot be read: {error.orig}") from error

    def orders(self, *, working: bool = False) -> list[OrderRow]:
        """Orders by mount and number; working: only those that are not closed."""
        with self._reading() as session:
            asked = select(OrderRow).order_by(OrderRow.mount, OrderRow.number)  # type: ignore[arg-type]
            return list(session.exec(asked.where(OrderRow.state != "closed") if working else asked))

    def fills(self) -> list[FillRow]:
        """Fills in the order in which they were booked."""
        with self._reading() as session:
            return list(session.exec(select(FillRow).order_by(FillRow.seq)))  # type: ignore[arg-type]

    def holdings(self) -> list[HoldingRow]:
        """What is held, by mount and asset, with what was realised so far."""
        with self._reading() as session:
            return list(session.exec(select(HoldingRow).order_by(HoldingRow.mount, HoldingRow.asset)))

    def equity(self) -> list[EquityRow]:
        """What each mount was worth, by time."""
        with self._reading() as session:
            return list(session.exec(select(EquityRow).order_by(EquityRow.mount, EquityRow.at)))  # type: ignore[arg-type]

    def outcomes(self) -> list[OutcomeRow]:
        """How messages ended."""
        with self._reading() as session:
            return list(session.exec(select(OutcomeRow).order_by(OutcomeRow.seq)))  # type: ignore[arg-type]

    def facts(self) -> list[Fact]:
        """Every fact, in order."""
        with self._reading() as session:
            return [decode(body) for body in session.exec(select(JournalRow.body).order_by(JournalRow.seq))]  # type: ignore[arg-type]

    def bodies(self, last: int) -> list[str]:
        """The last so many rows as they are kept, in order, whether they are facts of this version or not."""
        with self._reading() as session:
            asked = select(JournalRow.body).order_by(JournalRow.seq.desc()).limit(last)  # type: ignore[attr-defined]
            return list(session.exec(asked))[::-1]

    def verify(self) -> Broken | None:
        """Walk the chain; None when every row follows from the one before and is a fact."""
        with self._reading() as session:
            rows = session.exec(select(JournalRow).order_by(JournalRow.seq))  # type: ignore[arg-type]
            return walk((row.seq, row.epoch, row.kind, row.body, row.prev_hash, row.hash) for row in rows)

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()
