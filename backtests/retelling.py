"""The same ratings told otherwise: known at other instants, without their revisions, or said of other assets and days.

Each function changes the rows of one kind, for `Tape.retold`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trader.core.history import Arrivals, Floats, Instants

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[str, Arrivals], Arrivals]


def same_day(_kind: str, rows: Arrivals) -> Arrivals:
    """As if a rating were known when its day began: the look-ahead that a naive backtest makes."""
    return _moved(rows, rows.as_of_ns.copy())


def later(by_ns: int) -> Change:
    """All known so much later."""
    return lambda _kind, rows: _moved(rows, rows.known_ns + by_ns)


def first_seen(_kind: str, rows: Arrivals) -> Arrivals:
    """Without revisions: of each asset and as_of only what was known first."""
    pairs = np.stack([rows.asset, rows.as_of_ns])
    kept = np.sort(np.unique(pairs, axis=1, return_index=True)[1])
    return Arrivals(rows.known_ns[kept], rows.as_of_ns[kept], rows.asset[kept], rows.value[kept], rows.wakes_ns[kept])


def given_away(lot: np.random.Generator) -> Change:
    """The values of each publication, given to other assets of the same publication."""

    def change(_kind: str, rows: Arrivals) -> Arrivals:
        value = rows.value.copy()
        edges = np.flatnonzero(np.diff(rows.known_ns)) + 1
        for part in np.split(np.arange(len(value)), edges):
            value[part] = value[lot.permutation(part)]
        return _valued(rows, value)

    return change


def rotated(share: float) -> Change:
    """The values of each asset moved on in time by a share of them, what falls off the end beginning anew."""

    def change(_kind: str, rows: Arrivals) -> Arrivals:
        value = rows.value.copy()
        for asset in np.unique(rows.asset):
            mine = np.flatnonzero(rows.asset == asset)
            value[mine] = np.roll(value[mine], int(share * len(mine)))
        return _valued(rows, value)

    return change


def _valued(rows: Arrivals, value: Floats) -> Arrivals:
    return Arrivals(rows.known_ns, rows.as_of_ns, rows.asset, value, rows.wakes_ns)


def _moved(rows: Arrivals, known: Instants) -> Arrivals:
    order = np.argsort(known, kind="stable")
    wakes = np.where(rows.wakes_ns < 0, -1, rows.wakes_ns + (known - rows.known_ns))
    return Arrivals(known[order], rows.as_of_ns[order], rows.asset[order], rows.value[order], wakes[order])
