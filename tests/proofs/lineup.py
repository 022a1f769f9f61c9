"""Every bundled strategy over slices of the bundled real data, with the assumptions it is tried under."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

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
)
from trader import After, Below, Costs, FallBy, Quote, RiseBy, TrailBy
from trader.core.signals import MARKET

GRADE = "derived_trader"
MAJORS = ("BNB/USDT", "BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT")
MINORS = ("ACH/USDT", "AR/USDT", "REQ/USDT", "RLC/USDT", "TRB/USDT", "UNI/USDT", "YGG/USDT")
EXITS = {
    "none": (),
    "stop-goal": (FallBy(0.04), RiseBy(0.09)),
    "trail-half-after": (TrailBy(0.07), RiseBy(0.06, share=0.5), After("5d")),
    "parts-below": (FallBy(0.03, share=0.5), Below(45.0, GRADE), TrailBy(0.1, share=0.4), RiseBy(0.15)),
}
STRATEGIES = (
    "FollowSignal", "FollowSignal-flip", "IndexMirror", "MoonshotBasket", "RatingBand", "RatingBand-quote", "RatingCross", "RegimeGate",
    "Rules", "SmaCross", "TopRated", "TopRated-weekly",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    bars: pd.DataFrame
    ratings: pd.DataFrame
    signals: pd.DataFrame
    instruments: pd.DataFrame


@dataclass(frozen=True)
class Way:
    """How a replay is done."""

    costs: Costs
    latency: str
    exits: str
    lots: bool
    cash: float = 100_000.0


WAYS = {
    "plain": Way(Costs(), "0s", "resting", lots=False),
    "thin": Way(
        Costs(fee=0.001, half_spread=0.001, impact=0.1, participation=0.0002, fee_on_buy="received"), "90m", "resting",
        lots=True, cash=3e6,
    ),
    "late": Way(Costs(fee=0.0015, fee_on_buy="received", participation=0.001), "1d", "next_open", lots=False, cash=5e6),
    "lots-next": Way(Costs(), "0s", "next_open", lots=True, cash=2_000.0),
}  # fmt: skip


def build(name, exits):
    """A strategy by its name in STRATEGIES."""
    top = TopRated(top=4, enter=60.0, kind=GRADE, exits=exits, band=0.01)
    made = {
        "FollowSignal": FollowSignal(kind="derived_signal", size=0.15, ttl="2d", exits=exits, band=0.02),
        "FollowSignal-flip": FollowSignal(kind="derived_signal", mode="flip", size=0.2, exits=exits),
        "IndexMirror": IndexMirror(exits=exits, band=0.005),
        "MoonshotBasket": MoonshotBasket(kind="derived_signal", most=5, join="2d", hold="12d", exits=exits),
        "RatingBand": RatingBand(enter=70.0, leave=45.0, kind=GRADE, size=0.2, exits=exits),
        "RatingBand-quote": RatingBand(enter=65.0, leave=50.0, kind=GRADE, size=Quote(40_000.0), exits=exits),
        "RatingCross": RatingCross(fast=3, slow=7, kind=GRADE, size=0.15, exits=exits, band=0.05),
        "RegimeGate": RegimeGate(inner=top),
        "Rules": Rules(
            enter=f"rating({GRADE}) >= 60 and close > sma(close, 5)",
            leave=f"rating({GRADE}) < 45",
            size=0.15,
            exits=exits,
        ),
        "SmaCross": SmaCross(fast=4, slow=11, size=0.2, exits=exits),
        "TopRated": top,
        "TopRated-weekly": TopRated(
            top=5, enter=55.0, kind=GRADE, exits=exits, every="1w", weights="rating", unknown="hold"
        ),
    }
    return made[name]


def cut(frame, column, since, until):
    return frame[(frame[column] >= since) & (frame[column] < until)]


def world(timeframe):
    """A slice of the bundled data: 12 assets on 250 days, or 2 assets on 60 days of hours."""
    bars, ratings, signals = frames(timeframe)
    names = (*MAJORS, *MINORS) if timeframe == "1d" else ("BTC/USDT", "SOL/USDT")
    since = pd.Timestamp("2023-10-20" if timeframe == "1d" else "2023-10-05", tz="UTC")
    until = since + pd.Timedelta(days=250 if timeframe == "1d" else 60)
    bars, ratings, signals = (frame[frame["asset"].isin(names)] for frame in (bars, ratings, signals))
    bars = cut(bars, "ts", since, until).reset_index(drop=True)
    ratings, signals = cut(ratings, "known_at", since, until), cut(signals, "known_at", since, until)
    ratings = pd.concat([ratings[ratings["kind"] == GRADE], weights(ratings)], ignore_index=True)
    signals = pd.concat([signals, regime(signals)], ignore_index=True)
    signals["value"] = signals["value"].astype(float)
    return World(bars, ratings, signals, instruments(bars))


def weights(ratings):
    """A weekly publication of the best third, weighted by their grade."""
    best = ratings[(ratings["kind"] == GRADE) & (ratings["as_of"].dt.day_of_week == 0) & (ratings["value"] > 50)].copy()
    best["value"] /= best.groupby("as_of")["value"].transform("sum")
    best["kind"] = "index_weight"
    return best


def regime(signals):
    """The market's regime, as Bitcoin's own signal has it."""
    market = signals[signals["asset"] == "BTC/USDT"].copy()
    market["asset"], market["kind"] = MARKET, "market_regime"
    return market


def instruments(bars):
    """Ticks of about 0.1 % and lots of about 3 quote units, unlike for each asset."""
    first = bars.groupby("asset")["close"].first()
    scale = 10.0 ** np.floor(np.log10(first))
    return pd.DataFrame(
        {
            "asset": first.index,
            "tick": [float(f"{one:.10g}") for one in scale * 1e-3],
            "lot": [float(f"{one:.10g}") for one in 1.0 / scale],
            "min_notional": 12.0,
        }
    )
