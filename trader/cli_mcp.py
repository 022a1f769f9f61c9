"""`trader mcp`: what a run did and does, for a language model, over the Model Context Protocol on standard input and output."""

from pathlib import Path
from typing import Annotated

import typer

from trader.cli_shared import CODES, Config, loaded
from trader.output import NOT_READY, REFUSED, Failure

SHORTEST = 24  # characters of a token


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("mcp", epilog=CODES)(mcp)


def mcp(
    config: Config,
    allow_control: Annotated[
        bool, typer.Option("--allow-control", help="Also halt, resume, flatten and reconcile; each needs the token.")
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="With --allow-control: a file, readable by you alone, with a token of 24 characters or more.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve a run to a language model on standard input and output: status, why, orders, fills, holdings, equity, backtests, audits.

    It only reads, unless --allow-control and a token file of its own are given. Needs the extra `mcp`.

    \b
    Examples:
      trader mcp config/paper.yaml
      trader mcp config/paper.yaml --allow-control --token-file mcp.token
    """
    loaded(config)
    if allow_control != (token_file is not None):
        missing, given = ("--token-file", "--allow-control") if allow_control else ("--allow-control", "--token-file")
        raise Failure(f"{given} needs {missing} as well: whoever may act must be given a token of its own")
    token = None if token_file is None else _token(token_file)
    try:
        from trader.mcp_server import serve
    except ImportError as error:
        raise Failure(f"{error}; install it: pip install 'signal-trader[mcp]'", NOT_READY) from error
    serve(config, token)


def _token(file: Path) -> str:
    try:
        mode, token = file.stat().st_mode, file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(
            f"--token-file {file}: {getattr(error, 'strerror', None) or 'is no text'}; make one: openssl rand -hex 32"
        ) from error
    if mode & 0o077:
        raise Failure(f"--token-file {file}: others may read it; run: chmod 600 {file}", REFUSED)
    if len(token) < SHORTEST:
        raise Failure(
            f"--token-file {file}: {len(token)} characters; at least {SHORTEST} are needed: openssl rand -hex 32"
        )
    return token
