"""Sizing: from a stated target to the order that is missing, at the prices of the decision."""

import math
from typing import NamedTuple

from trader.core.instruments import Converter, Number, Terms
from trader.core.strategy import Quote, Target, Units

INFINITE = math.inf


class Missing(NamedTuple):
    """The order that a target calls for: side 1 or -1; `quantity` units, or `spend` money where it is None."""

    side: int
    quantity: Number | None
    spend: Number | None


class SizeError(ValueError):
    """A strategy stated a size that cannot be meant."""


def check(asset: str, size: float | Quote | Units) -> None:
    """Raise SizeError unless a target's size is a finite number of at least 0 (a `Quote` may be infinite)."""
    value: object = size.quantity if isinstance(size, Units) else size.amount if isinstance(size, Quote) else size
    if isinstance(value, (float, int)) and 0 <= value < INFINITE:
        return
    if not isinstance(value, (int, float)) or math.isnan(value) or value < 0:
        raise SizeError(f"target of {asset}: size {size!r} must be at least 0 (spot only; nothing can be sold short)")
    if not isinstance(size, Quote):
        raise SizeError(f"target of {asset}: size {size!r} must be finite; Quote(inf) spends all cash")


def missing(
    target: Target, held: Number, mark: Number, equity: Number, terms: Terms, number: Converter, *, is_flat: bool
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
        wanted = number(size) * equity / mark if size else terms.zero
    if wanted >= held:
        side, change, most = 1, wanted - held, wanted
    else:
        side, change, most = -1, held - wanted, held
    if not change or change < most * terms.near:
        return "no_change"
    if target.band and wanted and not is_flat and change * mark < number(target.band) * equity:
        return "band"
    quantity = change if terms.lot is None else terms.lot.floor(change)
    if not quantity:
        return "lot"
    if terms.min_notional is not None and quantity * mark < terms.min_notional:
        return "minimum"
    return tuple.__new__(Missing, (side, quantity, None))  # quicker than Missing(...), and hot


def spending(amount: float, *, terms: Terms, number: Converter) -> Missing | str:
    """The order by cost: spend the amount; an infinite one spends the free cash at its fill."""
    spend = number(amount)
    if terms.min_notional is not None and spend < terms.min_notional:
        return "minimum"
    return tuple.__new__(Missing, (1, None, spend))
