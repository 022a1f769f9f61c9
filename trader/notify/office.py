"""The post office: which events become which letters, to which target, and when.

Per target a level, a queue with a bound, letters that gather what came within some seconds, quiet hours that only what is critical
passes, a limit per hour, pauses that grow after a failure. What is not told in full is counted, and the count is told. Its
state is plain data: written down with the place in the journal, nothing is lost over a restart.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta, tzinfo
from typing import ClassVar

from trader.notify.event import CRITICAL, LEVELS, Alarm, Event

HOUR = timedelta(hours=1)
PAUSES = (5.0, 15.0, 60.0, 300.0, 900.0)  # seconds after the first, second ... failure in a row


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of the day in a zone in which only what is critical is told; they may run over midnight."""

    begin: time
    until: time
    zone: tzinfo

    def holds(self, now: datetime) -> bool:
        """Whether it is quiet now."""
        at = now.astimezone(self.zone).time()
        if self.begin <= self.until:
            return self.begin <= at < self.until
        return at >= self.begin or at < self.until


@dataclass(frozen=True, slots=True)
class Rules:
    """How letters are made. limit: letters per target within an hour, as many again for critical ones; lines: events told in full."""

    levels: Mapping[str, str]
    gather: timedelta = timedelta(seconds=10)
    repeat: timedelta = HOUR
    calm: timedelta = timedelta(seconds=60)
    limit: int = 20
    lines: int = 12
    queue: int = 500
    quiet: Quiet | None = None

    def wants(self, target: str, level: str) -> bool:
        """Whether a target is told of this level."""
        return LEVELS.index(level) >= LEVELS.index(self.levels[target])


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event in a queue, under a number of its own, since when it is there."""

    number: int
    event: Event
    came: datetime


@dataclass(slots=True)
class Box:
    """One target's queue. `left` counts by title what had no room; `sent` are instants of letters, with whether they were critical."""

    waiting: list[Waiting] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    sent: list[tuple[datetime, bool]] = field(default_factory=list)
    failures: int = 0
    failed: datetime | None = None  # when the first of these failures was
    again: datetime | None = None  # not before


@dataclass(slots=True)
class Standing:
    """An alarm that was told: when last, and since when it seems over."""

    alarm: Alarm
    told: datetime
    gone: datetime | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be delivered to a target: these events in full, these numbers in all, and what else was counted by title."""

    target: str
    level: str
    events: tuple[Event, ...]
    numbers: frozenset[int]
    more: Mapping[str, int]
    left: Mapping[str, int]  # the part of `more` that had no room in the queue
    is_urgent: bool
    failed: datetime | None = None  # since when nothing could be delivered


@dataclass(slots=True)
class Office:
    """All of it. `post` and `stand` take what is to be told, `due` gives letters; `done` or `failed` must answer each letter."""

    rules: Rules
    boxes: dict[str, Box] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    posted: dict[str, datetime] = field(default_factory=dict)
    number: int = 0
    under_way: dict[str, Letter] = field(default_factory=dict)  # no state: after a restart none is
    STATE: ClassVar[tuple[str, ...]] = ("boxes", "standing", "posted", "number")

    def __post_init__(self) -> None:
        self.align()

    def align(self) -> None:
        """Have a box for each target of the rules and for no other; to be called after a state was restored."""
        self.boxes = {name: self.boxes.get(name) or Box() for name in self.rules.levels}

    # What is to be told

    def post(self, now: datetime, events: Iterable[Event]) -> None:
        """Put events into the queues of those who are told of their level."""
        for event in events:
            if event.once:
                if event.key in self.posted and now - self.posted[event.key] < self.rules.repeat:
                    continue
                self.posted[event.key] = now
            self.number += 1
            for name, box in self.boxes.items():
                if self.rules.wants(name, event.level):
                    box.waiting.append(Waiting(self.number, event, now))
                    self._trim(name, box)
        self.posted = {key: at for key, at in self.posted.items() if now - at < self.rules.repeat}

    def _trim(self, name: str, box: Box) -> None:
        """Over its bound a queue gives up the oldest of what matters least, and counts it; what is under way stays."""
        if len(box.waiting) <= self.rules.queue:
            return
        letter = self.under_way.get(name)
        kept = frozenset[int]() if letter is None else letter.numbers
        free = [one for one in box.waiting if one.number not in kept]
        if len(free) > self.rules.queue:
            least = min(free, key=lambda one: (LEVELS.index(one.event.level), one.number))
            box.waiting.remove(least)
            box.left[least.event.title] = box.left.get(least.event.title, 0) + 1

    def stand(self, now: datetime, alarms: Mapping[str, Alarm], judged: frozenset[str] | None = None) -> None:
        """Tell alarms that are new, remind of those that stand, and give the all-clear for those of `judged` (None = all) that ended."""
        for key, alarm in alarms.items():
            before = self.standing.get(key)
            if before is None or LEVELS.index(alarm.level) > LEVELS.index(before.alarm.level):
                self.post(now, [Event(now, alarm.level, alarm.title, alarm.text, key)])
                self.standing[key] = Standing(alarm, now)
            elif now - before.told >= self.rules.repeat:
                text = f"{alarm.text} (since {alarm.since:%Y-%m-%d %H:%M} UTC)"
                self.post(now, [Event(now, before.alarm.level, f"still: {alarm.title}", text, key)])
                self.standing[key] = Standing(replace(alarm, level=before.alarm.level), now)
            else:
                before.gone = None
        for key, one in list(self.standing.items()):
            if key in alarms or (judged is not None and key not in judged):
                continue
            if one.gone is None:
                one.gone = now
            elif now - one.gone >= self.rules.calm:
                text = f"it stood from {one.alarm.since:%Y-%m-%d %H:%M} to {one.gone:%Y-%m-%d %H:%M} UTC"
                self.post(now, [Event(now, one.alarm.level, f"all clear: {one.alarm.title}", text, key)])
                del self.standing[key]

    # What goes out

    def due(self, now: datetime) -> list[Letter]:
        """The letters that may go now, at most one for each target that has none under way."""
        found = [letter for name, box in self.boxes.items() if (letter := self._letter(name, box, now)) is not None]
        self.under_way |= {letter.target: letter for letter in found}
        return found

    def _letter(self, name: str, box: Box, now: datetime) -> Letter | None:
        if name in self.under_way or (box.again is not None and now < box.again):
            return None
        alarms = [one for one in box.waiting if _is_urgent(one)]
        is_urgent = bool(alarms)
        fits = alarms if self._is_quiet(now) else box.waiting
        if not fits or not (is_urgent or now - fits[0].came >= self.rules.gather):
            return None
        box.sent = [(at, urgent) for at, urgent in box.sent if now - at < HOUR]
        if sum(urgent == is_urgent for _, urgent in box.sent) >= self.rules.limit:
            return None
        first = sorted(fits, key=lambda one: (-LEVELS.index(one.event.level), one.number))[: self.rules.lines]
        told = {one.number for one in first}
        more = Counter(one.event.title for one in fits if one.number not in told)
        more.update(box.left)
        events = tuple(one.event for one in sorted(first, key=lambda one: one.number))
        level = max((one.level for one in events), key=LEVELS.index)
        numbers = frozenset(one.number for one in fits)
        return Letter(name, level, events, numbers, dict(more), dict(box.left), is_urgent, box.failed)

    def _is_quiet(self, now: datetime) -> bool:
        return self.rules.quiet is not None and self.rules.quiet.holds(now)

    def done(self, letter: Letter, now: datetime) -> None:
        """The letter was delivered."""
        box = self._back(letter)
        box.waiting = [one for one in box.waiting if one.number not in letter.numbers]
        told = letter.left
        box.left = {
            title: count - told.get(title, 0) for title, count in box.left.items() if count > told.get(title, 0)
        }
        box.sent.append((now, letter.is_urgent))
        box.failures, box.failed, box.again = 0, None, None

    def failed(self, letter: Letter, now: datetime) -> None:
        """The letter was not delivered: what is in it waits on, and goes with what came meanwhile, after a pause."""
        box = self._back(letter)
        box.failed = box.failed or now
        box.again = now + timedelta(seconds=PAUSES[min(box.failures, len(PAUSES) - 1)])
        box.failures += 1

    def _back(self, letter: Letter) -> Box:
        self.under_way.pop(letter.target, None)
        return self.boxes[letter.target]


def _is_urgent(one: Waiting) -> bool:
    return one.event.level == CRITICAL and not one.event.title.startswith("all clear")


def written(letter: Letter) -> tuple[str, str]:
    """Title and text of a letter, plain."""
    first = next(one for one in letter.events if one.level == letter.level)
    others = len(letter.events) - 1 + sum(letter.more.values())
    title = first.title + (f" and {others} more" if others else "")
    lines = [f"{one.at:%m-%d %H:%M:%S} {one.title}: {one.text}" for one in letter.events]
    if letter.more:
        counts = ", ".join(f"{count} × {name}" for name, count in sorted(letter.more.items()))
        lines.append(f"and {sum(letter.more.values())} more that are not told one by one: {counts}")
    if letter.failed is not None:
        lines.append(f"from {letter.failed:%Y-%m-%d %H:%M} UTC on nothing could be delivered here")
    return title, "\n".join(lines)
