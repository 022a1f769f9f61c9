"""Whether a choice among trials is overfitted: the probability of backtest overfitting, and the Sharpe ratio deflated for the trials made.

Works on plain arrays of returns per period (days, usually): one column per trial. Knows no tape and no strategy, so that an audit, a sweep
and a ledger of trials ask the same functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

PARTS = 16
FEWEST = 10  # returns that a Sharpe ratio needs before it is deflated
CELLS = 2_000_000  # splits times trials worked on at a time
NOISE = 1e-14  # a deviation of returns under this is the rounding of float64
EULER = 0.5772156649015329


@dataclass(frozen=True, slots=True)
class Overfitting:
    """What came of choosing the best trial in one half of history and looking at it in the other, in every such split.

    probability: share of the splits in which the trial chosen was at or under the median of all trials in the other half.
    loss: share in which it lost money there. logits: ln(w / (1 - w)) of its relative rank w there, one per split.
    kept: mean Sharpe ratio in the other half over the mean in the half that it was chosen in; 1 = all of it, 0 = nothing left.
    degradation: slope of the one on the other over the splits (the authors' figure; -1 also where one and the same trial is always chosen,
    whose good half leaves a worse one).
    chosen, other: those Sharpe ratios, per period. picks: how often each trial was chosen, by column.
    trials: columns; distinct: those that differ (equal ones count once); parts: of the split; periods: rows used.
    """

    probability: float
    loss: float
    logits: tuple[float, ...]
    kept: float
    degradation: float
    chosen: tuple[float, ...]
    other: tuple[float, ...]
    picks: tuple[int, ...]
    trials: int
    distinct: int
    parts: int
    periods: int


def overfitting(returns: npt.ArrayLike, parts: int = PARTS) -> Overfitting:
    """The probability of backtest overfitting by combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado, Zhu).

    returns: time x trials. The rows are cut into an even number of equal `parts` in order of time (the first few rows are left out where they
    do not divide); each half of the parts is once what the trial is chosen on, and once what it is tested on: 12,870 splits of 16 parts.
    A trial's figure is mean / deviation of its returns, 0 where they never move. Raises ValueError on what cannot be asked.
    """
    columns = _columns(returns, parts)
    distinct, first, member = np.unique(columns, axis=1, return_index=True, return_inverse=True)
    if distinct.shape[1] < 2:
        raise ValueError("overfitting needs at least two trials whose returns differ")
    sums, squares, mean = _by_part(distinct, parts)
    half = len(columns) // 2
    count, best, logits, chosen, other = distinct.shape[1], [], [], [], []
    for picked in _halves(parts, max(1, CELLS // count)):
        inside = _sharpe(picked @ sums, picked @ squares, mean, half)
        outside = _sharpe((1 - picked) @ sums, (1 - picked) @ squares, mean, half)
        rows = np.arange(len(picked))
        winner = inside.argmax(axis=1)
        there = outside[rows, winner]
        under = (outside < there[:, None]).sum(axis=1)
        equal = (outside == there[:, None]).sum(axis=1)
        share = (under + (equal + 1) / 2) / (count + 1)  # ranks 1 … count, equals averaged
        best.append(winner)
        logits.append(np.log(share / (1 - share)))
        chosen.append(inside[rows, winner])
        other.append(there)
    ranks, before, after = np.concatenate(logits), np.concatenate(chosen), np.concatenate(other)
    picks = np.zeros(columns.shape[1], np.int64)
    picks[first] = np.bincount(np.concatenate(best), minlength=count)
    return Overfitting(
        probability=float((ranks <= 0).mean()), loss=float((after < 0).mean()), logits=tuple(ranks.tolist()),
        kept=float(after.mean() / before.mean()) if abs(before.mean()) > NOISE else math.nan, degradation=_slope(before, after),
        chosen=tuple(before.tolist()), other=tuple(after.tolist()), picks=tuple(picks.tolist()),
        trials=len(member), distinct=count, parts=parts, periods=len(columns),
    )  # fmt: skip


def deflated_sharpe(returns: npt.ArrayLike, trials: int = 1, variance: float | None = None) -> float | None:
    """The probability that the true Sharpe ratio is over the best that so many trials without skill would show (Bailey, Lopez de Prado).

    returns: of the trial that was chosen, per period. variance: of the trials' Sharpe ratios per period; None takes what chance alone gives
    independent trials, 1 / (periods - 1). None where the returns are too few or never move.
    """
    gains = np.asarray(returns, np.float64)
    if len(gains) < FEWEST or not np.isfinite(gains).all() or gains.std() <= NOISE:
        return None
    one = (gains - gains.mean()) / gains.std()
    return deflated(
        float(gains.mean() / gains.std(ddof=1)), periods=len(gains), trials=trials, variance=variance,
        skew=float((one**3).mean()), kurtosis=float((one**4).mean()),
    )  # fmt: skip


def deflated(
    sharpe: float, *, periods: int, trials: int = 1, variance: float | None = None, skew: float = 0.0, kurtosis: float = 3.0
) -> float:  # fmt: skip
    """The same from figures: all per period, kurtosis 3 where the returns are normal."""
    hurdle = best_by_chance(trials, 1 / (periods - 1) if variance is None else variance)
    spread = math.sqrt(max(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2, 1e-12))
    return NormalDist().cdf((sharpe - hurdle) * math.sqrt(periods - 1) / spread)


def best_by_chance(trials: int, variance: float) -> float:
    """The best Sharpe ratio to expect of so many trials without skill whose ratios have this variance."""
    if trials <= 1:
        return 0.0
    normal = NormalDist()
    return math.sqrt(variance) * (
        (1 - EULER) * normal.inv_cdf(1 - 1 / trials) + EULER * normal.inv_cdf(1 - 1 / (trials * math.e))
    )


def sharpe_ratios(returns: npt.ArrayLike) -> Floats:
    """The Sharpe ratio per period of each column, 0 where it never moves."""
    columns = np.asarray(returns, np.float64)
    spread = columns.std(axis=0, ddof=1)
    return np.where(spread > NOISE, columns.mean(axis=0) / np.where(spread > NOISE, spread, 1.0), 0.0)


def _columns(returns: npt.ArrayLike, parts: int) -> Floats:
    columns = np.asarray(returns, np.float64)
    if parts < 2 or parts % 2:
        raise ValueError(f"parts = {parts!r} must be even and at least 2")
    if columns.ndim != 2 or columns.shape[1] < 2:
        raise ValueError("overfitting needs a matrix of returns, time x trials, with at least two trials")
    if len(columns) < 2 * parts:
        raise ValueError(f"{len(columns)} periods are too few for {parts} parts; at least {2 * parts} are needed")
    if not np.isfinite(columns).all():
        raise ValueError("overfitting needs a return of each trial in each period; some are missing or infinite")
    return columns[len(columns) % parts :]


def _by_part(columns: Floats, parts: int) -> tuple[Floats, Floats, Floats]:
    """Of each part the sums of the returns and of their squares, about each trial's mean lest digits are lost; and those means."""
    mean = columns.mean(axis=0)
    apart = (columns - mean).reshape(parts, -1, columns.shape[1])
    return apart.sum(axis=1), (apart**2).sum(axis=1), mean


def _halves(parts: int, most: int) -> list[Floats]:
    """Every choice of half of the parts, as rows of ones and zeros, so many rows at a time."""
    chosen = np.array(list(combinations(range(parts), parts // 2)), np.intp)
    rows = np.zeros((len(chosen), parts))
    np.put_along_axis(rows, chosen, 1.0, axis=1)
    return [rows[begin : begin + most] for begin in range(0, len(rows), most)]


def _sharpe(sums: Floats, squares: Floats, mean: Floats, count: int) -> Floats:
    spread = np.sqrt(np.maximum(squares - sums**2 / count, 0.0) / (count - 1))
    return np.where(spread > NOISE, (sums / count + mean) / np.where(spread > NOISE, spread, 1.0), 0.0)


def _slope(before: Floats, after: Floats) -> float:
    apart = before - before.mean()
    square = float(apart @ apart)
    return float(apart @ after) / square if square > NOISE else math.nan


__all__ = [
    "Overfitting", "best_by_chance", "deflated", "deflated_sharpe", "overfitting", "sharpe_ratios",
]  # fmt: skip
