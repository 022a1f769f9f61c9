"""The commands that replay: a backtest, and the audit of one."""

import difflib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader import cli_shared
from trader.cli_shared import CODES, progress_of
from trader.output import NOT_READY, Failure, backtest_json, check_writable, plain, write

if TYPE_CHECKING:
    from backtests import Audit, Result, Swept, Tape
    from backtests.validation import Validated
    from trader.core.view import Strategy
    from trader.settings import Backtest
    from trader.yaml_source import Document


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=CODES)(backtest)
    app.command(epilog=CODES)(audit)


def backtest(
    config: Annotated[Path, typer.Argument(help="The YAML file of the backtest.", show_default=False)],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the result as JSON here; - is stdout.", show_default=False),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write the HTML report here.", show_default=False)
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option(
            "--facts", metavar="FILE", help="Write every fact here, one JSON object per line.", show_default=False
        ),
    ] = None,
) -> None:
    """Replay a strategy on history and print what came of it.

    Progress goes to stderr, the summary to stdout. Files are written whole or not at all.

    \b
    Examples:
      trader backtest config/backtest.yaml
      trader backtest config/backtest.yaml --report backtest.html
      trader backtest config/backtest-rules.yaml --json - | jq .stats.total_return
      TRADER_COSTS__FEE=0.001 trader backtest config/backtest.yaml
    """
    from trader.settings import SettingsError, load_backtest

    try:
        settings, document = load_backtest(config)
    except SettingsError as error:
        raise Failure(str(error)) from error
    report = report or settings.report
    for option, path in (("--json", json_file), ("--report", report), ("--facts", facts)):
        check_writable(option, path)
    if str(json_file) == str(facts) == "-":
        raise Failure("--json - and --facts - would share stdout; give one of them a file")
    if str(report) == "-":
        raise Failure("--report -: the report is for a browser; name a file, such as backtest.html")
    strategy = strategy_of(settings, document)
    tape = tape_of(settings, document)
    result = _replayed(settings, document, strategy, tape)
    if json_file is not None:
        write(json_file, backtest_json(settings, config, result))
    if facts is not None:
        write(facts, "".join(json.dumps(plain(fact), allow_nan=False) + "\n" for fact in result.facts()))
    if report is not None:
        write_report(result, report)
    is_piped = "-" in {str(json_file), str(facts)}
    print(result.summary(), file=sys.stderr if is_piped else sys.stdout)
    for path in (report, json_file, facts):
        if path is not None and str(path) != "-":
            print(f"wrote {path}", file=sys.stderr if is_piped else sys.stdout)


def audit(
    config: Annotated[Path, typer.Argument(help="The YAML file of the backtest.", show_default=False)],
    permutations: Annotated[
        int, typer.Option(min=0, max=10_000, help="How often ratings are given away by lot, each way.")
    ] = 100,
    trials: Annotated[int, typer.Option(min=1, help="How many strategies were tried before this one was chosen.")] = 1,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            metavar="GRID",
            help="Also replay these parameters around it; they count as trials.",
            show_default=False,
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Print the long tables too.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write it as JSON; - is stdout.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write it as an HTML page.", show_default=False)
    ] = None,
) -> None:
    """Ask whether a backtest's result is real: what it owes to the delay assumed, to information, to luck and to costs.

    The same strategy is replayed with its ratings known on their own day (which is look-ahead), as given, and later; with the
    ratings given to other assets and days; and with other costs. The answer is one sentence with its reasons. A grid is
    written name=from:to:step or name=one|other, parted by commas.

    \b
    Examples:
      trader audit config/backtest.yaml
      trader audit config/backtest.yaml --sweep "enter=60:80:5,leave=30:50:10"
      trader audit config/backtest.yaml --permutations 500 --trials 40 --json audit.json
      trader audit config/backtest.yaml --report audit.html
    """
    from trader.settings import SettingsError, load_backtest

    try:
        settings, document = load_backtest(config)
    except SettingsError as error:
        raise Failure(str(error)) from error
    for option, path in (("--json", json_file), ("--report", report)):
        check_writable(option, path)
    found = _audited(settings, document, permutations=permutations, trials=trials, sweep=sweep)
    if json_file is not None:
        write(json_file, json.dumps(plain(found.as_dict()), indent=2) + "\n")
    if report is not None:
        write_report(found, report)
    print(found.summary(full=full), file=sys.stderr if str(json_file) == "-" else sys.stdout)


# Helpers


def strategy_of(settings: "Backtest", document: "Document") -> "Strategy":
    """The strategy of a file; raises Failure with its place."""
    from strategies import StrategyLoadError, load
    from trader.run_settings import strategy_place

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # `module:Class` may be beside the user, as with `python -m`
    chosen = settings.strategy
    try:
        return load(chosen.name, chosen.parameters)
    except StrategyLoadError as error:
        place = strategy_place(str(error), chosen.parameters)
        raise Failure(f"{document.where(place)} {'.'.join(place)}: {error}") from error


def tape_of(settings: "Backtest", document: "Document") -> "Tape":
    """The history of a file; raises Failure with its place."""
    from backtests import TapeError
    from backtests.choosing import choose

    data = settings.data
    try:
        return choose(
            data.sample, data.bars or (), ratings=data.ratings, signals=data.signals, instruments=data.instruments,
            delay=data.delay, columns=data.columns, since=data.since, until=data.until, assets=data.assets,
        )  # fmt: skip
    except TapeError as error:
        named = str(error).split(":", 1)[0].split(" ", 1)[0].split(".", 1)[0]
        raise Failure(f"{document.where(('data', named))} data: {error}") from error
    except ImportError as error:
        raise Failure(
            f"{error}; install what reads Parquet: pip install 'signal-trader[research]'", NOT_READY
        ) from error


def _replayed(settings: "Backtest", document: "Document", strategy: "Strategy", tape: "Tape") -> "Result":
    from backtests import Costs, Limits, TapeError, replay
    from backtests.replay import StrategyError

    check_kinds(settings, document, strategy, tape)
    try:
        costs = Costs(**settings.costs.model_dump())
        limits = None if settings.limits is None else Limits(**settings.limits.model_dump())
        with progress_on(settings.strategy.name) as progress:
            return replay(
                strategy, tape, cash=settings.cash, costs=costs, latency=settings.latency, exits=settings.exits,
                limits=limits, progress=progress,
            )  # fmt: skip
    except TapeError as error:
        raise Failure(f"{document.where(('data',))} data: {error}") from error
    except StrategyError as error:
        raise Failure(f"{document.where(('strategy', 'name'))} strategy.name: {error}") from error


def _audited(
    settings: "Backtest", document: "Document", *, permutations: int, trials: int, sweep: str | None
) -> "Audit":
    from backtests import Costs, Limits
    from backtests import audit as ask
    from backtests.neighbours import GridError
    from backtests.replay import StrategyError

    strategy, tape = strategy_of(settings, document), tape_of(settings, document)
    check_kinds(settings, document, strategy, tape)
    limits = None if settings.limits is None else Limits(**settings.limits.model_dump())
    try:
        with progress_on(f"{settings.strategy.name} for the audit") as progress:
            return ask(
                strategy, tape, cash=settings.cash, costs=Costs(**settings.costs.model_dump()), permutations=permutations,
                trials=trials, sweep=sweep, progress=progress, latency=settings.latency, exits=settings.exits, limits=limits,
            )  # fmt: skip
    except StrategyError as error:
        raise Failure(f"{document.where(('strategy', 'name'))} strategy.name: {error}") from error
    except GridError as error:
        raise Failure(f"--sweep: {error}") from error


def check_kinds(settings: "Backtest", document: "Document", strategy: "Strategy", tape: "Tape") -> None:
    """A kind that no file has would mean a strategy that never trades, in silence."""
    there = sorted({*tape.panel.ratings, *tape.panel.signals})
    wants = strategy.wants
    for kind in (*wants.ratings, *wants.signals):
        if kind not in there:
            key = next((key for key, value in settings.strategy.parameters.items() if kind in str(value)), None)
            place = ("strategy", "name") if key is None else ("strategy", "parameters", key)
            near = difflib.get_close_matches(kind, there, 1, 0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            raise Failure(
                f"{document.where(place)} {'.'.join(place)}: the data have no ratings or signals of kind {kind!r}; "
                f"{hint}{'there are ' + ', '.join(there) if there else 'there are none: give data.ratings or data.signals'}"
            )


@contextmanager
def progress_on(title: str) -> Iterator[Callable[[float], None] | None]:
    """A bar on stderr while somebody watches; nothing otherwise."""
    if not sys.stderr.isatty() and cli_shared.progress_file is None:
        yield None
        return
    with progress_of(keeps=False) as tell:
        yield partial(tell, f"replaying {title}")


def write_report(result: "Result | Audit | Swept | Validated", path: Path) -> None:
    """Write its page; raises Failure."""
    from backtests.report import ReportError

    try:
        result.report(path)
    except ReportError as error:
        raise Failure(str(error), NOT_READY) from error
    except OSError as error:
        raise Failure(f"{path}: cannot be written: {error.strerror or error}", NOT_READY) from error
    except ImportError as error:
        raise Failure(f"{error}; install what draws: pip install 'signal-trader[research]'", NOT_READY) from error
