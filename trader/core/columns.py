"""Causal indicators on float64 arrays: the value at t is computed from a fixed number of values up to t, and no other.

No running sums: windows are built by doubling (1, 2, 4, 8 ...), always in the same order, so that a value over the tail
of a series equals the value over all of it to the last bit. NaN in a window, or a window not yet full, gives NaN.
A window of equal values gives exactly that value, so a flat price never crosses its own average.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EMA_SPANS = 4  # an exponential average of span n is cut off after 4n values: 0.03 % of the weight is older
WILDER_SPANS = 8  # Wilder's average decays half as fast, so the same share is older after 8n values


def sma(values: Floats, n: int) -> Floats:
    """The mean of the last n values."""
    if n > len(values):
        return _unknown(len(values))
    sums, width = values, 1
    mean, covered = values, 0
    while True:
        if n & width:
            part = sums * (1.0 / width) if width > 1 else sums
            mean = part if covered == 0 else _blend(mean[width:], part[: len(mean) - width], width / (covered + width))
            covered += width
        if 2 * width > n:
            return _padded(mean, len(values))
        sums = sums[width:] + sums[:-width]
        width *= 2


def ema(values: Floats, n: int, *, seeded: bool = False) -> Floats:
    """The exponential average of span n (newest weight 2 / (n + 1)), cut off after 4n values.

    `seeded` counts from the first value on, as if it had always stood there before; otherwise 4n values are awaited.
    """
    decay, width = 1.0 - 2.0 / (n + 1.0), EMA_SPANS * n
    if not seeded:
        return _decaying(values, decay, width)
    known = np.flatnonzero(~np.isnan(values))
    if len(known) == 0:
        return _unknown(len(values))
    start = int(known[0])
    longer = np.concatenate([np.full(width - 1, values[start]), values[start:]])
    return _padded(_decaying(longer, decay, width)[width - 1 :], len(values))


def rsi(values: Floats, n: int) -> Floats:
    """Wilder's relative strength index, 0 to 100, his average cut off after 8n changes; 50 when nothing moved."""
    if len(values) < 2:
        return _unknown(len(values))
    moves = values[1:] - values[:-1]
    width = WILDER_SPANS * n
    gains = _decaying(np.maximum(moves, 0.0), 1.0 - 1.0 / n, width)
    losses = _decaying(np.maximum(-moves, 0.0), 1.0 - 1.0 / n, width)
    total = gains + losses
    still = total == 0.0
    total[still] = 1.0
    index = 100.0 * (gains / total)
    index[still] = 50.0
    return _padded(index, len(values))


def atr(high: Floats, low: Floats, close: Floats, n: int) -> Floats:
    """Wilder's average true range, cut off after 8n bars (and the close before them)."""
    if len(close) < 2:
        return _unknown(len(close))
    before, high, low = close[:-1], high[1:], low[1:]
    ranges = np.maximum(high - low, np.maximum(np.abs(high - before), np.abs(low - before)))
    return _padded(_decaying(ranges, 1.0 - 1.0 / n, WILDER_SPANS * n), len(close))


def highest(values: Floats, n: int) -> Floats:
    """The highest of the last n values."""
    if n > len(values):
        return _unknown(len(values))
    best, width = values, 1
    while 2 * width <= n:
        best = np.maximum(best[width:], best[:-width])
        width *= 2
    return _padded(np.maximum(best[n - width :], best[: len(best) - (n - width)]), len(values))


def lowest(values: Floats, n: int) -> Floats:
    """The lowest of the last n values."""
    return -highest(-values, n)


def rank(values: Floats, n: int) -> Floats:
    """Where the newest stands among the last n values: 0 the lowest, 100 the highest; ties count half."""
    if n > len(values):
        return _unknown(len(values))
    newest = values[n - 1 :]
    twice = np.zeros(len(newest))
    for age in range(1, n):
        older = values[n - 1 - age : len(values) - age]
        twice += older < newest
        twice += older <= newest
    twice *= 50.0 / (n - 1)
    twice[np.isnan(highest(values, n)[n - 1 :])] = np.nan
    return _padded(twice, len(values))


def lag(values: Floats, n: int) -> Floats:
    """The value n data earlier."""
    return _padded(values[: max(len(values) - n, 0)], len(values))


def change(values: Floats, n: int) -> Floats:
    """The difference to the value n data earlier."""
    return values - lag(values, n)


def _decaying(values: Floats, decay: float, width: int) -> Floats:
    """The mean of the last `width` values with weights 1, decay, decay² ... from the newest back."""
    if width > len(values):
        return _unknown(len(values))
    power, size = values, 1
    mean, covered = values, 0
    while True:
        if width & size:
            older = decay**covered * (1.0 - decay**size) / (1.0 - decay ** (covered + size))
            mean = power if covered == 0 else _blend(mean[size:], power[: len(mean) - size], older)
            covered += size
        if 2 * size > width:
            return _padded(mean, len(values))
        power = _blend(power[size:], power[:-size], decay**size / (1.0 + decay**size))
        size *= 2


def _blend(newer: Floats, older: Floats, share: float) -> Floats:
    # newer + share * (older - newer): equal inputs come out exactly, whatever the share.
    mixed = older - newer
    mixed *= share
    mixed += newer
    return mixed


def _padded(values: Floats, length: int) -> Floats:
    if len(values) == length:
        return values
    out = np.empty(length)
    head = length - len(values)
    out[:head] = np.nan
    out[head:] = values
    return out


def _unknown(length: int) -> Floats:
    return np.full(length, np.nan)
