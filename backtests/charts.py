"""Charts as HTML and inline SVG: the drawing is stretched to the page, the words are laid over it unstretched.

So one drawing is sharp and readable on a phone, on a wide screen and on paper, without any library. This file knows
columns of numbers and instants; it knows nothing of replays.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Instants = npt.NDArray[np.int64]

POINTS_MAX = 1500
WIDTH, HEIGHT = 1000.0, 400.0
TICKS_MAX = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One column over time; `look` is the colour's name in the page's style."""

    name: str
    times_ns: Instants
    values: Floats
    look: str = "main"
    is_area: bool = False
    is_step: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """One point with words of its own; `look` is `buy` or `sell`."""

    at_ns: int
    value: float
    look: str
    words: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The ranges of a chart, in nanoseconds across and in the chart's unit upward."""

    start_ns: int
    end_ns: int
    low: float
    high: float

    def across(self, times_ns: Instants) -> Floats:
        """Give the share of the width, 0 at the left."""
        return (times_ns - self.start_ns) / float(max(self.end_ns - self.start_ns, 1))

    def up(self, values: Floats) -> Floats:
        """Give the share of the height, 0 at the bottom."""
        return (values - self.low) / (self.high - self.low)


def chart(
    title: str,
    lines: Sequence[Line],
    *,
    unit: str = "number",
    marks: Sequence[Mark] = (),
    bands_ns: Sequence[tuple[int, int]] = (),
    reach_ns: tuple[int, int] | None = None,
    is_low: bool = False,
) -> str:
    """Draw lines over time, with marks upon them and bands behind.

    `unit` is `number` or `percent`; `reach_ns` is the time shown, so that charts below each other agree.
    """
    drawn = [_thinned(line) for line in lines]
    drawn = [line for line in drawn if line.values.size]
    if not drawn:
        return f'<p class="quiet">{html.escape(title)}: nothing to draw.</p>'
    scale = _scale(drawn, marks, reach_ns)
    shapes = "".join(_shape(line, scale) for line in drawn)
    first = drawn[0]
    points = {
        "x": [round(float(share), 5) for share in scale.across(first.times_ns)],
        "y": [float(f"{value:.6g}") for value in first.values],
        "start": scale.start_ns // 1_000_000,
        "end": scale.end_ns // 1_000_000,
        "unit": unit,
    }
    legend = "".join(f'<span class="key {line.look}">{html.escape(line.name)}</span>' for line in drawn)
    return (
        f'<figure class="chart{" low" if is_low else ""}"><figcaption><b>{html.escape(title)}</b> {legend}</figcaption>'
        f'<div class="plot" data-points="{html.escape(json.dumps(points, separators=(",", ":")))}">'
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" role="img" '
        f'aria-label="{html.escape(title)}">{_bands(bands_ns, scale)}{_grid(scale)}{shapes}</svg>'
        f"{_labels(scale, unit)}{_marks(marks, scale)}</div></figure>"
    )


def thin(values: Floats, points_max: int = POINTS_MAX) -> npt.NDArray[np.intp]:
    """Choose at most `points_max` positions that keep the first, the last and every stretch's lowest and highest."""
    known = np.flatnonzero(np.isfinite(values))
    if known.size <= points_max:
        return known
    edges = np.linspace(0, known.size, (points_max - 2) // 2 + 1).astype(np.intp)
    kept = {int(known[0]), int(known[-1])}
    for start, end in pairwise(edges.tolist()):
        stretch = values[known[start:end]]
        kept.add(int(known[start + int(stretch.argmin())]))
        kept.add(int(known[start + int(stretch.argmax())]))
    return np.array(sorted(kept), np.intp)


def number(value: float, unit: str = "number") -> str:
    """Write a figure shortly, as axes and tables show it; what is not defined is a dash."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if unit == "percent":
        share = value * 100.0
        text = f"{share:,.0f}" if abs(share) >= 1000 else f"{share:.2f}" if abs(share) < 10 else f"{share:.1f}"
        return text.replace("-", "−") + " %"
    size = abs(value)
    if size >= 1000:
        text = f"{value:,.0f}"
    elif size >= 0.01 or value == 0:
        text = f"{value:.2f}"
    else:
        text = f"{value:.3g}"
    return text.replace("-", "−")


def _thinned(line: Line) -> Line:
    kept = thin(line.values)
    return Line(line.name, line.times_ns[kept], line.values[kept], line.look, line.is_area, line.is_step)


def _scale(lines: Sequence[Line], marks: Sequence[Mark], reach_ns: tuple[int, int] | None) -> Scale:
    low = min([float(line.values.min()) for line in lines] + [mark.value for mark in marks])
    high = max([float(line.values.max()) for line in lines] + [mark.value for mark in marks])
    if any(line.is_area for line in lines):
        low, high = min(low, 0.0), max(high, 0.0)
    room = (high - low) * 0.04 or abs(high) * 0.05 or 1.0
    low = low if low == 0.0 else low - room
    high = high if high == 0.0 and low < 0.0 else high + room
    start_ns = min(int(line.times_ns[0]) for line in lines)
    end_ns = max(int(line.times_ns[-1]) for line in lines)
    if reach_ns is not None:
        start_ns, end_ns = min(start_ns, reach_ns[0]), max(end_ns, reach_ns[1])
    return Scale(start_ns, end_ns, low, high)


def _shape(line: Line, scale: Scale) -> str:
    across, up = scale.across(line.times_ns) * WIDTH, (1.0 - scale.up(line.values)) * HEIGHT
    if line.is_step:
        across, up = np.repeat(across, 2)[1:], np.repeat(up, 2)[:-1]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(across, up, strict=True))
    shape = f'<path class="line {line.look}" d="M{path}"/>'
    if not line.is_area:
        return shape
    ground = (1.0 - float(scale.up(np.zeros(1))[0])) * HEIGHT
    area = f"M{across[0]:.1f} {ground:.1f}L{path}L{across[-1]:.1f} {ground:.1f}Z"
    return f'<path class="area {line.look}" d="{area}"/>{shape}'


def _bands(bands_ns: Sequence[tuple[int, int]], scale: Scale) -> str:
    if not bands_ns:
        return ""
    edges = np.clip(scale.across(np.array(bands_ns, np.int64)), 0.0, 1.0) * WIDTH
    path = "".join(f"M{start:.1f} 0H{end:.1f}V{HEIGHT:.0f}H{start:.1f}Z" for start, end in edges)
    return f'<path class="band" d="{path}"/>'


def _grid(scale: Scale) -> str:
    levels = (1.0 - scale.up(np.array(_levels(scale.low, scale.high)))) * HEIGHT
    return '<path class="grid" d="' + "".join(f"M0 {y:.1f}H{WIDTH:.0f}" for y in levels) + '"/>'


def _labels(scale: Scale, unit: str) -> str:
    levels = _levels(scale.low, scale.high)
    heights = scale.up(np.array(levels))
    left = "".join(
        f'<span class="y" style="bottom:{100 * height:.2f}%">{_short(level, levels, unit)}</span>'
        for level, height in zip(levels, heights, strict=True)
    )
    return left + "".join(
        f'<span class="x" style="left:{100 * share:.2f}%">{words}</span>' for share, words in _dates(scale)
    )


def _marks(marks: Sequence[Mark], scale: Scale) -> str:
    if not marks:
        return ""
    across = scale.across(np.array([mark.at_ns for mark in marks], np.int64))
    up = scale.up(np.array([mark.value for mark in marks]))
    return "".join(
        f'<i class="mark {mark.look}" style="left:{100 * x:.2f}%;bottom:{100 * y:.2f}%" '
        f'title="{html.escape(mark.words)}"></i>'
        for mark, x, y in zip(marks, across, up, strict=True)
        if -0.01 <= x <= 1.01
    )


def _levels(low: float, high: float) -> list[float]:
    """Round values between the ends, at most TICKS_MAX + 1 of them."""
    rough = (high - low) / TICKS_MAX
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= rough * (1 - 1e-9))
    return [step * count for count in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _short(level: float, levels: Sequence[float], unit: str) -> str:
    step = abs(levels[1] - levels[0]) if len(levels) > 1 else abs(level) or 1.0
    if unit == "percent":
        level, step, ending = level * 100, step * 100, " %"
    else:
        largest = max(abs(one) for one in levels)
        size, ending = next(((s, e) for s, e in ((1e9, "G"), (1e6, "M"), (1e4, "k")) if largest >= s), (1.0, ""))
        size = 1e3 if ending == "k" else size
        level, step = level / size, step / size
    places = max(0, math.ceil(-math.log10(step) - 1e-9))
    if round(step * 10**places, 6) % 1:
        places += 1
    return f"{level:,.{places}f}".replace("-", "−") + ending


def _dates(scale: Scale) -> list[tuple[float, str]]:
    """Even calendar dates across, written as coarsely as they are."""
    start, end = (np.datetime64(at, "ns") for at in (scale.start_ns, scale.end_ns))
    ticks, length = np.array([start, end]), 16
    for unit, every in (("Y", 1), ("M", 6), ("M", 3), ("M", 1), ("D", 7), ("D", 1), ("h", 6)):
        found = np.arange(start.astype(f"M8[{unit}]"), end.astype(f"M8[{unit}]") + 1)
        found = found[found.astype(np.int64) % every == 0] if unit == "M" else found[::every]
        found = found[(found >= start) & (found <= end)]
        if found.size >= 3:
            ticks, length = found, {"Y": 4, "M": 7, "D": 10}.get(unit, 16)
            break
    ticks = ticks[:: math.ceil(ticks.size / TICKS_MAX)]
    shares = scale.across(ticks.astype("M8[ns]").astype(np.int64))
    return [(float(share), str(tick)[:length].replace("T", " ")) for share, tick in zip(shares, ticks, strict=True)]
