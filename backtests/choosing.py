"""A tape as a configuration asks for it: the sample or files, columns renamed, cut to assets and to a span of time.

Bars are cut, what a vendor said before the first bar stays: it was known by then. Everything is checked by the tape.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from backtests import sample
from backtests.bundled import LABEL, frames, further
from backtests.cells import checked
from backtests.checks import TapeError
from backtests.files import read_frame
from backtests.tape import Tape
from trader.core.signals import MARKET


def choose(
    timeframe: str | None,
    bars: Sequence[Path] = (),
    *,
    ratings: Path | None = None,
    signals: Path | None = None,
    instruments: Path | None = None,
    delay: str | None = None,
    columns: Mapping[str, str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    assets: Sequence[str] | None = None,
) -> Tape:
    """The tape of the sample with this timeframe, or of these files; raises TapeError."""
    label = None
    if timeframe is not None:
        if since is None and until is None and assets is None:
            return sample(timeframe)
        bar_rows, *said = further(*frames(timeframe))
        label, terms = LABEL, None
    else:
        read = [
            pd.concat([read_frame(one) for one in bars], ignore_index=True) if len(bars) > 1 else read_frame(bars[0])
        ]
        read += [pd.DataFrame() if one is None else read_frame(one) for one in (ratings, signals, instruments)]
        whats = ("bars", "ratings", "signals", "instruments")
        renamed = _renamed(read, columns or {})
        bar_rows, *said, terms = [checked(what, one, TapeError) for what, one in zip(whats, renamed, strict=True)]
        terms = terms if len(terms.columns) else None
    bar_rows = _cut(bar_rows, since, until, assets)
    kept = [_of(one, assets) if len(one.columns) else None for one in said]
    return Tape.from_frames(bar_rows, kept[0], kept[1], terms, delay, label=label)


def _renamed(read: list[pd.DataFrame], columns: Mapping[str, str]) -> list[pd.DataFrame]:
    there = {str(name) for frame in read for name in frame.columns}
    for ours, theirs in columns.items():
        if theirs not in there:
            raise TapeError(
                f"columns: {ours}: {theirs}: no file has a column {theirs!r}; {_near(theirs, there)}they have {_list(there)}"
            )
    return [
        frame.rename(columns={theirs: ours for ours, theirs in columns.items() if ours not in frame.columns})
        for frame in read
    ]


def _cut(
    bars: pd.DataFrame, since: datetime | None, until: datetime | None, assets: Sequence[str] | None
) -> pd.DataFrame:
    bars = _of(bars, assets)
    if (since is None and until is None) or "ts" not in bars.columns or not len(bars):
        return bars
    at = bars["ts"]
    if at.dt.tz is None:
        return bars  # the tape refuses it
    keep = pd.Series(True, index=bars.index)
    if since is not None:
        keep &= at >= since
    if until is not None:
        keep &= at < until
    if not keep.any():
        raise TapeError(
            f"no bar lies between since and until: the bars run from {at.min():%Y-%m-%d %H:%M} to {at.max():%Y-%m-%d %H:%M} UTC"
        )
    return bars[keep].reset_index(drop=True)


def _of(frame: pd.DataFrame, assets: Sequence[str] | None) -> pd.DataFrame:
    if assets is None or "asset" not in frame.columns:
        return frame
    if "open" in frame.columns:
        there = {str(name) for name in frame["asset"].unique()}
        for asset in assets:
            if asset not in there:
                raise TapeError(f"assets: {asset!r} has no bars; {_near(asset, there)}there are {_list(there)}")
    return frame[frame["asset"].isin([*assets, MARKET])].reset_index(drop=True)


def _near(word: str, allowed: Iterable[str]) -> str:
    names = sorted(allowed)
    near = difflib.get_close_matches(word, names, 1, 0.5) or [name for name in names if name.startswith(f"{word}/")]
    return f"did you mean {near[0]}? " if near else ""


def _list(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
