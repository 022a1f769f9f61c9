"""What a replay did: curve, fills, decisions, figures and facts, each made when somebody asks for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests import metrics
from backtests.curve import curve, marks, stale_points, trail_ambiguities
from backtests.edge import null_test
from backtests.summary import summary
from trader.core.exits import TrailBy
from trader.core.facts import Fact, Filled, OrderClosed, Refused, Row, Still, TargetSet, Woken, each, fact_of
from trader.core.instants import in_words
from trader.core.strategy import STILL, Target

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from backtests.tape import Tape
    from backtests.venue import Log
    from trader.core.costs import Costs
    from trader.core.engine import Engine
    from trader.core.risk import Limits
    from trader.core.strategy import Decision, Wake
    from trader.core.view import Strategy


@dataclass
class Result:
    """A finished replay. Times are UTC, money is quote money, shares are fractions of 1."""

    strategy: Strategy
    tape: Tape
    costs: Costs
    latency_ns: int
    exits: str
    limits: Limits | None
    cash_start: float
    exact: bool
    engine: Engine = field(repr=False)
    log: Log = field(repr=False)

    @cached_property
    def decided(self) -> list[tuple[int, Wake, Decision]]:
        """Every wake: its instant, why, and what was decided."""
        found: list[Any] = []
        for row in each(self.engine.record):
            if row[0] is Woken:
                found.append((row[1], row[3], row[4]))
            elif row[0] is Still:
                found += [(at, row[3], STILL) for at in row[4]]  # type: ignore[attr-defined]
        return found

    @cached_property
    def rows(self) -> list[Row]:
        """What happened, one row per fact; see `facts`."""
        return self.engine.rows

    @cached_property
    def curve(self) -> np.ndarray:
        """Equity at each bar close, float64, before the orders of that instant."""
        return curve(self.tape.panel, self.log, self.cash_start)

    @cached_property
    def equity(self) -> pd.Series:
        """Equity at bar closes."""
        import pandas as pd  # noqa: PLC0415

        index = pd.DatetimeIndex(self.tape.closes_ns.view("datetime64[ns]"), tz="UTC", copy=False)
        return pd.Series(self.curve, index=index, name="equity", copy=False)

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row per fill: at, asset, venue, side, quantity, price, fee, fee_asset, why."""
        import pandas as pd  # noqa: PLC0415

        rows = [(r[1], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11]) for r in self.rows if r[0] is Filled]
        frame = pd.DataFrame(
            rows, columns=["at", "asset", "venue", "side", "quantity", "price", "fee", "fee_asset", "why"]
        )
        frame["at"] = pd.to_datetime(frame["at"], unit="ns", utc=True)
        return frame

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """One row per wake: at, wake (causes), targets (asset to size), why."""
        import pandas as pd  # noqa: PLC0415

        rows = [
            (
                at,
                ", ".join(wake.causes),
                {a: t.size if isinstance(t, Target) else t for a, t in d.targets.items()},
                d.why,
            )
            for at, wake, d in self.decided
        ]
        frame = pd.DataFrame(rows, columns=["at", "wake", "targets", "why"])
        frame["at"] = pd.to_datetime(frame["at"], unit="ns", utc=True)
        return frame

    @property
    def cash(self) -> float:
        """Quote money at the end."""
        return float(self.engine.mount.ledger.total_cash())

    @property
    def final_equity(self) -> float:
        """Cash and holdings at the last closes, without making the curve."""
        panel = self.tape.panel
        held = [(panel.index[a], q) for a, q in self.holdings.items()]
        return self.cash + sum(q * float(marks(panel, at)[-1]) for at, q in held)

    @property
    def n_fills(self) -> int:
        """How many fills there were."""
        return len(self.log.fills)

    @property
    def holdings(self) -> dict[str, float]:
        """Quantity by asset at the end, dust included."""
        return {a: float(h.quantity) for a, h in self.engine.mount.ledger.holdings.items() if h.quantity}

    def facts(self) -> list[Fact]:
        """Everything that happened, in order, as facts."""
        return [fact_of(row) for row in self.rows]

    @cached_property
    def stats(self) -> dict[str, Any]:
        """The figures; docs/backtesting.md defines each."""
        panel, log = self.tape.panel, self.log
        equity = self.curve
        found: dict[str, Any] = {"final_equity": float(equity[-1])}
        found |= metrics.measure(equity, panel.closes_ns, panel.step_ns, cash_start=self.cash_start)
        rows = [row for row in self.rows if row[0] is Filled]
        years = metrics.span_years(panel.closes_ns, panel.step_ns)
        lots, minimums = self.tape.least
        found |= metrics.trades(
            _columns(rows), equity_mean=float(equity.mean()), years=years, lots=lots, minimums=minimums
        )
        invested = equity - curve(panel, log, self.cash_start, cash_only=True)
        found["exposure"] = float(np.mean(invested / np.where(equity == 0, np.nan, equity)))
        trailing, waits = trail_ambiguities(panel, log.trails), log.waits + [0] * log.at_once
        found |= {
            "n_decisions": len(self.decided),
            "ambiguous_bars": len(log.ambiguous | trailing),
            "trail_at_worst": len(trailing),
            "stale_marks": stale_points(panel, log),
            "unknown_held": self.engine.unknown_held,
            "withheld_batches": sum(
                int((self.tape.withheld[kind] <= panel.closes_ns[-1]).sum())
                for kind in self.strategy.wants.ratings
                if kind in self.tape.withheld
            ),
            "omitted_assets": self.tape.omitted_assets + len(self.log.omitted),
            "ended_assets": [
                panel.names[i] for i, last in enumerate(panel.spans()[1]) if last < len(panel.opens_ns) - 1
            ],
            "delisted": [row[4] for row in rows if row[12 - 1] == "delisted"],
            "refused": dict(Counter(str(row[4]) for row in self.rows if row[0] is Refused)),
            "delay_assumed": "none" if self.tape.delay_ns is None else in_words(self.tape.delay_ns),
            "latency": in_words(self.latency_ns),
            "delay_applied": in_words(int(np.median(waits))) if waits else in_words(self.latency_ns),
            "exits": self.exits,
            "limits": self.limits.given() if self.limits is not None and self.limits.given() else "none",
        }
        return found

    @cached_property
    def notes(self) -> list[str]:
        """What else a reader must know: for ratings that are no vendor's, whether they show any edge at all."""
        wants, panel = self.strategy.wants, self.tape.panel
        absent = [f"no rating of kind {kind!r} is on the tape" for kind in wants.ratings if kind not in panel.ratings]
        absent += [f"no signal of kind {kind!r} is on the tape" for kind in wants.signals if kind not in panel.signals]
        absent += self._unfilled()
        if self.tape.label is None:
            return absent
        return absent + [note for kind in wants.ratings if (note := null_test(panel, kind)) is not None]

    def _unfilled(self) -> list[str]:
        """Why there was no fill at all, though there were orders."""
        ends = Counter(str(row[5]) for row in self.rows if row[0] is OrderClosed)
        if self.n_fills or not ends:
            return []
        told = ", ".join(f"{count:,} {why}" for why, count in ends.most_common())
        late = f"; with latency {in_words(self.latency_ns)} a decision at each open replaces the order before it can fill: decide less often (`every`)"
        return [
            f"none of {ends.total():,} orders was filled: {told}"
            + (late if ends["replaced"] and self.latency_ns else "")
        ]

    @property
    def has_trails(self) -> bool:
        """Whether any target carried a trailing exit."""
        return any(isinstance(e, TrailBy) for row in self.rows if row[0] is TargetSet for e in row[5])  # type: ignore[attr-defined]

    def summary(self) -> str:
        """The result in words, with every assumption and caveat."""
        return summary(self)

    def plot(self) -> Any:  # noqa: ANN401  # a plotly figure, and plotly is an extra
        """An interactive figure of equity and drawdown (needs plotly)."""
        from backtests.report import plot  # noqa: PLC0415

        return plot(self)

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML page and return its path."""
        from pathlib import Path as FilePath  # noqa: PLC0415

        from backtests.report import write  # noqa: PLC0415

        write(self, path)
        return FilePath(path)


def _columns(rows: list[Any]) -> metrics.FillColumns:
    sides = [row[6] for row in rows]
    return metrics.FillColumns(
        asset=[row[4] for row in rows], side=sides, quantity=[float(row[7]) for row in rows],
        price=[float(row[8]) for row in rows], fee=[float(row[9]) for row in rows],
        fee_asset=[row[10] for row in rows],
    )  # fmt: skip
