"""One thing that `trader doctor` looked at: how it stands, what was found, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

STATES = ("ok", "warn", "fail", "skip")
READY, NOT_READY, REFUSED = 0, 3, 4


@dataclass(frozen=True, slots=True)
class Finding:
    """A row. is_refusal: whether the failure is one to refuse money for, not one to wait for."""

    name: str
    state: str
    found: str
    remedy: str = ""
    is_refusal: bool = False


def ok(name: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(name, "ok", found)


def warn(name: str, found: str, remedy: str) -> Finding:
    """It works, and somebody should look."""
    return Finding(name, "warn", found, remedy)


def fail(name: str, found: str, remedy: str) -> Finding:
    """It does not work yet."""
    return Finding(name, "fail", found, remedy)


def refuse(name: str, found: str, remedy: str) -> Finding:
    """It must not be traded with like this."""
    return Finding(name, "fail", found, remedy, is_refusal=True)


def skip(name: str, why: str) -> Finding:
    """It was not looked at."""
    return Finding(name, "skip", why)


def code_of(findings: Sequence[Finding]) -> int:
    """The exit code: 4 where something is refused, 3 where something does not work yet, else 0."""
    failed = [one for one in findings if one.state == "fail"]
    if any(one.is_refusal for one in failed):
        return REFUSED
    return NOT_READY if failed else READY
