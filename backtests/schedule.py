"""When a strategy is woken: arrivals, periods and timers known up front, and conditions by standing target.

Found from columns in one pass per tape; the replay only compares instants. The rules are docs/rules.md, 3, 9 and 12.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import cast

import numpy as np

from trader.core.conditions import Condition, Moments, evaluate_all
from trader.core.history import Arrivals, Instants, Panel
from trader.core.instants import DAY, clock_time, duration
from trader.core.strategy import Wants

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Cause:
    """Instants of one cause, ascending and unique, with the assets that each concerns (flat, cut by `starts`)."""

    name: str
    at: Instants
    starts: list[int]
    assets: list[int]

    @classmethod
    def of(cls, name: str, at: Instants, asset: Instants) -> Cause:
        """Group rows in order of time."""
        order = np.lexsort((asset, at))
        at, asset = at[order], asset[order]
        fresh = np.append(True, at[1:] != at[:-1]) if len(at) else np.empty(0, bool)
        starts = np.append(np.flatnonzero(fresh), len(at)).tolist()
        return cls(name, at[fresh], starts, asset.tolist())

    def assets_at(self, number: int) -> list[int]:
        """The assets of the instant with this number."""
        return self.assets[self.starts[number] : self.starts[number + 1]]


class Fixed:
    """Wakes that do not depend on what is held: arrivals, periods, clock times."""

    def __init__(self, panel: Panel, wants: Wants, first_ns: int, last_ns: int) -> None:
        causes = _arrivals(panel, wants) if not wants.conditions or wants.every is not None else []
        if wants.every is not None and wants.at is not None:
            causes = [_clock(wants, first_ns, last_ns)]
        elif wants.every is not None:
            causes = _first_of_period(causes, duration(wants.every), first_ns, last_ns)
        self.causes = [_between(cause, first_ns, last_ns) for cause in causes]
        times = [cause.at for cause in self.causes]
        merged = times[0] if len(times) == 1 else np.unique(np.concatenate(times)) if times else np.empty(0, np.int64)
        self.times: list[int] = merged.tolist()
        self.at = 0
        self._cursors = [0] * len(self.causes)
        self._lists: list[list[int]] = [cause.at.tolist() for cause in self.causes]

    def peek(self) -> int:
        """The next instant."""
        return self.times[self.at] if self.at < len(self.times) else NEVER

    def take(self, at_ns: int, names: list[str], assets: list[int]) -> None:
        """Add the causes and assets of an instant, and move on."""
        self.at += 1
        for number, cause in enumerate(self.causes):
            here = self._cursors[number]
            times = self._lists[number]
            if here < len(times) and times[here] == at_ns:
                names.append(cause.name)
                assets.extend(cause.assets_at(here))
                self._cursors[number] = here + 1


class ByCondition:
    """Wakes of conditions: for each asset the next moment that is true, given whether it has a standing target."""

    def __init__(self, panel: Panel, wants: Wants, first_ns: int, last_ns: int) -> None:
        self.size = len(panel.names) + (1 if panel.signals else 0)
        bounds = (first_ns, last_ns, duration(wants.max_age))
        found = _moments(panel, wants.conditions, bounds, self.size)
        none: list[list[int]] = [[]] * self.size
        self.flat, self.held, self.any = (
            none if one is None else found[one] for one in (wants.when_flat, wants.when_held, wants.when)
        )
        self.next = [NEVER] * self.size
        self.soonest = NEVER
        for asset in range(self.size):
            self._aim(asset, first_ns, is_held=False)
        self.soonest = min(self.next, default=NEVER)

    def _aim(self, asset: int, from_ns: int, *, is_held: bool) -> None:
        times = (self.held if is_held else self.flat)[asset]
        at = bisect_left(times, from_ns)
        found = times[at] if at < len(times) else NEVER
        others = self.any[asset]
        if others:
            at = bisect_left(others, from_ns)
            if at < len(others) and others[at] < found:
                found = others[at]
        self.next[asset] = found

    def aim(self, asset: int, from_ns: int, *, is_held: bool) -> None:
        """Find the asset's next moment at or after an instant."""
        self._aim(asset, from_ns, is_held=is_held)
        self.soonest = self.next[0] if self.size == 1 else min(self.next)

    def take(self, at_ns: int, held: set[int], names: list[str], assets: list[int]) -> list[int]:
        """Add the causes and assets of an instant; returns the assets, which must be aimed again."""
        mine = [asset for asset, due in enumerate(self.next) if due == at_ns] if self.size > 1 else [0]
        for asset in mine:
            name, times = ("when_held", self.held) if asset in held else ("when_flat", self.flat)
            if name not in names and _has(times[asset], at_ns):
                names.append(name)
            if self.any[asset] and "when" not in names and _has(self.any[asset], at_ns):
                names.append("when")
        assets.extend(mine)
        return mine


def _has(times: list[int], at_ns: int) -> bool:
    at = bisect_left(times, at_ns)
    return at < len(times) and times[at] == at_ns


def _moments(
    panel: Panel, conditions: tuple[Condition, ...], bounds: tuple[int, int, int], size: int
) -> dict[Condition, list[list[int]]]:
    first_ns, last_ns, max_age = bounds
    missing = tuple(c for c in conditions if ("moments", c, max_age) not in panel.caches)
    if missing:
        moments = [evaluate_all(missing, panel.series(asset), max_age) for asset in range(size)]
        for number, one in enumerate(missing):
            panel.caches["moments", one, max_age] = [
                _woken(panel, one, moments[asset][number], asset) for asset in range(size)
            ]
    listed = [int(panel.closes_ns[first]) for first in panel.spans()[0]] + [first_ns]
    found = {}
    for one in conditions:
        by_asset = cast("list[list[int]]", panel.caches["moments", one, max_age])
        found[one] = [
            times[bisect_left(times, max(first_ns, listed[asset])) : bisect_right(times, last_ns)]
            for asset, times in enumerate(by_asset)
        ]
    return found


def _woken(panel: Panel, condition: Condition, moments: Moments, asset: int) -> list[int]:
    """The moments at which the condition is true and may wake: rows of torn batches wake late or never."""
    times = moments.at_ns[moments.true]
    for group, kind in condition.sources:
        rows = panel.ratings.get(kind) if group == "rating" else None
        if rows is None or not len(times):
            continue
        late = (rows.asset == asset) & (rows.wakes_ns != rows.known_ns)
        if late.any():
            moved = dict(zip(rows.known_ns[late].tolist(), rows.wakes_ns[late].tolist(), strict=True))
            times = np.unique([at for at in (moved.get(t, t) for t in times.tolist()) if at >= 0])
    return times.tolist()  # type: ignore[no-any-return]


def _rows(name: str, rows: Arrivals) -> Cause:
    wakes = rows.wakes_ns >= 0
    return Cause.of(name, rows.wakes_ns[wakes], rows.asset[wakes])


def _arrivals(panel: Panel, wants: Wants) -> list[Cause]:
    causes = [_rows(f"rating:{kind}", panel.ratings[kind]) for kind in wants.ratings if kind in panel.ratings]
    causes += [_rows(f"signal:{kind}", panel.signals[kind]) for kind in wants.signals if kind in panel.signals]
    if wants.bars > 0 and not (causes and wants.every is not None):
        there = ~np.isnan(panel.close)
        if len(panel.names) == 1:
            causes.append(
                Cause("bar", panel.closes_ns, list(range(len(panel.closes_ns) + 1)), [0] * len(panel.closes_ns))
            )
        else:
            time, asset = np.nonzero(there.T)
            causes.append(Cause.of("bar", panel.closes_ns[time], asset))
    return causes


def _between(cause: Cause, first_ns: int, last_ns: int) -> Cause:
    a, b = int(cause.at.searchsorted(first_ns)), int(cause.at.searchsorted(last_ns, side="right"))
    return Cause(cause.name, cause.at[a:b], cause.starts[a : b + 1], cause.assets)


def _period(at: Instants, period: int) -> Instants:
    week = period % (7 * DAY) == 0
    return (at + 3 * DAY) // period if week else at // period  # 1970 began on a Thursday, weeks begin on Monday


def _first_of_period(causes: list[Cause], period: int, first_ns: int, last_ns: int) -> list[Cause]:
    times = np.unique(np.concatenate([cause.at for cause in causes])) if causes else np.empty(0, np.int64)
    times = times[(times >= first_ns) & (times <= last_ns)]
    periods = _period(times, period)
    chosen = times[np.append(True, periods[1:] != periods[:-1])] if len(times) else times
    starts, assets = [0], []
    cursors = [dict(zip(cause.at.tolist(), range(len(cause.at)), strict=True)) for cause in causes]
    for at in chosen.tolist():
        here: set[int] = set()
        for cause, rows in zip(causes, cursors, strict=True):
            if at in rows:
                here.update(cause.assets_at(rows[at]))
        assets += sorted(here)
        starts.append(len(assets))
    return [Cause("every", chosen, starts, assets)]


def _clock(wants: Wants, first_ns: int, last_ns: int) -> Cause:
    period = duration(wants.every or "1d")
    shift = clock_time(wants.at or "00:00") - (3 * DAY if period % (7 * DAY) == 0 else 0)
    begin = -((shift - first_ns) // period) * period + shift if first_ns > shift else shift
    while begin < first_ns:
        begin += period
    at = np.arange(begin, last_ns + 1, period, dtype=np.int64)
    return Cause("every", at, [0] * (len(at) + 1), [])
