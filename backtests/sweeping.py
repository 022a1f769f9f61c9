"""Many replays over a space of parameters: every point, points by lot, or points that Optuna proposes.

The notebook's face of a study: `sweep` gives the rows as a frame, `explore` all that can be asked of them. It plugs together
who does the trials (crew), where they are kept (study, tally), and which are next; it decides nothing about a trial.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtests import shared
from backtests.crew import Alone, Crew, Processes, check_importable
from backtests.results import Swept
from backtests.search import Plan, Search
from backtests.space import Range, Space
from backtests.study import Study
from backtests.tally import Tally
from backtests.trial import Bench, Setting
from backtests.work import Work

if TYPE_CHECKING:
    import pandas as pd

    from backtests.tape import Tape


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
    make: Callable[..., Any], space: Space | Mapping[str, Range | Iterable[Any]], tape: Tape, *, search: Search, workers: int = 1, executor: Any = None,  # noqa: ANN401
    folder: str | Path | None = None, tally: str | Path | None = None, progress: Callable[[float], None] | None = None,
    **assumed: Any,  # noqa: ANN401
) -> Swept:  # fmt: skip
    """The same with everything that can be asked of the rows; a point that the strategy refuses is a row with its error.

    tally: the database in which every trial ever made is counted; beside the study's folder unless given.
    """
    plan = Plan(make, Space.of(space), tape, search, assumed)
    folder = None if folder is None else Path(folder)
    with ExitStack() as stack:
        study = stack.enter_context(Study(folder, plan.manifest()))
        crew = crew_of(Setting(make, assumed), tape, workers=workers, executor=executor, stack=stack, folder=folder)
        return carry_out(plan, study, crew, tally=tally_of(plan, folder, tally), progress=progress)


def carry_out(
    plan: Plan, study: Study, crew: Crew, *, tally: Tally | None = None, progress: Callable[[float], None] | None = None
) -> Swept:
    """Have the crew do what the study lacks, and read what it has."""
    work, search = Work(plan, study, crew, tally, progress), plan.search
    if search.method == "optuna":
        from backtests.optimise import optimise  # noqa: PLC0415 - an extra

        optimise(work)
    elif search.method == "grid":
        work.go_through(plan.space.grid(), plan.space.size or 0)
    else:
        work.go_through(plan.space.random(search.runs or 0, search.seed), search.runs or 0)
    work.recount()
    return Swept.of(
        study, plan.space, search.objectives, tried=None if tally is None else tally.tried(), fresh=work.fresh
    )


def tally_of(plan: Plan, folder: Path | None, file: str | Path | None = None) -> Tally | None:
    """Where trials are counted: in a file, or beside the folder of the study; nowhere without either."""
    if file is None and folder is None:
        return None
    place = Path(file) if file is not None else Path(str(folder)).parent / "trials.sqlite"
    return Tally(place, tape=plan.tape_id, strategy=plan.name, study=str(folder or ""))


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
        file = shared.write(tape, folder / "tape.map")
        stack.callback(file.unlink, missing_ok=True)
        crew = Processes(file, setting, workers)
    stack.callback(crew.close)
    return crew


__all__ = ["Search", "Swept", "explore", "sweep"]
