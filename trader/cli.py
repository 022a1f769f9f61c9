"""The `trader` command: nouns and verbs, results on stdout, errors on stderr with a remedy, documented exit codes.

Heavy rooms are imported inside the commands, so that `trader --help` answers at once. It builds a run from settings and
prints; it decides nothing.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from trader.cli_backtest import register as register_backtests
from trader.cli_run import register
from trader.output import INTERNAL, Failure, plain

CODES = "Exit codes: 0 done, 2 bad input, 3 not ready, 4 refused, 5 internal error."
ISSUES = "please report it with the output of the same command and --debug"

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


register_backtests(app)
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
    """Check the configuration of a run as a whole: keys, values, strategy, sizes against limits, and credits against a vendor's plan.

    \b
    Examples:
      trader check config/paper.yaml
    """
    from trader.run_settings import load_run
    from trader.settings import SettingsError

    try:
        settings, strategy = load_run(config)
        if settings.intake.ratings is not None:
            from trader.ratings import fed

            fed((config.parent / settings.intake.ratings).resolve())
    except SettingsError as error:
        raise Failure(str(error)) from error
    money = "real money" if settings.live else "paper"
    print(
        f"{config}: {settings.name} runs {type(strategy).__name__} on {settings.venue} ({money}), "
        f"{len(settings.assets)} assets, capital {settings.capital:,.10g}"
    )


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
