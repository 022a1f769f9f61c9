"""What readers of an audit find in it: the verdict, the terminal and the page know this shape, not the asking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtests.bootstrap import Bootstrap
    from backtests.buckets import Spread, Turnover
    from backtests.information import Decay, Information
    from backtests.luck import Luck
    from backtests.neighbours import Neighbours
    from backtests.staleness import Stale
    from trader.core.history import Floats, Instants


@dataclass(frozen=True, slots=True)
class Run:
    """One replay of the audit: growth of 1, Sharpe ratio, round trips."""

    name: str
    growth: float
    sharpe: float
    trades: int


@dataclass(slots=True)
class Audited:
    """An audit's answers. `verdict` is the answer, `reasons` say why, each with its figure.

    years, assets: of the kind that says most, at the horizon at which it does. costs: all of them together; apart: one by one.
    """

    strategy: str
    label: str
    assumed: str
    delays: list[Run]
    information: list[Information]
    decays: list[Decay]
    spreads: list[Spread]
    turnovers: list[Turnover]
    years: list[tuple[int, Information]]
    assets: list[tuple[str, Information]]
    luck: list[Luck]
    chance: float | None
    bootstrap: Bootstrap | None
    neighbours: Neighbours | None
    deflated: float | None
    trials: int
    costs: list[Run]
    apart: list[Run]
    assumed_costs: dict[str, float]
    missing: list[tuple[str, int, int]]
    stale: list[Stale]
    curves: list[tuple[str, Instants, Floats]] = field(default_factory=list, repr=False)
    warnings: list[str] = field(default_factory=list)
    verdict: str = ""
    reasons: list[str] = field(default_factory=list)
