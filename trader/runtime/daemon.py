"""The daemon: one group of tasks around one house. What comes in is handled in one line; each account's orders are worked on in another.

Intake waits where the line is full, and tells a sender that a message is kept only after the commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from trader.core.facts import Halted, PriceSeen, Resumed, TimerDue
from trader.core.feed import Feed
from trader.core.instants import to_ns
from trader.core.records import CommandTaken, LinkChanged, StateChanged
from trader.ports import JournalDownError, Message, Source, VenueDownError
from trader.runtime.control import Answer, Command
from trader.runtime.desk import ACTIVE, HALTED, KILLED, RECOVERING, Desk
from trader.runtime.house import House
from trader.runtime.inbox import Inbox, Taken
from trader.runtime.logs import Log
from trader.runtime.market import Heard, Market
from trader.runtime.reconcile import Reconciler
from trader.runtime.snapshots import capture
from trader.runtime.standing import status_of
from trader.runtime.till import Pace, Till
from trader.runtime.watchdog import Pulse

LINE = 1_000  # how many things wait in line before intake waits
LAG_SECONDS = 1.0


@dataclass(slots=True)
class Asked:
    """A command in line, and who waits for its answer."""

    command: Command
    answer: "asyncio.Future[Answer]"


@dataclass(slots=True)
class Daemon:
    """The running bot. Everything was recovered before."""

    house: House
    sources: Sequence[Source]
    log: Log
    pace: Pace = field(default_factory=Pace)
    lease_seconds: float = 9.0
    program: str = ""  # under which snapshots are kept; empty = none are
    folded: int = 0  # facts that this start had to fold
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _line: "asyncio.Queue[Message | Heard | Asked | LinkChanged | None]" = field(
        default_factory=lambda: asyncio.Queue(LINE)
    )
    pulse: Pulse = field(default_factory=Pulse)
    _is_heard: dict[Market, asyncio.Event] = field(default_factory=dict)
    _lag: float = 0.0
    reconfigures: Callable[[Command], Awaitable[Answer]] | None = None  # plans and applies a configuration, in its turn
    links: dict[str, dict[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for till in self.house.tills:
            till.log, till.pace, till.tell = self.log, self.pace, self._teller(till, "")

    @property
    def desk(self) -> Desk:
        """The first desk, which in most houses is the only one."""
        return self.house.desks[0]

    @property
    def reconciler(self) -> Reconciler:
        """That of the first desk's account."""
        return self.house.till_of(self.desk).reconciler

    @property
    def inbox(self) -> Inbox:
        """What judges messages."""
        return self.house.inbox

    def _teller(self, till: Till, frame: str) -> Callable[[str, bool, str], None]:
        """How an account's links are told of: by its name where there are several."""
        names = [one for one in (till.name if len(self.house.tills) > 1 else "", frame) if one]

        def tell(link: str, is_up: bool, why: str) -> None:
            self.link_changed(" ".join([*names, link]), is_up, why, till)

        return tell

    # The group

    async def run(self) -> None:
        """Work until `stopping` is set; what is in hand is finished, within the time for stopping."""
        self._is_heard |= {market: asyncio.Event() for market in self.house.markets}
        async with asyncio.TaskGroup() as group:
            intake = [group.create_task(self._take(source)) for source in self.sources]
            for till in self.house.tills:
                for market in till.markets:
                    market.tell = self._teller(till, market.name.rpartition("/")[2] if len(till.markets) > 1 else "")
                    intake += [group.create_task(self._hear(market)), group.create_task(market.listen())]
                intake.append(group.create_task(till.stream.listen()))
            working = [group.create_task(self._events())]
            for till in self.house.tills:
                line = "orders" if len(self.house.tills) == 1 else f"orders {till.name}"
                working.append(group.create_task(till.orders(self.stopping, self.pulse, line)))
            working += [group.create_task(loop()) for loop in (self._renew, self._watch_lag)]
            await self.stopping.wait()
            for task in intake:
                task.cancel()
            _, cut = await asyncio.wait(working, timeout=self.pace.stop_seconds)
            for task in working:
                task.cancel()
        if not cut:  # else an engine may have decided what was never written down
            await self._snapshot(self.pace.snapshot_facts // 20)

    def stop(self) -> None:
        """Begin to end."""
        self.stopping.set()
        self._wake()
        if not self._line.full():
            self._line.put_nowait(None)

    def _wake(self) -> None:
        """There may be orders to carry out."""
        for till in self.house.tills:
            till.work.set()

    # Intake

    async def _take(self, source: Source) -> None:
        """Take messages once the market was heard: before, nothing can be traded, and what they say would wake nobody."""
        for is_heard in list(self._is_heard.values()):
            await is_heard.wait()
        async for message in source.messages():
            self.house.keeper.measures.came(source.name, message)
            await self._line.put(message)

    async def _hear(self, market: Market) -> None:
        async for heard in market.events():
            await self._line.put(heard)

    def link_changed(self, link: str, is_up: bool, why: str, till: Till | None = None) -> None:
        """Note that a connection came or went; afterwards its account is compared, or all where it is no account's."""
        for one in self.house.tills if till is None else [till]:
            one.wants_reconcile = one.wants_reconcile or is_up
        self.links[link] = {"is_up": is_up, "why": why, "since": f"{self.house.keeper.now():%Y-%m-%d %H:%M:%S}"}
        if not self._line.full():
            self._line.put_nowait(LinkChanged(self.house.keeper.now(), link, is_up, why))

    async def _events(self) -> None:
        """Handle one thing after the other; what is due by the clock comes first."""
        while not self.stopping.is_set():
            self.pulse.beat("events", self.house.keeper.clock.monotonic())
            await self._timers()
            for taken in self.inbox.overdue():
                await self._handle(taken)
            thing = await self._next()
            if thing is not None:
                await self._timers()
                await self._one(thing)

    async def _next(self) -> "Message | Heard | Asked | LinkChanged | None":
        """The next thing in line; none when something is due by the clock, or at the end."""
        try:
            async with asyncio.timeout(self._until_due()):
                return await self._line.get()
        except TimeoutError:
            return None

    def _until_due(self) -> float:
        """Seconds until something is due, at most one."""
        waits, keeper = [1.0], self.house.keeper
        dues = [due for desk in self.house.desks if (due := desk.engine.due()) is not None]
        if dues:
            waits.append(max((min(dues) - keeper.now()).total_seconds(), self.pace.busy_seconds))
        if (ends := self.inbox.next_end()) is not None:
            waits.append(ends - keeper.clock.monotonic())
        return max(min(waits), 0.0)

    async def _timers(self) -> None:
        for desk in self.house.desks:
            told = None
            while True:
                due = desk.engine.due()
                if due is None or due == told or due > self.house.keeper.now() or not _has_bars_of(desk, due):
                    break
                told = due  # what is due at once again after it was told has to wait like all else
                await self.house.tell(TimerDue(due, desk.name))
                self._wake()

    async def _one(self, thing: Message | Heard | Asked | LinkChanged) -> None:
        match thing:
            case Message():
                self.house.keeper.measures.taken(thing)
                await self._handle(await self.inbox.take(thing))
                await thing.acknowledge()
            case Heard():
                await self._heard(thing)
            case LinkChanged():
                await self.house.keeper.keep(thing)
            case Asked(command=command, answer=answer):
                found = await self._command(command)
                if not answer.done():
                    answer.set_result(found)

    async def _handle(self, taken: Taken) -> None:
        if taken.publication is None:
            await self.house.keeper.keep(*taken.receipts)
            return
        await self.house.tell(taken.publication, beside=taken.receipts)
        self._wake()

    async def _heard(self, heard: Heard) -> None:
        market = heard.market
        if heard.past:
            await self.house.teach(heard.past)
        if heard.bars:
            at, desks = heard.bars[0].at, [desk for desk in self.house.desks if desk.market is market]
            timers = [TimerDue(at, desk.name) for desk in desks if desk.engine.due() == at]  # one wake, as in a replay
            await self.house.tell(*heard.bars, *timers)
        for seen in heard.prices:
            await self._glance(seen)
        if market in self._is_heard:
            self._is_heard[market].set()
        self._wake()

    async def _glance(self, seen: PriceSeen) -> None:
        """A price that hits nothing leaves no trace."""
        if await self.house.glance(seen):
            self._wake()

    # Commands

    async def act(self, command: Command) -> Answer:
        """Carry out a command in its turn and return what came of it; for the control socket."""
        if command.name == "status":
            return self.status()
        if command.name == "stop":
            self.stop()
            return {"ok": True, "done": "stopping"}
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        await self._line.put(Asked(command, answer))
        return await answer

    async def _command(self, command: Command) -> Answer:
        if command.name == "signal":
            taken = await self.inbox.take(Message("control", "", command.argument.encode(), _nobody))
            await self._handle(taken)
            received = taken.receipts[0]
            return {"ok": True, "key": getattr(received, "key", ""), "outcome": getattr(received, "outcome", "")}
        if command.name in {"plan", "apply"}:
            if self.reconfigures is None:
                return {"ok": False, "error": "this bot was not started from a file"}
            return await self.reconfigures(command)
        desks = self.house.named(command.mount)
        if not desks:
            names = ", ".join(desk.name for desk in self.house.desks)
            return {"ok": False, "error": f"no mount is named {command.mount!r}; there are {names}"}
        if command.key in self.desk.commands:
            return {"ok": True, "done": "already", "state": _state(self.house, desks)}
        refused = await self._carry_out(command, desks)
        if refused:
            return {"ok": False, "error": refused, "state": _state(self.house, desks)}
        for till in self.house.tills:
            till.wants_reconcile = True
        self._wake()
        return {"ok": True, "done": command.name, "state": _state(self.house, desks)}

    async def _carry_out(self, command: Command, desks: Sequence[Desk]) -> str:
        """Do it, and say why it was not done where it was not."""
        keeper, at, scope = self.house.keeper, self.house.keeper.now(), command.mount
        key = command.key or f"{command.name}-{scope}{to_ns(at)}"
        taken = CommandTaken(at, key, command.name, command.argument, scope)
        match command.name:
            case "halt" | "kill":
                state = HALTED if command.name == "halt" else KILLED
                changed = StateChanged(at, scope, state, command.argument or "operator")
                await keeper.keep(taken, changed, *(Halted(at, desk.name, "operator") for desk in desks))
            case "resume":
                for desk in desks:
                    desk.latched = ACTIVE
                again = StateChanged(at, scope, RECOVERING, "an operator resumed")
                await keeper.keep(taken, again, *(Resumed(at, desk.name, "operator") for desk in desks))
            case "flatten":
                halted = [Halted(at, desk.name, "flatten") for desk in desks]
                await keeper.keep(StateChanged(at, scope, HALTED, "flatten"), *halted)
                await self.house.flatten(desks, taken)
            case "cancel":
                if len(desks) > 1:
                    return (
                        f"several mounts number their orders each: name one of {', '.join(desk.name for desk in desks)}"
                    )
                return await desks[0].cancel(command.argument, taken)
            case "adopt":
                return await self._adopt(taken, desks)
            case _:
                await keeper.keep(taken)
        return ""

    async def _adopt(self, taken: CommandTaken, desks: Sequence[Desk]) -> str:
        """Take what the accounts of these desks hold now as right; the command counts as done with the first."""
        beside: tuple[CommandTaken, ...] = (taken,)
        for till in self.house.tills:
            if not any(desk in till.desks for desk in desks):
                continue
            where = f"{till.name}: " if len(self.house.tills) > 1 else ""
            try:
                if not await till.reconciler.adopt(*beside):
                    return f"{where}an order of ours is on its way: adopt when it is settled"
            except VenueDownError as error:
                return f"{where}nothing is adopted: {error}"
            beside = ()
        return ""

    def status(self) -> Answer:
        """What is going on, for people and machines."""
        return status_of(
            self.house, line=self._line.qsize(), room=LINE, links=self.links, sources=self.sources, lag=self._lag
        )

    def line(self) -> str:
        """How it stands, in one line."""
        count = sum(len(till.outbox.live) for till in self.house.tills)
        return f"{self.house.state}: {count} orders under way, epoch {self.house.keeper.epoch}"

    # Housekeeping

    async def prove_lease(self) -> None:
        """Make sure, now, that no other process took over; raises LeaseLostError and JournalDownError."""
        async with self.house.keeper.turn:
            await self.house.keeper.journal.renew()

    async def _renew(self) -> None:
        """Keep the lease; a process that lost it ends at once."""
        clock = self.house.keeper.clock
        while not self.stopping.is_set():
            await self.prove_lease()
            await self._snapshot(self.pace.snapshot_facts)
            await self._pause(clock.monotonic() + self.lease_seconds / 3)

    async def _snapshot(self, least: int) -> None:
        """Keep a snapshot when a start would have to fold so many facts, at a moment when nothing is on its way."""
        keeper = self.house.keeper
        if not self.program or self.folded + keeper.written < least or not self.house.is_quiet:
            return
        if any(
            desk.state == RECOVERING for desk in self.house.desks
        ):  # of this process alone: what is latched on disk would be forgotten with it
            return
        async with keeper.turn:
            self.folded = -keeper.written
            body = capture(self.house)
            try:
                await keeper.journal.keep_snapshot(self.program, body)
            except JournalDownError as error:
                self.log.warning("no snapshot", error=str(error))

    async def _watch_lag(self) -> None:
        """Notice when something holds up the loop."""
        clock = self.house.keeper.clock
        while not self.stopping.is_set():
            begin = clock.monotonic()
            await clock.sleep(0.25)
            self._lag = max(clock.monotonic() - begin - 0.25, 0.0)
            self.house.keeper.measures.lag.add(self._lag)
            if self._lag > LAG_SECONDS:
                self.log.warning("the loop was held up", seconds=round(self._lag, 3))
                for till in self.house.tills:
                    till.wants_reconcile = True

    async def _pause(self, until: float) -> None:
        clock = self.house.keeper.clock
        while not self.stopping.is_set() and clock.monotonic() < until:
            await clock.sleep(0.2)


async def _nobody() -> None:
    """Nobody asked to be told."""


def _has_bars_of(desk: Desk, due: datetime) -> bool:
    """A wake that is due at a bar's end waits for that bar, up to a grace."""
    feed = desk.engine.market
    return desk.market is None or not isinstance(feed, Feed) or desk.market.is_ready(due, feed.newest())


def _state(house: House, desks: Sequence[Desk]) -> str:
    """The state to tell who asked: of a mount that is named, else the gravest."""
    return desks[0].state if len(desks) == 1 else house.state
