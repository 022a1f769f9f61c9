"""The tally of trials: every trial ever made of a strategy on a tape, over all studies, also of those that were deleted.

The best of many looks good by luck; how good, is told by how many there were and how far they lay apart. A trial that is
repeated counts once. It is one small database that lives beside the studies.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trader.core.history import Floats

TABLE = """
create table if not exists trial (
    tape text not null, strategy text not null, trial text not null, sharpe real, days integer not null, study text not null,
    primary key (tape, strategy, trial)
) strict, without rowid
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """How many trials were made, on this tape and on any; the variance of their Sharpe ratios per day on this one."""

    here: int
    anywhere: int
    variance: float | None


class Tally:
    """The tally in a file."""

    def __init__(self, file: Path, *, tape: str, strategy: str, study: str) -> None:
        self.file, self.tape, self.strategy, self.study = file, tape, strategy, study

    def note(self, trials: Iterable[tuple[str, Floats]]) -> None:
        """Count trials, each with what identifies it and its returns per day."""
        rows = [
            (self.tape, self.strategy, trial, sharpe(gains), len(gains), self.study) for trial, gains in trials
        ]  # fmt: skip
        with closing(self._opened()) as base, base:
            base.executemany("insert or ignore into trial values (?, ?, ?, ?, ?, ?)", rows)

    def tried(self) -> Tried:
        """What was tried so far."""
        with closing(self._opened()) as base:
            ratios = base.execute(
                "select sharpe from trial where tape = ? and strategy = ?", (self.tape, self.strategy)
            ).fetchall()
            (anywhere,) = base.execute("select count(*) from trial where strategy = ?", (self.strategy,)).fetchone()
        known = np.asarray([ratio for (ratio,) in ratios if ratio is not None], np.float64)
        return Tried(len(ratios), int(anywhere), float(known.var(ddof=1)) if len(known) > 1 else None)

    def _opened(self) -> sqlite3.Connection:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(self.file, timeout=30)
        base.execute("pragma journal_mode = wal")
        base.execute(TABLE)
        return base


def sharpe(gains: Floats) -> float | None:
    """The Sharpe ratio per period; None where the returns never move."""
    spread = float(gains.std(ddof=1)) if len(gains) > 1 else 0.0
    return float(gains.mean()) / spread if spread > 1e-14 else None
