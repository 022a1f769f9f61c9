"""Checks of strategy parameters, each error naming the strategy, the parameter, its value and what is allowed."""

import math
from collections.abc import Iterable

from trader import Exit, Quote, Units, duration

Size = float | Quote | Units


def check_number(owner: object, name: str, *, least: float = -math.inf, most: float = math.inf) -> None:
    """Require a finite number within [least, most]."""
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(owner, name, value, "a finite number")
    if not least <= value <= most:
        raise _wrong(owner, name, value, f"a number from {least:g} to {most:g}")


def check_share(owner: object, name: str) -> None:
    """Require a share over 0 up to 1."""
    check_number(owner, name)
    if not 0 < getattr(owner, name) <= 1:
        raise _wrong(owner, name, getattr(owner, name), "a share over 0 up to 1 (0.1 is ten percent)")


def check_count(owner: object, name: str, *, least: int = 1, most: int = 100_000) -> None:
    """Require a whole number within [least, most]."""
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _wrong(owner, name, value, f"a whole number from {least} to {most}")


def check_size(owner: object, name: str = "size") -> None:
    """Require a weight of equity over 0 up to 1, `Quote` over 0 or `Units` over 0."""
    match getattr(owner, name):
        case bool():
            amount, most = math.nan, 1.0
        case Quote(amount=amount):
            most = math.inf
        case Units(quantity=amount):
            most = math.inf
        case int() | float() as amount:
            most = 1.0
        case _:
            amount, most = math.nan, 1.0
    if not 0 < amount <= most:
        allowed = "a weight of equity over 0 up to 1, Quote(money over 0) or Units(quantity over 0)"
        raise _wrong(owner, name, getattr(owner, name), allowed)


def check_common(owner: object) -> None:
    """Check `kind`, `band`, `exits` and `max_age`, as far as the strategy has them."""
    kind = getattr(owner, "kind", "any")
    if not isinstance(kind, str) or not kind:
        raise _wrong(owner, "kind", kind, "the name of a kind, such as trader_grade")
    if hasattr(owner, "band"):
        check_number(owner, "band", least=0.0, most=1.0)
    exits = getattr(owner, "exits", ())
    if not isinstance(exits, tuple) or not all(isinstance(one, Exit) for one in exits):
        raise _wrong(owner, "exits", exits, "a tuple of exits, such as (FallBy(0.1), After('5d'))")
    if hasattr(owner, "max_age"):
        check_duration(owner, "max_age")


def check_duration(owner: object, name: str) -> None:
    """Require a duration longer than nothing."""
    value = getattr(owner, name)
    try:
        nanoseconds = duration(value) if isinstance(value, str) else 0
    except ValueError:
        nanoseconds = 0
    if nanoseconds <= 0:
        raise _wrong(owner, name, value, "a duration such as 90s, 15m, 2h, 1d or 1w")


def check_choice(owner: object, name: str, allowed: Iterable[str]) -> None:
    """Require one of a few words."""
    words = tuple(allowed)
    if getattr(owner, name) not in words:
        raise _wrong(owner, name, getattr(owner, name), " or ".join(words))


def check_assets(owner: object, name: str = "assets") -> None:
    """Require None or a tuple of asset names."""
    value = getattr(owner, name)
    if value is None:
        return
    if not isinstance(value, tuple) or not value or not all(isinstance(one, str) for one in value):
        raise _wrong(owner, name, value, "a tuple of asset names, such as ('BTC', 'ETH'), or none for all")


def _wrong(owner: object, name: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"{type(owner).__name__}: {name} = {value!r} is out of range; allowed is {allowed}")
