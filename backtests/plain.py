"""Plain columns: arrays and lists by name, checked as frames are, without pandas.

For who has NumPy arrays, polars, Arrow or lists; importing pandas costs more than a small backtest.
"""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests.arrivals import Said
from backtests.checks import TapeError
from backtests.layout import BARS, PRICES, Bars
from trader.core.instants import to_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trader.core.history import Floats, Instants

    Given = Mapping[str, Any]

SAID = ("asset", "kind", "as_of", "known_at", "value")
FIRST_NS, LAST_NS = 0, 7_258_118_400 * 1_000_000_000  # 1970 and 2200, as for frames
TIME = (
    "a time from 1970 to 2199 in UTC, such as numpy.datetime64('2024-01-31T00:00') or datetime(2024, 1, 31, tzinfo=UTC)"
)


def bars_of(given: Given) -> Bars:
    """Bars from columns ts, asset, open, high, low, close and, if known, volume; a single text or number counts for all rows."""
    columns = _columns("bars", given, BARS, needed=BARS[:-1], length_of="ts")
    names, codes = _places(_names("bars", "asset", columns["asset"]))
    values = {name: _numbers("bars", name, columns[name]) for name in (*PRICES, "volume") if name in columns}
    return Bars(_times("bars", "ts", columns["ts"]), codes, names, values)


def said_of(what: str, given: Given | None) -> Said | None:
    """Ratings or signals from columns asset, kind, as_of, value and, where somebody said it, known_at."""
    if given is None:
        return None
    columns = _columns(what, given, SAID, needed=("asset", "kind", "as_of", "value"), length_of="as_of")
    as_of = _times(what, "as_of", columns["as_of"])
    known = _times(what, "known_at", columns["known_at"]) if "known_at" in columns else None
    asset, kind = (_names(what, name, columns[name]) for name in ("asset", "kind"))
    return Said(as_of, known, _numbers(what, "value", columns["value"]), asset, kind)


def _columns(
    what: str, given: Given, allowed: tuple[str, ...], *, needed: tuple[str, ...], length_of: str
) -> dict[str, np.ndarray]:
    for names, wanted, word in ((needed, given, "has no column"), (given, allowed, "has an unknown column")):
        for name in names:
            if name not in wanted:
                near = difflib.get_close_matches(str(name), [str(one) for one in wanted], 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise TapeError(f"{what} {word} {name!r}; columns are {', '.join(allowed)}{hint}")
    found = {name: np.asarray(column) for name, column in given.items()}
    size = len(np.atleast_1d(found[length_of]))
    for name, column in found.items():
        if column.ndim > 1 or (column.ndim == 1 and len(column) != size):
            raise TapeError(
                f"{what}.{name} has the shape {column.shape}, {what}.{length_of} has {size} rows; give one value per row"
            )
        if column.ndim == 0:
            found[name] = np.full(size, column)
    return found


def _places(names: np.ndarray) -> tuple[list[str], Instants]:
    if len(names) and (names == names[0]).all():
        return [str(names[0])], np.zeros(len(names), np.int64)
    found, codes = np.unique(names, return_inverse=True)
    return [str(name) for name in found.tolist()], codes.astype(np.int64)


def _numbers(what: str, name: str, column: np.ndarray) -> Floats:
    if column.dtype.kind == "b":
        raise TapeError(f"{what}.{name} holds true and false; give numbers")
    if column.dtype.kind not in "iuf":
        _refuse_first(
            what, name, column, lambda one: not isinstance(one, (int, float)) or isinstance(one, bool), "a number"
        )
    values: Floats = column.astype(np.float64)
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise _refused(what, name, row, values[row].item(), "a finite number")
    return values


def _times(what: str, name: str, column: np.ndarray) -> Instants:
    if column.dtype.kind in "iuf" and len(column):
        raise TapeError(
            f"{what}.{name} holds numbers such as {column[0]}, and whether they count seconds or milliseconds is not for us to guess; "
            "convert them: column.astype('datetime64[ms]')"
        )
    if column.dtype.kind == "M":
        if np.isnat(column).any():
            raise _refused(what, name, int(np.isnat(column).argmax()), None, TIME)
        seconds = column.astype("datetime64[s]").astype(np.int64)  # wide enough for every year; nanoseconds are not
        bad = (seconds < FIRST_NS) | (seconds >= LAST_NS // 1_000_000_000)
        if bad.any():
            row = int(bad.argmax())
            raise _refused(what, name, row, str(column[row]), TIME)
        return column.astype("datetime64[ns]").astype(np.int64)
    _refuse_first(what, name, column, lambda one: not isinstance(one, datetime) or one.tzinfo is None, TIME)
    found = [to_ns(one) for one in column.tolist()]
    for row, at in enumerate(found):
        if not FIRST_NS <= at < LAST_NS:
            raise _refused(what, name, row, str(column[row]), TIME)
    return np.asarray(found, np.int64)


def _names(what: str, name: str, column: np.ndarray) -> np.ndarray:
    if column.dtype.kind in "iu":
        return column.astype(str)
    _refuse_first(
        what, name, column, lambda one: not isinstance(one, str) or not one.strip() or "\0" in one, "a name",
        among=dict.fromkeys(column.tolist()) if column.dtype.kind == "U" else None,
    )  # fmt: skip
    return column.astype(str)


def _refuse_first(
    what: str,
    name: str,
    column: np.ndarray,
    is_bad: Callable[[Any], bool],
    allowed: str,
    *,
    among: Iterable[Any] | None = None,
) -> None:
    for one in column.tolist() if among is None else among:
        if is_bad(one):
            row = next(row for row, value in enumerate(column.tolist()) if value is one or value == one)
            raise _refused(what, name, row, one, allowed)


def _refused(what: str, name: str, row: int, value: object, allowed: str) -> TapeError:
    return TapeError(f"{what} row {row}: {name} = {value!r}; allowed is {allowed}; mend or drop the row")
