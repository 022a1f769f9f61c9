"""Equity from fills, marked afterwards: step functions of quantity times columns of closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trader.core.exits import TOUCH
from trader.core.history import Floats, Instants, Panel

if TYPE_CHECKING:
    from backtests.venue import Log

OLD = 3  # bars after which a mark is called stale


def curve(panel: Panel, log: Log, cash_start: float, *, cash_only: bool = False) -> Floats:
    """Equity at each close; fills at an open or inside a bar count from that bar's close on."""
    size = len(panel.opens_ns)
    bars = np.minimum(np.asarray([fill[0] for fill in log.fills], np.int64), size)
    runs = np.diff(np.concatenate(([0], bars, [size])))
    equity = np.repeat(np.asarray([cash_start, *(fill[3] for fill in log.fills)], np.float64), runs)
    if cash_only:
        return equity
    for asset, at, quantity in positions(log):
        edges = np.append(np.minimum(at, size), size)
        begin, end = int(edges[0]), int(edges[-1]) if quantity[-1] else int(edges[-2])
        held = np.repeat(quantity, np.diff(edges))[: end - begin]
        equity[begin:end] += held * marks(panel, asset)[begin:end]
    return equity


def positions(log: Log) -> list[tuple[int, Instants, Floats]]:
    """By asset: the bars at which its quantity changed, and the quantity from then on."""
    bars, assets = (np.asarray([fill[i] for fill in log.fills], np.int64) for i in (0, 1))
    order = np.argsort(assets, kind="stable")
    bars = bars[order]
    is_exact = bool(log.fills) and not isinstance(log.fills[0][2], float)
    changes = np.asarray([fill[2] for fill in log.fills], object if is_exact else np.float64)[order]
    edges = np.flatnonzero(np.diff(assets[order])) + 1
    found = []
    for begin, end in zip([0, *edges.tolist()], [*edges.tolist(), len(order)], strict=True):
        if end > begin:
            mine = changes[begin:end]
            held = np.cumsum(mine)
            held = np.where(abs(held) > abs(mine) * type(mine[0])("1e-12"), held, 0).astype(np.float64)
            found.append((int(assets[order[begin]]), bars[begin:end], held))
    return found


def marks(panel: Panel, asset: int) -> Floats:
    """Closes of an asset, the last one carried over bars that are missing."""
    row: Floats = panel.close[asset]
    first, last, dense = (column[asset] for column in panel.spans())
    if dense and first == 0 and last == len(row) - 1:
        return row
    key = ("marks", asset)
    if key not in panel.caches:
        index = panel.last_bar(asset)
        panel.caches[key] = np.where(index < 0, 0.0, row[index])
    return panel.caches[key]  # type: ignore[return-value]


def stale_points(panel: Panel, log: Log) -> int:
    """How many equity points mark a holding at a close older than three bars."""
    count, size = 0, len(panel.opens_ns)
    for asset, at, quantity in positions(log):
        first, last, dense = (column[asset] for column in panel.spans())
        if dense and first == 0 and last == size - 1:
            continue
        index = panel.last_bar(asset)
        age = panel.opens_ns - panel.opens_ns[np.maximum(index, 0)]
        old = (age > OLD * panel.step_ns) & (index >= 0)
        edges = [*np.minimum(at, size).tolist(), size]
        for begin, end, held in zip(edges[:-1], edges[1:], quantity, strict=True):
            if held:
                count += int(old[begin:end].sum())
    return count


def trail_ambiguities(panel: Panel, trails: list[tuple[int, int, int, float, float]]) -> set[tuple[int, int]]:
    """Asset and bar of the bars that would have hit a trailing level only by their own high."""
    found: set[tuple[int, int]] = set()
    for asset, first, end, by, peak in trails:
        low, high = panel.searchable(asset)[0][first:end], panel.high[asset, first:end]
        if len(low):
            peaks = np.fmax.accumulate(np.concatenate(([peak], high)))
            share = (1 - by) * (1 + TOUCH)
            doubtful = (low <= peaks[1:] * share) & ~(low <= peaks[:-1] * share)
            found.update((asset, first + bar) for bar in np.flatnonzero(doubtful).tolist())
    return found
