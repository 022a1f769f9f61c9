"""The till: one account at work. One connection, one outbox, one comparison with the facts, shared by the desks that trade on it.

Orders of all its desks go out one after another, sells before buys, and each desk's only against its own money and holdings.
Streams are hints: the account is compared with the facts at start, at intervals, and after whatever was lost.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from trader.core.orders import STUCK, UNKNOWN
from trader.ports import Venue, VenueDownError
from trader.runtime.account import Account
from trader.runtime.desk import ACTIVE, HALTED, KILLED, RECOVERING, REDUCING, Desk
from trader.runtime.keeper import Keeper
from trader.runtime.logs import Log
from trader.runtime.market import Market
from trader.runtime.outbox import Outbox, Track
from trader.runtime.reconcile import Reconciler
from trader.runtime.watchdog import Pulse

UNKNOWN_SECONDS = 60.0
PATIENCE = 1.5  # how many times its usual interval a comparison waits for orders that are on their way


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
class Till:
    """An account and the desks on it."""

    name: str
    keeper: Keeper
    outbox: Outbox
    reconciler: Reconciler
    desks: Sequence[Desk]
    log: Log = field(default_factory=Log)
    pace: Pace = field(default_factory=Pace)
    stream: Account = field(init=False)
    hands: asyncio.Lock = field(default_factory=asyncio.Lock)  # who carries orders out, or changes how that is done
    work: asyncio.Event = field(default_factory=asyncio.Event)
    wants_reconcile: bool = True
    good_at: float | None = None  # when it was compared last
    trouble: str = ""  # why it could not be compared the last time
    tell: Callable[[str, bool, str], None] = lambda _link, _is_up, _why: None
    _unknown_since: float | None = None

    def __post_init__(self) -> None:
        self.stream = Account(
            self.venue, self.keeper.clock, is_ours=lambda client_id: client_id in self.outbox.attempts, wake=self.work.set,
            tell=self._linked,
        )  # fmt: skip

    def _linked(self, link: str, is_up: bool, why: str) -> None:
        self.tell(link, is_up, why)

    @property
    def venue(self) -> Venue:
        """Its connection."""
        return self.desks[0].venue

    @property
    def markets(self) -> list[Market]:
        """What its desks hear, each once."""
        every = dict.fromkeys(desk.market for desk in self.desks if desk.market is not None)
        return [one for one in every if one.assets]  # all that one hears of may be shut

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way and nothing waits to be sent, but for markets that are shut."""
        return all(desk.is_quiet for desk in self.desks)

    def claimed(self, code: str, desk: Desk) -> Decimal:
        """What the other desks hold of an asset of the account and are not selling: it is not there for this one."""
        return sum((one.keeps(code) for one in self.desks if one is not desk), Decimal(0))

    async def orders(self, stopping: asyncio.Event, pulse: Pulse, line: str) -> None:
        """Carry orders out and compare the account, until it is to stop."""
        clock, pace = self.keeper.clock, self.pace
        while not stopping.is_set():
            self.work.clear()
            now = clock.monotonic()
            pulse.beat(line, now)
            async with self.hands:
                if self.wants_reconcile or self._is_due(now):
                    await self.reconcile()
                for desk in self.desks:
                    await self._judge(desk)
                await self._carry_out()
                for desk in self.desks:
                    await desk.pursue_flat()
            wait = pace.idle_seconds if self.is_quiet else pace.busy_seconds
            try:
                async with asyncio.timeout(wait):
                    await self.work.wait()
            except TimeoutError:
                continue

    def _is_due(self, now: float) -> bool:
        """Whether the account is to be compared before anything else. At its usual time, orders that are on their way go first, for a while."""
        good, pace = self.good_at, self.pace
        if good is None:
            return True
        if self.stream.is_stirred:
            return now - good >= pace.stirred_seconds
        return now - good >= pace.reconcile_seconds * (1.0 if self.is_quiet else PATIENCE)

    async def _carry_out(self) -> None:
        """Take every order that is not final one step on, sells of all desks before buys."""
        if len(self.desks) == 1:
            await self.desks[0].work()
            return
        for ours in (_sells, _buys):
            for desk in self.desks:
                await desk.work(ours)

    async def reconcile(self) -> bool:
        """Compare the account with the facts now; false where the venue does not answer."""
        self.wants_reconcile = self.stream.is_stirred = (
            False  # what is heard from here on may be newer than what is read
        )
        try:
            await self.reconciler.run()
        except VenueDownError as error:
            self.wants_reconcile, self.trouble = True, str(error)
            self.log.warning("not reconciled", error=self.trouble)
            return False
        self.trouble = ""
        self.good_at = self.keeper.clock.monotonic()
        return True

    async def _judge(self, desk: Desk) -> None:
        """Which state the facts allow; halted and killed stay until a person resumes."""
        now = self.keeper.clock.monotonic()
        is_open = any(one.state in {UNKNOWN, STUCK} for one in self.outbox.live.values())
        self._unknown_since = (self._unknown_since or now) if is_open else None
        latched = desk.latched if desk.state == RECOVERING else desk.state
        if self.good_at is None or now - self.good_at > self.pace.stale_seconds:
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


def _sells(track: Track) -> bool:
    return track.placed.side == "sell"


def _buys(track: Track) -> bool:
    return track.placed.side == "buy"
