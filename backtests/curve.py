"""Equity from fills, marked afterwards: step functions of quantity times columns of closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trader.core.exits import TOUCH
from trader.core.history import Floats, Instants, Panel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtests.venue import Log

SELDOM = 8  # an asset held on fewer than one bar in so many is marked there alone
OLD = 3  # bars after which a mark is called stale


def curve(panel: Panel, log: Log, cash_start: float, *, cash_only: bool = False) -> Floats:
    """Equity at each close; fills at an open or inside a bar count from that bar's close on."""
    size = len(panel.opens_ns)
    bars, assets, changes, cash = log.fills.columns()
    runs = np.diff(np.concatenate(([0], np.minimum(bars, size), [size])))
    equity = np.repeat(np.append(cash_start, cash), runs)
    if cash_only or not len(bars):
        return equity
    who, at, quantity, starts = _positions(bars, assets, changes)
    at = np.minimum(at, size)
    until = np.append(at[1:], size)
    until[starts[1:] - 1] = size
    lengths = np.where(quantity != 0, until - at, 0)
    held, stops = np.add.reduceat(lengths, starts), np.append(starts[1:], len(at))
    is_seldom = (SELDOM * held < size - at[starts]) & _whole(panel)[who[starts]]
    for begin, end in zip(starts[~is_seldom].tolist(), stops[~is_seldom].tolist(), strict=True):
        first, last = int(at[begin]), int(at[end - 1]) if not quantity[end - 1] else size
        each = np.repeat(quantity[begin:end], until[begin:end] - at[begin:end])[: last - first]
        equity[first:last] += each * marks(panel, int(who[begin]))[first:last]
    if is_seldom.any():
        rows = np.repeat(is_seldom, stops - starts) & (lengths > 0)
        _mark_seldom(panel, equity, who[rows], at[rows], quantity[rows], lengths[rows])
    return equity


def _mark_seldom(
    panel: Panel, equity: Floats, who: Instants, at: Instants, quantity: Floats, lengths: Instants
) -> None:
    """Add what stretches of holdings are worth, at the bars of each stretch alone."""
    before = np.cumsum(lengths) - lengths
    bars = np.repeat(at - before, lengths) + np.arange(int(lengths.sum()))
    np.add.at(equity, bars, np.repeat(quantity, lengths) * panel.close[np.repeat(who, lengths), bars])


def _whole(panel: Panel) -> NDArray[np.bool_]:
    """Which assets have a close at every bar; made once."""
    if "whole" not in panel.caches:
        first, last, dense = map(np.asarray, panel.spans())
        panel.caches["whole"] = dense & (first == 0) & (last == panel.size - 1)
    return panel.caches["whole"]  # type: ignore[return-value]


def positions(log: Log) -> list[tuple[int, Instants, Floats]]:
    """By asset: the bars at which its quantity changed, and the quantity from then on."""
    bars, assets, changes = log.fills.columns()[:3]
    if not len(bars):
        return []
    who, at, quantity, starts = _positions(bars, assets, changes)
    parts = zip(np.split(at, starts[1:]), np.split(quantity, starts[1:]), strict=True)
    return [(asset, *part) for asset, part in zip(who[starts].tolist(), parts, strict=True)]


def _positions(bars: Instants, assets: Instants, changes: NDArray[Any]) -> tuple[Instants, Instants, Floats, Instants]:
    """Assets, bars and the quantities from then on, asset by asset, and where each asset begins."""
    order = np.argsort(assets, kind="stable")
    assets, changes = assets[order], changes[order]
    starts = np.append(0, np.flatnonzero(np.diff(assets)) + 1)
    held = np.empty_like(changes)
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        changes[begin:end].cumsum(out=held[begin:end])
    held = np.where(abs(held) > abs(changes) * type(changes[0])("1e-12"), held, 0).astype(np.float64)
    return assets, bars[order], held, starts


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
