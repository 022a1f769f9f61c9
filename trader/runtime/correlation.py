"""Correlation: to which signal, decision or order a fact belongs, as one text that all lines of one story share.

It is the key of the publication, and whatever follows from it carries the same: decision, orders, remainders, fills, outcome. What no
signal brought about has the cause of its order or decision: an exit, a timer, a bar, a price, a command.
"""

from collections.abc import Callable
from datetime import datetime

from trader.core.facts import (
    AttemptEnded,
    BarClosed,
    CancelAsked,
    Decided,
    DustLeft,
    ExitHit,
    Fact,
    Filled,
    MemoKept,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderCut,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
    PriceSeen,
    Refused,
    SignalsKnown,
    StrategyFailed,
    TargetSet,
    TimerDue,
    TimerSet,
    ZombieSeen,
)
from trader.core.records import BatchClosed, CommandTaken, SignalClosed, SignalReceived
from trader.runtime.causes import exit_key, told_key
from trader.runtime.outcomes import BY_SIGNAL

STEPS_MOST = 100  # remainders of remainders that are followed back
FOLLOWS = ("remainder", "after")  # causes that name an earlier order


class Correlation:
    """Reads facts in the order in which they were kept. `cause_of` knows the cause of an order, empty where there is none."""

    def __init__(self) -> None:
        self.cause_of: Callable[[str, int], str] = lambda _mount, _order: ""
        self._at: datetime | None = None
        self._told = ""  # what is being decided on
        self._is_decided = self._is_signal = False
        self._hits: dict[str, str] = {}

    def of(self, fact: Fact) -> str:
        """The id of the story that a fact belongs to; empty for what belongs to none."""
        match fact:
            case SignalReceived() | SignalClosed() | BatchClosed():
                return fact.key
            case SignalsKnown() | BarClosed() | PriceSeen() | TimerDue() | CommandTaken():
                return self._tell(fact)
            case ExitHit():
                self._hits[fact.asset] = exit_key(fact)
                return self._hits[fact.asset]
            case Decided() | StrategyFailed():
                self._is_decided = True
                return self._told
            case TargetSet() | Refused():
                return self._hits.get(fact.asset, self._told)
            case MemoKept() | TimerSet() | DustLeft() | Filled(order=None):
                return self._told
            case OrderPlaced():
                return self.root(fact.mount, fact.cause)
            case (
                OrderSending() | OrderAccepted() | OrderUnknown() | OrderAbsent() | OrderStuck() | AttemptEnded()
                | ZombieSeen() | CancelAsked() | OrderClosed() | OrderCut() | Filled(order=int())
            ):  # fmt: skip
                return self._order(fact.mount, fact.order or 0, fact.at)
            case _:
                return ""

    def root(self, mount: str, cause: str) -> str:
        """The id of an order with this cause: a remainder belongs to where its first order came from."""
        for _ in range(STEPS_MOST):
            kind, _, rest = cause.partition(":")
            number = rest.partition(":")[0]
            before = self.cause_of(mount, int(number)) if kind in FOLLOWS and number.isdecimal() else ""
            if not before:
                break
            cause = before
        return cause.removeprefix(BY_SIGNAL)

    def _tell(self, fact: SignalsKnown | BarClosed | PriceSeen | TimerDue | CommandTaken) -> str:
        """What is told at one instant is one group until it is decided on; in it a signal's key counts, else what came first."""
        if self._is_decided or fact.at != self._at:
            self._begin(fact.at)
        own = fact.key if isinstance(fact, SignalsKnown) else told_key(fact)
        if not self._told or (isinstance(fact, SignalsKnown) and own and not self._is_signal):
            self._told, self._is_signal = own, isinstance(fact, SignalsKnown)
        return own

    def _order(self, mount: str, number: int, at: datetime) -> str:
        """The id of an order; what is decided because of it belongs to the same story."""
        found = self.root(mount, self.cause_of(mount, number))
        self._begin(at)
        self._told, self._is_signal = found, True
        return found

    def _begin(self, at: datetime) -> None:
        self._at, self._told = at, ""
        self._is_decided = self._is_signal = False
        self._hits.clear()
