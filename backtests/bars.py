"""Bars and histograms as HTML: figures beside each other, with the range in which they may lie, and how many lie where.

Like `charts`: no library, words unstretched, readable on a phone and on paper. It knows numbers and words only.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backtests.charts import HEIGHT, WIDTH, Floats, number

COLUMNS = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure with its name, the range in which it may lie, and words that stand behind it."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    words: str = ""


def bars(title: str, rows: Sequence[Bar], *, unit: str = "number", note: str = "") -> str:
    """Draw figures as bars from zero, one below the other, with their ranges as lines upon them."""
    drawn = [row for row in rows if math.isfinite(row.value)]
    if not drawn:
        return f'<p class="quiet">{html.escape(title)}: nothing to draw.</p>'
    ends = [
        0.0,
        *(end for row in drawn for end in (row.value, row.low, row.high) if end is not None and math.isfinite(end)),
    ]
    low, high = min(ends), max(ends)
    reach = (high - low) or 1.0
    lines = "".join(_row(row, low, reach, unit) for row in drawn)
    said = f' <span class="quiet">{html.escape(note)}</span>' if note else ""
    return f'<figure><figcaption><b>{html.escape(title)}</b>{said}</figcaption><div class="bars">{lines}</div></figure>'


def histogram(title: str, values: Sequence[float] | Floats, *, marks: Sequence[tuple[str, float, str]] = ()) -> str:
    """Draw how many of the values lie where; marks are a name, a value and the look of a line across."""
    column = np.asarray(values, np.float64)
    column = column[np.isfinite(column)]
    if not column.size:
        return f'<p class="quiet">{html.escape(title)}: nothing to draw.</p>'
    places = [float(column.min()), float(column.max()), *(value for _, value, _ in marks)]
    low, high = min(places), max(places)
    room = (high - low) * 0.03 or abs(high) * 0.05 or 1.0
    low, high = low - room, high + room
    counts, edges = np.histogram(column, COLUMNS, (low, high))
    across, up = (edges - low) / (high - low) * WIDTH, HEIGHT * (1 - counts / max(int(counts.max()), 1) * 0.97)
    path = "".join(
        f"M{begin:.1f} {HEIGHT:.0f}V{top:.1f}H{end:.1f}V{HEIGHT:.0f}Z"
        for begin, end, top in zip(across[:-1], across[1:], up, strict=True)
        if top < HEIGHT
    )
    lines = "".join(
        f'<path class="line {look}" d="M{(value - low) / (high - low) * WIDTH:.1f} 0V{HEIGHT:.0f}"/>'
        for _, value, look in marks
    )
    ticks = "".join(
        f'<span class="x" style="left:{share * 100:.0f}%">{number(low + share * (high - low))}</span>'
        for share in (0.03, 0.265, 0.5, 0.735, 0.97)
    )
    legend = "".join(
        f'<span class="key {look}">{html.escape(name)} {number(value)}</span>' for name, value, look in marks
    )
    return (
        f'<figure class="low"><figcaption><b>{html.escape(title)}</b> {legend}</figcaption><div class="plot">'
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" role="img" aria-label="{html.escape(title)}">'
        f'<path class="column" d="{path}"/>{lines}</svg>{ticks}</div></figure>'
    )  # fmt: skip


def _row(row: Bar, low: float, reach: float, unit: str) -> str:
    def share(value: float) -> float:
        return 100 * (value - low) / reach

    begin, end = sorted((share(0.0), share(row.value)))
    look = "gain" if row.value >= 0 else "loss"
    whisker = ""
    if row.low is not None and row.high is not None and math.isfinite(row.low) and math.isfinite(row.high):
        whisker = (
            f'<i class="reach" style="left:{share(row.low):.2f}%;width:{share(row.high) - share(row.low):.2f}%"></i>'
        )
    words = f"<small>{html.escape(row.words)}</small>" if row.words else ""
    return (
        f'<span>{html.escape(row.name)}</span><div class="track"><i class="{look}" style="left:{begin:.2f}%;width:{end - begin:.2f}%"></i>'
        f'<i class="zero" style="left:{share(0.0):.2f}%"></i>{whisker}</div><b>{number(row.value, unit)}{words}</b>'
    )  # fmt: skip
