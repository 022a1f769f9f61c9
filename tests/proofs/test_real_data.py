"""Skipping is stepping: on real candles the replay and the plain bar-by-bar reference agree, fill for fill."""

import numpy as np
import pytest

from backtests.bundled import frames
from strategies import (
    FollowSignal,
    IndexMirror,
    MoonshotBasket,
    RatingBand,
    RatingCross,
    RegimeGate,
    Rules,
    SmaCross,
    TopRated,
    registry,
)
from tests.reference.stepper import step
from tests.rules.conftest import replayed
from trader import MARKET, After, Below, Costs, FallBy, RiseBy, TrailBy, Units

ASSETS = ["BNB/USDT", "BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT"]
KIND = "derived_trader"
STOPS = (FallBy(0.1), RiseBy(0.3))
TRAILS = (TrailBy(0.12), Below(30.0, KIND))
HARD = {"costs": Costs(fee=0.002, half_spread=0.0005, participation=0.0000002, fee_on_buy="received"), "latency": "36h"}


def world(strategy, timeframe="1d", since="2022-01-01", until="2022-10-01"):
    bars, ratings, signals = frames(timeframe)
    bars = bars[bars.asset.isin(ASSETS) & (bars.ts >= since) & (bars.ts < until)]
    ratings, signals = (
        rows[rows.asset.isin(ASSETS) & (rows.known_at >= since) & (rows.known_at < until)]
        for rows in (ratings, signals)
    )
    if isinstance(strategy, RegimeGate):
        regime = signals[signals.asset == "BTC/USDT"].assign(asset=MARKET, kind="market_regime")
        signals = regime
    wants = strategy.wants
    ratings = ratings[ratings.kind.isin(wants.ratings)]
    signals = signals[signals.kind.isin(wants.signals)]
    return bars, ratings, signals


CASES = [
    (RatingBand(65.0, 45.0, KIND, 0.19, STOPS), {}),
    (RatingBand(60.0, 30.0, KIND, 0.19, TRAILS), HARD),
    (TopRated(top=2, enter=50.0, kind=KIND, exits=(TrailBy(0.15),), band=0.02), {}),
    (TopRated(top=2, enter=50.0, kind=KIND, every="1w", weights="rating", exits=STOPS), HARD),
    (FollowSignal("derived_signal", "state", 0.19, exits=(FallBy(0.08), After("12d"))), {"exits": "next_open"}),
    (FollowSignal("derived_signal", "flip", 0.19, "2d", exits=TRAILS[:1]), {}),
    (RatingCross(3, 7, KIND, size=0.19, exits=STOPS), {"latency": "1d"}),
    (RegimeGate(TopRated(top=2, enter=50.0, kind=KIND, exits=STOPS)), {}),
    (IndexMirror(KIND, unit="percent", exits=TRAILS[:1]), {**HARD, "latency": "0s"}),
    (MoonshotBasket("derived_signal", most=3, join="3d", hold="9d", exits=STOPS), {"latency": "1d"}),
    (SmaCross(5, 20, 0.19, (TrailBy(0.1), RiseBy(0.2, 0.5))), {}),
    (Rules("rating(derived_trader) >= 60 and close > sma(close, 10)", "close < sma(close, 10)", 0.19, STOPS), {}),
]


def test_every_bundled_strategy_is_stepped():
    assert {type(strategy).__name__ for strategy, _ in CASES} == set(registry())


@pytest.mark.parametrize(("strategy", "how"), CASES, ids=lambda value: type(value).__name__)
def test_skipping_is_stepping_on_daily_candles(strategy, how):
    bars, ratings, signals = world(strategy)
    compare(strategy, bars, ratings, signals, how)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [CASES[0][0], SmaCross(20, 50, Units(1), TRAILS[:1])], ids=["rating", "average"])
def test_skipping_is_stepping_on_hourly_candles(strategy):
    bars, ratings, signals = world(strategy, "1h", "2022-05-01", "2022-07-01")
    bars = bars[bars.asset.isin(ASSETS[:2])]
    compare(strategy, bars, ratings[ratings.asset.isin(ASSETS[:2])], signals, {"latency": "90m"})


def compare(strategy, bars, ratings, signals, how):
    how = {"costs": Costs(), **how}
    stepped = step(strategy, bars, ratings, signals, cash=100_000.0, **how)
    jumped = replayed(strategy, bars, ratings, signals, cash=100_000.0, **how)
    assert len(jumped.fills) > 3
    assert [(f[0], f[1], f[2]) for f in ordered(jumped)] == [(f[0], f[1], f[2]) for f in ordered(stepped)]
    for place in (3, 4, 5):
        ours, theirs = ([float(f[place]) for f in ordered(one)] for one in (jumped, stepped))
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    assert [at for at, _ in jumped.decisions] == [at for at, _ in stepped.decisions]
    assert jumped.cash == pytest.approx(float(stepped.cash), rel=1e-9, abs=1e-6)
    ours, theirs = (np.asarray([float(value) for _, value in one.equity]) for one in (jumped, stepped))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert jumped.counts["unknown_held"] == stepped.counts["unknown_held"]


def ordered(outcome):
    return sorted(outcome.fills, key=lambda fill: (fill[0], fill[2] == "buy", fill[1]))
