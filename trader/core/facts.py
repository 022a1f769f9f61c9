"""Facts: what has happened, as frozen records in the past tense; the only truth that is kept.

`Book.apply` folds them; a replay keeps them as rows `(class, at in ns, *fields)` and makes them when somebody asks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from trader.core.exits import Exit
from trader.core.instants import from_ns
from trader.core.instruments import Number
from trader.core.records import (
    AccountCompared,
    BalanceSeen,
    BaselineSet,
    BatchClosed,
    CommandTaken,
    ConfigApplied,
    DiscrepancySeen,
    EpochTaken,
    ForeignSeen,
    LinkChanged,
    MountStarted,
    PastTaught,
    SignalClosed,
    SignalReceived,
    StateChanged,
)
from trader.core.signals import Signal
from trader.core.strategy import Quote, Units


@dataclass(frozen=True, slots=True)
class SignalsKnown:
    """One publication of a vendor became known."""

    at: datetime
    signals: tuple[Signal, ...]
    is_rating: bool = True
    key: str = ""  # of the message that brought it; empty in a replay


@dataclass(frozen=True, slots=True)
class BarClosed:
    """A bar of an asset closed at `at`; prices in quote money, volume in units."""

    at: datetime
    asset: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    market: str = ""  # whose bars, and how long ones, where several are heard; empty = everybody's, and in a replay


@dataclass(frozen=True, slots=True)
class PriceSeen:
    """A fresh price of an asset."""

    at: datetime
    asset: str
    price: float
    market: str = ""


@dataclass(frozen=True, slots=True)
class TimerDue:
    """An instant that a mount asked to be woken at has come."""

    at: datetime
    mount: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A strategy was woken and decided; `saw` hashes what the view showed and how the mount stood, as market-mount."""

    at: datetime
    mount: str
    causes: tuple[str, ...]
    why: str
    saw: str = ""


@dataclass(frozen=True, slots=True)
class StrategyFailed:
    """The strategy raised; its decision is as if it held."""

    at: datetime
    mount: str
    error: str


@dataclass(frozen=True, slots=True)
class TargetSet:
    """The standing target of an asset changed."""

    at: datetime
    mount: str
    asset: str
    size: float | Quote | Units
    exits: tuple[Exit, ...]
    why: str


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """We decided on an order: `quantity` units, or `spend` quote money where quantity is None.

    `cause` is the key of what the decision answered, from which its name at the venue is made; empty in a replay.
    """

    at: datetime
    mount: str
    order: int
    asset: str
    venue: str
    side: str
    quantity: Number | None
    spend: Number | None
    why: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class OrderSending:
    """The order is about to leave: these signed bytes (`digest`), valid until `not_after_ms` on the venue's clock."""

    at: datetime
    mount: str
    order: int
    client_id: str = ""
    attempt: int = 1
    quantity: Number | None = None
    limit: Number | None = None
    signed_ms: int = 0
    not_after_ms: int = 0
    digest: str = ""
    epoch: int = 0
    spend: Number | None = None


@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """The venue confirmed the order under its own id."""

    at: datetime
    mount: str
    order: int
    venue_order: str = ""


@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """Nobody knows whether the order reached the venue; it counts as filled until proven."""

    at: datetime
    mount: str
    order: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class OrderAbsent:
    """It is proven that the attempt never became an order and never will: the evidence says how."""

    at: datetime
    mount: str
    order: int
    evidence: str


@dataclass(frozen=True, slots=True)
class OrderStuck:
    """The outcome could not be proven in time; a person must look."""

    at: datetime
    mount: str
    order: int
    why: str


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """What was sent is final at the venue and all its trades are booked; what is left of the order may be sent again.

    `why` is the venue's code where it refused a sale, which is tried again: a position must not stay for want of a second try.
    """

    at: datetime
    mount: str
    order: int
    attempt: int
    filled: Number
    why: str = ""


@dataclass(frozen=True, slots=True)
class ZombieSeen:
    """An order of ours appeared at the venue although it was proven absent or refused."""

    at: datetime
    mount: str
    order: int
    client_id: str
    venue_order: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """We asked the venue to cancel what is left of the order."""

    at: datetime
    mount: str
    order: int


@dataclass(frozen=True, slots=True)
class OrderClosed:
    """The order is final: filled, cash, replaced, exit, delisted, no_bar, end, lot, minimum …"""

    at: datetime
    mount: str
    order: int
    asset: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderCut:
    """Part of what was left of an order was given up for want of cash: units, or money where it is spent."""

    at: datetime
    mount: str
    order: int
    asset: str
    amount: Number


@dataclass(frozen=True, slots=True)
class Filled:
    """Part of an order (None: a write-off) traded at `price`; the fee is in `fee_asset` ("quote" = money).

    `trade` is the venue's id of the trade, by which it is booked once; empty in a replay.
    """

    at: datetime
    mount: str
    order: int | None
    asset: str
    venue: str
    side: str
    quantity: Number
    price: Number
    fee: Number
    fee_asset: str
    why: str
    trade: str = ""


@dataclass(frozen=True, slots=True)
class ExitHit:
    """An exit's condition was met; its share of the holding goes."""

    at: datetime
    mount: str
    asset: str
    number: int
    exit: Exit
    price: Number


@dataclass(frozen=True, slots=True)
class DustLeft:
    """What is left of a holding cannot be sold; it counts as flat and stays owned."""

    at: datetime
    mount: str
    asset: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A target or order was refused or cut by the named rule."""

    at: datetime
    mount: str
    asset: str
    rule: str
    wanted: Number
    allowed: Number


@dataclass(frozen=True, slots=True)
class MemoKept:
    """The strategy keeps a value for its later wakes."""

    at: datetime
    mount: str
    memo: object


@dataclass(frozen=True, slots=True)
class TimerSet:
    """The strategy asked to be woken at `due`."""

    at: datetime
    mount: str
    due: datetime


@dataclass(frozen=True, slots=True)
class Halted:
    """Opening and increasing stopped for a mount, by the named rule or operator."""

    at: datetime
    mount: str
    by: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """A halted mount may open again."""

    at: datetime
    mount: str
    by: str


Fact = (
    SignalsKnown | BarClosed | PriceSeen | TimerDue | Decided | StrategyFailed | TargetSet | OrderPlaced | OrderSending
    | OrderAccepted | OrderUnknown | OrderAbsent | OrderStuck | AttemptEnded | ZombieSeen | CancelAsked | OrderClosed | OrderCut | Filled
    | ExitHit | DustLeft | Refused | MemoKept | TimerSet | Halted | Resumed | SignalReceived | SignalClosed | BatchClosed | PastTaught | MountStarted | AccountCompared | BalanceSeen
    | BaselineSet | DiscrepancySeen | ForeignSeen | LinkChanged | EpochTaken | StateChanged | CommandTaken | ConfigApplied
)  # fmt: skip
Row = tuple[object, ...]
SIDES = {1: "buy", -1: "sell"}


class Woken:
    """Heads a short row: a wake and its decision, which stand for a `Decided`."""


class Still:
    """Heads a short row: wakes for one cause at several instants, all of which left everything as it was."""


class Dealt:
    """Heads a short row: an order that was placed, filled whole and closed at one instant, which stands for three facts."""


class Many:
    """Heads a short row: many short rows at once, made when somebody asks for them."""


def fact_of(row: Row) -> Fact:
    """The fact that a row stands for."""
    cls, at, *fields = row
    return cls(from_ns(at), *fields)  # type: ignore[operator,arg-type,no-any-return]  # rows are (class, ns, *fields)


def each(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, short ones too, with those that stand for many made."""
    for row in rows:
        if row[0] is Many:
            yield from row[1]()  # type: ignore[operator]
        else:
            yield row


def in_full(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows with short ones written out: one row per fact."""
    for row in each(rows):
        if row[0] is Woken:
            _, at, mount, wake, decision = row
            yield Decided, at, mount, wake.causes, decision.why  # type: ignore[attr-defined]
        elif row[0] is Still:
            _, _, mount, wake, instants = row
            for at in instants:  # type: ignore[attr-defined]
                yield Decided, at, mount, wake.causes, ""  # type: ignore[attr-defined]
        elif row[0] is Dealt:
            _, at, mount, number, asset, venue, side, quantity, spend, price, fee, fee_asset, why = row
            head, side = (at, mount, number, asset), SIDES[side]  # type: ignore[index]
            yield OrderPlaced, *head, venue, side, None if spend is not None else quantity, spend, why
            yield Filled, *head, venue, side, quantity, price, fee, fee_asset, why
            yield OrderClosed, *head, "filled"
        else:
            yield row
