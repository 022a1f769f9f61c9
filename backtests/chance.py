"""Monte-Carlo on one strategy: had its trades come in another order, had its fills been others, what then?

The order of trades is drawn from the round trips of one replay, each as a share of the equity that it was begun with, one after
the other: trips that overlapped in time are taken apart by that. Fills are drawn by replaying with other opens. It knows no sweep.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests.metrics import FillColumns, round_trips
from backtests.reported import instants
from backtests.trial import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backtests.crew import Crew
    from backtests.result import Result
    from trader.core.history import Floats

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles 5, 25, 50, 75 and 95 % of a figure, and where the replay itself stands (share of the draws under it)."""

    figure: str
    replayed: float
    quantiles: tuple[float, ...]
    share_under: float


@dataclass(frozen=True, slots=True)
class Order:
    """The same trades in other orders (drawdown), and drawn with return (growth, of which `loss` is the share that ends under 1)."""

    trades: int
    drawdown: Spread
    growth: Spread
    loss: float


def reorder(result: Result, draws: int, seed: int = 0) -> Order | None:
    """Draw the order of a replay's round trips; None where it has fewer than two, or nothing is to be drawn."""
    gains = trip_gains(result)
    if len(gains) < 2 or draws < 1:
        return None
    lot = np.random.default_rng(seed)
    falls, grown = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        falls[draw] = deepest(lot.permutation(gains))
        grown[draw] = np.prod(1 + lot.choice(gains, len(gains)))
    return Order(
        len(gains), spread("max_drawdown, at ends of trades", deepest(gains), falls),
        spread("growth by closed trades", float(np.prod(1 + gains)), grown), float((grown < 1).mean()),
    )  # fmt: skip


def refill(
    crew: Crew, parameters: Mapping[str, Any], draws: int, *, slip: float, seed: int, figures: Mapping[str, float]
) -> list[Spread]:
    """Replay with other opens so many times. figures: those of the replay itself, by name."""
    seeds = np.random.default_rng(seed).integers(2**31, size=draws).tolist()
    jobs = [Job(number, parameters, jitter=(int(one), slip)) for number, one in enumerate(seeds)]
    rows = sorted((row for some in crew.rows(jobs) for row in some), key=lambda row: row.number)
    found = [row.stats for row in rows if row.stats is not None]
    return (
        [spread(name, value, np.asarray([one[name] for one in found], np.float64)) for name, value in figures.items()]
        if found
        else []
    )


def trip_gains(result: Result) -> Floats:
    """What each round trip made, as a share of the equity at the close before its first fill, in order of their ends."""
    fills = result.fills
    columns = [fills[name].tolist() for name in ("asset", "side", "quantity", "price", "fee", "fee_asset")]
    profits = dict(round_trips(FillColumns(*columns), *result.tape.least))
    begun: dict[str, int] = {}
    begins = []
    for number, asset in enumerate(columns[0]):
        begun.setdefault(asset, number)
        if number in profits:
            begins.append(begun.pop(asset))
    if not begins:
        return np.empty(0)
    equity = np.append(result.cash_start, result.curve)
    before = equity[np.searchsorted(result.tape.closes_ns, instants(fills["at"])[begins], side="right")]
    return np.asarray(list(profits.values()), np.float64) / before.astype(np.float64)


def deepest(gains: Iterable[float]) -> float:
    """The deepest fall of the equity that such gains make, zero or negative."""
    grown = np.concatenate(([1.0], np.cumprod(1 + np.asarray(gains))))
    return float((grown / np.maximum.accumulate(grown) - 1).min())


def spread(name: str, replayed: float, drawn: Floats) -> Spread:
    """How a figure is spread over the draws."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Spread(name, replayed, (float("nan"),) * len(QUANTILES), float("nan"))
    return Spread(name, replayed, tuple(np.quantile(drawn, QUANTILES).tolist()), float((drawn < replayed).mean()))
