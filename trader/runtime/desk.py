"""The desk: one mount at work. What is told to it is decided on, written down in one commit, and then carried out.

Orders go out one after another, sells before buys, so that what a sell brought may be spent. The desk decides nothing itself:
the engine does, and the outbox reports what became of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trader.core.engine import Engine
from trader.core.facts import (
    BarClosed,
    Fact,
    Halted,
    PriceSeen,
    StrategyFailed,
)
from trader.core.instants import to_ns
from trader.core.instruments import Number
from trader.core.orders import ABSENT, ACCEPTED, PLACED, STUCK, UNKNOWN
from trader.core.pricing import Priced, Unfit, price
from trader.core.records import CommandTaken, PastTaught, StateChanged
from trader.ports import Clock, Touch, Venue, VenueDownError
from trader.runtime.causes import caused, kinds_of
from trader.runtime.keeper import Keeper
from trader.runtime.outbox import ATTEMPTS, Outbox, Track
from trader.runtime.outcomes import Outcomes
from trader.runtime.participation import Participation

PAUSES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5)  # between looks at an order that was just accepted
FAILURES, FAILING = 3, timedelta(minutes=10)
ACTIVE, REDUCING, HALTED, RECOVERING, KILLED = "active", "reducing", "halted", "recovering", "killed"


@dataclass(frozen=True, slots=True)
class Execution:
    """How orders are carried out: the collar around the best price, how long a buy is pursued, the fee paid in quote money.

    spends: orders for an amount of money go out as that amount, at whatever price. participation: the largest share of a bar's volume
    that is taken while the next one forms; what it holds back waits.
    """

    collar: float = 0.005
    validity: timedelta = timedelta(minutes=15)
    again_seconds: float = 2.0
    fee: float = 0.002
    spends: bool = False
    participation: float | None = None


class Desk:
    """Tells the engine, writes down, and has orders carried out. `symbols` names each asset's market at the venue."""

    STATE = ("state", "is_flattening", "commands")

    def __init__(
        self, engine: Engine, keeper: Keeper, outbox: Outbox, venue: Venue, clock: Clock, *,
        symbols: Mapping[str, str], execution: Execution,
    ) -> None:  # fmt: skip
        self.engine, self.keeper, self.outbox = engine, keeper, outbox
        self.symbols, self.execution = symbols, execution
        self.state = RECOVERING
        self.latched = RECOVERING  # the state in which the last process ended
        self.is_flattening = False
        self.commands: set[str] = set()  # keys of those that were carried out
        self.venue, self._clock = venue, clock
        self.heard: Callable[[str], Touch | None] = lambda _asset: None  # the best prices, where they are fresh
        self._failures: list[datetime] = []
        self._flat_again = 0.0
        self._again: dict[tuple[str, int], float] = {}
        self.outcomes = Outcomes(engine.mount.name, kinds_of(engine.wants))
        self.participation = Participation(engine.mount.name, execution.participation)
        keeper.follow = self._follow
        keeper.listeners.append(self.fold)

    # What is told

    async def tell(self, *facts: Fact, beside: Sequence[Fact] = (), fires: bool = False) -> list[Fact]:
        """Let facts of one instant act and write all of it in one commit; `fires`: price exits only, before the rest.

        beside: receipts and the like, written before in the same commit.
        """
        async with self.keeper.turn:
            followed = self._caused(facts, self.engine.fire(*facts) if fires else self.engine.handle(*facts))
            await self._write([*beside, *([] if fires else facts)], followed)
        return followed

    def _caused(self, told: Sequence[Fact], followed: Sequence[Fact]) -> list[Fact]:
        self.engine.record.clear()  # what followed is in the journal; a bot that runs for months keeps no second record
        return caused(told, followed, self.outcomes.wanted)

    async def _write(self, told: Sequence[Fact], followed: Sequence[Fact]) -> None:
        """Write what was told, what followed, and the outcomes that are final with it, in one commit of our turn."""
        failed = self._suspending(followed)
        whole = [*told, *followed, *failed]
        await self.keeper.write([*whole, *self.outcomes.closing(whole)])

    def _suspending(self, followed: Sequence[Fact]) -> list[Fact]:
        """A strategy that raises again and again is stopped from opening; its exits stay armed."""
        for fact in followed:
            if isinstance(fact, StrategyFailed):
                self._failures = [at for at in (*self._failures, fact.at) if fact.at - at <= FAILING]
        if len(self._failures) < FAILURES or self.engine.mount.halted:
            return []
        self._failures = []
        halted = Halted(self._clock.now(), self.engine.mount.name, "strategy")
        self.engine.learn(halted)
        return [halted]

    async def teach(self, bars: Sequence[BarClosed]) -> None:
        """Let past bars be known, without a wake."""
        async with self.keeper.turn:
            learnt = self.engine.teach(*bars)
            if learnt:
                await self.keeper.write([PastTaught(self._clock.now(), len(learnt)), *learnt])

    async def glance(self, seen: PriceSeen) -> list[Fact]:
        """Let a price act; one that moves nothing leaves no trace."""
        async with self.keeper.turn:
            followed = self._caused([seen], self.engine.handle(seen))
            if followed:
                await self._write([seen], followed)
        return followed

    async def pursue_flat(self) -> None:
        """While everything is to be sold: aim at nothing anew, once nothing is under way and something is held still."""
        mount, now = self.engine.mount, self._clock.monotonic()
        if not self.is_flattening or not self.is_quiet or now < self._flat_again:
            return
        if any(mount.held(asset) is not None for asset in mount.ledger.holdings):
            self._flat_again = now + self.execution.again_seconds
            at = self._clock.now()
            await self.flatten(CommandTaken(at, f"flatten-{to_ns(at)}", "flatten", "again"))

    async def flatten(self, command: CommandTaken) -> list[Fact]:
        """Aim everything at nothing, which is a goal and not an event: it is aimed at anew until nothing is held."""
        async with self.keeper.turn:
            followed = self._caused([command], self.engine.flatten(to_ns(command.at)))
            await self._write([command], followed)
        return followed

    def _follow(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        followed = self._caused(facts, self.engine.learn(*facts))
        return [*followed, *self.outcomes.closing([*facts, *followed])]

    def fold(self, fact: Fact) -> None:
        """Learn from a fact that was kept: the trading state, commands, and whether everything is to be sold."""
        if isinstance(fact, CommandTaken):
            self.commands.add(fact.key)
        self.participation.fold(fact)
        match fact:
            case StateChanged(scope="", state=state):
                self.state = state
            case CommandTaken(command="flatten"):
                self.is_flattening = True
            case CommandTaken(command="resume"):
                self.is_flattening = False
            case _:
                pass

    async def change(self, state: str, why: str) -> None:
        """Change the trading state; killed stays killed until a person resumes."""
        if self.state not in {state, KILLED}:
            await self.keeper.keep(StateChanged(self._clock.now(), "", state, why))

    # What is carried out

    def waiting(self) -> list[Track]:
        """Orders that are not final, sells first, each in the order of placement."""
        return sorted(self.outbox.live.values(), key=lambda one: (one.placed.side == "buy", one.placed.order))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way and nothing waits to be sent."""
        return not self.outbox.live

    async def work(self, concerns: Callable[[Track], bool] = lambda _track: True) -> None:
        """Take every order that is not final one step on; questions without an answer are asked again the next time."""
        for track in self.waiting():
            if not concerns(track):
                continue
            try:
                await self._step(track)
            except VenueDownError:
                self._later(track)

    async def _step(self, track: Track) -> None:
        symbol = self.symbols[track.placed.asset]
        if track.state in {UNKNOWN, STUCK}:
            await self.outbox.resolve(track, symbol)
        elif track.state in {PLACED, ABSENT} and self._clock.monotonic() >= self._again.get(key_of(track), 0.0):
            await self._send(track, symbol)
            if track.refusals and track.state == PLACED:
                self._later(track, 2 ** min(track.refusals - 1, 8))
        if track.state == ACCEPTED:
            await self._settle(track, symbol)

    async def _send(self, track: Track, symbol: str) -> None:
        placed, mount = track.placed, self.engine.mount
        reason = self._forbidden(track)
        if reason is not None:
            if reason:
                await self.outbox.give_up(track, reason)
            return
        touch = self.heard(placed.asset) or await self.venue.touch(symbol)
        order = next((one for one in mount.orders.values() if one.number == placed.order), None)
        if order is None:
            return  # a decision closed it while we asked
        found = price(
            order, mount, touch.bid, touch.ask, collar=self.execution.collar, fee=self.execution.fee,  # type: ignore[arg-type]
            number=self.engine.number, spends=self.execution.spends,
        )  # fmt: skip
        if isinstance(found, Unfit):
            await self.outbox.give_up(track, found.reason)
            return
        quantity = self._within(track, found)
        if found.quantity is not None and not quantity:
            self._later(track)
            return
        if found.cut is not None and not await self.outbox.cut(track, Decimal(found.cut)):
            return
        await self.outbox.send(
            track, quantity=quantity, limit=_exact(found.limit), spend=_exact(found.spend), symbol=symbol,
            may=lambda: self._forbidden(track) is None,
        )  # fmt: skip

    def _within(self, track: Track, found: Priced) -> Decimal | None:
        """The units of a request, cut to what may be taken of the market now; zero where that is too little to be sent."""
        quantity, room = _exact(found.quantity), self.participation.left(track.placed.asset)
        if quantity is None or room is None or quantity <= room:
            return quantity
        terms = self.engine.mount.terms_of(track.placed.asset, track.placed.venue)
        fit = Decimal(terms.lots(room))  # type: ignore[arg-type]  # the ledger is exact here
        is_small = terms.min_notional is not None and fit * Decimal(found.limit or 0) < Decimal(terms.min_notional)
        return Decimal(0) if is_small else fit

    def _forbidden(self, track: Track) -> str | None:
        """Why an order may not be sent: a reason to give it up, an empty one to wait, None where it may."""
        placed = track.placed
        if self.state in {RECOVERING, KILLED}:
            return ""
        if track.absences >= ATTEMPTS:
            return "absent"
        if placed.side == "buy" and self.state in {HALTED, REDUCING}:
            return self.state
        if placed.side == "buy" and self._clock.now() - placed.at > self.execution.validity:
            return "expired"
        return None

    async def _settle(self, track: Track, symbol: str) -> None:
        for pause in PAUSES:
            if pause:
                await self._clock.sleep(pause)
            if await self.outbox.settle(track, symbol):
                if track.state == PLACED:
                    self._later(track)
                return

    def _later(self, track: Track, times: int = 1) -> None:
        self._again[key_of(track)] = self._clock.monotonic() + self.execution.again_seconds * times


def key_of(track: Track) -> tuple[str, int]:
    """The name of an order in the outbox."""
    return track.placed.mount, track.placed.order


def _exact(amount: Number | None) -> Decimal | None:
    return None if amount is None else Decimal(amount)
