"""Pricing: what exactly is sent for a decided order, given the best prices now: a limit inside the collar, never more than is there.

The outlay of a buy is bounded by its limit, so that it can never exceed the cash; a sell never exceeds what the mount holds.
"""

from dataclasses import dataclass

from trader.core.book import Mount
from trader.core.instruments import Converter, Number
from trader.core.orders import Order

CENTS = 100  # money that is spent is told to the hundredth


@dataclass(frozen=True, slots=True)
class Priced:
    """What to send: units at a limit, or money to spend at whatever price. `cut` is what was given up for want of cash."""

    quantity: Number | None
    limit: Number | None
    cut: Number | None = None
    spend: Number | None = None


@dataclass(frozen=True, slots=True)
class Unfit:
    """Nothing can be sent, for this reason: `lot`, `minimum`, `cash`, or `gone` where nothing is held any more."""

    reason: str


def price(
    order: Order, mount: Mount, bid: Number, ask: Number, *, collar: float, fee: float, number: Converter,
    spends: bool = False,
) -> Priced | Unfit:  # fmt: skip
    """Price an order. `fee` is the share that a buy pays in quote money on top of its value.

    spends: an order for an amount of money goes out as that amount, without a limit.
    """
    terms, zero = mount.terms_of(order.asset, order.venue), mount.ledger.zero
    if order.side < 0:
        limit = bid * (1 - number(collar))
        limit = limit if terms.tick is None else terms.tick.ceil(limit)
        holding = mount.ledger.holdings.get(order.asset)
        held = zero if holding is None else holding.quantity
        quantity = terms.lots(min(order.left or zero, held))
        if not quantity:
            return Unfit("gone" if not held else "lot")
        return _fit(quantity, min(limit, bid), None, terms.min_notional)
    limit = ask * (1 + number(collar))
    limit = max(ask, limit if terms.tick is None else terms.tick.floor(limit))
    outlay = limit * (1 if terms.fee_received else 1 + number(fee))
    cash = max(mount.ledger.cash[order.venue], zero)
    if order.quantity is None and spends:
        money = min(order.left or zero, cash) / (1 if terms.fee_received else 1 + number(fee))
        money = int(money * CENTS) / number(CENTS)
        if money <= 0 or (terms.min_notional is not None and money < terms.min_notional):
            return Unfit("minimum")
        return Priced(None, None, spend=money)
    if order.quantity is None:
        return _fit(terms.lots(min(order.left or zero, cash) / outlay), limit, None, terms.min_notional)
    wanted = order.left or zero
    affordable = terms.lots(cash / outlay)
    if affordable >= wanted:
        return _fit(wanted, limit, None, terms.min_notional)
    fit = _fit(affordable, limit, wanted - affordable, terms.min_notional)
    return Unfit("cash") if isinstance(fit, Unfit) else fit


def _fit(quantity: Number, limit: Number, cut: Number | None, least: Number | None) -> Priced | Unfit:
    if quantity <= 0:
        return Unfit("lot")
    if least is not None and quantity * limit < least:
        return Unfit("minimum")
    return Priced(quantity, limit, cut)
