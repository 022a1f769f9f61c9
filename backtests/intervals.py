"""Ranks, rank correlations, and how sure a mean or a correlation is: intervals of 95 % confidence.

A mean has Student's interval. A rank correlation has Fisher's, with the variance of Spearman's coefficient after Bonett and Wright (2000).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95


def ranks(values: Sequence[float] | Floats) -> Floats:
    """Ranks from 1, those of equal values averaged."""
    column = np.asarray(values, np.float64)
    _, place, count = np.unique(column, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    return np.asarray((ends - (count - 1) / 2)[place], np.float64)


def rank_correlation(one: Sequence[float] | Floats, other: Sequence[float] | Floats) -> float:
    """Spearman's coefficient; NaN where one of the two never moves."""
    mine, theirs = ranks(one), ranks(other)
    mine, theirs = mine - mine.mean(), theirs - theirs.mean()
    square = float(mine @ mine) * float(theirs @ theirs)
    return float(mine @ theirs) / math.sqrt(square) if square > 0 else math.nan


def mean_interval(values: Sequence[float] | Floats) -> tuple[float, float, float, float]:
    """Mean, its interval, and its t value."""
    column = np.asarray(values, np.float64)
    mean, error = float(column.mean()), float(column.std(ddof=1)) / math.sqrt(len(column))
    reach = student(len(column) - 1) * error
    return mean, mean - reach, mean + reach, _over(mean, error)


def difference_interval(one: Floats, other: Floats) -> tuple[float, float, float, float]:
    """Difference of two means whose spreads may differ (Welch), its interval, and its t value."""
    parts = [float(column.var(ddof=1)) / len(column) for column in (one, other)]
    error, total = math.sqrt(sum(parts)), sum(parts)
    weights = sum(part**2 / (len(column) - 1) for part, column in zip(parts, (one, other), strict=True))
    freedom = total**2 / weights if weights > 0 else len(one) + len(other) - 2
    mean, reach = float(one.mean() - other.mean()), student(freedom) * error
    return mean, mean - reach, mean + reach, _over(mean, error)


def correlation_interval(correlation: float, count: int) -> tuple[float, float, float]:
    """The interval of a rank correlation of so many pairs, and its t value."""
    if abs(correlation) >= 1:
        return correlation, correlation, math.copysign(math.inf, correlation)
    middle = math.atanh(correlation)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt((1 + correlation**2 / 2) / (count - 3))
    t = correlation * math.sqrt((count - 2) / (1 - correlation**2))
    return math.tanh(middle - reach), math.tanh(middle + reach), t


def student(freedom: float) -> float:
    """Student's quantile for the interval, by its series about the normal one: right to 0.001 from eight degrees of freedom on."""
    z, n = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / n**power for power, term in enumerate(terms, 1))


def _over(mean: float, error: float) -> float:
    if error > 0:
        return mean / error
    return math.copysign(math.inf, mean) if mean else 0.0
