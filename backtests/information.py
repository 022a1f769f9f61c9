"""Whether ratings say anything of the returns that could be had after they were known: rank correlations by horizon and by year."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from trader.core.history import Floats, Panel
from trader.core.instants import DAY, from_ns, to_ns

HORIZONS = (1, 3, 7, 14, 30)
FEWEST, CROWD = 10, 5  # dates that a figure needs, and assets that a ranking needs


@dataclass(frozen=True, slots=True)
class Information:
    """Whether a kind of rating ranks the returns of the next days: mean correlation, its t value, and on how many dates."""

    kind: str
    days: int
    correlation: float
    t: float
    dates: int


def information_of(panel: Panel, kinds: Sequence[str]) -> list[Information]:
    """What each kind says at each horizon."""
    found = []
    for kind in kinds:
        for days in HORIZONS:
            edge = _edge(panel, kind, days)
            if edge is not None:
                found.append(Information(kind, days, *edge))
    return found


def years(panel: Panel, information: Sequence[Information]) -> list[tuple[int, Information]]:
    """The strongest kind year by year, at the horizon at which it is strongest."""
    if not information:
        return []
    best = max(information, key=lambda one: abs(one.t))
    known = panel.ratings[best.kind].known_ns
    found = []
    for year in range(from_ns(int(known[0])).year, from_ns(int(known[-1])).year + 1):
        begin, end = (to_ns(datetime(one, 1, 1, tzinfo=UTC)) for one in (year, year + 1))
        edge = _edge(panel, best.kind, best.days, begin, end)
        if edge is not None:
            found.append((year, Information(best.kind, best.days, *edge)))
    return found


def _edge(
    panel: Panel, kind: str, days: int, since_ns: int = -(2**62), until_ns: int = 2**62
) -> tuple[float, float, int] | None:  # fmt: skip
    """Rank correlation of a rating with the return that could be had: from the first open at which it was known, over some days.

    Across assets where five or more are rated at once, else over time. Spans do not overlap. Answers mean, t value, and dates.
    """
    rows = panel.ratings.get(kind)
    if rows is None or not len(rows.value):
        return None
    across: list[float] = []
    pairs: list[tuple[float, float]] = []
    free_ns = -1
    for at in np.unique(rows.known_ns).tolist():
        begin = int(panel.opens_ns.searchsorted(at))
        if at < free_ns or begin >= panel.size or not since_ns <= at < until_ns:
            continue
        end = int(panel.opens_ns.searchsorted(int(panel.opens_ns[begin]) + days * DAY))
        if end >= panel.size:
            break
        mine = slice(int(rows.known_ns.searchsorted(at)), int(rows.known_ns.searchsorted(at, side="right")))
        asset, value = rows.asset[mine], rows.value[mine]
        asset, value = asset[asset < len(panel.names)], value[asset < len(panel.names)]
        gain = panel.open[asset, end] / panel.open[asset, begin] - 1
        there = ~np.isnan(gain)
        free_ns = at + days * DAY
        if there.sum() >= CROWD and np.ptp(value[there]):
            across.append(float(np.corrcoef(_ranks(value[there]), _ranks(gain[there]))[0, 1]))
        pairs += zip(value[there].tolist(), gain[there].tolist(), strict=True)
    if len(across) >= FEWEST:
        mean, spread = float(np.mean(across)), float(np.std(across, ddof=1))
        return mean, mean / (spread / math.sqrt(len(across))) if spread else math.inf, len(across)
    if len(pairs) < FEWEST:
        return None
    values, gains = zip(*pairs, strict=True)
    correlation = float(np.corrcoef(_ranks(values), _ranks(gains))[0, 1])
    rest = 1 - correlation**2
    return correlation, correlation * math.sqrt((len(pairs) - 2) / rest) if rest > 0 else math.inf, len(pairs)


def _ranks(values: Sequence[float] | Floats) -> Floats:
    """Ranks, those of equal values averaged."""
    column = np.asarray(values, float)
    _, place, count = np.unique(column, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    return np.asarray((ends - (count - 1) / 2)[place], np.float64)
