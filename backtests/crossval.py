"""Cross-validation of a sweep: choose the best trial on some days, look at it on the others, in every fold.

Works on the trials' returns per day, so it needs no replay: a strategy decides by what was known, so that its returns on some days
do not depend on which other days are looked at. The figure is the Sharpe ratio per year.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtests.folds import Fold, crossed, group_days, paths

if TYPE_CHECKING:
    from trader.core.history import Floats

YEAR = 365.0  # days


@dataclass(frozen=True, slots=True)
class Choice:
    """One fold: the trial chosen, its figure where it was chosen and where it was tested, and its rank there (1 = best of all)."""

    groups: tuple[int, ...]
    trial: int
    inside: float
    outside: float
    rank: float


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """All folds. probability: share in which the trial chosen was at or under the median of all in the test.

    paths: the figure of each whole history that the tested parts make, of combinatorial folds more than one.
    """

    choices: list[Choice]
    probability: float
    paths: list[float]

    @property
    def inside(self) -> float:
        """The mean figure where it was chosen."""
        return float(np.mean([one.inside for one in self.choices]))

    @property
    def outside(self) -> float:
        """The mean figure where it was tested."""
        return float(np.mean([one.outside for one in self.choices]))


def cross_validate(
    gains: Floats, groups: int, *, tests: int = 1, purge: int = 0, embargo: int = 0, per_year: float = YEAR
) -> CrossValidation:
    """Cross-validate trials with these returns, days x trials (`per_year` of them, where bars are longer). Raises ValueError where there are too few."""
    if gains.shape[1] < 2:
        raise ValueError("cross-validation needs at least two trials that went to the end")
    folds = crossed(len(gains), groups, tests=tests, purge=purge, embargo=embargo)
    choices = [_chosen(gains, fold, per_year) for fold in folds]
    days, histories = group_days(len(gains), groups), []
    for path in paths(groups, tests):
        whole = np.concatenate([gains[days[group], choices[fold].trial] for group, fold in enumerate(path)])
        histories.append(float(ratios(whole[:, None], per_year)[0]))
    under = np.mean([one.rank > (gains.shape[1] + 1) / 2 - 1e-9 for one in choices])
    return CrossValidation(choices, float(under), histories)


def ratios(gains: Floats, per_year: float = YEAR) -> Floats:
    """The Sharpe ratio per year of each column; 0 where nothing moves, as for a trial that never trades."""
    spread = gains.std(axis=0, ddof=1)
    found: Floats = np.divide(gains.mean(axis=0), spread, out=np.zeros(gains.shape[1]), where=spread > 1e-14)
    return found * math.sqrt(per_year)


def _chosen(gains: Floats, fold: Fold, per_year: float) -> Choice:
    inside, outside = ratios(gains[fold.chosen_on], per_year), ratios(gains[fold.tested], per_year)
    trial = int(inside.argmax())
    better, equal = int((outside > outside[trial]).sum()), int((outside == outside[trial]).sum())
    return Choice(fold.groups, trial, float(inside[trial]), float(outside[trial]), better + (equal + 1) / 2)
