"""The view: all that a strategy can know at a wake, by `known_at`, bounded, as copies."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from trader.core.book import Mount
from trader.core.instants import duration, from_ns
from trader.core.instruments import Number
from trader.core.signals import Signal
from trader.core.strategy import Decision, Wake, Wants

if TYPE_CHECKING:
    from trader.core.expression import Column

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]
Index = NDArray[np.intp]


class Bars(NamedTuple):
    """Closed bars of an asset, oldest first: `close_ns` int64 UTC, prices and volume float64, all of one length."""

    close_ns: Instants
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


class Seen(Protocol):
    """What a view reads from: the data known at the instant being handled."""

    names: list[str]
    index: dict[str, int]
    now_ns: int

    def is_tradable(self, asset: str) -> bool:
        """Whether the asset has an instrument, a closed bar, and is not delisted."""

    def tradable(self) -> NDArray[np.bool_]:
        """The same for all assets, in the order of `names`."""

    def shown(self) -> tuple[str, ...]:
        """The names of those that can be traded."""

    def mark(self, asset: str) -> Number:
        """The last closed price."""

    def rating_state(self, kind: str) -> tuple[Floats, Instants]:
        """Newest values and their as_of of all assets; as_of is very old where nothing is known."""

    def rating(self, kind: str, asset: str) -> tuple[float, int] | None:
        """The newest value of one asset and its as_of; None where nothing is known."""

    def signal(self, asset: str, kinds: tuple[str, ...]) -> Signal | None:
        """The newest signal of the kinds."""

    def bars(self, asset: str, most: int) -> Bars:
        """The last closed bars."""

    def value(self, column: "Column", asset: str, max_age_ns: int) -> float:
        """A column's value now, NaN when unknown."""


class Market(Seen, Protocol):
    """What the engine asks of the market at the instant it handles."""

    def price(self, asset: str) -> Number | None:
        """The last closed price, None where the asset cannot be traded."""

    def mark(self, asset: str) -> Number:
        """The last closed price."""

    def mark_age_ns(self, asset: str) -> int:
        """How old that price is."""


class Ratings:
    """Ratings that are fresh now, best first: by value, then by name. Empty selections are falsy.

    Those of all assets are looked up when a selection is asked for; one asset's alone is read by itself.
    """

    __slots__ = ("_as_of", "_kind", "_max_age_ns", "_now_ns", "_picked", "_seen", "_values")

    def __init__(self, seen: Seen, kind: str, now_ns: int, max_age_ns: int) -> None:
        self._seen, self._kind = seen, kind
        self._now_ns, self._max_age_ns = now_ns, max_age_ns
        self._picked: Index | None = None

    @property
    def _index(self) -> Index:
        if self._picked is None:
            self._values, self._as_of = self._seen.rating_state(self._kind)
            fresh = self._now_ns - self._as_of <= self._max_age_ns
            fresh &= self._seen.tradable()
            self._picked = np.flatnonzero(fresh)
        return self._picked

    def _pick(self, index: Index) -> "Ratings":
        one = Ratings(self._seen, self._kind, self._now_ns, self._max_age_ns)
        one._values, one._as_of, one._picked = self._values, self._as_of, index
        return one

    def _ranked(self) -> NDArray[np.intp]:
        index = self._index
        return index[np.argsort(-self._values[index], kind="stable")]

    def at_least(self, level: float) -> "Ratings":
        """Those at or over the level."""
        index = self._index
        return self._pick(index[self._values[index] >= level])

    def at_most(self, level: float) -> "Ratings":
        """Those at or under the level."""
        index = self._index
        return self._pick(index[self._values[index] <= level])

    def top(self, count: int) -> "Ratings":
        """The best few."""
        return self._pick(np.sort(self._ranked()[:count]))

    def bottom(self, count: int) -> "Ratings":
        """The worst few; of equal ones the later names."""
        return self._pick(np.sort(self._ranked()[::-1][:count]))

    def fresher_than(self, age: str) -> "Ratings":
        """Those whose as_of is at most this old."""
        index = self._index
        return self._pick(index[self._now_ns - self._as_of[index] <= duration(age)])

    def latest(self) -> "Ratings":
        """Those of the newest publication, by as_of."""
        index = self._index
        dates = self._as_of[index]
        return self._pick(index[dates == dates.max()]) if len(dates) else self

    def __iter__(self) -> Iterator[str]:
        names = self._seen.names
        return iter([names[i] for i in self._ranked().tolist()])

    def items(self) -> list[tuple[str, float]]:
        """Assets with their values, best first."""
        ranked = self._ranked()
        names = self._seen.names
        return [(names[i], v) for i, v in zip(ranked.tolist(), self._values[ranked].tolist(), strict=True)]

    def get(self, asset: str, default: float | None = None) -> float | None:
        """The value of an asset, or the default where it is unknown."""
        if self._picked is None:
            found = self._seen.rating(self._kind, asset)
            if found is None or self._now_ns - found[1] > self._max_age_ns or not self._seen.is_tradable(asset):
                return default
            return found[0]
        number = self._seen.index.get(asset)
        if number is None:
            return default
        at = int(self._picked.searchsorted(number))
        known = at < len(self._picked) and self._picked[at] == number
        return float(self._values[number]) if known else default

    def __getitem__(self, asset: str) -> float:
        value = self.get(asset)
        if value is None:
            raise KeyError(f"{asset}: no fresh rating; ask with `in` or .get first")
        return value

    def __contains__(self, asset: object) -> bool:
        return isinstance(asset, str) and self.get(asset) is not None

    def __len__(self) -> int:
        return len(self._index)


class HoldingView:
    """A holding as a strategy sees it, a copy: money in quote, `weight` and `profit` as shares of 1."""

    __slots__ = ("_equity", "_opened_ns", "entry_price", "quantity", "value")

    def __init__(self, quantity: float, entry_price: float, value: float, *, opened_ns: int, equity: float) -> None:
        self.quantity = quantity
        self.entry_price = entry_price
        self.value = value
        self._opened_ns = opened_ns
        self._equity = equity

    @property
    def weight(self) -> float:
        """Its share of the mount's equity."""
        return self.value / self._equity

    @property
    def profit(self) -> float:
        """Its gain over the average entry price, as a share."""
        return self.value / (self.entry_price * self.quantity) - 1

    @property
    def since(self) -> datetime:
        """The instant of its first fill, aware UTC."""
        return from_ns(self._opened_ns)


class View:
    """All a strategy can know now. Equity, cash and weights are the mount's."""

    __slots__ = ("_equity", "_equity_ns", "_max_age_ns", "_mount", "_seen", "_wants", "now_ns", "wake")
    saw: ClassVar[str] = ""  # hashes of what was shown, where a witness keeps them

    def __init__(self, seen: Seen, mount: Mount, wants: Wants, now_ns: int, wake: Wake) -> None:
        self._seen = seen
        self._mount = mount
        self._wants = wants
        self._max_age_ns = wants.max_age_ns
        self.now_ns = now_ns  # the instant of this wake; a driver that makes many moves one view along
        self.wake = wake
        self._equity: Number = 0
        self._equity_ns: int | None = None

    @property
    def now(self) -> datetime:
        """The instant of this wake, aware UTC."""
        return from_ns(self.now_ns)

    @property
    def equity(self) -> Number:
        """Cash plus holdings at the last closed prices, in quote money."""
        if self._equity_ns != self.now_ns:
            ledger, mark = self._mount.ledger, self._seen.mark
            total, holdings = ledger.total_cash(), ledger.holdings
            for asset in ledger.held:
                total += holdings[asset].quantity * mark(asset)
            self._equity, self._equity_ns = total, self.now_ns
        return self._equity

    @property
    def cash(self) -> float:
        """Free cash in quote money."""
        return max(float(self._mount.ledger.total_cash()), 0.0)

    @property
    def memo(self) -> object:
        """What the strategy last remembered, None at first."""
        return self._mount.memo

    @property
    def assets(self) -> tuple[str, ...]:
        """The assets that can be traded now, by name."""
        return self._seen.shown()

    def ratings(self, kind: str) -> Ratings:
        """Fresh ratings of a kind that `Wants` lists; raises KeyError for another."""
        if kind not in self._wants.ratings:
            raise KeyError(f"rating {kind!r} is not in Wants(ratings={self._wants.ratings}); list it to read it")
        return Ratings(self._seen, kind, self.now_ns, self._max_age_ns)

    def knows(self, asset: str) -> bool:
        """Whether every wanted rating of the asset is fresh."""
        found = [self._seen.rating(kind, asset) for kind in self._wants.ratings]
        return all(one is not None and self.now_ns - one[1] <= self._wants.max_age_ns for one in found)

    def signal(self, asset: str, kind: str | None = None) -> Signal | None:
        """The newest signal about an asset (of one kind, or of any that `Wants` lists)."""
        if kind is not None and kind not in self._wants.signals:
            raise KeyError(f"signal {kind!r} is not in Wants(signals={self._wants.signals}); list it to read it")
        return self._seen.signal(asset, self._wants.signals if kind is None else (kind,))

    def bars(self, asset: str) -> Bars:
        """The last `Wants.bars` closed bars of an asset."""
        if self._wants.bars <= 0:
            raise KeyError("bars are not wanted; say how far back with Wants(bars=...)")
        return self._seen.bars(asset, self._wants.bars)

    def value(self, column: "Column", asset: str) -> float:
        """The value of a declared column now, NaN when unknown."""
        return self._seen.value(column, asset, self._max_age_ns)

    def holds(self, asset: str) -> bool:
        """Whether anything is held of an asset; dust is nothing."""
        holding = self._mount.ledger.holdings.get(asset)
        return holding is not None and not holding.is_flat

    def holding(self, asset: str) -> HoldingView | None:
        """What is held of an asset; None when flat or dust."""
        holding = self._mount.held(asset)
        if holding is None:
            return None
        quantity = float(holding.quantity)
        value = quantity * float(self._seen.mark(asset))
        return HoldingView(
            quantity, float(holding.entry), value, opened_ns=holding.opened_ns, equity=float(self.equity)
        )


class Strategy(Protocol):
    """A value with parameters that turns what can be known into targets."""

    @property
    def wants(self) -> Wants:
        """What wakes this strategy and what it may read."""

    def decide(self, view: View) -> Decision:
        """The targets for what the view shows; pure, and the same for the same view."""
