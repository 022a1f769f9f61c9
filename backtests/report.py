"""A result as one self-contained HTML page, and as a figure for a notebook.

The page is written beside its place and moved into it, so that whatever happens nobody finds half a report.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backtests import page, sections
from backtests.charts import thin
from backtests.reported import Floats, Instants, Reported, closes, instants, most_traded

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

REMEDIES = {
    errno.ENOENT: "make the folder first, or name another",
    errno.ENOTDIR: "a part of the path is a file; name a folder",
    errno.EISDIR: "the path is a folder; name a file in it",
    errno.ENOSPC: "free some space on that disk, or name a path on another",
    errno.EDQUOT: "free some space within your quota, or name a path on another disk",
    errno.EACCES: "allow writing to the folder, or name another",
    errno.EPERM: "allow writing to the folder, or name another",
    errno.EROFS: "the disk is read-only; name a path on another",
    errno.ENAMETOOLONG: "choose a shorter name",
}
PARTS = (
    sections.headline,
    sections.figures,
    sections.equity,
    sections.months,
    sections.fills_on_price,
    sections.exposure,
    sections.rating_against_position,
    sections.costs,
    sections.decisions,
    sections.caveats,
    sections.notes,
    sections.parameters,
)


class ReportError(Exception):
    """The report could not be written; nothing was left behind."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"report {path} was not written: {reason}; {remedy}")
        self.path, self.reason, self.remedy = path, reason, remedy


def write(result: Reported, path: str | os.PathLike[str]) -> Path:
    """Write the report and give its path; on failure raise `ReportError` and leave what was there untouched."""
    return write_page(render(result), path)


def write_page(text: str, path: str | os.PathLike[str]) -> Path:
    """Write a page whole or not at all; raises `ReportError`."""
    target = Path(path)
    temporary: Path | None = None
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent)
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp keeps its file to the owner; a report is as readable as any file its writer makes.
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        remedy = REMEDIES.get(error.errno or 0, "see that the folder can be written, or name another")
        raise ReportError(target, error.strerror or str(error), remedy) from error
    return target


def render(result: Reported) -> str:
    """Give the report as HTML."""
    return page.page(f"Replay of {type(result.strategy).__name__}", (part(result) for part in PARTS))


def plot(result: Reported) -> Figure:
    """Draw equity, drawdown and the most traded asset's fills as a plotly figure."""
    try:
        from plotly.subplots import make_subplots  # noqa: PLC0415 (an extra; a replay runs without it)
    except ImportError as error:
        raise ImportError(
            "plot() needs plotly: pip install signal-trader[research]; report(path) works without"
        ) from error
    traded = most_traded(result.fills)[:1]
    titles = ["Equity", "Drawdown", *(f"{asset}: fills on price" for asset in traded)]
    heights = [0.45, 0.2, 0.35] if traded else [0.7, 0.3]
    drawn = make_subplots(
        rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=heights, subplot_titles=titles
    )
    values = result.equity.to_numpy(np.float64)
    falls = values / np.maximum.accumulate(np.maximum(values, float(result.cash_start))) - 1.0
    _add_line(drawn, result.equity.index, values, name="equity", row=1)
    _add_line(drawn, result.equity.index, falls, name="drawdown", row=2)
    for asset in traded:
        times, prices = closes(result.tape, asset)
        _add_line(drawn, times.astype("M8[ns]"), prices, name=asset, row=3)
        mine = result.fills[result.fills["asset"] == asset]
        for side, symbol in (("buy", "triangle-up"), ("sell", "triangle-down")):
            part = mine[mine["side"] == side]
            at, price = instants(part["at"]).astype("M8[ns]"), part["price"].to_numpy(np.float64)
            marker = {"symbol": symbol, "size": 8}
            drawn.add_scatter(x=at, y=price, mode="markers", name=side, marker=marker, text=part["why"], row=3, col=1)
    label = getattr(result.tape, "label", None)
    drawn.update_yaxes(tickformat=".0%", row=2, col=1)
    drawn.update_layout(
        title=type(result.strategy).__name__ + (f" ({label})" if label else ""), height=260 * len(titles)
    )
    return drawn


def _add_line(drawn: Figure, times: Instants | pd.Index, values: Floats, *, name: str, row: int) -> None:
    kept = thin(values, 5000)
    drawn.add_scatter(x=times[kept], y=values[kept], mode="lines", name=name, row=row, col=1)
