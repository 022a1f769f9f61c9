"""What the best trial of a sweep is worth, in one sentence: is it more than the best of that many by luck?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtests.overfitting import Overfitting, deflated_sharpe, overfitting
from backtests.tally import sharpe

if TYPE_CHECKING:
    from backtests.tally import Tried
    from trader.core.history import Floats

OVERFITTED = 0.5
DOUBTFUL = 0.1
SURE = 0.95


@dataclass(frozen=True, slots=True)
class Verdict:
    """overfitting: None where too few trials differ. deflated: probability of skill in the best trial, all trials counted."""

    text: str
    overfitting: Overfitting | None
    deflated: float | None
    trials: int
    tried: Tried | None
    best: int | None


def judge(numbers: list[int], gains: Floats, best: int | None, *, tried: Tried | None) -> Verdict:
    """Judge the choice of the trial `best` among trials with these returns, days x trials."""
    found = None
    if gains.shape[1] > 1 and len(gains) >= 32:
        try:
            found = overfitting(gains)
        except ValueError:
            found = None  # all trials gave the same returns: there was no choice
    count = max(len(numbers), tried.here if tried is not None else 0)
    deflated = None
    if best is not None and best in numbers:
        variance = spread_of(gains) if tried is None else tried.variance
        deflated = deflated_sharpe(gains[:, numbers.index(best)], trials=count, variance=variance)
    return Verdict(_said(found, deflated, count), found, deflated, count, tried, best)


def spread_of(gains: Floats) -> float | None:
    """The variance of the trials' Sharpe ratios per day; None of a single one."""
    known = [one for one in map(sharpe, gains.T) if one is not None]
    return float(np.var(known, ddof=1)) if len(known) > 1 else None


def _said(found: Overfitting | None, deflated: float | None, count: int) -> str:
    if found is None:
        return f"UNDECIDED: {count} trials, of which too few differ to ask whether the choice is overfitted"
    likely = (
        "the deflated Sharpe ratio is not defined"
        if deflated is None
        else f"skill beyond the best of {count:,} trials has a probability of {deflated:.0%}"
    )
    told = f"chosen in one half of the time, the best is at or under the median in the other in {found.probability:.0%} of the splits; {likely}"
    if found.probability >= OVERFITTED:
        return f"OVERFITTED: {told}"
    if deflated is not None and deflated >= SURE and found.probability < DOUBTFUL:
        return f"SOUND, as far as this tape tells: {told}"
    return f"DOUBTFUL: {told}"
