"""`trader incident`: what was written down around an incident, in one archive without secrets."""

import dataclasses
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli_facts import facts_of, verified
from trader.cli_shared import CODES, Config, instant_of, loaded, run_now
from trader.output import NOT_READY, REFUSED, Failure, check_writable

if TYPE_CHECKING:
    from trader.incident import Findings
    from trader.run_settings import Run

incidents = typer.Typer(no_args_is_help=True, help="Save what was written down around an incident.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(incidents, name="incident")


@incidents.command(epilog=CODES)
def export(
    config: Config,
    since: Annotated[str, typer.Option(help="How far back: 2h, 3d, or an instant in UTC.")] = "2h",
    out: Annotated[
        Path | None, typer.Option(help="The archive; none = incident-NAME-TIME.tar.gz here.", show_default=False)
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="A file with the bot's log, of which the end is taken.", show_default=False)
    ] = None,
) -> None:
    """Save facts, the configuration with its secrets masked, versions, status and the end of a log as one .tar.gz.

    The bot may run or not. What cannot be had is named in the archive's manifest. Secrets of the run are masked in every file, and so
    is whatever looks like one; where one of them cannot be read, nothing is written. Look into it before you send it.

    \b
    Examples:
      trader incident export config/paper.yaml
      trader incident export config/live.yaml --since 1d --log trader.log --out incident.tar.gz
      journalctl -u trader@live --since -2h > trader.log
    """
    from trader.incident import Findings, Mask, every_secret, pack
    from trader.intake import secrets_of
    from trader.origins import effective
    from trader.settings import SettingsError

    settings, _ = loaded(config)
    now = datetime.now(UTC)
    out = out or Path(f"incident-{settings.name}-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    check_writable("--out", out)
    if out.exists():
        raise Failure(f"--out {out}: is there already; name another file", REFUSED)
    try:
        secrets = [*secrets_of(settings, config.parent), *every_secret(settings.model_dump(), config.parent)]
        shown = effective(config)
        if settings.intake.ratings is not None:
            vendor = effective((config.parent / settings.intake.ratings).resolve())
            shown += [dataclasses.replace(one, key=f"(intake.ratings) {one.key}") for one in vendor]
    except SettingsError as error:
        raise Failure(
            f"{error}; what cannot be read cannot be masked: run this as the user who may read it", NOT_READY
        ) from error
    found = Findings(settings.name, str(config), now, _since(since, now), shown=shown)
    _look(found, settings, config, log)
    _write(out, pack(found, Mask(secrets)))
    print(f"{out}: {'complete' if not found.missing else 'without ' + str(len(found.missing)) + ' of its parts'}")
    mask = Mask(secrets)
    for line in found.missing:
        print(f"  {mask.text(line)}")


def _since(text: str, now: datetime) -> datetime:
    from trader.core.instants import duration

    try:
        return now - timedelta(microseconds=duration(text) / 1_000)
    except ValueError:
        return instant_of("--since", text)
    except OverflowError as error:
        raise Failure(
            f"--since {text!r}: that is before the calendar begins; write 2h, 3d, or an instant in UTC"
        ) from error


def _look(found: "Findings", settings: "Run", config: Path, log: Path | None) -> None:
    """Gather what can be had; what cannot is noted and ends nothing."""
    from trader.incident import tail_of
    from trader.run_settings import state_folder
    from trader.runtime.control import Command, NoDaemonError, ask, socket_of

    _look_at_journal(found, settings, config)
    try:
        found.status = run_now(ask(socket_of(state_folder(settings, config)), Command("status"), seconds=10.0))
    except NoDaemonError as error:
        found.missing.append(f"status.json: {error}")
    if log is None:
        found.missing.append("log.txt: no --log was given; with systemd: journalctl -u trader@NAME > trader.log")
        return
    try:
        found.log = tail_of(log)
    except OSError as error:
        found.missing.append(f"log.txt: {log}: {error.strerror or error}")


def _look_at_journal(found: "Findings", settings: "Run", config: Path) -> None:
    """The facts, and whether each follows from the one before; rows as they are kept where this version cannot read them."""
    from trader.adapters.journal_sqlite import JournalReader
    from trader.incident import RAW_ROWS
    from trader.run_settings import state_folder

    try:
        broken, count = run_now(verified(config))
        found.chain = (
            f"{count} facts, each follows from the one before" if broken is None else f"row {broken.seq}: {broken.why}"
        )
        found.facts = facts_of(config)
    except Failure as failure:
        found.missing.append(f"facts.jsonl: {failure}")
    except ValueError as error:
        found.missing.append(f"facts.jsonl: {error}")
        if settings.journal is None:
            reader = JournalReader(state_folder(settings, config) / "journal.db")
            found.rows = reader.bodies(RAW_ROWS)
            reader.close()


def _write(path: Path, body: bytes) -> None:
    """Write the whole archive or nothing, for its owner's eyes only."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise Failure(f"{path}: cannot be written: {error.strerror or error}", NOT_READY) from error
