"""Ports: what the runtime asks of the world. Adapters fill them; `app.py` plugs them in; contract tests hold them.

Money and quantities are exact decimals here, instants are aware UTC, `_ms` are milliseconds of the venue's clock.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

from trader.core.facts import Fact
from trader.core.instruments import Instrument


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes that came in. `acknowledge` tells the sender that they are kept: call it after the commit, never before."""

    source: str
    topic: str
    body: bytes
    acknowledge: Callable[[], Awaitable[None]]
    is_retained: bool = False
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """One value of a message; `price` is what the asset cost when it was issued, if the producer says."""

    asset: str
    kind: str
    value: float
    as_of: datetime
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that was understood. `type`: rating and state are levels, event is a moment; `batch` is (id, count of messages)."""

    id: str
    source: str
    type: str
    issued_at: datetime
    said: tuple[Said, ...]
    batch: tuple[str, int] | None = None
    ttl_seconds: float | None = None


class PayloadError(ValueError):
    """A message that is not handled; `outcome` is how it ends: malformed, unauthenticated or oversized."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(why)
        self.outcome, self.why = outcome, why


class Source(Protocol):
    """Where messages come from: the bus, MQTT, a directory, standard input."""

    name: str

    def messages(self) -> AsyncIterator[Message]:
        """Yield messages until the source ends; what was not acknowledged comes again after a restart."""


@runtime_checkable
class Reporting(Protocol):
    """A source that can say how it stands."""

    def standing(self) -> Mapping[str, object]:
        """How fresh it is, and what keeps it; plain data, without secrets."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A fact in the journal, at its place."""

    seq: int
    fact: Fact


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all facts up to a place of the journal have built, as text."""

    seq: int
    body: str


class JournalDownError(Exception):
    """The journal cannot be written or read now. What was given to `append` may or may not be kept: ask again."""


class LeaseLostError(Exception):
    """Another process took the lease: this one may not write any more."""


class LeaseHeldError(LeaseLostError):
    """The lease is another's and still runs, for `seconds` by the database's clock; `owner` says whose it is."""

    def __init__(self, where: str, owner: str, seconds: float) -> None:
        super().__init__(f"{where}: {owner} holds it for {seconds:.0f} s more; stop that process, or wait")
        self.owner, self.seconds = owner, seconds


class AlreadyKeptError(Exception):
    """A key that may be used once (message, client id, trade, outcome) was used before; nothing of the call was kept."""


class Journal(Protocol):
    """Append-only, hash-chained facts; one writer, fenced by the epoch of its lease."""

    epoch: int

    async def take(self, owner: str, *, seconds: float) -> int:
        """Take the lease and return its epoch; raises LeaseHeldError while another's lease runs."""

    async def renew(self) -> None:
        """Prolong the lease; raises LeaseLostError when it was taken over."""

    async def append(self, facts: Sequence[Fact]) -> int:
        """Write all the facts and their read models in one transaction; returns the last seq.

        Repeating the same call after JournalDownError is safe: facts that are there already are recognised. Raises
        LeaseLostError when the epoch is not ours any more, checked in the same transaction, and AlreadyKeptError.
        """

    def read(self, after: int = 0) -> AsyncIterator[Entry]:
        """Yield what is kept, in order, from behind the given seq."""

    async def keep_snapshot(self, program: str, body: str) -> None:
        """Keep what all facts so far have built, for `program`; older ones make room. Raises LeaseLostError."""

    async def snapshot(self, program: str) -> Snapshot | None:
        """The newest snapshot of this program whose place in the chain is still the same."""

    async def digest_of(self, key: str) -> str | None:
        """The digest of the message received under this key, None when there was none."""

    async def close(self) -> None:
        """Give the lease back and close."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order as it goes to a venue: a limit IOC of `quantity` at `limit`, or a market buy that spends `spend`."""

    client_id: str
    symbol: str
    side: str
    quantity: Decimal | None
    limit: Decimal | None
    spend: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as bytes, signed at `signed_ms` and refused by the venue when it arrives after `not_after_ms`."""

    client_id: str
    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: str = field(repr=False)
    signed_ms: int
    not_after_ms: int
    digest: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue took the order under its own id."""

    venue_order: str


@dataclass(frozen=True, slots=True)
class RefusedByVenue:
    """The venue refused with a code of the list that is known to mean: there is no order."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Anything else: the order may or may not exist."""

    why: str


Reply = Accepted | RefusedByVenue | Unclear


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue shows it. filled: None where it does not say exactly how much; `spent` is the money of it then, if it says that."""

    venue_order: str
    client_id: str
    symbol: str
    side: str
    quantity: Decimal | None
    filled: Decimal | None
    is_open: bool
    status: str
    at_ms: int
    spent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class VenueTrade:
    """A trade of our account; `fee` in `fee_asset`."""

    trade: str
    venue_order: str
    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything of our account in a span of time; only a complete one (last page proven) can prove an absence."""

    since_ms: int
    until_ms: int
    orders: tuple[VenueOrder, ...]
    trades: tuple[VenueTrade, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """What the account holds of an asset."""

    total: Decimal
    free: Decimal


@dataclass(frozen=True, slots=True)
class Touch:
    """The best bid and the best ask of a market."""

    bid: Decimal
    ask: Decimal


@dataclass(frozen=True, slots=True)
class VenueBar:
    """A candle of a market as the venue shows it; the newest may be open still."""

    opened_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Touched:
    """A stream told the best prices of a market."""

    symbol: str
    touch: Touch


@dataclass(frozen=True, slots=True)
class Rolled:
    """A stream told that a new candle of a market began: the one before is closed, and a question will show it."""

    symbol: str
    opened_ms: int


@dataclass(frozen=True, slots=True)
class Stirred:
    """A stream told that something happened to an order of the account; what, questions show."""

    venue_order: str
    client_id: str = ""


Hint = Touched | Rolled | Stirred


class VenueDownError(Exception):
    """A question to the venue got no trustworthy answer; nothing follows from that."""


@dataclass(frozen=True, slots=True)
class KeyView:
    """What a venue shows of the key that asks; None is what it does not show. rights: in the venue's words, with `(read)` behind
    those that change nothing. addresses: the IPs it is bound to, () = to none. pairs: the only symbols it may trade, () = all.
    """

    may_trade: bool | None
    may_withdraw: bool | None
    rights: tuple[str, ...] = ()
    addresses: tuple[str, ...] | None = None
    pairs: tuple[str, ...] = ()
    made_at: datetime | None = None
    note: str = ""


class Venue(Protocol):
    """An exchange account: instruments, orders sent once, and truth by asking."""

    name: str
    settle_seconds: float  # an accepted order is in one of the lists within this time

    def client_id(self, core: str) -> str:
        """The client id in this venue's form for 26 characters of [a-z2-7]."""

    async def now_ms(self) -> int:
        """The venue's clock."""

    async def signing_ms(self) -> int:
        """The venue's clock as far as it is known without asking anew: good enough to sign with, never to prove with."""

    async def instruments(self, assets: Sequence[str]) -> list[Instrument]:
        """The tradable markets of these assets against the account's money."""

    def sign(self, request: OrderRequest, *, signed_ms: int, not_after_ms: int) -> Signed:
        """The exact bytes of a request; raises ValueError for what the venue would silently change."""

    async def send(self, signed: Signed) -> Reply:
        """Write the bytes once: no retry, no redirect, no second signature."""

    async def cancel(self, venue_order: str, symbol: str) -> None:
        """Ask to cancel; the outcome is what later questions show."""

    async def find(self, client_id: str, symbol: str) -> VenueOrder | None:
        """Look an order up by client id; None proves nothing by itself."""

    async def scan(self, symbols: Sequence[str], *, since_ms: int, until_ms: int) -> Scan:
        """All open orders, finished orders and trades of the span, every page; raises VenueDownError if one failed."""

    async def balances(self) -> dict[str, Balance]:
        """What the account holds."""

    async def touch(self, symbol: str) -> Touch:
        """The best prices now."""

    async def bars(self, symbol: str, timeframe: str, *, since_ms: int) -> list[VenueBar]:
        """Candles that opened at or after an instant and are over, oldest first: as many as the venue gives at once."""

    async def hear_market(self, symbols: Sequence[str], timeframe: str, tell: Callable[[Hint], None]) -> None:
        """Tell what streams say of markets until cancelled: hints, never proofs. Raises VenueDownError when one ends."""

    async def hear_account(self, tell: Callable[[Hint], None]) -> None:
        """The same of the account's orders; nothing that happened before is told. Raises VenueDownError when it ends."""

    async def trades_of(self, venue_order: str, symbol: str) -> list[VenueTrade]:
        """The trades of one order as the venue shows them now; there may be more a little later."""

    async def order(self, venue_order: str, symbol: str) -> VenueOrder | None:
        """An order by the venue's own id, None where the venue does not show it (yet)."""

    async def close(self) -> None:
        """Close connections."""


class Clock(Protocol):
    """Time from outside: what is now, and how to wait."""

    def now(self) -> datetime:
        """Wall time, aware UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, those of a machine asleep included."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
