"""The bundled sample: real candles, and ratings derived from them that are no vendor's and have no edge."""

from importlib.resources import files
from pathlib import Path

import pandas as pd

from backtests import derived
from backtests.checks import TapeError
from backtests.files import read_frame
from backtests.tape import Tape

LABEL = "derived from prices, not a vendor's"
KINDS = ("derived_ta", "derived_quant", "derived_trader")


def sample(timeframe: str = "1d") -> Tape:
    """A tape of the bundled bars (`1d`: 67 coins, `1h`: BTC ETH BNB SOL XRP) with the derived ratings."""
    if timeframe not in {"1d", "1h"}:
        raise TapeError(f"the sample has no timeframe {timeframe!r}; it has 1d and 1h")
    bars, ratings, signals = further(*frames(timeframe))
    return Tape.from_frames(bars, ratings, signals, label=LABEL)


def further(
    bars: pd.DataFrame, ratings: pd.DataFrame, signals: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The same frames with the kinds that are computed here: derived_regime, derived_moonshot and derived_weight."""
    return (
        bars,
        pd.concat([ratings, derived.weights(bars)], ignore_index=True),
        pd.concat([signals, derived.regime(bars), derived.moonshots(bars)], ignore_index=True),
    )


def frames(timeframe: str = "1d") -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The sample as long frames: bars, ratings, signals."""
    folder = Path(str(files("backtests") / "sample_data"))
    bars = read_frame(folder / f"bars_{timeframe}.parquet").rename(columns={"symbol": "asset"})
    wide = read_frame(folder / "ratings_derived_1d.parquet").rename(
        columns={"symbol": "asset", "ts": "as_of", "available_at": "known_at"}
    )
    wide = wide[wide["asset"].isin(bars["asset"].unique())]
    keys = ["asset", "as_of", "known_at"]
    ratings = wide.melt(id_vars=keys, value_vars=list(KINDS), var_name="kind", value_name="value")
    signals = wide.melt(id_vars=keys, value_vars=["derived_signal"], var_name="kind", value_name="value")
    return bars, ratings.dropna(), signals.dropna()
