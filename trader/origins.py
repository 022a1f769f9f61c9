"""The effective values of a configuration, each with where it came from: a default, a line, a variable, a file with a secret.

What is secret is shown as `***`. A key or its secret, which nobody can guess, has a fingerprint beside it, so that two can be
told apart; a password, which somebody may have chosen, has none. This reads files with secrets and prints nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast

from trader.configurations import read
from trader.settings import overrides, variables
from trader.yaml_source import Document, Place

HIDDEN = "***"
GENERATED = frozenset({"key", "secret"})  # made by a venue or a vendor, so that a fingerprint gives nothing away
_USERINFO = re.compile(r"(?<=://)([^/@\s:]*):[^/\s]*@")


@dataclass(frozen=True, slots=True)
class Shown:
    """One effective value. A secret's value is hidden already."""

    key: str
    value: object
    origin: str


def fingerprint(secret: str) -> str:
    """What tells two keys apart and gives neither away."""
    return sha256(secret.encode()).hexdigest()[:8]


def effective(path: Path) -> list[Shown]:
    """Every value that counts, in the order of the layout; raises SettingsError where the file is wrong."""
    settings, document = read(path)
    rows = list(_rows(settings.model_dump(), (), document, overrides(type(settings))))
    return _with_secret_files(rows, path.parent)


def masked(values: Mapping[str, object], home: Path) -> dict[str, object]:
    """The values of a configuration as plain data, nested as they are, with secrets hidden as `effective` hides them."""
    found: dict[str, object] = {}
    for key, value in values.items():
        file = values.get(f"{key}_file")
        if isinstance(value, Mapping):
            found[str(key)] = masked(cast(Mapping[str, object], value), home)
        elif value is None and file is not None:
            found[key] = _of_file(key, home / str(file))
        else:
            found[str(key)] = _masked(str(key), value)
    return found


def flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested values by their whole keys."""
    found: dict[str, object] = {}
    for key, value in values.items():
        inner = cast(Mapping[str, object], value) if isinstance(value, Mapping) and value else None
        found |= {f"{prefix}{key}": value} if inner is None else flat(inner, f"{prefix}{key}.")
    return found


def compared(first: Sequence[Shown], second: Sequence[Shown]) -> list[tuple[str, Shown | None, Shown | None]]:
    """The keys whose values differ between two configurations, with both."""
    old, new = ({one.key: one for one in rows} for rows in (first, second))
    keys = [*old, *(key for key in new if key not in old)]
    rows = [(key, old.get(key), new.get(key)) for key in keys]
    return [(key, a, b) for key, a, b in rows if (a and a.value) != (b and b.value)]


def _rows(
    values: Mapping[str, object], place: Place, document: Document, over: Mapping[str, object], shown: str = "",
) -> Iterator[Shown]:  # fmt: skip
    for key, value in values.items():
        here, whole = (*place, key), f"{shown}{key}"
        if isinstance(value, Mapping) and value:
            yield from _rows(cast(Mapping[str, object], value), here, document, over, shown=f"{whole}.")
        elif _are_named(value):
            for number, one in enumerate(cast(Sequence[Mapping[str, object]], value)):
                yield from _rows(one, (*here, number), document, over, shown=f"{whole}.{one['name']}.")
        else:
            yield Shown(whole, _masked(key, value), _origin(here, document, over))


def _are_named(value: object) -> bool:
    """Whether a value is a list of parts with names, which then are told apart by these."""
    return (
        isinstance(value, Sequence) and not isinstance(value, str) and bool(value)
        and all(isinstance(one, Mapping) and one.get("name") for one in value)
    )  # fmt: skip


def _masked(key: str, value: object) -> object:
    reveal = getattr(value, "get_secret_value", None)
    if reveal is not None:
        return hidden(key, str(reveal()))
    if isinstance(value, str):
        return _USERINFO.sub(rf"\1:{HIDDEN}@", value)
    if isinstance(value, tuple | list):
        return [_masked(key, one) for one in value]
    return str(value) if isinstance(value, Path) else value


def hidden(key: str, secret: str) -> str:
    """A secret as it may be shown."""
    return f"{HIDDEN} (fingerprint {fingerprint(secret)})" if key in GENERATED else HIDDEN


def _origin(place: Place, document: Document, over: Mapping[str, object]) -> str:
    found: object = over
    for key in place:
        found = found.get(str(key), ...) if isinstance(found, Mapping) else ...
    if found is not ...:
        names = [name for at, (name, _) in variables().items() if place[: len(at)] == at or at[: len(place)] == place]
        return f"environment {names[0]}"
    return document.where(place) if place in document.places else "default"


def _with_secret_files(rows: list[Shown], home: Path) -> list[Shown]:
    """Fill in secrets that a file holds: `key` from `key_file`, and so on."""
    files = {one.key.removesuffix("_file"): one for one in rows if one.key.endswith("_file") and one.value is not None}
    found = []
    for row in rows:
        file = files.get(row.key)
        if file is None or row.value is not None:
            found.append(row)
            continue
        path = home / str(file.value)
        found.append(Shown(row.key, _of_file(row.key.rpartition(".")[2], path), f"secret file {path}"))
    return found


def _of_file(key: str, path: Path) -> str:
    try:
        return hidden(key, path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
