"""Searching the parameters of a backtest from the command line."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader.cli_backtest import check_kinds, progress_on, tape_of, write_report
from trader.cli_shared import CODES
from trader.output import NOT_READY, Failure, check_writable, plain, write

if TYPE_CHECKING:
    from backtests import Search, Swept, Tape
    from backtests.space import Space
    from backtests.trial import Named
    from backtests.validation import Validated
    from trader.settings import Backtest
    from trader.sweep_settings import SweepChoice
    from trader.yaml_source import Document

TASTED = 20  # points whose strategies are built before anything is run


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=CODES)(sweep)
    app.command(epilog=CODES)(validate)


Config = Annotated[Path, typer.Argument(help="The YAML file of a backtest with a sweep: section.", show_default=False)]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes on this machine; as many as it has cores unless given.", show_default=False),
]
Folder = Annotated[
    Path | None,
    typer.Option(help="Keep the study here; studies/NAME unless the file says otherwise.", show_default=False),
]
Resume = Annotated[bool, typer.Option("--resume/--no-resume", help="Go on with a study that is there, or refuse to.")]
Address = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="A Dask scheduler, such as tcp://host:8786, instead of processes.",
        show_default=False,
    ),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write it as JSON; - is stdout.", show_default=False)
]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write it as an HTML page.", show_default=False)
]


def sweep(
    config: Config, workers: Workers = None, folder: Folder = None, resume: Resume = True, cluster: Address = None,
    json_file: JsonFile = None, report: Report = None,
) -> None:  # fmt: skip
    """Replay a strategy over a space of parameters, and say what the best of them is worth.

    A sweep that was killed goes on where it was; it refuses to go on with other data, assumptions or code. All rows are in
    results.parquet in the study's folder.

    \b
    Examples:
      trader sweep config/sweep.yaml
      trader sweep config/sweep.yaml --workers 2 --report sweep.html
      trader sweep config/sweep.yaml --json - | jq .verdict
      trader sweep config/sweep.yaml --cluster tcp://127.0.0.1:8786
    """
    asked = Asked(config, folder, resume=resume, files={"--json": json_file, "--report": report})
    with progress_on(asked.settings.strategy.name) as progress, executor_of(cluster) as executor:
        found = asked.run("explore", workers, executor, progress)
    told = sweep_json(asked, found)
    asked.tell(found, found, told, json_file=json_file, report=report)


def validate(
    config: Config, workers: Workers = None, folder: Folder = None, resume: Resume = True, cluster: Address = None,
    json_file: JsonFile = None, report: Report = None,
) -> None:  # fmt: skip
    """Sweep, then ask what the find is worth: walk-forward, purged and combinatorial cross-validation, Monte-Carlo.

    The parts are set by sweep.validation. What an earlier `trader sweep` or `trader validate` has finished is not done again.

    \b
    Examples:
      trader validate config/sweep.yaml
      trader validate config/sweep.yaml --report validation.html --json validation.json
    """
    asked = Asked(config, folder, resume=resume, files={"--json": json_file, "--report": report})
    with progress_on(f"{asked.settings.strategy.name} to validate it") as progress, executor_of(cluster) as executor:
        found = asked.run("validate", workers, executor, progress)
    told = sweep_json(asked, found.swept) | {"validation": found.as_dict()}
    asked.tell(found, found.swept, told, json_file=json_file, report=report)


class Asked:
    """What a file asks for, checked as a whole: strategy, tape, space and search. Raises Failure with the place."""

    def __init__(self, config: Path, folder: Path | None, *, resume: bool, files: dict[str, Path | None]) -> None:
        from trader.settings import SettingsError, load_backtest

        for option, path in files.items():
            check_writable(option, path)
        try:
            self.settings, self.document = load_backtest(config)
        except SettingsError as error:
            raise Failure(str(error)) from error
        if self.settings.sweep is None:
            raise Failure(f"{config}: sweep: is missing; write sweep: with space: below it, as config/sweep.yaml does")
        self.choice: SweepChoice = self.settings.sweep
        self.folder = Path(os.path.normpath(folder or self.choice.folder or Path("studies") / config.stem))
        if not resume and (self.folder / "manifest.json").exists():
            raise Failure(f"--no-resume: {self.folder} holds a study already; name another --folder, or delete it")
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))  # `module:Class` may be beside the user, as with `python -m`
        self.search: Search = search_of(self.choice, self.document)
        self.space: Space = space_of(self.choice, self.document)
        self.make: Named = make_of(self.settings, self.document, self.space)
        self.tape: Tape = tape_of(self.settings, self.document)
        self._taste()

    @property
    def assumed(self) -> dict[str, Any]:
        """What every replay assumes."""
        from backtests import Costs, Limits

        one = self.settings
        limits = None if one.limits is None else Limits(**one.limits.model_dump())
        return {
            "cash": one.cash, "costs": Costs(**one.costs.model_dump()), "latency": one.latency, "exits": one.exits, "limits": limits,
        }  # fmt: skip

    def run(self, what: str, workers: int | None, executor: object, progress: Callable[[float], None] | None) -> Any:  # noqa: ANN401 - a Swept or a Validated
        """Carry it out: `explore` or `validate`."""
        from backtests import Check, explore, validate
        from backtests.study import StudyError

        more: dict[str, Any] = self.assumed
        if what == "validate":
            more["check"] = Check(**self.choice.validation.model_dump())
        try:
            return (validate if what == "validate" else explore)(
                self.make, self.space, self.tape, search=self.search, workers=workers or os.cpu_count() or 1, executor=executor,
                folder=self.folder, tally=self.choice.tally, progress=progress, **more,
            )  # fmt: skip
        except StudyError as error:
            raise Failure(str(error), NOT_READY) from error
        except ImportError as error:
            raise Failure(f"{error}; install it: pip install 'signal-trader[optimise]'", NOT_READY) from error
        except ValueError as error:
            raise Failure(f"{self.document.where(('sweep',))} sweep: {error}") from error

    def tell(
        self,
        found: "Swept | Validated",
        swept: "Swept",
        told: dict[str, Any],
        *,
        json_file: Path | None,
        report: Path | None,
    ) -> None:
        """Print the summary and write the files; raises Failure where no trial went to the end."""
        if json_file is not None:
            write(json_file, json.dumps(plain(told), indent=2, allow_nan=False) + "\n")
        if report is not None:
            write_report(found, report)
        out = sys.stderr if str(json_file) == "-" else sys.stdout
        print(found.summary(), file=out)
        for path in (self.folder / "results.parquet", report, json_file):
            if path is not None and str(path) != "-" and path.exists():
                print(f"wrote {path}", file=out)
        if "done" not in swept.states:
            raise Failure(f"no trial went to the end; the first: {swept.frame['error'].iloc[0]}")

    def _taste(self) -> None:
        """Build the strategies of a few points, before hours are spent: some may be refused, but not all of them."""
        from strategies import StrategyLoadError

        refused: StrategyLoadError | None = None
        built = []
        for point in islice(self.space.random(min(TASTED, self.space.size or TASTED), 0), TASTED):
            try:
                built.append(self.make(**self.space.values(point)))
            except StrategyLoadError as error:
                refused = error
        if not built:
            raise Failure(
                f"{self.document.where(('sweep', 'space'))} sweep.space: no point of it makes a strategy: {refused}"
            )
        for strategy in built:
            check_kinds(self.settings, self.document, strategy, self.tape)


def search_of(choice: "SweepChoice", document: "Document") -> "Search":
    """How the space of a file is searched."""
    from backtests import Search

    one = choice
    try:
        return Search(one.method, one.runs, one.seed, one.objectives, one.batch, one.pruning, one.pieces)
    except ValueError as error:
        key = "objectives" if "objective" in str(error) else "method"
        raise Failure(f"{document.where(('sweep', key))} sweep.{key}: {error}") from error


def space_of(choice: "SweepChoice", document: "Document") -> "Space":
    """The space of a file."""
    from backtests.space import Range, Space

    axes: dict[str, Any] = {}
    for name, given in choice.space.items():
        try:
            axes[name] = (
                Range(given["from"], given["to"], given.get("step"), given.get("log", False))
                if isinstance(given, dict)
                else given
            )
            Space({name: axes[name]})
        except ValueError as error:
            raise Failure(f"{document.where(('sweep', 'space', name))} sweep.space.{name}: {error}") from error
    return Space(axes)


def make_of(settings: "Backtest", document: "Document", space: "Space") -> "Named":
    """How its strategies are built; names in the space must be parameters."""
    import dataclasses

    from backtests.trial import Named
    from strategies import StrategyLoadError
    from strategies.loading import find
    from trader.setting_values import near

    chosen = settings.strategy
    try:
        found = find(chosen.name)
    except StrategyLoadError as error:
        raise Failure(f"{document.where(('strategy', 'name'))} strategy.name: {error}") from error
    names = [field.name for field in dataclasses.fields(found) if field.init]
    for name in space.axes:
        if name not in names:
            raise Failure(
                f"{document.where(('sweep', 'space', name))} sweep.space.{name}: {chosen.name} has no such parameter; "
                f"{near(name, names)}allowed are {', '.join(names)}"
            )
    fixed = {key: value for key, value in chosen.parameters.items() if key not in space.axes}
    return Named(chosen.name, fixed)


@contextmanager
def executor_of(cluster: str | None) -> Iterator[object]:
    """A client of the cluster while it is used, or nothing."""
    if cluster is None:
        yield None
        return
    try:
        from backtests.cluster import ClusterError, client_of
    except ImportError as error:
        raise Failure(f"{error}; install it: pip install 'signal-trader[distributed]'", NOT_READY) from error
    try:
        with client_of(cluster) as client:
            yield client
    except ClusterError as error:
        raise Failure(f"--cluster {cluster}: {error}", NOT_READY) from error


def sweep_json(asked: Asked, found: "Swept") -> dict[str, Any]:
    """A sweep for machines, version 1 of its layout (docs/sweeps.md)."""
    from trader import __version__

    verdict = found.verdict()
    told = None if verdict.overfitting is None else {
        "probability": verdict.overfitting.probability, "loss": verdict.overfitting.loss, "kept": verdict.overfitting.kept,
        "splits": len(verdict.overfitting.logits),
    }  # fmt: skip
    return {
        "version": 1,
        "trader": __version__,
        "folder": str(asked.folder),
        "strategy": {"name": asked.make.name, "parameters": asked.make.parameters},
        "search": asked.search.told() | {"runs": len(found.frame), "objectives": found.objectives},
        "states": {state: found.states.count(state) for state in ("done", "failed", "pruned")},
        "fresh": found.fresh,
        "seconds": found.seconds,
        "finalists": [
            {"parameters": found.parameters(place), "stats": _stats(found, place)} for place in found.finalists if found.best is not None
        ],
        "neighbours": [asdict(one) for one in found.neighbours()],
        "stability": found.stability(),
        "verdict": {
            "text": verdict.text, "overfitting": told, "deflated_sharpe": verdict.deflated, "trials": verdict.trials,
            "tried": None if verdict.tried is None else asdict(verdict.tried),
        },
    }  # fmt: skip


def _stats(found: "Swept", place: int) -> dict[str, Any]:
    row = found.frame.iloc[place].to_dict()
    return {str(name): value for name, value in row.items() if name not in found.space.axes and name != "error"}
