"""Columns and conditions as data: what a strategy may look at, written down but not computed.

A `Column` is a number per datum, a `Condition` a comparison of columns; both are plain frozen values that print as the
text `parse` reads. What they mean on data is in conditions.py. Nothing here sees a datum.
"""

import keyword
import math
from dataclasses import dataclass, field

from trader.core.columns import EMA_SPANS, WILDER_SPANS

BARS = ("bars", "")
PRICES = ("open", "high", "low", "close", "volume")
KINDS = ("rating", "signal", "age")
WINDOWS = ("sma", "ema", "rsi", "highest", "lowest", "rank", "lag", "change")
ARITHMETIC = ("+", "-", "*", "/")
COMPARISONS = (">", ">=", "<", "<=")
CROSSINGS = ("crosses_above", "crosses_below")
SHORTEST = {"rank": 2}
LONGEST = 100_000

Source = tuple[str, str]  # ("bars", ""), ("rating", kind), ("signal", kind) or ("age", kind)


class ConditionError(ValueError):
    """A column or condition that cannot be; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Column:
    """One causal number: a base column, a number, an indicator or arithmetic. Build it with the functions below."""

    op: str
    inputs: "tuple[Column, ...]" = ()
    kind: str = ""
    n: int = 0
    number: float = 0.0
    seeded: bool = False
    condition: "Condition | None" = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole = (self.op, self.inputs, self.kind, self.n, self.number, self.seeded, self.condition)
        object.__setattr__(self, "_hash", hash(whole))  # sim-ok: for `__hash__` alone

    def __hash__(self) -> int:
        return self._hash  # columns are looked up by value in hot places, so the tree is hashed once

    def __reduce__(self) -> tuple[object, ...]:
        # Text hashes differently in another process: rebuild there, do not carry the hash along.
        return Column, (self.op, self.inputs, self.kind, self.n, self.number, self.seeded, self.condition)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where its data come from, each once, in order of appearance."""
        if self.op in PRICES or self.op == "atr":
            return (BARS,)
        if self.op in KINDS:
            return ((self.op, self.kind),)
        return _merged(self.inputs) if self.condition is None else self.condition.sources

    @property
    def has_clock(self) -> bool:
        """Whether it has data of its own in time, so that indicators may be taken of it."""
        return len(self.sources) == 1 and not self.is_momentary

    @property
    def is_momentary(self) -> bool:
        """Whether its value depends on the instant it is asked at, not only on the newest datum."""
        return self.op in {"age", "truth"} or any(column.is_momentary for column in self.inputs)

    @property
    def lookback(self) -> int:
        """How many data of its own clock decide its newest value."""
        if self.condition is not None:
            return self.condition.lookback
        inner = max((column.lookback for column in self.inputs), default=0 if self.op == "number" else 1)
        return inner + _reach(self.op, self.n)

    def __add__(self, other: "Column | float") -> "Column":
        return _arithmetic("+", self, other)

    def __radd__(self, other: float) -> "Column":
        return _arithmetic("+", other, self)

    def __sub__(self, other: "Column | float") -> "Column":
        return _arithmetic("-", self, other)

    def __rsub__(self, other: float) -> "Column":
        return _arithmetic("-", other, self)

    def __mul__(self, other: "Column | float") -> "Column":
        return _arithmetic("*", self, other)

    def __rmul__(self, other: float) -> "Column":
        return _arithmetic("*", other, self)

    def __truediv__(self, other: "Column | float") -> "Column":
        return _arithmetic("/", self, other)

    def __rtruediv__(self, other: float) -> "Column":
        return _arithmetic("/", other, self)

    def __neg__(self) -> "Column":
        is_minus = self.op == "*" and self.inputs[0] == number(-1.0)
        return self.inputs[1] if is_minus else _arithmetic("*", -1.0, self)  # twice is not at all, however often

    def __gt__(self, other: "Column | float") -> "Condition":
        return _compare(">", self, other)

    def __ge__(self, other: "Column | float") -> "Condition":
        return _compare(">=", self, other)

    def __lt__(self, other: "Column | float") -> "Condition":
        return _compare("<", self, other)

    def __le__(self, other: "Column | float") -> "Condition":
        return _compare("<=", self, other)

    def crosses_above(self, other: "Column | float") -> "Condition":
        """Over `other` now, and not over it at the datum before."""
        return _compare("crosses_above", self, other)

    def crosses_below(self, other: "Column | float") -> "Condition":
        """Under `other` now, and not under it at the datum before."""
        return _compare("crosses_below", self, other)

    def __str__(self) -> str:
        if self.op == "number":
            return _digits(self.number)
        if self.op in PRICES:
            return self.op
        if self.op in KINDS:
            return f"{self.op}({_kind_text(self.kind)})"
        if self.op == "atr":
            return f"atr({self.n})"
        if self.op == "truth":
            return f"truth({self.condition})"
        if self.op in ARITHMETIC:
            left, right = (f"({part})" if part.op in ARITHMETIC else str(part) for part in self.inputs)
            return f"{left} {self.op} {right}"
        return f"{self.op}({self.inputs[0]}, {self.n}{', seeded' if self.seeded else ''})"


@dataclass(frozen=True, slots=True)
class Condition:
    """True, false or unknown at each datum of its columns. Build it by comparing columns; join with & | ~."""

    op: str
    columns: tuple[Column, ...] = ()
    parts: "tuple[Condition, ...]" = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.op, self.columns, self.parts)))  # sim-ok: for `__hash__` alone

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        return Condition, (self.op, self.columns, self.parts)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where its data come from, each once, in order of appearance; a new datum of any of them is a moment."""
        return _merged((*self.columns, *self.parts))

    @property
    def lookback(self) -> int:
        """How many data of each of its sources decide its newest value."""
        inner = max([1, *(column.lookback for column in self.columns), *(part.lookback for part in self.parts)])
        return inner + (self.op == "turns" or self.op in CROSSINGS)

    def __and__(self, other: "Condition") -> "Condition":
        return Condition("and", parts=(self, _condition(other)))

    def __or__(self, other: "Condition") -> "Condition":
        return Condition("or", parts=(self, _condition(other)))

    def __invert__(self) -> "Condition":
        return Condition("not", parts=(self,))

    def turns(self) -> "Condition":
        """True only at the datum at which this became true: true now, false at its datum before."""
        return Condition("turns", parts=(self,))

    def __bool__(self) -> bool:
        raise TypeError(f"({self}) has no truth of its own: join conditions with & | ~ and brackets, not and, or, not")

    def __str__(self) -> str:
        if self.op in COMPARISONS:
            return f"{self.columns[0]} {self.op} {self.columns[1]}"
        if self.op in CROSSINGS:
            return f"{self.op}({self.columns[0]}, {self.columns[1]})"
        if self.op == "turns":
            return f"turns({self.parts[0]})"
        if self.op == "not":
            return f"not ({self.parts[0]})"
        left, right = self.parts
        first = f"({left})" if left.op in {"and", "or"} and left.op != self.op else str(left)
        return f"{first} {self.op} {f'({right})' if right.op in {'and', 'or'} else right}"


def rating(kind: str = "trader_grade") -> Column:
    """The newest rating of this kind; unknown when older than `max_age`."""
    return Column("rating", kind=_checked_kind("rating", kind))


def signal(kind: str = "trading_signal") -> Column:
    """The newest signal of this kind, however old (see `age`)."""
    return Column("signal", kind=_checked_kind("signal", kind))


def age(kind: str) -> Column:
    """Days since the `as_of` of the newest rating of this kind, or of the newest signal where no rating has it."""
    return Column("age", kind=_checked_kind("age", kind))


open_ = Column("open")
high = Column("high")
low = Column("low")
close = Column("close")
volume = Column("volume")


def number(value: object) -> Column:
    """A constant."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConditionError(f"{value!r} cannot stand in a condition; allowed are columns and finite numbers")
    return Column("number", number=float(value) + 0.0)


def sma(column: Column, n: int) -> Column:
    """The mean of the last n data."""
    return _window("sma", column, n)


def ema(column: Column, n: int, *, seeded: bool = False) -> Column:
    """The exponential average of span n, cut off after 4n data; `seeded` starts at the first datum, not when full."""
    return _window("ema", column, n, seeded=seeded)


def rsi(column: Column, n: int) -> Column:
    """Wilder's relative strength index, cut off after 8n changes."""
    return _window("rsi", column, n)


def atr(n: int) -> Column:
    """Wilder's average true range of the bars, cut off after 8n bars."""
    return Column("atr", n=_length("atr", n))


def highest(column: Column, n: int) -> Column:
    """The highest of the last n data, the newest included."""
    return _window("highest", column, n)


def lowest(column: Column, n: int) -> Column:
    """The lowest of the last n data, the newest included."""
    return _window("lowest", column, n)


def rank(column: Column, n: int) -> Column:
    """Percentile rank, 0 to 100, of the newest among the last n data."""
    return _window("rank", column, n)


def lag(column: Column, n: int) -> Column:
    """The value n data earlier."""
    return _window("lag", column, n)


def change(column: Column, n: int) -> Column:
    """The newest value less the value n data earlier."""
    return _window("change", column, n)


def truth(condition: Condition) -> Column:
    """A condition as a column: 1 where true, 0 where false, unknown where unknown."""
    return Column("truth", condition=_condition(condition))


def as_column(value: "Column | float") -> Column:
    """The column itself, or the number as a column."""
    return value if isinstance(value, Column) else number(value)


def _merged(parts: "tuple[Column | Condition, ...]") -> tuple[Source, ...]:
    return tuple(dict.fromkeys(source for part in parts for source in part.sources))


def _reach(op: str, n: int) -> int:
    if op in {"sma", "highest", "lowest", "rank"}:
        return n - 1
    return {"ema": EMA_SPANS * n - 1, "rsi": WILDER_SPANS * n, "atr": WILDER_SPANS * n, "lag": n, "change": n}.get(
        op, 0
    )


def _window(op: str, column: Column, n: int, *, seeded: bool = False) -> Column:
    if not isinstance(column, Column):
        raise ConditionError(
            f"{op}({column!r}, {n!r}): the first argument must be a column such as close or rating(...)"
        )
    if not column.has_clock:
        raise ConditionError(
            f"{op}({column}, {n}) is of no single series of data (it has {', '.join(map(_source_text, column.sources))}); "
            f"take {op}(...) of each column first and combine the results"
        )
    return Column(op, (column,), n=_length(op, n), seeded=seeded)


def _length(op: str, n: object) -> int:
    least = SHORTEST.get(op, 1)
    if isinstance(n, bool) or not isinstance(n, int) or not least <= n <= LONGEST:
        raise ConditionError(f"{op}: n = {n!r} is out of range; allowed are whole numbers from {least} to {LONGEST}")
    return n


def _arithmetic(op: str, left: "Column | float", right: "Column | float") -> Column:
    return Column(op, (as_column(left), as_column(right)))


def _compare(op: str, left: "Column | float", right: "Column | float") -> Condition:
    condition = Condition(op, (as_column(left), as_column(right)))
    if not condition.sources:
        raise ConditionError(f"{condition} compares numbers only; one side must be a column")
    return condition


def _condition(value: object) -> Condition:
    if not isinstance(value, Condition):
        raise ConditionError(f"{value} is no condition; compare it with something, such as {value} > 0")
    return value


def _checked_kind(op: str, kind: object) -> str:
    if not isinstance(kind, str) or not kind:
        raise ConditionError(f"{op}({kind!r}): the kind must be a name, such as trader_grade")
    return kind


def _kind_text(kind: str) -> str:
    return kind if kind.isidentifier() and not keyword.iskeyword(kind) else repr(kind)


def _source_text(source: Source) -> str:
    return source[0] if source == BARS else f"{source[0]}({_kind_text(source[1])})"


def _digits(value: float) -> str:
    return repr(value).removesuffix(".0")
