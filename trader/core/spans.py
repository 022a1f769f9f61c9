"""Spans: stretches of time with a name, one within the other, as tracing systems show them. Values without an identity."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch from `begin_ns` to `end_ns` (Unix time); `error` says what went wrong in it, empty = nothing."""

    name: str
    begin_ns: int
    end_ns: int
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    error: str = ""
    inner: tuple["Span", ...] = ()
