"""When a strategy is woken: arrivals, periods and timers known up front, and conditions by standing target.

Found from columns in one pass per tape; the replay only compares instants. The rules are docs/rules.md, 3, 9 and 12.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from backtests.machine import Place, place
from trader.core.conditions import Condition, Moments, evaluate_all
from trader.core.expression import BARS
from trader.core.history import Arrivals, Instants, Panel
from trader.core.instants import DAY, clock_time, duration
from trader.core.strategy import Wake, Wants

NEVER = np.iinfo(np.int64).max
INT_PAIR = 96  # bytes of two whole numbers in two lists and two columns


@dataclass(frozen=True, slots=True)
class Cause:
    """Instants of one cause, ascending and unique, with the assets that each concerns (flat, cut by `starts`)."""

    name: str
    at: Instants
    starts: list[int]
    assets: list[int]
    common: list[int] | None = None  # the assets, where they are the same at each instant

    @classmethod
    def of(cls, name: str, at: Instants, asset: Instants) -> Cause:
        """Group rows in order of time."""
        later = at[1:] > at[:-1]
        if not np.all(later | ((at[1:] == at[:-1]) & (asset[1:] >= asset[:-1]))):  # most come in order
            order = np.lexsort((asset, at))
            at, asset = at[order], asset[order]
            later = at[1:] > at[:-1]
        fresh = np.append(True, later) if len(at) else np.empty(0, bool)
        starts = np.append(np.flatnonzero(fresh), len(at)).tolist()
        return cls(name, at[fresh], starts, asset.tolist())

    def assets_at(self, number: int) -> list[int]:
        """The assets of the instant with this number."""
        if self.common is not None:
            return self.common
        return self.assets[self.starts[number] : self.starts[number + 1]]


class Fixed:
    """Wakes that do not depend on what is held: arrivals, periods, clock times."""

    def __init__(self, panel: Panel, wants: Wants, first_ns: int, last_ns: int, names: list[str]) -> None:
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
        self.soonest = self.times[0] if self.times else NEVER
        self._cursors = [0] * len(self.causes)
        self._lists: list[list[int]] = [self.times] if len(times) == 1 else [cause.at.tolist() for cause in self.causes]
        # where one cause alone wakes with the same assets each time, as bars do, one wake serves for all
        every = self.causes[0].common if len(self.causes) == 1 and not wants.conditions else None
        self.alone = None if every is None else Wake((self.causes[0].name,), every, names)

    def pass_by(self, count: int = 1) -> None:
        """Move on from so many instants of the wake that serves for all."""
        self.at += count
        self._cursors[0] = self.at
        self.soonest = self.times[self.at] if self.at < len(self.times) else NEVER

    def take(self, at_ns: int, names: list[str], assets: list[int]) -> None:
        """Add the causes and assets of an instant, and move on."""
        self.at += 1
        self.soonest = self.times[self.at] if self.at < len(self.times) else NEVER
        for number, cause in enumerate(self.causes):
            here = self._cursors[number]
            times = self._lists[number]
            if here < len(times) and times[here] == at_ns:
                names.append(cause.name)
                assets.extend(cause.assets_at(here))
                self._cursors[number] = here + 1


class Runs(NamedTuple):
    """Instants at which a condition may wake: all of its data, and the first and last instants of each run of true ones.

    A last run at NEVER ends every search. `firsts` and `lasts` are the same as columns; `lie` is where these and the data
    lie in memory, for the kernel.
    """

    data: Instants
    first: list[int]
    last: list[int]
    firsts: Instants
    lasts: Instants
    lie: tuple[Place, ...]

    @classmethod
    def of(cls, data: Instants, true: NDArray[np.bool_]) -> Runs:
        """Group the data that are true into runs of neighbours."""
        edges = np.flatnonzero(np.diff(true, prepend=False, append=False))
        firsts, lasts = np.append(data[edges[::2]], NEVER), np.append(data[edges[1::2] - 1], NEVER)
        data = np.ascontiguousarray(data)
        return cls(data, firsts.tolist(), lasts.tolist(), firsts, lasts, (place(firsts), place(lasts), place(data)))


NO_RUNS = Runs.of(np.empty(0, np.int64), np.empty(0, np.bool_))


class Cursor:
    """A walk through runs; it only moves forward."""

    __slots__ = ("at", "data", "first", "last", "runs")

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.data, self.first, self.last = runs[:3]
        self.at = 0

    def seek(self, from_ns: int) -> int:
        """The first true instant at or after an instant; NEVER if there is none."""
        last, at = self.last, self.at
        while last[at] < from_ns:
            at += 1
        self.at = at
        begin = self.first[at]
        return begin if begin >= from_ns else self.data.item(self.data.searchsorted(from_ns))


class ByCondition:
    """Wakes of conditions: for each asset the next moment that is true, given whether it has a standing target."""

    def __init__(self, panel: Panel, wants: Wants, first_ns: int, names: list[str]) -> None:
        self.size = len(panel.names) + (1 if panel.signals else 0)
        found = _moments(panel, wants, self.size)
        none = [Cursor(NO_RUNS)] * self.size
        self.flat, self.held, self.any = (
            none if one is None else list(map(Cursor, found[one]))
            for one in (wants.when_flat, wants.when_held, wants.when)
        )
        self.has_any = wants.when is not None
        # with one asset and no `when` there are but two wakes, made once: by when_flat and by when_held
        is_alone = self.size == 1 and not self.has_any
        self.alone = [Wake((name,), [0], names) for name in ("when_flat", "when_held")] if is_alone else []
        self.begins = [max(first_ns, int(panel.closes_ns[first])) for first in panel.spans()[0]] + [first_ns]
        self.is_held = [False] * self.size
        self.next = [NEVER] * self.size
        self.soonest = NEVER
        self.queue: list[tuple[int, int]] = []  # moments and assets; what was aimed anew since stays until it comes up
        for asset in range(self.size):
            self.aim(asset, self.begins[asset], is_held=False)

    def aim(self, asset: int, from_ns: int, *, is_held: bool) -> None:
        """Find the asset's next moment at or after an instant, given whether it has a standing target."""
        self.is_held[asset] = is_held
        begin = self.begins[asset]
        from_ns = begin if from_ns < begin else from_ns  # noqa: FURB136  # max() costs a call, and this is hot
        one = self.held[asset] if is_held else self.flat[asset]
        last, at = one.last, one.at
        while last[at] < from_ns:
            at += 1
        one.at = at
        found = one.first[at]
        if found < from_ns:
            found = one.data.item(one.data.searchsorted(from_ns))
        if self.has_any:
            found = min(found, self.any[asset].seek(from_ns))
        self.next[asset] = found
        if self.size == 1:
            self.soonest = found
            return
        heappush(self.queue, (found, asset))
        self._look_up()

    def _look_up(self) -> None:
        """Drop what was aimed anew since, and see what is soonest."""
        queue, due = self.queue, self.next
        while queue and queue[0][0] != due[queue[0][1]]:
            heappop(queue)
        self.soonest = queue[0][0] if queue else NEVER

    def take(self, at_ns: int, names: list[str], assets: list[int]) -> list[int]:
        """Add the causes and assets of an instant; returns the assets, which must be aimed again."""
        mine = [0]
        if self.size > 1:
            found, queue = set[int](), self.queue
            while queue and queue[0][0] <= at_ns:
                asset = heappop(queue)[1]
                if self.next[asset] == at_ns:
                    found.add(asset)
            mine = sorted(found)
        for asset in mine:
            name, one = ("when_held", self.held) if self.is_held[asset] else ("when_flat", self.flat)
            if name not in names and (not self.has_any or one[asset].seek(at_ns) == at_ns):
                names.append(name)
            if self.has_any and "when" not in names and self.any[asset].seek(at_ns) == at_ns:
                names.append("when")
        assets.extend(mine)
        return mine


def _moments(panel: Panel, wants: Wants, size: int) -> dict[Condition, list[Runs]]:
    """The runs of each condition by asset, evaluated once per tape."""
    max_age = wants.max_age_ns
    found = {one: panel.shelf.get(("moments", one, max_age)) for one in wants.conditions}
    missing = tuple(one for one, runs in found.items() if runs is None)
    if missing:
        known = [panel.columns(wants.columns, asset, max_age) for asset in range(size)]
        moments = [evaluate_all(missing, panel.series(asset), max_age, known[asset]) for asset in range(size)]
        for number, one in enumerate(missing):
            runs = [_woken(panel, one, moments[asset][number], asset) for asset in range(size)]
            bytes_ = sum(len(run.first) * INT_PAIR for run in runs)
            found[one] = panel.shelf.put(("moments", one, max_age), runs, bytes_)
    return cast("dict[Condition, list[Runs]]", found)


def _woken(panel: Panel, condition: Condition, moments: Moments, asset: int) -> Runs:
    """The moments at which the condition is true and may wake: data of torn batches alone wake late or never."""
    data, true, series = moments.at_ns, moments.true, panel.series(asset)
    late: dict[int, int] = {}
    fresh = [np.empty(0, np.int64)]
    for source, kind in condition.sources:
        rows = panel.ratings.get(kind) if source in {"rating", "age"} else None
        if (source, kind) == BARS:
            fresh.append(series.bars.close_ns)
        if source in {"signal", "age"} and kind in series.signals:
            fresh.append(series.signals[kind][0])
        if rows is not None:
            mine, is_late = rows.asset == asset, rows.wakes_ns != rows.known_ns
            known, wakes = rows.known_ns[mine & is_late].tolist(), rows.wakes_ns[mine & is_late].tolist()
            late.update(zip(known, wakes, strict=True))
            fresh.append(rows.known_ns[mine & ~is_late])
    if late:
        for at in np.intersect1d(np.concatenate(fresh), np.asarray(list(late), np.int64)).tolist():
            del late[at]  # something else was new then too
    if late and true.any():
        own = data[true].tolist()
        kept = np.asarray([at for at in own if at not in late], np.int64)
        moved = np.asarray([late[at] for at in own if late.get(at, -1) >= 0], np.int64)
        data = np.union1d(kept, np.setdiff1d(moved, data))  # where a newer datum came its own truth counts
        true = np.ones(len(data), np.bool_)
    return Runs.of(data, true)


def _rows(name: str, rows: Arrivals) -> Cause:
    wakes = rows.wakes_ns >= 0
    return Cause.of(name, rows.wakes_ns[wakes], rows.asset[wakes])


def _arrivals(panel: Panel, wants: Wants) -> list[Cause]:
    causes = [_rows(f"rating:{kind}", panel.ratings[kind]) for kind in wants.ratings if kind in panel.ratings]
    causes += [_rows(f"signal:{kind}", panel.signals[kind]) for kind in wants.signals if kind in panel.signals]
    if wants.bars > 0 and not (causes and wants.every is not None):
        count = len(panel.names)
        if panel.is_full:
            causes.append(Cause("bar", panel.closes_ns, [], [], list(range(count))))
        else:
            there = ~np.isnan(panel.close)
            time, asset = np.nonzero(there.T)
            causes.append(Cause.of("bar", panel.closes_ns[time], asset))
    return causes


def _between(cause: Cause, first_ns: int, last_ns: int) -> Cause:
    a, b = int(cause.at.searchsorted(first_ns)), int(cause.at.searchsorted(last_ns, side="right"))
    return Cause(cause.name, cause.at[a:b], cause.starts[a : b + 1], cause.assets, cause.common)


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
