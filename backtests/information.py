"""Whether ratings say anything of the returns that could be had after they were known: rank correlations by horizon, lag, year and asset.

Across assets where five or more are rated at once: the mean of the dates' rank correlations, with Student's interval. Else over time: one rank
correlation of rating and return, with Fisher's interval. Spans do not overlap, so that a date is one observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from backtests.forecasts import CROWD, FEWEST, LAGS, Forecasts, apart
from backtests.intervals import correlation_interval, mean_interval, rank_correlation
from trader.core.instants import DAY, from_ns, to_ns

if TYPE_CHECKING:
    from trader.core.history import Floats

ACROSS, OVER_TIME = "across assets", "over time"
METHODS = {
    ACROSS: "mean of the rank correlations of the dates; 95 % interval by Student's t over dates whose spans do not overlap",
    OVER_TIME: "one rank correlation over time; 95 % interval by Fisher's transformation (Bonett and Wright) of spans that do not overlap",
}


@dataclass(frozen=True, slots=True)
class Information:
    """Whether a kind of rating ranks the returns of the next days: rank correlation, its 95 % interval, its t value, on how many dates."""

    kind: str
    days: int
    correlation: float
    low: float
    high: float
    t: float
    dates: int
    way: str


@dataclass(frozen=True, slots=True)
class Decay:
    """The correlation with the return of `days` days, by the days that pass between knowing a rating and using it."""

    kind: str
    days: int
    points: tuple[tuple[int, Information], ...]
    half_life: float | None
    words: str


def inform(said: Forecasts, days: int, lag: int = 0) -> Information | None:
    """What one kind says of the return of so many days, used so many days after it was known; None on too few dates."""
    gains = said.gains(days, lag)
    both = np.isfinite(said.values) & np.isfinite(gains)
    if said.is_across:
        rows = np.flatnonzero(both.sum(axis=1) >= CROWD)
        rows = rows[apart(said.starts_ns[rows], days * DAY)]
        each = np.asarray([rank_correlation(said.values[r, both[r]], gains[r, both[r]]) for r in rows.tolist()])
        each = each[np.isfinite(each)]
        if len(each) < FEWEST:
            return None
        mean, low, high, t = mean_interval(each)
        return Information(said.kind, days, mean, max(low, -1.0), min(high, 1.0), t, len(each), ACROSS)
    picked = [(asset, _chain(said, both, asset, days)) for asset in np.flatnonzero(both.any(axis=0)).tolist()]
    values = [said.values[rows, asset] for asset, rows in picked]
    if not values:
        return None
    # Assets move together: beside each other they are not more observations than the longest of them alone.
    count = max(len(one) for one in values)
    followed = np.concatenate([gains[rows, asset] for asset, rows in picked])
    return _over_time(said.kind, days, np.concatenate(values), followed, count)


def years(said: Forecasts, days: int) -> list[tuple[int, Information]]:
    """What one kind says year by year."""
    first, last = (from_ns(int(said.starts_ns[at])).year for at in (0, -1))
    found = []
    for year in range(first, last + 1):
        begin, end = (to_ns(datetime(one, 1, 1, tzinfo=UTC)) for one in (year, year + 1))
        one = inform(said.within(begin, end), days)
        if one is not None:
            found.append((year, one))
    return found


def by_asset(said: Forecasts, days: int) -> list[tuple[str, Information]]:
    """What one kind says of each asset over time, the best first."""
    gains = said.gains(days)
    both = np.isfinite(said.values) & np.isfinite(gains)
    found = []
    for asset, name in enumerate(said.panel.names):
        rows = _chain(said, both, asset, days)
        one = _over_time(said.kind, days, said.values[rows, asset], gains[rows, asset], len(rows))
        if one is not None:
            found.append((name, one))
    return sorted(found, key=lambda pair: (-pair[1].correlation, pair[0]))


def decay(said: Forecasts, days: int = 1) -> Decay | None:
    """How the correlation fades with the days that pass before a rating is used."""
    asked = [(lag, inform(said, days, lag)) for lag in LAGS]
    points = tuple((lag, one) for lag, one in asked if one is not None)
    if not points or points[0][0] != 0:
        return None
    half_life, words = _half_life(points)
    return Decay(said.kind, days, points, half_life, words)


def strongest(information: Sequence[Information], kind: str | None = None) -> Information | None:
    """Where the ratings, or one kind of them, say most."""
    mine = [one for one in information if kind in {None, one.kind}]
    return max(mine, key=lambda one: abs(one.t), default=None)


def _chain(said: Forecasts, both: np.ndarray, asset: int, days: int) -> np.ndarray:
    rows = np.flatnonzero(both[:, asset])
    return rows[apart(said.starts_ns[rows], days * DAY)]


def _over_time(kind: str, days: int, values: Floats, gains: Floats, count: int) -> Information | None:
    if count < FEWEST:
        return None
    correlation = rank_correlation(values, gains)
    if not np.isfinite(correlation):
        return None
    return Information(kind, days, correlation, *correlation_interval(correlation, count), count, OVER_TIME)


def _half_life(points: Sequence[tuple[int, Information]]) -> tuple[float | None, str]:
    first = points[0][1]
    if first.low <= 0 <= first.high:
        return None, "none: used at once, its correlation is not told from 0"
    start, before = first.correlation, (0, 1.0)
    for lag, one in points[1:]:
        share = one.correlation / start
        if share <= 0.5:
            at = before[0] + (lag - before[0]) * (before[1] - 0.5) / (before[1] - share)
            return at, f"half of it is gone after {at:.1f} days"
        before = (lag, share)
    return None, f"none: after {points[-1][0]} days more than half of it is still there"
