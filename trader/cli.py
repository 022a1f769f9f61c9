"""The `trader` command: nouns and verbs, results on stdout, errors on stderr with a remedy, documented exit codes.

Heavy rooms are imported inside the commands, so that `trader --help` answers at once. It builds a run from settings and
prints; it decides nothing.
"""

import dataclasses
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli_run import register
from trader.output import INTERNAL, NOT_READY, Failure, backtest_json, check_writable, plain, write

if TYPE_CHECKING:
    from backtests import Result, Tape
    from trader.core.view import Strategy
    from trader.settings import Backtest
    from trader.yaml_source import Document

CODES = "Exit codes: 0 done, 2 bad input, 3 not ready, 4 refused, 5 internal error."
ISSUES = "please report it with the output of the same command and --debug"

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


register(app)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; the entry point of the `trader` script."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        app(args=[one for one in arguments if one != "--debug"], prog_name="trader")
    except Failure as failure:
        for line in str(failure).splitlines():
            print(f"error: {line}", file=sys.stderr)
        sys.exit(failure.code)
    except Exception as error:  # law 7: the outermost frame; whatever comes here is our mistake and ends the process
        if debug:
            raise
        text = " ".join(str(error).split())
        print(f"error: internal: {type(error).__name__}: {text}; {ISSUES}", file=sys.stderr)
        sys.exit(INTERNAL)


def _show_version(wanted: bool) -> None:
    if wanted:
        from trader import __version__

        print(f"trader {__version__}")
        raise typer.Exit


@app.callback(epilog=CODES)
def trader(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something unforeseen happens.")] = False,
) -> None:
    """Trade ratings and signals, and replay them on history through the same engine.

    \b
    Examples:
      trader backtest config/backtest.yaml
      trader strategies
      trader check config/paper.yaml
      trader backtest --help
    """
    del version, debug  # `main` looks for --debug itself, anywhere on the line


@app.command(epilog=CODES)
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
    strategy = _strategy(settings, document)
    tape = _tape(settings, document)
    result = _replayed(settings, document, strategy, tape)
    if json_file is not None:
        write(json_file, backtest_json(settings, config, result))
    if facts is not None:
        write(facts, "".join(json.dumps(plain(fact), allow_nan=False) + "\n" for fact in result.facts()))
    if report is not None:
        _report(result, report)
    is_piped = "-" in {str(json_file), str(facts)}
    print(result.summary(), file=sys.stderr if is_piped else sys.stdout)
    for path in (report, json_file, facts):
        if path is not None and str(path) != "-":
            print(f"wrote {path}", file=sys.stderr if is_piped else sys.stdout)


@app.command(epilog=CODES)
def strategies(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List the bundled strategies with their thesis, parameters and defaults.

    \b
    Examples:
      trader strategies
      trader strategies --json
    """
    listed = _listed()
    if as_json:
        print(json.dumps({"version": 1, "strategies": listed}, indent=2))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("strategy", "what and why", "parameters = defaults", box=box.SIMPLE, show_lines=True)
    for one in listed:
        table.add_row(
            Text(str(one["name"]), "bold"), Text(f"{one['does']}\n{one['thesis']}".strip()), Text(_parameter_lines(one))
        )
    Console().print(table)
    print("A class of your own: name it module:Class or path/to/file.py:Class in the YAML file (docs/strategies.md).")


@app.command(epilog=CODES)
def schema(
    what: Annotated[str, typer.Argument(help="Which: backtest, run, ratings or signal.", show_default=False)],
) -> None:
    """Print the JSON Schema of a configuration file, for editors, or of a message, for those who send them.

    \b
    Examples:
      trader schema backtest > config/backtest.schema.json
      trader schema run > config/run.schema.json
      trader schema ratings > config/ratings.schema.json
      trader schema signal
    """
    if what == "signal":
        from trader.adapters.payloads import schema as message_schema

        print(json.dumps(message_schema(), indent=2))
        return
    from trader.run_settings import Run
    from trader.settings import Backtest, Layout
    from trader.settings import schema as layout_schema
    from trader.vendor_settings import Vendor

    layouts: dict[str, type[Layout]] = {"backtest": Backtest, "run": Run, "ratings": Vendor}
    if what not in layouts:
        raise Failure(f"schema {what!r} is unknown; allowed are backtest, run, ratings and signal")
    found = layout_schema(layouts[what])
    if what == "ratings":
        print(json.dumps(found, indent=2))
        return
    found["$defs"]["StrategyChoice"]["allOf"] = [
        {
            "if": {"properties": {"name": {"const": one["name"]}}},
            "then": {
                "properties": {
                    "parameters": {
                        "additionalProperties": False,
                        "properties": {
                            str(p["name"]): {"description": f"default: {p.get('default', 'none, required')}"}
                            for p in _parameters(one)
                        },
                    }
                }
            },
        }
        for one in _listed()
    ]
    found["$defs"]["StrategyChoice"]["properties"]["name"]["examples"] = [one["name"] for one in _listed()]
    print(json.dumps(found, indent=2))


@app.command(epilog=CODES)
def check(
    config: Annotated[Path, typer.Argument(help="The YAML file of a run on paper or with money.", show_default=False)],
) -> None:
    """Check the configuration of a run as a whole: keys, values, strategy, and sizes against limits.

    \b
    Examples:
      trader check config/paper.yaml
    """
    from trader.run_settings import load_run
    from trader.settings import SettingsError

    try:
        settings, strategy = load_run(config)
    except SettingsError as error:
        raise Failure(str(error)) from error
    money = "real money" if settings.live else "paper"
    print(
        f"{config}: {settings.name} runs {type(strategy).__name__} on {settings.venue} ({money}), "
        f"{len(settings.assets)} assets, capital {settings.capital:,.10g}"
    )


def _strategy(settings: "Backtest", document: "Document") -> "Strategy":
    from strategies import StrategyLoadError, load

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # `module:Class` may be beside the user, as with `python -m`
    chosen = settings.strategy
    try:
        return load(chosen.name, chosen.parameters)
    except StrategyLoadError as error:
        words = [*re.findall(r"parameter '(\w+)'", str(error)), *re.findall(r"^\w+: (\w+)", str(error))]
        named = next((word for word in words if word in chosen.parameters), None)
        place = ("strategy", "name") if named is None else ("strategy", "parameters", named)
        raise Failure(f"{document.where(place)} {'.'.join(place)}: {error}") from error


def _tape(settings: "Backtest", document: "Document") -> "Tape":
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

    _check_kinds(settings, document, strategy, tape)
    try:
        costs = Costs(**settings.costs.model_dump())
        limits = None if settings.limits is None else Limits(**settings.limits.model_dump())
        with _progress(settings.strategy.name) as progress:
            return replay(
                strategy, tape, cash=settings.cash, costs=costs, latency=settings.latency, exits=settings.exits,
                limits=limits, progress=progress,
            )  # fmt: skip
    except TapeError as error:
        raise Failure(f"{document.where(('data',))} data: {error}") from error
    except StrategyError as error:
        raise Failure(f"{document.where(('strategy', 'name'))} strategy.name: {error}") from error


def _check_kinds(settings: "Backtest", document: "Document", strategy: "Strategy", tape: "Tape") -> None:
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
def _progress(title: str) -> Iterator[Callable[[float], None] | None]:
    """A bar on stderr while somebody watches; nothing otherwise."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"replaying {title}", total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _report(result: "Result", path: Path) -> None:
    from backtests.report import ReportError

    try:
        result.report(path)
    except ReportError as error:
        raise Failure(str(error), NOT_READY) from error
    except OSError as error:
        raise Failure(f"{path}: cannot be written: {error.strerror or error}", NOT_READY) from error
    except ImportError as error:
        raise Failure(f"{error}; install what draws: pip install 'signal-trader[research]'", NOT_READY) from error


def _listed() -> list[dict[str, object]]:
    from strategies import registry

    return [_described(name, strategy) for name, strategy in registry().items()]


def _described(name: str, strategy: type) -> dict[str, object]:
    paragraphs = [" ".join(one.split()) for one in (strategy.__doc__ or "").split("\n\n")]
    thesis = next((one.removeprefix("Thesis: ") for one in paragraphs if one.startswith("Thesis: ")), "")
    parameters: list[dict[str, object]] = []
    for field in dataclasses.fields(strategy):
        if field.init:
            given = field.default is not dataclasses.MISSING
            parameters.append(
                {"name": field.name, **({"default": plain(field.default)} if given else {"required": True})}
            )
    return {
        "name": name,
        "does": paragraphs[0],
        "thesis": re.split(r"(?<=[.;]) ", thesis)[0].rstrip(";"),
        "parameters": parameters,
    }


def _parameters(one: Mapping[str, object]) -> list[dict[str, object]]:
    found = one["parameters"]
    assert isinstance(found, list)
    return found


def _parameter_lines(one: Mapping[str, object]) -> str:
    return "\n".join(
        f"{p['name']} = {json.dumps(p['default'])}" if "default" in p else f"{p['name']} (required)"
        for p in _parameters(one)
    )


if __name__ == "__main__":
    main()
