"""A sweep as one self-contained page: what the best is worth, the heat map, parallel coordinates, and how firm the best stands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from backtests import page
from backtests.page import escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from backtests.space import Axis, Point, Space
    from backtests.verdict import Verdict
    from trader.core.history import Floats

BINS = 12  # cells of one side of the heat map at most
LINES = 300  # trials drawn in parallel coordinates
TALL, WIDE = 240, 900
SHOWN = ("total_return", "sharpe", "max_drawdown", "turnover", "n_trades")


class Found(Protocol):
    """What the page reads of a sweep."""

    frame: pd.DataFrame
    points: list[Point]
    states: list[str]
    space: Space
    objectives: tuple[str, ...]

    @property
    def best(self) -> int | None: ...
    @property
    def finalists(self) -> list[int]: ...
    def figure(self, objective: str | None = None) -> Floats: ...
    def neighbours(self) -> list[Any]: ...
    def stability(self) -> float | None: ...
    def verdict(self) -> Verdict: ...


def render(found: Found) -> str:
    """The page."""
    return page.page("Sweep", [*head(found), *body(found)])


def head(found: Found) -> list[str]:
    """What came of it, in words."""
    verdict, stable = found.verdict(), found.stability()
    failed = sum(state == "failed" for state in found.states)
    tried = verdict.tried
    told = f"{len(found.frame):,} trials of {', '.join(found.space.axes)}; {failed} failed."
    if tried is not None:
        told += f" Trials ever made of this strategy: {tried.here:,} on this tape, {tried.anywhere:,} on any."
    parts = ["<h1>Sweep</h1>", page.words(told, look="quiet"), page.words(verdict.text, look="label")]
    chance = verdict.overfitting
    cards = [
        ("best " + found.objectives[0].removeprefix("-"), number(_best(found))),
        ("probability of overfitting", "-" if chance is None else f"{chance.probability:.0%}"),
        ("deflated Sharpe", "-" if verdict.deflated is None else f"{verdict.deflated:.0%}"),
        ("neighbours / best", "-" if stable is None else f"{stable:.0%}"),
    ]
    return [*parts, page.cards(cards)]


def body(found: Found) -> list[str]:
    """Tables and pictures; nothing where no trial went to the end."""
    figure = found.figure()
    if found.best is None:
        return [page.section("Nothing to show", page.words("No trial went to the end with a finite figure."))]
    return [finalists(found), heat_map(found, figure), parallel(found, figure), stability(found, figure)]


def finalists(found: Found) -> str:
    """The best trials with their parameters."""
    names = [*found.space.axes]
    figures = list(dict.fromkeys([*(one.removeprefix("-") for one in found.objectives), *SHOWN]))
    rows = [
        [
            *(_text(found.frame[name].iloc[place]) for name in names),
            *(number(found.frame[one].iloc[place]) for one in figures),
        ]
        for place in found.finalists
    ]
    title = "Finalists" if len(found.objectives) == 1 else "Finalists: no other trial is better in every objective"
    return page.section(title, page.table([*names, *figures], rows, numbers_from=len(names)))


def heat_map(found: Found, figure: Floats) -> str:
    """The objective over the two parameters that it depends on most, the median over all others."""
    axes = list(found.space.axes.values())
    if len(axes) < 2:
        return ""
    weight = {axis.name: spread(found, axis, figure) for axis in axes}
    rows, columns = sorted(axes, key=lambda axis: -weight[axis.name])[:2]
    (down, row_names), (across, column_names) = (binned(found, axis) for axis in (rows, columns))
    ok = np.isfinite(figure)
    low, high = (float(np.quantile(figure[ok], q)) for q in (0.02, 0.98))
    lines = []
    for row, name in enumerate(row_names):
        cells = []
        for column in range(len(column_names)):
            there = figure[ok & (down == row) & (across == column)]
            cells.append(_cell(float(np.median(there)) if there.size else math.nan, low, high))
        lines.append(f"<tr><th>{escaped(name)}</th>{''.join(cells)}</tr>")
    top = "".join(f"<th>{escaped(name)}</th>" for name in column_names)
    said = page.words(
        f"Median {found.objectives[0]} of the trials in each cell; {rows.name} down, {columns.name} across. One bright cell among"
        " dark ones is luck; a bright field is worth a look.", look="quiet",
    )  # fmt: skip
    table = f'<div class="wide"><table class="months"><thead><tr><th>{escaped(rows.name)}</th>{top}</tr></thead><tbody>'
    return page.section("Heat map", said, table + "".join(lines) + "</tbody></table></div>")


def parallel(found: Found, figure: Floats) -> str:
    """One line per trial through its parameters to its figure; the finalists stand out."""
    axes = list(found.space.axes.values())
    ok = np.flatnonzero(np.isfinite(figure))
    order = ok[np.argsort(figure[ok], kind="stable")]
    drawn = order[np.unique(np.linspace(0, len(order) - 1, min(LINES, len(order))).astype(int))].tolist()
    low, high = float(figure[order[0]]), float(figure[order[-1]])
    at = np.linspace(0, WIDE, len(axes) + 1)

    def line(place: int, look: str) -> str:
        shares = [axis.share(found.points[place][axis.name]) for axis in axes]
        shares.append((float(figure[place]) - low) / (high - low) if high > low else 0.5)
        path = " ".join(f"{x:.0f},{TALL * (1 - share):.1f}" for x, share in zip(at, shares, strict=True))
        return f'<polyline class="line {look}" points="{path}"/>'

    best = [place for place in found.finalists if np.isfinite(figure[place])]
    lines = "".join(line(place, "plain") for place in drawn if place not in best)
    rules = "".join(f'<line class="grid" x1="{x:.0f}" x2="{x:.0f}" y1="0" y2="{TALL}"/>' for x in at)
    picture = (
        f'<svg viewBox="-4 -4 {WIDE + 8} {TALL + 8}" preserveAspectRatio="none" style="width:100%;height:15rem" role="img"'
        f' aria-label="parallel coordinates"><g opacity=".25">{lines}</g>{rules}{"".join(line(p, "main") for p in best)}</svg>'
    )
    ends = [(axis.name, *_ends(axis)) for axis in axes] + [(found.objectives[0], number(low), number(high))]
    legend = page.table(["axis, from left to right", "bottom", "top"], ends, numbers_from=1)
    said = page.words(
        f"{len(drawn)} of {len(ok):,} trials from the worst to the best; the finalists in colour.", look="quiet"
    )
    return page.section("Parallel coordinates", said, f"<figure>{picture}</figure>", legend)


def stability(found: Found, figure: Floats) -> str:
    """How the objective changes one step from the best, and along each parameter."""
    best = float(figure[found.best or 0])
    near = [
        (one.parameter, _text(one.value), number(one.figure), f"{one.figure / best:.0%}" if best > 0 else "-")
        for one in found.neighbours()
    ]
    parts = [
        page.words(
            "A best that its neighbours do not share is a lone peak: the next tape will not have it.", look="quiet"
        )
    ]
    if near:
        parts.append(page.table(["one step in", "to", found.objectives[0], "of the best"], near, numbers_from=2))
    for axis in found.space.axes.values():
        where, names = binned(found, axis)
        rows = []
        for place, name in enumerate(names):
            there = figure[(where == place) & np.isfinite(figure)]
            if there.size:
                rows.append(
                    (name, f"{there.size:,}", *(number(float(np.quantile(there, q))) for q in (0.1, 0.5, 0.9, 1.0)))
                )
        parts.append(page.table([axis.name, "trials", "10 %", "median", "90 %", "best"], rows, numbers_from=1))
    return page.section("Stability of the optimum", *parts)


def binned(found: Found, axis: Axis) -> tuple[np.ndarray, list[str]]:
    """In which bin of an axis each trial lies, and what the bins are called."""
    places = np.asarray([point[axis.name] for point in found.points], np.float64)
    if axis.values is not None and len(axis.values) <= BINS:
        return places.astype(int), [_text(one) for one in axis.values]
    shares = np.asarray([axis.share(place) for place in places])
    where = np.minimum((shares * BINS).astype(int), BINS - 1)
    names = []
    for number_ in range(BINS):
        mine = places[where == number_]
        ends = (axis.value(float(mine.min())), axis.value(float(mine.max()))) if mine.size else ("", "")
        names.append(f"{_text(ends[0])} … {_text(ends[1])}" if mine.size else "-")
    return where, names


def spread(found: Found, axis: Axis, figure: Floats) -> float:
    """How far the medians of the bins lie apart."""
    where, names = binned(found, axis)
    medians = [
        float(np.median(there))
        for place in range(len(names))
        if (there := figure[(where == place) & np.isfinite(figure)]).size
    ]
    return float(np.std(medians)) if len(medians) > 1 else 0.0


def number(value: float) -> str:
    """A figure with four digits that count."""
    return "-" if not math.isfinite(value) else f"{value:,.4g}"


def _best(found: Found) -> float:
    column = found.objectives[0].removeprefix("-")
    return math.nan if found.best is None else float(found.frame[column].iloc[found.best])


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _ends(axis: Axis) -> Sequence[str]:
    ends = (axis.low, axis.high) if axis.values is None else (axis.values[0], axis.values[-1])
    return [_text(one) for one in ends]


def _cell(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "<td></td>"
    share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5
    look = "up" if share >= 0.5 else "down"
    return f'<td class="{look}" style="--heat:{abs(share - 0.5) * 120:.0f}">{number(value)}</td>'
