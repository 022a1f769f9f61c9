"""The outbox: takes a decided order to its venue so that it becomes at most one order there, whatever fails in between.

Nothing leaves before the exact bytes, their client id and the end of their validity are on disk. They are sent once. What is
not known afterwards stays unknown until the venue's own lists prove it, after the validity has passed on the venue's clock.
The outbox decides nothing: it reports facts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from time import perf_counter

from trader.core.facts import (
    AttemptEnded,
    Fact,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderCut,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
)
from trader.core.identity import client_core, intent_id
from trader.core.ledger import QUOTE
from trader.core.orders import ABSENT, ACCEPTED, CLOSED, PLACED, SENDING, STUCK, UNKNOWN, next_state
from trader.ports import (
    Accepted,
    Balance,
    Clock,
    OrderRequest,
    RefusedByVenue,
    Scan,
    Venue,
    VenueDownError,
    VenueTrade,
)
from trader.runtime.keeper import Keeper

FENCE_MS = 5_000
ATTEMPTS = 3
REFUSALS = 20  # how often in a row a sale may be refused before it is given up: about two hours
STUCK_MS = 600_000
UNSENT = frozenset({PLACED, ABSENT})
APART_SECONDS = 1.0
BEFORE_MS = 60_000  # scans begin this long before the signature


@dataclass(slots=True)
class Track:
    """What is known of one order on its way."""

    placed: OrderPlaced
    state: str = PLACED
    sending: OrderSending | None = None
    venue_order: str = ""
    absences: int = 0  # in a row
    refusals: int = 0  # in a row
    trades: set[str] = field(default_factory=set)
    filled: Decimal = Decimal(0)  # in all attempts

    @property
    def attempt(self) -> int:
        """How often it was signed."""
        return 0 if self.sending is None else self.sending.attempt


class Outbox:
    """The orders of one account on their way, of all mounts on it, which `is_ours` knows.

    `explains` says whether balances agree with what is booked; until it is set, none do.
    """

    STATE = ("tracks", "attempts", "gone")

    def __init__(
        self, keeper: Keeper, venue: Venue, clock: Clock, *, account: str, namespace: str, fence_ms: int = FENCE_MS,
        is_ours: Callable[[str], bool] = lambda _mount: True,
    ) -> None:  # fmt: skip
        self._keeper, self._venue, self._clock = keeper, venue, clock
        keeper.listeners.append(self.fold)
        self._account, self._namespace, self._fence_ms, self._is_ours = account, namespace, fence_ms, is_ours
        self.explains: Callable[[Mapping[str, Balance]], bool] = lambda _: False
        self.tracks: dict[tuple[str, int], Track] = {}
        self.live: dict[tuple[str, int], Track] = {}  # those that are not final
        self.attempts: dict[str, tuple[str, int, int]] = {}  # client id -> mount, order, attempt
        self.gone: set[tuple[str, int, int]] = set()  # attempts that are proven to be no order

    def restored(self) -> None:
        """The state was set: know again which orders are not final."""
        self.live = {name: one for name, one in self.tracks.items() if one.state != CLOSED}

    def cause_of(self, mount: str, order: int) -> str:
        """What an order answers; empty for one that nobody knows."""
        track = self.tracks.get((mount, order))
        return "" if track is None else track.placed.cause

    def refence(self, fence_ms: int) -> None:
        """Let what is signed from now on be valid for so long."""
        self._fence_ms = fence_ms

    def fold(self, fact: Fact) -> None:
        """Learn from a fact that was kept."""
        if not self._is_ours(getattr(fact, "mount", "")):
            return
        match fact:
            case OrderPlaced():
                self.tracks[fact.mount, fact.order] = self.live[fact.mount, fact.order] = Track(fact)
            case Filled(order=int(number), trade=trade, quantity=quantity) if trade:
                track = self.tracks[fact.mount, number]
                track.trades.add(trade)
                track.filled += Decimal(quantity)
            case (
                OrderSending() | OrderAccepted() | OrderUnknown() | OrderAbsent() | OrderStuck() | OrderClosed()
                | AttemptEnded()
            ):  # fmt: skip
                track = self.tracks[fact.mount, fact.order]
                track.state = next_state(track.state, type(fact).__name__)
                name = (fact.mount, fact.order, track.attempt)
                if isinstance(fact, OrderSending):
                    track.sending = fact
                    self.attempts[fact.client_id] = (fact.mount, fact.order, fact.attempt)
                if isinstance(fact, OrderAbsent) or _is_refusal(fact):
                    self.gone.add(name)
                if isinstance(fact, AttemptEnded):
                    track.refusals = track.refusals + 1 if _is_refusal(fact) else 0
                if isinstance(fact, OrderClosed):
                    del self.live[fact.mount, fact.order]
                if isinstance(fact, OrderAbsent):
                    track.absences += 1
                if isinstance(fact, OrderAccepted):
                    track.absences = 0
                    track.venue_order = fact.venue_order
            case _:
                pass

    async def recover(self) -> None:
        """After a start: what an earlier process was sending is unknown now; it is resolved, never sent again."""
        for track in list(self.tracks.values()):
            if track.state == SENDING:
                await self._keep(self._of(track, OrderUnknown, "the process that sent it ended"))

    async def send(
        self, track: Track, *, quantity: Decimal | None, limit: Decimal | None, symbol: str,
        may: Callable[[], bool] = lambda: True, spend: Decimal | None = None,
    ) -> None:  # fmt: skip
        """Sign, write down, send once, and write down what came of it.

        may: asked in the turn in which it is written down, after whatever was decided while it was priced and signed.
        """
        placed = track.placed
        intent = intent_id(self._account, placed.mount, placed.cause, placed.asset, placed.order)
        core = client_core(self._namespace, intent, track.attempt + 1)
        request = OrderRequest(self._venue.client_id(core), symbol, placed.side, quantity, limit, spend)
        signed_ms = await self._venue.signing_ms()
        begin = self._clock.monotonic()
        signed = self._venue.sign(request, signed_ms=signed_ms, not_after_ms=signed_ms + self._fence_ms)
        is_written = await self._keep(
            OrderSending(
                self._clock.now(), placed.mount, placed.order, request.client_id, track.attempt + 1,
                quantity,  # type: ignore[arg-type]  # exact runs pass decimals where numbers stand
                limit,  # type: ignore[arg-type]
                signed_ms, signed.not_after_ms, signed.digest, self._keeper.epoch, spend,  # type: ignore[arg-type]
            ),
            when=lambda: track.state in UNSENT and may(),
        )  # fmt: skip
        if not is_written:
            return
        if self._clock.monotonic() - begin > self._fence_ms / 2_000:
            await self._keep(self._of(track, OrderUnknown, "writing it down took too long: it was not sent"))
            return
        leaves = perf_counter()
        reply = await self._venue.send(signed)
        self._keeper.measures.spent("answered", leaves)
        match reply:
            case Accepted(venue_order=venue_order):
                await self._keep(self._of(track, OrderAccepted, venue_order))
            case RefusedByVenue(code=code):
                await self._keep(self._refused(track, code))
            case unclear:
                await self._keep(self._of(track, OrderUnknown, unclear.why))

    def _refused(self, track: Track, code: str) -> Fact:
        """A refused buy is over; a refused sale is tried again, later and later, because what is held wants to leave."""
        at, placed = self._clock.now(), track.placed
        if placed.side == "sell" and track.refusals + 1 < REFUSALS:
            zero = Decimal(0)
            return AttemptEnded(at, placed.mount, placed.order, track.attempt, zero, f"refused {code}")  # type: ignore[arg-type]
        return OrderClosed(at, placed.mount, placed.order, placed.asset, f"refused {code}")

    async def resolve(self, track: Track, symbol: str) -> None:
        """Prove that an unknown order is there, or that it is not and never will be; leave it unknown where neither is."""
        assert track.state in {UNKNOWN, STUCK}, track.state
        sending = track.sending
        assert sending is not None
        try:
            begin_ms = await self._venue.now_ms()
            if begin_ms < sending.not_after_ms + self._venue.settle_seconds * 1_000:
                return
            for look in range(2):
                if look:
                    await self._clock.sleep(APART_SECONDS)
                found = await self._look(sending, symbol)
                if found:
                    await self._keep(self._of(track, OrderAccepted, found))
                    return
            is_explained = self.explains(await self._venue.balances())
        except VenueDownError:
            return  # a question without an answer proves nothing: all is asked again
        if is_explained:
            evidence = f"not in two whole scans after {sending.not_after_ms} ms and {self._venue.settle_seconds:g} s"
            await self._keep(self._of(track, OrderAbsent, evidence))
        elif track.state != STUCK and begin_ms > sending.not_after_ms + STUCK_MS:
            await self._keep(self._of(track, OrderStuck, "no list shows it, but the balances moved"))

    async def _look(self, sending: OrderSending, symbol: str) -> str:
        """One whole look: by client id, and through every list. The venue's id of the order, or nothing."""
        order = await self._venue.find(sending.client_id, symbol)
        until_ms = await self._venue.now_ms()
        scan: Scan = await self._venue.scan([symbol], since_ms=sending.signed_ms - BEFORE_MS, until_ms=until_ms)
        if order is not None:
            return order.venue_order
        seen = {one.client_id: one.venue_order for one in scan.trades} | {
            one.client_id: one.venue_order for one in scan.orders
        }
        return seen.get(sending.client_id, "")

    async def settle(self, track: Track, symbol: str) -> bool:
        """Book what the venue shows of an accepted order; true when the attempt is final and all its trades are booked."""
        assert track.state == ACCEPTED, track.state
        try:
            order = await self._venue.order(track.venue_order, symbol)
            trades = await self._venue.trades_of(track.venue_order, symbol)
        except VenueDownError:
            return False
        await self.book(track, trades)
        if order is None or order.is_open:
            return False
        # Of this attempt alone: an earlier one that shows up after all is booked on the same order.
        here = sum({one.trade: one.quantity for one in trades}.values(), Decimal(0))
        if order.filled is not None and order.filled != here:
            return False  # the list of trades lags behind the order
        if order.filled is None and order.spent is not None and order.spent > _spent(trades):
            return False
        mount, number = track.placed.mount, track.placed.order
        await self._keep(AttemptEnded(self._clock.now(), mount, number, track.attempt, here))  # type: ignore[arg-type]
        return True

    async def book(self, track: Track, trades: Sequence[VenueTrade]) -> int:
        """Book the trades of an order that are not booked yet, in every state of it; returns how many there were."""
        # Pages that move while they are read show a trade twice.
        placed, new = track.placed, {one.trade: one for one in trades if one.trade not in track.trades}
        if new:
            await self._keep(
                *[
                    Filled(
                        self._clock.now(), placed.mount, placed.order, placed.asset, placed.venue, placed.side,
                        one.quantity, one.price, one.fee, fee_name(one, placed.asset), placed.why, one.trade,  # type: ignore[arg-type]
                    )
                    for one in sorted(new.values(), key=lambda one: (one.at_ms, one.trade))
                ]
            )  # fmt: skip
        return len(new)

    async def give_up(self, track: Track, reason: str) -> None:
        """Close an order that will not be sent again."""
        placed = track.placed
        closed = OrderClosed(self._clock.now(), placed.mount, placed.order, placed.asset, reason)
        await self._keep(closed, when=lambda: track.state in UNSENT)

    async def cut(self, track: Track, amount: Decimal) -> bool:
        """Give up a part of an order that is not sent; false where a decision closed it meanwhile."""
        placed = track.placed
        fact = OrderCut(self._clock.now(), placed.mount, placed.order, placed.asset, amount)  # type: ignore[arg-type]
        return await self._keep(fact, when=lambda: track.state in UNSENT)

    def _of(
        self, track: Track, cls: type[OrderAccepted | OrderUnknown | OrderAbsent | OrderStuck], said: str
    ) -> Fact:  # fmt: skip
        return cls(self._clock.now(), track.placed.mount, track.placed.order, said)

    async def _keep(self, *facts: Fact, when: Callable[[], bool] = lambda: True) -> bool:
        return await self._keeper.keep(*facts, when=when)


def _spent(trades: Sequence[VenueTrade]) -> Decimal:
    """The money of an order's trades; a page that moved while it was read shows one twice."""
    return sum({one.trade: one.quantity * one.price for one in trades}.values(), Decimal(0))


def _is_refusal(fact: Fact) -> bool:
    """Whether the venue refused the attempt, which proves that it is no order."""
    said = fact.reason if isinstance(fact, OrderClosed) else fact.why if isinstance(fact, AttemptEnded) else ""
    return said.startswith("refused")


def fee_name(trade: VenueTrade, asset: str) -> str:
    """In which asset a fee was taken, in the ledger's words: quote money, the asset itself, or another's name."""
    base, _, quote = trade.symbol.partition("/")
    return {quote: QUOTE, base: asset}.get(trade.fee_asset, trade.fee_asset)
