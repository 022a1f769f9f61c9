"""`trader metrics`: a running bot's numbers in the text format of Prometheus, once or into a file that is kept fresh."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from trader.cli_shared import CODES, Config, loaded, run_now, run_until_stopped
from trader.output import NOT_READY, Failure, check_writable, write


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=CODES)(metrics)


def metrics(
    config: Config,
    watch_file: Annotated[
        Path | None,
        typer.Option(help="Write them to this file now and then, until Ctrl-C or SIGTERM.", show_default=False),
    ] = None,
    every: Annotated[float, typer.Option(min=1.0, help="Seconds between two writings of the file.")] = 15.0,
) -> None:
    """Print what a running bot counts and times, as Prometheus reads it, or keep a file of it fresh.

    The file is for node_exporter's textfile collector: it is replaced whole, and goes when this command ends. While no bot answers
    it says `trader_up 0` and nothing else.

    \b
    Examples:
      trader metrics config/paper.yaml
      trader metrics config/live.yaml --watch-file metrics/trader.prom --every 15
    """
    from trader.run_settings import state_folder
    from trader.runtime.control import socket_of

    check_writable("--watch-file", watch_file)
    settings, _ = loaded(config)
    socket = socket_of(state_folder(settings, config))
    if watch_file is not None:
        try:
            run_until_stopped(_watch(socket, settings.name, watch_file, every))
        finally:
            watch_file.unlink(missing_ok=True)  # nothing that nobody keeps fresh
        return
    text, is_up = run_now(_exposed(socket, settings.name))
    print(text, end="")
    if not is_up:
        raise Failure(f"{config}: no daemon answers; start it with: trader run {config}", NOT_READY)


async def _exposed(socket: Path, name: str) -> tuple[str, bool]:
    """The text, and whether a daemon answered."""
    from trader.api.metrics import exposition
    from trader.runtime.control import Command, NoDaemonError, ask

    try:
        status = await ask(socket, Command("status"), seconds=10.0)
    except NoDaemonError:
        return exposition(None, mount=name), False
    return exposition(status, mount=name), True


async def _watch(socket: Path, name: str, file: Path, every: float) -> None:
    while True:
        text, _ = await _exposed(socket, name)
        write(file, text)
        await asyncio.sleep(every)
