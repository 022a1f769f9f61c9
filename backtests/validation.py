"""Validation of a sweep: walk-forward, purged cross-validation, the combinatorial one, and Monte-Carlo, all by one crew.

The sweep itself is the first part; what its study and those of the folds have finished is not done again. It plugs parts
together; what each figure means is said where it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests import metrics
from backtests.chance import Order, Spread, refill, reorder
from backtests.crossval import CrossValidation, cross_validate
from backtests.folds import walk
from backtests.metrics import YEAR_NS
from backtests.search import Plan, Search
from backtests.space import Range, Space
from backtests.spans import Span
from backtests.study import Study
from backtests.sweeping import carry_out, crew_of, tally_of
from backtests.trial import Job, Setting, days_of, played
from trader.core.instants import DAY, duration, from_ns

if TYPE_CHECKING:
    from backtests.crew import Crew
    from backtests.results import Swept
    from backtests.tally import Tally
    from backtests.tape import Tape
    from trader.core.history import Floats

FIGURES = ("total_return", "sharpe", "max_drawdown")


@dataclass(frozen=True, slots=True)
class Check:
    """How to validate. purge, embargo: durations, whole days count (whole bars where they are longer). slip: see `trial.Job`."""

    folds: int = 5
    anchored: bool = True
    groups: int = 8
    tests: int = 2
    purge: str = "7d"
    embargo: str = "7d"
    shuffles: int = 1000
    fills: int = 50
    slip: float = 0.25

    def gaps(self, row_ns: int = DAY) -> dict[str, int]:
        """The purge and the embargo in rows of returns, begun ones counted."""
        return {"purge": -(-duration(self.purge) // row_ns), "embargo": -(-duration(self.embargo) // row_ns)}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a walk: chosen on one span with this figure, tested on the next, started flat with the past known."""

    chosen_on: tuple[str, str]
    tested_on: tuple[str, str]
    parameters: dict[str, Any]
    inside: float
    outside: float
    total_return: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk-forward: its steps, and the tested spans put together. kept: mean figure tested over mean figure chosen by."""

    anchored: bool
    objective: str
    steps: list[Step]
    sharpe: float
    total_return: float
    max_drawdown: float
    kept: float
    gains: Floats = field(repr=False)


@dataclass
class Validated:
    """A sweep and what its find is worth. A part that could not be asked is None, with the reason in `missing`."""

    swept: Swept
    check: Check
    walks: list[Walk]
    purged: CrossValidation | None
    combinatorial: CrossValidation | None
    order: Order | None
    fills: list[Spread]
    missing: list[str]

    def as_dict(self) -> dict[str, Any]:
        """All but the sweep as plain data."""
        walks = [{key: value for key, value in asdict(one).items() if key != "gains"} for one in self.walks]
        crossed = {
            name: None if one is None else asdict(one) | {"inside": one.inside, "outside": one.outside}
            for name, one in (("purged", self.purged), ("combinatorial", self.combinatorial))
        }
        return {
            "check": asdict(self.check), "walk_forward": walks, **crossed, "order": None if self.order is None else asdict(self.order),
            "fills": [asdict(one) for one in self.fills], "missing": self.missing,
        }  # fmt: skip

    def summary(self) -> str:
        """The sweep's summary and what validation adds, in words."""
        from backtests.validation_page import lines  # noqa: PLC0415 - only who prints needs it

        return "\n".join([self.swept.summary(), "", *lines(self)])

    def _repr_html_(self) -> str:
        """What a notebook shows: the page, in a frame of its own."""
        from backtests.page import framed  # noqa: PLC0415
        from backtests.validation_page import render  # noqa: PLC0415

        return framed(render(self))

    def report(self, path: str | Path) -> Path:
        """Write it as one self-contained page; raises ReportError."""
        from backtests.report import write_page  # noqa: PLC0415
        from backtests.validation_page import render  # noqa: PLC0415

        return write_page(render(self), path)


def validate(
    make: Callable[..., Any], space: Space | Mapping[str, Range | Iterable[Any]], tape: Tape, *, search: Search, check: Check | None = None, workers: int = 1,
    executor: Any = None, folder: str | Path | None = None, tally: str | Path | None = None,  # noqa: ANN401
    progress: Callable[[float], None] | None = None, **assumed: Any,  # noqa: ANN401
) -> Validated:  # fmt: skip
    """Sweep, then validate what was found; the arguments of `explore`, and what to check."""
    check = check or Check()
    plan = Plan(make, Space.of(space), tape, search, assumed)
    folder = None if folder is None else Path(folder)
    parts = _parts(progress, 1 + 2 * check.folds)
    missing: list[str] = []
    row_ns = _row_ns(tape)
    with ExitStack() as stack:
        study = stack.enter_context(Study(folder, plan.manifest()))
        crew = crew_of(Setting(make, assumed), tape, workers=workers, executor=executor, stack=stack, folder=folder)
        counted = tally_of(plan, folder, tally)
        swept = carry_out(plan, study, crew, tally=counted, progress=next(parts))
        walks = []
        for anchored in (check.anchored, not check.anchored):
            try:
                walks.append(
                    walk_forward(plan, crew, check, anchored=anchored, folder=folder, tally=counted, parts=parts)
                )
            except ValueError as error:
                missing.append(f"walk-forward ({'anchored' if anchored else 'rolling'}): {error}")
        crossed: list[CrossValidation | None] = []
        for tests in (1, check.tests):
            try:
                crossed.append(
                    cross_validate(swept.gains, check.groups, tests=tests, **check.gaps(row_ns), per_year=YEAR_NS / row_ns)
                )  # fmt: skip
            except ValueError as error:
                crossed.append(None)
                missing.append(f"cross-validation with {tests} tested: {error}")
        order, fills = _by_chance(plan, crew, swept, check)
    return Validated(swept, check, walks, crossed[0], crossed[1], order, fills, missing)


def walk_forward(
    plan: Plan, crew: Crew, check: Check, *, anchored: bool, folder: Path | None = None, tally: Tally | None = None, parts: Any = None,  # noqa: ANN401
) -> Walk:  # fmt: skip
    """Search anew on each span of the past, then replay the best on the span after it."""
    ends, row_ns = days_of(plan.tape), _row_ns(plan.tape)
    opens = np.concatenate(([plan.tape.opens_ns[0]], ends[:-1]))
    folds = walk(len(ends), check.folds, anchored=anchored, purge=check.gaps(row_ns)["purge"])
    chosen: list[tuple[Span, Span, Swept]] = []
    for number, fold in enumerate(folds):
        past, future = (Span(int(opens[days[0]]), int(ends[days[-1]])) for days in (fold.chosen_on, fold.tested))
        part = Plan(plan.make, plan.space, plan.tape, plan.search, plan.assumed, past)
        name = f"{'anchored' if anchored else 'rolling'}-{number + 1}-of-{len(folds)}"
        with Study(None if folder is None else folder / "walk" / name, part.manifest()) as study:
            progress = None if parts is None else next(parts)
            chosen.append((past, future, carry_out(part, study, crew, tally=tally, progress=progress)))
    jobs = [
        Job(number, swept.parameters(swept.best), future)
        for number, (_, future, swept) in enumerate(chosen)
        if swept.best is not None
    ]
    rows = {row.number: row for some in crew.rows(jobs) for row in some}
    steps, gains = [], []
    objective = plan.search.objectives[0]
    for number, (past, future, swept) in enumerate(chosen):
        row = rows.get(number)
        stats = None if row is None else row.stats
        if row is None or stats is None:  # nothing was chosen, or it failed: the money stays where it is
            gains.append(np.zeros(len(folds[number].tested)))
            why = "no trial went to the end" if row is None else row.error
            steps.append(Step(_told(past), _told(future), {}, float("nan"), float("nan"), 0.0, why))
            continue
        gains.append(row.gains)
        best = swept.best or 0
        column = objective.removeprefix("-")
        steps.append(
            Step(
                _told(past), _told(future), swept.parameters(best), float(swept.frame[column].iloc[best]), float(stats[column]),
                float(stats["total_return"]),
            )
        )  # fmt: skip
    return _walked(steps, np.concatenate(gains), row_ns, anchored=anchored, objective=objective)


def _walked(steps: list[Step], gains: Floats, row_ns: int, *, anchored: bool, objective: str) -> Walk:
    equity = np.cumprod(1 + gains).astype(np.float64)
    closes = (np.arange(len(equity), dtype=np.int64) + 1) * row_ns
    found = metrics.measure(equity, closes, row_ns, cash_start=1.0)
    inside, outside = (
        np.asarray([getattr(one, side) for one in steps if one.error is None]) for side in ("inside", "outside")
    )
    mean = float(inside.mean()) if len(inside) else 0.0
    kept = float(outside.mean()) / mean if mean > 0 else float("nan")
    return Walk(
        anchored=anchored, objective=objective, steps=steps, sharpe=found["sharpe"], total_return=found["total_return"],
        max_drawdown=found["max_drawdown"], kept=kept, gains=gains,
    )  # fmt: skip


def _by_chance(plan: Plan, crew: Crew, swept: Swept, check: Check) -> tuple[Order | None, list[Spread]]:
    if swept.best is None:
        return None, []
    parameters = swept.parameters(swept.best)
    result = played(plan.make(**parameters), plan.tape, plan.assumed)
    figures = {name: float(result.stats[name]) for name in FIGURES}
    seed = plan.search.seed
    return (
        reorder(result, check.shuffles, seed),
        refill(crew, parameters, check.fills, slip=check.slip, seed=seed, figures=figures),
    )


def _row_ns(tape: Tape) -> int:
    """The time that a return stands for: a day, or a bar where bars are longer."""
    return max(DAY, tape.step_ns)


def _told(span: Span) -> tuple[str, str]:
    begin, end = (f"{from_ns(at):%Y-%m-%d}" for at in (span.begin_ns, span.end_ns - 1))
    return begin, end


def _parts(progress: Callable[[float], None] | None, count: int) -> Any:  # noqa: ANN401 - an endless iterator of callbacks
    """Progress of the whole from the progress of its parts."""
    number = 0
    while True:
        at = min(number, count - 1)
        yield None if progress is None else lambda share, at=at: progress((at + share) / count)
        number += 1
