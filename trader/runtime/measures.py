"""Measures: what the running process counts and times, in plain numbers that cost an order next to nothing.

It listens to facts that were kept, and is told durations where they are known. It asks nobody, and no order of facts can make it
raise: what began in an earlier process, or was pushed out of the bounded memory, is counted and not timed.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from time import perf_counter, time
from typing import TypeVar

from trader.core.facts import (
    AttemptEnded,
    Fact,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
    ZombieSeen,
)
from trader.core.records import CommandTaken, SignalClosed, SignalReceived

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds
STAGES = ("queued", "decided", "kept", "sending", "answered", "filled")
MOST = 10_000  # orders and messages whose beginning is remembered
NAMES_MOST = 40  # names that one tally tells apart
OTHER, REFUSED = "other", "refused"
OUTCOMES = ("traded", "no_change", "noted", "unwanted", "duplicate", "conflict", "malformed", "unauthenticated")
RESULTS = ("sent", "accepted", REFUSED, "unknown", "absent", "stuck", "zombie")
Order = tuple[str, int]
OfOrder = (
    OrderSending | OrderAccepted | OrderUnknown | OrderAbsent | OrderStuck | AttemptEnded | OrderClosed | ZombieSeen
)
Key = TypeVar("Key")
Value = TypeVar("Value")


class Histogram:
    """Durations in fixed buckets; `counts` has one more than `bounds`, for what is over the last."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = BOUNDS) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, seconds: float) -> None:
        """Note a duration in seconds."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def plain(self) -> dict[str, object]:
        """Bounds in seconds, the count of each bucket by itself, and the sum of all durations."""
        return {"bounds": list(self.bounds), "counts": list(self.counts), "sum": round(self.total, 6)}


class Tally:
    """Counts by name. The first word of a name counts, and after `NAMES_MOST` names whatever is new is `other`.

    names: those that are there from the start with 0, so that their first one is seen as an increase.
    """

    __slots__ = ("counts",)

    def __init__(self, *names: str) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(names, 0))

    def add(self, name: str) -> None:
        """Count one."""
        word = name.partition(" ")[0][:32] or OTHER
        known = word in self.counts or len(self.counts) < NAMES_MOST
        self.counts[word if known else OTHER] += 1


class Measures:
    """What this process has counted and timed since it began; `fold` is a listener of the keeper."""

    def __init__(self) -> None:
        self.began, self.began_unix = perf_counter(), time()
        self.stages = {name: Histogram() for name in STAGES}
        self.to_wire, self.lag = Histogram(), Histogram()
        self.signals, self.messages, self.commands = Tally(*OUTCOMES), Tally(), Tally()
        self.placed, self.fills = Tally("buy", "sell"), Tally("buy", "sell")
        self.attempts, self.closed = Tally(*RESULTS), Tally("filled", REFUSED)
        self.best = Decimal(0)  # the highest equity that was asked for
        self._came: dict[int, float] = {}
        self._arrival: float | None = None
        self._heard: dict[str, float] = {}  # when each source last said something
        self._received: dict[str, float] = {}
        self._decided: dict[Order, tuple[float, str]] = {}
        self._answered: dict[Order, float] = {}
        self._unknown: dict[Order, float] = {}

    def fold(self, fact: Fact) -> None:
        """Count a fact that was kept, and time what it ends."""
        match fact:
            case SignalReceived():
                self._receipt(fact)
            case SignalClosed(outcome=outcome, key=key):
                self.signals.add(outcome)
                self._received.pop(key, None)
            case CommandTaken(command=command):
                self.commands.add(command)
            case OrderPlaced(mount=mount, order=number):
                self.placed.add(fact.side)
                _remember(self._decided, (mount, number), (perf_counter(), fact.cause))
            case Filled(mount=mount, order=int(number)):
                self.fills.add(fact.side)
                answered = self._answered.pop((mount, number), None)  # only the first fill ends the stage
                if answered is not None:
                    self.spent("filled", answered)
            case (
                OrderSending() | OrderAccepted() | OrderUnknown() | OrderAbsent() | OrderStuck() | AttemptEnded()
                | OrderClosed() | ZombieSeen()
            ):  # fmt: skip
                self._order(fact, (fact.mount, fact.order))
            case _:
                pass

    def _receipt(self, fact: SignalReceived) -> None:
        arrival, self._arrival = self._arrival, None
        if fact.outcome:
            self.signals.add(fact.outcome)
        else:
            _remember(self._received, fact.key, perf_counter() if arrival is None else arrival)

    def _order(self, fact: OfOrder, name: Order) -> None:
        match fact:
            case OrderSending():
                self.attempts.add("sent")
                self._sent(self._decided.pop(name, None))  # only the first request ends the stage
            case OrderAccepted():
                self.attempts.add("accepted")
                _remember(self._answered, name, perf_counter())
            case OrderUnknown():
                self.attempts.add("unknown")
                _remember(self._unknown, name, perf_counter())
            case OrderAbsent():
                self.attempts.add("absent")
            case OrderStuck():
                self.attempts.add("stuck")
            case ZombieSeen():
                self.attempts.add("zombie")
            case AttemptEnded(why=said) | OrderClosed(reason=said):
                if said.startswith(REFUSED):
                    self.attempts.add(REFUSED)
                self._answered.pop(name, None)
        if isinstance(fact, OrderClosed):
            self.closed.add(fact.reason)
            self._decided.pop(name, None)
        if not isinstance(fact, OrderUnknown | OrderStuck | ZombieSeen):
            self._unknown.pop(name, None)

    def _sent(self, decided: tuple[float, str] | None) -> None:
        if decided is None:
            return
        self.spent("sending", decided[0])
        arrival = self._received.get(decided[1].removeprefix("signal:"))
        if arrival is not None:
            self.to_wire.add(perf_counter() - arrival)

    def spent(self, stage: str, since: float) -> None:
        """Note how long a stage took that began at an instant of `perf_counter`."""
        self.stages[stage].add(perf_counter() - since)

    def came(self, source: str, message: object) -> None:
        """A message of a source joined the line."""
        self.messages.add(source)
        now = perf_counter()
        if source in self._heard or len(self._heard) < NAMES_MOST:
            self._heard[source] = now
        _remember(self._came, id(message), now)  # sim-ok: tells two messages under way apart; only seconds come of it

    def taken(self, message: object) -> None:
        """A message left the line, and is judged now."""
        self._arrival = self._came.pop(id(message), None)  # sim-ok: as above
        if self._arrival is not None:
            self.spent("queued", self._arrival)

    def unknown_seconds(self, orders: Mapping[Order, object]) -> float:
        """How long the oldest of these unknown orders is unknown; those of an earlier process since this one began."""
        now = perf_counter()
        return max((now - self._unknown.get(name, self.began) for name in orders), default=0.0)

    def plain(self) -> dict[str, object]:
        """All of it as plain data: counts by name, seconds in histograms."""
        now = perf_counter()
        return {
            "began": round(self.began_unix, 3),
            "stages": {name: one.plain() for name, one in self.stages.items()},
            "to_wire": self.to_wire.plain(), "loop_lag": self.lag.plain(),
            "signals": dict(self.signals.counts), "messages": dict(self.messages.counts),
            "message_seconds_ago": {name: round(now - at, 1) for name, at in self._heard.items()},
            "orders": {"placed": dict(self.placed.counts), "closed": dict(self.closed.counts)},
            "attempts": dict(self.attempts.counts), "fills": dict(self.fills.counts),
            "commands": dict(self.commands.counts),
        }  # fmt: skip


def _remember(where: dict[Key, Value], key: Key, value: Value) -> None:
    """Keep a value; the oldest makes room."""
    if len(where) >= MOST:
        del where[next(iter(where))]
    where[key] = value
