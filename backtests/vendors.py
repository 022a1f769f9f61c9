"""Ratings of any vendor as rows: a file's columns under our names, checked, with a delay where the file does not say when it was known."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from backtests.checks import TapeError
from backtests.files import read_frame, write_frame
from trader.core.instants import duration
from trader.core.observations import Observation

NEEDED = ("asset", "as_of", "value")
COLUMNS = ["asset", "kind", "as_of", "known_at", "value"]


@dataclass(frozen=True, slots=True)
class Read:
    """What a file held: its rows, and how many were passed over for want of a value, or for an asset that the map does not name."""

    rows: tuple[Observation, ...]
    empty: int
    strangers: Mapping[str, int]


def observations_in(
    path: Path, *, source: str, type_: str, kind: str | None, columns: Mapping[str, str], assets: Mapping[str, str],
    delay: str | None, observed_at: datetime,
) -> Read:  # fmt: skip
    """The rows of a CSV, Parquet or JSON file; raises TapeError that names the column or the row.

    columns: our name (asset, kind, as_of, known_at, value): the file's. assets: the file's name of an asset: ours; empty = as they are.
    Without a known_at, `delay` after as_of is when a row counts as known, and it must be given.
    """
    frame = read_frame(path)
    theirs = {name: columns.get(name, name) for name in COLUMNS}
    for name in NEEDED:
        if theirs[name] not in frame.columns:
            raise TapeError(
                f"{path}: no column {theirs[name]!r} for {name}; it has {', '.join(map(str, frame.columns[:12]))}"
            )
    if kind is None and theirs["kind"] not in frame.columns:
        raise TapeError(f"{path}: no column {theirs['kind']!r}, and no kind: for all rows is given")
    has_known = theirs["known_at"] in frame.columns
    if not has_known and delay is None:
        raise TapeError(
            f"{path}: no column {theirs['known_at']!r}: when a value could first be had decides every result. Give the column, or a delay:"
            " after what it describes, such as 25h"
        )
    as_of = _instants(frame, theirs["as_of"], path)
    known = (
        _instants(frame, theirs["known_at"], path) if has_known else as_of + pd.Timedelta(duration(delay or "0s"), "ns")
    )
    values = _values(frame, theirs["value"], path)
    found, empty, strangers = list[Observation](), 0, Counter[str]()
    for n, (asset, at, since, value) in enumerate(
        zip(frame[theirs["asset"]].astype(str), as_of, known, values, strict=True)
    ):
        ours = assets.get(asset) if assets else asset
        if ours is None:
            strangers[asset] += 1
            continue
        if math.isnan(value):
            empty += 1
            continue
        if since < at:
            raise TapeError(f"{path} row {n + 1}: {asset} is known at {since}, before {at}, which it describes")
        which = kind if kind is not None else str(frame[theirs["kind"]].iloc[n])
        found.append(
            Observation(
                source, which, type_, ours, at.to_pydatetime(), float(value), since.to_pydatetime(), observed_at,
                is_assumed=not has_known,
            )
        )  # fmt: skip
    return Read(tuple(found), empty, strangers)


def _values(frame: pd.DataFrame, name: str, path: Path) -> "pd.Series[float]":
    found = pd.to_numeric(frame[name], errors="coerce")
    wrong = found.isna() & frame[name].notna() & (frame[name].astype(str).str.strip() != "")
    if wrong.any():
        at = int(wrong.argmax())
        raise TapeError(f"{path} row {at + 1}: {name} {frame[name].iloc[at]!r} is no number")
    return found


def _instants(frame: pd.DataFrame, name: str, path: Path) -> "pd.Series[pd.Timestamp]":
    try:
        found = pd.to_datetime(frame[name], utc=True)
    except (ValueError, TypeError) as error:
        raise TapeError(f"{path}: column {name!r}: {str(error)[:160]}") from error
    if found.isna().any():
        raise TapeError(f"{path} row {int(found.isna().argmax()) + 1}: {name} is empty")
    return found


def export(path: Path, observations: Iterable[Observation], *, revisions: str = "all") -> int:
    """Write observations as a file that a tape reads; revisions: all, or only the first or the last of each. Returns the rows."""
    chosen: dict[tuple[str, str, datetime], list[Observation]] = {}
    for one in observations:
        if not one.is_provisional:
            chosen.setdefault((one.asset, one.kind, one.as_of), []).append(one)
    picks: Mapping[str, slice] = {"all": slice(None), "first": slice(0, 1), "last": slice(-1, None)}
    if revisions not in picks:
        raise TapeError(f"revisions {revisions!r}: allowed are {', '.join(picks)}")
    rows: Sequence[Observation] = [one for chain in chosen.values() for one in chain[picks[revisions]]]
    frame = pd.DataFrame([{name: getattr(one, name) for name in COLUMNS} for one in rows], columns=COLUMNS)
    write_frame(path, frame.sort_values(["known_at", "asset", "kind"], ignore_index=True))
    return len(frame)


def now() -> datetime:
    """The wall's time: when an import saw its rows."""
    return datetime.now(UTC)
