"""Sources without a broker: the bus inside the process, a directory, standard input."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from trader.ports import Message

DONE = "done"


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

    takes: false only looks, beside another who takes: files stay, and those that were taken since the start are seen too.
    """

    def __init__(self, folder: Path, *, every: float = 0.5, takes: bool = True) -> None:
        self.name = f"directory {folder}"
        self._folder, self._every, self._takes = folder, every, takes
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
                with suppress(FileNotFoundError):  # somebody took it
                    message = self._message(path, given)
                    given.add(path.name)
                    yield message
            await asyncio.sleep(self._every)

    def _there(self) -> list[Path]:
        taken = [] if self._takes else list((self._folder / DONE).glob("*.json"))
        return sorted([*self._folder.glob("*.json"), *taken], key=lambda path: path.name)

    def _message(self, path: Path, given: set[str]) -> Message:
        async def acknowledge() -> None:
            if self._takes:
                os.replace(path, self._folder / DONE / path.name)  # noqa: PTH105 - an atomic move, over an older file of the name
                given.discard(path.name)

        return Message("directory", path.name, path.read_bytes(), acknowledge)


class StandardInput:
    """One message per line of standard input, until it ends."""

    name = "stdin"

    async def messages(self) -> AsyncIterator[Message]:
        """Yield lines."""
        reader = asyncio.StreamReader(limit=2**20)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            if line.strip():
                yield Message("stdin", "", line.strip(), _nobody)
