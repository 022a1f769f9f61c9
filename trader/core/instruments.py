"""Instruments: one tradable market of an asset, and exact rounding to its lots and ticks.

Here exact and binary numbers meet. A `Number` is annotated as float; an exact run passes Decimal through the same
functions, so nothing in the core may mix the two: `exactly` and `plainly` convert at the border.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import cast

from trader.core.costs import FeeOnBuy

Number = float
Converter = Callable[[float], Number]


plainly: Converter = float  # the number as float, for research


def exactly(value: float) -> Number:
    """The number as the Decimal that its shortest text names."""
    return cast("Number", Decimal(repr(float(value))))


@dataclass(frozen=True, slots=True)
class Instrument:
    """One market: price tick, quantity lot and minimum notional (None = none), how it takes fees, when it ends."""

    asset: str
    venue: str = "tape"
    symbol: str = ""
    tick: float | None = None
    lot: float | None = None
    min_notional: float | None = None
    fee_on_buy: FeeOnBuy | None = None
    delisted_at: datetime | None = None
    delisting_loss: float = 1.0

    def __post_init__(self) -> None:
        for name in ("tick", "lot", "min_notional"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"instrument {self.asset}: {name} = {value!r} must be over 0, or left out for none")
        if not 0 <= self.delisting_loss <= 1:
            raise ValueError(f"instrument {self.asset}: delisting_loss = {self.delisting_loss!r} must be from 0 to 1")


def terms_row(one: Instrument) -> tuple[str, ...]:
    """An instrument as texts, for the record of a start: asset, venue, symbol, tick, lot, least notional, fee on a buy."""
    amounts = ("" if value is None else repr(value) for value in (one.tick, one.lot, one.min_notional))
    return (one.asset, one.venue, one.symbol, *amounts, one.fee_on_buy or "")


def from_terms_row(row: tuple[str, ...]) -> Instrument:
    """The instrument of such a row."""
    asset, venue, symbol, tick, lot, least, fee = row
    steps = [float(text) if text else None for text in (tick, lot, least)]
    return Instrument(asset, venue, symbol, steps[0], steps[1], steps[2], cast("FeeOnBuy | None", fee or None))


class Step:
    """A lot or a tick: rounds to whole multiples; a quotient within 1e-9 of the next multiple counts as it.

    per: how many of it make one, None where that is no whole number.
    """

    __slots__ = ("_ahead", "_one", "per", "size")

    def __init__(self, size: float, number: Converter) -> None:
        self.size = number(size)
        per = Decimal(1) / Decimal(repr(float(size)))
        self.per = number(float(per)) if per == per.to_integral_value() else None
        self._ahead, self._one = number(1e-9), number(1 + 1e-12)

    def floor(self, value: Number) -> Number:
        """The largest multiple at or under the value."""
        return self._of(int(value / self.size * self._one + self._ahead))

    def ceil(self, value: Number) -> Number:
        """The smallest multiple at or over the value."""
        count = value / self.size
        whole = int(count)
        return self._of(whole if count - whole <= max(self._ahead, count * (self._one - 1)) else whole + 1)

    def _of(self, count: int) -> Number:
        return self.size * count if self.per is None else count / self.per


class Terms:
    """An instrument in the numbers of one run: what sizing, matching and the ledger ask it."""

    __slots__ = ("asset", "fee_received", "lot", "min_notional", "near", "tick", "venue", "zero")

    def __init__(self, instrument: Instrument, fee_on_buy: FeeOnBuy, number: Converter) -> None:
        self.asset = instrument.asset
        self.venue = instrument.venue
        self.lot = None if instrument.lot is None else Step(instrument.lot, number)
        self.tick = None if instrument.tick is None else Step(instrument.tick, number)
        self.min_notional = None if instrument.min_notional is None else number(instrument.min_notional)
        self.zero = number(0)
        self.near = number(1e-9)  # changes under this share of a holding are none
        self.fee_received = (instrument.fee_on_buy or fee_on_buy) == "received"

    def lots(self, quantity: Number) -> Number:
        """The quantity cut down to whole lots."""
        return quantity if self.lot is None else self.lot.floor(quantity)

    def is_dust(self, quantity: Number) -> bool:
        """Whether the quantity is less than one lot, hence not sellable."""
        return not quantity or (self.lot is not None and not self.lot.floor(quantity))
