"""What `trader doctor` finds on this machine: folders, files with secrets, disk, the socket, a daemon that runs already."""

import os
import shutil
import stat
from pathlib import Path

from trader.core.instants import SECOND, duration
from trader.finding import Finding, fail, ok, refuse, skip, warn
from trader.origins import HIDDEN, effective
from trader.run_settings import Run
from trader.runtime.control import PATH_BYTES, Command, NoDaemonError, ask, socket_of

DISK_FAIL, DISK_WARN = 200_000_000, 2_000_000_000
ASK_SECONDS = 5.0
QUIET_SECONDS = 5  # after which a silent stream's price is asked for (docs/live.md)
OTHERS = stat.S_IRWXG | stat.S_IRWXO
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def state_rows(folder: Path) -> list[Finding]:
    """The folder of the journal: there or makeable, ours alone, with room to write."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "is no folder" if not there.is_dir() else "cannot be written to"
        return [
            fail("state folder", f"{there} {what}", f"chown or chmod {there}, or name another folder under state:"),
            skip("disk", "there is no folder to look at"),
        ]
    mode = stat.S_IMODE(folder.stat().st_mode) if folder.exists() else None
    if mode is not None and mode & OTHERS_WRITE:
        row = refuse("state folder", f"{folder} can be written by others (mode {mode:o})", f"chmod 700 {folder}")
    elif mode is not None and mode & OTHERS:
        row = warn("state folder", f"{folder} can be read by others (mode {mode:o})", f"chmod 700 {folder}")
    else:
        row = ok("state folder", f"{folder}" if mode is not None else f"{folder} will be made in {there}")
    return [row, _disk(there)]


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:,.1f} GB free at {folder}"
    remedy = "free some room: a journal that cannot be written stops the bot"
    if free < DISK_FAIL:
        return fail("disk", text, remedy)
    return warn("disk", text, remedy) if free < DISK_WARN else ok("disk", text)


def secret_rows(path: Path) -> list[Finding]:
    """Where secrets lie and who can read them: the files of the configuration at `path`, and it itself."""
    rows, found = list[Finding](), 0
    for one in effective(path):
        value = str(one.value)
        name = f"secret {one.key}"
        if one.origin.startswith("secret file "):
            found += 1
            rows.append(_file_row(name, Path(one.origin.removeprefix("secret file ")), value))
        elif one.key.startswith("intake.keys.") and one.value is not None:
            found += 1
            rows.append(_file_row(name, path.parent / value, value))
        elif HIDDEN in value and one.origin.startswith("environment "):
            found += 1
            rows.append(
                warn(
                    name,
                    f"in the {one.origin}, which other processes of this user can read",
                    "put it into a file and chmod 600 it",
                )
            )
        elif HIDDEN in value:
            found += 1
            mode = stat.S_IMODE(path.stat().st_mode)
            remedy = f"put it into a file of its own, or chmod 600 {path}"
            if mode & OTHERS:
                rows.append(refuse(name, f"stands in {path}, which others can read (mode {mode:o})", remedy))
            else:
                rows.append(warn(name, f"stands in {path}: whoever is shown the file has it", remedy))
    return rows or [skip("secrets", f"none in {path}")]


def _file_row(name: str, file: Path, value: str) -> Finding:
    try:
        mode, text = stat.S_IMODE(file.stat().st_mode), file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        return fail(name, f"{file}: {why}", f"write the secret and nothing else into {file}, and chmod 600 it")
    if mode & OTHERS:
        return refuse(name, f"{file} can be read by others (mode {mode:o})", f"chmod 600 {file}")
    if not text:
        return fail(name, f"{file} is empty", f"write the secret and nothing else into {file}")
    shown = f" {value.removeprefix(HIDDEN).strip()}" if value.startswith(HIDDEN) else ""
    return ok(name, f"{file} (mode {mode:o}){shown}")


async def daemon_rows(settings: Run, folder: Path) -> list[Finding]:
    """The socket for commands, and whether somebody listens there already."""
    path, inside = socket_of(folder), folder / "control.sock"
    if path == inside:
        rows = [ok("socket", str(path))]
    else:
        long = f"{inside} has {len(os.fsencode(inside))} bytes and a socket may have {PATH_BYTES}: it is at {path}"
        rows = [
            warn("socket", long, "name a folder with a shorter path under state:, where the socket should be in it")
        ]
    try:
        found = await ask(path, Command("status"), seconds=ASK_SECONDS)
    except NoDaemonError:
        rows.append(ok("daemon", f"none runs as {settings.name}"))
    else:
        state = f"one runs as {settings.name} and is {found.get('state')}"
        rows.append(
            warn("daemon", state, "a second start will be refused: stop it first, or give the other a name of its own")
        )
    return rows


def limits_row(settings: Run) -> Finding:
    """Limits beside the pace of the market; sizes that a limit never lets through were refused when the file was read."""
    age = settings.limits.price_age
    if age is not None and duration(age) < QUIET_SECONDS * SECOND:
        found = f"price_age = {age}: a market that is quiet for {QUIET_SECONDS} s is asked only then, and orders are refused until it answers"
        return warn("limits", found, "give limits.price_age 10s or more")
    return ok("limits", "the strategy's largest size is under every limit that is given")


def notify_row(settings: Run, home: Path) -> Finding:
    """Whether those who are to be told can be: the extra is there, and every address and secret is one. Nothing is sent."""
    choice = settings.notify
    if choice is None:
        return skip("notify", "nobody is told: there is no notify: (docs/notifications.md)")
    try:
        from trader.adapters.apprise_sender import AppriseSender  # noqa: PLC0415 - an extra
        from trader.notifying import addresses, guarded  # noqa: PLC0415 - with an extra

        for name, address in addresses(choice, home).items():
            AppriseSender(name, address)
        guarded(choice, home)
    except ImportError as error:
        return fail("notify", f"{error.name} is missing", 'pip install "signal-trader[notify]"')
    except ValueError as error:
        return fail("notify", str(error), "mend it, then: trader notify CONFIG --test")
    told = [f"{name} from {one.level} on" for name, one in choice.targets.items()]
    told += [f"commands through {name} from {len(bot.users)} users" for name, bot in choice.bots.items()]
    return ok("notify", ", ".join(told) or "a heartbeat")
