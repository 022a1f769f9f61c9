"""The place of `trader notify`: how far it told, what waits, which alarms stand, which codes are spent; one small file, whole or as before.

It is written after what was read became letters that wait, and again after each delivery: a process that dies in between tells
the letter that was under way a second time, and loses none.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trader.adapters.durable import sync_folder
from trader.core.states import Coder, Part, StateError
from trader.notify.commands import Tries
from trader.notify.event import Alarm, Event
from trader.notify.office import Box, Standing, Waiting

CODER = Coder((Event, Alarm, Waiting, Box, Standing, Tries))


class PlaceError(Exception):
    """The file is there and cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the file held: the last seq that was told, the last message of the bot, and the state of the parts."""

    seq: int
    heard: int
    parts: str


class Place:
    """The file at `path`; with None nothing is ever written."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last = ""

    def read(self) -> Kept | None:
        """What was kept; None where nothing was. Raises PlaceError."""
        if self._path is None or not self._path.exists():
            return None
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return Kept(int(found["seq"]), int(found["heard"]), str(found["parts"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PlaceError(
                f"{self._path}: {type(error).__name__}; move it away to begin at the journal's end"
            ) from error

    def write(self, seq: int, heard: int, parts: Mapping[str, Part]) -> None:
        """Keep it, where it changed; raises PlaceError, and then the file is as it was."""
        text = json.dumps({"version": 1, "seq": seq, "heard": heard, "parts": CODER.capture(parts)})
        if self._path is None or text == self._last:
            return
        beside = self._path.with_suffix(".new")
        try:
            beside.touch(mode=0o600)  # it says what is held
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise PlaceError(f"{self._path}: {error.strerror or error}") from error
        self._last = text


def restored(kept: Kept, parts: Mapping[str, Part]) -> str:
    """Set the parts to what was kept; returns why that is not possible, empty where it was. A part that was not there yet begins anew."""
    try:
        there = {name: one for name, one in parts.items() if name in json.loads(kept.parts)}
        CODER.restore(kept.parts, there)
    except (StateError, ValueError, TypeError) as error:
        return str(error)
    return ""
