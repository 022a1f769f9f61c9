"""Sources without a broker: the bus inside the process, a directory, standard input."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from trader.adapters.payloads import LARGEST
from trader.ports import Message

DONE = "done"
CHUNK = 65_536  # bytes of standard input at once


async def _nobody() -> None:
    """Nobody asked to be told."""


class Bus:
    """Messages from within the process; `publish` waits while `most` of them are not taken yet."""

    name = "bus"

    def __init__(self, most: int = 1_000) -> None:
        self._queue: asyncio.Queue[Message] = asyncio.Queue(most)

    async def publish(self, body: bytes, *, source: str = "bus") -> "asyncio.Event":
        """Hand a message over; the event is set when it is kept."""
        kept = asyncio.Event()

        async def acknowledge() -> None:
            kept.set()

        await self._queue.put(Message(source, "", body, acknowledge))
        return kept

    async def messages(self) -> AsyncIterator[Message]:
        """Yield messages for ever."""
        while True:
            yield await self._queue.get()


class Directory:
    """Files `*.json` in a folder, oldest name first; each moves to `done/` when it is kept. Write elsewhere, then rename into it.

    takes: false only looks, beside another who takes: files stay, and those that were taken since the start are seen too. warn: told
    once of a file that cannot be read, which holds up no other.
    """

    def __init__(
        self, folder: Path, *, every: float = 0.5, takes: bool = True, warn: Callable[[str], None] = lambda _what: None
    ) -> None:
        self.name = f"directory {folder}"
        self._folder, self._every, self._takes, self._warn = folder, every, takes, warn
        self._unread: set[str] = set()
        (folder / DONE).mkdir(parents=True, exist_ok=True)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield the files that are there and that come."""
        given: set[str] = set()
        if not self._takes:
            given |= {path.name for path in (self._folder / DONE).glob("*.json")}
        while True:
            for path in self._there():
                if path.name in given or path.name.startswith("."):
                    continue
                message = self._message(path, given)
                if message is not None:
                    given.add(path.name)
                    yield message
            await asyncio.sleep(self._every)

    def _there(self) -> list[Path]:
        taken = [] if self._takes else list((self._folder / DONE).glob("*.json"))
        return sorted([*self._folder.glob("*.json"), *taken], key=lambda path: path.name)

    def _message(self, path: Path, given: set[str]) -> Message | None:
        """What a file says; None where it is gone, or cannot be read now."""
        try:
            with path.open("rb") as file:
                which, body = _which(os.fstat(file.fileno())), file.read(LARGEST + 1)
        except FileNotFoundError:  # somebody took it
            return None
        except OSError as error:
            if path.name not in self._unread:
                self._unread.add(path.name)
                self._warn(f"{path}: cannot be read: {error.strerror or error}; let the bot read it, or take it away")
            return None
        self._unread.discard(path.name)

        async def acknowledge() -> None:
            if self._takes:
                given.discard(path.name)
                if _stands(path, which):
                    os.replace(path, self._folder / DONE / path.name)  # noqa: PTH105 - an atomic move, over an older file of the name

        return Message("directory", path.name, body, acknowledge)


def _which(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _stands(path: Path, which: tuple[int, ...]) -> bool:
    """Whether a file is the one that was read: another may have taken its name meanwhile, and that one nobody has read."""
    try:
        return _which(path.stat()) == which
    except FileNotFoundError:
        return False


class StandardInput:
    """One message per line of standard input, until it ends; of a line that is too long, as much as shows that it is."""

    name = "stdin"

    async def messages(self) -> AsyncIterator[Message]:
        """Yield lines."""
        read, line = await _standard_input(), b""
        while chunk := await read():
            for number, part in enumerate(chunk.split(b"\n")):
                if number:
                    if line.strip():
                        yield Message("stdin", "", line.strip(), _nobody)
                    line = b""
                line = (line + part)[: LARGEST + 1]
        if line.strip():
            yield Message("stdin", "", line.strip(), _nobody)


async def _standard_input() -> Callable[[], Awaitable[bytes]]:
    """How standard input is read, chunk by chunk: a file is simply read, and only a pipe or a terminal is waited for."""
    if stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):

        async def read() -> bytes:
            return os.read(sys.stdin.fileno(), CHUNK)

        return read
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return partial(reader.read, CHUNK)
