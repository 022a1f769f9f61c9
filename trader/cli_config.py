"""The commands around a configuration: check it, show what counts and where it came from, compare two, begin a new one. It decides nothing."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli_shared import CODES, AsJson, see_own_modules
from trader.cli_versions import register as register_versions
from trader.cli_versions import side_of
from trader.output import Failure, plain

if TYPE_CHECKING:
    from trader.run_settings import Run

AnyConfig = Annotated[
    Path,
    typer.Argument(
        help="A YAML file: of a run, of several mounts, a backtest, a vendor or an import.", show_default=False
    ),
]

config = typer.Typer(no_args_is_help=True, help="Check, show, compare and begin configurations.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line; `check` and `schema` are there by their short names too."""
    for group in (app, config):
        group.command(epilog=CODES)(check)
        group.command(epilog=CODES)(schema)
    config.command(epilog=CODES)(show)
    config.command(epilog=CODES)(diff)
    config.command(epilog=CODES)(init)
    register_versions(config)
    app.add_typer(config, name="config")


def check(file: AnyConfig) -> None:
    """Check a configuration as a whole: keys, values, strategy, sizes against limits, and credits against a vendor's plan.

    \b
    Examples:
      trader config check config/paper.yaml
      trader config check config/backtest.yaml
      trader check config/tokenmetrics.yaml
    """
    from trader.configurations import kind_of
    from trader.settings import SettingsError

    see_own_modules()
    try:
        kind = kind_of(file)
        print(f"{file}: {CHECKS[kind](file)}")
    except SettingsError as error:
        raise Failure(str(error)) from error


def _run(file: Path) -> str:
    from trader.several_settings import load_setup

    setup = load_setup(file)
    settings = setup.whole
    _check_vendor(settings, file)
    money = "real money" if settings.live else "paper"
    if setup.is_one:
        return (
            f"{settings.name} runs {type(setup.mounts[0].strategy).__name__} on {settings.venue} ({money}), "
            f"{len(settings.assets)} assets, capital {settings.capital:,.10g}"
        )
    each = [
        f"{one.settings.name} runs {type(one.strategy).__name__} on {one.settings.venue} ({one.settings.account.name}),"
        f" {len(one.settings.assets)} assets, capital {one.settings.capital:,.10g}"
        for one in setup.mounts
    ]
    said = "".join(f"\n  {one}" for one in each)
    return f"{settings.name} sets {len(each)} mounts to work ({money}), capital {settings.capital:,.10g} in all{said}"


def _check_vendor(settings: "Run", file: Path) -> None:
    """The vendor's file must be there and be right; raises SettingsError."""
    from trader.configurations import read
    from trader.ratings import fed
    from trader.settings import SettingsError

    if settings.intake.ratings is None:
        return
    vendor = (file.parent / settings.intake.ratings).resolve()
    if not vendor.is_file():
        where = read(file)[1].where(("intake", "ratings"))
        raise SettingsError(
            f"{where} intake.ratings: {vendor}: no such file; relative paths count from the folder of {file}"
        )
    fed(vendor)


def _backtest(file: Path) -> str:
    from trader.cli_backtest import strategy_of
    from trader.settings import load_backtest

    settings, document = load_backtest(file)
    strategy = strategy_of(settings, document)
    source = f"the sample {settings.data.sample}" if settings.data.sample else "files of its own"
    return f"replays {type(strategy).__name__} over {source} with {settings.cash:,.10g} of money"


def _ratings(file: Path) -> str:
    from trader.adapters.tokenmetrics_plan import check_plan
    from trader.ratings import fed, feeding_of

    settings = fed(file)
    credits_ = check_plan(feeding_of(settings), settings.credits, settings.limit)
    asked = ", ".join(settings.endpoints)
    return f"asks for {asked} of {len(settings.ids)} assets, {credits_:,} credits a month of {settings.credits:,}"


def _import(file: Path) -> str:
    from trader.run_settings import Run
    from trader.settings import load
    from trader.several_settings import Several
    from trader.vendor_settings import Import

    settings, _ = load(Import, file, beside=lambda _: (Run, Several), is_second=True)
    return f"reads {settings.type}s of {settings.source}"


CHECKS = {"run": _run, "several": _run, "backtest": _backtest, "ratings": _ratings, "import": _import}


def schema(
    what: Annotated[
        str, typer.Argument(help="Which: backtest, run, several, ratings, import or signal.", show_default=False)
    ],
) -> None:
    """Print the JSON Schema of a configuration file, for editors, or of a message, for those who send them.

    \b
    Examples:
      trader config schema backtest > config/backtest.schema.json
      trader config schema run > config/run.schema.json
      trader config schema several > config/several.schema.json
      trader config schema ratings > config/ratings.schema.json
      trader schema signal
    """
    print(_schema_text(what))


def _schema_text(what: str) -> str:
    if what == "signal":
        from trader.adapters.payloads import schema as message_schema

        return json.dumps(message_schema(), indent=2)
    from trader.bundled import listed, with_strategies
    from trader.configurations import KINDS
    from trader.settings import schema as layout_schema

    if what not in KINDS:
        raise Failure(f"schema {what!r} is unknown; allowed are {', '.join(KINDS)} and signal")
    return json.dumps(with_strategies(layout_schema(KINDS[what]), listed()), indent=2)


def show(
    file: AnyConfig,
    as_json: AsJson = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not a default.")] = False,
) -> None:
    """Show every value that counts and where it came from: a default, a line of the file, a variable, a file with a secret.

    Secrets are shown as ***; a key and its secret with a fingerprint, so that two can be told apart.

    \b
    Examples:
      trader config show config/live.yaml
      trader config show config/paper.yaml --changed
      trader config show config/paper.yaml --json
    """
    from trader.origins import effective
    from trader.settings import SettingsError

    try:
        rows = [one for one in effective(file) if not changed or one.origin != "default"]
    except SettingsError as error:
        raise Failure(str(error)) from error
    if as_json:
        values = [plain(dataclasses.asdict(one)) for one in rows]
        print(json.dumps({"version": 1, "file": str(file), "values": values}, indent=2))
        return
    wide = max((len(one.key) for one in rows), default=0)
    said = {one.key: _said(one.value) for one in rows}
    broad = min(max(map(len, said.values()), default=0), 44)
    for one in rows:
        print(f"{one.key:{wide}}  {said[one.key]:{broad}}  {one.origin}")


def diff(
    first: Annotated[str, typer.Argument(help="A YAML file, or FILE@HASH for what was applied.", show_default=False)],
    second: Annotated[str, typer.Argument(help="Another one.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Compare what counts in two files, defaults and variables included: what a change of configuration would change.

    FILE@HASH is a version that a run of FILE applied (`trader config versions`); the beginning of its hash is enough.

    \b
    Examples:
      trader config diff config/paper.yaml config/live.yaml
      trader config diff running.yaml new.yaml --json
      trader config diff config/live.yaml@3f9a config/live.yaml
    """
    from trader.origins import compared
    from trader.settings import SettingsError

    try:
        rows = compared(side_of(first), side_of(second))
    except SettingsError as error:
        raise Failure(str(error)) from error
    if as_json:
        found = [
            {"key": key, "first": plain(a and dataclasses.asdict(a)), "second": plain(b and dataclasses.asdict(b))}
            for key, a, b in rows
        ]
        print(json.dumps({"version": 1, "first": str(first), "second": str(second), "differences": found}, indent=2))
        return
    for key, a, b in rows:
        print(f"{key}: {'absent' if a is None else _said(a.value)} -> {'absent' if b is None else _said(b.value)}")
    if not rows:
        print("no value differs")


def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("paper.yaml"),
    venue: Annotated[str, typer.Option(help="Whose prices it takes: gate or mexc.")] = "gate",
    assets: Annotated[str, typer.Option(help="The universe, parted by commas.")] = "BTC/USDT,ETH/USDT,SOL/USDT",
    capital: Annotated[str, typer.Option(help="Its money, such as 1000 or '1000 USDT'.")] = "10000 USDT",
    kind: Annotated[str, typer.Option(help="run: one mount. several: two mounts that share an account.")] = "run",
) -> None:
    """Write a commented configuration of a run on paper, which `trader run` takes as it is, and its schema for editors.

    \b
    Examples:
      trader config init
      trader config init mine.yaml --venue mexc --assets BTC/USDT,TAO/USDT --capital "2500 USDT"
      trader config init both.yaml --kind several
    """
    from trader.beginning import BeginningError, paper

    schema_file = file.parent / f"{kind}.schema.json"
    try:
        text = paper(venue, [one.strip() for one in assets.split(",")], capital, file=file, kind=kind)
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
        if not schema_file.exists():
            schema_file.write_text(_schema_text(kind) + "\n", encoding="utf-8")
    except BeginningError as error:
        raise Failure(str(error)) from error
    except FileExistsError as error:
        raise Failure(f"{file} is there already; name another file, or move that one away") from error
    except OSError as error:
        raise Failure(
            f"{file}: cannot be written: {error.strerror or error}; name a file in a folder of yours"
        ) from error
    print(f"wrote {file}")
    print(f"next: trader config check {file}, then trader run {file}")


def _said(value: object) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(plain(value))
