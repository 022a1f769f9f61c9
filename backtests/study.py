"""A study: a sweep on disk. A manifest says what it is, a database holds every trial that was finished.

Only one process writes, each chunk of rows in one transaction, so that a study that was killed goes on where it was: what is
in the database is finished and is not done again. It refuses to go on with anything but the same tape, strategy, assumptions,
code and search, and says what differs. Without a folder it is the same, in memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from types import CodeType
from typing import Any, Self

import numpy as np

import strategies
import trader.core
from backtests import space as spaces
from backtests.space import Point
from backtests.trial import Named, Row
from strategies.loading import find
from trader.core.history import Floats

TABLE = """
create table if not exists trial (
    number integer primary key, point text not null, state text not null, stats text, error text, parts text,
    returns blob not null, seconds real not null, finished_at text not null
) strict
"""
DONE, PRUNED, FAILED = "done", "pruned", "failed"
WHAT = {
    "tape": "the tape",
    "strategy": "the strategy",
    "assumed": "the assumptions (cash, costs, latency, exits, limits)",
    "space": "the space of parameters",
    "search": "the way of searching",
    "code": "the program's or the strategy's code",
}


class StudyError(ValueError):
    """A study that cannot be gone on with; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished trial as the database has it. parts: figures of the parts of the tape it was pruned by."""

    number: int
    point: Point
    state: str
    row: Row
    parts: tuple[float, ...] = ()


class Study:
    """The trials of one sweep. Use as a context."""

    def __init__(self, folder: Path | None, manifest: Mapping[str, Any]) -> None:
        self.folder, self.manifest = folder, dict(manifest)
        self._lock: int | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack:
                lock = _locked(folder)
                stack.callback(os.close, lock)
                self._check(folder / "manifest.json")
                stack.pop_all()
            self._lock = lock
        self._base = sqlite3.connect(
            ":memory:" if folder is None else folder / "study.sqlite", isolation_level="IMMEDIATE"
        )
        self._base.execute("pragma journal_mode = wal")
        self._base.execute("pragma synchronous = normal")
        self._base.execute(TABLE)

    def _check(self, file: Path) -> None:
        if not file.exists():
            text = json.dumps(self.manifest | {"begun_at": _now()}, indent=2, sort_keys=True) + "\n"
            fresh = file.with_suffix(".part")
            fresh.write_text(text)
            fresh.replace(file)
            return
        there = json.loads(file.read_text())
        wrong = [_differs(key, there.get(key), here) for key, here in self.manifest.items() if there.get(key) != here]
        if wrong:
            raise StudyError(
                f"{self.folder}: this study cannot be gone on with: "
                + "; ".join(wrong)
                + ". Rows of two kinds would be mixed:"
                " name another folder, or delete this one"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and let others have the folder."""
        self._base.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write(self, trials: Sequence[Trial]) -> None:
        """Keep finished trials, all or none; one that is there already is our mistake."""
        rows = [
            (
                one.number, spaces.written(one.point), one.state, None if one.row.stats is None else json.dumps(one.row.stats),
                one.row.error, json.dumps(one.parts), one.row.returns, one.row.seconds, _now(),
            )
            for one in trials
        ]  # fmt: skip
        with self._base:
            self._base.executemany("insert into trial values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def finished(self) -> set[int]:
        """The numbers of all trials that are finished."""
        return {number for (number,) in self._base.execute("select number from trial")}

    def trials(self) -> Iterator[Trial]:
        """Every finished trial, by number; read as they are asked for."""
        columns = "number, point, state, stats, error, parts, returns, seconds"
        for number, point, state, stats, error, parts, returns, seconds in self._base.execute(
            f"select {columns} from trial order by number"  # noqa: S608 - no word of it comes from outside
        ):
            row = Row(number, None if stats is None else json.loads(stats), error, returns, seconds)
            yield Trial(number, spaces.read(point), state, row, tuple(json.loads(parts)))

    def gains(self) -> tuple[list[int], Floats]:
        """The numbers of the trials that went to the end, and their returns: days x trials."""
        found = self._base.execute(
            "select number, returns from trial where state = ? order by number", (DONE,)
        ).fetchall()
        if not found:
            return [], np.empty((0, 0))
        columns = np.empty((len(found[0][1]) // 4, len(found)))
        for place, (_, returns) in enumerate(found):
            columns[:, place] = np.frombuffer(returns, np.float32)
        return [number for number, _ in found], columns


@lru_cache(maxsize=1)
def packages_code() -> str:
    """What identifies the code of core, strategies and harness."""
    found = hashlib.blake2b(digest_size=16)
    for place in (trader.core.__file__, strategies.__file__, __file__):
        folder = Path(str(place)).parent
        for file in sorted(folder.glob("*.py")):
            found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def code_of(make: object) -> str:
    """What identifies the code that decides a trial's figures: that of the program, and the strategy's own file."""
    found = hashlib.blake2b(packages_code().encode(), digest_size=16)
    made = find(make.name) if isinstance(make, Named) else make
    while isinstance(made, partial):
        found.update(repr((made.args, sorted(made.keywords.items()))).encode())
        made = made.func
    try:
        found.update(Path(inspect.getfile(made)).read_bytes())  # type: ignore[arg-type]
    except (TypeError, OSError):  # typed in, so there is no file
        found.update(_typed_in(made).encode())
    return found.hexdigest()


def _typed_in(made: object) -> str:
    """What identifies a function or a class of which there is no file: the code of its own functions, and their defaults."""
    if not isinstance(made, type):
        code = getattr(made, "__code__", None)
        return repr(made) if code is None else f"{_told(code)} {getattr(made, '__defaults__', None)!r}"
    parts = [repr(made)]
    for owner in made.__mro__[:-1]:
        for name, one in sorted(vars(owner).items()):
            inner = getattr(one, "fget", getattr(one, "__func__", one))
            if hasattr(inner, "__code__"):
                parts.append(f"{name} {_typed_in(inner)}")
            elif isinstance(one, bool | int | float | str) and not name.startswith("__"):
                parts.append(f"{name} {one!r}")
    return "\n".join(parts)


def _told(code: CodeType) -> str:
    """A code as text that is the same in every process: no address, no order of a set."""
    consts = [
        _told(one) if isinstance(one, CodeType) else repr(sorted(map(repr, one)) if isinstance(one, frozenset) else one)
        for one in code.co_consts
    ]
    return repr((code.co_code, consts, code.co_names))


def name_of(make: object) -> str:
    """What a strategy is called in a manifest and in the tally."""
    if isinstance(make, Named):
        return make.name
    inner = getattr(make, "func", make)  # of a partial
    return f"{getattr(inner, '__module__', '')}:{getattr(inner, '__qualname__', type(inner).__name__)}"


def digest(value: object) -> str:
    """What identifies plain data."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def _locked(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StudyError(
            f"{folder}: another process is at work on this study; wait for it, or name another folder"
        ) from error
    return lock


def _differs(key: str, there: object, here: object) -> str:
    was, now = (json.dumps(one, sort_keys=True) for one in (there, here))
    shown = f" (there {was}, here {now})" if len(was) + len(now) < 400 else ""
    return f"{WHAT.get(key, key)} differs{shown}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
