"""Points that Optuna proposes: a tree of Parzen estimators, with one objective or several, and pruning.

Points come in batches, and a batch depends on the batches before it and on the seed alone, not on who did the work or how fast:
a study that was killed proposes the same points again. The study's own database is the truth; Optuna's journal beside it is made
from it at each start, for its dashboard and to hold what Optuna needs.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from backtests.spans import Span
from backtests.study import DONE, FAILED, PRUNED, Trial
from backtests.trial import Job, Row

if TYPE_CHECKING:
    from backtests.search import Plan, Search
    from backtests.space import Axis, Point, Space
    from backtests.work import Work

STATES = {DONE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}


def optimise(work: Work) -> None:
    """Go through the batches that are not finished yet."""
    search = work.plan.search
    runs, batch = search.runs or 0, search.batch
    there = {one.number: one for one in work.study.trials()}
    begin = 0
    while begin < runs and all(number in there for number in range(begin, min(begin + batch, runs))):
        begin += batch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if begin >= runs:
            return
        memory = _memory(work, search)
        for number in range(begin):
            memory.add_trial(_told(there[number], work.plan.space, search))
        while begin < runs:
            turn = Turn(work, memory, begin)
            turn.go(min(batch, runs - begin), {number: one for number, one in there.items() if number >= begin})
            begin += batch


class Turn:
    """One batch: ask for its points, do them, tell what came of them."""

    def __init__(self, work: Work, memory: optuna.Study, begin: int) -> None:
        self.work, self.search, self.memory, self.begin = work, work.plan.search, memory, begin
        self.done: dict[int, Trial] = {}
        self.points: dict[int, Point] = {}
        self.parts: dict[int, list[float]] = {}

    def go(self, count: int, there: dict[int, Trial]) -> None:
        """Do what of the batch is not there yet."""
        self.memory.sampler = _sampler(self.search, self.begin)
        asked = {number: self.memory.ask() for number in range(self.begin, self.begin + count)}
        self.points = {number: _asked(trial, self.work.plan.space) for number, trial in asked.items()}
        self.parts = {number: list(there[number].parts) if number in there else [] for number in asked}
        self.done = {number: one for number, one in there.items() if number in asked}
        alive = list(asked)
        if self.search.pruning is not None:
            for piece in range(1, self.search.pieces):
                alive = self._pruned(alive, asked, piece)
        for rows in self.work.crew.rows(self._job(number) for number in alive if number not in self.done):
            self._keep([self._trial(row, DONE) for row in rows])
        for number, trial in asked.items():
            values = _values(self.done[number], self.search)
            state = (
                STATES[self.done[number].state]
                if values is not None or self.done[number].state != DONE
                else TrialState.FAIL
            )
            self.memory.tell(trial, values if state is TrialState.COMPLETE else None, state=state)

    def _pruned(self, alive: list[int], asked: dict[int, optuna.Trial], piece: int) -> list[int]:
        """Replay the first pieces of the tape and give up what does badly there."""
        span = _span(self.work.plan, piece)
        rows: dict[int, Row] = {}
        for some in self.work.crew.rows(
            self._job(number, span) for number in alive if number not in self.done and len(self.parts[number]) < piece
        ):
            rows |= {row.number: row for row in some}
        bad = [number for number in alive if self._is_failed(number, piece, rows)]
        figures: dict[int, float] = {}
        for number in alive:
            if number in bad:
                continue
            if number in rows:
                self.parts[number].append(_figure(rows[number].stats, self.search.objectives[0]))
            figures[number] = self.parts[number][piece - 1]
            asked[number].report(figures[number], piece)
        gone = [number for number in figures if self._is_behind(number, figures, asked[number])]
        self._keep([self._trial(rows[number], FAILED) for number in bad if number not in self.done])
        self._keep([self._trial(rows[number], PRUNED) for number in gone if number not in self.done])
        return [number for number in figures if number not in gone]

    def _is_failed(self, number: int, piece: int, rows: dict[int, Row]) -> bool:
        if number in rows:
            return rows[number].error is not None
        return number in self.done and len(self.parts[number]) < piece

    def _is_behind(self, number: int, figures: dict[int, float], trial: optuna.Trial) -> bool:
        if self.search.pruning == "median":
            return trial.should_prune()
        known = {one: -math.inf if math.isnan(figure) else figure for one, figure in figures.items()}
        order = sorted(known, key=lambda one: (-known[one], one))  # not defined, as without a trade, is behind all
        return number in order[(len(order) + 1) // 2 :]

    def _job(self, number: int, span: Span | None = None) -> Job:
        return Job(number, self.work.plan.space.values(self.points[number]), span or self.work.plan.span)

    def _trial(self, row: Row, state: str) -> Trial:
        state = state if row.error is None else FAILED
        kept = row if state != PRUNED else Row(row.number, None, None, row.returns, row.seconds)
        return Trial(row.number, self.points[row.number], state, kept, tuple(self.parts[row.number]))

    def _keep(self, trials: list[Trial]) -> None:
        if trials:
            self.work.keep(trials)
            self.done |= {one.number: one for one in trials}
            self.work.tell(self.work.before + self.work.fresh, self.search.runs or 0)


def _memory(work: Work, search: Search) -> optuna.Study:
    storage: BaseStorage = InMemoryStorage()
    if work.study.folder is not None:
        file = work.study.folder / "optuna.journal"
        file.unlink(missing_ok=True)
        storage = JournalStorage(JournalFileBackend(str(file)))
    pruner = optuna.pruners.MedianPruner() if search.pruning == "median" else optuna.pruners.NopPruner()
    return optuna.create_study(
        storage=storage, directions=["maximize"] * len(search.objectives), pruner=pruner, study_name="sweep"
    )


def _sampler(search: Search, begin: int) -> optuna.samplers.TPESampler:
    return optuna.samplers.TPESampler(
        seed=int(np.random.default_rng([search.seed, begin]).integers(2**31)), multivariate=True
    )


def _asked(trial: optuna.Trial, space: Space) -> Point:
    point: Point = {}
    for name, axis in space.axes.items():
        found = trial._suggest(name, _distribution(axis))  # noqa: SLF001 - suggest_* would repeat what the distribution says
        point[name] = _place(axis, found)
    return point


def _distribution(axis: Axis) -> optuna.distributions.BaseDistribution:
    """Ordered values as whole numbers, so that near is near; log ones by their value; others as a choice."""
    if axis.values is None:
        return optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.log)
    if axis.log:
        return optuna.distributions.IntDistribution(int(axis.low), int(axis.high), log=True)
    if axis.is_ordered:
        return optuna.distributions.IntDistribution(0, len(axis.values) - 1)
    return optuna.distributions.CategoricalDistribution(tuple(range(len(axis.values))))


def _place(axis: Axis, found: Any) -> int | float:  # noqa: ANN401 - as Optuna has it
    if axis.values is None:
        return float(found)
    return int(found) - int(axis.low) if axis.log else int(found)


def _told(one: Trial, space: Space, search: Search) -> optuna.trial.FrozenTrial:
    """A finished trial as Optuna would have it in memory."""
    values = _values(one, search)
    state = STATES[one.state] if values is not None or one.state != DONE else TrialState.FAIL
    params = {
        name: one.point[name] + int(axis.low) if axis.log and axis.values is not None else one.point[name]
        for name, axis in space.axes.items()
    }
    return optuna.trial.create_trial(
        state=state, values=values if state is TrialState.COMPLETE else None, params=params,
        distributions={name: _distribution(axis) for name, axis in space.axes.items()},
        intermediate_values=dict(enumerate(one.parts, start=1)),
    )  # fmt: skip


def _values(one: Trial, search: Search) -> list[float] | None:
    """The objectives, turned so that more is better; None where one is not defined."""
    if one.state != DONE:
        return None
    found = [_figure(one.row.stats, name) for name in search.objectives]
    return found if all(np.isfinite(found)) else None


def _figure(stats: dict[str, Any] | None, objective: str) -> float:
    assert stats is not None
    found = float(stats[objective.removeprefix("-")])
    return -found if objective.startswith("-") else found


def _span(plan: Plan, piece: int) -> Span:
    """The first pieces of the time."""
    closes = plan.tape.closes_ns
    begin_ns = int(plan.tape.opens_ns[0]) if plan.span is None else plan.span.begin_ns
    end_ns = int(closes[-1]) if plan.span is None else plan.span.end_ns
    inside = closes[(closes > begin_ns) & (closes <= end_ns)]
    return Span(begin_ns, int(inside[max(len(inside) * piece // plan.search.pieces, 1) - 1]))
