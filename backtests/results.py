"""What a sweep found: the rows as a frame, the best of them, how firm the best stands among its neighbours, and what it is worth."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests.space import Point, Space, told, written
from backtests.study import DONE, FAILED, PRUNED
from backtests.verdict import Verdict, judge

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas as pd

    from backtests.study import Study
    from backtests.tally import Tried
    from trader.core.history import Floats


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A trial one step away from the best in one parameter."""

    parameter: str
    value: Any
    figure: float


@dataclass
class Swept:
    """A finished sweep. fresh: trials that were run now; the others had been finished before."""

    frame: pd.DataFrame
    points: list[Point]
    states: list[str]
    space: Space
    objectives: tuple[str, ...]
    numbers: list[int]
    gains: Floats
    tried: Tried | None
    fresh: int
    seconds: float
    _verdict: Verdict | None = field(default=None, repr=False)

    @classmethod
    def of(cls, study: Study, space: Space, objectives: tuple[str, ...], *, tried: Tried | None, fresh: int) -> Swept:
        """Read a study; its rows are written to `results.parquet` in its folder."""
        import pandas as pd  # noqa: PLC0415

        rows, points, states, wrong, spent = [], [], [], list[str | None](), 0.0
        for one in study.trials():
            pruned = f"{one.state} after {len(one.parts)} parts" if one.state == PRUNED else None
            rows.append(space.values(one.point) | (one.row.stats or {}))
            wrong.append(one.row.error or pruned)
            points.append(one.point)
            states.append(one.state)
            spent += one.row.seconds
        frame = pd.DataFrame(rows)
        frame["error"] = pd.Series(wrong, dtype=object)
        if study.folder is not None:
            _keep(frame, study.folder)
        numbers, gains = study.gains()
        return cls(frame, points, states, space, objectives, numbers, gains, tried, fresh, spent)

    def figure(self, objective: str | None = None) -> Floats:
        """An objective of all rows, turned so that more is better; NaN where a row did not go to the end."""
        name = objective or self.objectives[0]
        column = name.removeprefix("-")
        if column not in self.frame.columns:
            return np.full(len(self.frame), np.nan)
        found = self.frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        found = np.where([state == DONE for state in self.states], found, np.nan)
        return -found if name.startswith("-") else found

    @property
    def best(self) -> int | None:
        """The place of the best row by the first objective; of equal ones the first."""
        figure = self.figure()
        return (
            None if not np.isfinite(figure).any() else int(np.nanargmax(np.where(np.isfinite(figure), figure, np.nan)))
        )

    @property
    def finalists(self) -> list[int]:
        """The ten best rows; with several objectives those that no other beats in all of them."""
        figures = np.stack([self.figure(one) for one in self.objectives])
        there = np.flatnonzero(np.isfinite(figures).all(axis=0))
        if len(self.objectives) == 1:
            return [int(one) for one in there[np.argsort(-figures[0, there], kind="stable")][:10]]
        return [
            int(one) for one in there
            if not ((figures[:, there] >= figures[:, [one]]).all(axis=0) & (figures[:, there] > figures[:, [one]]).any(axis=0)).any()
        ]  # fmt: skip

    def parameters(self, place: int) -> dict[str, Any]:
        """The parameters of a row, as the strategy takes them."""
        return self.space.values(self.points[place])

    def neighbours(self) -> list[Neighbour]:
        """How the objective changes one step away from the best, parameter by parameter, where such a trial was made."""
        if self.best is None:
            return []
        figure, centre, found = self.figure(), self.points[self.best], []
        there = {written(point): place for place, point in enumerate(self.points)}
        for name, axis in self.space.axes.items():
            if axis.values is None or not axis.is_ordered:
                continue
            for step in (-1, 1):
                place = there.get(written(centre | {name: int(centre[name]) + step}))
                if place is not None and np.isfinite(figure[place]):
                    found.append(Neighbour(name, axis.value(self.points[place][name]), float(figure[place])))
        return found

    def stability(self) -> float | None:
        """The mean of the objective among the nearest trials over the best's own: 1 = a plateau, 0 or less = a lone peak.

        Nearest are the tenth of all trials (at least two for each parameter) that lie closest to the best, by shares of the axes.
        """
        best, figure = self.best, self.figure()
        if best is None or not figure[best] > 0:
            return None
        there = np.asarray(
            [[axis.share(point[name]) for name, axis in self.space.axes.items()] for point in self.points]
        )
        kinds = np.asarray([axis.is_ordered or axis.values is None for axis in self.space.axes.values()])
        apart = np.abs(there - there[best])
        apart[:, ~kinds] = apart[:, ~kinds] > 0  # another choice is another place, however far down the list
        order = [
            one
            for one in np.argsort(apart.sum(axis=1), kind="stable").tolist()
            if one != best and np.isfinite(figure[one])
        ]
        near = order[: max(2 * len(self.space.axes), len(order) // 10)]
        return float(figure[near].mean() / figure[best]) if near else None

    def verdict(self) -> Verdict:
        """Whether the choice of the best is overfitted, all trials ever made being counted."""
        if self._verdict is None:
            self._verdict = judge(self.numbers, self.gains, self.best, tried=self.tried)
        return self._verdict

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write it as one self-contained page; raises ReportError."""
        from backtests.report import write_page  # noqa: PLC0415 - only who draws needs it
        from backtests.sweep_page import render  # noqa: PLC0415

        return write_page(render(self), path)

    def _repr_html_(self) -> str:
        """What a notebook shows: the page, in a frame of its own."""
        from backtests.page import framed  # noqa: PLC0415
        from backtests.sweep_page import render  # noqa: PLC0415

        return framed(render(self))

    def summary(self) -> str:
        """The verdict, the finalists, and how firm the best stands."""
        names = [*self.space.axes]
        shown = list(
            dict.fromkeys(
                [*(one.removeprefix("-") for one in self.objectives), "total_return", "max_drawdown", "n_trades"]
            )
        )
        count, failed, pruned = len(self.states), self.states.count(FAILED), self.states.count(PRUNED)
        verdict, stable = self.verdict(), self.stability()
        lines = [verdict.text, ""]
        told = f"{count:,} trials, {self.fresh:,} of them now; {failed:,} failed" + (
            f", {pruned:,} pruned" if pruned else ""
        )
        lines.append(f"{told}; {self.seconds:,.1f} s of work")
        if verdict.tried is not None:
            lines.append(
                f"trials ever made of this strategy: {verdict.tried.here:,} on this tape, {verdict.tried.anywhere:,} on any tape"
            )
        if stable is not None:
            lines.append(f"the nearest trials have {stable:.0%} of the best's {self.objectives[0].removeprefix('-')}")
        if self.best is not None:
            lines += ["", self.frame.iloc[self.finalists][names + shown].to_string(index=False)]
        return "\n".join(lines)


def _keep(frame: pd.DataFrame, folder: Path) -> None:
    plain = frame.copy()
    for name in plain.columns:
        if plain[name].dtype == object and name != "error":
            plain[name] = [
                one if one is None or isinstance(one, str) else json.dumps(told(one)) for one in plain[name]
            ]  # fmt: skip
    plain["error"] = plain["error"].astype("string")
    file = folder / "results.parquet"
    fresh = file.with_suffix(".part")
    try:
        plain.to_parquet(fresh, index=False)
    except ImportError:
        file = folder / "results.csv"
        plain.to_csv(fresh, index=False)
    fresh.replace(file)
