"""The data of one asset that conditions look at: closed bars, and ratings and signals by kind, in order of known_at.

Plain columns, no meaning: conditions.py computes on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]
Datums = tuple[
    Instants, Instants, Floats
]  # known_at, as_of, value; known_at strictly increasing, outdated ones removed


class Bars(Protocol):
    """The closed bars of one asset, oldest first; a bar is known at its close."""

    @property
    def close_ns(self) -> Instants:
        """When each bar closed, strictly increasing."""

    @property
    def open(self) -> Floats:
        """First prices."""

    @property
    def high(self) -> Floats:
        """Highest prices."""

    @property
    def low(self) -> Floats:
        """Lowest prices."""

    @property
    def close(self) -> Floats:
        """Last prices."""

    @property
    def volume(self) -> Floats:
        """Volumes."""


@dataclass(frozen=True, slots=True)
class BarColumns:
    """Closed bars as plain columns."""

    close_ns: Instants
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


@dataclass(frozen=True, slots=True)
class Series:
    """All that conditions may look at of one asset: its bars, and its ratings and signals by kind."""

    bars: Bars
    ratings: Mapping[str, Datums]
    signals: Mapping[str, Datums]
