"""The panel: checked columns of bars, ratings and signals over one grid, which never change, and what is computed from them once.

Rows are assets, so that one asset's bars lie side by side. Who may see what of it when is the business of `History`.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.core.conditions import BarColumns, Column, Series, values
from trader.core.expression import BARS
from trader.core.shelf import Shelf

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
    # What follows is made of the columns. A panel made of another (`replace`, a pickle) begins without it.
    caches: dict[object, object] = field(default_factory=dict, init=False, repr=False)
    shelf: Shelf[Any] = field(default_factory=Shelf, init=False, repr=False)
    start_ns: int = field(default=0, init=False)
    size: int = field(default=0, init=False)
    is_regular: bool = field(default=True, init=False)  # whether the grid has no gap
    index: dict[str, int] = field(default_factory=dict, init=False, repr=False)  # of names
    readers: dict[str, list[Callable[[int], float]]] = field(
        default_factory=dict, init=False, repr=False
    )  # single values, by asset

    def __reduce__(self) -> "tuple[type[Panel], tuple[object, ...]]":
        return Panel, tuple(getattr(self, one.name) for one in fields(self) if one.init)

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
        kept: dict[object, object] = {
            key: self.caches[key] for key in ("spans", "full", "closes") if key in self.caches
        }
        self.caches.clear()
        self.caches.update(kept)

    def told(self, group: str, kind: str, asset: int) -> Told:
        """One asset's ratings or signals of a kind as lists, for looking up single ones; made once."""
        key = ("told", group, kind, asset)
        if key not in self.caches:
            rows = (self.ratings if group == "ratings" else self.signals).get(kind)
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
        first, last = (side[asset] for side in self.spans()[:2])
        between = slice(first, last + 1)
        there = ~np.isnan(columns[3][between])
        if there.all():  # nothing is missing between its first and its last: no copy
            return BarColumns(self.closes_ns[between], *(column[between] for column in columns))
        return BarColumns(self.closes_ns[between][there], *(column[between][there] for column in columns))

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
