"""Mapped: the candles of a folder laid out once as columns on disk, which tapes read without loading them.

Beside the files of Parquet or CSV lies `.tape`: one file per column, float64 [asset, time], and `about.json`, written last. A file
that grew at its end is appended; one that changed otherwise is laid out anew; the others are not opened. Nothing here decides what
a bar may be: each file passes the checks of a tape.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from backtests.checks import TapeError
from trader.core.instants import DAY, in_words
from trader.core.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from trader.core.panel import Floats, Instants

    Laid = tuple[list[str], Panel, list[str]]

LAYOUT = 1
COLUMNS = ("open", "high", "low", "close", "volume")
SPARE = 1.25  # room for this many times the bars there are, before all columns are written anew


@dataclass(slots=True)
class Row:
    """One asset: its file as it was when laid out, and where in the grid its bars are."""

    asset: str
    file: str
    size: int
    changed_ns: int
    first: int
    last: int
    count: int
    is_traded: bool  # whether every bar has a volume over zero
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class About:
    """The grid and its rows; `room` is how many bars a row of the files on disk can take."""

    start_ns: int = 0
    step_ns: int = 0
    size: int = 0
    room: int = 0
    empty: list[int] = field(default_factory=list)  # bars of the grid that no asset has
    rows: list[Row] = field(default_factory=list)


def mapped(folder: Path, lay: Callable[[pd.DataFrame], Laid]) -> Laid:
    """Names, panel and report of a folder of candles, one file per asset. `lay` checks a frame; raises TapeError."""
    files = sorted(file for file in folder.iterdir() if file.suffix in {".parquet", ".csv"}) if folder.is_dir() else []
    if not files:
        raise TapeError(f"{folder}: no folder with .parquet or .csv files, one per asset")
    store = folder / ".tape"
    about = _read(store)
    stale = [file for file in files if not _is_known(about, file)]
    gone = {row.file for row in about.rows} - {file.name for file in files}
    if stale or gone:
        about = _brought_up(store, about, files, [] if gone else stale, lay)
    return _opened(store, about)


def _read(store: Path) -> About:
    try:
        found = json.loads((store / "about.json").read_text())
    except (OSError, ValueError):
        return About()
    if found.pop("layout", None) != LAYOUT:
        return About()
    return About(**{**found, "rows": [Row(**row) for row in found["rows"]]})


def _write(store: Path, about: About) -> None:
    part = store / ".about.json.part"
    part.write_text(json.dumps({"layout": LAYOUT, **asdict(about)}))
    os.replace(part, store / "about.json")  # noqa: PTH105 - atomic, over the older one


def _is_known(about: About, file: Path) -> bool:
    found, now = next((row for row in about.rows if row.file == file.name), None), file.stat()
    return found is not None and (found.size, found.changed_ns) == (now.st_size, now.st_mtime_ns)


def _brought_up(
    store: Path, about: About, files: Sequence[Path], stale: Sequence[Path], lay: Callable[[pd.DataFrame], Laid]
) -> About:
    """Append what is new, one file at a time; lay everything out anew where that is not enough."""
    from backtests.files import read_frame, read_heads  # noqa: PLC0415  # pandas only where files changed

    store.mkdir(exist_ok=True)
    (store / "about.json").unlink(missing_ok=True)  # until all is written, what lies there is not to be trusted
    known = {row.file: at for at, row in enumerate(about.rows)}
    is_laid = bool(stale) and all(file.name in known for file in stale)
    for file in stale if is_laid else ():
        at = known[file.name]
        row = _laid(file, *lay(read_frame(file)), store, about, at)
        if row is None:
            is_laid = False
            break
        about.rows[at] = row
    if not is_laid:
        heads = [(*read_heads(file), file) for file in files]
        about = _grid(heads)
        for name in COLUMNS:
            with (store / f"{name}.f8").open("wb") as out:
                out.truncate(len(files) * about.room * 8)  # a hole costs nothing
        for at, (_, _, file) in enumerate(sorted(heads, key=lambda head: head[0])):
            row = _laid(file, *lay(read_frame(file)), store, about, at)
            assert row is not None
            about.rows.append(row)
    close = _column(store, "close", about, "r")[: len(about.rows), : about.size]
    is_empty = np.ones(about.size, bool)
    for line in close:
        is_empty &= np.isnan(line)
    about.empty = np.flatnonzero(is_empty).tolist()
    _write(store, about)
    return about


def _grid(heads: Sequence[tuple[str, Instants, Path]]) -> About:
    """A grid that reaches over the bars of all files; raises TapeError where they do not share one."""
    gaps = [int(np.diff(at).min()) for _, at, _ in heads if len(at) > 1]
    step = min(gaps, default=DAY)
    if step <= 0:
        raise TapeError(
            "bars stand out of order or twice; sort by ts and drop duplicates: which copy is right is not for us to guess"
        )
    start, end = min(int(at[0]) for _, at, _ in heads), max(int(at[-1]) for _, at, _ in heads)
    for _, at, file in heads:
        if ((at - start) % step).any():
            raise TapeError(
                f"{file}: its bars are not on the grid of the others, {in_words(step)} from {start} ns on; one folder, one timeframe"
            )
    size = (end - start) // step + 1
    return About(start, step, size, math.ceil(size * SPARE))


def _laid(
    file: Path, names: list[str], panel: Panel, report: list[str], store: Path, about: About, at: int
) -> Row | None:
    """Write the bars of a file into its row; None where the grid has no place for them."""
    if len(names) != 1:
        raise TapeError(f"{file}: holds {len(names)} assets; a mapped folder has one per file")
    where, rest = np.divmod(panel.opens_ns - about.start_ns, about.step_ns)
    first, last = int(where[0]), int(where[-1])
    if rest.any() or first < 0 or last >= about.room:
        return None
    before = about.rows[at] if at < len(about.rows) else None
    begin = 0 if before is None else _same_until(store, about, at, before, where, panel)
    size = about.size
    about.size = max(size, last + 1)
    for name in COLUMNS:
        column = _column(store, name, about, "r+")
        if about.size > size:
            column[:, size : about.size] = np.nan  # the grid grew for all
        if not begin:
            column[at, : about.size] = np.nan
        column[at, where[begin:]] = getattr(panel, name)[0, begin:]
    state, traded = file.stat(), panel.volume[0]
    is_traded = bool(traded.all())
    return Row(names[0], file.name, state.st_size, state.st_mtime_ns, first, last, panel.size, is_traded, report)


def _same_until(store: Path, about: About, at: int, before: Row, where: Instants, panel: Panel) -> int:
    """How many bars lie there already and stay; none where the file is not the older one grown at its end."""
    count = before.count
    if before.first != int(where[0]) or count > panel.size or before.last != int(where[count - 1]):
        return 0
    for name in COLUMNS:
        column = _column(store, name, about, "r")
        if not np.array_equal(column[at, where[:count]], getattr(panel, name)[0, :count], equal_nan=True):
            return 0
    return count


def _column(store: Path, name: str, about: About, mode: Literal["r", "r+"]) -> Floats:
    path = store / f"{name}.f8"
    return np.memmap(path, np.float64, mode, shape=(path.stat().st_size // (8 * about.room), about.room))


def _opened(store: Path, about: About) -> Laid:
    """The panel over the columns on disk, with what is known of it already."""
    size, names = about.size, [row.asset for row in about.rows]
    columns = [np.asarray(_column(store, name, about, "r"))[:, :size] for name in COLUMNS]
    opens = about.start_ns + about.step_ns * np.arange(size, dtype=np.int64)
    ended = [row.asset for row in about.rows if row.last < size - 1]
    holes = {row.asset: row.last - row.first + 1 - row.count for row in about.rows}
    holes = {asset: count for asset, count in holes.items() if count}
    report = [note for row in about.rows for note in row.notes if not note.startswith("gaps")] + noted(holes, ended)
    if about.empty:  # instants without any bar are no instants of a tape; such columns are copied
        keep = np.ones(size, bool)
        keep[about.empty] = False
        opens, columns = opens[keep], [column[:, keep] for column in columns]
    opened, high, low, close, volume = columns
    panel = Panel(names, opens, about.step_ns, opened, high, low, close, volume)
    if about.empty:
        return names, panel, report
    is_dense = [row.is_traded and row.asset not in holes for row in about.rows]
    panel.caches["full"] = [row.count == size for row in about.rows]
    panel.caches["spans"] = ([row.first for row in about.rows], [row.last for row in about.rows], is_dense)
    return names, panel, report


def noted(holes: dict[str, int], ended: Sequence[str]) -> list[str]:
    """What a report says of missing bars and of assets that end before the tape does."""
    notes = []
    if holes:
        worst = max(holes, key=lambda name: holes[name])
        notes.append(
            f"gaps: {sum(holes.values())} bars missing in {len(holes)} assets, most in {worst} ({holes[worst]})"
        )
    if ended:
        notes.append(f"ended before the tape does: {', '.join(ended[:8])}{' …' if len(ended) > 8 else ''}")
    return notes
