"""Reconciliation: what the venue shows beside what our facts say. Differences become facts; nothing is invented to close them.

The equation for each asset of an account: what the venue holds = what was there before us + what our fills moved - fees. Streams are
hints; this is the truth, asked at start, at intervals, and after whatever was lost.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial

from trader.core.facts import Fact, Filled, OrderSending, ZombieSeen
from trader.core.ledger import QUOTE
from trader.core.orders import ABSENT, PLACED, STUCK, UNKNOWN
from trader.core.records import AccountCompared, BaselineSet, DiscrepancySeen, ForeignSeen, StateChanged
from trader.ports import Balance, Clock, Scan, Venue, VenueDownError, VenueOrder
from trader.runtime.keeper import Keeper
from trader.runtime.outbox import Outbox

OVERLAP_MS = 600_000
KEEP_MS = 3_600_000  # how often it is written down how far the account was compared
READS = 5  # how often balances are read again when a trade came in between
ZERO = Decimal(0)


class Reconciler:
    """Compares an account with its facts. `symbols` are the markets we trade, by asset; `dust` what may be off by rounding.

    scopes: whose trading it halts where it must. is_at, is_of: whether a mount is on this account, and a fact about it.
    """

    STATE = ("moved", "baseline", "_foreign", "_zombies", "_kept_ms", "_first_ms", "_killed")

    def __init__(
        self, keeper: Keeper, venue: Venue, outbox: Outbox, clock: Clock, *, symbols: Mapping[str, str], quote: str,
        dust: Mapping[str, Decimal], namespace: str, account: str = "", scopes: Sequence[str] = ("",),
        is_at: Callable[[str], bool] = lambda _mount: True, is_of: Callable[[str], bool] = lambda _account: True,
    ) -> None:  # fmt: skip
        self._keeper, self._venue, self._outbox, self._clock = keeper, venue, outbox, clock
        self._symbols, self._quote, self._dust = symbols, quote, dust
        self._marker, self._account, self._scopes = venue.client_id(namespace), account, scopes
        self._is_at, self._is_of = is_at, is_of
        self.moved: dict[str, Decimal] = {}
        self.baseline: dict[str, Decimal] = {}
        self.off: dict[str, Decimal] = {}
        self._foreign: set[str] = set()
        self._zombies: set[str] = set()
        self._killed: set[str] = set()  # scopes
        self._free: tuple[Decimal, Decimal] | None = (
            None  # the money that was free when the account was read, and moved then
        )
        self._since_ms = self._kept_ms = self._first_ms = 0
        keeper.listeners.append(self.fold)

    def restored(self) -> None:
        """The state was set: look from where the account was last compared."""
        self._since_ms = self._kept_ms

    def fold(self, fact: Fact) -> None:
        """Learn from a fact that was kept."""
        if not self._is_at(getattr(fact, "mount", "")) or (hasattr(fact, "account") and not self._is_of(fact.account)):
            return
        match fact:
            case AccountCompared(until_ms=until_ms):
                self._since_ms = self._kept_ms = until_ms
            case OrderSending(signed_ms=signed_ms):
                self._first_ms = self._first_ms or signed_ms
            case Filled(order=int()):
                self._move(fact)
            case BaselineSet(asset=asset, total=total):
                self.baseline[asset] = Decimal(total)
                self.off.pop(asset, None)
            case DiscrepancySeen(asset=asset, expected=expected, seen=seen):
                self.off[asset] = Decimal(seen) - Decimal(expected)
            case ForeignSeen(venue_order=venue_order):
                self._foreign.add(venue_order)
            case StateChanged(scope=scope, state=state):
                scopes = {one for one in self._scopes if scope in {"", one}}
                self._killed = self._killed | scopes if state == "killed" else self._killed - scopes
            case ZombieSeen(venue_order=venue_order):
                self._zombies.add(venue_order)
            case _:
                pass

    def _move(self, fill: Filled) -> None:
        sign = 1 if fill.side == "buy" else -1
        value = Decimal(fill.quantity) * Decimal(fill.price)
        self._add(self._code(fill.asset), sign * Decimal(fill.quantity))
        self._add(self._quote, -sign * value)
        fee_asset = self._quote if fill.fee_asset == QUOTE else self._code(fill.fee_asset)
        self._add(fee_asset, -Decimal(fill.fee))

    def _add(self, code: str, amount: Decimal) -> None:
        self.moved[code] = self.moved.get(code, ZERO) + amount

    def _code(self, asset: str) -> str:
        return self._symbols.get(asset, asset).partition("/")[0]

    def spare(self) -> Decimal | None:
        """The money that is free on the account, as far as it was read and our fills moved it since; none before it was read."""
        if self._free is None:
            return None
        free, moved = self._free
        return free + self.moved.get(self._quote, ZERO) - moved

    @property
    def codes(self) -> list[str]:
        """The assets of the account that concern us."""
        return sorted({self._quote, *(self._code(asset) for asset in self._symbols)})

    def unexplained(self, balances: Mapping[str, Balance]) -> dict[str, tuple[Decimal, Decimal]]:
        """(expected, seen) of each asset whose balance our facts do not explain to within dust."""
        found = {}
        for code in self.codes:
            if code not in self.baseline:
                continue
            seen = balances[code].total if code in balances else ZERO
            expected = self.baseline[code] + self.moved.get(code, ZERO)
            if abs(seen - expected) > self._dust.get(code, ZERO):
                found[code] = (expected, seen)
        return found

    def is_short(self, asset: str) -> bool:
        """Whether the account has less of an asset than facts explain, or had when an operator adopted it."""
        code = self._code(asset)
        return self.off.get(code, ZERO) < 0 or self.baseline.get(code, ZERO) < 0

    def explains(self, balances: Mapping[str, Balance]) -> bool:
        """Whether all that moved is explained, apart from what was off before."""
        return all(
            seen - expected == self.off.get(code) for code, (expected, seen) in self.unexplained(balances).items()
        )

    async def run(self) -> bool:
        """Compare once; true when everything could be read and nothing new is off. Raises VenueDownError."""
        balances, scan = await self._read()
        await self._set_baseline(balances)
        is_sound = True
        for order in scan.orders:
            is_sound &= await self._judge(order)
        traded = {one.venue_order for one in scan.trades}
        for track in [one for one in self._outbox.tracks.values() if one.venue_order in traded]:
            await self._outbox.book(track, [one for one in scan.trades if one.venue_order == track.venue_order])
        self._note_free(balances, self.moved)
        if not self._is_open():
            is_sound &= await self._note_differences(balances)
        self._since_ms = scan.until_ms
        if scan.until_ms - self._kept_ms > KEEP_MS:
            await self._keeper.keep(AccountCompared(self._clock.now(), self._venue.name, scan.until_ms, self._account))
        return is_sound

    def _totals(self, balances: Mapping[str, Balance]) -> dict[str, Decimal]:
        """What of an account its facts must explain: not what others reserve with their orders, nor what we never trade."""
        return {code: balances[code].total for code in self.codes if code in balances}

    def _note_free(self, balances: Mapping[str, Balance], moved: Mapping[str, Decimal]) -> None:
        """Remember the money that was free, beside what our fills had moved then."""
        free = balances[self._quote].free if self._quote in balances else ZERO
        self._free = (free, moved.get(self._quote, ZERO))

    async def _note_differences(self, balances: Mapping[str, Balance]) -> bool:
        """Write down what is off, or no more; true when nothing new is."""
        found, is_sound = self.unexplained(balances), True
        for code in self.codes:
            seen = balances[code].total if code in balances else ZERO
            expected, seen = found.get(code, (seen, seen))
            if self.off.get(code, ZERO) != seen - expected:
                is_sound &= seen == expected
                at = self._clock.now()
                await self._keeper.keep(DiscrepancySeen(at, self._venue.name, code, expected, seen, self._account))  # type: ignore[arg-type]
        return is_sound

    async def adopt(self, *beside: Fact) -> bool:
        """Take what the account holds now as what was there before us: an operator says that the differences are none of ours.

        beside: what is written in the same commit. False, and nothing is written, while an order of ours may have moved what is not booked
        yet: it would be taken for a stranger's, and be missing once it is booked. Raises VenueDownError.
        """
        balances, scan = await self._read()
        moved, facts = dict(self.moved), []
        for code in self.unexplained(balances):
            seen = balances[code].total if code in balances else ZERO
            total = seen - self.moved.get(code, ZERO)
            facts.append(BaselineSet(self._clock.now(), self._venue.name, code, total, "adopted", self._account))  # type: ignore[arg-type]
        is_adopted = await self._keeper.keep(
            *beside, *facts, when=lambda: self.moved == moved and not self._is_moving(scan)
        )
        if is_adopted:
            self._note_free(balances, moved)
        return is_adopted

    def _is_moving(self, scan: Scan) -> bool:
        """Whether an order of ours may have moved something that is not booked: unless it is unknown, its time is over and no list shows it."""
        shown = {one.client_id for one in scan.orders} | {one.client_id for one in scan.trades}
        over_ms = scan.until_ms - self._venue.settle_seconds * 1_000
        for track in self._outbox.live.values():
            if track.state in {UNKNOWN, STUCK} and track.sending is not None:
                if track.sending.client_id in shown or track.sending.not_after_ms > over_ms:
                    return True
            elif track.state not in {PLACED, ABSENT}:
                return True
        return False

    def _is_open(self) -> bool:
        return any(one.state != PLACED for one in self._outbox.live.values())

    def _unresolved(self) -> list[int]:
        """When each order that is not final was signed; older ones are settled and need not be looked at again."""
        return [one.sending.signed_ms for one in self._outbox.live.values() if one.sending]

    async def _read(self) -> tuple[dict[str, Balance], Scan]:
        """Balances that did not move while the lists were read."""
        symbols = list(self._symbols.values())
        for _ in range(READS):
            await self._venue.now_ms()  # what is signed from now on is signed with the venue's clock as it is now
            before = await self._venue.balances()
            until_ms = await self._venue.now_ms()
            since_ms = min([until_ms, self._since_ms or self._first_ms or until_ms, *self._unresolved()]) - OVERLAP_MS
            scan = await self._venue.scan(symbols, since_ms=since_ms, until_ms=until_ms)
            after = await self._venue.balances()
            if self._totals(after) == self._totals(before):
                return after, scan
        raise VenueDownError(f"{self._venue.name}: balances moved in each of {READS} reads")

    async def _set_baseline(self, balances: Mapping[str, Balance]) -> None:
        """What was there before the first fact of ours is not ours to sell."""
        at = self._clock.now()
        for code in self.codes:
            if code not in self.baseline:
                seen = balances[code].total if code in balances else ZERO
                total = seen - self.moved.get(code, ZERO)
                await self._keeper.keep(BaselineSet(at, self._venue.name, code, total, "first seen", self._account))  # type: ignore[arg-type]

    async def _judge(self, order: VenueOrder) -> bool:
        """Say what an order at the venue is: known, a zombie, one of ours that no fact knows, or a stranger's."""
        at, outbox = self._clock.now(), self._outbox
        known = outbox.attempts.get(order.client_id)
        if known is not None:
            track = outbox.tracks[known[0], known[1]]
            is_current = track.attempt == known[2]
            proven_gone = known in outbox.gone or (is_current and track.state == ABSENT)
            if proven_gone and order.venue_order not in self._zombies:
                if order.is_open:
                    await self._venue.cancel(order.venue_order, order.symbol)
                trades = await self._venue.trades_of(order.venue_order, order.symbol)
                await outbox.book(track, trades)
                seen = ZombieSeen(at, known[0], known[1], order.client_id, order.venue_order)
                await self._halt(seen, f"zombie: {order.client_id} is at the venue")
                return False
            return True
        if order.venue_order in self._foreign:
            return True
        is_ours = order.client_id.startswith(self._marker)
        kind = "ours" if is_ours else "open" if order.is_open else "finished"
        name = self._venue.name
        foreign = ForeignSeen(at, name, order.symbol, order.venue_order, order.client_id, kind, self._account)
        if not is_ours:
            await self._keeper.keep(foreign)
            return True
        why = f"amnesia: no fact knows our order {order.client_id}; was a backup restored?"
        await self._halt(foreign, why)
        return False

    async def _halt(self, seen: Fact, why: str) -> None:
        """Write what was seen and the halt in one commit, or the halt is lost with the process; what is killed stays killed."""
        is_kept = False
        while not is_kept:
            killed = self._killed
            halts = [StateChanged(seen.at, one, "halted", why) for one in self._scopes if one not in killed]
            is_kept = await self._keeper.keep(seen, *halts, when=partial(self._is_still, killed))

    def _is_still(self, killed: set[str]) -> bool:
        return killed == self._killed
