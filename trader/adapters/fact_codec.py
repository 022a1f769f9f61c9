"""Facts as text and back, exactly: what the journal keeps.

One fact is one JSON object with its class name. Decimals are text, so that none of their digits is lost; instants are ISO 8601
in UTC. A text that names an unknown fact or field was written by a newer version and is refused, never guessed at.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast, get_args

from trader.core.exits import Exit
from trader.core.facts import Fact
from trader.core.signals import Signal
from trader.core.strategy import Quote, Units

MARK = "$"  # the key under which a value that JSON has no form for says what it is


class CodecError(ValueError):
    """A fact that cannot be written, or a text that is no fact of this version."""


def _classes(*given: object) -> dict[str, type]:
    found: dict[str, type] = {}
    for one in given:
        for cls in get_args(one) or (one,):
            found[cls.__name__] = cls
    return found


FACTS = _classes(Fact)
PARTS = _classes(Exit, Signal, Quote, Units)
NAMES = {cls: tuple(field.name for field in fields(cls)) for cls in (*FACTS.values(), *PARTS.values())}
UNWRITTEN = frozenset({"nan", "inf", "-inf"})


def encode(fact: Fact) -> str:
    """The fact as one line of JSON; raises CodecError for a value that JSON and this codec have no form for."""
    return json.dumps(_written(fact), separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def decode(text: str) -> Fact:
    """The fact that a line stands for; raises CodecError for anything else."""
    try:
        found = _read(json.loads(text))
    except CodecError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise CodecError(f"no fact of this version: {text[:80]!r}: {error}") from error
    if type(found) not in FACTS.values():
        raise CodecError(f"no fact: {text[:80]!r}")
    return cast("Fact", found)


def _written(value: object) -> object:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {MARK: "float", "is": str(value)}
        case Decimal():
            if not value.is_finite():
                raise CodecError(f"{value} is no amount")
            return {MARK: "decimal", "is": str(value)}
        case datetime():
            if value.tzinfo is None:
                raise CodecError(f"{value!r} has no time zone; instants are UTC")
            return {MARK: "at", "is": value.astimezone(UTC).isoformat()}
        case tuple():
            return {MARK: "tuple", "is": [_written(one) for one in value]}
        case list():
            return [_written(one) for one in value]
        case Mapping():
            if not all(isinstance(key, str) for key in value):
                raise CodecError(f"{value!r}: only text can be a key")
            return {MARK: "map", "is": {key: _written(one) for key, one in value.items()}}
        case _ if type(value) in NAMES and is_dataclass(value):
            cls = type(value)
            return {MARK: cls.__name__, **{name: _written(getattr(value, name)) for name in NAMES[cls]}}
        case _:
            raise CodecError(
                f"{value!r} ({type(value).__name__}) cannot be kept; keep numbers, text, lists and mappings"
            )


def _float(text: str) -> float:
    if text not in UNWRITTEN:
        raise CodecError(f"{text!r} is no float of this codec")
    return float(text)


_PLAIN: dict[str, Callable[[str], object]] = {"float": _float, "decimal": Decimal, "at": datetime.fromisoformat}


def _read(value: object) -> object:
    if isinstance(value, list):
        return [_read(one) for one in value]
    if not isinstance(value, dict):
        return value
    kind = value.pop(MARK)
    if kind in _PLAIN:
        return _PLAIN[kind](value["is"])
    if kind == "tuple":
        return tuple([_read(one) for one in value["is"]])
    if kind == "map":
        return {key: _read(one) for key, one in value["is"].items()}
    cls = FACTS.get(kind) or PARTS.get(kind)
    if cls is None:
        raise CodecError(f"{kind!r} is unknown here: it was written by a newer version")
    return cls(**{name: _read(one) for name, one in value.items()})
