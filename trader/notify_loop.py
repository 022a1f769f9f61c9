"""The loop of `trader notify`: read the journal, look at the daemon, deliver letters, ping, each in a task of its own.

What was read and waits is written down in one write of one file. The trading loop never waits for any of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from trader.adapters.fact_codec import CodecError
from trader.core.states import Part
from trader.notify.alarms import Status, Watch, Worth, is_well, judged
from trader.notify.commands import Guard
from trader.notify.event import WARNING, Event
from trader.notify.news import Teller
from trader.notify.office import Letter, Office, written
from trader.notify_commands import Facts, Listener
from trader.notify_place import Place, restored
from trader.ports import Clock, JournalDownError
from trader.runtime.control import Command, NoDaemonError, ask
from trader.runtime.logs import Log

PORTION = 500  # facts that are read at once
ASK_SECONDS = 10.0
SEND_SECONDS = 30.0
STOP_SECONDS = 8.0
WORTH_SECONDS = 60.0


class Target(Protocol):
    """A target, however it is reached; raises NotDeliveredError of its adapter, a text without an address."""

    async def send(self, title: str, text: str, level: str, *, seconds: float) -> None:
        """Deliver a letter."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done."""

    read_seconds: float = 1.0
    ask_seconds: float = 5.0
    look_seconds: float = 0.25


@dataclass(slots=True)
class Pulse:
    """The dead man's switch outside: `beat` pings it, and answers whether it was heard."""

    beat: Callable[[], Awaitable[bool]]
    seconds: float


@dataclass(slots=True)
class Room:
    """Commands through Discord: its guard, and the number of the last message that was dealt with."""

    guard: Guard
    heard: int = 0
    STATE: ClassVar[tuple[str, ...]] = ("heard",)


@dataclass(slots=True)
class Notifier:
    """All of it at work. `undelivered` are the errors by which a target says no."""

    facts: Facts
    socket: Path
    senders: Mapping[str, Target]
    undelivered: tuple[type[Exception], ...]
    office: Office
    watch: Watch
    teller: Teller
    guard: Guard
    place: Place
    clock: Clock
    log: Log
    pulse: Pulse | None = None
    listeners: list[Listener] = field(default_factory=list)
    room: "Room" = field(default_factory=lambda: Room(Guard((), lambda _code, _counter: False, "")))
    pace: Pace = field(default_factory=Pace)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    seq: int = 0
    heard: int = 0
    status: Status | None = None
    unread: str = ""
    _worth: tuple[Worth, ...] = ()
    _worth_at: float = float("-inf")

    async def begin(self, after: int | None = None) -> None:
        """Go on where the last process ended; the first one begins at the journal's end, or behind `after`."""
        kept, length = self.place.read(), await self.facts.last()
        self.seq = length if after is None else after
        if kept is None:
            self.keep()  # from here on nothing is passed over
            self.log.info("begins", seq=self.seq)
            return
        self.seq, self.heard = kept.seq if after is None else after, kept.heard
        if why := restored(kept, self.parts):
            self.log.alert("the state of an earlier version cannot be read: what waited in it is not told", why=why)
        self.office.align()  # targets may have come and gone in the file
        self._fits(length, self.seq)
        self.keep()  # a place that cannot be written is found out before a letter goes out, or it would go again and again
        self.log.info("goes on", seq=self.seq, behind=length - self.seq)

    def _fits(self, length: int, seq: int) -> None:
        """A journal that is shorter than what was told is another one: say so, and go on at its end."""
        if seq > length:
            now = self.clock.now()
            text = f"it has {length} facts, {seq} were told: a restored backup? what is new in it is told"
            self.office.post(now, [Event(now, WARNING, "the journal is shorter", text, "journal")])
            self.seq = length

    @property
    def parts(self) -> Mapping[str, Part]:
        """What is written down beside the place."""
        return {"office": self.office, "watch": self.watch, "teller": self.teller, "guard": self.guard,
                "discord": self.room.guard, "room": self.room}  # fmt: skip

    def keep(self, heard: int | None = None) -> None:
        """Write down how it stands; raises PlaceError."""
        self.heard = self.heard if heard is None else heard
        self.place.write(self.seq, self.heard, self.parts)

    def keep_room(self, heard: int) -> None:
        """Write down how far Discord's channel was dealt with; raises PlaceError."""
        self.room.heard = heard
        self.keep()

    def tell(self, *events: Event) -> None:
        """Hand events to the post office."""
        self.office.post(self.clock.now(), events)
        self.keep()

    async def run(self) -> None:
        """Work until `stopping` is set; what is under way then has a moment to arrive."""
        async with asyncio.TaskGroup() as group:
            loops = [self._read, self._ask, *([self._beat] if self.pulse else [])]
            loops += [one.listen for one in self.listeners]
            working = [group.create_task(loop()) for loop in loops]
            posting = group.create_task(self._post(group))
            await self.stopping.wait()
            for task in working:
                task.cancel()
            await asyncio.wait([posting], timeout=STOP_SECONDS)
            posting.cancel()
        self.keep()

    # What is told

    async def _read(self) -> None:
        while True:
            if not await self.read():
                await self.clock.sleep(self.pace.read_seconds)

    async def read(self) -> bool:
        """Read what is new in the journal; true where there may be more at once."""
        try:
            found = await self.facts.facts(self.seq, PORTION)
        except (JournalDownError, CodecError) as error:
            if not self.unread:
                self.log.warning("journal", error=str(error))
            self.unread = str(error)
            return False
        self.unread = ""
        if found:
            self.office.post(
                self.clock.now(), [told for one in found if (told := self.teller.told(one.fact)) is not None]
            )
            self.seq = found[-1].seq
            self.keep()  # one write: what was read is waiting, or it is read again
        return len(found) == PORTION

    async def _ask(self) -> None:
        while True:
            await self.look()
            await self.clock.sleep(self.pace.ask_seconds)

    async def look(self) -> None:
        """Ask the daemon how it stands, and tell which alarms that makes."""
        try:
            found: Status | None = await ask(self.socket, Command("status"), seconds=ASK_SECONDS)
        except (NoDaemonError, ValueError):
            found = None
        self.status = found if found is not None and found.get("ok") else None
        await self._value()
        if not self.unread:
            with suppress(JournalDownError):  # the next reading says so
                seq = self.seq  # before the question: the journal may only grow meanwhile
                self._fits(await self.facts.last(), seq)
        now = self.clock.now()
        alarms = self.watch.look(now, self.status, self._worth, unread=self.unread)
        self.office.stand(now, alarms, judged(self.status))
        self.keep()

    async def _value(self) -> None:
        if self.watch.patience.drawdown is None or self.clock.monotonic() - self._worth_at < WORTH_SECONDS:
            return
        try:
            self._worth = tuple(Worth(*one) for one in await self.facts.worths())
            self._worth_at = self.clock.monotonic()
        except JournalDownError as error:
            self.unread = str(error)

    # What goes out

    async def _post(self, group: asyncio.TaskGroup) -> None:
        under_way: set[asyncio.Task[None]] = set()
        while not self.stopping.is_set():
            under_way = {task for task in under_way if not task.done()}
            under_way |= {group.create_task(self._deliver(one)) for one in self.office.due(self.clock.now())}
            await self.clock.sleep(self.pace.look_seconds)
        if under_way:
            await asyncio.wait(under_way, timeout=STOP_SECONDS / 2)
        for task in under_way:
            task.cancel()

    async def _deliver(self, letter: Letter) -> None:
        title, text = written(letter)
        try:
            await self.senders[letter.target].send(title, text, letter.level, seconds=SEND_SECONDS)
        except self.undelivered as error:
            self.office.failed(letter, self.clock.now())
            self.log.warning("not delivered", target=letter.target, error=str(error), events=len(letter.numbers))
        else:
            self.office.done(letter, self.clock.now())
            self.log.info("delivered", target=letter.target, level=letter.level, events=len(letter.numbers))
        self.keep()

    async def _beat(self) -> None:
        pulse, was_heard = self.pulse, True
        assert pulse is not None
        while True:
            if is_well(self.status):
                is_heard = await pulse.beat()
                if is_heard is not was_heard:
                    self.log.info("heartbeat", is_heard=is_heard)
                was_heard = is_heard
            await self.clock.sleep(pulse.seconds if self.status is not None else min(pulse.seconds, 1.0))
