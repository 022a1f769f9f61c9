"""The daemon: one group of tasks around one desk. What comes in is handled in one line; orders are worked on in another.

Intake waits where the line is full, and tells a sender that a message is kept only after the commit. Streams are hints: the account
is compared with the facts at start, at intervals, and after whatever was lost.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from trader.core.facts import Halted, PriceSeen, Resumed, TimerDue
from trader.core.feed import Feed
from trader.core.instants import to_ns
from trader.core.orders import STUCK, UNKNOWN
from trader.core.records import CommandTaken, LinkChanged, StateChanged
from trader.ports import JournalDownError, Message, Reporting, Source, VenueDownError
from trader.runtime.account import Account
from trader.runtime.control import Answer, Command
from trader.runtime.desk import ACTIVE, HALTED, KILLED, RECOVERING, REDUCING, Desk
from trader.runtime.inbox import Inbox, Taken
from trader.runtime.logs import Log
from trader.runtime.market import Heard, Market
from trader.runtime.reconcile import Reconciler
from trader.runtime.snapshots import capture

LINE = 1_000  # how many things wait in line before intake waits
UNKNOWN_SECONDS = 60.0
LAG_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done."""

    reconcile_seconds: float = 30.0
    stirred_seconds: float = 5.0
    stale_seconds: float = 90.0
    idle_seconds: float = 1.0
    busy_seconds: float = 0.05
    stop_seconds: float = 10.0
    snapshot_facts: int = 20_000


@dataclass(slots=True)
class Asked:
    """A command in line, and who waits for its answer."""

    command: Command
    answer: "asyncio.Future[Answer]"


@dataclass(slots=True)
class Daemon:
    """The running bot. Everything was recovered before."""

    desk: Desk
    reconciler: Reconciler
    inbox: Inbox
    sources: Sequence[Source]
    market: Market | None
    log: Log
    pace: Pace = field(default_factory=Pace)
    lease_seconds: float = 30.0
    program: str = ""  # under which snapshots are kept; empty = none are
    folded: int = 0  # facts that this start had to fold
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _line: "asyncio.Queue[Message | Heard | Asked | LinkChanged | None]" = field(
        default_factory=lambda: asyncio.Queue(LINE)
    )
    account: Account = field(init=False)
    _work: asyncio.Event = field(default_factory=asyncio.Event)
    _is_heard: asyncio.Event = field(default_factory=asyncio.Event)
    _unknown_since: float | None = None
    _good_at: float | None = None
    _wants_reconcile: bool = True
    _lag: float = 0.0
    _links: dict[str, dict[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        desk = self.desk
        self.account = Account(
            desk.venue, desk.keeper.clock, is_ours=lambda client_id: client_id in desk.outbox.attempts, wake=self._work.set,
            tell=self.link_changed,
        )  # fmt: skip

    # The group

    async def run(self) -> None:
        """Work until `stopping` is set; what is in hand is finished, within the time for stopping."""
        loops = [self._events, self._orders, self._renew, self._watch_lag]
        async with asyncio.TaskGroup() as group:
            intake = [group.create_task(self._take(source)) for source in self.sources]
            if self.market is not None:
                self.market.tell = self.link_changed
                intake.append(group.create_task(self._hear(self.market)))
                intake.append(group.create_task(self.market.listen()))
            intake.append(group.create_task(self.account.listen()))
            working = [group.create_task(loop()) for loop in loops]
            await self.stopping.wait()
            for task in intake:
                task.cancel()
            await asyncio.wait(working, timeout=self.pace.stop_seconds)
            for task in working:
                task.cancel()
        await self._snapshot(self.pace.snapshot_facts // 20)

    def stop(self) -> None:
        """Begin to end."""
        self.stopping.set()
        self._work.set()
        if not self._line.full():
            self._line.put_nowait(None)

    # Intake

    async def _take(self, source: Source) -> None:
        """Take messages once the market was heard: before, nothing can be traded, and what they say would wake nobody."""
        if self.market is not None:
            await self._is_heard.wait()
        async for message in source.messages():
            await self._line.put(message)

    async def _hear(self, market: Market) -> None:
        async for heard in market.events():
            await self._line.put(heard)

    def link_changed(self, link: str, is_up: bool, why: str) -> None:
        """Note that a connection came or went; afterwards the account is compared."""
        self._wants_reconcile = self._wants_reconcile or is_up
        self._links[link] = {"is_up": is_up, "why": why, "since": f"{self.desk.keeper.now():%Y-%m-%d %H:%M:%S}"}
        if not self._line.full():
            self._line.put_nowait(LinkChanged(self.desk.keeper.now(), link, is_up, why))

    async def _events(self) -> None:
        """Handle one thing after the other; what is due by the clock comes first."""
        while not self.stopping.is_set():
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
        waits = [1.0]
        due, ends = self.desk.engine.due(), self.inbox.next_end()
        if due is not None:
            waits.append(max((due - self.desk.keeper.now()).total_seconds(), self.pace.busy_seconds))
        if ends is not None:
            waits.append(ends - self.desk.keeper.clock.monotonic())
        return max(min(waits), 0.0)

    async def _timers(self) -> None:
        while True:
            due = self.desk.engine.due()
            if due is None or due > self.desk.keeper.now() or not self._has_bars_of(due):
                return
            await self.desk.tell(TimerDue(due, self.desk.engine.mount.name))
            self._work.set()

    def _has_bars_of(self, due: datetime) -> bool:
        """A wake that is due at a bar's end waits for that bar, up to a grace."""
        feed = self.desk.engine.market
        return self.market is None or not isinstance(feed, Feed) or self.market.is_ready(due, feed.newest())

    async def _one(self, thing: Message | Heard | Asked | LinkChanged) -> None:
        match thing:
            case Message():
                await self._handle(await self.inbox.take(thing))
                await thing.acknowledge()
            case Heard():
                await self._heard(thing)
            case LinkChanged():
                await self.desk.keeper.keep(thing)
            case Asked(command=command, answer=answer):
                found = await self._command(command)
                if not answer.done():
                    answer.set_result(found)

    async def _handle(self, taken: Taken) -> None:
        if taken.publication is None:
            await self.desk.keeper.keep(*taken.receipts)
            return
        await self.desk.tell(taken.publication, beside=taken.receipts)
        self._work.set()

    async def _heard(self, heard: Heard) -> None:
        if heard.past:
            await self.desk.teach(heard.past)
        if heard.bars:
            at, due = heard.bars[0].at, self.desk.engine.due()
            timers = [TimerDue(due, self.desk.engine.mount.name)] if due == at else []  # one wake, as in a replay
            await self.desk.tell(*heard.bars, *timers)
        for seen in heard.prices:
            await self._glance(seen)
        self._is_heard.set()
        self._work.set()

    async def _glance(self, seen: PriceSeen) -> None:
        """A price that hits nothing leaves no trace."""
        if await self.desk.glance(seen):
            self._work.set()

    # Orders

    async def _orders(self) -> None:
        clock, pace = self.desk.keeper.clock, self.pace
        while not self.stopping.is_set():
            self._work.clear()
            now = clock.monotonic()
            good = self._good_at
            is_due = good is None or now - good >= (
                pace.stirred_seconds if self.account.is_stirred else pace.reconcile_seconds
            )
            if self._wants_reconcile or is_due:
                await self._reconcile()
            await self._judge()
            await self.desk.work()
            await self.desk.pursue_flat()
            wait = pace.idle_seconds if self.desk.is_quiet else pace.busy_seconds
            try:
                async with asyncio.timeout(wait):
                    await self._work.wait()
            except TimeoutError:
                continue

    async def _reconcile(self) -> bool:
        try:
            await self.reconciler.run()
        except VenueDownError as error:
            self.log.warning("not reconciled", error=str(error))
            return False
        self._wants_reconcile = self.account.is_stirred = False
        self._good_at = self.desk.keeper.clock.monotonic()
        return True

    async def _judge(self) -> None:
        """Which state the facts allow; halted and killed stay until a person resumes."""
        desk, now = self.desk, self.desk.keeper.clock.monotonic()
        is_open = any(one.state in {UNKNOWN, STUCK} for one in desk.outbox.live.values())
        self._unknown_since = (self._unknown_since or now) if is_open else None
        latched = desk.latched if desk.state == RECOVERING else desk.state
        if self._good_at is None or now - self._good_at > self.pace.stale_seconds:
            if desk.state not in {HALTED, KILLED, RECOVERING}:
                desk.latched = desk.state
                await desk.change(RECOVERING, "the account was not compared with the facts for too long")
            return
        if latched in {HALTED, KILLED}:
            await desk.change(latched, "as before")
        elif self._unknown_since is not None and now - self._unknown_since > UNKNOWN_SECONDS:
            await desk.change(REDUCING, "an order is unknown for too long")
        elif any(amount < 0 for amount in self.reconciler.off.values()):
            await desk.change(REDUCING, "something is missing on the account: compare it, then adopt")
        else:
            await desk.change(ACTIVE, "reconciled")

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
        desk, at = self.desk, self.desk.keeper.now()
        if command.name == "signal":
            taken = await self.inbox.take(Message("control", "", command.argument.encode(), _nobody))
            await self._handle(taken)
            received = taken.receipts[0]
            return {"ok": True, "key": getattr(received, "key", ""), "outcome": getattr(received, "outcome", "")}
        if command.key in desk.commands:
            return {"ok": True, "done": "already", "state": desk.state}
        key = command.key or f"{command.name}-{to_ns(at)}"
        taken_fact = CommandTaken(at, key, command.name, command.argument)
        mount = desk.engine.mount.name
        match command.name:
            case "halt" | "kill":
                state = HALTED if command.name == "halt" else KILLED
                await desk.keeper.keep(
                    taken_fact,
                    StateChanged(at, "", state, command.argument or "operator"),
                    Halted(at, mount, "operator"),
                )
            case "resume":
                desk.latched = ACTIVE
                again = StateChanged(at, "", RECOVERING, "an operator resumed")
                await desk.keeper.keep(taken_fact, again, Resumed(at, mount, "operator"))
            case "flatten":
                await desk.keeper.keep(StateChanged(at, "", HALTED, "flatten"), Halted(at, mount, "flatten"))
                await desk.flatten(taken_fact)
            case "adopt":
                await desk.keeper.keep(taken_fact)
                await self.reconciler.adopt()
            case _:
                await desk.keeper.keep(taken_fact)
        self._wants_reconcile = True
        self._work.set()
        return {"ok": True, "done": command.name, "state": desk.state}

    def status(self) -> Answer:
        """What is going on, for people and machines."""
        desk, now = self.desk, self.desk.keeper.clock.monotonic()
        mount, engine = desk.engine.mount, desk.engine
        held = {
            asset: {"quantity": str(one.quantity), "entry": str(one.entry), "target": _size(mount.targets.get(asset))}
            for asset, one in mount.ledger.holdings.items()
            if not one.is_flat
        }
        return {
            "ok": True, "mount": mount.name, "state": desk.state, "epoch": desk.keeper.epoch,
            "strategy": type(engine.strategy).__name__, "cash": str(mount.ledger.total_cash()), "holdings": held,
            "orders": [
                {"order": one.placed.order, "asset": one.placed.asset, "side": one.placed.side, "state": one.state}
                for one in desk.waiting()
            ],
            "in_line": self._line.qsize(), "is_flattening": desk.is_flattening,
            "reconciled_seconds_ago": None if self._good_at is None else round(now - self._good_at, 1),
            "market_seconds_ago": None if self.market is None else round(now - self.market.heard_at, 1),
            "off": {code: str(amount) for code, amount in self.reconciler.off.items() if amount},
            "streams": {"market": self.market is not None and self.market.is_streaming, "account": self.account.is_streaming},
            "links": self._links, "sources": {one.name: one.standing() for one in self.sources if isinstance(one, Reporting)},
            "loop_lag_seconds": round(self._lag, 3),
        }  # fmt: skip

    # Housekeeping

    async def _renew(self) -> None:
        """Keep the lease; a process that lost it ends at once."""
        clock = self.desk.keeper.clock
        while not self.stopping.is_set():
            async with self.desk.keeper.turn:
                await self.desk.keeper.journal.renew()
            await self._snapshot(self.pace.snapshot_facts)
            await self._pause(clock.monotonic() + self.lease_seconds / 3)

    async def _snapshot(self, least: int) -> None:
        """Keep a snapshot when a start would have to fold so many facts, at a moment when nothing is on its way."""
        keeper = self.desk.keeper
        if not self.program or self.folded + keeper.written < least or not self.desk.is_quiet:
            return
        async with keeper.turn:
            self.folded = -keeper.written
            body = capture(self.desk, self.reconciler, self.inbox)
            try:
                await keeper.journal.keep_snapshot(self.program, body)
            except JournalDownError as error:
                self.log.warning("no snapshot", error=str(error))

    async def _watch_lag(self) -> None:
        """Notice when something holds up the loop."""
        clock = self.desk.keeper.clock
        while not self.stopping.is_set():
            begin = clock.monotonic()
            await clock.sleep(0.25)
            self._lag = max(clock.monotonic() - begin - 0.25, 0.0)
            if self._lag > LAG_SECONDS:
                self.log.warning("the loop was held up", seconds=round(self._lag, 3))
                self._wants_reconcile = True

    async def _pause(self, until: float) -> None:
        clock = self.desk.keeper.clock
        while not self.stopping.is_set() and clock.monotonic() < until:
            await clock.sleep(0.2)


async def _nobody() -> None:
    """Nobody asked to be told."""


def _size(target: object) -> str:
    return "0" if target is None else str(getattr(target, "size", target))
