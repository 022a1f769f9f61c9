"""The regime gate around every kind of inner strategy, on signals that are about the market and on no coin."""

import numpy as np
import pytest

from backtests import Tape, replay
from strategies import RatingBand, RatingCross, RegimeGate, Rules, SmaCross, TopRated
from trader.core.signals import MARKET

INNER = {
    "conditions on ratings": RatingBand(),
    "columns of ratings": RatingCross(2, 4),
    "columns of closes": SmaCross(3, 8),
    "each bar": SmaCross(3, 8, every_bar=True),
    "rules": Rules("close > sma(close, 5)", "close < sma(close, 5)"),
    "arrivals": TopRated(top=1, enter=50),
}


def market(assets, *, wait):
    """Daily bars and ratings, and a regime that turns every ten days, known so many hours after a day has begun."""
    lot, size = np.random.default_rng(5), 200
    days = np.datetime64("2023-01-01", "ns") + np.arange(size) * np.timedelta64(1, "D")
    close = 100 * np.exp(np.cumsum(lot.normal(0, 0.03, (len(assets), size)), axis=1))
    open_ = np.hstack([np.full((len(assets), 1), 100.0), close[:, :-1]])
    names, stamps = np.repeat(assets, size), np.tile(days, len(assets))
    prices = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    bars = {"ts": stamps, "asset": names, "volume": 1e6} | {name: one.ravel() for name, one in prices.items()}
    said = {"as_of": stamps, "known_at": stamps, "value": lot.uniform(0, 100, len(names))}
    turns = days[::10]
    regime = {"asset": MARKET, "kind": "market_regime", "as_of": turns, "known_at": turns + np.timedelta64(wait, "h")}
    signs = np.where(np.arange(len(turns)) % 2, -1.0, 1.0)
    return Tape.from_columns(bars, said | {"asset": names, "kind": "trader_grade"}, regime | {"value": signs})


@pytest.mark.parametrize("wait", [0, 5])
@pytest.mark.parametrize("assets", [("A",), ("A", "B")], ids=len)
@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
def test_a_turn_of_the_market_wakes_and_is_no_asset(inner, assets, wait):
    tape = market(assets, wait=wait)
    found = replay(RegimeGate(inner), tape)
    assert found.stats["n_trades"] > 3
    assert set(found.fills["asset"]) <= set(assets)
    bearish = found.decisions["why"] == "bearish"
    assert bearish.sum() >= 10


def test_an_asset_that_is_not_there_is_named():
    @RegimeGate
    class Odd:
        wants = SmaCross(3, 8).wants

        @staticmethod
        def decide(view):
            return view.value(SmaCross(3, 8).lead, "NOBODY")

    with pytest.raises(ValueError, match="NOBODY"):
        replay(Odd, market(("A",), wait=0))
