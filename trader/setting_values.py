"""Readers of single settings: text, numbers and lists from a file into values, or a ValueError saying what is allowed.

Plain functions that know neither files nor models; `settings.py` puts them into its types.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

from trader.core.instants import duration

QUOTE = "USDT"  # the money that is counted in
MONEY = rf"^\s*\d[\d_,]*(\.\d+)?\s*{QUOTE}\s*$"
_MONEY = re.compile(r"\s*(\d[\d_,]*(?:\.\d+)?)\s*([A-Za-z]{2,6})\s*")
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdwSMHDW])[a-z]+\s*$")  # `2 hours`
_PERCENT = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*%\s*")


def number(allowed: str, fits: Callable[[float], bool], *, as_percent: bool = True) -> Callable[[object], object]:
    """A number or percent within what fits."""

    def read(value: object) -> object:
        plain = percent(value) if as_percent else value
        if isinstance(plain, bool) or not isinstance(plain, int | float) or not fits(plain):
            percents = (
                as_percent and plain is value and isinstance(value, int | float) and fits(value / 100) and value > 1
            )
            hint = f"did you mean {value:g}%? " if percents else ""
            raise ValueError(f"{hint}allowed is {allowed}")
        return float(plain)

    return read


def count(value: object) -> object:
    """A whole number from 1 up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("allowed is a whole number from 1 up")
    return value


def port(value: object) -> object:
    """The number of a port."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65_535:
        raise ValueError("allowed is a whole number from 1 to 65535")
    return value


def whole(value: object) -> object:
    """A whole number from 0 up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("allowed is a whole number from 0 up")
    return value


def figures(value: object) -> object:
    """One figure of a replay or a list of them, as a tuple."""
    found = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not found or not all(isinstance(one, str) and one.removeprefix("-").isidentifier() for one in found):
        raise ValueError("allowed is a figure such as sharpe, or a list such as [sharpe, -turnover]")
    return found


def percent(value: object) -> object:
    """`10%` as 0.1; anything else as it is."""
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) / 100 if match else value


def money(value: object) -> object:
    """An amount over 0: a number, or one with the money it is in, such as `250 USDT`."""
    plain = amount(value)
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not 0 < plain < math.inf:
        raise ValueError(f"allowed is a finite amount over 0, such as 250 or 250 {QUOTE}")
    return float(plain)


def amount(value: object) -> object:
    """`250 USDT` as 250.0; anything else as it is; another money is refused."""
    match = _MONEY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    if match[2] != QUOTE:
        raise ValueError(f"{match[2]} is another money; money is counted in {QUOTE} here: write 250 {QUOTE}, or 250")
    return float(re.sub("[_,]", "", match[1]))


def time_span(value: object) -> object:
    """A duration of at least nothing, kept as text."""
    try:
        nanoseconds = duration(value) if isinstance(value, str) else -1
    except ValueError:
        nanoseconds = -1
    if nanoseconds < 0:
        raise ValueError(f"{_span_meant(value)}allowed is a duration, such as 0s, 90s, 15m, 2h, 1d or 1w")
    return value


def lasting(value: object) -> object:
    """A duration over nothing, kept as text."""
    if not duration(str(time_span(value))):
        raise ValueError("allowed is a duration over 0, such as 5s, 15m or 1h")
    return value


def _span_meant(value: object) -> str:
    match = _SPAN.match(value) if isinstance(value, str) else None
    return f"did you mean {match[1]}{match[2].lower()}? " if match else ""


def instant(value: object) -> object:
    """A day or an instant, as an aware UTC datetime."""
    allowed = "allowed is a day or an instant in UTC, such as 2024-01-31 or 2024-01-31T06:00:00"
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(allowed) from error
    if not isinstance(found, date):
        raise ValueError(allowed)
    if not isinstance(found, datetime):
        return datetime(found.year, found.month, found.day, tzinfo=UTC)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def word(allowed: str) -> Callable[[object], object]:
    """A text that is not empty."""

    def read(value: object) -> object:
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"allowed is {allowed}")
        return value

    return read


def folder(allowed: str) -> Callable[[object], object]:
    """A text that is not empty, and as the name of a folder leads out of no other."""

    def read(value: object) -> object:
        found = str(word(allowed)(value))
        if found.startswith("/") or "\0" in found or {*found.split("/")} & {".", ".."}:
            raise ValueError(f"allowed is {allowed}, which names a folder: without a leading / and without ..")
        return found

    return read


def one_of(*words: str) -> Callable[[object], object]:
    """One of a few words."""

    def read(value: object) -> object:
        if value in words:
            return value
        raise ValueError(f"{near(str(value), words)}allowed are {', '.join(words)}")

    return read


def path(value: object) -> object:
    """One path."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("allowed is the path of a file or folder")
    return Path(value)


def paths(value: object) -> object:
    """One path or a list of paths, as a tuple."""
    return tuple(map(path, value)) if isinstance(value, list | tuple) and value else (path(value),)


def names_of(what: str, example: str) -> Callable[[object], object]:
    """A list of names, each once."""

    def read(value: object) -> object:
        if not isinstance(value, list | tuple) or not value or not all(isinstance(one, str) and one for one in value):
            example_ = f"[{value}]" if isinstance(value, str) and value.strip() else example
            raise ValueError(f"allowed is a list of {what}, such as {example_}")
        twice = [one for index, one in enumerate(value) if one in value[:index]]
        if twice:
            raise ValueError(f"{twice[0]} stands twice; allowed is each once")
        return tuple(value)

    return read


names = names_of("asset names", "[BTC, ETH]")


def truth(value: object) -> object:
    """True or false, as YAML writes them."""
    if not isinstance(value, bool):
        raise ValueError("allowed are true and false")
    return value


def matching(pattern: str, allowed: str) -> Callable[[object], object]:
    """A text of a form."""

    def read(value: object) -> object:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"allowed is {allowed}")
        return value

    return read


def database(allowed: str) -> Callable[[object], object]:
    """The address of a database; its password, if there is one, is where it can be masked."""

    def read(value: object) -> object:
        found = str(matching("postgresql://.+", allowed)(value))
        rest = urlsplit(found)._replace(scheme="", netloc="").geturl()
        if "@" in rest or re.search(r"pass\w*=", rest, re.IGNORECASE):
            raise ValueError(
                "a password is written as USER:PASSWORD@HOST with %2F for / and %40 for @, or better in the file that PGPASSFILE names"
            )
        return found

    return read


def columns(value: object) -> object:
    """A mapping of column names."""
    if not isinstance(value, dict) or not all(isinstance(one, str) and one for one in value.values()):
        raise ValueError(
            "allowed is a mapping of our column names to the file's, such as {asset: symbol, known_at: available_at}"
        )
    return value


def version(value: object) -> object:
    """The one version of the layout there is."""
    if value == 1 and not isinstance(value, bool):
        return 1
    raise ValueError("allowed is 1, the layout this program reads")


def axis(value: object) -> object:
    """The values a parameter takes in a sweep: a list of them, or a mapping with the bounds of a range."""
    allowed = (
        "allowed is a list of values, or a range such as {from: 5, to: 20, step: 5} or {from: 1%, to: 30%, log: true}"
    )
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"{allowed}; the list is empty")
        return tuple(plainly(one) for one in value)
    if not isinstance(value, Mapping):
        raise ValueError(allowed)
    unknown = [str(key) for key in value if key not in {"from", "to", "step", "log"}]
    if unknown:
        raise ValueError(f"{unknown[0]}: unknown key; {near(unknown[0], ('from', 'to', 'step', 'log'))}{allowed}")
    found = {str(key): percent(one) for key, one in value.items()}
    for key, one in found.items():
        if isinstance(one, bool) is not (key == "log") or not isinstance(one, int | float):
            raise ValueError(f"{key} = {one!r}; {allowed}")
    if not {"from", "to"} <= set(found) or not found["from"] < found["to"]:  # type: ignore[operator]
        raise ValueError(f"{allowed}; from must be under to")
    return found


def plainly(value: object) -> object:
    """The same parameters with every `10%` as 0.1 and, after `quote:`, `250 USDT` as 250.0."""
    if isinstance(value, Mapping):
        return {key: money_in(one) if key == "quote" else plainly(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plainly(one) for one in value]
    return percent(value)


def money_in(value: object) -> object:
    """What stands behind `quote:` in a strategy's parameters."""
    return amount(value) if isinstance(value, str) else plainly(value)


def shown(value: object) -> str:
    """A value as an error shows it: cut, and without the name and password of an address."""
    text = re.sub(r"(?<=://).*(?=@)", "***", repr(value))
    text = re.sub(r"(?i)(pass\w*=)[^&\s']*", r"\1***", text)
    return text if len(text) <= 80 else text[:77] + "..."


def near(text: str, allowed: Iterable[str]) -> str:
    """The nearest allowed spelling as a question, or nothing."""
    found = difflib.get_close_matches(text, list(allowed), 1, 0.6)
    return f"did you mean {found[0]}? " if found else ""
