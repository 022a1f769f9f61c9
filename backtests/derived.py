"""Further kinds for the bundled sample, computed from its bars when it is loaded: DERIVED FROM PRICES, no vendor's and without edge.

They have the shape of what a vendor publishes besides grades. Each value of day D stands on closes up to that of D and is known when D is over.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from trader.core.signals import MARKET

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = pd.Timedelta(days=1)
HOUR = pd.Timedelta(hours=1)
BULL, BEAR = 0.60, 0.40  # shares of coins over their close of thirty days before
RISE, LOSS, LASTS = (
    0.20,
    -0.15,
    14,
)  # a derived moonshot begins after such a week; it ends after such a loss or so many days
MEMBERS = 10  # of the derived index at most; no more than half of the coins
STEADY = 0.005  # how far from its mean of a day an hour's close must be to turn the derived hourly trend


def daily(bars: pd.DataFrame, column: str = "close") -> pd.DataFrame:
    """A column by day and asset, without holes filled: the last close of the day, or the day's sum of anything else."""
    day = bars["ts"].dt.floor("D")
    if column == "close":
        return bars.pivot_table(index=day, columns="asset", values=column, aggfunc="last", observed=True)
    return bars.pivot_table(index=day, columns="asset", values=column, aggfunc="sum", observed=True)


def breadth(bars: pd.DataFrame) -> pd.Series:
    """By day, the share of coins whose close is over that of thirty days before."""
    close = daily(bars)
    before = close.shift(30, freq="D").reindex(close.index)
    there = close.notna() & before.notna()
    return ((close > before) & there).sum(axis=1)[there.any(axis=1)] / there.sum(axis=1)[there.any(axis=1)]


def regime(bars: pd.DataFrame) -> pd.DataFrame:
    """The market's regime, 1 or -1 as a state, of each day from the first that says either."""
    share = breadth(bars)
    state = pd.Series(np.where(share >= BULL, 1.0, np.where(share <= BEAR, -1.0, np.nan)), share.index).ffill().dropna()
    return pd.DataFrame(
        {
            "asset": MARKET,
            "kind": "derived_regime",
            "as_of": pd.DatetimeIndex(state.index),
            "known_at": pd.DatetimeIndex(state.index) + DAY,
            "value": state.to_numpy(),
        }
    )


def moonshots(bars: pd.DataFrame) -> pd.DataFrame:
    """Coins picked after a strong week, as a state: 1 from the begin, 0 from the end; each describes the instant at which it is known."""
    close = daily(bars)
    week = close / close.shift(7, freq="D").reindex(close.index) - 1
    days = list(pd.DatetimeIndex(close.index))
    rows = [
        row for asset in close.columns for row in _picked(str(asset), days, close[asset].tolist(), week[asset].tolist())
    ]
    return pd.DataFrame(sorted(rows), columns=["as_of", "asset", "value"]).assign(
        kind="derived_moonshot", known_at=lambda frame: frame["as_of"]
    )


def _picked(
    asset: str, days: list[pd.Timestamp], closes: list[float], rises: list[float]
) -> "Iterator[tuple[pd.Timestamp, str, float]]":
    begin, paid = None, 0.0
    for day, price, rise in zip(days, closes, rises, strict=True):
        if begin is None and rise >= RISE:
            begin, paid = day, price
            yield day + DAY, asset, 1.0
        elif begin is not None and price > 0 and (day - begin >= LASTS * DAY or price / paid - 1 <= LOSS):
            begin = None
            yield day + DAY, asset, 0.0


def weights(bars: pd.DataFrame) -> pd.DataFrame:
    """An index of the coins most traded over thirty days, by the root of their turnover, published on Mondays; shares that sum to 1."""
    turnover = daily(bars.assign(turnover=bars["close"] * bars["volume"]), "turnover")
    mean = turnover.rolling("30D", min_periods=20).mean()
    sundays = pd.DatetimeIndex(mean.index).day_of_week == 6  # what Sunday's end shows
    names, weeks = [str(asset) for asset in mean.columns], mean.index[sundays]
    rows: list[tuple[str, int, float]] = []
    for week, values in enumerate(mean.to_numpy()[sundays].tolist()):
        there = sorted(((value, name) for value, name in zip(values, names, strict=True) if value > 0), reverse=True)
        roots = [(value**0.5, name) for value, name in there[: min(MEMBERS, (len(there) + 1) // 2)]]
        total = sum(root for root, _ in roots)
        rows += [(name, week, root / total) for root, name in roots]
    found = pd.DataFrame(rows, columns=["asset", "week", "value"])
    as_of = pd.DatetimeIndex(weeks[found["week"].to_numpy(dtype=np.int64)])
    return pd.DataFrame(
        {
            "asset": found["asset"],
            "kind": "derived_weight",
            "as_of": as_of,
            "known_at": as_of + DAY,
            "value": found["value"],
        }
    )


def hourly(bars: pd.DataFrame) -> pd.DataFrame:
    """A trend of each hour, 1 or -1 as a state: on which side of its mean of 24 hours the close was last, clearly. Wants hourly bars."""
    parts = []
    for asset, rows in bars.sort_values("ts").groupby("asset", observed=True):
        over = rows["close"] / rows["close"].rolling(24).mean() - 1
        state = pd.Series(
            np.where(over > STEADY, 1.0, np.where(over < -STEADY, -1.0, np.nan)), rows.index
        ).ffill().dropna()  # fmt: skip
        at = rows.loc[state.index, "ts"]
        parts.append(
            pd.DataFrame(
                {"asset": str(asset), "kind": "derived_hourly", "as_of": at, "known_at": at + HOUR, "value": state}
            )
        )
    return pd.concat(parts, ignore_index=True)
