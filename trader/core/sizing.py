"""Sizing: from a stated target to the order that is missing, at the prices of the decision."""

import math
from typing import NamedTuple

from trader.core.instruments import Converter, Number, Terms
from trader.core.strategy import Quote, Target, Units


class Missing(NamedTuple):
    """The order that a target calls for: side 1 or -1; `quantity` units, or `spend` money where it is None."""

    side: int
    quantity: Number | None
    spend: Number | None


class SizeError(ValueError):
    """A strategy stated a size that cannot be meant."""


def check(asset: str, target: Target) -> None:
    """Raise SizeError unless the target's size is a finite number of at least 0 (a `Quote` may be infinite)."""
    size = target.size
    value: object = size.amount if isinstance(size, Quote) else size.quantity if isinstance(size, Units) else size
    if not isinstance(value, (int, float)) or math.isnan(value) or value < 0:
        raise SizeError(f"target of {asset}: size {size!r} must be at least 0 (spot only; nothing can be sold short)")
    if math.isinf(value) and not isinstance(size, Quote):
        raise SizeError(f"target of {asset}: size {size!r} must be finite; Quote(inf) spends all cash")


def missing(
    target: Target, held: Number, *, is_flat: bool, mark: Number, equity: Number, terms: Terms, number: Converter
) -> Missing | str:
    """The order from what is held to what is wanted, or the reason why there is none.

    held: real quantity, dust included. Reasons: `no_change`, `band`, `lot`, `minimum`.
    """
    size = target.size
    if isinstance(size, Units):
        wanted = number(size.quantity)
    elif isinstance(size, Quote):
        raise TypeError("a Quote is spent, not sized; the engine asks `spending`")
    else:
        wanted = number(size) * equity / mark
    change = wanted - held
    leaves = not wanted
    if not change or abs(change) < (max(held, wanted)) * number(1e-9):
        return "no_change"
    if target.band and not leaves and not is_flat and abs(change) * mark < number(target.band) * equity:
        return "band"
    side = 1 if change > 0 else -1
    quantity = terms.lots(abs(change))
    if not quantity:
        return "lot"
    if terms.min_notional is not None and quantity * mark < terms.min_notional:
        return "minimum"
    return Missing(side, quantity, None)


def spending(amount: float, *, terms: Terms, number: Converter) -> Missing | str:
    """The order by cost: spend the amount; an infinite one spends the free cash at its fill."""
    spend = number(amount)
    if terms.min_notional is not None and spend < terms.min_notional:
        return "minimum"
    return Missing(1, None, spend)
