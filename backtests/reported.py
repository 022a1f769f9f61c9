"""What a report reads of a result, and what it works out from the fills: holdings, and when they were held.

Replay knows nothing of this file; a result fits by having the fields named here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from backtests.metrics import REST, is_in_kind

Floats = npt.NDArray[np.float64]
Instants = npt.NDArray[np.int64]


class Tape(Protocol):
    """What a report reads of a tape; `rating_frame`, where there is one, is read too."""

    @property
    def assets(self) -> Sequence[str]: ...
    @property
    def closes_ns(self) -> Instants: ...
    @property
    def close(self) -> Floats: ...
    @property
    def report(self) -> Sequence[str]: ...
    @property
    def label(self) -> str | None: ...


class Reported(Protocol):
    """What a report reads of a result; `notes`, where there are any, are read too."""

    @property
    def strategy(self) -> object: ...
    @property
    def tape(self) -> Tape: ...
    @property
    def costs(self) -> object: ...
    @property
    def latency_ns(self) -> int: ...
    @property
    def exits(self) -> object: ...
    @property
    def limits(self) -> object: ...
    @property
    def cash_start(self) -> float: ...
    @property
    def equity(self) -> pd.Series: ...
    @property
    def fills(self) -> pd.DataFrame: ...
    @property
    def decisions(self) -> pd.DataFrame: ...
    @property
    def stats(self) -> Mapping[str, object]: ...


def most_traded(fills: pd.DataFrame) -> list[str]:
    """Order the assets by the money traded in them, then by name."""
    if not len(fills):
        return []
    notional = fills["quantity"].to_numpy(np.float64) * fills["price"].to_numpy(np.float64)
    sums = pd.Series(notional).groupby(fills["asset"].to_numpy()).sum()
    return [str(asset) for asset in sums.sort_index().sort_values(ascending=False, kind="stable").index]


def holdings(fills: pd.DataFrame, asset: str) -> tuple[Instants, Floats]:
    """Give the instants of an asset's fills and the quantity held after each."""
    mine = fills[fills["asset"] == asset]
    quantity = mine["quantity"].to_numpy(np.float64)
    in_kind = np.array([is_in_kind(asset, one) for one in mine["fee_asset"]], bool)
    change = np.where(mine["side"].to_numpy() == "buy", quantity, -quantity)
    change = change - np.where(in_kind, mine["fee"].to_numpy(np.float64), 0.0)
    held = np.cumsum(change)
    held[np.abs(held) <= REST * np.maximum.accumulate(np.abs(held))] = 0.0
    return instants(mine["at"]), held


def held_times(fills: pd.DataFrame, asset: str, end_ns: int) -> list[tuple[int, int]]:
    """Give the stretches of time in which an asset was held."""
    if not len(fills):
        return []
    at, held = holdings(fills, asset)
    stretches: list[tuple[int, int]] = []
    since: int | None = None
    for instant, quantity in zip(at.tolist(), held.tolist(), strict=True):
        if quantity > 0.0 and since is None:
            since = instant
        elif quantity <= 0.0 and since is not None:
            stretches.append((since, instant))
            since = None
    return stretches if since is None else [*stretches, (since, end_ns)]


def closes(tape: Tape, asset: str) -> tuple[Instants, Floats]:
    """Give an asset's known closes and their instants."""
    if asset not in tape.assets:
        return np.empty(0, np.int64), np.empty(0)
    column = tape.close[list(tape.assets).index(asset)]
    known = np.flatnonzero(np.isfinite(column))
    return np.asarray(tape.closes_ns)[known], column[known]


def instants(column: pd.Series | pd.Index) -> Instants:
    """Turn a column of datetimes into nanoseconds, whatever its unit."""
    return np.asarray(pd.DatetimeIndex(column).as_unit("ns").asi8)
