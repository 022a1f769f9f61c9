"""The layout: bars as plain columns, checked and laid out as a grid of assets and times.

Every way to a tape comes through here, frames and arrays alike: what a bar may be is decided once. Needs NumPy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtests.checks import TapeError
from backtests.mapped import noted
from trader.core.history import Floats, Instants, Panel
from trader.core.instants import from_ns, in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    Laid = tuple[list[str], Panel, list[str]]

PRICES = ("open", "high", "low", "close")
BARS = ("ts", "asset", *PRICES, "volume")
HAIR = 0.05  # an open or close this far outside low..high is reported; farther is refused


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars as they were given, one entry per bar in each column.

    opens_ns: int64 nanoseconds UTC; asset: int64, the place in `names`, which are ascending; values: float64 by name, NaN = unknown.
    """

    opens_ns: Instants
    asset: Instants
    names: list[str]
    values: dict[str, Floats]

    def told(self, row: int) -> str:
        """Which bar this is, for an error."""
        return f"{self.names[self.asset[row]]} {from_ns(int(self.opens_ns[row]))}"


def lay_out(bars: Bars) -> Laid:
    """The names, the grid, and what was found about it that is no error; raises TapeError."""
    at, codes, names = bars.opens_ns, bars.asset, bars.names
    if not len(at):
        raise TapeError("bars are empty: there is no asset to replay; give at least one bar")
    columns = bars.values | {"volume": bars.values.get("volume", np.full(len(at), np.nan))}
    _check_values(columns, bars.told)
    order = _in_order(bars)
    report = _check_range(columns, bars.told)
    opens = at if len(names) == 1 else np.unique(at)
    step = _step(at[order], codes[order])
    if len(opens) > 1 and (gap := int(np.diff(opens).min())) < step:
        row = int(np.diff(opens).argmin())
        raise TapeError(
            f"bars are not on one grid: some are {in_words(gap)} apart at {from_ns(int(opens[row + 1]))}, the timeframe is {in_words(step)}"
        )
    shape = (len(names), len(opens))
    where = codes, np.searchsorted(opens, at)
    full = shape[0] * shape[1] == len(at) and bool((order[:-1] <= order[1:]).all())
    laid = {}
    for name, column in columns.items():
        if full:
            laid[name] = np.ascontiguousarray(column.reshape(shape))
        else:
            laid[name] = np.full(shape, np.nan)
            laid[name][where] = column
    panel = Panel(names, opens, step, laid["open"], laid["high"], laid["low"], laid["close"], laid["volume"])
    return names, panel, report + _gaps(panel)


def _check_values(columns: dict[str, Floats], told: Callable[[int], str]) -> None:
    for name in PRICES:
        bad = ~(columns[name] > 0) | np.isinf(columns[name])
        if bad.any():
            row = int(bad.argmax())
            raise TapeError(f"bars row {row} ({told(row)}): {name} = {columns[name][row]}; prices must be over 0")
    if (columns["volume"] < 0).any():
        row = int((columns["volume"] < 0).argmax())
        raise TapeError(f"bars row {row} ({told(row)}): volume = {columns['volume'][row]} is negative")


def _in_order(bars: Bars) -> Instants:
    order = np.argsort(bars.asset, kind="stable")
    gaps = np.diff(bars.opens_ns[order])
    same = bars.asset[order][1:] == bars.asset[order][:-1]
    for bad, word in ((same & (gaps == 0), "twice"), (same & (gaps < 0), "out of order")):
        if bad.any():
            row = int(order[int(bad.argmax()) + 1])
            raise TapeError(
                f"bars row {row}: {bars.told(row)} stands {word}; "
                "sort by ts per asset and drop duplicates yourself: which copy is right is not for us to guess"
            )
    return order


def _check_range(columns: dict[str, Floats], told: Callable[[int], str]) -> list[str]:
    high, low = columns["high"], columns["low"]
    top, bottom = np.maximum(columns["open"], columns["close"]), np.minimum(columns["open"], columns["close"])
    bad = (high < low) | (top > high * (1 + HAIR)) | (bottom < low * (1 - HAIR))
    if bad.any():
        row = int(bad.argmax())
        values = ", ".join(f"{name} {columns[name][row]:g}" for name in PRICES)
        raise TapeError(f"bars row {row} ({told(row)}): {values}: no such bar can be; mend or drop it")
    slight = int(((top > high) | (bottom < low)).sum())
    return [f"{slight} bars have an open or close slightly outside low..high; used as they are"] if slight else []


def _step(at: Instants, codes: Instants) -> int:
    gaps = np.diff(at)[codes[1:] == codes[:-1]]
    if not len(gaps):
        return 86_400_000_000_000
    sizes, counts = np.unique(gaps, return_counts=True)
    return int(sizes[counts.argmax()])


def _gaps(panel: Panel) -> list[str]:
    first, last, _ = panel.spans()
    holes = {}
    for i, row in enumerate(panel.close):
        expected = int((panel.opens_ns[last[i]] - panel.opens_ns[first[i]]) // panel.step_ns) + 1
        missing = expected - int((~np.isnan(row)).sum())
        if missing:
            holes[panel.names[i]] = missing
    ended = [panel.names[i] for i in range(len(panel.names)) if last[i] < len(panel.opens_ns) - 1]
    return noted(holes, ended)
