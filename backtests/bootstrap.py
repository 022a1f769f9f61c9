"""What other histories made of the same days would have given: a block bootstrap of a strategy's daily returns.

Blocks of consecutive days are drawn by lot (the stationary bootstrap of Politis and Romano: lengths vary about a mean, the end joins the
beginning), so that calm and stormy stretches stay together. It resamples what happened: a disaster that never came is in none of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FEWEST = 20  # days that a resample needs
SHARES = (0.025, 0.25, 0.5, 0.75, 0.975)  # of the resamples under each line of the fan
STOPS = 120  # days of the fan that are kept
DAYS_PER_YEAR = 365


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Growth of 1 and yearly Sharpe ratio with the 95 % intervals of the resamples, and the share of them that lose money.

    block: mean length of a block in days. stops, fan: days kept, and by share of the resamples their growth up to each.
    """

    resamples: int
    days: int
    block: float
    growth: float
    growth_low: float
    growth_high: float
    sharpe: float
    sharpe_low: float
    sharpe_high: float
    loses: float
    stops: tuple[int, ...] = field(default=(), repr=False)
    fan: tuple[tuple[float, ...], ...] = field(default=(), repr=False)


def bootstrap(
    returns: npt.ArrayLike, *, resamples: int = 1000, block: float | None = None, seed: int = 0, per_year: float = DAYS_PER_YEAR
) -> Bootstrap | None:  # fmt: skip
    """Draw so many histories of the same length; None where there are too few returns, or they never move.

    block: mean length of the blocks; unless given, the cube root of the number of days, and at least five.
    """
    gains = np.asarray(returns, np.float64)
    if len(gains) < FEWEST or resamples < 1 or not np.ptp(gains):
        return None
    length = max(5.0, round(len(gains) ** (1 / 3))) if block is None else float(block)
    drawn = gains[places(len(gains), resamples, length, np.random.default_rng(seed))]
    paths = np.cumsum(np.log(np.maximum(1 + drawn, 1e-12)), axis=1)
    growth, sharpe = np.exp(paths[:, -1]), _sharpe(drawn, per_year)
    stops = np.unique(np.linspace(0, len(gains) - 1, min(STOPS, len(gains))).astype(np.intp))
    fan = np.exp(np.quantile(paths[:, stops], SHARES, axis=0))
    (growth_low, growth_high), (sharpe_low, sharpe_high) = (
        np.quantile(one, (SHARES[0], SHARES[-1])) for one in (growth, sharpe)
    )
    return Bootstrap(
        resamples, len(gains), length, float(np.prod(1 + gains)), float(growth_low), float(growth_high),
        float(_sharpe(gains[None], per_year)[0]), float(sharpe_low), float(sharpe_high), float((growth < 1).mean()),
        tuple((stops + 1).tolist()), tuple(tuple(row) for row in fan.tolist()),
    )  # fmt: skip


def places(size: int, resamples: int, block: float, lot: np.random.Generator) -> npt.NDArray[np.intp]:
    """Which day stands at which place of each resample: a block goes on with probability 1 - 1 / block, else a new one begins anywhere."""
    begins = lot.random((resamples, size)) < 1 / block
    begins[:, 0] = True
    since = np.maximum.accumulate(
        np.where(begins, np.arange(size), 0), axis=1
    )  # where the block began that a place lies in
    starts = lot.integers(0, size, (resamples, size))
    return np.asarray((np.take_along_axis(starts, since, axis=1) + np.arange(size) - since) % size, np.intp)


def _sharpe(gains: Floats, per_year: float) -> Floats:
    spread = gains.std(axis=1, ddof=1)
    return np.where(spread > 0, gains.mean(axis=1) / np.where(spread > 0, spread, 1.0), 0.0) * math.sqrt(per_year)
