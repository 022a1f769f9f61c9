"""The book: all state that facts have built, one mount beside the other, and the only functions that change it.

`Book.apply(fact)` folds a fact by calling one small `book_*` function per change; the engine calls the same functions
while it writes the row of the fact, so a fold of the rows gives the same book.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trader.core.exits import Exit, is_exit_word
from trader.core.facts import (
    AttemptEnded,
    BarClosed,
    Decided,
    DustLeft,
    ExitHit,
    Fact,
    Filled,
    Halted,
    MemoKept,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderCut,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
    Refused,
    Resumed,
    TargetSet,
    TimerDue,
    TimerSet,
)
from trader.core.instants import to_ns
from trader.core.instruments import Converter, Number, Terms
from trader.core.ledger import QUOTE, Holding, Ledger, book_fill
from trader.core.orders import CLOSED, Order, next_state
from trader.core.strategy import Target

GOES_ON = ("replaced", "exit", "joined")  # an order closed so makes room for another


class Mount:
    """One strategy at work: its ledger, standing targets, working orders, spent exits, memo and timers."""

    STATE = (
        "ledger", "targets", "orders", "exiting", "spent", "leaving", "memo", "timers", "halted", "orders_made",
    )  # fmt: skip
    __slots__ = (
        "exiting", "halted", "leaving", "ledger", "memo", "name", "orders", "orders_made", "placed", "spent",
        "targets", "terms", "timers", "touched",
    )  # fmt: skip

    def __init__(self, name: str, terms: dict[str, Sequence[Terms]], cash: dict[str, Number], zero: Number) -> None:
        self.name = name
        self.terms = terms
        self.ledger = Ledger(cash, zero)
        self.targets: dict[str, Target] = {}  # standing targets over zero
        self.orders: dict[str, Order] = {}  # at most one working order per asset
        self.exiting: dict[str, int] = {}  # asset -> number of the exit's order
        self.spent: dict[str, set[int]] = {}
        self.leaving: dict[str, tuple[Exit, ...]] = {}  # exits that stay armed while a holding is being left
        self.memo: object = None
        self.timers: set[int] = set()
        self.halted = ""
        self.orders_made = 0
        self.placed: list[Order] = []  # placed since the driver last looked
        self.touched: list[str] = []  # assets whose target, holding or exits changed since the driver last looked

    def terms_of(self, asset: str, venue: str) -> Terms:
        """The terms of the asset at a venue."""
        every = self.terms[asset]
        return every[0] if len(every) == 1 else next(one for one in every if one.venue == venue)

    def held(self, asset: str) -> Holding | None:
        """The holding of an asset, None when flat or dust."""
        holding = self.ledger.holdings.get(asset)
        return None if holding is None or holding.is_flat else holding


def book_target(mount: Mount, asset: str, target: Target) -> bool:
    """Note a standing target; changed exits arm anew on the same base; nothing or zero takes it off. Whether it is news."""
    targets = mount.targets
    before = targets.get(asset)
    if not target.size:
        if before is not None:
            if before.exits:
                mount.leaving[asset] = before.exits
            del targets[asset]
        mount.touched.append(asset)
        return before is not None
    exits = target.exits
    armed = mount.leaving.get(asset) if before is None else before.exits
    has_other_exits = armed is not exits and armed != exits
    if has_other_exits and mount.spent:
        mount.spent.pop(asset, None)
    if before is None or has_other_exits:
        mount.touched.append(asset)
    if mount.leaving:
        mount.leaving.pop(asset, None)
    targets[asset] = target
    return before is None or (before is not target and (has_other_exits or before.size != target.size))


def book_order(mount: Mount, order: Order) -> None:
    """Note a placed order."""
    mount.orders[order.asset] = order
    mount.orders_made = order.number
    mount.placed.append(order)


def book_cut(order: Order, amount: Number) -> None:
    """Note that a part of an order is given up."""
    assert order.left is not None
    order.left -= amount


def book_close(mount: Mount, order: Order) -> None:
    """Note that an order is final; a target of which nothing is held lapses with it."""
    order.state = next_state(order.state, "OrderClosed")
    asset = order.asset
    if mount.orders.get(asset) is order:
        del mount.orders[asset]
    if mount.exiting.get(asset) == order.number:
        del mount.exiting[asset]


def book_lapse(mount: Mount, asset: str) -> None:
    """Take off a target of which nothing is held and nothing is on its way."""
    if asset in mount.targets and asset not in mount.orders and mount.held(asset) is None:
        del mount.targets[asset]
        mount.touched.append(asset)


def book_filled(
    mount: Mount, order: Order | None, *, asset: str, venue: str, side: int, quantity: Number, price: Number, fee: Number,
    fee_asset: str, at_ns: int,
) -> Holding:  # fmt: skip
    """Book a fill, in every state of its order; a holding of which less than a lot is left is flat."""
    holding = book_fill(mount.ledger, asset, venue, side, quantity, price, fee, fee_asset, at_ns)
    if order is not None:
        if order.quantity is not None:
            order.left -= quantity  # type: ignore[operator]  # `left` is None only where quantity and spend are
        else:
            order.left -= quantity * price + (fee if fee_asset == QUOTE else 0)  # type: ignore[operator]
    if side < 0 and (holding.quantity <= 0 or mount.terms_of(asset, venue).is_dust(holding.quantity)):
        book_dust(mount, asset)
    mount.touched.append(asset)
    return holding


def book_traded(
    mount: Mount, order: Order, quantity: Number, price: Number, fee: Number, fee_asset: str, at_ns: int
) -> None:
    """Book a fill that leaves nothing of its order, and the end of the order: `book_filled`, `book_close`, `book_lapse`."""
    order.left, order.state = mount.ledger.zero, CLOSED
    del mount.orders[order.asset]
    if mount.exiting and mount.exiting.get(order.asset) == order.number:
        del mount.exiting[order.asset]
    book_dealt(mount, order.asset, order.venue, order.side, quantity, price, fee, fee_asset, at_ns)


def book_dealt(
    mount: Mount, asset: str, venue: str, side: int, quantity: Number, price: Number, fee: Number, fee_asset: str, at_ns: int
) -> None:  # fmt: skip
    """Book the fill of an order that begins and ends with it."""
    holding = book_fill(mount.ledger, asset, venue, side, quantity, price, fee, fee_asset, at_ns)
    if side > 0:
        mount.touched.append(asset)
    elif (left := holding.quantity) <= 0 or mount.terms_of(asset, venue).is_dust(left):
        book_dust(mount, asset)
        if asset in mount.targets:
            del mount.targets[asset]
    else:
        mount.touched.append(asset)


def book_left(mount: Mount, asset: str, quantity: Number, price: Number, fee: Number, at_ns: int) -> None:
    """Book an exit of a whole holding and the fill that ends it: `book_exit` and `book_dealt`."""
    holding = mount.ledger.holdings[asset]
    book_fill(mount.ledger, asset, holding.venue, -1, quantity, price, fee, QUOTE, at_ns)
    mount.targets.pop(asset, None)
    book_dust(mount, asset)


def book_dust(mount: Mount, asset: str) -> None:
    """What is left of a holding is flat; the next buy starts anew."""
    mount.ledger.holdings[asset].is_flat = True
    for kept in (mount.spent, mount.leaving, mount.exiting):
        if kept:
            kept.pop(asset, None)
    mount.touched.append(asset)


def book_exit(mount: Mount, asset: str, number: int, share: float) -> None:
    """Note that an exit fired; one for the whole holding takes the target off."""
    mount.spent.setdefault(asset, set()).add(number)
    if share == 1:
        target = mount.targets.pop(asset, None)
        if target is not None:
            mount.leaving[asset] = target.exits
    mount.touched.append(asset)


@dataclass(slots=True)
class Book:
    """The mounts, by name."""

    mounts: dict[str, Mount]
    number: Converter

    def apply(self, fact: Fact) -> None:
        """Fold one fact."""
        match fact:
            case BarClosed(asset=asset, high=high):
                for mount in self.mounts.values():
                    book_bar(mount, asset, self.number(high))
            case TimerDue(mount=name) | TargetSet(mount=name) | OrderPlaced(mount=name) | OrderClosed(mount=name):
                _apply_plan(self.mounts[name], fact)
            case (
                OrderSending(mount=name) | OrderAccepted(mount=name) | OrderUnknown(mount=name)
                | OrderAbsent(mount=name) | OrderStuck(mount=name) | AttemptEnded(mount=name)
            ):  # fmt: skip
                for order in self.mounts[name].orders.values():
                    if order.number == fact.order:
                        order.state = next_state(order.state, type(fact).__name__)
            case Filled(mount=name) | ExitHit(mount=name) | DustLeft(mount=name):
                _apply_trade(self.mounts[name], fact)
            case OrderCut(mount=name, asset=asset, amount=amount):
                book_cut(self.mounts[name].orders[asset], amount)
            case Refused(mount=name, asset=asset, allowed=allowed):
                if not allowed:  # a cut goes on with what it leaves
                    book_lapse(self.mounts[name], asset)
            case Decided(at=at, mount=name, causes=causes):
                if "timer" in causes:
                    self.mounts[name].timers.discard(to_ns(at))
            case MemoKept(mount=name, memo=memo):
                self.mounts[name].memo = memo
            case TimerSet(mount=name, due=due):
                self.mounts[name].timers.add(to_ns(due))
            case Halted(mount=name, by=by):
                self.mounts[name].halted = by
            case Resumed(mount=name):
                self.mounts[name].halted = ""
            case _:
                pass


def book_bar(mount: Mount, asset: str, high: Number) -> None:
    """Move the peak of a held asset by a closed bar."""
    holding = mount.held(asset)
    if holding is not None and high > holding.peak:
        holding.peak = high


def _apply_plan(mount: Mount, fact: TimerDue | TargetSet | OrderPlaced | OrderClosed) -> None:
    match fact:
        case TimerDue(at=at):
            mount.timers.discard(to_ns(at))
        case TargetSet(asset=asset, size=size, exits=exits, why=why):
            book_target(mount, asset, Target(size, exits, 0.0, why))
        case OrderPlaced(at=at, order=number, asset=asset, venue=venue, side=side, why=why):
            order = Order(
                number, asset, venue, 1 if side == "buy" else -1, quantity=fact.quantity, spend=fact.spend, why=why,
                placed_ns=to_ns(at), is_exit=is_exit_word(why),
            )  # fmt: skip
            book_order(mount, order)
            if order.is_exit:
                mount.exiting[asset] = number
        case OrderClosed(asset=asset, order=number):
            order = mount.orders[asset]
            assert order.number == number, f"order {number} of {asset} is not the working one"
            book_close(mount, order)
            if fact.reason not in GOES_ON:
                book_lapse(mount, asset)


def _apply_trade(mount: Mount, fact: Filled | ExitHit | DustLeft) -> None:
    match fact:
        case Filled(at=at, asset=asset, order=number):
            working = mount.orders.get(asset)
            book_filled(
                mount, working if working is not None and working.number == number else None,
                asset=asset, venue=fact.venue, side=1 if fact.side == "buy" else -1, quantity=fact.quantity,
                price=fact.price, fee=fact.fee, fee_asset=fact.fee_asset, at_ns=to_ns(at),
            )  # fmt: skip
        case ExitHit(asset=asset, number=number, exit=exit_):
            book_exit(mount, asset, number, exit_.share)
        case DustLeft(asset=asset):
            book_dust(mount, asset)
