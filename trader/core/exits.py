"""Exits: conditions, stated with a target, that take the holding back to zero without asking the strategy.

Price exits rest at their level inside the bar; `After`, `Below` and `Above` are decisions of the engine and fill at an
open. Levels are computed here and nowhere else.
"""

from dataclasses import dataclass

from trader.core.instants import duration
from trader.core.orders import PART

TOUCH = 1e-12  # levels compare with this relative tolerance, towards the hit


def _share(name: str, share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"{name} share = {share!r} is out of range; allowed are shares over 0 up to 1")


def _by(name: str, by: float, most: float) -> None:
    if not 0 < by < most:
        raise ValueError(f"{name}({by!r}) is out of range; give a share over 0 and under {most:g}, 0.1 is ten percent")


@dataclass(frozen=True, slots=True)
class FallBy:
    """Leave when the price falls by this share below the average entry price."""

    by: float
    share: float = 1.0

    def __post_init__(self) -> None:
        _by("FallBy", self.by, 1)
        _share("FallBy", self.share)


@dataclass(frozen=True, slots=True)
class RiseBy:
    """Leave when the price rises by this share above the average entry price."""

    by: float
    share: float = 1.0

    def __post_init__(self) -> None:
        _by("RiseBy", self.by, float("inf"))
        _share("RiseBy", self.share)


@dataclass(frozen=True, slots=True)
class TrailBy:
    """Leave when the price falls by this share below the highest price of the closed bars since entry."""

    by: float
    share: float = 1.0

    def __post_init__(self) -> None:
        _by("TrailBy", self.by, 1)
        _share("TrailBy", self.share)


@dataclass(frozen=True, slots=True)
class FallTo:
    """Leave when the price falls to this price."""

    price: float
    share: float = 1.0

    def __post_init__(self) -> None:
        _by("FallTo", self.price, float("inf"))
        _share("FallTo", self.share)


@dataclass(frozen=True, slots=True)
class RiseTo:
    """Leave when the price rises to this price."""

    price: float
    share: float = 1.0

    def __post_init__(self) -> None:
        _by("RiseTo", self.price, float("inf"))
        _share("RiseTo", self.share)


@dataclass(frozen=True, slots=True)
class After:
    """Leave this long after the first fill of the holding (`12h`, `5d`)."""

    time: str
    share: float = 1.0

    def __post_init__(self) -> None:
        if duration(self.time) <= 0:
            raise ValueError(f"After({self.time!r}) must be longer than nothing")
        _share("After", self.share)


@dataclass(frozen=True, slots=True)
class Below:
    """Leave when a new rating of this kind is at or below the level."""

    level: float
    kind: str = "trader_grade"
    share: float = 1.0

    def __post_init__(self) -> None:
        _share("Below", self.share)


@dataclass(frozen=True, slots=True)
class Above:
    """Leave when a new rating of this kind is at or above the level."""

    level: float
    kind: str = "trader_grade"
    share: float = 1.0

    def __post_init__(self) -> None:
        _share("Above", self.share)


Exit = FallBy | RiseBy | TrailBy | FallTo | RiseTo | After | Below | Above
PRICE_EXITS = (FallBy, TrailBy, FallTo, RiseBy, RiseTo)
EXIT_WORDS = {one: f"exit {one.__name__}" for one in (*PRICE_EXITS, After, Below, Above)}
_WORDS = frozenset(EXIT_WORDS.values())


def is_exit_word(why: str) -> bool:
    """Whether an order's `why` is an exit's, with or without the share that is sold; a strategy's own words are none."""
    return why.partition(f" {PART}")[0] in _WORDS


STOPS = (FallBy, TrailBy, FallTo)


def is_due(exit_: Exit, opened_ns: int, at_ns: int, *, new: dict[str, float]) -> bool:
    """Whether a decided exit of a holding opened at `opened_ns` is due, given the ratings by kind that are new now."""
    match exit_:
        case After(time):
            return at_ns >= opened_ns + duration(time)
        case Below(at, kind):
            return at_ns > opened_ns and new.get(kind, float("nan")) <= at
        case Above(at, kind):
            return at_ns > opened_ns and new.get(kind, float("nan")) >= at
    return False
