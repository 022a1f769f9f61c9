"""A result in words: figures first, then everything that was assumed and every caveat counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from trader.core.instants import from_ns, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtests.tape import Tape
    from trader.core.costs import Costs


class Summed(Protocol):
    """What a summary reads of a result."""

    @property
    def strategy(self) -> object: ...
    @property
    def tape(self) -> Tape: ...
    @property
    def costs(self) -> Costs: ...
    @property
    def exits(self) -> str: ...
    @property
    def cash_start(self) -> float: ...
    @property
    def stats(self) -> dict[str, Any]: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def has_trails(self) -> bool: ...


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2%}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.2f}"


def summary(result: Summed) -> str:
    """Lines of at most 100 characters or so, for a terminal."""
    stats: dict[str, Any] = result.stats
    tape = result.tape
    begin, end = from_ns(int(tape.opens_ns[0])), from_ns(int(tape.closes_ns[-1]))
    costs = result.costs
    lines = [
        f"{result.strategy}",
        f"{begin:%Y-%m-%d} .. {end:%Y-%m-%d}, {len(tape.assets)} assets, bars of {in_words(tape.step_ns)}",
        *([f"ratings: {tape.label}"] if tape.label else []),
        "",
        f"  equity         {result.cash_start:,.2f} -> {stats['final_equity']:,.2f}   ({_share(stats['total_return'])})",
        f"  cagr           {_share(stats['cagr'])}   volatility {_share(stats['volatility'])}",
        f"  sharpe         {_number(stats['sharpe'])}   sortino {_number(stats['sortino'])}   calmar {_number(stats['calmar'])}",
        f"  max drawdown   {_share(stats['max_drawdown'])}   longest {_number(stats['max_drawdown_days'])} days",
        f"  exposure       {_share(stats['exposure'])}   turnover {_number(stats['turnover'])} a year",
        (
            f"  fills          {stats['n_fills']:,}   round trips {stats['n_trades']:,}   hit rate {_share(stats['hit_rate'])}"
            f"   profit factor {_number(stats['profit_factor'])}"
        ),
        f"  fees           {stats['fees']:,.2f}",
        "",
        (
            f"assumed: data known {stats['delay_assumed']} after what it describes (median); latency {stats['latency']}, "
            f"decision to open really {stats['delay_applied']} (median)"
        ),
        (
            f"         fee {costs.fee:.4%}, half spread {costs.half_spread:.4%}, impact {costs.impact:g}, "
            f"participation {costs.participation if costs.participation is not None else 'unlimited'}, fee on buy: {costs.fee_on_buy}"
        ),
        f"         exits {result.exits}; limits {stats['limits']}",
    ]
    caveats = [
        (
            stats["ambiguous_bars"],
            "bars hid whether stop or goal, or a trailing level, came first (taken at worst for stops)",
        ),
        (stats["stale_marks"], "equity points mark a holding at a close older than three bars"),
        (stats["unknown_held"], "times a held asset had no fresh rating"),
        (stats["withheld_batches"], "torn rating batches woke nobody"),
        (stats["omitted_assets"], "rated assets have no bars and were left out"),
        (len(stats["ended_assets"]), "assets' bars end before the tape does; they are marked, not sold"),
        (len(stats["delisted"]), "holdings were written off at a delisting"),
        (sum(stats["refused"].values()), f"targets or orders were refused or cut: {stats['refused']}"),
    ]
    shown = [f"  {count:,} {what}" for count, what in caveats if count]
    if result.has_trails:
        shown.append(f"  trail at worst: {stats['trail_at_worst']:,} bars would have hit by their own high first")
    shown += [f"  {note}" for note in (*tape.report, *result.notes)]
    return "\n".join([*lines, *(["", "caveats:", *shown] if shown else [])])
