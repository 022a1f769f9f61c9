"""Progress in a notebook or a script: one line that says how much is done and how long the rest will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO


def watch(file: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> Callable[[float], None]:
    """A callback for `progress=`; it writes over its own line, and ends it when all is done.

    The time left is told from what was done since the first call, so that a sweep that goes on is not taken for a fast one.
    """
    out = file or sys.stderr
    first: list[tuple[float, float]] = []

    def tell(share: float) -> None:
        now = clock()
        if not first:
            first.append((now, share))
        begun, at = first[0]
        left = (now - begun) * (1 - share) / (share - at) if share > at else None
        out.write(f"\r{share:4.0%}" + ("" if left is None else f", {_told(left)} left") + " " * 8)
        if share >= 1:
            out.write("\n")
        out.flush()

    return tell


def _told(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole / 3600:.1f} h"
