"""The audit: is this result real? What it owes to the delay that was assumed, to information in the ratings, to luck, and to costs.

A rating dated D contains what the price did on day D; known "on D" it looks like foresight. The audit replays the same strategy with the
ratings known earlier and later, asks whether they rank the returns that follow, gives the ratings to other assets or other days, and says
in words what is left.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests.information import CROWD, FEWEST, Information, information_of, years
from backtests.replay import replay
from backtests.reported import instants
from trader.core.costs import Costs
from trader.core.history import Arrivals, Floats, Instants, Panel
from trader.core.instants import DAY, duration

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from backtests.result import Result
    from backtests.tape import Tape
    from trader.core.view import Strategy

DELAYS = ("1h", "6h", "1d", "2d")
MULTIPLES = (0.0, 1.0, 2.0, 4.0)
IMPLAUSIBLE = 0.4  # a rank correlation with the next day's return that no honest rating has
SIGNIFICANT = 3.0  # several kinds and horizons are asked, so a t of 2 comes about by itself
LUCKY = 0.05
COLLAPSE = 0.5  # the share of the logarithm of growth that later knowledge may take away before it counts as one


@dataclass(frozen=True, slots=True)
class Run:
    """One replay of the audit: growth of 1, Sharpe ratio, round trips."""

    name: str
    growth: float
    sharpe: float
    trades: int


@dataclass(frozen=True, slots=True)
class Luck:
    """How the result stands among replays with the ratings given to other assets, or moved to other days."""

    how: str
    trials: int
    better: int
    median: float
    p: float
    growths: tuple[float, ...] = ()


@dataclass(slots=True)
class Audit:
    """What was asked and what came of it. `verdict` is the answer, `reasons` say why, each with its figure."""

    strategy: str
    label: str
    assumed: str
    delays: list[Run]
    information: list[Information]
    luck: Luck | None
    costs: list[Run]
    deflated: float | None
    trials: int
    missing: list[tuple[str, int, int]]
    years: list[tuple[int, Information]] = field(default_factory=list)
    curves: list[tuple[str, Instants, Floats]] = field(default_factory=list, repr=False)
    warnings: list[str] = field(default_factory=list)
    verdict: str = ""
    reasons: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, without the curves."""
        return asdict(replace(self, curves=[]))

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write it as one self-contained page; raises ReportError."""
        from backtests.audit_page import render  # noqa: PLC0415 - only who draws needs it
        from backtests.report import write_page  # noqa: PLC0415

        return write_page(render(self), path)

    def summary(self) -> str:
        """The verdict, the three numbers that matter, and the tables behind them."""
        same, given = self.delays[0], self.delays[1]
        best = max(self.information, key=lambda one: abs(one.t), default=None)
        told = "-" if best is None else f"{best.correlation:+.3f} (t = {best.t:+.1f}, {best.kind}, {best.days} days)"
        lines = [
            f"VERDICT: {self.verdict}", *(f"  - {one}" for one in self.reasons), "",
            f"  growth known on its own day / as given   {same.growth:,.2f}x / {given.growth:,.2f}x",
            f"  rank correlation with what follows       {told}",
            f"  as good by luck                          {'-' if self.luck is None else f'{self.luck.p:.1%} of {self.luck.trials} ({self.luck.how})'}",
            "", f"{self.strategy}", *([f"ratings: {self.label}"] if self.label else []), f"assumed: {self.assumed}", "",
            "known                    growth    sharpe   round trips",
            *(f"  {one.name:20} {one.growth:10,.3f} {one.sharpe:9.2f} {one.trades:8,}" for one in self.delays), "",
            "costs                    growth    sharpe   round trips",
            *(f"  {one.name:20} {one.growth:10,.3f} {one.sharpe:9.2f} {one.trades:8,}" for one in self.costs), "",
            "information              days   correlation        t   dates",
            *(f"  {one.kind:20} {one.days:6} {one.correlation:+13.3f} {one.t:+8.2f} {one.dates:7,}" for one in self.information),
        ]  # fmt: skip
        if self.deflated is not None:
            lines += [
                "",
                f"probability that the Sharpe ratio is over what {self.trials} trials give by luck: {self.deflated:.1%}",
            ]
        if self.missing:
            lines += [
                "",
                "missing days: "
                + ", ".join(f"{kind} {count} (longest {longest})" for kind, count, longest in self.missing),
            ]
        return "\n".join([*lines, *(["", *self.warnings] if self.warnings else [])])


def audit(
    strategy: Strategy, tape: Tape, *, cash: float = 100_000.0, costs: Costs | None = None, permutations: int = 100,
    trials: int = 1, seed: int = 0, progress: Callable[[float], None] | None = None, **more: Any,  # noqa: ANN401 - replay's own
) -> Audit:  # fmt: skip
    """Ask whether the result of a strategy on a tape is real.

    permutations: how often ratings are given away; 0 = not at all. trials: how many strategies were tried before this one was chosen.
    more: what `replay` takes besides, such as latency or limits. Raises what `replay` raises.
    """
    costs = costs or Costs()
    total, done = 1 + len(DELAYS) + 1 + len(MULTIPLES) + permutations, [0]

    def run(on: Tape, with_costs: Costs = costs) -> Result:
        found = replay(strategy, on, cash=cash, costs=with_costs, **more)
        done[0] += 1
        if progress is not None:
            progress(done[0] / total)
        return found

    given = run(tape)
    runs = [("on its own day", run(tape.retold(_same_day))), ("as given", given)]
    runs += [(f"{name} later", run(tape.retold(_later(duration(name))))) for name in DELAYS]
    if any(len(_first_seen(kind, rows).value) < len(rows.value) for kind, rows in tape.panel.ratings.items()):
        runs.append(("first seen only", run(tape.retold(_first_seen))))
    delays = [_told(name, one) for name, one in runs]
    priced = [_told(f"x{times:g}", given if times == 1 else run(tape, _times(costs, times))) for times in MULTIPLES]
    information = information_of(tape.panel, sorted({*strategy.wants.ratings} or {*tape.panel.ratings}))
    luck = _luck(tape, run, delays[1].growth, permutations, seed) if permutations and _has_ratings(tape) else None
    found = Audit(
        strategy=repr(strategy), label=tape.label or "", assumed=f"known {given.stats['delay_assumed']} after what it describes (median)",
        delays=delays, information=information, luck=luck, costs=priced, deflated=_deflated(given, trials), trials=trials,
        missing=_missing(tape.panel), years=years(tape.panel, information), curves=[_curve(*one) for one in runs],
    )  # fmt: skip
    if not tape.panel.delisted_ns:
        found.warnings.append(
            "survivorship: nothing on this tape was ever delisted; if its assets were taken from today's listing, losers are missing"
        )
    _judge(found)
    return found


def _told(name: str, result: Result) -> Run:
    stats = result.stats
    return Run(name, 1 + float(stats["total_return"]), float(stats["sharpe"]), int(stats["n_trades"]))


def _curve(name: str, result: Result) -> tuple[str, Instants, Floats]:
    """Growth over time, in doublings."""
    equity = result.equity
    grown = np.maximum(equity.to_numpy(dtype=float) / result.cash_start, 1e-9)
    return name, instants(equity.index), np.log2(grown)


def _has_ratings(tape: Tape) -> bool:
    return any(len(rows.value) for rows in (*tape.panel.ratings.values(), *tape.panel.signals.values()))


# Other instants


def _moved(rows: Arrivals, known: Any) -> Arrivals:  # noqa: ANN401 - an int64 column
    order = np.argsort(known, kind="stable")
    wakes = np.where(rows.wakes_ns < 0, -1, rows.wakes_ns + (known - rows.known_ns))
    return Arrivals(known[order], rows.as_of_ns[order], rows.asset[order], rows.value[order], wakes[order])


def _same_day(_kind: str, rows: Arrivals) -> Arrivals:
    """As if a rating were known when its day began: the look-ahead that a naive backtest makes."""
    return _moved(rows, rows.as_of_ns.copy())


def _first_seen(_kind: str, rows: Arrivals) -> Arrivals:
    """Without revisions: of each asset and as_of only what was known first."""
    pairs = np.stack([rows.asset, rows.as_of_ns])
    kept = np.sort(np.unique(pairs, axis=1, return_index=True)[1])
    return Arrivals(rows.known_ns[kept], rows.as_of_ns[kept], rows.asset[kept], rows.value[kept], rows.wakes_ns[kept])


def _later(by_ns: int) -> Callable[[str, Arrivals], Arrivals]:
    return lambda _kind, rows: _moved(rows, rows.known_ns + by_ns)


def _times(costs: Costs, times: float) -> Costs:
    return replace(costs, fee=costs.fee * times, half_spread=costs.half_spread * times, impact=costs.impact * times)


# Luck


def _luck(
    tape: Tape, run: Callable[[Tape], Result], growth: float, permutations: int, seed: int
) -> Luck:  # fmt: skip
    lot = np.random.default_rng(seed)
    crowd = max((len(np.unique(rows.asset)) for rows in tape.panel.ratings.values()), default=0)
    is_across = crowd >= CROWD
    found = []
    for _ in range(permutations):
        share = lot.uniform(0.1, 0.9)
        change = _given_away(lot) if is_across else _rotated(share)
        found.append(1 + float(run(tape.retold(change)).stats["total_return"]))
    better = sum(one >= growth for one in found)
    how = "ratings given to other assets of the day" if is_across else "ratings moved to other days"
    return Luck(how, permutations, better, float(np.median(found)), (better + 1) / (permutations + 1), tuple(found))


def _given_away(lot: np.random.Generator) -> Callable[[str, Arrivals], Arrivals]:
    """The values of each publication, given to other assets of the same publication."""

    def change(_kind: str, rows: Arrivals) -> Arrivals:
        value = rows.value.copy()
        edges = np.flatnonzero(np.diff(rows.known_ns)) + 1
        for part in np.split(np.arange(len(value)), edges):
            value[part] = value[lot.permutation(part)]
        return Arrivals(rows.known_ns, rows.as_of_ns, rows.asset, value, rows.wakes_ns)

    return change


def _rotated(share: float) -> Callable[[str, Arrivals], Arrivals]:
    """The values of each asset moved on in time, what falls off the end beginning anew."""

    def change(_kind: str, rows: Arrivals) -> Arrivals:
        value = rows.value.copy()
        for asset in np.unique(rows.asset):
            mine = np.flatnonzero(rows.asset == asset)
            value[mine] = np.roll(value[mine], int(share * len(mine)))
        return Arrivals(rows.known_ns, rows.as_of_ns, rows.asset, value, rows.wakes_ns)

    return change


def _deflated(result: Result, trials: int) -> float | None:
    """The probability that the true Sharpe ratio is over the best that so many trials without skill would show."""
    equity = result.equity.to_numpy(dtype=float)
    gains = np.diff(equity) / equity[:-1]
    if len(gains) < FEWEST or not np.std(gains):
        return None
    one = (gains - gains.mean()) / gains.std()
    sharpe, skew, kurtosis = gains.mean() / gains.std(ddof=1), float((one**3).mean()), float((one**4).mean())
    normal, hurdle = NormalDist(), 0.0
    if trials > 1:
        spread, euler = 1 / math.sqrt(len(gains) - 1), 0.5772156649015329
        hurdle = spread * (
            (1 - euler) * normal.inv_cdf(1 - 1 / trials) + euler * normal.inv_cdf(1 - 1 / (trials * math.e))
        )
    spread = math.sqrt(max(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2, 1e-12))
    return normal.cdf(float((sharpe - hurdle) * math.sqrt(len(gains) - 1) / spread))


def _missing(panel: Panel) -> list[tuple[str, int, int]]:
    """Of each kind the days between the first and the last that no asset was rated on, and the longest run of them."""
    found = []
    for kind, rows in {**panel.ratings, **panel.signals}.items():
        days = np.unique(rows.as_of_ns // DAY)
        holes = np.diff(days) - 1
        if holes.sum():
            found.append((kind, int(holes.sum()), int(holes.max())))
    return found


# The answer


def _judge(found: Audit) -> None:
    same, given = found.delays[0], found.delays[1]
    later = next(one for one in found.delays if one.name == "1d later")
    next_day = [one for one in found.information if one.days == 1]
    wild = [one for one in next_day if abs(one.correlation) >= IMPLAUSIBLE]
    informed = [one for one in found.information if abs(one.t) >= SIGNIFICANT and one.correlation > 0]
    reasons = found.reasons
    is_collapsed = same.growth > 1.0 and math.log(max(given.growth, 1e-9)) < (1 - COLLAPSE) * math.log(same.growth)
    if is_collapsed:
        reasons.append(
            f"known on its own day it would have made {same.growth:,.2f}x; known when it really could be, {given.growth:,.2f}x: most of it was"
            " the day's own price move, not foresight"
        )
    if wild:
        worst = max(wild, key=lambda one: abs(one.correlation))
        reasons.append(
            f"{worst.kind} ranks the next day's returns with a correlation of {worst.correlation:+.2f}; honest ratings have a few hundredths:"
            " known_at is wrong, or the future is in the data"
        )
    is_lucky = found.luck is not None and found.luck.p > LUCKY
    if found.luck is not None:
        reasons.append(
            f"{found.luck.better} of {found.luck.trials} replays with {found.luck.how} did as well ({found.luck.median:,.2f}x at the median)"
        )
    if given.growth > 1 and found.costs[2].growth <= 1:
        reasons.append(f"with twice the costs nothing is left ({found.costs[2].growth:,.2f}x)")
    if given.growth > 1 and later.growth <= 1:
        reasons.append(f"one more day of delay takes all of it ({later.growth:,.2f}x)")
    if wild:
        found.verdict = "IMPLAUSIBLE: these ratings know the future; do not trust any figure of this data"
    elif given.growth <= 1:
        found.verdict = "NO PROFIT" + (": what there was, was look-ahead" if is_collapsed else " to explain")
    elif is_lucky:
        found.verdict = "NOT REAL: no edge beyond luck" + (", and much of it look-ahead" if is_collapsed else "")
    elif informed:
        best = max(informed, key=lambda one: one.t)
        reasons.append(
            f"{best.kind} ranks the returns of the next {best.days} days (correlation {best.correlation:+.3f}, t = {best.t:+.1f})"
        )
        found.verdict = "INFORMATION: the ratings say something of what follows" + (
            ", though most of the naive result was look-ahead" if is_collapsed else ""
        )
    else:
        found.verdict = "UNPROVEN: no edge beyond luck is shown; the ratings do not rank what follows, and a profit may be the market's"


__all__ = ["Audit", "Information", "Luck", "Run", "audit"]
