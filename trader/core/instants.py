"""Instants and durations: aware UTC datetimes outside, whole nanoseconds inside.

The core computes with int64 nanoseconds since 1970 UTC, as the columns do; scalars that people see are datetimes.
It knows no clock: every instant arrives with a fact.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": SECOND, "m": 60 * SECOND, "min": 60 * SECOND, "h": 3600 * SECOND,
          "d": DAY, "w": 7 * DAY}  # fmt: skip
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=256)
def duration(value: str | timedelta) -> int:
    """Nanoseconds of a duration such as `90s`, `15m`, `2h`, `1d`, `1w`; raises ValueError on anything else."""
    if isinstance(value, timedelta):
        return (value.days * 86_400 + value.seconds) * SECOND + value.microseconds * 1_000
    match = _TEXT.fullmatch(str(value).lower())
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"{value!r} is not a duration; write a number and a unit, such as 90s, 15m, 2h, 1d or 1w")
    number, unit = match[1], _UNITS[match[2]]
    try:
        return int(number) * unit if "." not in number else round(float(number) * unit)
    except OverflowError:
        raise ValueError(f"{str(value)[:20]!r}... is longer than any time") from None


def clock_time(value: str) -> int:
    """Nanoseconds after midnight UTC of a clock time such as `00:05` or `13:30:15`."""
    parts = value.split(":")
    if len(parts) in {2, 3} and all(part.isdigit() and len(part) == 2 for part in parts):
        hours, minutes, seconds = (*map(int, parts), 0)[:3]
        if hours < 24 and minutes < 60 and seconds < 60:
            return ((hours * 60 + minutes) * 60 + seconds) * SECOND
    raise ValueError(f"{value!r} is not a clock time; write UTC hours and minutes, such as 00:05")


def to_ns(at: datetime) -> int:
    """Nanoseconds since 1970 of an aware datetime; a naive one raises ValueError."""
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone; instants are UTC, write datetime(..., tzinfo=UTC)")
    gap = at - _EPOCH
    return (gap.days * 86_400 + gap.seconds) * SECOND + gap.microseconds * 1_000


def from_ns(ns: int) -> datetime:
    """The aware UTC datetime of nanoseconds since 1970, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=ns // 1_000)


def in_words(ns: int) -> str:
    """A duration as people write it: 0s, 90m, 2h, 3d."""
    for unit, size in (("d", DAY), ("h", 3600 * SECOND), ("m", 60 * SECOND), ("s", SECOND), ("ms", 1_000_000)):
        if ns and ns % size == 0:
            return f"{ns // size}{unit}"
    return f"{ns / SECOND:g}s"
