"""What a strategy did while its ratings were old: days without a rating, and days on which something was held on an old one.

A day is a UTC day. An asset counts as held on a day if it was held when the day began or was bought or sold in it; what its newest rating
was is asked at the day's last close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtests.curve import positions
from backtests.metrics import daily_returns
from trader.core.facts import OrderPlaced
from trader.core.history import datums
from trader.core.instants import DAY, in_words

if TYPE_CHECKING:
    import numpy.typing as npt

    from backtests.result import Result
    from trader.core.history import Arrivals, Instants, Panel


@dataclass(frozen=True, slots=True)
class Stale:
    """Days on which an asset was held whose newest rating was older than a limit: their number, the orders made on them, what they returned.

    limit: in words, and since when it counts. held: days on which anything was held. growth: of 1, over the stale days alone.
    """

    kind: str
    limit: str
    held: int
    days: int
    longest: int
    orders: int
    growth: float


def missing_days(panel: Panel) -> list[tuple[str, int, int]]:
    """Of each kind the days between the first and the last that no asset was rated on, and the longest run of them."""
    found = []
    for kind, rows in {**panel.ratings, **panel.signals}.items():
        days = np.unique(rows.as_of_ns // DAY)
        holes = np.diff(days) - 1
        if holes.sum():
            found.append((kind, int(holes.sum()), int(holes.max())))
    return found


def stale_days(result: Result, kinds: list[str]) -> list[Stale]:
    """Of each kind of rating: held though nothing newer became known within its usual interval, and though it was past its max_age."""
    panel = result.tape.panel
    ends, gains = daily_returns(result.curve, panel.closes_ns, result.cash_start)
    held = _held(result, ends)
    ordered = np.asarray([row[1] for row in result.engine.rows if row[0] is OrderPlaced], np.int64)
    day = np.minimum(
        ends.searchsorted(ordered, side="right"), len(ends) - 1
    )  # an order at a day's last close is the next day's
    orders = np.bincount(day, minlength=len(ends))
    found = []
    for kind in kinds:
        rows = panel.ratings.get(kind)
        if rows is None or not len(rows.value):
            continue
        usual, oldest = _usual_ns(rows), result.strategy.wants.max_age_ns
        known, as_of = _ages(rows, len(panel.names), ends)
        for limit, old in (
            (f"known more than {in_words(usual)} ago", known > usual),
            (f"past the max_age of {in_words(oldest)}", as_of > oldest),
        ):
            is_stale = np.asarray((held & old).any(axis=0), bool)
            found.append(
                Stale(
                    kind, limit, int(held.any(axis=0).sum()), int(is_stale.sum()), _longest(is_stale), int(orders[is_stale].sum()),
                    float(np.prod(1 + gains[is_stale])),
                )
            )  # fmt: skip
    return found


def _held(result: Result, ends: Instants) -> npt.NDArray[np.bool_]:
    """Whether an asset was held on a day: at its beginning, or traded in it."""
    panel = result.tape.panel
    held = np.zeros((len(panel.names), len(ends)), bool)
    closes = panel.closes_ns
    for asset, bars, quantity in positions(result.log):
        day = ends.searchsorted(closes[np.minimum(bars, panel.size - 1)])
        for begin, end, amount in zip(day, [*day[1:], len(ends) - 1], quantity, strict=True):
            held[asset, begin] = True
            if amount:
                held[asset, begin : end + 1] = True
    return held


def _ages(rows: Arrivals, assets: int, at: Instants) -> tuple[Instants, Instants]:
    """How long ago each asset's newest rating became known at these instants, and how old what it describes is; never rated = for ever."""
    ever = np.iinfo(np.int64).max
    known, as_of = np.full((assets, len(at)), ever), np.full((assets, len(at)), ever)
    for asset in range(assets):
        times, described, _ = datums(rows, asset)
        place = times.searchsorted(at, side="right") - 1
        there = place >= 0
        known[asset, there] = at[there] - times[place[there]]
        as_of[asset, there] = at[there] - described[place[there]]
    return known, as_of


def _usual_ns(rows: Arrivals) -> int:
    """The interval at which an asset is rated anew, at the median, in whole days and at least one."""
    asset = int(np.bincount(rows.asset).argmax())
    steps = np.diff(np.unique(rows.as_of_ns[rows.asset == asset]))
    return max(DAY, round(float(np.median(steps)) / DAY) * DAY) if len(steps) else DAY


def _longest(days: npt.NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], days.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
