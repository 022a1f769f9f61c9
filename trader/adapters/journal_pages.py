"""Pages of a journal for those who look on: read only, cut to a length, in SQLite and PostgreSQL alike.

Rows come as plain tuples; every list goes by an index, so that a journal of months costs no more than one of a day.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from trader.adapters.fact_codec import decode
from trader.adapters.journal_models import WORTHS, named
from trader.adapters.journal_tables import utc_text
from trader.core.facts import Fact, OrderPlaced
from trader.core.records import SignalReceived
from trader.ports import Entry, JournalDownError

TOP = 2**31 - 1  # over every place: PostgreSQL's integer has no room for more
STORY_MOST = 20_000  # facts that the story of one message is looked for in
CHUNK = 500
LAST = "SELECT max(seq) FROM journal"
AFTER = "SELECT seq, body FROM journal WHERE seq > ? ORDER BY seq LIMIT ?"
OF_KIND = "SELECT seq, body FROM journal WHERE kind = ? AND seq < ? AND replace(body, ?, '') <> body ORDER BY seq DESC LIMIT ?"
NEWEST = "SELECT seq, body FROM journal WHERE kind = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
OUTCOMES = "SELECT DISTINCT outcome FROM outcomes WHERE key = ? ORDER BY outcome"
RECEIPT = "SELECT seq FROM receipts WHERE key = ?"
ORDERS = (
    "SELECT mount, number, placed_at, asset, venue, side, quantity, spend, state, reason, why, venue_order FROM orders"
    " WHERE number < ? ORDER BY number DESC LIMIT ?"
)
WORKING = ORDERS.replace(" ORDER", " AND state <> 'closed' ORDER")
TIMED = ORDERS.replace(  # of several mounts, of which each numbers its own: whole instants, so that none is cut in two
    "number < ? ORDER BY number DESC LIMIT ?",
    "placed_at < ? AND placed_at >= (SELECT min(placed_at) FROM (SELECT placed_at FROM orders WHERE placed_at < ?"
    " ORDER BY placed_at DESC LIMIT ?) AS page) ORDER BY placed_at DESC, mount, number DESC",
)
WORKING_ALL = ORDERS.replace(
    "number < ? ORDER BY number DESC", "state <> 'closed' ORDER BY placed_at DESC, mount, number DESC"
)
FILLS = (
    "SELECT seq, at, mount, number, asset, venue, side, quantity, price, fee, fee_asset, why FROM fills WHERE seq < ?"
    " ORDER BY seq DESC LIMIT ?"
)
HOLDINGS = "SELECT mount, asset, venue, quantity, entry, realised FROM holdings ORDER BY mount, asset"
COUNT_WORTH = "SELECT count(*) FROM equity WHERE at >= ?"
WORTH = (
    "SELECT at, mount, cash, equity FROM (SELECT at, mount, cash, equity, row_number() OVER (PARTITION BY mount ORDER BY at DESC)"
    " AS n FROM equity WHERE at >= ?) AS counted WHERE (n - 1) % ? = 0 ORDER BY at, mount"
)
WORTH_OF = WORTH.replace("WHERE at >=", "WHERE mount = ? AND at >=")
TRADED, UNWANTED = "traded", "unwanted"
Row = Sequence[Any]
EPOCH, MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)


def of_mount(statement: str) -> str:
    """The same of one mount, which comes before the other values."""
    head, _, tail = statement.partition(" WHERE ")
    if not tail:
        head, _, rest = statement.partition(" ORDER")
        return f"{head} WHERE mount = ? ORDER{rest}"
    return f"{head} WHERE mount = ? AND {tail}"


class JournalPages:
    """The journal of a run, looked at from outside. Raises JournalDownError where it cannot be read.

    may_begin: a file that is not there yet is an empty journal. One that was put in a file's place is opened anew.
    """

    def __init__(self, where: Path | str, *, may_begin: bool = False) -> None:
        self._where, self._may_begin = where, may_begin
        self._turn = asyncio.Lock()
        self._file: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None  # which file that is
        self._pool: Any = None

    async def _rows(self, statement: str, *values: object) -> list[Row]:
        if isinstance(self._where, Path):
            async with self._turn:
                return await asyncio.to_thread(self._of_file, statement, values)
        return await self._of_server(statement, values)

    def _of_file(self, statement: str, values: tuple[object, ...]) -> list[Row]:
        assert isinstance(self._where, Path)
        if not self._where.exists():
            if self._may_begin and self._opened is None:
                return []  # one that was there and is away for a moment is not empty
            raise JournalDownError(f"{self._where}: no such journal yet")
        there = self._where.stat()
        try:
            if self._file is not None and self._opened != (there.st_dev, there.st_ino):
                self._file.close()
                self._file = None
            if self._file is None:
                self._opened = there.st_dev, there.st_ino
                self._file = sqlite3.connect(
                    f"{self._where.resolve().as_uri()}?mode=ro",
                    uri=True,
                    timeout=5.0,
                    isolation_level=None,
                    check_same_thread=False,
                )
            return self._file.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            if self._file is not None:
                self._file.close()
                self._file = None
            raise JournalDownError(f"{self._where}: {error}") from error

    async def _of_server(self, statement: str, values: tuple[object, ...]) -> list[Row]:
        import asyncpg  # noqa: PLC0415 - an extra

        parts = statement.split("?")
        text = "".join(part + (f"${n}" if n < len(parts) else "") for n, part in enumerate(parts, 1))
        try:
            async with self._turn:
                if self._pool is None:
                    settings = {"default_transaction_read_only": "on"}
                    self._pool = await asyncpg.create_pool(
                        self._where,
                        min_size=1,
                        max_size=4,
                        timeout=10.0,
                        command_timeout=30.0,
                        server_settings=settings,
                    )
            found: list[Row] = await self._pool.fetch(text, *values)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            where = str(self._where).rpartition("@")[2]
            raise JournalDownError(f"{where}: {type(error).__name__}") from error
        return found

    async def last(self) -> int:
        """The newest place, 0 where nothing is kept."""
        rows = await self._rows(LAST)
        return int(rows[0][0] or 0) if rows else 0

    async def facts(self, after: int, most: int) -> list[Entry]:
        """Facts behind a place, oldest first."""
        return [Entry(seq, decode(body)) for seq, body in await self._rows(AFTER, after, most)]

    async def of_kind(self, kind: str, asset: str, most: int) -> list[Entry]:
        """The newest facts of a kind whose text names an asset, oldest first."""
        rows = await self._rows(OF_KIND, kind, TOP, named(asset), most)
        return [Entry(seq, decode(body)) for seq, body in reversed(rows)]

    async def newest(self, kind: str, most: int) -> list[Entry]:
        """The newest facts of a kind, newest first."""
        return [Entry(seq, decode(body)) for seq, body in await self._rows(NEWEST, kind, TOP, most)]

    async def signals(
        self, before: int | None, most: int, outcome: str | None
    ) -> list[tuple[int, SignalReceived, str]]:
        """Messages with their places and how they ended, newest first."""
        found = list[tuple[int, SignalReceived, str]]()
        place = TOP if before is None else before
        while len(found) < most:
            rows = await self._rows(NEWEST, "SignalReceived", place, CHUNK if outcome else most)
            for seq, body in rows:
                fact = decode(body)
                assert isinstance(fact, SignalReceived)
                place, ended = seq, fact.outcome or await self._outcome(fact.key)
                if (outcome is None or ended == outcome) and len(found) < most:
                    found.append((seq, fact, ended))
            if len(rows) < (CHUNK if outcome else most) or outcome is None:
                break
        return found

    async def _outcome(self, key: str) -> str:
        found = [str(row[0]) for row in await self._rows(OUTCOMES, key)]
        told = [one for one in found if one != UNWANTED] or found  # of who wanted it, where anybody did
        return TRADED if TRADED in told else ", ".join(told) or "open"

    async def around(self, key: str) -> list[Fact]:
        """The facts in which the story of a message lies: from its receipt until all of its orders are closed; empty if unknown."""
        rows = await self._rows(RECEIPT, key)
        if not rows:
            return []
        after, found, mine = int(rows[0][0]) - 1, list[Fact](), set[tuple[str, int]]()
        is_over = False
        while len(found) < STORY_MOST and not is_over:
            entries = await self.facts(after, CHUNK)
            found += [one.fact for one in entries]
            mine |= {
                (one.fact.mount, one.fact.order)
                for one in entries
                if isinstance(one.fact, OrderPlaced) and key in one.fact.cause
            }
            is_over = len(entries) < CHUNK or (bool(await self._rows(OUTCOMES, key)) and not await self._working(mine))
            after = entries[-1].seq if entries else after
        return found

    async def _working(self, names: set[tuple[str, int]]) -> bool:
        rows = await self._rows(WORKING_ALL, 1_000)
        return any((row[0], row[1]) in names for row in rows)

    async def orders(
        self, before: int | None, most: int, *, is_working: bool, mount: str = "", is_several: bool = False
    ) -> list[Row]:
        """Mount, number, placed at, asset, venue, side, quantity, spend, state, reason, why, venue's id; newest first.

        before: a number; of several mounts at once the microsecond since 1970, and a part ends with a whole instant.
        """
        place = TOP if before is None else before
        if is_several and not mount:
            text = utc_text(EPOCH + place * MICROSECOND) if before is not None else "9"
            rows = await (self._rows(WORKING_ALL, most) if is_working else self._rows(TIMED, text, text, most))
        else:
            rows = await self._of(WORKING if is_working else ORDERS, mount, place, most)
        return [(*row[:2], _at(row[2]), *row[3:6], _amount(row[6]), _amount(row[7]), *row[8:]) for row in rows]

    async def fills(self, before: int | None, most: int, mount: str = "") -> list[Row]:
        """Seq, at, mount, order, asset, venue, side, quantity, price, fee, fee asset, why; newest first."""
        rows = await self._of(FILLS, mount, TOP if before is None else before, most)
        return [(row[0], _at(row[1]), *row[2:7], *(Decimal(one) for one in row[7:10]), *row[10:]) for row in rows]

    async def holdings(self, mount: str = "") -> list[Row]:
        """Mount, asset, venue, quantity, entry, realised."""
        return [(*row[:3], *(Decimal(one) for one in row[3:])) for row in await self._of(HOLDINGS, mount)]

    async def worth(self, since: datetime | None, most: int, mount: str = "") -> list[Row]:
        """At, mount, cash, equity, oldest first; where there are more than some `most`, every n-th of each mount, the newest among them."""
        begin = "" if since is None else utc_text(since)
        count = int((await self._of(COUNT_WORTH, mount, begin))[0][0])
        every = max(1, -(-count // most))
        rows = await (self._rows(WORTH_OF, mount, begin, every) if mount else self._rows(WORTH, begin, every))
        return [(_at(row[0]), row[1], Decimal(row[2]), Decimal(row[3])) for row in rows]

    async def worths(self) -> list[tuple[str, float, float]]:
        """What each mount was worth last, and at most."""
        return [(str(name), float(now), float(most)) for name, now, most in await self._rows(WORTHS)]

    async def _of(self, statement: str, mount: str, *values: object) -> list[Row]:
        """The rows of a mount, or of all where none is named."""
        return await (self._rows(of_mount(statement), mount, *values) if mount else self._rows(statement, *values))

    async def close(self) -> None:
        """Let go."""
        if self._file is not None:
            self._file.close()
        if self._pool is not None:
            await self._pool.close()


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
