"""Whether a rating says anything about the returns that follow: the null test of a data set.

A profit on ratings without an edge comes from the market, the choice of assets or luck, and the report must say so.
"""

from __future__ import annotations

import math

import numpy as np

from backtests.intervals import rank_correlation
from trader.core.history import Panel
from trader.core.instants import DAY

FEWEST = 5  # assets that a ranking needs
SIGNIFICANT = 2.0  # |t| from which a mean is called an edge


def rank_edge(panel: Panel, kind: str, *, days: int = 7) -> tuple[float, float, int] | None:
    """Mean rank correlation of a rating with the return of the next days, its t value, and the number of dates.

    Dates are taken `days` apart, so returns do not overlap; the return runs from the last close known when the rating
    was to the last close `days` later. None where fewer than five assets are rated on at least ten dates.
    """
    rows = panel.ratings.get(kind)
    if rows is None:
        return None
    dates = np.unique(rows.known_ns)
    found, free_ns = [], -1
    for at in dates.tolist():
        if at < free_ns:
            continue
        mine = slice(int(rows.known_ns.searchsorted(at)), int(rows.known_ns.searchsorted(at, side="right")))
        now, then = panel.closed(at), panel.closed(at + days * DAY)
        if now < 0 or int(panel.closes_ns[-1]) < at + days * DAY:
            continue
        asset, value = rows.asset[mine], rows.value[mine]
        asset, value = asset[asset < len(panel.names)], value[asset < len(panel.names)]
        gain = panel.close[asset, then] / panel.close[asset, now] - 1
        there = ~np.isnan(gain)
        if there.sum() >= FEWEST:
            same = rank_correlation(value[there], gain[there])
            if math.isnan(same):
                continue  # all rated alike, which ranks nothing
            found.append(same)
            free_ns = at + days * DAY
    if len(found) < 2 * FEWEST:
        return None
    mean, spread = float(np.mean(found)), float(np.std(found, ddof=1))
    return mean, mean / (spread / math.sqrt(len(found))) if spread else math.inf, len(found)


def null_test(panel: Panel, kind: str) -> str | None:
    """The verdict of `rank_edge` in one line, None where it cannot be told."""
    edge = rank_edge(panel, kind)
    if edge is None:
        return None
    mean, t, dates = edge
    if abs(t) < SIGNIFICANT:
        verdict = (
            "no significant edge: a profit here is the market's, the choice of assets' or luck's, not the rating's"
        )
    else:
        verdict = "a SIGNIFICANT edge, which data derived from prices should not have: look for a leak"
    return f"null test of {kind}: rank correlation with the next 7 days {mean:+.3f} (t = {t:+.2f}, {dates} dates): {verdict}"
