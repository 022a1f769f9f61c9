"""Rehearing: a recorded session told to a fresh engine again, and each of its decisions compared with the one on record.

The engine hears what it heard then: bars, signals, timers, prices, and what venues made of orders. What follows must be what
followed then. Where it is not, the difference says why it may be, and the comparison goes on from the record.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

from trader.core.engine import Engine
from trader.core.facts import (
    AttemptEnded,
    BarClosed,
    Decided,
    DustLeft,
    ExitHit,
    Fact,
    Filled,
    Halted,
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
    Resumed,
    SignalsKnown,
    StrategyFailed,
    TargetSet,
    TimerDue,
    TimerSet,
)
from trader.core.instants import to_ns
from trader.core.records import CommandTaken, ConfigApplied, MountStarted, PastTaught
from trader.core.recovery import fold
from trader.runtime.causes import caused, kinds_of

TOLD = (BarClosed, SignalsKnown, TimerDue, PriceSeen)
LEARNT = (
    OrderSending, OrderAccepted, OrderUnknown, OrderAbsent, OrderStuck, AttemptEnded, OrderClosed, OrderCut, Filled,
    Halted, Resumed,
)  # fmt: skip
ONLY_MADE = (Decided, StrategyFailed, TargetSet, OrderPlaced, Refused, MemoKept, TimerSet, DustLeft)
MADE = (*ONLY_MADE, ExitHit)
MOST = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the record and the engine part: `reason` is code, input (what the market showed), state (how the mount stood) or fill."""

    place: int
    reason: str
    recorded: Fact | None
    now: Fact | None


@dataclass(slots=True)
class Rehearing:
    """What came of it."""

    decisions: int = 0
    same: int = 0
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changes: list[str] = field(
        default_factory=list
    )  # where the configuration was changed, and how the comparison went on


class _Tape:
    """The facts that an engine hears or makes, with a place."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self.facts, self.place = facts, 0

    def group(self) -> list[Fact]:
        """What was told at once: facts from outside that stand together and are of one instant."""
        first = self.facts[self.place]
        found = [first]
        while self.place + len(found) < len(self.facts):
            after = self.facts[self.place + len(found)]
            if not isinstance(after, TOLD) or after.at != first.at or isinstance(first, PriceSeen):
                break
            found.append(after)
        return found

    def bars_ahead(self) -> list[BarClosed]:
        """The next bars that were told at once."""
        rest = (fact for fact in islice(self.facts, self.place, None) if isinstance(fact, BarClosed))
        first = next(rest, None)
        return [] if first is None else [first, *takewhile(lambda bar: bar.at == first.at, rest)]


def _file_only(engine: Engine, applied: ConfigApplied | None) -> str:
    del engine, applied
    return "decided with the same strategy all the same"


def rehear(
    facts: Sequence[Fact], make: Callable[[MountStarted], Engine],
    adopt: Callable[[Engine, ConfigApplied | None], str] = _file_only, mount: str = "",
) -> Rehearing:  # fmt: skip
    """Tell a recorded session again; `make` builds the engine of a start. Raises ValueError where no start is on record.

    adopt: reconfigures an engine as a configuration on record, or with None as that of `make`, and says so. The last configuration
    that was applied is the one that is tried out, hence that of `make`; what was decided under others is decided under those.
    mount: whose decisions; none = those of the mount that was started first.
    """
    heard = Rehearing()
    kept = _of_mount(facts, mount)
    applied, current = [fact for fact in kept if isinstance(fact, ConfigApplied)], None
    start = next((fact for fact in kept if isinstance(fact, MountStarted)), None)
    if start is None:
        raise ValueError("the journal has no start of a mount: nothing was run on it")
    engine = make(start)
    tape = _Tape(kept)
    while tape.place < len(kept):
        fact, begin = kept[tape.place], tape.place
        if isinstance(fact, ConfigApplied):
            current = None if fact is applied[-1] else fact
            said = adopt(engine, current)
            if len(applied) > 1:
                heard.changes.append(f"{fact.at:%Y-%m-%d %H:%M:%S} {fact.hash[:12]} ({fact.why}): {said}")
            tape.place += 1
            continue
        known = repr(engine.strategy)
        if isinstance(fact, MountStarted) and fact.strategy != known and fact.strategy not in heard.notes:
            heard.notes.append(fact.strategy)
        followed = caused_by(engine, tape)
        if not _agree(tape, followed, heard, begin, is_changed=bool(heard.notes)):
            if len(heard.differences) >= MOST:
                return heard
            tape.place = max(tape.place, begin + 1)
            engine = make(start)
            if applied:
                adopt(engine, current)
            fold(engine, kept[: tape.place])
    return heard


def _of_mount(facts: Sequence[Fact], mount: str) -> list[Fact]:
    """What a mount hears or makes, from where its history begins."""
    starts = [(place, fact.mount) for place, fact in enumerate(facts) if isinstance(fact, MountStarted)]
    first = starts[0][1] if starts else ""
    name = mount or first
    begin = 0 if name == first else next((place for place, one in starts if one == name), len(facts))
    kinds = (*TOLD, *LEARNT, PastTaught, CommandTaken, ConfigApplied, MountStarted, *MADE)
    return [
        fact
        for fact in islice(facts, begin, None)
        if isinstance(fact, kinds) and getattr(fact, "mount", name) == name and getattr(fact, "scope", "") in {"", name}
    ]


def caused_by(engine: Engine, tape: _Tape) -> list[Fact]:
    """Tell the engine what stands at the tape's place, move on behind it, and return what followed."""
    fact, wanted = tape.facts[tape.place], kinds_of(engine.wants)
    match fact:
        case PastTaught(count=count):
            bars = tape.facts[tape.place + 1 : tape.place + 1 + count]
            engine.teach(*[bar for bar in bars if isinstance(bar, BarClosed)])
            tape.place += 1 + count
            return []
        case ExitHit():  # it was carried out before its bar was told
            bars = tape.bars_ahead()
            if not bars:
                tape.place += 1
                return []
            return caused(bars, engine.fire(*bars), wanted)
        case BarClosed() | SignalsKnown() | TimerDue() | PriceSeen():
            group = tape.group()
            tape.place += len(group)
            return caused(group, engine.handle(*group), wanted)
        case CommandTaken(command="flatten"):
            tape.place += 1
            return caused([fact], engine.flatten(to_ns(fact.at)), wanted)
        case MountStarted() | CommandTaken() | ConfigApplied():
            tape.place += 1
            return engine.learn(fact)
        case _ if isinstance(fact, LEARNT):
            tape.place += 1
            return caused([fact], engine.learn(fact), wanted)
        case _:
            return []  # something that nothing explains


def _agree(tape: _Tape, followed: Sequence[Fact], heard: Rehearing, begin: int, *, is_changed: bool) -> bool:
    """Compare what followed with what stands on record next, and move on behind it; false at the first difference."""
    thoughts = sum(isinstance(now, Decided | StrategyFailed) for now in followed)
    heard.decisions += thoughts
    for now in followed:
        recorded = tape.facts[tape.place] if tape.place < len(tape.facts) else None
        if recorded != now:
            heard.differences.append(
                Difference(tape.place, _reason(recorded, now, is_changed=is_changed), recorded, now)
            )
            return False
        tape.place += 1
    after = tape.facts[tape.place] if tape.place < len(tape.facts) else None
    if after is not None and (isinstance(after, ONLY_MADE) or tape.place == begin):
        heard.decisions += isinstance(after, Decided)
        heard.differences.append(Difference(tape.place, "code" if is_changed else "input", after, None))
        tape.place += 1
        return False
    heard.same += thoughts
    return True


def _reason(recorded: Fact | None, now: Fact, *, is_changed: bool) -> str:
    """Why a fact may be another than then: what a wake was shown tells input and state from code."""
    if isinstance(recorded, Decided) and isinstance(now, Decided) and recorded.saw and recorded.saw != now.saw:
        (market, mount), (market_now, mount_now) = (one.saw.split("-") for one in (recorded, now))
        return "input" if market != market_now else "state" if mount != mount_now else "code"
    if is_changed or isinstance(now, Decided | TargetSet):
        return "code"  # it was shown the same
    return "fill" if isinstance(now, OrderClosed) else "state"
