"""Luck: how a result stands among replays in which the ratings say what they say of other assets, or of other days.

Given to other assets of the day, ratings lose what they know of assets; moved on in time, what they know of days. A result that as many of
either do as well owes nothing to it. Permuted are values only: who was rated when, and how often, stays as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from backtests.forecasts import CROWD
from backtests.retelling import given_away, rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backtests.retelling import Change
    from backtests.tape import Tape
    from trader.core.history import Arrivals

OTHER_ASSETS, OTHER_DAYS = "ratings given to other assets of the day", "ratings moved to other days"
LEAST = 0.1  # of the days that ratings are moved by, and that are left to the end


@dataclass(frozen=True, slots=True)
class Luck:
    """How the result stands among replays with the ratings given away: how many did as well, their median growth, and the p of that."""

    how: str
    trials: int
    better: int
    median: float
    p: float
    growths: tuple[float, ...] = field(default=(), repr=False)


def luck_of(tape: Tape, grow: Callable[[Tape], float], growth: float, *, permutations: int, seed: int) -> list[Luck]:
    """Both ways of giving ratings away, where the tape allows them; `grow` replays a tape and answers the growth of 1."""
    lot = np.random.default_rng(seed)
    found = []
    for how in ways(tape):
        grown = [grow(tape.retold(_change(how, lot))) for _ in range(permutations)]
        better = sum(one >= growth for one in grown)
        p = (better + 1) / (permutations + 1)
        found.append(Luck(how, permutations, better, float(np.median(grown)), p, tuple(grown)))
    return found


def ways(tape: Tape) -> list[str]:
    """How ratings of this tape can be given away: to assets, where some publication rates enough of them unlike; to days, where there are some."""
    rows = [*tape.panel.ratings.values(), *tape.panel.signals.values()]
    found = [OTHER_ASSETS] if any(_is_crowded(one) for one in rows) else []
    return [*found, OTHER_DAYS] if any(len(np.unique(one.value)) > 1 for one in rows) else found


def chance(found: Sequence[Luck]) -> float | None:
    """The least p of the ways, times their number: several were asked."""
    return min((min(one.p * len(found), 1.0) for one in found), default=None)


def _is_crowded(rows: Arrivals) -> bool:
    """Whether publications rate as many assets at once as a ranking needs, not all of them alike."""
    parts = np.split(rows.value, np.flatnonzero(np.diff(rows.known_ns)) + 1)
    return any(len(part) >= CROWD and np.ptp(part) > 0 for part in parts)


def _change(how: str, lot: np.random.Generator) -> Change:
    return given_away(lot) if how == OTHER_ASSETS else rotated(lot.uniform(LEAST, 1 - LEAST))
