"""Indicators on arrays for strategies that compute their own: the same functions the conditions use.

Causal and start-independent: the newest value depends on a fixed number of values and is NaN until they are there.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trader.core import columns

Floats = NDArray[np.float64]


def sma(values: ArrayLike, n: int) -> Floats:
    """The mean of the last n values."""
    return columns.sma(_floats(values), n)


def ema(values: ArrayLike, n: int, *, seeded: bool = False) -> Floats:
    """The exponential average of span n, cut off after 4n values; `seeded` counts from the first value on."""
    return columns.ema(_floats(values), n, seeded=seeded)


def rsi(values: ArrayLike, n: int) -> Floats:
    """Wilder's relative strength index, cut off after 8n changes."""
    return columns.rsi(_floats(values), n)


def atr(high: ArrayLike, low: ArrayLike, close: ArrayLike, n: int) -> Floats:
    """Wilder's average true range, cut off after 8n bars."""
    return columns.atr(_floats(high), _floats(low), _floats(close), n)


def highest(values: ArrayLike, n: int) -> Floats:
    """The highest of the last n values."""
    return columns.highest(_floats(values), n)


def lowest(values: ArrayLike, n: int) -> Floats:
    """The lowest of the last n values."""
    return columns.lowest(_floats(values), n)


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, np.float64)
