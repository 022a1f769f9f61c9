"""What the commands share: how a configuration is read, how a table looks. It decides nothing."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from trader.output import NOT_READY, REFUSED, Failure

if TYPE_CHECKING:
    from rich.progress import TaskID
    from rich.table import Table

    from trader.core.view import Strategy
    from trader.run_settings import Run
    from trader.runtime.control import Command
    from trader.several_settings import Setup

CODES = "Exit codes: 0 done, 2 bad input, 3 not ready, 4 refused, 5 internal error."
T = TypeVar("T")
progress_file: Path | None = None  # where progress is written for machines, if anywhere

Config = Annotated[Path, typer.Argument(help="The YAML file of the run.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    return asyncio.run(work)


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine until it ends, or SIGTERM or Ctrl-C comes."""

    async def until_stopped() -> None:
        task = asyncio.create_task(work)
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_stopped())


def see_own_modules() -> None:
    """Let `module:Class` be beside the user, as with `python -m`."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def setup_of(config: Path) -> "Setup":
    """What a file sets to work, one mount or several; raises Failure with every problem found."""
    from trader.settings import SettingsError
    from trader.several_settings import load_setup

    see_own_modules()
    try:
        return load_setup(config)
    except SettingsError as error:
        raise Failure(str(error)) from error


def loaded(config: Path) -> "tuple[Run, Strategy]":
    """The settings of a run as a whole, and its first strategy; raises Failure with every problem found."""
    setup = setup_of(config)
    return setup.whole, setup.mounts[0].strategy


def state_of(config: Path) -> Path:
    """The folder of a run."""
    from trader.run_settings import state_folder

    settings, _ = loaded(config)
    return state_folder(settings, config)


def asked(config: Path, command: "Command") -> dict[str, object]:
    """What a running bot answers to a command; raises Failure where none runs, or it refuses."""
    from trader.runtime.control import NoDaemonError, ask, socket_of

    path = socket_of(state_of(config))
    try:
        found = run_now(ask(path, command))
    except NoDaemonError as error:
        raise Failure(f"{error}; start it with: trader run {config}", NOT_READY) from error
    if not found.get("ok"):
        raise Failure(str(found.get("error", found)), REFUSED)
    return found


def table_of(*names: str) -> "Table":
    """A table as all commands draw it."""
    from rich import box
    from rich.table import Table

    return Table(*names, box=box.SIMPLE)


def print_table(table: "Table") -> None:
    """Print a table."""
    from rich.console import Console

    for column in table.columns:
        column.no_wrap = True
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def instant_of(option: str, text: str) -> datetime:
    """An instant, UTC where it names no zone; raises Failure that names the option."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Failure(f"{option} {text!r}: write a day or an instant in UTC, such as 2024-01-31T06:00") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


@contextmanager
def progress_of(*, keeps: bool = True) -> "Iterator[Callable[[str, float], None]]":
    """Bars on stderr while somebody watches, one for each name told, with the share that is done.

    keeps: whether they stay when all is done.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=not keeps) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, share: float) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=1.0)
            bar.update(tasks[name], completed=share)
            _write_progress(name, share)

        yield tell


_written = -1.0


def _write_progress(name: str, share: float) -> None:
    """Write how far it is, whole, at each hundredth."""
    global _written  # noqa: PLW0603 - one file per process
    if progress_file is not None and not _written <= share < _written + 0.01:
        _written = share
        beside = progress_file.with_suffix(".part")
        beside.write_text(json.dumps({"name": name, "share": round(share, 4)}), encoding="utf-8")
        beside.replace(progress_file)


def short(at: datetime) -> str:
    """An instant to the second."""
    return f"{at:%m-%d %H:%M:%S}"


def cell(value: object) -> object:
    """A value as a cell of CSV."""
    return value.isoformat() if isinstance(value, datetime) else "" if value is None else value
