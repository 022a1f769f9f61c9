"""Risk: limits on what may be ordered. Size limits cut an order, the others refuse it, each by its rule's name."""

from collections import deque
from dataclasses import dataclass, fields
from math import inf

from trader.core.instants import DAY, SECOND, duration
from trader.core.instruments import Number
from trader.core.strategy import Quote, Units


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one mount; None switches one off.

    order_notional: quote money per order (cut). weight_per_asset, gross_exposure: shares of equity (cut).
    open_orders: working orders at once. price_age: oldest mark to trade on, such as `3h`. price_collar: the largest
    share by which a fresh price may differ from the mark. orders_per_minute, orders_per_day: counts.
    loss_per_day: share of the equity at the day's first wake. drawdown: share of the highest equity at a wake; latches.
    """

    order_notional: float | None = None
    weight_per_asset: float | None = None
    gross_exposure: float | None = None
    open_orders: int | None = None
    price_age: str | None = None
    price_collar: float | None = None
    orders_per_minute: int | None = None
    orders_per_day: int | None = None
    loss_per_day: float | None = None
    drawdown: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name == "price_age":
                duration(value)
            elif isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"limits.{field.name} = {value!r} must be over 0, or left out for no limit")

    def given(self) -> dict[str, float | int | str]:
        """The limits that are on."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


@dataclass(frozen=True, slots=True)
class Approved:
    """The order may go with this quantity (or spend); `cut_by` names the limit that made it smaller."""

    amount: Number
    cut_by: str | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The order may not go, by this rule."""

    rule: str


@dataclass(frozen=True, slots=True)
class Facing:
    """What a review may know of the moment: all money in quote currency, ages in ns."""

    at_ns: int
    equity: Number
    held_value: Number
    gross: Number
    open_orders: int
    mark_age_ns: int
    mark: Number
    price: Number | None


class Gate:
    """Reviews orders against the limits and remembers what has been ordered and lost."""

    STATE = ("_recent", "_day", "_today", "_day_equity", "highest", "latched")

    __slots__ = ("_day", "_day_equity", "_recent", "_today", "highest", "latched", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._recent: deque[int] = deque()
        self._day = -1
        self._today = 0
        self._day_equity: Number = 0
        self.highest: Number | None = None
        self.latched = False

    def watch(self, at_ns: int, equity: Number) -> bool:
        """Note the equity at a wake; true when the drawdown latch falls now."""
        if at_ns // DAY != self._day:
            self._day, self._today, self._day_equity = at_ns // DAY, 0, equity
        if self.highest is None or equity > self.highest:
            self.highest = equity
        limit = self.limits.drawdown
        if limit is not None and not self.latched and float(equity) <= float(self.highest) * (1 - limit):
            self.latched = True
            return True
        return False

    def resume(self) -> None:
        """Open the drawdown latch; the highest equity counts anew from the next wake."""
        self.latched, self.highest = False, None

    def review(self, value: Number, facing: Facing) -> Approved | Denied:
        """Judge an opening or increasing order of this value; the first limit broken gives the reason."""
        rule = self._refusing(facing)
        if rule is not None:
            return Denied(rule)
        limits, equity = self.limits, float(facing.equity)
        room = [
            ("order_notional", limits.order_notional),
            (
                "weight_per_asset",
                limits.weight_per_asset and limits.weight_per_asset * equity - float(facing.held_value),
            ),
            ("gross_exposure", limits.gross_exposure and limits.gross_exposure * equity - float(facing.gross)),
        ]
        cut_by, allowed = None, float(value)
        for name, most in room:
            if most is not None and max(most, 0.0) < allowed:
                cut_by, allowed = name, max(most, 0.0)
        if cut_by is None:
            return Approved(value)
        return Denied(cut_by) if allowed <= 0 else Approved(allowed, cut_by)

    def _refusing(self, facing: Facing) -> str | None:
        limits = self.limits
        if self.latched:
            return "drawdown"
        if limits.loss_per_day is not None and float(facing.equity) <= float(self._day_equity) * (
            1 - limits.loss_per_day
        ):
            return "loss_per_day"
        if limits.open_orders is not None and facing.open_orders >= limits.open_orders:
            return "open_orders"
        if limits.price_age is not None and facing.mark_age_ns > duration(limits.price_age):
            return "price_age"
        if (
            limits.price_collar is not None
            and facing.price is not None
            and (abs(float(facing.price) / float(facing.mark) - 1) > limits.price_collar)
        ):
            return "price_collar"
        if limits.orders_per_day is not None and self._today >= limits.orders_per_day:
            return "orders_per_day"
        while self._recent and self._recent[0] <= facing.at_ns - 60 * SECOND:
            self._recent.popleft()
        if limits.orders_per_minute is not None and len(self._recent) >= limits.orders_per_minute:
            return "orders_per_minute"
        return None

    def count(self, at_ns: int) -> None:
        """Note that an order was placed."""
        self._recent.append(at_ns)
        self._today += 1


def never_fits(size: float | Quote | Units, limits: Limits, capital: float) -> str | None:
    """Why a target of this size can never be reached under the limits, naming both figures; None where it can.

    A weight is judged as a share of equity, `Quote` by its money beside the capital; `Units` have no price here.
    """
    if isinstance(size, Units):
        return None
    weight = size.amount / capital if isinstance(size, Quote) else float(size)
    if weight == inf:
        weight = 1.0
    for name in ("weight_per_asset", "gross_exposure"):
        most = getattr(limits, name)
        if most is not None and weight > most:
            return f"a size of {weight:.4g} of the equity is over {name} = {most:g}: it could never be reached"
    if limits.order_notional is not None and weight * capital > limits.order_notional:
        return (
            f"an order for a size of {weight * capital:,.10g} (of a capital of {capital:,.10g}) is over "
            f"order_notional = {limits.order_notional:,.10g}: it would always be cut"
        )
    return None
