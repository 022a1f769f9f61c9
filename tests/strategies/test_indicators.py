"""Indicators for a strategy's own use are the ones conditions use."""

import numpy as np

from strategies import indicators
from trader.core import columns

PRICES = [float(n * n % 17 + 1) for n in range(60)]


def test_they_take_plain_lists_and_equal_the_columns() -> None:
    x = np.array(PRICES)
    for name in ("sma", "ema", "rsi", "highest", "lowest"):
        own, core = getattr(indicators, name)(PRICES, 3), getattr(columns, name)(x, 3)
        assert np.array_equal(own, core, equal_nan=True)
    assert np.array_equal(indicators.atr(PRICES, PRICES, PRICES, 2), columns.atr(x, x, x, 2), equal_nan=True)
    assert indicators.ema(PRICES, 3, seeded=True)[0] == PRICES[0]
