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
    Fact,
    Halted,
    OrderPlaced,
    StrategyFailed,
)
from trader.core.feed import Feed
from trader.core.instants import to_ns
from trader.core.instruments import Number
from trader.core.orders import ABSENT, ACCEPTED, CLOSED, PLACED, STUCK, UNKNOWN
from trader.core.pricing import Priced, Unfit, price
from trader.core.records import CommandTaken, ConfigApplied, MountStarted, StateChanged
from trader.ports import Clock, Touch, Venue, VenueDownError
from trader.runtime import telling
from trader.runtime.causes import caused, kinds_of
from trader.runtime.keeper import Keeper
from trader.runtime.market import Market
from trader.runtime.outbox import ATTEMPTS, UNSENT, Outbox, Track
from trader.runtime.outcomes import Outcomes
from trader.runtime.participation import Participation

PAUSES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5)  # between looks at an order that was just accepted
SHORT_TIMES = 15  # how much later a sale is tried again of which nothing is there
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
    """Tells the engine, writes down, and has orders carried out. `symbols` names each asset's market at the venue.

    scope: under which name its states are written: empty where it is the only desk.
    """

    STATE = ("state", "is_flattening", "shut", "commands", "configuration")

    def __init__(
        self, engine: Engine, keeper: Keeper, outbox: Outbox, venue: Venue, clock: Clock, *,
        symbols: Mapping[str, str], execution: Execution, scope: str = "",
    ) -> None:  # fmt: skip
        self.engine, self.keeper, self.outbox = engine, keeper, outbox
        self.name, self.scope = engine.mount.name, scope
        self.symbols, self.execution = symbols, execution
        self.state = RECOVERING
        self.latched = RECOVERING  # the state in which the last process ended
        self.is_flattening = False
        self.shut: dict[str, str] = {}  # assets whose market could not be traded at this start, each with why
        self.commands: set[str] = set()  # keys of those that were carried out
        self.configuration = ("", "")  # hash and values of the one that was applied last
        self.venue, self._clock = venue, clock
        self.market: Market | None = None  # what it hears; none where prices are told by hand
        self.heard: Callable[[str], Touch | None] = lambda _asset: None  # the best prices, where they are fresh
        self.spare: Callable[[], Decimal | None] = lambda: None  # money that is free on the account; none = nobody asks
        self.claimed: Callable[[str], Decimal] = lambda _code: Decimal(0)  # what other mounts of the account keep of it
        self.is_short: Callable[[str], bool] = lambda _asset: (
            False
        )  # whether the account has less of an asset than facts explain
        self._failures: list[datetime] = []
        self._flat_again = 0.0
        self._again: dict[tuple[str, int], float] = {}
        self.outcomes = Outcomes(self.name, kinds_of(engine.wants))
        self.participation = Participation(self.name, execution.participation, _bars_of(engine))
        keeper.followers.append(self._follow)
        keeper.listeners.append(self.fold)

    # What is told

    def decided(self, facts: Sequence[Fact], *, fires: bool = False) -> list[Fact]:
        """What follows from facts of one instant, in a turn of the keeper; `fires`: of price exits only."""
        return self._caused(facts, self.engine.fire(*facts) if fires else self.engine.handle(*facts))

    def _caused(self, told: Sequence[Fact], followed: Sequence[Fact]) -> list[Fact]:
        self.engine.record.clear()  # what followed is in the journal; a bot that runs for months keeps no second record
        return caused(told, followed, self.outcomes.wanted)

    def suspending(self, followed: Sequence[Fact]) -> list[Fact]:
        """A strategy that raises again and again is stopped from opening; its exits stay armed."""
        for fact in followed:
            if isinstance(fact, StrategyFailed) and fact.mount == self.name:
                self._failures = [at for at in (*self._failures, fact.at) if fact.at - at <= FAILING]
        if len(self._failures) < FAILURES or self.engine.mount.halted:
            return []
        self._failures = []
        halted = Halted(self._clock.now(), self.name, "strategy")
        self.engine.learn(halted)
        return [halted]

    async def pursue_flat(self) -> None:
        """While everything is to be sold: aim at nothing anew, once nothing is under way and something is held still."""
        mount, now = self.engine.mount, self._clock.monotonic()
        if not self.is_flattening or not self.is_quiet or now < self._flat_again:
            return
        if any(mount.held(asset) is not None and asset not in self.shut for asset in mount.ledger.holdings):
            self._flat_again = now + self.execution.again_seconds
            at = self._clock.now()
            await self.flatten(CommandTaken(at, f"flatten-{self.scope}{to_ns(at)}", "flatten", "again", self.scope))

    async def flatten(self, command: CommandTaken) -> list[Fact]:
        """Aim everything at nothing, which is a goal and not an event: it is aimed at anew until nothing is held."""
        async with self.keeper.turn:
            followed = self.flattened(command)
            await telling.write([self], self.keeper, [command], followed)
        return followed

    def flattened(self, command: CommandTaken) -> list[Fact]:
        """What follows from aiming everything at nothing, in a turn of the keeper."""
        return self._caused([command], self.engine.flatten(to_ns(command.at)))

    async def cancel(self, number: str, command: CommandTaken) -> str:
        """Give up what is left of an order that is not at the venue; returns why it was not, empty where it was done."""
        track = next((one for one in self.waiting() if str(one.placed.order) == number.strip()), None)
        if track is None:
            return f"no order {number!r} is on its way"
        await self.keeper.keep(command)
        if track.state not in UNSENT:
            return f"order {number} is {track.state}: what the venue has ends by itself within seconds; what is left can be cancelled then"
        await self.outbox.give_up(track, "cancelled")
        return (
            ""
            if track.state == CLOSED
            else f"order {number} left in the same instant; what is left can be cancelled then"
        )

    def _follow(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        followed = self._caused(facts, self.engine.learn(*facts))
        return [*followed, *self.outcomes.closing([*facts, *followed])]

    def fold(self, fact: Fact) -> None:
        """Learn from a fact that was kept: the trading state, commands, and whether everything is to be sold."""
        if isinstance(fact, CommandTaken):
            self.commands.add(fact.key)
        self.participation.fold(fact)
        match fact:
            case StateChanged(scope=scope, state=state) if scope in {"", self.name}:
                self.state = state
            case MountStarted(mount=self.name, shut=shut):
                self.shut = dict(shut)
            case ConfigApplied(mount=self.name, hash=hash_, values=values):
                self.configuration = (hash_, values)
            case CommandTaken(command="flatten", scope=scope) if scope in {"", self.name}:
                self.is_flattening = True
            case CommandTaken(command="resume", scope=scope) if scope in {"", self.name}:
                self.is_flattening = False
            case _:
                pass

    def reconfigure(self, execution: Execution) -> None:
        """Go on as the engine was reconfigured, with this way of carrying out."""
        self.execution, self._failures = execution, []
        self.participation.allow(execution.participation)
        self.outcomes.wanted = frozenset(kinds_of(self.engine.wants))

    async def change(self, state: str, why: str) -> None:
        """Change the trading state, unless a command changed it meanwhile; killed stays killed until a person resumes."""
        before = self.state
        if before not in {state, KILLED}:
            changed = StateChanged(self._clock.now(), self.scope, state, why)
            await self.keeper.keep(changed, when=lambda: self.state == before)

    # What is carried out

    def waiting(self) -> list[Track]:
        """Orders of this mount that are not final, sells first, each in the order of placement."""
        ours = [one for one in self.outbox.live.values() if one.placed.mount == self.name]
        return sorted(ours, key=lambda one: (one.placed.side == "buy", one.placed.order))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way and nothing waits to be sent; what waits for a market that is shut may wait for long."""
        ours = (one for one in self.outbox.live.values() if one.placed.mount == self.name)
        return all(one.state in UNSENT and one.placed.asset in self.shut for one in ours)

    async def work(self, concerns: Callable[[Track], bool] = lambda _track: True) -> None:
        """Take every order that is not final one step on; questions without an answer are asked again the next time."""
        for track in self.waiting():
            if concerns(track):
                await self.step(track)

    async def step(self, track: Track) -> None:
        """Take one order one step on."""
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
        is_short = placed.side == "sell" and (track.refusals > 0 or self.is_short(placed.asset))
        if quantity and is_short:
            quantity = await self._there(track, found, quantity)
        if found.quantity is not None and not quantity:
            self._later(track, SHORT_TIMES if is_short else 1)
            return
        if (spare := self.spare()) is not None and placed.side == "buy" and self._outlay(placed, found) > spare:
            await self.outbox.give_up(track, "account_cash")
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
        return self._fit(track, found, room)

    def _fit(self, track: Track, found: Priced, room: Decimal) -> Decimal:
        """Whole lots within so much; zero where they are too little to be sent."""
        terms = self.engine.mount.terms_of(track.placed.asset, track.placed.venue)
        fit = Decimal(terms.lots(room))  # type: ignore[arg-type]  # the ledger is exact here
        is_small = terms.min_notional is not None and fit * Decimal(found.limit or 0) < Decimal(terms.min_notional)
        return Decimal(0) if is_small else fit

    def _outlay(self, placed: OrderPlaced, found: Priced) -> Decimal:
        """The most that a buy takes of the account's money."""
        if found.quantity is None:
            return Decimal(found.spend or 0)
        is_received = self.engine.mount.terms_of(placed.asset, placed.venue).fee_received
        fee = Decimal(0) if is_received else Decimal(repr(self.execution.fee))
        return Decimal(found.quantity) * Decimal(found.limit or 0) * (1 + fee)

    async def _there(self, track: Track, found: Priced, quantity: Decimal) -> Decimal:
        """The units of a sale, cut to what the account has free of them: somebody else may have sold some of what we hold.

        The cut is never more than what the mount holds, and what is missing is not made up for: it waits until it is there again.
        What other mounts of the account hold and are not selling is left to them.
        """
        code = self.symbols[track.placed.asset].partition("/")[0]
        balance = (await self.venue.balances()).get(code)
        free = (Decimal(0) if balance is None else balance.free) - self.claimed(code)
        return quantity if free >= quantity else self._fit(track, found, max(free, Decimal(0)))

    def keeps(self, code: str) -> Decimal:
        """What this mount holds of an asset of the account and is not selling now."""
        mount, kept = self.engine.mount, Decimal(0)
        selling = {one.placed.order for one in self.waiting() if self._forbidden(one) is None}
        for asset, held in mount.ledger.holdings.items():
            if self.symbols.get(asset, asset).partition("/")[0] == code:
                order = mount.orders.get(asset)
                is_selling = order is not None and order.side < 0 and order.number in selling
                sold = Decimal(order.left or 0) if order is not None and is_selling else Decimal(0)
                kept += max(Decimal(held.quantity) - sold, Decimal(0))
        return kept

    def _forbidden(self, track: Track) -> str | None:
        """Why an order may not be sent: a reason to give it up, an empty one to wait, None where it may."""
        placed = track.placed
        if self.state in {RECOVERING, KILLED}:
            return ""
        if placed.asset in self.shut:
            return "shut" if placed.side == "buy" else ""
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


def _bars_of(engine: Engine) -> Callable[[Fact], object]:
    """What of the bars an engine hears."""
    feed = engine.market
    return feed.concerning if isinstance(feed, Feed) else lambda fact: fact


def key_of(track: Track) -> tuple[str, int]:
    """The name of an order in the outbox."""
    return track.placed.mount, track.placed.order


def _exact(amount: Number | None) -> Decimal | None:
    return None if amount is None else Decimal(amount)
