"""The ratings store: every observation a row, revisions too, so that what was known at any instant can be asked for.

Bitemporal: `as_of` is what a value describes, `known_at` since when we could have known it. Nothing is overwritten. A history that is fetched
later counts as known by the rule of publication, except where something else was seen of it before: then it is a revision, known from now.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import URL, Engine, Index, MetaData, create_engine, event, text
from sqlalchemy.exc import DatabaseError
from sqlmodel import Field, Session, SQLModel, select

from trader.adapters.durable import make_folder
from trader.adapters.journal_tables import Utc, utc_text
from trader.core.observations import Observation

VERSION = 1


class StoreError(Exception):
    """A store that cannot be read."""


class StoreVersionError(StoreError):
    """The store was written by a newer program."""


class Base(SQLModel):
    """Tables apart from those of the journal."""

    metadata = MetaData()


class ObservationRow(Base, table=True):
    """One value as it was seen."""

    __tablename__ = "observations"
    __table_args__ = (Index("of_what", "asset", "kind", "as_of", "source"), Index("since_when", "known_at"))
    id: int | None = Field(default=None, primary_key=True)
    source: str
    kind: str
    type: str
    asset: str
    as_of: datetime = Field(sa_type=Utc)
    value: float
    known_at: datetime = Field(sa_type=Utc)
    observed_at: datetime = Field(sa_type=Utc)
    is_provisional: bool
    is_assumed: bool


class AsideRow(Base, table=True):
    """A row that could not be read, with its payload."""

    __tablename__ = "set_aside"
    id: int | None = Field(default=None, primary_key=True)
    observed_at: datetime = Field(sa_type=Utc)
    source: str
    endpoint: str
    why: str
    payload: str


class CreditRow(Base, table=True):
    """Credits spent in a month."""

    __tablename__ = "credits"
    month: str = Field(primary_key=True)
    spent: int


class DoneRow(Base, table=True):
    """A window of a pull that is done, so that a pull that was broken off goes on."""

    __tablename__ = "windows_done"
    job: str = Field(primary_key=True)
    since: str = Field(primary_key=True)
    ids: str = Field(primary_key=True)


class OutgoingRow(Base, table=True):
    """A message that is to be handed on, until somebody kept it."""

    __tablename__ = "outgoing"
    number: int | None = Field(default=None, primary_key=True)
    id: str = Field(index=True, unique=True)
    body: str
    is_kept: bool = False


KNOWN = """
SELECT source, kind, type, asset, as_of, value, known_at, observed_at, is_provisional, is_assumed FROM (
  SELECT *, row_number() OVER (PARTITION BY asset, kind ORDER BY as_of DESC, trust) AS place FROM (
    SELECT *, row_number() OVER (PARTITION BY asset, kind, as_of, source ORDER BY known_at DESC, id DESC) AS revision, {trust} AS trust
    FROM observations WHERE known_at <= :at AND (:provisional OR NOT is_provisional)
  ) AS newest WHERE revision = 1
) AS ranked WHERE place = 1 ORDER BY asset, kind
"""

SPEND = """
INSERT INTO credits (month, spent) VALUES (:month, :spent)
ON CONFLICT (month) DO UPDATE SET spent = max(credits.spent + 1, excluded.spent) RETURNING spent
"""


@dataclass(frozen=True, slots=True)
class Covered:
    """How much there is of a kind about an asset."""

    source: str
    kind: str
    asset: str
    first: datetime
    last: datetime
    days: int
    rows: int


class RatingsStore:
    """A store in a file; raises StoreError where it is none, and StoreVersionError where a newer program wrote it."""

    def __init__(self, where: Path) -> None:
        make_folder(where.parent)
        self._engine = create_engine(URL.create("sqlite", database=str(where)))
        event.listen(self._engine, "connect", _synced)
        self.where = where
        try:
            _set_up(self._engine, where)
        except DatabaseError as error:
            raise StoreError(f"{where}: cannot be read: {error.orig}; move it away or restore a backup") from error

    def close(self) -> None:
        """Close connections."""
        self._engine.dispose()

    # Writing

    def append(self, observations: Iterable[Observation]) -> int:
        """Keep what is news: the first sight of a value, and each that differs from the last; returns how many were."""
        return len(self.take(observations))

    def take(
        self, observations: Iterable[Observation],
        messages: Callable[[Sequence[Observation]], Iterable[tuple[str, str]]] = lambda _news: (),
    ) -> list[Observation]:  # fmt: skip
        """The same, returning the news; messages: what is to be handed on of them, as (id, body), kept in the same commit."""
        given, news = list(observations), list[Observation]()
        if not given:
            return news
        with Session(self._engine) as session:
            last = self._last(session, given)
            for one in given:
                name = (one.source, one.kind, one.asset, one.as_of)
                before = last.get(name)
                if before is not None and (before.value, before.is_provisional) == (one.value, one.is_provisional):
                    continue
                if before is not None:  # something else was there: this is known since we saw it, and not by a rule
                    one = replace(one, known_at=max(one.observed_at, before.known_at), is_assumed=False)
                session.add(ObservationRow(**{key: getattr(one, key) for key in Observation.__slots__}))
                last[name] = one
                news.append(one)
            for id_, body in messages(news):
                if session.exec(select(OutgoingRow.number).where(OutgoingRow.id == id_)).first() is None:
                    session.add(OutgoingRow(id=id_, body=body))
            session.commit()
        return news

    def outgoing(self) -> list[tuple[str, str]]:
        """Messages that nobody kept yet, as (id, body), the oldest first."""
        asked = select(OutgoingRow).where(OutgoingRow.is_kept == False).order_by(OutgoingRow.number)  # type: ignore[arg-type]  # noqa: E712
        with Session(self._engine) as session:
            return [(row.id, row.body) for row in session.exec(asked)]

    def note_kept(self, id_: str) -> None:
        """Note that a message was kept by whom it was handed to."""
        with Session(self._engine) as session:
            row = session.exec(select(OutgoingRow).where(OutgoingRow.id == id_)).one()
            row.is_kept = True
            session.add(row)
            session.commit()

    def newest(self, source: str) -> dict[tuple[str, str], datetime]:
        """The newest as_of that is no provisional one, by asset and kind."""
        asked = text(
            "SELECT asset, kind, max(as_of) FROM observations WHERE source = :source AND NOT is_provisional GROUP BY asset, kind"
        )
        with Session(self._engine) as session:
            found = session.connection().execute(asked, {"source": source}).all()
        return {(asset, kind): _at(as_of) for asset, kind, as_of in found}

    def standing(self, source: str, kind: str) -> dict[str, Observation]:
        """What was said last of each asset: the newest as_of in its newest revision."""
        asked = (
            select(ObservationRow)
            .where(ObservationRow.source == source, ObservationRow.kind == kind)
            .order_by(ObservationRow.as_of, ObservationRow.known_at, ObservationRow.id)  # type: ignore[arg-type]
        )
        with Session(self._engine) as session:
            return {row.asset: _plain(row) for row in session.exec(asked)}

    @staticmethod
    def _last(session: Session, given: Sequence[Observation]) -> dict[tuple[str, str, str, datetime], Observation]:
        """The newest observation of each thing in the span of those that are given."""
        days = [one.as_of for one in given]
        asked = (
            select(ObservationRow)
            .where(ObservationRow.as_of >= min(days), ObservationRow.as_of <= max(days))
            .where(ObservationRow.asset.in_({one.asset for one in given}))  # type: ignore[attr-defined]
            .where(ObservationRow.kind.in_({one.kind for one in given}))  # type: ignore[attr-defined]
            .order_by(ObservationRow.known_at, ObservationRow.id)  # type: ignore[arg-type]
        )
        return {(row.source, row.kind, row.asset, row.as_of): _plain(row) for row in session.exec(asked)}

    def keep_aside(self, at: datetime, source: str, rows: Iterable[tuple[str, str, str]]) -> int:
        """Keep rows that could not be read, as (endpoint, why, payload); the same payload once."""
        count = 0
        with Session(self._engine) as session:
            for endpoint, why, payload in rows:
                there = session.exec(
                    select(AsideRow.id).where(AsideRow.endpoint == endpoint, AsideRow.payload == payload)
                ).first()
                if there is None:
                    session.add(AsideRow(observed_at=at, source=source, endpoint=endpoint, why=why, payload=payload))
                    count += 1
            session.commit()
        return count

    # Asking

    def known(
        self, at: datetime, *, trust: Sequence[str] = (), provisional: bool = False
    ) -> list[Observation]:  # fmt: skip
        """What was known at an instant: of each kind about each asset the newest as_of in its newest revision.

        trust: sources in the order of trust, for one as_of of several; the others come after, by name.
        """
        cases = " ".join(f"WHEN :s{n} THEN '{n:04}'" for n in range(len(trust)))
        rank = f"CASE source {cases} ELSE '9999' || source END" if trust else "source"
        values = {f"s{n}": name for n, name in enumerate(trust)} | {"at": utc_text(at), "provisional": provisional}
        with Session(self._engine) as session:
            rows = session.connection().execute(text(KNOWN.format(trust=rank)), values).all()
        return [_observation(row) for row in rows]

    def rows(self, *, asset: str = "", kind: str = "") -> list[Observation]:
        """Every observation, in the order in which they became known."""
        asked = select(ObservationRow).order_by(ObservationRow.known_at, ObservationRow.id)  # type: ignore[arg-type]
        if asset:
            asked = asked.where(ObservationRow.asset == asset)
        if kind:
            asked = asked.where(ObservationRow.kind == kind)
        with Session(self._engine) as session:
            return [
                Observation(**{name: getattr(row, name) for name in Observation.__slots__})
                for row in session.exec(asked)
            ]

    def covered(self) -> list[Covered]:
        """What there is."""
        asked = text(
            "SELECT source, kind, asset, min(as_of), max(as_of), count(DISTINCT as_of), count(*) FROM observations"
            " GROUP BY source, kind, asset ORDER BY asset, kind, source"
        )
        with Session(self._engine) as session:
            found = session.connection().execute(asked).all()
        return [Covered(a, b, c, _at(first), _at(last), days, rows) for a, b, c, first, last, days, rows in found]

    def gaps(
        self, source: str, kind: str, asset: str, step: timedelta = timedelta(days=1)
    ) -> list[tuple[datetime, datetime]]:
        """Spans without a row between the first and the last, as the first and the last missing as_of."""
        asked = (
            select(ObservationRow.as_of)
            .where(ObservationRow.source == source, ObservationRow.kind == kind, ObservationRow.asset == asset)
            .distinct()
            .order_by(ObservationRow.as_of)  # type: ignore[arg-type]
        )
        with Session(self._engine) as session:
            days = list(session.exec(asked))
        return [(a + step, b - step) for a, b in pairwise(days) if b - a > step]

    def aside(self) -> list[AsideRow]:
        """Rows that could not be read, the newest last."""
        with Session(self._engine) as session:
            return list(session.exec(select(AsideRow).order_by(AsideRow.id)))  # type: ignore[arg-type]

    # What a pull needs

    def spent(self) -> dict[str, int]:
        """Credits spent by month."""
        with Session(self._engine) as session:
            return {row.month: row.spent for row in session.exec(select(CreditRow))}

    def keep_spent(self, month: str, spent: int) -> int:
        """Count one more credit of a month, which makes so many as far as its process knows; returns how many those of all are."""
        with self._engine.begin() as connection:
            return int(connection.execute(text(SPEND), {"month": month, "spent": spent}).scalar_one())

    def is_done(self, job: str, since: date, ids: Sequence[int]) -> bool:
        """Whether a window of a pull is done."""
        with Session(self._engine) as session:
            return session.get(DoneRow, (job, f"{since}", _ids(ids))) is not None

    def note_done(self, job: str, since: date, ids: Sequence[int]) -> None:
        """Note that a window of a pull is done."""
        with Session(self._engine) as session:
            session.merge(DoneRow(job=job, since=f"{since}", ids=_ids(ids)))
            session.commit()


def _ids(ids: Sequence[int]) -> str:
    return ",".join(map(str, ids))


def _at(text_: str) -> datetime:
    return datetime.fromisoformat(text_).astimezone(UTC)


def _plain(row: ObservationRow) -> Observation:
    return Observation(**{name: getattr(row, name) for name in Observation.__slots__})


def _observation(row: Sequence[object] | Mapping[str, object]) -> Observation:
    source, kind, type_, asset, as_of, value, known_at, observed_at, provisional, assumed = row
    return Observation(
        str(source), str(kind), str(type_), str(asset), _at(str(as_of)), float(value), _at(str(known_at)),  # type: ignore[arg-type]
        _at(str(observed_at)), bool(provisional), bool(assumed),
    )  # fmt: skip


def _synced(connection: object, record: object) -> None:
    del record
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]


def spent_in(where: Path) -> dict[str, int]:
    """Credits spent by month, as a store has it that is only looked at; raises StoreError where it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{where.as_uri()}?mode=ro", uri=True, timeout=5.0)) as database:
            (version,) = database.execute("SELECT version FROM ratings_meta").fetchone() or (VERSION,)
            if version > VERSION:
                raise StoreError(f"{where} has tables of version {version}; this program knows {VERSION}")
            return dict(database.execute("SELECT month, spent FROM credits"))
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{where}: {error}") from error


def _set_up(engine: Engine, where: object) -> None:
    """Make the tables; raises StoreVersionError where a newer program made them."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS ratings_meta (version INTEGER NOT NULL)"))
        found = connection.execute(text("SELECT version FROM ratings_meta")).scalar()
        if found is not None and int(found) > VERSION:
            raise StoreVersionError(f"{where} has tables of version {found}; this program knows {VERSION}")
        Base.metadata.create_all(connection)
        if found is None:
            connection.execute(text("INSERT INTO ratings_meta (version) VALUES (:version)"), {"version": VERSION})
