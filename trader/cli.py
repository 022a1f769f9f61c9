"""The `trader` command: nouns and verbs, results on stdout, errors on stderr with a remedy, documented exit codes.

Heavy rooms are imported inside the commands, so that `trader --help` answers at once. It builds a run from settings and
prints; it decides nothing.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from trader import cli_shared
from trader.cli_api import register as register_api
from trader.cli_backtest import register as register_backtests
from trader.cli_config import register as register_config
from trader.cli_doctor import register as register_doctor
from trader.cli_mcp import register as register_mcp
from trader.cli_notify import register as register_notify
from trader.cli_run import register
from trader.cli_sweep import register as register_sweeps
from trader.output import INTERNAL, Failure

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
register_api(app)
register_config(app)
register_doctor(app)
register_mcp(app)
register_sweeps(app)
register(app)
register_notify(app)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; the entry point of the `trader` script."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    _note_progress(arguments)
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


def _note_progress(arguments: list[str]) -> None:
    """Take `--progress-file FILE` off, and have progress written there: for whoever runs a command in the background."""
    if "--progress-file" in arguments[:-1]:
        at = arguments.index("--progress-file")
        cli_shared.progress_file = Path(arguments[at + 1])
        del arguments[at : at + 2]


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
    from trader.bundled import listed as bundled

    listed = bundled()
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


def _parameter_lines(one: Mapping[str, object]) -> str:
    from trader.bundled import parameters_of

    return "\n".join(
        f"{p['name']} = {json.dumps(p['default'])}" if "default" in p else f"{p['name']} (required)"
        for p in parameters_of(one)
    )


if __name__ == "__main__":
    main()
