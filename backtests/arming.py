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
from trader.core.instruments import Converter, Number, plainly
from trader.core.ledger import Holding
from trader.core.matching import Search, hits, reach

if TYPE_CHECKING:
    from backtests.venue import Log
    from trader.core.engine import Engine

NONE = float("inf")
SEARCH_BYTES = 500  # with its key and its places on the shelf


class Plan:
    """A target's exits, sorted out once: those at a price, with what their levels are shares of, and the others."""

    __slots__ = ("decided", "goal", "has_trail", "is_plain", "priced", "stop", "trail")

    def __init__(self, exits: Sequence[tuple[int, Exit]], number: Converter) -> None:
        self.priced = [(n, e, *reach(e, number), isinstance(e, STOPS)) for n, e in exits if isinstance(e, PRICE_EXITS)]
        self.decided = [e for _, e in exits if not isinstance(e, PRICE_EXITS)]
        trails = [e.by for _, e in exits if isinstance(e, TrailBy)]
        self.has_trail, self.trail = bool(trails), min(trails, default=None)
        stops, goals = ([one for one in self.priced if one[4] is is_stop] for is_stop in (True, False))
        # at most one stop and one goal, of the whole holding and its entry price: then one search says all about the hit
        self.is_plain = (
            len(stops) < 2 and len(goals) < 2 and all(e.share == 1 and of == "entry" for _, e, of, *_ in self.priced)
        )
        self.stop, self.goal = stops[0] if stops else None, goals[0] if goals else None

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
        if self.is_plain:
            if self.stop is not None:
                stop = float(entry * self.stop[3])
            return stop, goal if self.goal is None else float(entry * self.goal[3])
        for _, _, of, share, is_stop in self.priced:
            if of == "peak":
                continue
            at = float(entry * share if of else share)
            if is_stop:
                stop = max(stop, at)
            elif at < goal:
                goal = at
        return stop, goal


class Armed:
    """The price exits of one holding, with the search for the first bar that hits them."""

    __slots__ = ("at", "peak", "plan", "search")

    def __init__(self, at: int, plan: Plan, search: Search, peak: float) -> None:
        self.at, self.plan, self.search, self.peak = at, plan, search, peak


class Arming:
    """The armed exits of all holdings: price exits in `armed`, the due instants of the others in `decided`."""

    def __init__(self, engine: Engine, panel: Panel, history: History, log: Log, number: Converter) -> None:
        self.engine, self.mount, self.panel, self.history = engine, engine.mount, panel, history
        self.log, self.number, self.is_plain = log, number, number is plainly
        self.armed: dict[str, Armed] = {}
        self.decided: dict[str, int] = {}  # asset -> when its next `After`, `Below` or `Above` is due
        self.peaks: dict[str, tuple[int, int]] = {}  # asset -> when opened, first bar not yet in its peak
        self.plans: dict[int, tuple[tuple[Exit, ...], Plan]] = {}  # by the identity of a target's exits
        self.soonest = NEVER  # when the next price exit is hit, as far as was searched
        self.searched = NEVER  # up to which instant that is known

    def look(self, at: int) -> None:
        """Search for the first bar that hits an armed exit, at least as far as an instant, each a window ahead."""
        panel = self.panel
        upto = panel.closed(at) + 1
        best = clean = panel.size
        for armed in self.armed.values():
            search = armed.search
            if search.hit < 0 and search.clean < upto:
                end = min(max(upto, search.clean + search.chunk), best + 1, panel.size)
                search.look(*panel.searchable(armed.at), panel.high[armed.at], end)
            if search.hit < 0:
                clean = min(clean, search.clean)
            elif search.hit < best:
                best = search.hit
        is_known = best < clean or clean == panel.size
        self.soonest = self._close(best) if best < clean else NEVER
        self.searched = NEVER if is_known else self._close(clean - 1)

    def _close(self, bar: int) -> int:
        return self.panel.opens_ns.item(bar) + self.panel.step_ns

    def hit(self, armed: Armed, holding: Holding, bar: int) -> list[tuple[int, Exit, Number]]:
        """The exits that a bar hits, in the order in which they act, each with its price; counts doubtful bars."""
        plan, search, index, panel = armed.plan, armed.search, armed.at, self.panel
        if search.at is None or not plan.is_plain or not self.is_plain:
            number, opened = self.number, panel.readers["open"][index](bar)
            low, high = panel.low[index].item(bar), panel.high[index].item(bar)
            found = hits(plan.levels(holding), number(opened), number(low), number(high))
            is_both = len({isinstance(e, STOPS) for _, e, _ in found}) == 2
            if self.is_plain and plan.is_plain:
                search.at, search.is_stop, search.is_both = found[0][2], isinstance(found[0][1], STOPS), is_both
        else:
            one = plan.stop if search.is_stop else plan.goal
            assert one is not None
            found, is_both = [(one[0], one[1], search.at)], search.is_both
        if is_both:
            self.log.ambiguous.add((index, bar))
        return found

    def plan_of(self, exits: tuple[Exit, ...]) -> Plan:
        """A target's exits, sorted out; made once."""
        kept = self.plans.get(id(exits))
        if kept is None:
            kept = self.plans[id(exits)] = (exits, Plan(tuple(enumerate(exits)), self.number))
        return kept[1]

    def disarm(self, asset: str) -> None:
        """Forget the only armed price exits, those of an asset of which nothing is held."""
        del self.armed[asset]
        self.searched = self.soonest = NEVER

    def arm(self, asset: str, from_ns: int, live_bar: int) -> None:
        """Arm the exits of an asset anew: price exits from a bar on, decided ones from an instant on."""
        mount, armed = self.mount, self.armed
        if asset in armed:
            before = armed.pop(asset)
            self.searched = self.soonest = NEVER
            if armed:
                self.searched = -1
            if before.search.trail is not None:
                self.note_trail(before, live_bar)
        if self.decided:
            self.decided.pop(asset, None)
        holding = mount.held(asset)
        if holding is None:
            return
        if asset in mount.orders or asset in mount.exiting or (mount.spent and asset in mount.spent):
            exits = self.engine.armed(asset)
            if not exits:
                return
            plan = Plan(exits, self.number)
        else:
            target = mount.targets.get(asset)
            every = mount.leaving.get(asset, ()) if target is None else target.exits
            if not every:
                return
            plan = self.plan_of(every)
        if plan.decided:
            due = min(self._due_of(asset, e, from_ns, holding.opened_ns) for e in plan.decided)
            if due < NEVER:
                self.decided[asset] = due
        if plan.has_trail:
            self.move_peak(asset, live_bar)
        if plan.priced:
            index, peak = self.history.index[asset], float(holding.peak)
            stop, goal = plan.nearest(holding)
            found: Search | None = None
            if plan.has_trail:
                found = Search(live_bar, stop, goal, plan.trail, peak)
            else:  # runs that hold alike share one search, which goes on where the last stopped
                key = index, live_bar, stop, goal
                found = self.panel.shelf.get(key)
                if found is None:
                    found = self.panel.shelf.put(key, Search(live_bar, stop, goal, None, peak), SEARCH_BYTES)
            armed[asset] = Armed(index, plan, found, peak)
            if len(armed) == 1 and found.hit >= 0:
                self.soonest, self.searched = self._close(found.hit), NEVER
            else:
                self.searched = -1

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
