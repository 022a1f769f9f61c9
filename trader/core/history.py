"""History: checked columns of bars, ratings and signals, served by when they were known.

`Panel` holds the columns, asset by time, and never changes; `History` is a cursor over it that a driver moves forward.
What lies behind the cursor cannot be reached through it: strategies read only what was known at its instant.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.core.conditions import BarColumns, Column, Series, newest, values
from trader.core.expression import BARS
from trader.core.instants import from_ns
from trader.core.instruments import Converter, Number, plainly
from trader.core.shelf import Shelf
from trader.core.signals import Signal
from trader.core.view import Bars

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]
Told = tuple[list[int], list[int], list[float]]  # known_at, as_of and value of one asset's data of a kind
LONG_AGO = np.iinfo(np.int64).min // 4


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Effective data of one kind in order of known_at: outdated arrivals are left out.

    known_ns, as_of_ns, wakes_ns: int64 UTC (wakes_ns -1 = wakes nobody); asset: index into the panel's names; value.
    """

    known_ns: Instants
    as_of_ns: Instants
    asset: NDArray[np.int64]
    value: Floats
    wakes_ns: Instants


@dataclass(slots=True)
class Panel:
    """Columns over one grid of bar opens; `open` … `volume` are float64 [asset, time], NaN where there is no bar."""

    names: list[str]
    opens_ns: Instants
    step_ns: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    ratings: dict[str, Arrivals] = field(default_factory=dict)
    signals: dict[str, Arrivals] = field(default_factory=dict)
    delisted_ns: dict[str, int] = field(default_factory=dict)
    caches: dict[object, object] = field(default_factory=dict, repr=False)
    shelf: Shelf[Any] = field(default_factory=Shelf, repr=False)
    start_ns: int = 0
    size: int = 0
    is_regular: bool = True  # whether the grid has no gap
    index: dict[str, int] = field(default_factory=dict, repr=False)  # of names
    readers: dict[str, list[Callable[[int], float]]] = field(default_factory=dict, repr=False)  # single values, by asset

    def __post_init__(self) -> None:
        self.index = {name: i for i, name in enumerate(self.names)}
        for name in ("open", "close", "volume"):
            self.readers[name] = [row.item for row in getattr(self, name)]
        self.size = len(self.opens_ns)
        self.start_ns = int(self.opens_ns[0])
        self.is_regular = int(self.opens_ns[-1]) - self.start_ns == (self.size - 1) * self.step_ns

    def forget(self) -> None:
        """Drop all that replays have computed; what the check of the data found stays."""
        self.shelf.clear()
        kept = {key: self.caches[key] for key in ("spans", "full", "closes") if key in self.caches}
        self.caches.clear()
        self.caches.update(kept)

    def told(self, kind: str, asset: int) -> Told:
        """One asset's ratings of a kind as lists, for looking up single ones; made once."""
        key = ("told", kind, asset)
        if key not in self.caches:
            rows = self.ratings.get(kind)
            parts = () if rows is None else datums(rows, asset)
            self.caches[key] = tuple(part.tolist() for part in parts) or ([], [], [])
        return self.caches[key]  # type: ignore[return-value]

    def series(self, asset: int) -> Series:
        """All data of one asset for conditions; made once."""
        key = ("series", asset)
        if key not in self.caches:
            self.caches[key] = Series(
                self._bars(asset),
                {kind: datums(rows, asset) for kind, rows in self.ratings.items()},
                {kind: datums(rows, asset) for kind, rows in self.signals.items()},
            )
        return self.caches[key]  # type: ignore[return-value]

    def _bars(self, asset: int) -> BarColumns:
        if asset >= len(self.close):
            return BarColumns(np.empty(0, np.int64), *(np.empty(0) for _ in range(5)))
        columns = [self.open[asset], self.high[asset], self.low[asset], self.close[asset], self.volume[asset]]
        if self._is_full(asset):
            return BarColumns(self.closes_ns, *columns)
        there = ~np.isnan(columns[3])
        return BarColumns(self.closes_ns[there], *(column[there] for column in columns))

    @property
    def closes_ns(self) -> Instants:
        """When the bars close."""
        if "closes" not in self.caches:
            self.caches["closes"] = self.opens_ns + self.step_ns
        return self.caches["closes"]  # type: ignore[return-value]

    def spans(self) -> tuple[list[int], list[int], list[bool]]:
        """By asset: first and last bar, and whether every bar between is there and tradable (volume over zero)."""
        if "spans" not in self.caches:
            first, last, dense = [], [], []
            for asset, (row, volume) in enumerate(zip(self.close, self.volume, strict=True)):
                a, b, is_whole = 0, self.size - 1, self._is_full(asset)
                if not is_whole:
                    there = np.flatnonzero(~np.isnan(row))
                    a, b = int(there[0]), int(there[-1])
                    is_whole = len(there) == b - a + 1
                first.append(a)
                last.append(b)
                dense.append(is_whole and bool(volume[a : b + 1].all()))
            self.caches["spans"] = (first, last, dense)
        return self.caches["spans"]  # type: ignore[return-value]

    def _is_full(self, asset: int) -> bool:
        """Whether the asset has a bar at every time of the grid."""
        if "full" not in self.caches:
            self.caches["full"] = [not np.isnan(row.sum()) or not np.isnan(row).any() for row in self.close]
        return self.caches["full"][asset]  # type: ignore[index,no-any-return]

    @property
    def is_full(self) -> bool:
        """Whether every asset has a bar at every time of the grid."""
        return all(self._is_full(asset) for asset in range(len(self.names)))

    def columns(self, asked: Sequence[Column], asset: int, max_age_ns: int) -> dict[Column, Floats]:
        """Those of the columns that stand on bars alone, at all closes of an asset that has every bar; made once."""
        if asset >= len(self.close) or not self._is_full(asset):
            return {}
        return {one: self.column(one, asset, max_age_ns) for one in asked if one.sources == (BARS,)}

    def column(self, asked: Column, asset: int, max_age_ns: int) -> Floats:
        """A column at all closes, as known then; made once."""
        key = (asked, asset, max_age_ns)
        found: Floats | None = self.shelf.get(key)
        if found is None:
            found = values(asked, self.series(asset), max_age_ns, self.closes_ns)
            if found.base is None and found.flags.owndata:
                found.flags.writeable = False  # many runs read it
            self.shelf.put(key, found, found.nbytes)
        return found

    def last_bar(self, asset: int) -> NDArray[np.int64]:
        """For each time, the index of the asset's last bar at or before it (-1 before the first)."""
        key = ("last", asset)
        if key not in self.caches:
            index = np.where(np.isnan(self.close[asset]), -1, np.arange(self.close.shape[1]))
            self.caches[key] = np.maximum.accumulate(index)
        return self.caches[key]  # type: ignore[return-value]

    def next_tradable(self, asset: int) -> NDArray[np.int64]:
        """For each time, the index of the asset's next bar with volume at or after it (the length = none)."""
        key = ("next", asset)
        if key not in self.caches:
            size = self.close.shape[1]
            good = ~np.isnan(self.close[asset]) & (self.volume[asset] != 0)
            index = np.where(good, np.arange(size), size)
            self.caches[key] = np.minimum.accumulate(index[::-1])[::-1]
        return self.caches[key]  # type: ignore[return-value]

    def searchable(self, asset: int) -> tuple[Floats, Floats]:
        """Lows and highs for exit searches: bars without volume can hit nothing."""
        key = ("search", asset)
        found: tuple[Floats, Floats] | None = self.caches.get(key)  # type: ignore[assignment]
        if found is None:
            found = self.low[asset], self.high[asset]
            if not self.spans()[2][asset]:
                idle = self.volume[asset] == 0
                found = np.where(idle, np.nan, found[0]), np.where(idle, np.nan, found[1])
            self.caches[key] = found
        return found

    def closed(self, at_ns: int) -> int:
        """The index of the last bar that is closed at an instant; -1 before the first."""
        if self.is_regular:
            return max(-1, min((at_ns - self.start_ns) // self.step_ns - 1, self.size - 1))
        return bisect_right(self._opens(), at_ns - self.step_ns) - 1

    def opening(self, at_ns: int) -> int:
        """The index of the first bar that opens at or after an instant; the length = none."""
        if self.is_regular:
            return max(0, min(-((self.start_ns - at_ns) // self.step_ns), self.size))
        return bisect_right(self._opens(), at_ns - 1)

    def _opens(self) -> list[int]:
        if "opens" not in self.caches:
            self.caches["opens"] = self.opens_ns.tolist()
        return self.caches["opens"]  # type: ignore[return-value]


def datums(rows: Arrivals, asset: int) -> tuple[Instants, Instants, Floats]:
    """One asset's data of a kind: known_at, as_of, value; the last of those known at one instant."""
    mine = np.flatnonzero(rows.asset == asset)
    known = rows.known_ns[mine]
    if len(mine):
        mine = mine[np.append(known[1:] != known[:-1], True)]
    return rows.known_ns[mine], rows.as_of_ns[mine], rows.value[mine]


class _State:
    """The newest values of one kind, moved forward with the cursor."""

    __slots__ = ("as_of", "at", "known", "now_ns", "rows", "values")

    def __init__(self, rows: Arrivals, count: int) -> None:
        self.rows = rows
        self.at, self.now_ns = 0, LONG_AGO
        self.values = np.full(count, np.nan)
        self.as_of = np.full(count, LONG_AGO)
        self.known = np.full(count, LONG_AGO)

    def advance(self, now_ns: int) -> None:
        if now_ns == self.now_ns:
            return
        rows, self.now_ns = self.rows, now_ns
        upto = int(rows.known_ns.searchsorted(now_ns, side="right"))
        if upto > self.at:
            who = rows.asset[self.at : upto]
            self.values[who] = rows.value[self.at : upto]
            self.as_of[who] = rows.as_of_ns[self.at : upto]
            self.known[who] = rows.known_ns[self.at : upto]
            self.at = upto


class History:
    """A cursor over a panel: what is known at `now_ns`. The last bar closed then is `bar`."""

    __slots__ = (
        "_all_listed", "_columns", "_dense", "_first", "_is_plain", "_last", "_marks", "_names", "_states", "_told", "bar", "delisted", "index", "is_close",
        "names", "now_ns", "number", "panel",
    )  # fmt: skip

    def __init__(self, panel: Panel, number: Converter, kinds: Mapping[str, tuple[str, ...]]) -> None:
        self.panel = panel
        self.names = panel.names
        self.index = panel.index
        self.number = number
        self._is_plain = number is plainly
        self.now_ns = LONG_AGO
        self.bar = -1
        self.is_close = False
        self._columns: dict[tuple[int, str, int], tuple[Callable[[int], float], Column]] = {}
        self._first, self._last, self._dense = panel.spans()
        self.delisted: set[str] = set()
        self._marks = panel.readers["close"]
        self._told: dict[tuple[str, int], Told] = {}
        self._all_listed, self._names = max(self._first), tuple(panel.names)
        # one place more than names: data about the market as a whole
        self._states = {
            (group, kind): _State(rows[kind], len(self.names) + 1)
            for group, rows in (("ratings", panel.ratings), ("signals", panel.signals))
            for kind in kinds.get(group, ())
            if kind in rows
        }

    def seek(self, now_ns: int) -> None:
        """Move the cursor forward."""
        self.now_ns = now_ns
        panel = self.panel
        if panel.is_regular:
            closed, rest = divmod(now_ns - panel.start_ns, panel.step_ns)
            if 0 < closed <= panel.size:
                self.bar, self.is_close = closed - 1, not rest
            else:
                self.bar, self.is_close = -1 if closed <= 0 else panel.size - 1, False
        else:
            self.bar = bar = panel.closed(now_ns)
            self.is_close = bar >= 0 and panel.opens_ns.item(bar) + panel.step_ns == now_ns

    def is_tradable(self, asset: str) -> bool:
        """Whether the asset has an instrument, a closed bar, and is not delisted."""
        at = self.index.get(asset)
        return at is not None and self._first[at] <= self.bar and asset not in self.delisted

    def tradable(self) -> NDArray[np.bool_]:
        """The same for all assets, in the order of names."""
        shown = self._listed() <= self.bar
        for asset in self.delisted:
            shown[self.index[asset]] = False
        return shown

    def shown(self) -> tuple[str, ...]:
        """The names of those that can be traded."""
        if self.bar >= self._all_listed and not self.delisted:
            return self._names
        return tuple([name for name, seen in zip(self.names, self.tradable().tolist(), strict=True) if seen])

    def _listed(self) -> NDArray[np.int64]:
        if "first" not in self.panel.caches:
            self.panel.caches["first"] = np.asarray(self._first)
        return self.panel.caches["first"]  # type: ignore[return-value]

    def price(self, asset: str) -> Number | None:
        """The last closed price, None where the asset cannot be traded."""
        at, bar = self.index.get(asset), self.bar
        if at is None or bar < self._first[at] or (self.delisted and asset in self.delisted):
            return None
        if bar > self._last[at] or not self._dense[at]:
            return self.mark(asset)
        price = self._marks[at](bar)
        return price if self._is_plain else self.number(price)

    def mark(self, asset: str) -> Number:
        """The last closed price."""
        at = self.index[asset]
        bar = self.bar
        if not self._dense[at] or bar > self._last[at]:
            bar = int(self.panel.last_bar(at)[bar])
        price = self._marks[at](bar)
        return price if self._is_plain else self.number(price)

    def mark_age_ns(self, asset: str) -> int:
        """How old the last closed price is."""
        bar = int(self.panel.last_bar(self.index[asset])[self.bar])
        return self.now_ns - int(self.panel.closes_ns[bar])

    def rating_state(self, kind: str) -> tuple[Floats, Instants]:
        """Newest values and their as_of of all assets."""
        return self._newest("ratings", kind)

    def signal_state(self, kind: str) -> tuple[Floats, Instants]:
        """The same for signals."""
        return self._newest("signals", kind)

    def rating(self, kind: str, asset: str) -> tuple[float, int] | None:
        """The newest value of one asset and its as_of; None where nothing is known."""
        at = self.index.get(asset)
        if at is None:
            return None
        state = self._states.get(("ratings", kind))
        if state is not None and state.now_ns == self.now_ns:  # all were asked for at this instant
            as_of = state.as_of.item(at)
            return (state.values.item(at), as_of) if as_of > LONG_AGO else None
        told = self._told.get((kind, at))
        if told is None:
            told = self._told[kind, at] = self.panel.told(kind, at)
        known, dates, values_ = told
        newest = bisect_right(known, self.now_ns) - 1
        return (values_[newest], dates[newest]) if newest >= 0 else None

    def _newest(self, group: str, kind: str) -> tuple[Floats, Instants]:
        state = self._states.get((group, kind))
        if state is None:
            return np.full(len(self.names), np.nan), np.full(len(self.names), LONG_AGO)
        state.advance(self.now_ns)
        return state.values[:-1], state.as_of[:-1]

    def signal(self, asset: str, kinds: tuple[str, ...]) -> Signal | None:
        """The newest signal of the kinds about an asset, or about the market as a whole."""
        at = self.index.get(asset, len(self.names))
        best: Signal | None = None
        for kind in kinds:
            state = self._states.get(("signals", kind))
            if state is None:
                continue
            state.advance(self.now_ns)
            as_of = int(state.as_of[at])
            if as_of > LONG_AGO and (best is None or from_ns(as_of) > best.as_of):
                value, known = float(state.values[at]), from_ns(int(state.known[at]))
                best = Signal(asset, kind, value, from_ns(as_of), known)
        return best

    def bars(self, asset: str, most: int) -> Bars:
        """The last closed bars, as copies."""
        at, panel = self.index[asset], self.panel
        begin = max(0, self.bar + 1 - most) if self._dense[at] else 0
        cut = slice(begin, self.bar + 1)
        columns = [
            panel.closes_ns[cut],
            *(c[at, cut] for c in (panel.open, panel.high, panel.low, panel.close, panel.volume)),
        ]
        there = ~np.isnan(columns[4])
        return Bars(*(column[there][-most:].copy() for column in columns))

    def value(self, column: Column, asset: str, max_age_ns: int) -> float:
        """A column's value now, NaN when unknown; at closes it is read from a column computed once per panel."""
        key = (id(column), asset, max_age_ns)  # hashing a column costs more than reading it; who is kept keeps its id
        kept = self._columns.get(key)
        if not self.is_close:
            return newest(column, self.panel.series(self.index[asset]), max_age_ns, self.now_ns)
        if kept is None:
            read = self.panel.column(column, self.index[asset], max_age_ns).item
            kept = self._columns[key] = (read, column)
        return kept[0](self.bar)
