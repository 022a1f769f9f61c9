"""The kernel as machine code, where numba is installed: made once per process, kept on disk where that can be written."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Step = Callable[[int, int, float], int]

_MADE: list[Step] = []


class NotInstalledError(ValueError):
    """Compiled stretches were asked for, and numba is not there."""


def is_installed() -> bool:
    """Whether numba is there; it is not imported for the answer."""
    return importlib.util.find_spec("numba") is not None


def is_ready() -> bool:
    """Whether the kernel is made."""
    return bool(_MADE)


def ready() -> Step:
    """The kernel's step, told the address of a table, a verb and a size; made at the first call. Raises NotInstalledError."""
    if not _MADE:
        if not is_installed():
            raise NotInstalledError("compiled stretches need numba: pip install 'signal-trader[fast]'")
        from backtests.machine_code import made  # noqa: PLC0415 - numba takes half a second

        _MADE.append(made())
    return _MADE[0]


Place = tuple[int, int]  # where an array begins in memory, and its length


def place(array: NDArray[Any]) -> Place:
    """Where an array lies; it must lie in one piece, and somebody must hold it for as long as the place is used."""
    if not array.flags.c_contiguous:
        raise ValueError("an array in several pieces has no place")
    return array.ctypes.data, len(array)


class Table:
    """Places of arrays, for a step; it holds the arrays for as long as it lives."""

    __slots__ = ("address", "kept", "rows")

    def __init__(self, places: Sequence[Place], kept: object) -> None:
        self.rows = np.array(places, np.int64)
        self.kept = kept
        self.address = self.rows.ctypes.data

    def put(self, number: int, array: NDArray[Any]) -> None:
        """Put another array in a place; the caller holds it."""
        self.rows[number] = place(array)
