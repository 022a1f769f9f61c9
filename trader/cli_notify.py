"""`trader notify` on the command line: the process that tells people, a test of its targets, a rehearsal. It decides nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli_shared import CODES, Config, loaded, run_now, run_until_stopped
from trader.output import NOT_READY, REFUSED, Failure

if TYPE_CHECKING:
    from trader.notify_settings import NotifyChoice
    from trader.run_settings import Run

EXTRA = 'the extra is missing: pip install "signal-trader[notify]"'


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=CODES)(notify)


def notify(
    config: Config,
    test: Annotated[
        bool, typer.Option("--test", help="Send one message to every target, and say what came of it.")
    ] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be sent; send and write down nothing.")
    ] = False,
    after: Annotated[
        int | None,
        typer.Option(
            help="With --dry-run: begin behind this row of the journal; none = its end.", min=0, show_default=False
        ),
    ] = None,
    new_totp: Annotated[
        bool,
        typer.Option(
            "--new-totp", help="Make the secret of the one-time codes, into totp_file of telegram: and discord:."
        ),
    ] = False,
) -> None:
    """Tell people what a running bot does and what is wrong with it, and take their commands, until told to end.

    A process of its own beside `trader run`: it reads the journal, asks the bot's socket, and may be killed at any instant.

    \b
    Examples:
      trader notify config/live.yaml --test
      trader notify config/live.yaml
      trader notify config/live.yaml --dry-run --after 0
      trader notify config/live.yaml --new-totp
    """
    settings, _ = loaded(config)
    choice = settings.notify
    if choice is None or not (choice.targets or choice.bots or choice.heartbeat):
        raise Failure(f"{config}: notify: names nobody; see docs/notifications.md for its keys")
    if after is not None and not dry:
        raise Failure("--after belongs to --dry-run: a run goes on where the last one ended")
    if sum((test, dry, new_totp)) > 1:
        raise Failure("--test, --dry-run and --new-totp are three things; give one of them")
    if new_totp:
        _new_totp(choice, settings, config)
    elif test:
        _test(choice, settings, config)
    else:
        _run(choice, settings, config, after=after, dry=dry)


def _run(choice: "NotifyChoice", settings: "Run", config: Path, *, after: int | None, dry: bool) -> None:
    from trader.adapters.lock import AlreadyRunningError
    from trader.notify_place import PlaceError
    from trader.ports import JournalDownError
    from trader.settings import SettingsError

    try:
        from trader import notifying

        if dry:
            shown = notifying.shown(settings, choice, config, after, lambda text: print(text, flush=True))
            run_until_stopped(shown)
        else:
            notifying.run(settings, choice, config)
    except ImportError as error:
        raise Failure(f"{error.name}: {EXTRA}", NOT_READY) from error
    except AlreadyRunningError as error:
        raise Failure(f"{error}; one is enough", REFUSED) from error
    except (JournalDownError, PlaceError) as error:
        raise Failure(str(error), NOT_READY) from error
    except (SettingsError, ValueError) as error:
        raise Failure(f"{config}: {error}") from error


def _test(choice: "NotifyChoice", settings: "Run", config: Path) -> None:
    from trader.settings import SettingsError

    if not choice.targets:
        raise Failure(f"{config}: notify.targets: there is none to test")
    try:
        from trader.notifying import tested

        found = run_now(tested(choice, config.parent, settings.name))
    except ImportError as error:
        raise Failure(f"{error.name}: {EXTRA}", NOT_READY) from error
    except (SettingsError, ValueError) as error:
        raise Failure(f"{config}: {error}") from error
    for name, trouble in found.items():
        print(f"{name}: {trouble or 'taken'}")
    if any(found.values()):
        raise typer.Exit(NOT_READY)


def _new_totp(choice: "NotifyChoice", settings: "Run", config: Path) -> None:
    import os

    files = dict.fromkeys(config.parent / bot.totp_file for bot in choice.bots.values() if bot.totp_file is not None)
    if not files:
        raise Failure(
            f"{config}: notify.telegram.totp_file or notify.discord.totp_file: name the file that the secret goes to"
        )
    try:
        from trader.adapters.one_time import enrolment, new_secret
    except ImportError as error:
        raise Failure(f"{error.name}: {EXTRA}", NOT_READY) from error
    new = [path for path in files if not path.exists()]
    if not new:
        raise Failure(f"{', '.join(map(str, files))}: is there already; move it away for a new secret", REFUSED)
    for path in new:
        secret = new_secret()
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(secret + "\n")
        except OSError as error:
            raise Failure(f"{path}: {error.strerror or error}; make its folder first", NOT_READY) from error
        print(f"{path} holds the secret. Give this address to your authenticator now; it is shown only once:")
        print(enrolment(secret, settings.name))
