"""A sweep under way: jobs go to the crew, and what comes back goes to the study and to the tally."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backtests.study import DONE, FAILED, Study, Trial
from backtests.trial import Job, Row

if TYPE_CHECKING:
    from backtests.crew import Crew
    from backtests.search import Plan
    from backtests.space import Point
    from backtests.tally import Tally


@dataclass
class Work:
    """A study under way: hands jobs to the crew and keeps what comes back."""

    plan: Plan
    study: Study
    crew: Crew
    tally: Tally | None = None
    progress: Callable[[float], None] | None = None
    fresh: int = 0
    before: int = 0  # trials that were finished when the work began
    _points: dict[int, Point] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = len(self.study.finished())

    def go_through(self, points: Iterable[Point], total: int) -> None:
        """Do all points that are not finished yet."""
        done = self.study.finished()
        count = len(done)
        for rows in self.crew.rows(self._jobs(points, done)):
            self.keep([Trial(row.number, self._points.pop(row.number), _state(row), row) for row in rows])
            count += len(rows)
            self.tell(count, total)

    def _jobs(self, points: Iterable[Point], done: set[int]) -> Iterator[Job]:
        for number, point in enumerate(points):
            if number not in done:
                self._points[number] = point
                yield Job(number, self.plan.space.values(point), self.plan.span)

    def keep(self, trials: list[Trial]) -> None:
        """Write finished trials, then count them."""
        self.study.write(trials)
        self.fresh += len(trials)
        self._count(trials)

    def tell(self, count: int, total: int) -> None:
        """Say how much is done."""
        if self.progress is not None:
            self.progress(count / max(total, 1))

    def recount(self) -> None:
        """Count what a killed process had written but not counted; who is counted already is not counted again."""
        if self.tally is not None and self.before:
            self._count(self.study.trials())

    def _count(self, trials: Iterable[Trial]) -> None:
        if self.tally is not None:
            named = ((self.plan.trial_id(one.point), one.row.gains) for one in trials if one.row.returns)
            self.tally.note(named)


def _state(row: Row) -> str:
    return DONE if row.error is None else FAILED
