"""The space a sweep searches: which values each parameter may take, and the points of it.

A point names a place in the space by coordinates that survive a database exactly: for a parameter with finitely many
values the number of the value, otherwise the value itself. It knows no strategy and no tape.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Point = dict[str, int | float]
VALUES_MOST = 100_000  # values of one parameter


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from low to high, both included: every `step`, every whole number, or any number at all.

    log: drawn evenly in the logarithm, for what spans magnitudes.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.low, self.high))) or not self.low < self.high:
            raise ValueError(f"low = {self.low!r} must be under high = {self.high!r}, and both finite")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(f"step = {self.step!r} must be over 0 and at most high - low = {self.high - self.low!r}")
        if self.log and not self.low > 0:
            raise ValueError(f"low = {self.low!r} must be over 0 with log")
        if self.log and self.step is not None:
            raise ValueError("step and log exclude each other: steps of a logarithm are not even")

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers alone."""
        return all(isinstance(one, int) for one in (self.low, self.high, self.step or 0))

    def values(self) -> tuple[float, ...] | None:
        """All its values, ascending; None where there is no end of them."""
        step = self.step if self.step is not None or not self.is_whole else 1
        if step is None:
            return None
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        if count > VALUES_MOST:
            raise ValueError(
                f"{count:,} values from {self.low!r} to {self.high!r}; at most {VALUES_MOST:,}: widen step"
            )
        if self.is_whole:
            return tuple(int(self.low) + number * int(step) for number in range(count))
        return tuple(_tidy(self.low + number * step) for number in range(count))


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter: its values, or the bounds of a parameter that may be any number."""

    name: str
    values: tuple[Any, ...] | None
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    is_ordered: bool = False  # whether a neighbouring place means a neighbouring value

    def value(self, place: float) -> Any:  # noqa: ANN401 - whatever the strategy takes
        """The value at a place."""
        return place if self.values is None else self.values[int(place)]

    def draw(self, lot: np.random.Generator) -> int | float:
        """A place by lot."""
        if self.log:
            found = math.exp(lot.uniform(math.log(self.low), math.log(self.high)))
            return min(max(found, self.low), self.high) if self.values is None else self.near(found)
        return float(lot.uniform(self.low, self.high)) if self.values is None else int(lot.integers(len(self.values)))

    def near(self, value: float) -> int:
        """The place of the value nearest to a number."""
        assert self.values is not None
        return int(np.argmin(np.abs(np.asarray(self.values, np.float64) - value)))

    def share(self, place: float) -> float:
        """How far along the axis a place lies, 0 to 1."""
        if self.values is not None:
            return place / max(len(self.values) - 1, 1)
        if self.log:
            return (math.log(place) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (place - self.low) / (self.high - self.low)


class Space:
    """The parameters of a sweep with the values each may take; raises ValueError that names the parameter."""

    def __init__(self, parameters: Mapping[str, Range | Iterable[Any]]) -> None:
        if not parameters:
            raise ValueError(
                "a sweep needs at least one parameter with at least one value, such as {'enter': [60, 70]}"
            )
        self.axes = {name: _axis(name, given) for name, given in parameters.items()}

    @classmethod
    def of(cls, given: Space | Mapping[str, Range | Iterable[Any]]) -> Space:
        """A space, or one of these parameters."""
        return given if isinstance(given, Space) else cls(given)

    @property
    def size(self) -> int | None:
        """How many points there are; None without end."""
        counts = [None if axis.values is None else len(axis.values) for axis in self.axes.values()]
        return None if None in counts else math.prod(one for one in counts if one is not None)

    def grid(self) -> Iterator[Point]:
        """Every point, the last parameter turning fastest."""
        endless = [axis.name for axis in self.axes.values() if axis.values is None]
        if endless:
            raise ValueError(f"{endless[0]}: a grid needs a step, or a list of values")
        places = (range(len(axis.values or ())) for axis in self.axes.values())
        for point in itertools.product(*places):
            yield dict(zip(self.axes, point, strict=True))

    def random(self, runs: int, seed: int) -> Iterator[Point]:
        """Points by lot, none twice; the first of many are those of few, so that a study can be continued."""
        if self.size is not None and runs > self.size:
            raise ValueError(f"runs = {runs:,} is over the {self.size:,} points of the space; take method grid")
        lot, seen = np.random.default_rng(seed), set[str]()
        while len(seen) < runs:
            point = {name: axis.draw(lot) for name, axis in self.axes.items()}
            if (key := written(point)) not in seen:
                seen.add(key)
                yield point

    def values(self, point: Mapping[str, float]) -> dict[str, Any]:
        """The parameters at a point."""
        return {name: axis.value(point[name]) for name, axis in self.axes.items()}

    def told(self) -> dict[str, Any]:
        """The space as plain text and numbers, for a manifest."""
        return {
            name: [told(one) for one in axis.values]
            if axis.values is not None
            else {"low": axis.low, "high": axis.high, "log": axis.log}
            for name, axis in self.axes.items()
        }


def written(point: Mapping[str, float]) -> str:
    """A point as text, the same for the same point."""
    return json.dumps(point)


def read(text: str) -> Point:
    """The point of a text."""
    point: Point = json.loads(text)
    return point


def told(value: object) -> Any:  # noqa: ANN401 - plain JSON
    """A value as plain JSON, by its name where it is none."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): told(one) for key, one in value.items()}
    return [told(one) for one in value] if isinstance(value, list | tuple) else repr(value)


def _axis(name: str, given: Range | Iterable[Any]) -> Axis:
    if isinstance(given, Range):
        try:
            values = given.values()
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return Axis(name, values, given.low, given.high, given.log, is_ordered=True)
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ValueError(f"{name} = {given!r}: write a list of values, or a Range")
    listed = tuple(given)
    if not listed:
        raise ValueError(f"a sweep needs at least one parameter with at least one value; {name} has none")
    plain = [one for one in listed if isinstance(one, int | float) and not isinstance(one, bool)]
    is_ordered = len(plain) == len(listed) and all(a < b for a, b in itertools.pairwise(plain))
    return Axis(name, listed, is_ordered=is_ordered)


def _tidy(value: float) -> float:
    """0.1 + 2 * 0.1 as 0.3."""
    return float(f"{value:.12g}")
