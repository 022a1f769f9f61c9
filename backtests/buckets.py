"""What the best-rated earned against the worst-rated, and how fast the best-rated change.

A bucket is a share of the assets of one date by rank (of all ratings of an asset, where too few assets are rated to rank them). Returns are
plain means, without costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from backtests.forecasts import CROWD, FEWEST, Forecasts, apart
from backtests.information import ACROSS, OVER_TIME
from backtests.intervals import difference_interval, mean_interval, rank_correlation, ranks
from trader.core.instants import DAY

if TYPE_CHECKING:
    from trader.core.history import Floats

MANY = 10  # assets from which fifths are formed, thirds below


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean return of each bucket over some days, the worst-rated first, and of the top less the bottom with its 95 % interval and t."""

    kind: str
    days: int
    buckets: tuple[float, ...]
    spread: float
    low: float
    high: float
    t: float
    dates: int
    way: str


@dataclass(frozen=True, slots=True)
class Turnover:
    """From one publication to the next: share of the top bucket that is new in it (None over time), and rank autocorrelation."""

    kind: str
    publications: int
    changed: float | None
    autocorrelation: float
    way: str


def buckets_of(said: Forecasts) -> int:
    """Into how many buckets a kind is cut: fifths of ten assets or more (and over time), else thirds."""
    return 5 if not said.is_across or said.crowd >= MANY else 3


def bucketed(values: Floats, count: int) -> np.ndarray:
    """The bucket of each value by its rank, 0 the lowest; equal values share one."""
    return np.asarray(np.minimum((ranks(values) - 0.5) / len(values) * count, count - 1), np.int64)


def spread(said: Forecasts, days: int) -> Spread | None:
    """What the buckets earned over so many days from the first open on at which the rating was known; None on too few dates."""
    gains = said.gains(days)
    both = np.isfinite(said.values) & np.isfinite(gains)
    count = buckets_of(said)
    return _across(said, gains, both, days, count) if said.is_across else _over_time(said, gains, both, days, count)


def turnover(said: Forecasts) -> Turnover | None:
    """How much of a kind's ranking changes between publications; None on too few of them."""
    if not said.is_across:
        return _turnover_over_time(said)
    count = buckets_of(said)
    rows = [row for row in said.values if np.isfinite(row).sum() >= CROWD]
    changed, kept = [], []
    for before, now in pairwise(rows):
        tops = []
        for row in (before, now):
            rated = np.flatnonzero(np.isfinite(row))
            tops.append(set(rated[bucketed(row[rated], count) == count - 1].tolist()))
        if tops[0] and tops[1]:
            changed.append(len(tops[1] - tops[0]) / len(tops[1]))
        both = np.isfinite(before) & np.isfinite(now)
        if both.sum() >= CROWD and math.isfinite(same := rank_correlation(before[both], now[both])):
            kept.append(same)
    if len(kept) < FEWEST:
        return None
    return Turnover(said.kind, len(rows), float(np.mean(changed)) if changed else None, float(np.mean(kept)), ACROSS)


def _across(said: Forecasts, gains: Floats, both: np.ndarray, days: int, count: int) -> Spread | None:
    rows = np.flatnonzero(both.sum(axis=1) >= CROWD)
    means = []
    for row in rows[apart(said.starts_ns[rows], days * DAY)].tolist():
        rated = both[row]
        bucket, followed = bucketed(said.values[row, rated], count), gains[row, rated]
        sizes = np.bincount(bucket, minlength=count)
        with np.errstate(invalid="ignore"):
            means.append(np.bincount(bucket, followed, minlength=count) / sizes)
    table = np.asarray(means).reshape(-1, count)
    table = table[np.isfinite(table[:, 0]) & np.isfinite(table[:, -1])]
    if len(table) < FEWEST:
        return None
    figures = mean_interval(table[:, -1] - table[:, 0])
    return Spread(said.kind, days, _means(table), *figures, len(table), ACROSS)


def _over_time(said: Forecasts, gains: Floats, both: np.ndarray, days: int, count: int) -> Spread | None:
    cut: list[list[Floats]] = [[] for _ in range(count)]
    dates = 0
    for asset in np.flatnonzero(both.any(axis=0)).tolist():
        rows = np.flatnonzero(both[:, asset])
        rows = rows[apart(said.starts_ns[rows], days * DAY)]
        if len(rows) < FEWEST:
            continue
        bucket = bucketed(said.values[rows, asset], count)
        for number in range(count):
            cut[number].append(gains[rows[bucket == number], asset])
        dates = max(dates, len(rows))
    columns = [np.concatenate(part) if part else np.empty(0) for part in cut]
    if min(len(columns[0]), len(columns[-1])) < 2:
        return None
    figures = difference_interval(columns[-1], columns[0])
    means = tuple(float(column.mean()) if len(column) else math.nan for column in columns)
    return Spread(said.kind, days, means, *figures, dates, OVER_TIME)


def _means(table: Floats) -> tuple[float, ...]:
    there = np.isfinite(table)
    sums, sizes = np.where(there, table, 0.0).sum(axis=0), there.sum(axis=0)
    return tuple(float(total / size) if size else math.nan for total, size in zip(sums, sizes, strict=True))


def _turnover_over_time(said: Forecasts) -> Turnover | None:
    pairs = []
    for column in said.values.T:
        rated = column[np.isfinite(column)]
        pairs.append(np.stack([rated[:-1], rated[1:]]) if len(rated) > 1 else np.empty((2, 0)))
    both = np.concatenate(pairs, axis=1)
    same = rank_correlation(both[0], both[1]) if both.shape[1] >= FEWEST else math.nan
    return Turnover(said.kind, len(said.at), None, same, OVER_TIME) if math.isfinite(same) else None
