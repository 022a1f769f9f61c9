"""What somebody needs who looks into an incident, in one archive: facts, configuration, versions, status, the end of a log.

Everything goes through one mask on its way in: the run's own secrets in every form that we know, and whatever looks like one.
"""

import base64
import io
import json
import re
import sqlite3
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from platform import platform
from urllib.parse import unquote, urlsplit

from trader import __version__
from trader.core.facts import Fact
from trader.core.records import AccountCompared, EpochTaken, MountStarted, StateChanged
from trader.origins import Shown
from trader.output import plain
from trader.run_settings import secret_of
from trader.runtime.logs import MASK, Secrets

TAIL_BYTES, RAW_ROWS = 4_000_000, 20_000
STANDING = MountStarted, EpochTaken, StateChanged, AccountCompared  # of each the last before the slice is told as well
WORDS = (
    r"(?:api|access|private|listen|auth|session|refresh|client|bearer)[_-]?(?:key|token|secret)"
    r"|secret|token|passw(?:or)?d|passphrase|pwd|signature|sign|authorization|x-api-key"
)
SECRET_NAME = re.compile(WORDS, re.IGNORECASE)
LOOKS_SECRET = (
    (re.compile(r"(?<=://)[^/\s\"'\\]+@"), f"{MASK}@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{4,}"), rf"\1 {MASK}"),
    (re.compile(rf"(?i)\b({WORDS})(\\*[\"']?\s*[=:]\s*\\*[\"']?)(?!\*\*\*)[^\s\"'\\,;&}}\]]+"), rf"\1\2{MASK}"),
)
SECRET_FILES = re.compile(r"intake\.keys\..+|api\.tokens\..+\.file")  # files with a secret whose key does not say so
PART = 8  # parts of a secret address that are shorter are no secrets
README = """\
What was written down around an incident. Nothing in it is secret, as far as the program knows its secrets: look before you send it.

manifest.json   when and of what it was made, and what is missing
facts.jsonl     the journal's facts since then, one JSON object per line, with what they stand on: the last start, lease and state
                before, and the whole story of each order in it
rows.jsonl      in its place the last rows as they are kept, where this version of the program cannot read all of them
config.json     every effective value of the configuration and where it came from, secrets masked
versions.json   the program, Python and the packages that it stands on
status.json     what the running bot said of itself, with its measures
log.txt         the end of the log
"""


class Mask:
    """Masks texts, and texts within values."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = list(secrets)
        self._secrets = Secrets([*known, *(form for one in known for form in _more_forms(one))])

    def text(self, text: str) -> str:
        """The text without secrets."""
        found = str(self._secrets.masked(text))
        for pattern, put in LOOKS_SECRET:
            found = pattern.sub(put, found)
        return found

    def value(self, value: object) -> object:
        """The value without secrets; keys of mappings are texts too."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): self._entry(str(key), one) for key, one in value.items()}
            case list() | tuple():
                return [self.value(one) for one in value]
            case _:
                return value

    def _entry(self, key: str, value: object) -> object:
        return MASK if SECRET_NAME.fullmatch(key) and isinstance(value, str) else self.value(value)


def every_secret(values: Mapping[str, object], home: Path, place: tuple[str, ...] = ()) -> list[str]:
    """Every secret of a configuration's values: those of a secret type, and what the files hold that are named for one.

    Parts of an address that is a secret are secrets too. Raises SettingsError where a file cannot be read.
    """
    found: list[str] = []
    for key, value in values.items():
        here = (*place, key)
        reveal = getattr(value, "get_secret_value", None)
        if reveal is not None:
            found.append(str(reveal()))
        elif isinstance(value, Mapping):
            found += every_secret(value, home, here)
        elif isinstance(value, Path) and (key.endswith("_file") or SECRET_FILES.fullmatch(".".join(here))):
            found.append(secret_of(None, value, home, ".".join(here)))
        elif isinstance(value, str) and "://" in value and (password := urlsplit(value).password):
            found += sorted({password, unquote(password)})
    parts = [part for one in found if "://" in one for part in re.split(r"[/:@?&=]+", one) if len(part) >= PART]
    lines = [line for one in found if "\n" in one for line in one.splitlines() if len(line) >= PART]
    return [*found, *parts, *lines]


def _more_forms(secret: str) -> Iterator[str]:
    """Forms that a log's lines do not have, and an archive of them may: escaped, in capitals, inside of something in base64."""
    raw = secret.encode()
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield raw.hex().upper()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        inner = whole[
            (before * 8 + 5) // 6 :
        ]  # without what the bytes before it touch, and the last, which the bytes behind do
        if len(inner) > 8:
            yield inner[:-1]
            yield inner[:-1].replace("+", "-").replace("/", "_")


@dataclass(slots=True)
class Findings:
    """What was found for an archive; None is what could not be had, `missing` says why."""

    name: str
    config: str
    at: datetime
    since: datetime
    facts: Sequence[Fact] | None = None
    rows: Sequence[str] | None = None
    shown: Sequence[Shown] = ()
    status: Mapping[str, object] | None = None
    log: str | None = None
    chain: str = ""
    missing: list[str] = field(default_factory=list)


def pack(found: Findings, mask: Mask) -> bytes:
    """The archive, a .tar.gz with one folder; every byte in it went through the mask."""
    parts: dict[str, str] = {"README.txt": README, "versions.json": _json(mask.value(versions()))}
    facts = [] if found.facts is None else slice_of(found.facts, found.since)
    if found.facts is not None:
        rows = (json.dumps(mask.value(plain(fact)), default=str) for fact in facts)
        parts["facts.jsonl"] = "".join(f"{row}\n" for row in rows)
    if found.rows is not None:
        parts["rows.jsonl"] = "".join(f"{mask.text(row)}\n" for row in found.rows)
    rows_ = [{"key": one.key, "value": plain(one.value), "from": one.origin} for one in found.shown]
    parts["config.json"] = _json(mask.value(rows_))
    if found.status is not None:
        parts["status.json"] = _json(mask.value(found.status))
    if found.log is not None:
        parts["log.txt"] = "".join(f"{mask.text(line)}\n" for line in found.log.splitlines())
    manifest = {
        "version": 1, "run": found.name, "config": found.config, "made": found.at.isoformat(), "since": found.since.isoformat(),
        "facts": {"in the journal": 0 if found.facts is None else len(found.facts), "here": len(facts)},
        "chain": found.chain, "missing": found.missing, "files": sorted([*parts, "manifest.json"]),
    }  # fmt: skip
    parts["manifest.json"] = _json(mask.value(manifest))
    return _archive(f"incident-{found.name}", parts, found.at)


def _archive(folder: str, parts: Mapping[str, str], at: datetime) -> bytes:
    whole = io.BytesIO()
    folder = re.sub(r"[^\w.-]", "_", folder)
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, text in sorted(parts.items()):
            body = text.encode()
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(body), 0o600, int(at.timestamp())
            archive.addfile(entry, io.BytesIO(body))
    return whole.getvalue()


def slice_of(facts: Sequence[Fact], since: datetime) -> list[Fact]:
    """Facts since an instant, with what they stand on: the last start, lease and state before, and their orders' whole stories."""
    orders = {_order_of(fact) for fact in facts if fact.at >= since} - {None}
    standing = {type(fact): place for place, fact in enumerate(facts) if isinstance(fact, STANDING) and fact.at < since}
    places = set(standing.values())
    return [
        fact
        for place, fact in enumerate(facts)
        if fact.at >= since or place in places or _order_of(fact) in orders
    ]  # fmt: skip


def _order_of(fact: Fact) -> tuple[str, int] | None:
    number, mount = getattr(fact, "order", None), getattr(fact, "mount", None)
    return (mount, number) if isinstance(number, int) and isinstance(mount, str) else None


def tail_of(path: Path) -> str:
    """The end of a log, from the beginning of a line; raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(size - TAIL_BYTES, 0))
        text = file.read().decode(errors="replace")
    return text if size <= TAIL_BYTES else text.partition("\n")[2]


def versions() -> dict[str, object]:
    """The program, Python, the system, and the packages that are declared and installed."""
    found = {}
    for need in requires("signal-trader") or ():
        name = re.match(r"[\w.-]+", need)
        if name is None:
            continue
        try:
            found[name[0]] = version(name[0])
        except PackageNotFoundError:
            continue
    return {
        "trader": __version__, "python": sys.version, "system": platform(), "sqlite": sqlite3.sqlite_version, "packages": found,
    }  # fmt: skip


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n"
