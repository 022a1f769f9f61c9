"""Control: commands to a running daemon through a socket in its folder, one JSON object per line, safe to repeat by key."""

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

NAMES = (
    "status",
    "halt",
    "resume",
    "flatten",
    "kill",
    "reconcile",
    "adopt",
    "cancel",
    "signal",
    "stop",
    "plan",
    "apply",
)
LONGEST = 1_000_000
SECONDS = 30.0
PATH_BYTES = 100  # a socket's path may have some 107
Answer = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator asks for, of one mount or of all; a key that came before is not carried out again."""

    name: str
    argument: str = ""
    key: str = ""
    mount: str = ""


def socket_of(folder: Path) -> Path:
    """Where the socket of a run's folder is: in it, or where that path is too long for a socket, in a folder of ours for short names."""
    path = folder / "control.sock"
    if len(os.fsencode(path)) <= PATH_BYTES:
        return path
    name = sha256(os.fsencode(folder.resolve())).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"trader-{os.getuid()}" / f"{name}.sock"


class NoDaemonError(Exception):
    """Nobody listens at the socket, or answers to the end."""


class Control:
    """The listening side. `act` carries a command out and says what came of it."""

    def __init__(self, path: Path, act: Callable[[Command], Awaitable[Answer]]) -> None:
        self._path, self._act = path, act
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; a socket that a killed process left is replaced."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._path.parent.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._path.parent} belongs to somebody else: commands would not be ours alone")
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LONGEST)
        self._path.chmod(0o600)

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                line = await reader.readline()
                answer = await self._answer(line)
            writer.write(json.dumps(answer, default=str).encode() + b"\n")
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass  # who asked is gone, or asked for nothing that is a line
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> Answer:
        try:
            found = json.loads(line)
            rest = (str(found.get(one, "")) for one in ("argument", "key", "mount"))
            command = Command(str(found["command"]), *rest)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {"ok": False, "error": 'a command is one line such as {"command": "status"}'}
        if command.name not in NAMES:
            return {"ok": False, "error": f"unknown command {command.name!r}; there are {', '.join(NAMES)}"}
        return await self._act(command)


async def ask(path: Path, command: Command, *, seconds: float = SECONDS) -> dict[str, object]:
    """Send a command to a daemon and return its answer; raises NoDaemonError."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=LONGEST)
            try:
                asked = {
                    "command": command.name,
                    "argument": command.argument,
                    "key": command.key,
                    "mount": command.mount,
                }
                writer.write(json.dumps(asked).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:  # ValueError: a line that is longer than any answer
        raise NoDaemonError(f"{path}: no daemon answers ({type(error).__name__})") from error
    if not line:
        raise NoDaemonError(f"{path}: the daemon hung up")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:  # a daemon that is killed amid an answer leaves half a line
        raise NoDaemonError(f"{path}: the daemon hung up amid its answer") from error
    assert isinstance(found, dict)
    return found
