"""Ratings and signals as they became known: outdated arrivals sorted out, torn batches told from whole ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from backtests.checks import TapeError
from trader.core.history import Arrivals, Floats, Instants
from trader.core.instants import duration, from_ns
from trader.core.signals import MARKET

if TYPE_CHECKING:
    from datetime import timedelta

WHOLE = 0.8  # a batch with a smaller share of the assets of the one before wakes nobody until completed or confirmed


@dataclass(slots=True)
class Kind:
    """One kind's effective rows, and what was found about them."""

    rows: Arrivals
    omitted: set[str]
    delay_ns: int
    withheld: Instants
    report: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Said:
    """Ratings or signals as they were given, one entry per value in each column; known_ns is None where nobody said when."""

    as_of_ns: Instants
    known_ns: Instants | None
    value: Floats
    asset: np.ndarray
    kind: np.ndarray


def arrivals(what: str, said: Said | None, names: list[str], *, delay: str | timedelta | None) -> dict[str, Kind]:
    """Check them and split them by kind; what has no known_ns is taken as known `delay` after as_of. Raises TapeError."""
    if said is None or not len(said.value):
        return {}
    as_of, known, value = said.as_of_ns, said.known_ns, said.value
    if known is None and delay is not None:
        known = as_of + duration(delay)
    if known is None:
        raise TapeError(
            f"{what} has no known_at: when a value could first be had decides the result. Give the column, or delay='1d' "
            "to assume that a value dated D is known one day later"
        )
    if np.isnan(value).any():
        row = int(np.isnan(value).argmax())
        raise TapeError(
            f"{what} row {row} ({said.asset[row]} {from_ns(int(as_of[row]))}): value is NaN; drop the row: missing is not zero"
        )
    index = {name: i for i, name in enumerate(names)} | {MARKET: len(names)}
    unique, inverse = np.unique(said.asset, return_inverse=True)
    number = np.asarray([index.get(name, -1) for name in unique])[inverse]
    found = {}
    for kind in np.unique(said.kind).tolist():
        mine = said.kind == kind
        who = number[mine]
        one = _kind(known[mine], as_of[mine], inverse[mine], who, value[mine], is_rating=what == "ratings")
        one.omitted = set(unique[np.unique(inverse[mine][who < 0])].tolist())
        early = int((known[mine] < as_of[mine]).sum())
        if early:
            one.report.append(f"{what} {kind}: {early} rows claim to be known before what they describe")
        found[kind] = one
    return found


def _kind(known: Instants, as_of: Instants, said: Instants, asset: Instants, value: Floats, *, is_rating: bool) -> Kind:
    order = np.lexsort((as_of, known))
    known, as_of, said, asset = (column[order] for column in (known, as_of, said, asset))
    value = value[order]
    newest = _not_outdated(said, as_of)
    outdated = int((~newest).sum())
    known, as_of, said, asset, value = (known[newest], as_of[newest], said[newest], asset[newest], value[newest])
    wakes, withheld = _wakes(known, as_of, said) if is_rating else (known.copy(), known[:0])
    keep = asset >= 0
    rows = Arrivals(known[keep], as_of[keep], asset[keep].astype(np.int64), value[keep], wakes[keep])
    notes = [f"{outdated} outdated arrivals are stored and wake nobody"] if outdated else []
    return Kind(rows, set(), int(np.median(known - as_of)), withheld, notes)


def _not_outdated(asset: Instants, as_of: Instants) -> np.ndarray:
    """Whether each row is at least as new, by as_of, as all of its asset before it."""
    by_asset = np.argsort(asset, kind="stable")
    dates, codes = as_of[by_asset], asset[by_asset]
    keep = np.ones(len(dates), bool)
    edges = np.append(np.flatnonzero(np.append(True, codes[1:] != codes[:-1])), len(codes))
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        mine = dates[begin:end]
        keep[begin + 1 : end] = mine[1:] >= np.maximum.accumulate(mine)[:-1]
    found = np.empty_like(keep)
    found[by_asset] = keep
    return found


def _wakes(known: Instants, as_of: Instants, asset: Instants) -> tuple[Instants, Instants]:
    """When each row may wake: at once, when its torn batch is completed or confirmed, or never (-1).

    Also when batches were withheld. Parts with one as_of complete a torn batch; only a newer as_of confirms it.
    """
    edges = np.append(np.flatnonzero(np.append(True, known[1:] != known[:-1])), len(known))
    wakes = known.copy()
    if len(edges) - 1 == len(known):
        return wakes, known[:0]  # single data have no batch that could be torn
    torn: list[tuple[int, int]] = []
    withheld: list[int] = []
    date, union, before, needed = None, set[int](), 0, 0
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        here, newest = set(asset[begin:end].tolist()), int(as_of[begin:end].max())
        is_part = newest == date
        if not is_part:
            date, union, needed = newest, set(), before
        union |= here
        is_whole = len(union) >= WHOLE * needed
        if is_part and torn:
            passes, before = is_whole, len(union)
        elif len(here) >= WHOLE * before:
            passes, before = True, len(here)
        elif is_part and is_whole:
            passes, before = True, len(union)
        else:
            passes, needed, before = False, before, len(here)
        torn.append((begin, end))
        if passes:
            for first, last in torn:
                wakes[first:last] = known[begin]
            torn = []
        else:
            withheld.append(int(known[begin]))
            wakes[begin:end] = -1
    return wakes, np.asarray(withheld, np.int64)
