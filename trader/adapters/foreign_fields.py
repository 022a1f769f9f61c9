"""The fields of a foreign message, read one by one: every read checks, and what nobody read can be named.

Bodies come as a JSON object, as KEY=VALUE lines, as a form, or as plain text. Nothing but PayloadError leaves this file.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from urllib.parse import parse_qsl

from trader.ports import PayloadError

LARGEST = 65_536
MOST_KEYS, LONGEST, DEEPEST = 200, 500, 8
KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
FORM = re.compile(r"[A-Za-z_]\w*=[^&\s;]*(&[A-Za-z_]\w*=[^&\s;]*)+")
FIRST, LAST = datetime(2009, 1, 3, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class Fields:
    """Named values of a message; `plain` is the text beside them."""

    def __init__(self, values: Mapping[str, object], *, shape: str, text: str = "") -> None:
        self.values, self.shape, self.plain = dict(values), shape, text
        self._read: set[str] = set()

    def has(self, *names: str) -> bool:
        """Whether all of these are there."""
        return all(name in self.values for name in names)

    def take(self, name: str) -> str | None:
        """Take a value out for good, as text: a secret."""
        value = self.values.pop(name, None)
        return value if isinstance(value, str) else None if value is None else str(value)[:LONGEST]

    def text(self, *names: str) -> str | None:
        """The first of these that is there and not empty; raises PayloadError for what is no plain value."""
        for name in names:
            if name not in self.values:
                continue
            self._read.add(name)
            value = self.values[name]
            if isinstance(value, dict | list):
                raise PayloadError("malformed", f"{name}: a plain value is wanted, not a {_kind(value)}")
            said = "" if value is None else str(value).strip()
            if len(said) > LONGEST:
                raise PayloadError("malformed", f"{name}: {len(said)} characters; at most {LONGEST}")
            if not said.isprintable():
                raise PayloadError("malformed", f"{name}: it holds characters that are no text")
            if "{{" in said:
                raise PayloadError(
                    "malformed", f"{name}: a placeholder was not filled in; it must be one that the sender knows"
                )
            if said:
                return said
        return None

    def need(self, *names: str) -> str:
        """The same, where it must be there."""
        found = self.text(*names)
        if found is None:
            raise PayloadError("malformed", f"{' or '.join(names)}: missing")
        return found

    def word(self, *names: str) -> str | None:
        """A text in small letters."""
        found = self.text(*names)
        return None if found is None else found.lower()

    def number(self, *names: str) -> float | None:
        """A finite number."""
        found = self.text(*names)
        if found is None:
            return None
        try:
            value = float(found)
        except ValueError:
            value = float("nan")
        if not isfinite(value):
            raise PayloadError("malformed", f"{names[0]}: a number is wanted")
        return value

    def price(self, *names: str) -> float | None:
        """A number over 0; anything else is no price, and none is needed."""
        try:
            value = self.number(*names)
        except PayloadError:
            return None
        return value if value is not None and value > 0 else None

    def seconds(self, *names: str) -> timedelta | None:
        """A number of seconds over 0, at most a week."""
        value = self.number(*names)
        if value is None:
            return None
        if not 0 < value <= 604_800:
            raise PayloadError("malformed", f"{names[0]}: seconds from over 0 to 604800 (a week) are wanted")
        return timedelta(seconds=value)

    def instant(self, *names: str) -> datetime | None:
        """ISO 8601, UTC where it names no zone, or seconds or milliseconds since 1970."""
        found = self.text(*names)
        if found is None:
            return None
        try:
            if re.fullmatch(r"\d{9,13}(\.\d{1,9})?", found):
                number = float(found)
                at = datetime.fromtimestamp(number / 1000 if number >= 1e11 else number, UTC)
            else:
                at = datetime.fromisoformat(found)
                at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise PayloadError("malformed", f"{names[0]}: an instant such as 2024-03-12T00:10:00Z is wanted") from error
        if not FIRST <= at <= LAST:
            raise PayloadError("malformed", f"{names[0]}: {at.year} is no year of a signal")
        return at

    def part(self, name: str) -> "Fields | None":
        """What is within a value."""
        self._read.add(name)
        value = self.values.get(name)
        return Fields(value, shape=self.shape) if isinstance(value, dict) else None

    def left(self) -> list[str]:
        """What nobody read, by name."""
        return [name for name in self.values if name not in self._read]


def _kind(value: object) -> str:
    return "list" if isinstance(value, list) else "group of values"


def parsed(body: bytes, largest: int = LARGEST) -> Fields:
    """A body as fields; raises PayloadError."""
    if len(body) > largest:
        raise PayloadError("oversized", f"{len(body)} bytes; at most {largest} are read")
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise PayloadError("malformed", "it is no UTF-8 text") from error
    if text.startswith(("{", "[")):
        return Fields(_object(text), shape="json")
    if FORM.fullmatch(text) and text.count("&") < MOST_KEYS:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_KEYS)
        return Fields(_once(pairs), shape="form")
    lines = re.split(r"[\n\r;]|\\n", text)
    if len(lines) > MOST_KEYS:
        raise PayloadError("malformed", f"more than {MOST_KEYS} lines")
    pairs, plain = list[tuple[str, str]](), list[str]()
    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        if equals and KEY.fullmatch(name):
            pairs.append((name.upper(), value))
        else:
            plain.append(line)
    return Fields(_once(pairs), shape="pairs" if pairs else "text", text="\n".join(plain).strip())


def _object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
        _check_depth(value, DEEPEST)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text: it could be written nowhere
    except PayloadError:
        raise
    except (ValueError, RecursionError) as error:
        raise PayloadError("malformed", "it begins like JSON and is none") from error
    if not isinstance(value, dict):
        raise PayloadError("malformed", "a JSON object is wanted, with one signal")
    return value


def _check_depth(value: object, left: int) -> None:
    if not left:
        raise PayloadError("malformed", f"more than {DEEPEST} levels deep")
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _check_depth(one, left - 1)


def _once(pairs: list[tuple[str, object]] | list[tuple[str, str]]) -> dict[str, object]:
    found: dict[str, object] = dict(pairs)
    if len(found) < len(pairs):
        raise PayloadError("malformed", "a key is there twice: which of the two counts?")
    if len(found) > MOST_KEYS:
        raise PayloadError("malformed", f"more than {MOST_KEYS} keys")
    return found


def _no_constant(_text: str) -> object:
    raise ValueError("NaN and Infinity are no JSON")
