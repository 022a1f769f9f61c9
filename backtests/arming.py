"""Arming: what the exits of holdings wait for in a replay, found in columns and told only when time gets there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtests.schedule import NEVER
from trader.core.book import book_bar
from trader.core.exits import PRICE_EXITS, STOPS, Above, After, Below, Exit, TrailBy
from trader.core.history import History, Panel, datums
from trader.core.instants import duration
from trader.core.instruments import Converter, Number
from trader.core.matching import Search, level

if TYPE_CHECKING:
    from backtests.venue import Log
    from trader.core.engine import Engine


class Armed:
    """The price exits of one holding, with the search for the first bar that hits them."""

    __slots__ = ("at", "exits", "high", "low", "peak", "search", "tops")

    def __init__(
        self, panel: Panel, at: int, exits: Sequence[tuple[int, Exit, Number]], *, first: int, peak: float
    ) -> None:
        self.at = at
        self.exits = exits
        self.peak = peak
        self.low, self.high = panel.searchable(at)
        self.tops = panel.high[at]
        stops = [float(lv) for _, e, lv in exits if isinstance(e, STOPS) and not isinstance(e, TrailBy)]
        goals = [float(lv) for _, e, lv in exits if not isinstance(e, STOPS)]
        trails = [e.by for _, e, _ in exits if isinstance(e, TrailBy)]
        self.search = Search(
            first, max(stops, default=float("-inf")), min(goals, default=float("inf")), min(trails, default=None), peak
        )


class Arming:
    """The armed exits of all holdings: price exits in `armed`, the due instants of the others in `decided`."""

    def __init__(self, engine: Engine, panel: Panel, history: History, log: Log, number: Converter) -> None:
        self.engine, self.mount, self.panel, self.history = engine, engine.mount, panel, history
        self.log, self.number = log, number
        self.armed: dict[str, Armed] = {}
        self.decided: dict[str, int] = {}  # asset -> when its next `After`, `Below` or `Above` is due
        self.peaks: dict[str, tuple[int, int]] = {}  # asset -> when opened, first bar not yet in its peak

    def next_hit(self, at: int) -> int:
        """The close of the first bar that hits an armed exit, if it is not later than an instant; else NEVER."""
        upto = self.panel.closed(at) + 1
        best = len(self.panel.opens_ns)
        for armed in self.armed.values():
            search = armed.search
            if search.hit < 0 and search.clean < upto:
                search.look(armed.low, armed.high, armed.tops, min(upto, best + 1))
            if 0 <= search.hit < best:
                best = search.hit
        return int(self.panel.opens_ns[best]) + self.panel.step_ns if best < upto else NEVER

    def arm(self, asset: str, from_ns: int, live_bar: int) -> None:
        """Arm the exits of an asset anew: price exits from a bar on, decided ones from an instant on."""
        mount = self.mount
        before = self.armed.pop(asset, None)
        if before is not None and before.search.trail is not None:
            self.note_trail(before, live_bar)
        self.decided.pop(asset, None)
        holding = mount.held(asset)
        if holding is None:
            return
        exits = self.engine.armed(asset)
        due = [self._due_of(asset, e, from_ns, holding.opened_ns) for _, e in exits if not isinstance(e, PRICE_EXITS)]
        if due and min(due) < NEVER:
            self.decided[asset] = min(due)
        if not exits:
            return
        if any(isinstance(e, TrailBy) for _, e in exits):
            self.move_peak(asset, live_bar)
        priced = [
            (n, e, level(e, holding.entry, holding.peak, self.number)) for n, e in exits if isinstance(e, PRICE_EXITS)
        ]
        if priced:
            self.armed[asset] = Armed(
                self.panel, self.history.index[asset], priced, first=live_bar, peak=float(holding.peak)
            )

    def _due_of(self, asset: str, exit_: Exit, from_ns: int, opened_ns: int) -> int:
        """When a decided exit is due; an `After` already overdue when stated, at once."""
        if isinstance(exit_, After):
            return max(opened_ns + duration(exit_.time), from_ns)
        assert isinstance(exit_, Above | Below)
        rows = self.panel.ratings.get(exit_.kind)
        if rows is None:
            return NEVER
        known, _, value = datums(rows, self.history.index[asset])
        found = (known >= max(from_ns, opened_ns + 1)) & (
            value <= exit_.level if isinstance(exit_, Below) else value >= exit_.level
        )
        return int(known[found.argmax()]) if found.any() else NEVER

    def new_ratings(self, asset: str, at: int) -> dict[str, float]:
        """The ratings of an asset that become known at an instant, by kind."""
        new = {}
        for kind, rows in self.panel.ratings.items():
            known, _, value = datums(rows, self.history.index[asset])
            here = int(known.searchsorted(at))
            if here < len(known) and known[here] == at:
                new[kind] = float(value[here])
        return new

    def move_peak(self, asset: str, before_bar: int) -> None:
        """Move the peak of a holding by the bars before this one."""
        holding = self.mount.ledger.holdings[asset]
        opened, begin = self.peaks.get(asset, (-1, 0))
        if opened != holding.opened_ns:
            begin = self.panel.opening(holding.opened_ns)
        if before_bar > begin:
            highs = self.panel.high[self.history.index[asset], begin:before_bar]
            book_bar(self.mount, asset, self.number(float(np.fmax.reduce(highs))))
            self.peaks[asset] = (holding.opened_ns, before_bar)

    def note_trail(self, armed: Armed, end: int) -> None:
        """Note for the count of doubtful bars in which bars a trailing exit was armed."""
        for _, exit_, _ in armed.exits:
            if isinstance(exit_, TrailBy):
                self.log.trails.append((armed.at, armed.search.first, end, exit_.by, armed.peak))
