"""Ratings as forecasts: what was rated by the open of a bar, beside the return that could be had from that open on.

Rows that became known before one and the same open stand side by side, the last of each asset. An asset that was delisted on the way is
worth its last close less what its delisting loses; one without a price has no return.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from trader.core.instants import DAY

if TYPE_CHECKING:
    from trader.core.history import Floats, Instants, Panel

HORIZONS = (1, 3, 7, 14, 30)
LAGS = (0, 1, 2, 3, 5, 7, 14)
FEWEST, CROWD = 10, 5  # dates that a figure needs, and assets that a ranking needs


@dataclass(frozen=True, slots=True)
class Forecasts:
    """One kind of rating: `at` the first open (its index) at which each row was known; values [row, asset], NaN = not rated then."""

    kind: str
    panel: Panel = field(repr=False)
    at: Instants = field(repr=False)
    values: Floats = field(repr=False)
    is_across: bool  # whether enough assets are rated at once, often enough, to be ranked beside each other
    losses: Mapping[str, float] = field(default_factory=dict, repr=False)

    @property
    def starts_ns(self) -> Instants:
        """The opens themselves."""
        return self.panel.opens_ns[self.at]

    def gains(self, days: int, lag: int = 0) -> Floats:
        """The return [row, asset] of so many days from the open on at which a row was known, or from `lag` days after it."""
        panel = self.panel
        begin = panel.opens_ns.searchsorted(self.starts_ns + lag * DAY)
        inside = np.minimum(begin, panel.size - 1)
        end = panel.opens_ns.searchsorted(panel.opens_ns[inside] + days * DAY)
        last = np.minimum(end, panel.size - 1)
        found = np.asarray((panel.open[:, last] / panel.open[:, inside] - 1).T, np.float64)
        for name, at_ns in panel.delisted_ns.items():
            asset = panel.names.index(name)
            gone = (
                (panel.opens_ns[inside] < at_ns)
                & (at_ns <= panel.opens_ns[last])
                & np.isfinite(panel.open[asset, inside])
            )
            left = panel.close[asset, panel.last_bar(asset)[panel.closed(at_ns)]] * (1 - self.losses.get(name, 1.0))
            found[gone, asset] = left / panel.open[asset, inside[gone]] - 1
        found[(begin >= panel.size) | (end >= panel.size)] = np.nan
        return found

    def within(self, since_ns: int, until_ns: int) -> Forecasts:
        """Only the rows of a span of time."""
        kept = (self.starts_ns >= since_ns) & (self.starts_ns < until_ns)
        return replace(self, at=self.at[kept], values=self.values[kept])

    @property
    def crowd(self) -> int:
        """How many assets a row rates, at the median of the rows that rate enough to rank."""
        count = np.isfinite(self.values).sum(axis=1)
        count = count[count >= CROWD]
        return int(np.median(count)) if len(count) >= FEWEST else int(np.isfinite(self.values).any(axis=0).sum())


def forecasts(panel: Panel, kind: str, losses: Mapping[str, float] | None = None) -> Forecasts | None:
    """What a kind of rating or signal said by each open; None where it said nothing before the last one."""
    rows = panel.ratings.get(kind) or panel.signals.get(kind)
    if rows is None:
        return None
    begin = panel.opens_ns.searchsorted(rows.known_ns)
    kept = (begin < panel.size) & (rows.asset < len(panel.names)) & np.isfinite(rows.value)
    at, row = np.unique(begin[kept], return_inverse=True)
    if not len(at):
        return None
    values = np.full((len(at), len(panel.names)), np.nan)
    values[row, rows.asset[kept]] = rows.value[kept]
    crowded = int((np.isfinite(values).sum(axis=1) >= CROWD).sum())
    return Forecasts(kind, panel, at, values, crowded >= FEWEST, losses or {})


def apart(starts_ns: Instants, span_ns: int) -> Instants:
    """Which of the instants to take, so that spans from them on do not overlap: the first, then always the next that is free."""
    taken, at = [], 0
    while at < len(starts_ns):
        taken.append(at)
        at = int(starts_ns.searchsorted(starts_ns[at] + span_ns))
    return np.asarray(taken, np.int64)
