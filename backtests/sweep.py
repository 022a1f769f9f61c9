"""Many replays over a space of parameters: every point, points by lot, or points that Optuna proposes.

The notebook's face of a study: `sweep` gives the rows as a frame, `explore` all that can be asked of them. It plugs together
who does the trials (crew), where they are kept (study, tally), and which are next; it decides nothing about a trial.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtests import mapped
from backtests.crew import Alone, Crew, Processes, check_importable
from backtests.results import Swept
from backtests.space import Point, Range, Space, told
from backtests.study import DONE, FAILED, Study, Trial, code_of, digest, name_of
from backtests.tally import Tally
from backtests.trial import Bench, Job, Named, Row, Setting

if TYPE_CHECKING:
    import pandas as pd

    from backtests.tape import Tape

METHODS = ("grid", "random", "optuna")


@dataclass(frozen=True, slots=True)
class Search:
    """How a space is searched. objectives: names of stats, `-name` for as little as possible.

    runs: of random and optuna. batch, pruning, pieces: of optuna, see `optimise.py`.
    """

    method: str = "grid"
    runs: int | None = None
    seed: int = 0
    objectives: tuple[str, ...] = ("sharpe",)
    batch: int = 16
    pruning: str | None = None
    pieces: int = 4

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method = {self.method!r} is unknown; allowed are {', '.join(METHODS)}")
        if self.method != "grid" and (self.runs is None or self.runs < 1):
            raise ValueError(f"method {self.method} needs runs = a number from 1 up")
        if not self.objectives:
            raise ValueError("objectives: name at least one figure, such as sharpe")

    def told(self) -> dict[str, Any]:
        """What identifies the search; more runs of the same are a continuation."""
        if self.method == "optuna":
            more = {key: getattr(self, key) for key in ("batch", "pruning", "pieces")}
            return {"method": self.method, "seed": self.seed, "objectives": list(self.objectives), **more}
        return {"method": self.method, **({"seed": self.seed} if self.method == "random" else {})}


def sweep(
    strategy: Callable[..., Any], grid: Mapping[str, Iterable[Any] | Range], tape: Tape, *, workers: int = 1,
    progress: Callable[[float], None] | None = None, method: str = "grid", runs: int | None = None, seed: int = 0,
    folder: str | Path | None = None, executor: Any = None, **assumed: Any,  # noqa: ANN401  # a Dask client; what replay takes
) -> pd.DataFrame:  # fmt: skip
    """Replay the strategy at many points of a space: one row each, its parameters and its stats, in the order of the points.

    grid: lists of values or `Range`s by parameter. method: grid, random or optuna, the latter two with `runs`. workers:
    processes on this machine; executor: a `dask.distributed.Client` instead. folder: keep the study there and go on where it
    was. assumed: what `replay` takes (cash, costs, latency, exits, limits). A run that fails is a row with its `error`; a
    strategy that cannot be built raises before anything is run where every point is known.
    """
    space = Space(grid)
    if method == "grid":
        for point in space.grid():
            strategy(**space.values(point))
    search = Search(method, runs, seed)
    return explore(
        strategy,
        space,
        tape,
        search=search,
        workers=workers,
        executor=executor,
        folder=folder,
        progress=progress,
        **assumed,
    ).frame


def explore(
    make: Callable[..., Any], space: Space, tape: Tape, *, search: Search, workers: int = 1, executor: Any = None,  # noqa: ANN401
    folder: str | Path | None = None, tally: str | Path | None = None, progress: Callable[[float], None] | None = None,
    **assumed: Any,  # noqa: ANN401
) -> Swept:  # fmt: skip
    """The same with everything that can be asked of the rows; a point that the strategy refuses is a row with its error.

    tally: the database in which every trial ever made is counted; beside the study's folder unless given.
    """
    folder = None if folder is None else Path(folder)
    tape_id = mapped.fingerprint(tape)
    name = name_of(make)
    fixed = make.parameters if isinstance(make, Named) else {}
    manifest = {
        "tape": tape_id, "strategy": {"name": name, "parameters": told(fixed)}, "assumed": _plain(assumed),
        "space": space.told(), "search": search.told(), "code": code_of(make),
    }  # fmt: skip
    if tally is None and folder is not None:
        tally = folder.parent / "trials.sqlite"
    counted = None if tally is None else Tally(Path(tally), tape=tape_id, strategy=name, study=str(folder or ""))
    with ExitStack() as stack:
        study = stack.enter_context(Study(folder, manifest))
        crew = crew_of(Setting(make, assumed), tape, workers=workers, executor=executor, stack=stack, folder=folder)
        work = Work(study, space, crew, counted, digest([manifest["strategy"], manifest["assumed"]]), progress)
        work.before = len(study.finished())
        if search.method == "optuna":
            from backtests.optimise import optimise  # noqa: PLC0415 - an extra

            optimise(work, search, tape)
        else:
            points = space.grid() if search.method == "grid" else space.random(search.runs or 0, search.seed)
            total = space.size if search.method == "grid" else search.runs
            work.go_through(points, total or 0)
        work.recount()
        return Swept.of(
            study, space, search.objectives, tried=None if counted is None else counted.tried(), fresh=work.fresh
        )


def crew_of(
    setting: Setting, tape: Tape, *, workers: int, executor: Any, stack: ExitStack, folder: Path | None = None,  # noqa: ANN401
) -> Crew:  # fmt: skip
    """Who does the trials; let go when the stack ends."""
    crew: Crew
    if executor is not None:
        from backtests.cluster import Cluster  # noqa: PLC0415 - an extra

        crew = Cluster(executor, tape, setting)
    elif workers <= 1:
        crew = Alone(Bench(tape, setting))
    else:
        check_importable(setting.make)
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trader-sweep-")))
        file = mapped.write(tape, folder / "tape.map")
        stack.callback(file.unlink, missing_ok=True)
        crew = Processes(file, setting, workers)
    stack.callback(crew.close)
    return crew


@dataclass
class Work:
    """A study under way: hands jobs to the crew and keeps what comes back."""

    study: Study
    space: Space
    crew: Crew
    tally: Tally | None
    salt: str
    progress: Callable[[float], None] | None = None
    fresh: int = 0
    before: int = 0
    _points: dict[int, Point] = field(default_factory=dict)

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
                yield Job(number, self.space.values(point))

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
            named = (
                (digest([self.salt, told(self.space.values(one.point))]), one.row.gains)
                for one in trials
                if one.row.returns
            )
            self.tally.note(named)


def _state(row: Row) -> str:
    return DONE if row.error is None else FAILED


def _plain(assumed: Mapping[str, Any]) -> Any:  # noqa: ANN401 - plain JSON
    return {
        key: asdict(value) if is_dataclass(value) and not isinstance(value, type) else told(value)
        for key, value in sorted(assumed.items())
    }


__all__ = ["Search", "Swept", "explore", "sweep"]
