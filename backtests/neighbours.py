"""The strategies around a strategy: a grid of parameters, replayed, so that the choice among them can be judged.

A grid is written `enter=60:90:10,leave=40:60:10` (from, to and step, both ends counted) or `every=1d|1w` (values).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from backtests.metrics import daily_returns
from backtests.overfitting import PARTS, Overfitting, overfitting, sharpe_ratios

if TYPE_CHECKING:
    from collections.abc import Callable

    from backtests.result import Result
    from trader.core.view import Strategy

Floats = npt.NDArray[np.float64]
STEPS_MAX = 10_000


class GridError(ValueError):
    """A grid that cannot be read or laid around a strategy."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What came of a grid: how many were replayed and refused, their Sharpe ratios' variance (per day), and how far a choice is overfitted.

    rank: the place of the audited strategy among them by growth, 1 = best. growths: of each, its own among them.
    """

    grid: str
    strategies: int
    refused: int
    rank: int
    variance: float
    overfitting: Overfitting | None
    why_not: str = ""
    growths: tuple[float, ...] = field(default=(), repr=False)


def grid_of(text: str) -> dict[str, list[Any]]:
    """Read a grid as it is written on the command line; raises GridError."""
    found: dict[str, list[Any]] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, is_given, written = (word.strip() for word in part.partition("="))
        if not name or not is_given or not written:
            raise GridError(
                f"{part!r} is no part of a grid; write name=from:to:step or name=one|other, parted by commas"
            )
        if name in found:
            raise GridError(f"{name} is given twice")
        found[name] = (
            _steps(part, written.split(":")) if ":" in written else [_value(one) for one in written.split("|")]
        )
    if not found:
        raise GridError("the grid is empty; write it as enter=60:90:10,leave=40:60:10")
    return found


def around(strategy: Strategy, grid: Mapping[str, Iterable[Any]]) -> tuple[list[Strategy], int]:
    """The strategies of a grid without the one it is laid around, and how many combinations the strategy refuses; raises GridError."""
    if not is_dataclass(cast("object", strategy)):
        raise GridError(f"{type(strategy).__name__} is no dataclass: it has no parameters to lay a grid around")
    allowed = {one.name for one in fields(cast("Any", strategy)) if one.init}
    for name in grid:
        if name not in allowed:
            raise GridError(f"{type(strategy).__name__} has no parameter {name!r}; it has {', '.join(sorted(allowed))}")
    columns = [[_like(getattr(strategy, name), value) for value in values] for name, values in grid.items()]
    if math.prod(len(one) for one in columns) > STEPS_MAX:
        raise GridError(f"the grid has more than {STEPS_MAX:,} combinations")
    found: list[Strategy] = []
    refused, why = 0, ""
    for values in itertools.product(*columns):
        try:
            one: Strategy = replace(cast("Any", strategy), **dict(zip(grid, values, strict=True)))
        except (ValueError, TypeError) as error:
            refused, why = refused + 1, f"; {refused + 1} are refused: {error}"
            continue
        if one != strategy and one not in found:
            found.append(one)
    if not found:
        raise GridError(f"no combination of the grid is another strategy than this one{why}")
    return found, refused


def neighbours(
    strategy: Strategy, grid: Mapping[str, Iterable[Any]], given: Result, run: Callable[[Strategy], Result]
) -> Neighbours:  # fmt: skip
    """Replay the grid; `given` is the result of the strategy itself, which counts as one of the trials."""
    others, refused = around(strategy, grid)
    results = [_returns(given), *(_returns(run(one)) for one in others)]
    table = np.stack(results, axis=1)
    growths = np.prod(1 + table, axis=0)
    found, why = None, ""
    parts = PARTS
    try:
        found = overfitting(table, parts)
    except ValueError as error:
        why = str(error)
    told = ", ".join(f"{name} {_span(values)}" for name, values in grid.items())
    return Neighbours(
        told, table.shape[1], refused, int((growths > growths[0]).sum()) + 1, float(np.var(sharpe_ratios(table), ddof=1)),
        found, why, tuple(growths.tolist()),
    )  # fmt: skip


def _returns(result: Result) -> Floats:
    return daily_returns(result.curve, result.tape.panel.closes_ns, result.cash_start)[1]


def _steps(part: str, ends: list[str]) -> list[Any]:
    values = [_value(one) for one in ends]
    if len(values) != 3 or not all(isinstance(one, int | float) for one in values):
        raise GridError(f"{part!r}: a span has three numbers, from:to:step, such as 60:90:10")
    begin, end, step = values
    if step <= 0 or end < begin:
        raise GridError(f"{part!r}: the step must be over 0, and `to` at or over `from`")
    count = math.floor((end - begin) / step + 1e-9) + 1
    if count > STEPS_MAX:
        raise GridError(f"{part!r} has {count:,} values; at most {STEPS_MAX:,} are allowed")
    return [begin + step * n if isinstance(begin + step, int) else round(begin + step * n, 12) for n in range(count)]


def _value(written: str) -> Any:  # noqa: ANN401 - a parameter of any type
    text = written.strip()
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _like(now: object, value: Any) -> Any:  # noqa: ANN401 - a parameter of any type
    """A whole number for a parameter that is a fraction."""
    return float(value) if isinstance(now, float) and isinstance(value, int) and not isinstance(value, bool) else value


def _span(values: Iterable[Any]) -> str:
    shown = list(values)
    return f"{shown[0]} … {shown[-1]} ({len(shown)})" if len(shown) > 1 else f"{shown[0]}"
