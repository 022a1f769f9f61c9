"""States as text and back: what a snapshot is made of.

A part says in `STATE` which of its attributes are its state. Values are plain data and classes of a list; a text that names another
class is refused, and nothing but attributes is set, so that a text can bring about no more than data.
"""

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

MARK = "$"


class StateError(ValueError):
    """A value that has no form here, or a text that is no state."""


class Part(Protocol):
    """Something with a state."""

    @property
    def STATE(self) -> tuple[str, ...]:  # noqa: N802 - a constant of each class
        """The names of its attributes that are state."""


class Coder:
    """Writes and reads values; `classes` are those that may occur, each with all its fields unless `only` names fewer."""

    def __init__(self, classes: Iterable[type], only: Mapping[type, tuple[str, ...]] | None = None) -> None:
        self._only = only or {}
        self._classes = {one.__name__: one for one in classes}

    def capture(self, parts: Mapping[str, Part]) -> str:
        """The state of all parts as one text; the same state is the same text."""
        found = {name: {key: self._written(getattr(one, key)) for key in one.STATE} for name, one in parts.items()}
        return json.dumps(found, separators=(",", ":"), allow_nan=False, ensure_ascii=False)

    def restore(self, text: str, parts: Mapping[str, Part]) -> None:
        """Set the state of all parts; raises StateError, and then nothing was set."""
        try:
            found = json.loads(text)
            if {name: tuple(one) for name, one in found.items()} != {name: one.STATE for name, one in parts.items()}:
                raise StateError("the parts are not those that were captured")
            read = {name: {key: self._read(value) for key, value in one.items()} for name, one in found.items()}
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
            raise StateError(f"no state: {error}") from error
        for name, values in read.items():
            for key, value in values.items():
                setattr(parts[name], key, value)

    def _names(self, cls: type) -> tuple[str, ...]:
        if cls in self._only:
            return self._only[cls]
        if issubclass(cls, tuple):
            return tuple(cls._fields)  # type: ignore[attr-defined]  # only named tuples are of the list
        return tuple(field.name for field in fields(cls)) if is_dataclass(cls) else tuple(sorted(cls.__slots__))  # type: ignore[attr-defined]

    def _written(self, value: object) -> object:
        cls = type(value)
        if self._classes.get(cls.__name__) is cls:
            return {MARK: cls.__name__, **{name: self._written(getattr(value, name)) for name in self._names(cls)}}
        match value:
            case None | bool() | int() | str():
                return value
            case float():
                return value if math.isfinite(value) else {MARK: "float", "is": str(value)}
            case Decimal():
                return {MARK: "decimal", "is": str(value)}
            case datetime():
                return {MARK: "at", "is": value.isoformat()}
            case timedelta():
                return {MARK: "span", "is": value / timedelta(microseconds=1)}
            case list():
                return [self._written(one) for one in value]
            case tuple() | deque() if cls in {tuple, deque}:
                return {MARK: cls.__name__, "is": [self._written(one) for one in value]}
            case set() | frozenset():
                return {MARK: cls.__name__, "is": [self._written(one) for one in sorted(value, key=repr)]}
            case Mapping():
                return {MARK: "map", "is": [[self._written(key), self._written(one)] for key, one in value.items()]}
            case _:
                raise StateError(f"{value!r} ({type(value).__name__}) has no form in a state")

    def _read(self, value: object) -> object:
        if isinstance(value, list):
            return [self._read(one) for one in value]
        if not isinstance(value, dict):
            return value
        kind = value.pop(MARK)
        if kind in _PLAIN:
            return _PLAIN[kind](value["is"])  # type: ignore[operator]
        if kind in _MANY:
            return _MANY[kind](self._read(one) for one in value["is"])  # type: ignore[operator]
        if kind == "map":
            return {self._read(key): self._read(one) for key, one in value["is"]}
        cls = self._classes[kind]
        if set(value) != set(self._names(cls)):
            raise StateError(f"{kind} has other fields now")
        inner = {name: self._read(one) for name, one in value.items()}
        if issubclass(cls, tuple):
            return cls(**inner)
        found: object = object.__new__(cls)
        for name, one in inner.items():
            object.__setattr__(found, name, one)
        return found


_PLAIN: dict[str, object] = {
    "float": float, "decimal": Decimal, "at": datetime.fromisoformat, "span": lambda count: timedelta(microseconds=count),
}  # fmt: skip
_MANY: dict[str, object] = {"tuple": tuple, "deque": deque, "set": set, "frozenset": frozenset}
