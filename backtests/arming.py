"""Arming: what the exits of holdings wait for in a replay, found in columns and told only when time gets there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backtests.schedule import NEVER
from trader.core.book import book_bar
from trader.core.exits import PRICE_EXITS, STOPS, Above, After, Below, Exit, TrailBy
from trader.core.history import Floats, History, Panel, datums
from trader.core.instants import duration
from trader.core.instruments import Converter, Number
from trader.core.ledger import Holding
from trader.core.matching import Search, reach

if TYPE_CHECKING:
    from backtests.venue import Log
    from trader.core.engine import Engine

NONE = float("inf")
SEARCH_BYTES = 400


class Plan:
    """A target's exits, sorted out once: those at a price, with what their levels are shares of, and the others."""

    __slots__ = ("decided", "has_trail", "priced", "trail")

    def __init__(self, exits: Sequence[tuple[int, Exit]], number: Converter) -> None:
        self.priced = [(n, e, *reach(e, number), isinstance(e, STOPS)) for n, e in exits if isinstance(e, PRICE_EXITS)]
        self.decided = [e for _, e in exits if not isinstance(e, PRICE_EXITS)]
        trails = [e.by for _, e in exits if isinstance(e, TrailBy)]
        self.has_trail, self.trail = bool(trails), min(trails, default=None)

    def levels(self, holding: Holding) -> list[tuple[int, Exit, Number]]:
        """The price exits with their levels for a holding as it is now."""
        entry, peak = holding.entry, holding.peak
        return [
            (n, e, entry * share if of == "entry" else peak * share if of else share)
            for n, e, of, share, _ in self.priced
        ]

    def nearest(self, holding: Holding) -> tuple[float, float]:
        """The highest stop and the lowest goal that do not move (-inf, inf = none)."""
        stop, goal, entry = -NONE, NONE, holding.entry
        for _, _, of, share, is_stop in self.priced:
            if of == "peak":
                continue
            at = float(entry * share if of else share)
            if is_stop:
                if at > stop:
                    stop = at
            elif at < goal:
                goal = at
        return stop, goal


class Armed(NamedTuple):
    """The price exits of one holding, with the search for the first bar that hits them."""

    at: int
    plan: Plan
    search: Search
    peak: float
    low: Floats
    high: Floats


class Arming:
    """The armed exits of all holdings: price exits in `armed`, the due instants of the others in `decided`."""

    def __init__(self, engine: Engine, panel: Panel, history: History, log: Log, number: Converter) -> None:
        self.engine, self.mount, self.panel, self.history = engine, engine.mount, panel, history
        self.log, self.number = log, number
        self.armed: dict[str, Armed] = {}
        self.decided: dict[str, int] = {}  # asset -> when its next `After`, `Below` or `Above` is due
        self.peaks: dict[str, tuple[int, int]] = {}  # asset -> when opened, first bar not yet in its peak
        self.plans: dict[int, tuple[tuple[Exit, ...], Plan]] = {}  # by the identity of a target's exits

    def next_hit(self, at: int) -> int:
        """The close of the first bar that hits an armed exit, if it is not later than an instant; else NEVER."""
        panel = self.panel
        upto = panel.closed(at) + 1
        best = panel.size
        for index, _, search, _, low, high in self.armed.values():
            hit = search.hit
            if hit < 0 and search.clean < upto:
                search.look(low, high, panel.high[index], min(upto, best + 1))
                hit = search.hit
            if 0 <= hit < best:
                best = hit
        return panel.opens_ns.item(best) + panel.step_ns if best < upto else NEVER

    def arm(self, asset: str, from_ns: int, live_bar: int) -> None:
        """Arm the exits of an asset anew: price exits from a bar on, decided ones from an instant on."""
        mount, armed = self.mount, self.armed
        if asset in armed:
            before = armed.pop(asset)
            if before.search.trail is not None:
                self.note_trail(before, live_bar)
        if self.decided:
            self.decided.pop(asset, None)
        holding = mount.held(asset)
        if holding is None:
            return
        plan = self._plan(asset)
        if plan is None:
            return
        if plan.decided:
            due = min(self._due_of(asset, e, from_ns, holding.opened_ns) for e in plan.decided)
            if due < NEVER:
                self.decided[asset] = due
        if plan.has_trail:
            self.move_peak(asset, live_bar)
        if plan.priced:
            index = self.history.index[asset]
            peak = float(holding.peak)
            search = self._search(index, plan, holding, live_bar, peak)
            armed[asset] = Armed(index, plan, search, peak, *self.panel.searchable(index))

    def _plan(self, asset: str) -> Plan | None:
        """What may act of the asset's exits; None where nothing does."""
        mount = self.mount
        if asset in mount.orders or asset in mount.exiting or mount.spent.get(asset):
            exits = self.engine.armed(asset)
            return Plan(exits, self.number) if exits else None
        target = mount.targets.get(asset)
        every = mount.leaving.get(asset, ()) if target is None else target.exits
        if not every:
            return None
        kept = self.plans.get(id(every))
        if kept is None:
            kept = self.plans[id(every)] = (every, Plan(tuple(enumerate(every)), self.number))
        return kept[1]

    def _search(self, index: int, plan: Plan, holding: Holding, first: int, peak: float) -> Search:
        """The search for the first hit; runs that hold alike share one, which goes on where the last stopped."""
        stop, goal = plan.nearest(holding)
        if plan.has_trail:
            return Search(first, stop, goal, plan.trail, peak)
        key = index, first, stop, goal
        found: Search | None = self.panel.shelf.get(key)
        if found is None:
            found = self.panel.shelf.put(key, Search(first, stop, goal, None, peak), SEARCH_BYTES)
        return found

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
        for _, exit_, *_ in armed.plan.priced:
            if isinstance(exit_, TrailBy):
                self.log.trails.append((armed.at, armed.search.first, end, exit_.by, armed.peak))
