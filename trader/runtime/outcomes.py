"""Outcomes: how each publication ended for the mount, exactly once; final when its orders are final.

It is folded from facts, so that a restart changes nothing, and what it adds goes into the same commit as what it follows from.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from trader.core.facts import (
    BarClosed,
    Decided,
    Fact,
    Filled,
    OrderClosed,
    OrderPlaced,
    PriceSeen,
    Refused,
    SignalsKnown,
    TimerDue,
)
from trader.core.records import SignalClosed

WORKING, TRADED, NO_CHANGE, NOTED, UNWANTED = "working", "traded", "no_change", "noted", "unwanted"
CONFLICT = "conflict"  # all that it said, a source that is trusted more said otherwise
BY_SIGNAL = "signal:"


@dataclass(slots=True)
class Open:
    """A publication that is not final: how each of its assets stands."""

    publication: SignalsKnown
    moved: dict[str, str] = field(default_factory=dict)
    woke: bool = False


class Outcomes:
    """The open publications of a mount. `wanted` are the kinds that it reads."""

    STATE = ("open", "_orders", "_traded", "_told", "_is_decided")

    def __init__(self, mount: str, wanted: Iterable[str]) -> None:
        self.mount, self.wanted = mount, frozenset(wanted)
        self.open: dict[str, Open] = {}
        self._orders: dict[int, tuple[str, str]] = {}
        self._traded: set[int] = set()
        self._told: list[str] = []  # publications since the last decision that are open
        self._is_decided = False

    def note(self, fact: Fact) -> None:
        """Learn from one fact, in order."""
        if isinstance(fact, SignalsKnown | BarClosed | PriceSeen | TimerDue) and self._is_decided:
            self._told.clear()
            self._is_decided = False
        match fact:
            case SignalsKnown(key=key) if key:
                self.open[key] = Open(fact)
                self._told.append(key)
            case Decided() if fact.mount == self.mount:
                self._is_decided = True
                for one in self._current():
                    one.woke = True
            case Refused() if fact.mount == self.mount and not fact.allowed:
                for one in self._current():
                    if fact.asset in {said.asset for said in one.publication.signals}:
                        one.moved.setdefault(fact.asset, f"refused {fact.rule}")
            case OrderPlaced() if fact.mount == self.mount and fact.cause.startswith(BY_SIGNAL):
                key = fact.cause.removeprefix(BY_SIGNAL)
                if key in self.open:
                    self.open[key].moved[fact.asset] = WORKING
                    self._orders[fact.order] = (key, fact.asset)
            case Filled() if fact.mount == self.mount and fact.order in self._orders:
                self._traded.add(fact.order)
            case OrderClosed() if fact.mount == self.mount and fact.order in self._orders:
                key, asset = self._orders.pop(fact.order)
                if key in self.open:
                    self.open[key].moved[asset] = TRADED if fact.order in self._traded else fact.reason
            case SignalClosed() if fact.mount == self.mount:
                self.open.pop(fact.key, None)
                if fact.key in self._told:  # it may be long, or for ever, until something is decided
                    self._told.remove(fact.key)
            case _:
                pass

    def _current(self) -> list[Open]:
        """The publications that were told with what is being decided."""
        return [self.open[key] for key in self._told if key in self.open]

    def closing(self, facts: Sequence[Fact]) -> list[SignalClosed]:
        """What becomes final with these facts, which are about to be written."""
        for fact in facts:
            self.note(fact)
        done = [key for key, one in self.open.items() if WORKING not in one.moved.values()]
        closed = [
            SignalClosed(
                facts[-1].at, key, self.mount, self._of(self.open[key]), tuple(sorted(self.open[key].moved.items()))
            )
            for key in done
        ]
        for fact in closed:
            self.note(fact)
        return closed

    def _of(self, one: Open) -> str:
        ends = set(one.moved.values())
        if TRADED in ends:
            return TRADED
        if ends:
            return min(ends)
        if not one.publication.signals:
            return CONFLICT
        if not self.wanted & {signal.kind for signal in one.publication.signals}:
            return UNWANTED
        return NO_CHANGE if one.woke else NOTED
