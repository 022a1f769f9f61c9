"""The tables of the journal: the chain of facts, the lease, and the read models that are made from facts and only from them.

Amounts are kept as text, because SQLite turns decimals into binary floats without a word; instants as UTC text.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Dialect, Index, String, TypeDecorator, UniqueConstraint, text
from sqlmodel import Field, SQLModel

VERSION = 3  # of the tables; a journal with a higher one was written by a newer program


class Exact(TypeDecorator[Decimal]):
    """A decimal with every digit, as text; a float that a research run wrote keeps its shortest form."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """To the database."""
        del dialect
        return None if value is None else str(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:  # noqa: ANN401
        """From the database."""
        del dialect
        return None if value is None else Decimal(value)


class Utc(TypeDecorator[datetime]):
    """An aware instant as UTC text, in an order that text sorts; a naive one is an error."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """To the database."""
        del dialect
        return None if value is None else utc_text(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ANN401
        """From the database."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


def utc_text(at: datetime) -> str:
    """An instant as text of one length, so that text sorts as time does."""
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone; instants are UTC")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


class JournalRow(SQLModel, table=True):
    """One fact at its place in the chain: `hash` covers the row and the hash before it."""

    __tablename__ = "journal"
    seq: int = Field(primary_key=True)
    epoch: int
    at: datetime = Field(sa_type=Utc)
    kind: str = Field(index=True)
    body: str
    prev_hash: str
    hash: str


class LeaseRow(SQLModel, table=True):
    """Who may write: the newest epoch, its owner and when it ends by the database's clock, in seconds since 1970."""

    __tablename__ = "lease"
    id: int = Field(primary_key=True)
    epoch: int
    owner: str
    expires: float


class MetaRow(SQLModel, table=True):
    """The version of the tables."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True)
    value: int


class ReceiptRow(SQLModel, table=True):
    """A message that came in, once per key."""

    __tablename__ = "receipts"
    key: str = Field(primary_key=True)
    source: str
    digest: str
    outcome: str
    why: str
    seq: int


class OutcomeRow(SQLModel, table=True):
    """How a message ended for a mount: exactly once."""

    __tablename__ = "outcomes"
    key: str = Field(primary_key=True)
    mount: str = Field(primary_key=True)
    outcome: str
    seq: int


class OrderRow(SQLModel, table=True):
    """An order and its state."""

    __tablename__ = "orders"
    mount: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    placed_at: datetime = Field(sa_type=Utc)
    asset: str
    venue: str
    side: str
    quantity: Decimal | None = Field(default=None, sa_type=Exact)
    spend: Decimal | None = Field(default=None, sa_type=Exact)
    why: str
    state: str
    reason: str = ""
    venue_order: str = ""


class AttemptRow(SQLModel, table=True):
    """One time that an order was signed and sent: its client id is used once for ever."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("mount", "number", "attempt"),)
    client_id: str = Field(primary_key=True)
    mount: str
    number: int
    attempt: int
    signed_ms: int = Field(sa_type=BigInteger)
    not_after_ms: int = Field(sa_type=BigInteger)
    digest: str
    epoch: int


class FillRow(SQLModel, table=True):
    """A fill, booked once per trade of its venue."""

    __tablename__ = "fills"
    __table_args__ = (
        Index(
            "one_per_trade",
            "venue",
            "asset",
            "trade",
            unique=True,
            sqlite_where=text("trade <> ''"),
            postgresql_where=text("trade <> ''"),
        ),
    )
    seq: int = Field(primary_key=True)
    at: datetime = Field(sa_type=Utc)
    mount: str
    number: int | None = None
    asset: str
    venue: str
    side: str
    quantity: Decimal = Field(sa_type=Exact)
    price: Decimal = Field(sa_type=Exact)
    fee: Decimal = Field(sa_type=Exact)
    fee_asset: str
    why: str
    trade: str


class HoldingRow(SQLModel, table=True):
    """What a mount holds of an asset after its newest fill; `realised` is the profit so far, fees taken off."""

    __tablename__ = "holdings"
    mount: str = Field(primary_key=True)
    asset: str = Field(primary_key=True)
    venue: str
    quantity: Decimal = Field(sa_type=Exact)
    entry: Decimal = Field(sa_type=Exact)
    realised: Decimal = Field(sa_type=Exact)
    is_flat: bool
    seq: int


class EquityRow(SQLModel, table=True):
    """What a mount was worth when bars closed, its holdings at their last closes."""

    __tablename__ = "equity"
    mount: str = Field(primary_key=True)
    at: datetime = Field(primary_key=True, sa_type=Utc)
    cash: Decimal = Field(sa_type=Exact)
    equity: Decimal = Field(sa_type=Exact)
    seq: int


class SnapshotRow(SQLModel, table=True):
    """What all facts up to a row of the chain have built, for one program; `digest` covers program, hash and body."""

    __tablename__ = "snapshots"
    seq: int = Field(primary_key=True)
    hash: str
    program: str
    body: str
    digest: str


READ_MODELS = ("receipts", "outcomes", "orders", "attempts", "fills", "holdings", "equity")
