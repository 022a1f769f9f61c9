"""Frames of pandas as plain columns, each cell checked; imported only where somebody gives frames."""

import numpy as np
import pandas as pd

from backtests.arrivals import Said
from backtests.cells import checked
from backtests.checks import TapeError, column_ns, need
from backtests.layout import BARS, PRICES, Bars


def bars_of(frame: pd.DataFrame) -> Bars:
    """Bars of a frame [ts, asset, open, high, low, close, volume]; raises TapeError."""
    frame = checked("bars", frame, TapeError)
    need(frame, BARS[:-1], "bars")
    codes, found = pd.factorize(frame["asset"], sort=True)
    values = {c: frame[c].to_numpy(dtype=np.float64) for c in (*PRICES, "volume") if c in frame.columns}
    return Bars(column_ns(frame, "ts", "bars"), codes, [str(name) for name in found], values)


def said_of(what: str, frame: pd.DataFrame | None) -> Said | None:
    """Ratings or signals of a frame [asset, kind, as_of, value] and, where somebody said it, known_at; raises TapeError."""
    if frame is None:
        return None
    frame = checked(what, frame, TapeError)
    if not len(frame):
        return None
    need(frame, ("asset", "kind", "as_of", "value"), what)
    as_of = column_ns(frame, "as_of", what)
    known = column_ns(frame, "known_at", what) if "known_at" in frame.columns else None
    value = frame["value"].to_numpy(dtype=np.float64)
    return Said(as_of, known, value, *(frame[name].astype(str).to_numpy() for name in ("asset", "kind")))
