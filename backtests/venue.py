"""The venue of a replay: what a bar, the cash and the lots allow of an order, at which price.

It keeps the log from which curves are marked afterwards; what a fill means for the book is the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backtests.fills import Fills
from trader.core.instruments import plainly
from trader.core.orders import CLOSED, Order

if TYPE_CHECKING:
    from collections.abc import Callable

    from trader.core.engine import Engine
    from trader.core.exits import Exit
    from trader.core.history import History, Panel
    from trader.core.instruments import Converter, Number, Terms
    from trader.core.matching import Tariff
    from trader.core.sizing import Missing

INFINITE = float("inf")
SHORT = 1e-12  # binary cash may be short by this share of the start


@dataclass(slots=True)
class Log:
    """What a replay leaves for its curve: one entry per fill, and counts."""

    fills: Fills = field(default_factory=Fills)
    ambiguous: set[tuple[int, int]] = field(
        default_factory=set
    )  # asset and bar in which a stop and a goal were in range
    trails: list[tuple[int, int, int, float, float]] = field(default_factory=list)  # asset, first, end, share, peak
    omitted: set[int] = field(default_factory=set)  # assets with a wanted datum that views left out
    waits: list[int] = field(default_factory=list)  # ns from decision to fill at an open
    at_once: int = 0  # fills at the very instant of their decision


class TapeVenue:
    """Trades orders against the bars of a panel."""

    def __init__(
        self, engine: Engine, panel: Panel, history: History, tariff: Tariff, *, number: Converter, start_cash: Number
    ) -> None:  # fmt: skip
        self.engine, self.history, self.tariff, self.number = engine, history, tariff, number
        self.mount = engine.mount
        self.is_float = number is plainly
        # by asset: its number, its last bar if every bar between is there and tradable, its opens
        self.lanes = {
            name: (at, last if is_dense else -1, panel.readers["open"][at])
            for name, at, last, is_dense in zip(panel.names, range(len(panel.names)), *panel.spans()[1:], strict=True)
        }
        self.on_fill: Callable[[int], None] | None = None  # told of the instants of deals, where somebody wants to know
        self.is_plain = tariff.participation is None and tariff.impact is None
        self.short = start_cash * number(SHORT)
        self.volumes = panel.readers["volume"]
        self.used: dict[str, tuple[int, Number]] = {}  # asset -> bar and what we took of its volume
        self.log = Log()

    def deal(self, asset: str, terms: Terms, order: Missing, why: str, at: int) -> bool:
        """Trade a lone order whole where the next bar opens at this instant; False where anything could hold it back."""
        side, quantity, spend = order
        history, tariff, ledger = self.history, self.tariff, self.mount.ledger
        number, last, read = self.lanes[asset]
        bar = history.bar + 1
        if bar > last or not history.is_close:
            return False
        mid = read(bar)
        if not self.is_float:
            mid = self.number(mid)
        if terms.tick is None:
            price = mid * (tariff.up if side > 0 else tariff.down)
        else:
            price = tariff.price(mid, side, terms)
        cash, share = ledger.cash[terms.venue], tariff.fee
        if side > 0 and terms.fee_received:
            share = ledger.zero
        if quantity is None:
            assert spend is not None
            free = cash if cash > 0 else ledger.zero
            quantity = terms.lots((free if spend == INFINITE else spend) / (price * (tariff.one + share)))
            if quantity <= 0:
                return False
        value, fee_asset = quantity * price, "quote"
        fee, change = value * tariff.fee, -quantity
        if side > 0:
            change = quantity
            if value * (tariff.one + share) > cash + self.short:
                return False
            if terms.fee_received:
                fee, fee_asset = quantity * tariff.fee, asset
                change -= fee
        self.engine.dealt(asset, terms.venue, side, quantity, price, fee, fee_asset, why, at, spend)
        log = self.log
        log.at_once += 1
        log.fills.append((bar, number, change, ledger.total_cash()))
        if self.on_fill is not None:
            self.on_fill(at)
        return True

    def deal_exit(self, asset: str, number: int, exit_: Exit, level: Number, bar: int, at: int) -> bool:
        """Trade a price exit of all that is held inside a bar; False where anything could hold it back."""
        mount, tariff = self.mount, self.tariff
        if not self.is_plain or asset in mount.orders:
            return False
        holding = mount.ledger.holdings[asset]
        terms = mount.terms_of(asset, holding.venue)
        quantity = terms.lots(holding.quantity)
        if not quantity or (terms.min_notional is not None and quantity * level < terms.min_notional):
            return False
        price = tariff.price(level, -1, terms)
        fee = quantity * price * tariff.fee
        self.engine.exit_dealt(asset, number, exit_, level, at, quantity, price, fee)
        self.log.fills.append((bar, self.history.index[asset], -quantity, mount.ledger.total_cash()))
        return True

    def trade(self, order: Order, mid: Number, bar: int, at: int) -> None:
        """Trade what the bar, the cash and the lot allow of an order, at a mid price."""
        mount, tariff, side = self.mount, self.tariff, order.side
        every = mount.terms[order.asset]
        terms = every[0] if len(every) == 1 else mount.terms_of(order.asset, order.venue)
        from_received = side > 0 and terms.fee_received
        fee_share = mount.ledger.zero if from_received else tariff.fee
        quantity = order.quantity
        if self.is_plain and quantity is not None:
            price = tariff.price(mid, side, terms)
            value = quantity * price
            if side < 0 or value * (tariff.one + fee_share) <= mount.ledger.cash[order.venue] + self.short:
                fee = (quantity if from_received else value) * tariff.fee
                self.engine.traded(order, quantity, price, fee, order.asset if from_received else "quote", at)
                self.note(bar, order.asset, -quantity if side < 0 else quantity - fee if from_received else quantity)
                return
        volume = self.volumes[self.history.index[order.asset]](bar)
        room = None if tariff.participation is None else self._room(order.asset, terms, bar, volume)
        price, quantity, is_capped = self._wanted(order, mid, terms, volume, fee_share=fee_share, room=room)
        is_cut, held_back = False, quantity
        if order.side > 0:
            cash = mount.ledger.cash[order.venue]
            if quantity * price * (tariff.one + fee_share) > cash + self.short:
                affordable = terms.lots(max(cash, mount.ledger.zero) / (price * (tariff.one + fee_share)))
                is_cut, held_back = True, quantity
                is_nothing = affordable * price <= self.short or (
                    order.quantity is not None and affordable <= order.quantity * self.number(1e-9)
                )
                too_small = terms.min_notional is not None and affordable * price < terms.min_notional
                quantity = mount.ledger.zero if is_nothing or too_small else affordable
        if quantity > 0:
            self._book(order, quantity, price, bar, at, terms=terms)
        if is_cut and order.quantity is None:
            is_capped = False  # the cash ends before the volume does: nothing was held back
        if is_cut and is_capped:  # what the volume held back stays working, what cash cut does not
            self.engine.cut(order, held_back - quantity, at)
        if is_cut and not is_capped:
            self.engine.close(order, "cash", at)
        elif not is_capped and order.asset in mount.orders:
            self.engine.close(order, "filled" if quantity > 0 else "lot", at)
        elif (
            is_capped
            and order.left is not None
            and order.quantity is not None
            and (
                order.left <= order.quantity * self.number(1e-9)
                or (terms.lot is not None and not terms.lots(order.left))
            )
            and order.state != CLOSED
        ):
            self.engine.close(order, "filled", at)

    def _wanted(
        self, order: Order, mid: Number, terms: Terms, volume: float, *, fee_share: Number, room: Number | None
    ) -> tuple[Number, Number, bool]:
        """Price and quantity before cash is asked, and whether the volume held some of it back."""
        tariff, left = self.tariff, order.left
        assert left is not None
        by_cost, free = order.quantity is None, max(self.mount.ledger.cash[order.venue], self.mount.ledger.zero)
        if by_cost and left == INFINITE:
            left = free
        share = None
        if tariff.impact is not None and volume > 0:
            taken = left
            if by_cost:
                dear = mid * (tariff.one + tariff.half_spread) * (tariff.one + fee_share)
                taken = terms.lots(min(left, free) / dear)
            share = (taken if room is None else min(taken, room)) / self.number(volume)
        price = tariff.price(mid, order.side, terms, share)
        quantity = terms.lots(left / (price * (tariff.one + fee_share))) if by_cost else left
        return (price, quantity, False) if room is None or quantity <= room else (price, room, True)

    def _room(self, asset: str, terms: Terms, bar: int, volume: float) -> Number | None:
        if volume != volume:  # noqa: PLR0124  # NaN: the volume is not known
            return None
        used_bar, used = self.used.get(asset, (-1, self.mount.ledger.zero))
        assert self.tariff.participation is not None
        room = self.tariff.participation * self.number(volume) - (used if used_bar == bar else self.mount.ledger.zero)
        return max(terms.lots(room), self.mount.ledger.zero) if room > 0 else self.mount.ledger.zero

    def _book(self, order: Order, quantity: Number, price: Number, bar: int, at: int, *, terms: Terms) -> None:
        mount, tariff = self.mount, self.tariff
        asset = order.asset
        if order.side > 0 and terms.fee_received:
            fee, fee_asset = quantity * tariff.fee, asset
        else:
            fee, fee_asset = quantity * price * tariff.fee, "quote"
        self.engine.filled(order, quantity, price, at, fee=fee, fee_asset=fee_asset)
        if tariff.participation is not None:
            used_bar, used = self.used.get(asset, (-1, mount.ledger.zero))
            self.used[asset] = (bar, quantity + (used if used_bar == bar else mount.ledger.zero))
        self.note(bar, asset, (quantity - fee if fee_asset == asset else quantity) if order.side > 0 else -quantity)

    def note(self, bar: int, asset: str, change: Number) -> None:
        self.log.fills.append((bar, self.history.index[asset], change, self.mount.ledger.total_cash()))
