"""How a strategy speaks: what it wants to be woken for, and the targets it decides on.

All of it is values. A strategy is a frozen dataclass with `wants` and `decide(view)`; it acts on nothing and keeps
nothing. The letter of what a decision means is docs/rules.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

from trader.core.exits import Exit
from trader.core.instants import clock_time, duration

if TYPE_CHECKING:
    from trader.core.expression import Column, Condition


class Unknown(Enum):
    """What `exactly` does with a held asset whose wanted rating is missing or too old."""

    LEAVE = "leave"
    HOLD = "hold"


LEAVE, HOLD = Unknown.LEAVE, Unknown.HOLD
_tuple = tuple.__new__


@dataclass(frozen=True, slots=True)
class Quote:
    """Spend this much quote money once, fee included; more than the free cash (even `inf`) spends all of it."""

    amount: float


@dataclass(frozen=True, slots=True)
class Units:
    """Hold this quantity of the asset."""

    quantity: float


class Target(NamedTuple):
    """The size a strategy wishes to hold: a weight of equity, `Quote(amount)` or `Units(quantity)`, with its exits."""

    size: float | Quote | Units
    exits: tuple[Exit, ...] = ()
    band: float = 0.0
    why: str = ""


NOTHING = Target(0.0)
UNCHANGED: Mapping[str, Target | float | Quote | Units] = MappingProxyType({})


class Decision(NamedTuple):
    """What to hold from now on. Build it with `hold`, `change` or `exactly`."""

    targets: Mapping[str, Target | float | Quote | Units]
    closes_others: bool = False
    unknown: Unknown = LEAVE
    timers: tuple[datetime, ...] = ()
    memo: object = None
    remembers: bool = False
    why: str = ""

    @classmethod
    def hold(cls, why: str = "") -> Self:
        """Leave every standing target as it is."""
        return cls(UNCHANGED, why=why) if why else STILL  # type: ignore[return-value]  # cast() would be a call

    @classmethod
    def change(cls, targets: Mapping[str, Target | float | Quote | Units], why: str = "") -> Self:
        """State these targets; all others stand. A size of 0 leaves."""
        return _tuple(cls, (targets, False, LEAVE, (), None, False, why))  # quicker than cls(...), and hot

    @classmethod
    def exactly(
        cls, targets: Mapping[str, Target | float | Quote | Units], *, unknown: Unknown = LEAVE, why: str = ""
    ) -> Self:
        """State these targets; everything else that is held or working goes to zero."""
        return cls(targets, True, unknown, why=why)

    def wake_at(self, at: datetime) -> Self:
        """Also wake this strategy at the given instant."""
        return self._replace(timers=(*self.timers, at))

    def remember(self, memo: object) -> Self:
        """Keep a value that `view.memo` serves at later wakes, also after a restart."""
        return self._replace(memo=memo, remembers=True)


STILL = Decision(UNCHANGED)


@dataclass(frozen=True, slots=True)
class Wants:
    """What wakes a strategy and how far back it may look.

    ratings, signals: kinds that may be read. bars: how many closed bars back may be read; over 0 lists bars.
    Listed kinds wake on arrival only if neither `every` nor a condition is given.
    every: at most one wake per UTC period (`1d`, `1h`, `1w`), at the first arrival in it; with `at` at that clock time.
    max_age: the oldest rating that still counts, from its as_of (3 days unless given).
    when_flat, when_held, when: conditions that wake for assets without, with, or regardless of a standing target.
    columns: further columns that `view.value` may serve. on_fill, on_exit: wake after a fill, after an exit.
    """

    ratings: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    bars: int = 0
    max_age: str = "3d"
    every: str | None = None
    at: str | None = None
    when_flat: "Condition | None" = None
    when_held: "Condition | None" = None
    when: "Condition | None" = None
    columns: "tuple[Column, ...]" = ()
    on_fill: bool = False
    on_exit: bool = False
    max_age_ns: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_age_ns", duration(self.max_age))
        if self.every is not None and duration(self.every) <= 0:
            raise ValueError(f"every = {self.every!r} must be longer than nothing")
        if self.at is not None:
            clock_time(self.at)
            if self.every is None:
                raise ValueError("at = needs every =, such as every='1d', at='00:05'")

    @property
    def conditions(self) -> "tuple[Condition, ...]":
        """The conditions given, in the order flat, held, regardless."""
        return tuple(c for c in (self.when_flat, self.when_held, self.when) if c is not None)


class Wake:
    """Why a strategy was called: the names of all causes, and the assets they concern."""

    __slots__ = ("_names", "_numbers", "assets", "causes")
    assets: tuple[str, ...]  # the assets concerned, by name ascending; made when first asked for

    def __init__(self, causes: tuple[str, ...], numbers: Sequence[int], names: Sequence[str]) -> None:
        self.causes = causes
        self._numbers = numbers
        self._names = names

    def __getattr__(self, name: str) -> tuple[str, ...]:
        if name != "assets":
            raise AttributeError(name)
        names = self._names
        numbers = self._numbers
        if len(numbers) > 1:
            numbers = sorted(set(numbers))
        self.assets = found = tuple([names[number] for number in numbers])
        return found

    def __repr__(self) -> str:
        return f"Wake({', '.join(self.causes)})"
