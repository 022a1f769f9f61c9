"""The outbox: takes a decided order to its venue so that it becomes at most one order there, whatever fails in between.

Nothing leaves before the exact bytes, their client id and the end of their validity are on disk. They are sent once. What is
not known afterwards stays unknown until the venue's own lists prove it, after the validity has passed on the venue's clock.
The outbox decides nothing: it reports facts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from trader.core.facts import (
    Fact,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
)
from trader.core.identity import client_core, intent_id
from trader.core.orders import ABSENT, ACCEPTED, CLOSED, PLACED, SENDING, STUCK, UNKNOWN, next_state
from trader.ports import (
    Accepted,
    Balance,
    Clock,
    Journal,
    JournalDownError,
    OrderRequest,
    RefusedByVenue,
    Scan,
    Venue,
    VenueDownError,
)

VALIDITY_MS = 5_000
ATTEMPTS = 3
STUCK_MS = 600_000
APART_SECONDS = 1.0
BEFORE_MS = 60_000  # scans begin this long before the signature
KEEPS = 20  # how often a commit that fails is repeated before the process gives up


@dataclass(slots=True)
class Track:
    """What is known of one order on its way."""

    placed: OrderPlaced
    state: str = PLACED
    sending: OrderSending | None = None
    venue_order: str = ""

    @property
    def attempt(self) -> int:
        """How often it was signed."""
        return 0 if self.sending is None else self.sending.attempt


class Outbox:
    """The orders of one account on their way. `explains` says whether balances agree with what is booked."""

    def __init__(
        self, journal: Journal, venue: Venue, clock: Clock, *, account: str, namespace: str,
        explains: Callable[[Mapping[str, Balance]], bool],
    ) -> None:  # fmt: skip
        self._journal, self._venue, self._clock = journal, venue, clock
        self._account, self._namespace, self._explains = account, namespace, explains
        self.tracks: dict[tuple[str, int], Track] = {}

    def fold(self, fact: Fact) -> None:
        """Learn from a fact that was kept."""
        match fact:
            case OrderPlaced():
                self.tracks[fact.mount, fact.order] = Track(fact)
            case OrderSending() | OrderAccepted() | OrderUnknown() | OrderAbsent() | OrderStuck() | OrderClosed():
                track = self.tracks[fact.mount, fact.order]
                track.state = next_state(track.state, type(fact).__name__)
                if isinstance(fact, OrderSending):
                    track.sending = fact
                if isinstance(fact, OrderAccepted):
                    track.venue_order = fact.venue_order
            case _:
                pass

    async def recover(self) -> None:
        """After a start: what an earlier process was sending is unknown now; it is resolved, never sent again."""
        for track in list(self.tracks.values()):
            if track.state == SENDING:
                await self._keep(self._of(track, OrderUnknown, "the process that sent it ended"))

    async def send(self, track: Track, *, quantity: Decimal, limit: Decimal, symbol: str) -> None:
        """Sign, write down, send once, and write down what came of it."""
        assert track.state in {PLACED, ABSENT}, track.state
        placed = track.placed
        intent = intent_id(self._account, placed.mount, placed.cause, placed.asset, placed.order)
        core = client_core(self._namespace, intent, track.attempt + 1)
        request = OrderRequest(self._venue.client_id(core), symbol, placed.side, quantity, limit)
        signed_ms = await self._venue.now_ms()
        begin = self._clock.monotonic()
        signed = self._venue.sign(request, signed_ms=signed_ms, not_after_ms=signed_ms + VALIDITY_MS)
        await self._keep(
            OrderSending(
                self._clock.now(), placed.mount, placed.order, request.client_id, track.attempt + 1,
                quantity,  # type: ignore[arg-type]  # exact runs pass decimals where numbers stand
                limit,  # type: ignore[arg-type]
                signed_ms, signed.not_after_ms, signed.digest, self._journal.epoch,
            )
        )  # fmt: skip
        if self._clock.monotonic() - begin > VALIDITY_MS / 2_000:
            await self._keep(self._of(track, OrderUnknown, "writing it down took too long: it was not sent"))
            return
        reply = await self._venue.send(signed)
        match reply:
            case Accepted(venue_order=venue_order):
                await self._keep(self._of(track, OrderAccepted, venue_order))
            case RefusedByVenue(code=code):
                at = self._clock.now()
                await self._keep(OrderClosed(at, placed.mount, placed.order, placed.asset, f"refused {code}"))
            case unclear:
                await self._keep(self._of(track, OrderUnknown, unclear.why))

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
            is_explained = self._explains(await self._venue.balances())
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

    async def give_up(self, track: Track, reason: str) -> None:
        """Close an order that will not be sent again."""
        assert track.state in {PLACED, ABSENT}, track.state
        placed = track.placed
        await self._keep(OrderClosed(self._clock.now(), placed.mount, placed.order, placed.asset, reason))

    def _of(
        self, track: Track, cls: type[OrderAccepted | OrderUnknown | OrderAbsent | OrderStuck], said: str
    ) -> Fact:  # fmt: skip
        return cls(self._clock.now(), track.placed.mount, track.placed.order, said)

    async def _keep(self, fact: Fact) -> None:
        """Write a fact down, repeated as it is until it is kept; then learn from it."""
        for pause in range(KEEPS):
            try:
                await self._journal.append([fact])
                break
            except JournalDownError:
                if pause == KEEPS - 1:
                    raise
                await self._clock.sleep(min(0.05 * 2**pause, 5.0))
        self.fold(fact)


FINAL = frozenset({ACCEPTED, CLOSED})
