"""The audit: is this result real? What it owes to the delay that was assumed, to information in the ratings, to luck, and to costs.

A rating dated D contains what the price did on day D; known "on D" it looks like foresight. The audit replays the same strategy with the
ratings known earlier and later, asks whether they rank the returns that follow, gives the ratings to other assets and other days, draws
other histories from the same days, looks at the parameters around the chosen ones, and says in words what is left.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests.audit_verdict import judge
from backtests.audited import Audited, Run
from backtests.bootstrap import bootstrap
from backtests.buckets import spread, turnover
from backtests.forecasts import HORIZONS, forecasts
from backtests.information import Information, by_asset, decay, inform, strongest, years
from backtests.luck import Luck, chance, luck_of, ways
from backtests.metrics import daily_returns
from backtests.neighbours import around, grid_of, neighbours
from backtests.overfitting import deflated_sharpe
from backtests.replay import replay
from backtests.retelling import first_seen, later, same_day
from backtests.staleness import missing_days, stale_days
from trader.core.costs import Costs
from trader.core.history import Floats, Instants
from trader.core.instants import duration

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from backtests.result import Result
    from backtests.tape import Tape
    from trader.core.view import Strategy

DELAYS = ("1h", "6h", "1d", "2d")
MULTIPLES = (0.0, 1.0, 2.0, 4.0)
PRICES = {"fee": "fee", "spread": "half_spread", "impact": "impact"}  # what a trade costs, by the names of `Costs`
DEAREST = 0.999  # a cost is a share under 1, whatever it is multiplied by
YEAR_DAYS = 365.0


class Audit(Audited):
    """What was asked and what came of it, as plain data, as a page and as text."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, without the curves, and of the splits of history only the logits."""
        found = asdict(replace(self, curves=[]))
        if self.neighbours is not None and self.neighbours.overfitting is not None:
            for name in ("chosen", "other"):
                del found["neighbours"]["overfitting"][name]
        return found

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write it as one self-contained page; raises ReportError."""
        from backtests.audit_page import render  # noqa: PLC0415 - only who draws needs it
        from backtests.report import write_page  # noqa: PLC0415

        return write_page(render(self), path)

    def summary(self, *, full: bool = False) -> str:
        """The verdict, the three numbers that matter, and the tables behind them; full: the long ones too."""
        from backtests.audit_summary import summary  # noqa: PLC0415 - only who reads needs it

        return summary(self, full=full)


def audit(
    strategy: Strategy, tape: Tape, *, cash: float = 100_000.0, costs: Costs | None = None, permutations: int = 100,
    trials: int = 1, sweep: str | Mapping[str, Iterable[Any]] | None = None, resamples: int = 1000, seed: int = 0,
    progress: Callable[[float], None] | None = None, **more: Any,  # noqa: ANN401 - replay's own
) -> Audit:  # fmt: skip
    """Ask whether the result of a strategy on a tape is real.

    permutations: how often ratings are given away, each way; 0 = not at all. trials: how many strategies were tried before this one was
    chosen. sweep: parameters around it, as `{"enter": [60, 70]}` or "enter=60:90:10,leave=40:60:10"; they count as trials. resamples: of
    the days. more: what `replay` takes besides, such as latency or limits. Raises GridError, and what `replay` raises.
    """
    costs = costs or Costs()
    grid = grid_of(sweep) if isinstance(sweep, str) else sweep
    others = 0 if not grid else len(around(strategy, grid)[0])
    counted = _Counted(strategy, tape, progress, {"cash": cash, "costs": costs, **more})
    is_revised = any(len(first_seen(kind, rows).value) < len(rows.value) for kind, rows in tape.panel.ratings.items())
    priced = [name for name, ours in PRICES.items() if getattr(costs, ours)]
    changed = len(MULTIPLES) - 1
    counted.total = (
        2 + len(DELAYS) + is_revised + permutations * len(ways(tape)) + others
        + changed * (bool(priced) + (len(priced) if len(priced) > 1 else 0))
    )  # fmt: skip
    given = counted.run()
    runs = [("on its own day", counted.run(tape.retold(same_day))), ("as given", given)]
    runs += [(f"{name} later", counted.run(tape.retold(later(duration(name))))) for name in DELAYS]
    if is_revised:
        runs.append(("first seen only", counted.run(tape.retold(first_seen))))
    delays = [_told(name, one) for name, one in runs]
    luck = luck_of(tape, counted.grow, delays[1].growth, permutations=permutations, seed=seed) if permutations else []
    around_it = None if not grid else neighbours(strategy, grid, given, lambda one: counted.run(strategy=one))
    kinds = _kinds(strategy, tape)
    ends, gains = daily_returns(given.curve, tape.panel.closes_ns, cash)
    variance = None if around_it is None else max(around_it.variance, 1 / len(gains) if trials > 1 else 0.0)
    trials = trials - 1 + (1 if around_it is None else around_it.strategies)
    found = Audit(
        strategy=repr(strategy), label=tape.label or "", assumed=f"known {given.stats['delay_assumed']} after what it describes (median)",
        delays=delays, **_informed(tape, kinds), luck=luck, chance=chance(luck),
        bootstrap=bootstrap(gains, resamples=resamples, seed=seed, per_year=YEAR_DAYS / _step_days(ends)), neighbours=around_it,
        deflated=deflated_sharpe(gains, trials, variance), trials=trials, costs=_together(counted, given, costs, priced),
        apart=_apart(counted, costs, priced), assumed_costs={name: getattr(costs, ours) for name, ours in PRICES.items()},
        missing=missing_days(tape.panel), stale=stale_days(given, kinds), curves=[_curve(*one) for one in runs],
        warnings=_survivors(tape),
    )  # fmt: skip
    judge(found)
    return found


class _Counted:
    """Replays of one strategy on one tape, changed in one thing at a time, and how far they have come."""

    def __init__(
        self, strategy: Strategy, tape: Tape, progress: Callable[[float], None] | None, assumed: dict[str, Any]
    ) -> None:  # fmt: skip
        self.strategy, self.tape, self.progress, self.assumed = strategy, tape, progress, assumed
        self.total, self.done = 1, 0

    def run(self, tape: Tape | None = None, *, strategy: Strategy | None = None, costs: Costs | None = None) -> Result:
        assumed = self.assumed if costs is None else {**self.assumed, "costs": costs}
        found = replay(strategy or self.strategy, tape or self.tape, **assumed)
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done / self.total, 1.0))
        return found

    def grow(self, tape: Tape) -> float:
        return 1 + float(self.run(tape).stats["total_return"])


def _told(name: str, result: Result) -> Run:
    stats = result.stats
    return Run(name, 1 + float(stats["total_return"]), float(stats["sharpe"]), int(stats["n_trades"]))


def _curve(name: str, result: Result) -> tuple[str, Instants, Floats]:
    """Growth over time, in doublings."""
    return name, result.tape.panel.closes_ns, np.log2(np.maximum(result.curve / result.cash_start, 1e-9))


def _kinds(strategy: Strategy, tape: Tape) -> list[str]:
    """The kinds that a strategy reads, or all there are where it does not say."""
    there = {*tape.panel.ratings, *tape.panel.signals}
    return sorted({*strategy.wants.ratings, *strategy.wants.signals} & there or there)


def _informed(tape: Tape, kinds: Sequence[str]) -> dict[str, Any]:
    """What the ratings say of what follows, asked of each kind; by year and by asset of the one that says most."""
    losses = {name: one.delisting_loss for name, one in tape.instruments.items()}
    said = {kind: one for kind in kinds if (one := forecasts(tape.panel, kind, losses)) is not None}
    information = [found for one in said.values() for days in HORIZONS if (found := inform(one, days)) is not None]
    best = strongest(information)
    return {
        "information": information,
        "decays": [faded for one in said.values() if (faded := decay(one)) is not None],
        "spreads": [apart for one in said.values() for days in HORIZONS if (apart := spread(one, days)) is not None],
        "turnovers": [turned for one in said.values() if (turned := turnover(one)) is not None],
        "years": [] if best is None else years(said[best.kind], best.days),
        "assets": [] if best is None else by_asset(said[best.kind], best.days),
    }


def _together(counted: _Counted, given: Result, costs: Costs, priced: Sequence[str]) -> list[Run]:
    return [
        _told(f"x{times:g}", given if times == 1 or not priced else counted.run(costs=_times(costs, times, priced)))
        for times in MULTIPLES
    ]


def _apart(counted: _Counted, costs: Costs, priced: Sequence[str]) -> list[Run]:
    """One cost changed, the others as assumed; nothing where there is but one, which the multiples of all have shown."""
    if len(priced) < 2:
        return []
    return [
        _told(f"{name} x{times:g}", counted.run(costs=_times(costs, times, [name])))
        for name in priced
        for times in MULTIPLES
        if times != 1
    ]


def _times(costs: Costs, times: float, names: Sequence[str]) -> Costs:
    return replace(costs, **{PRICES[name]: min(getattr(costs, PRICES[name]) * times, DEAREST) for name in names})


def _step_days(ends: Instants) -> float:
    """How many days lie between the ends of days, at the median: more than one where bars are longer."""
    return max(1.0, float(np.median(np.diff(ends))) / 86_400e9) if len(ends) > 1 else 1.0


def _survivors(tape: Tape) -> list[str]:
    """A warning in words where no asset of the tape ever went."""
    panel = tape.panel
    if panel.delisted_ns:
        return []
    stopped = sum(last < panel.size - 1 for last in panel.spans()[1])
    names = len(panel.names)
    alive = (
        ("which still trades" if names == 1 else "and all still trade") + " at its end"
        if not stopped
        else f"though the bars of {stopped} stop before its end"
    )
    told = (
        f"survivorship: nothing on this tape was ever delisted: it holds {names:,} asset{'s' * (names != 1)},"
        f" {alive}. If they were taken from a list of what trades today, those that came to nothing are missing, and every figure here is"
        " too good; take them from what was listed at the time, with delisted_at for those that went"
    )
    return [told]


__all__ = ["Audit", "Information", "Luck", "Run", "audit"]
