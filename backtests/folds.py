"""Folds of time: what is chosen on, and what it is tested on. Purged: no day just before a test is chosen on, because what is held
then reaches into the test. Embargoed: nor one just after it, because the test still shows there.

Plain index arithmetic on days; it knows no trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

Days = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """Days by their place. groups: which of the groups are tested."""

    chosen_on: Days
    tested: Days
    groups: tuple[int, ...] = ()


def walk(size: int, folds: int, *, anchored: bool = True, purge: int = 0) -> list[Fold]:
    """Cut the time into folds + 1 spans; each but the first is tested by what was chosen on all before it, or on the one before."""
    edges = _edges(size, folds + 1)
    found = []
    for number in range(1, folds + 1):
        begin = 0 if anchored else int(edges[number - 1])
        end = int(edges[number]) - purge
        if end <= begin:
            raise ValueError(
                f"purge = {purge} days leaves nothing to choose on: a span has {edges[1]} days; take fewer folds"
            )
        found.append(Fold(np.arange(begin, end), np.arange(edges[number], edges[number + 1]), (number,)))
    return found


def crossed(size: int, groups: int, *, tests: int = 1, purge: int = 0, embargo: int = 0) -> list[Fold]:
    """Cut the time into groups; each choice of `tests` of them is tested once by what was chosen on the others.

    With one test this is purged k-fold cross-validation, with more the combinatorial one.
    """
    if not 0 < tests < groups:
        raise ValueError(f"tests = {tests} must be from 1 to under groups = {groups}")
    edges = _edges(size, groups)
    found = []
    for chosen in combinations(range(groups), tests):
        is_free = np.ones(size, bool)
        for group in chosen:
            is_free[max(0, int(edges[group]) - purge) : int(edges[group + 1]) + embargo] = False
        if not is_free.any():
            raise ValueError("purge and embargo leave nothing to choose on; take fewer groups, or shorten them")
        tested = np.concatenate([np.arange(edges[group], edges[group + 1]) for group in chosen])
        found.append(Fold(np.flatnonzero(is_free), tested, chosen))
    return found


def paths(groups: int, tests: int) -> list[list[int]]:
    """The whole histories that combinatorial folds make: of each path, for each group, the number of the fold that tests it."""
    by_group: list[list[int]] = [[] for _ in range(groups)]
    for number, chosen in enumerate(combinations(range(groups), tests)):
        for group in chosen:
            by_group[group].append(number)
    return [[by_group[group][path] for group in range(groups)] for path in range(comb(groups - 1, tests - 1))]


def group_days(size: int, groups: int) -> list[Days]:
    """The days of each group."""
    edges = _edges(size, groups)
    return [np.arange(a, b) for a, b in pairwise(edges.tolist())]


def _edges(size: int, count: int) -> Days:
    if size < 2 * count:
        raise ValueError(f"{size} days are too few for {count} spans; take fewer")
    return np.linspace(0, size, count + 1).round().astype(np.int64)
