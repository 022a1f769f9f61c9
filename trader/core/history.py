"""History: checked columns of bars, ratings and signals, served by when they were known.

`Panel` holds the columns and never changes; `History` is a cursor over it that a driver moves forward.
What lies behind the cursor cannot be reached through it: strategies read only what was known at its instant.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from trader.core.conditions import Column, newest
from trader.core.instants import from_ns
from trader.core.instruments import Converter, Number, plainly
from trader.core.panel import LONG_AGO, Arrivals, Floats, Instants, Panel, Told, datums
from trader.core.signals import MARKET, Signal
from trader.core.view import Bars

__all__ = ["LONG_AGO", "Arrivals", "Floats", "History", "Instants", "Panel", "datums"]


Reading = tuple[Callable[[int], float], Column | None, str, int]  # a column's values by bar, and whose they are


class _State:
    """The newest values of one kind, moved forward with the cursor."""

    __slots__ = ("as_of", "at", "now_ns", "rows", "values")

    def __init__(self, rows: Arrivals, count: int) -> None:
        self.rows = rows
        self.at, self.now_ns = 0, LONG_AGO
        self.values = np.full(count, np.nan)
        self.as_of = np.full(count, LONG_AGO)

    def advance(self, now_ns: int) -> None:
        if now_ns == self.now_ns:
            return
        rows, self.now_ns = self.rows, now_ns
        upto = int(rows.known_ns.searchsorted(now_ns, side="right"))
        if upto > self.at:
            who = rows.asset[self.at : upto]
            self.values[who] = rows.value[self.at : upto]
            self.as_of[who] = rows.as_of_ns[self.at : upto]
            self.at = upto


class History:
    """A cursor over a panel: what is known at `now_ns`. The last bar closed then is `bar`."""

    __slots__ = (
        "_all_listed", "_columns", "_dense", "_first", "_is_plain", "_last", "_marks", "_names", "_rated", "_read", "_states", "_told", "bar", "delisted", "index", "is_close",
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
        self._columns: dict[tuple[int, str, int], Reading] = {}
        self._read: Reading = (float, None, "", 0)  # the last one used: most strategies ask for the same again
        self._first, self._last, self._dense = panel.spans()
        self.delisted: set[str] = set()
        self._marks = panel.readers["close"]
        self._told: dict[tuple[str, str, int], Told] = {}
        self._rated: tuple[str, str, Told] = "", "", ([], [], [])  # the same for a rating
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
        for asset in self.delisted:  # sim-ok: each sets a flag of its own
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
        state = self._states.get(("ratings", kind))
        if state is not None and state.now_ns == self.now_ns:  # all were asked for at this instant
            at = self.index.get(asset)
            if at is None:
                return None
            as_of = state.as_of.item(at)
            return (state.values.item(at), as_of) if as_of > LONG_AGO else None
        last = self._rated
        if kind != last[0] or asset != last[1]:
            at = self.index.get(asset)
            if at is None:
                return None
            self._rated = last = kind, asset, self._of("ratings", kind, at)
        known, dates, values_ = last[2]
        newest = bisect_right(known, self.now_ns) - 1
        return (values_[newest], dates[newest]) if newest >= 0 else None

    def _of(self, group: str, kind: str, at: int) -> Told:
        told = self._told.get((group, kind, at))
        if told is None:
            told = self._told[group, kind, at] = self.panel.told(group, kind, at)
        return told

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
            if ("signals", kind) not in self._states:
                continue
            known, dates, values = self._of("signals", kind, at)
            newest = bisect_right(known, self.now_ns) - 1
            if newest >= 0 and (best is None or from_ns(dates[newest]) > best.as_of):
                best = Signal(asset, kind, values[newest], from_ns(dates[newest]), from_ns(known[newest]))
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
        if not self.is_close:
            return newest(column, self.panel.series(self._place(asset)), max_age_ns, self.now_ns)
        read, last, whose, age = self._read
        if column is not last or asset is not whose or max_age_ns != age:
            # hashing a column costs more than reading it; one that is kept keeps its id
            key = (id(column), asset, max_age_ns)  # sim-ok: the name of a column in a memory, never its order
            kept = self._columns.get(key)
            if kept is None:
                read = self.panel.column(column, self._place(asset), max_age_ns).item
                kept = self._columns[key] = (read, column, asset, max_age_ns)
            self._read = kept
            read = kept[0]
        return read(self.bar)

    def _place(self, asset: str) -> int:
        """Where an asset's data stand; those about the market as a whole, which has no bars, come last."""
        return len(self.names) if asset == MARKET else self.index[asset]
