"""Events: what is worth telling, as plain values, and texts of others made harmless.

A text that a venue, a vendor or a stranger wrote ends in a chat that reads markup: nothing in it may link, mention or hide.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

INFO, WARNING, CRITICAL = "info", "warning", "critical"
LEVELS = (INFO, WARNING, CRITICAL)
LONGEST = 300
_HARMLESS = str.maketrans(
    {"<": "‹", ">": "›", "@": "(at)", "`": "'", "[": "(", "]": ")", "\\": "/", "&": "+", "|": "/", "*": "·", "~": "-"}
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell, with the instant at which it was so.

    key: what it is about; where `once` is set, the same key is told again only after the time for repeats.
    """

    at: datetime
    level: str
    title: str
    text: str
    key: str
    once: bool = False


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is not as it should be, for as long as it stands; `since` is when it began."""

    level: str
    title: str
    text: str
    since: datetime


def code_in(text: str, codes: Collection[str]) -> str | None:
    """The first of these codes of a venue that stands in a text as a word."""
    return next((word for word in re.findall(r"\w+", text) if word in codes), None)


def harmless(text: object, most: int = LONGEST) -> str:
    """One line of plain text: no markup, no mention, no link, no sign that cannot be seen, at most `most` characters."""
    seen = "".join(
        " " if sign.isspace() else sign for sign in str(text) if sign.isspace() or unicodedata.category(sign)[0] != "C"
    )
    one = " ".join(seen.translate(_HARMLESS).replace("://", ": //").split())
    return one if len(one) <= most else one[: most - 3] + "..."
