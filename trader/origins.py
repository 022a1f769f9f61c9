"""The effective values of a configuration, each with where it came from: a default, a line, a variable, a file with a secret.

What is secret is shown as `***`. A key or its secret, which nobody can guess, has a fingerprint beside it, so that two can be
told apart; a password, which somebody may have chosen, has none. This reads files with secrets and prints nothing.
"""

import re
from collections.abc import Iterator, Mapping
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


def compared(first: Path, second: Path) -> list[tuple[str, Shown | None, Shown | None]]:
    """The keys whose effective values differ between two files, with both."""
    old, new = ({one.key: one for one in effective(path)} for path in (first, second))
    keys = [*old, *(key for key in new if key not in old)]
    rows = [(key, old.get(key), new.get(key)) for key in keys]
    return [(key, a, b) for key, a, b in rows if (a and a.value) != (b and b.value)]


def _rows(
    values: Mapping[str, object], place: Place, document: Document, over: Mapping[str, object]
) -> Iterator[Shown]:
    for key, value in values.items():
        here = (*place, key)
        if isinstance(value, Mapping) and value:
            yield from _rows(cast(Mapping[str, object], value), here, document, over)
        else:
            yield Shown(".".join(map(str, here)), _masked(key, value), _origin(here, document, over))


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
        try:
            value = hidden(row.key.rpartition(".")[2], path.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            value = f"cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
        found.append(Shown(row.key, value, f"secret file {path}"))
    return found
