"""Conditions over causal columns: one definition, two evaluators, the same answer to the last bit.

`evaluate` finds all moments of a condition in one vector pass (replay), `newest` looks at the last `lookback` data only
(live). Truth has three values: unknown (missing, too old, window not full) is neither true nor false, nor is its `not`.
This file may know one asset's data in order of `known_at`; it serves nothing that was not known at the asked instant.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from trader.core import columns as compute
from trader.core.expression import (
    ARITHMETIC,
    BARS,
    COMPARISONS,
    CROSSINGS,
    KINDS,
    PRICES,
    Column,
    Condition,
    ConditionError,
    Source,
    age,
    atr,
    change,
    close,
    ema,
    high,
    highest,
    lag,
    low,
    lowest,
    number,
    open_,
    rank,
    rating,
    rsi,
    signal,
    sma,
    truth,
    volume,
)
from trader.core.instants import DAY
from trader.core.parsing import parse
from trader.core.series import BarColumns, Bars, Datums, Floats, Instants, Series

__all__ = [
    "BarColumns",
    "Bars",
    "Column",
    "Condition",
    "ConditionError",
    "Datums",
    "Moments",
    "Series",
    "age",
    "atr",
    "change",
    "close",
    "ema",
    "evaluate",
    "evaluate_all",
    "high",
    "highest",
    "lag",
    "low",
    "lowest",
    "newest",
    "number",
    "open_",
    "parse",
    "rank",
    "rating",
    "rsi",
    "signal",
    "sma",
    "truth",
    "values",
    "volume",
]

Truths = NDArray[np.bool_]

BLOCK = 16_384  # bars computed at once in a long pass: what fits the processor's cache is several times faster
_NONE: Datums = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


class Moments(NamedTuple):
    """At which instants a condition had a new datum, and what it was then; unknown is neither true nor false."""

    at_ns: Instants
    true: Truths
    false: Truths


def evaluate(condition: Condition, series: Series, max_age_ns: int) -> Moments:
    """All moments of a condition: the union of the instants at which one of its columns had a new datum."""
    return evaluate_all((condition,), series, max_age_ns)[0]


def evaluate_all(
    conditions: Sequence[Condition], series: Series, max_age_ns: int, known: Mapping[Column, Floats] | None = None
) -> tuple[Moments, ...]:
    """The moments of several conditions of one asset, columns they share computed once.

    known: columns over bars that were computed before, at all closes.
    """
    lookback = max((condition.lookback for condition in conditions), default=1)
    total = len(series.bars.close_ns)
    if not known and all(condition.sources == (BARS,) for condition in conditions) and total > 2 * BLOCK > 8 * lookback:
        return _in_blocks(conditions, series.bars, lookback)
    look = _Look(series, max_age_ns, known)
    clocks = [look.instants(condition) for condition in conditions]
    return tuple(Moments(at, *look.truth(asked, at)) for asked, at in zip(conditions, clocks, strict=True))


def values(column: Column, series: Series, max_age_ns: int, at_ns: Instants) -> Floats:
    """What the column was at the given instants (ascending), as known then; NaN where unknown."""
    bars, lookback = series.bars, column.lookback
    close_ns = bars.close_ns
    total = len(close_ns)
    if not (at_ns is close_ns and column.sources == (BARS,) and total > 2 * BLOCK > 8 * lookback):
        return _Look(series, max_age_ns).value(column, np.asarray(at_ns, np.int64))
    found = np.empty(total)
    for start in range(0, total, BLOCK):
        before = max(0, start - lookback)
        look = _Look(Series(_sliced(bars, before, start + BLOCK), {}, {}), 0)
        found[start : start + BLOCK] = look.value(column, look.series.bars.close_ns)[start - before :]
    return found


@overload
def newest(asked: Condition, series: Series, max_age_ns: int, at_ns: int) -> bool | None: ...
@overload
def newest(asked: Column, series: Series, max_age_ns: int, at_ns: int) -> float: ...
def newest(asked: Column | Condition, series: Series, max_age_ns: int, at_ns: int) -> float | bool | None:
    """The same at one instant, from the last `lookback` data known by then: a float, or True, False or None (unknown)."""
    look = _Look(_tail(asked, series, at_ns), max_age_ns)
    at = np.array([at_ns], np.int64)
    if isinstance(asked, Column):
        return float(look.value(asked, at)[0])
    true, false = look.truth(asked, at)
    return True if true[0] else False if false[0] else None


def _in_blocks(conditions: Sequence[Condition], bars: Bars, lookback: int) -> tuple[Moments, ...]:
    # Start-independence makes this exact: each block sees `lookback` bars before it and nothing else.
    close_ns = bars.close_ns
    total = len(close_ns)
    found = tuple(Moments(close_ns, np.empty(total, np.bool_), np.empty(total, np.bool_)) for _ in conditions)
    for start in range(0, total, BLOCK):
        before = max(0, start - lookback)
        look = _Look(Series(_sliced(bars, before, start + BLOCK), {}, {}), 0)
        at = look.series.bars.close_ns
        for condition, moments in zip(conditions, found, strict=True):
            true, false = look.truth(condition, at)
            moments.true[start : start + BLOCK] = true[start - before :]
            moments.false[start : start + BLOCK] = false[start - before :]
    return found


def _tail(asked: Column | Condition, series: Series, at_ns: int) -> Series:
    keep = asked.lookback
    stop = int(np.searchsorted(series.bars.close_ns, at_ns, side="right"))
    bars = _sliced(series.bars, max(0, stop - keep), stop)
    ratings, signals = dict[str, Datums](), dict[str, Datums]()
    for source, kind in asked.sources:
        for have, into in ((series.ratings, ratings), (series.signals, signals)):
            if source != "bars" and kind in have:
                known, as_of, value = have[kind]
                stop = int(np.searchsorted(known, at_ns, side="right"))
                part = slice(max(0, stop - keep), stop)
                into[kind] = (known[part], as_of[part], value[part])
    return Series(bars, ratings, signals)


def _sliced(bars: Bars, start: int, stop: int) -> BarColumns:
    part = slice(start, stop)
    return BarColumns(
        bars.close_ns[part], bars.open[part], bars.high[part], bars.low[part], bars.close[part], bars.volume[part]
    )


class _Look:
    """One evaluation: a series, the age limit, and what was computed so far."""

    __slots__ = ("_known", "_last", "max_age_ns", "series")

    def __init__(self, series: Series, max_age_ns: int, known: Mapping[Column, Floats] | None = None) -> None:
        self.series = series
        self.max_age_ns = max_age_ns
        self._known: dict[Column, Floats] = dict(known or {})
        self._last: dict[Source, tuple[Instants, Instants]] = {}

    def datums(self, source: Source) -> Datums:
        name, kind = source
        ratings, signals = self.series.ratings, self.series.signals
        if name == "signal" or (name == "age" and kind not in ratings):
            return signals.get(kind, _NONE)
        return ratings.get(kind, _NONE)

    def clock(self, source: Source) -> Instants:
        return self.series.bars.close_ns if source == BARS else self.datums(source)[0]

    def instants(self, asked: Column | Condition) -> Instants:
        clocks = [self.clock(source) for source in asked.sources]
        if all(clock is clocks[0] for clock in clocks):
            return clocks[0]
        merged = np.sort(np.concatenate(clocks), kind="stable")  # quick on runs that are sorted already
        return merged[np.diff(merged, prepend=merged[:1] - 1) > 0]

    def last(self, source: Source, at: Instants) -> Instants:
        """The number of the last datum at or before each instant, -1 before the first."""
        found = self._last.get(source)
        if found is None or found[0] is not at:
            found = self._last[source] = (at, _last_at(self.clock(source), at))
        return found[1]

    def value(self, column: Column, at: Instants) -> Floats:
        """The column joined to instants: the last datum at or before each."""
        if column.op == "number":
            return np.full(len(at), column.number)
        if column.has_clock:
            return self._on_clock(column, column.sources[0], at)
        if column.op == "age":
            return self._age_days(column.sources[0], at)
        if column.condition is not None:
            true, false = self.truth(column.condition, at)
            return np.where(true, 1.0, np.where(false, 0.0, np.nan))
        left, right = (self.value(part, at) for part in column.inputs)
        return _combined(column.op, left, right)

    def _on_clock(self, column: Column, source: Source, at: Instants) -> Floats:
        clock = self.clock(source)
        if clock is at:
            joined, as_of = self._own(column), self._as_of(source)
        else:
            last = self.last(source, at)
            joined, as_of = _taken(self._own(column), last), self._as_of(source)
            as_of = None if as_of is None or len(as_of) == 0 else as_of[last]
        if as_of is None:
            return joined
        return np.where(at - as_of <= self.max_age_ns, joined, np.nan)

    def _age_days(self, source: Source, at: Instants) -> Floats:
        as_of = self.datums(source)[1]
        if len(as_of) == 0:
            return np.full(len(at), np.nan)
        last = self.last(source, at)
        return np.where(last >= 0, (at - as_of[last]) / DAY, np.nan)

    def _as_of(self, source: Source) -> Instants | None:
        return self.datums(source)[1] if source[0] == "rating" else None

    def _own(self, column: Column) -> Floats:
        """The column on its own clock, every datum."""
        if column not in self._known:
            self._known[column] = self._computed(column)
        return self._known[column]

    def _computed(self, column: Column) -> Floats:
        op, bars = column.op, self.series.bars
        if op in PRICES:
            prices: Floats = getattr(bars, op)
            return prices
        if op in KINDS:
            return self.datums((op, column.kind))[2]
        if op == "atr":
            return compute.atr(bars.high, bars.low, bars.close, column.n)
        if op in ARITHMETIC:
            return _combined(op, *(self._operand(part) for part in column.inputs))
        inner = self._own(column.inputs[0])
        if op == "ema":
            return compute.ema(inner, column.n, seeded=column.seeded)
        return _INDICATORS[op](inner, column.n)

    def _operand(self, column: Column) -> Floats | float:
        if column.sources:
            return self._own(column)
        return _folded(column)

    def truth(self, condition: Condition, at: Instants) -> tuple[Truths, Truths]:
        """Where the condition is true and where it is false, at instants."""
        op = condition.op
        if op in COMPARISONS:
            return self._comparison(op, condition.columns, at)
        if op in CROSSINGS:
            inner = Condition(">" if op == "crosses_above" else "<", condition.columns)
            return self._edge(inner, at)
        if op == "turns":
            return self._edge(condition.parts[0], at)
        true, false = self.truth(condition.parts[0], at)
        if op == "not":
            return false, true
        other_true, other_false = self.truth(condition.parts[1], at)
        if op == "and":
            return true & other_true, false | other_false
        return true | other_true, false & other_false

    def _comparison(self, op: str, sides: tuple[Column, ...], at: Instants) -> tuple[Truths, Truths]:
        left, right = (self.value(side, at) if side.sources else _folded(side) for side in sides)
        if op == ">":
            return np.greater(left, right), np.less_equal(left, right)
        if op == ">=":
            return np.greater_equal(left, right), np.less(left, right)
        if op == "<":
            return np.less(left, right), np.greater_equal(left, right)
        return np.less_equal(left, right), np.greater(left, right)

    def _edge(self, inner: Condition, at: Instants) -> tuple[Truths, Truths]:
        """True at a datum of `inner` where it is true after a datum where it was false; false between its data."""
        own = self.instants(inner)
        true, false = self.truth(inner, own)
        rises, stays = np.zeros(len(own), np.bool_), false.copy()
        rises[1:] = true[1:] & false[:-1]
        stays[1:] |= true[:-1]
        if own is at:
            return rises, stays
        last = _last_at(own, at)
        if len(own) == 0:
            return np.zeros(len(at), np.bool_), np.zeros(len(at), np.bool_)
        fresh = (last >= 0) & (own[last] == at)
        return rises[last] & fresh, np.where(fresh, stays[last], last >= 0)


_INDICATORS = {
    "sma": compute.sma,
    "rsi": compute.rsi,
    "highest": compute.highest,
    "lowest": compute.lowest,
    "rank": compute.rank,
    "lag": compute.lag,
    "change": compute.change,
}


def _taken(own: Floats, last: Instants) -> Floats:
    if len(own) == 0:
        return np.full(len(last), np.nan)
    return np.where(last >= 0, own[last], np.nan)


def _last_at(clock: Instants, at: Instants) -> Instants:
    if 8 * len(clock) > len(at):
        return np.searchsorted(clock, at, side="right") - 1
    arrivals = np.searchsorted(at, clock, side="left")  # few data, many instants: count the arrivals instead
    return np.cumsum(np.bincount(arrivals, minlength=len(at) + 1)[: len(at)]) - 1


def _folded(column: Column) -> float:
    if column.op == "number":
        return column.number
    left, right = (np.array([_folded(part)]) for part in column.inputs)
    return float(_combined(column.op, left, right)[0])


def _combined(op: str, left: Floats | float, right: Floats | float) -> Floats:
    with np.errstate(all="ignore"):
        if op == "+":
            out = np.add(left, right)
        elif op == "-":
            out = np.subtract(left, right)
        elif op == "*":
            out = np.multiply(left, right)
        else:
            out = np.divide(left, right)
            out[np.isinf(out)] = np.nan  # a division by zero is unknown, not endless
    return out
