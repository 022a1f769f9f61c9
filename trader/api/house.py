"""What the API is given: how to ask the bot, and how to read what it wrote down. Whoever puts it together hands these in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from trader.core.facts import Fact


class DarkError(Exception):
    """The bot does not answer."""


class UnreadableError(Exception):
    """The journal cannot be read now, is not there yet, or says what this program does not know."""

    def __init__(self, why: str, remedy: str = "start the bot with `trader run`") -> None:
        super().__init__(why)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Told:
    """A fact at its place in the journal."""

    seq: int
    fact: Fact


@dataclass(frozen=True, slots=True)
class SignalSeen:
    """A message that came in, what it said in short, and how it ended; `outcome` is `open` until it has."""

    seq: int
    at: datetime
    key: str
    source: str
    outcome: str
    why: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """An order and its state."""

    mount: str
    number: int
    at: datetime
    asset: str
    venue: str
    side: str
    quantity: Decimal | None
    spend: Decimal | None
    state: str
    reason: str
    why: str
    venue_order: str


@dataclass(frozen=True, slots=True)
class FillSeen:
    """A fill."""

    seq: int
    at: datetime
    mount: str
    order: int | None
    asset: str
    venue: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    why: str


@dataclass(frozen=True, slots=True)
class HoldingSeen:
    """What a mount holds of an asset, with the profit realised so far."""

    mount: str
    asset: str
    venue: str
    quantity: Decimal
    entry: Decimal
    realised: Decimal


@dataclass(frozen=True, slots=True)
class Worth:
    """What a mount was worth when bars closed."""

    at: datetime
    mount: str
    cash: Decimal
    equity: Decimal


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the story of a signal."""

    at: datetime
    what: str
    text: str


class Pages(Protocol):
    """The journal, read only; each list is cut to `most`. Raises UnreadableError."""

    async def last(self) -> int:
        """The newest place."""

    async def facts(self, after: int, most: int) -> Sequence[Told]:
        """Facts behind a place, oldest first."""

    async def of_kind(self, kind: str, asset: str, most: int) -> Sequence[Told]:
        """The newest facts of a kind that name an asset, oldest first."""

    async def signals(self, before: int | None, most: int, outcome: str | None) -> Sequence[SignalSeen]:
        """Messages, newest first."""

    async def story(self, key: str) -> Sequence[Step]:
        """What became of a message; empty where nobody knows it."""

    async def orders(self, before: int | None, most: int, *, is_working: bool, mount: str = "") -> Sequence[OrderSeen]:
        """Orders of a mount, or of all, newest first."""

    def place_of(self, order: OrderSeen, mount: str) -> int:
        """The `before` of the part that follows an order."""

    async def fills(self, before: int | None, most: int, mount: str = "") -> Sequence[FillSeen]:
        """Fills, newest first."""

    async def holdings(self, mount: str = "") -> Sequence[HoldingSeen]:
        """What is held."""

    async def worth(self, since: datetime | None, most: int, mount: str = "") -> Sequence[Worth]:
        """The curve, oldest first, thinned to `most` points."""

    async def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One value of the configuration, secrets hidden, with where it comes from."""

    key: str
    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a webhook's body was read as: our message, and what was noticed."""

    message: bytes
    format: str
    notes: tuple[str, ...] = ()


Ask = Callable[[str, str, str, str], Awaitable[dict[str, object]]]  # command, argument, key, mount; raises DarkError
Read = Callable[
    [bytes, str | None, str, datetime], Receipt
]  # body, format, secret, when it came or was signed; raises ports.PayloadError


@dataclass(frozen=True, slots=True)
class MountSeen:
    """A mount as it is configured. market: what its bars are marked with in the journal."""

    name: str
    account: str
    venue: str
    strategy: str
    capital: float
    assets: tuple[str, ...]
    timeframe: str
    market: str


@dataclass(frozen=True, slots=True)
class House:
    """Everything the API stands on."""

    name: str
    version: str
    timeframe: str
    assets: tuple[str, ...]
    ask: Ask
    pages: Pages
    configuration: Callable[[], Sequence[Shown]]
    strategies: Callable[[], Sequence[dict[str, object]]]
    read_hook: Read
    read_message: Callable[[bytes], object]  # raises ports.PayloadError
    message_schema: dict[str, Any] = field(default_factory=dict)  # parts by name, of which one is `Message`
    jobs: Path | None = None  # folder for what background jobs leave
    mounts: tuple[MountSeen, ...] = ()
    configs: Path | None = None  # folder whose files may be run as jobs
