"""`trader api`: the control API and the dashboard of a run, as a process beside the bot."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from trader.cli_shared import CODES, loaded, run_now
from trader.output import NOT_READY, Failure

BEHIND = 10  # by how much it stands behind the bot where both want the processor; the backtests it runs stand there too


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=CODES)(api)


def api(
    config: Annotated[Path, typer.Argument(help="The YAML file of the run.", show_default=False)],
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Another port than the file says.", show_default=False)] = None,
    document: Annotated[bool, typer.Option("--openapi", help="Print the OpenAPI document and end.")] = False,
) -> None:  # fmt: skip
    """Serve the control API and the dashboard of a run; the bot itself goes on without it.

    It reads the journal and sends commands over the bot's socket. Without tokens in the file it makes one for the time it
    runs, and prints the address that has it.

    \b
    Examples:
      trader api config/paper.yaml
      trader api config/paper.yaml --port 9000
      trader api config/paper.yaml --openapi > openapi.json
    """
    import json

    from trader.settings import SettingsError

    settings, _ = loaded(config)
    if port is not None:
        settings = settings.model_copy(update={"api": settings.api.model_copy(update={"port": port})})
    try:
        from trader.serving import document_of, serve, served

        found = served(settings, config)
    except SettingsError as error:
        raise Failure(str(error)) from error
    if document:
        print(json.dumps(document_of(settings, config), indent=2))
        return
    _listenable(settings.api.host, settings.api.port)
    os.nice(BEHIND)
    run_now(serve(found, config.parent, told=_told))


def _told(address: str, token: str | None) -> None:
    print(f"control API and dashboard: {address}" + (f"#token={token}" if token else ""), flush=True)
    if token:
        print("this token is good until this process ends; name your own in api.tokens (docs/api.md)", file=sys.stderr)


def _listenable(host: str, port: int) -> None:
    """Raise Failure where the port is taken, before anything is begun."""
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Failure(
                f"{host}:{port}: {error.strerror}; another port is api.port: in the file, or --port", NOT_READY
            ) from error
