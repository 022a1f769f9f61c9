"""One fixture, `run`: the same case through the plain reference and through the real replay."""

import pandas as pd
import pytest

from tests.reference.stepper import Outcome, step
from trader.core.costs import Costs
from trader.core.instants import to_ns

COUNTS = ("ambiguous_bars", "stale_marks", "unknown_held", "withheld_batches", "omitted_assets")


def replayed(strategy, bars, ratings=None, signals=None, instruments=None, *, cash, costs=None, delay=None, **how):
    """The real replay, its result in the shape of the reference."""
    backtests = pytest.importorskip("backtests", exc_type=ImportError)
    if not hasattr(backtests, "replay"):
        pytest.skip("backtests has no replay yet")
    tape = backtests.Tape.from_frames(bars, ratings, signals, instruments, delay=delay)
    result = backtests.replay(strategy, tape, cash=cash, costs=costs or Costs(), **how)
    columns = ("asset", "side", "quantity", "price", "fee", "why")
    fills = [(ns(row["at"]), *(row[name] for name in columns)) for row in result.fills.to_dict("records")]
    equity = [(ns(at), float(value)) for at, value in result.equity.items()]
    decisions = [(ns(row["at"]), causes(row["wake"])) for row in result.decisions.to_dict("records")]
    counts = {name: int(result.stats[name]) for name in COUNTS}
    return Outcome(fills, equity, decisions, result.cash, dict(result.holdings), counts)


def ns(at):
    return to_ns(pd.Timestamp(at).to_pydatetime())


def causes(wake):
    if isinstance(wake, str):
        return tuple(part.strip() for part in wake.split(",") if part.strip())
    return tuple(getattr(wake, "causes", wake))


@pytest.fixture(params=["reference", "replay"])
def run(request):
    play = step if request.param == "reference" else replayed

    def go(strategy, bars, ratings=None, signals=None, instruments=None, *, cash=1000.0, costs=None, **how):
        free = Costs(fee=0.0, half_spread=0.0)
        return play(strategy, bars, ratings, signals, instruments, cash=cash, costs=costs or free, **how)

    return go
