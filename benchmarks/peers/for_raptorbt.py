"""raptorbt on one workload: its array runners (all in), its batch for the sweep, or its Python class asked at every bar."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import raptorbt
from timing import asked, seconds, tell
from workloads import COLUMNS, DAY_BARS, START_NS

work, data, repeats, style = asked()
arrays = [START_NS + work.step_ns * np.arange(work.bars), *(data[name] for name in COLUMNS)]
terms = raptorbt.BacktestConfig(initial_capital=work.cash, fees=work.fee, slippage=0.0, fill_timing="next_bar_open")


def fills_of(found) -> int:
    trades = found.trades()
    return 2 * len(trades) - sum("end" in str(one.exit_reason).lower() for one in trades)


def edges(wanted):
    before = np.concatenate((wanted[:1], wanted[:-1]))
    return wanted & ~before, ~wanted & before


def one(wanted):
    found = raptorbt.run_single_backtest(*arrays, *edges(wanted), 1, 1.0, "A", terms)
    return found.equity_curve()[-1], found


def averages():
    return raptorbt.sma(data["close"], work.fast), raptorbt.sma(data["close"], work.slow)


class Crossing(raptorbt.Strategy):
    """Asked at every bar; the averages are computed before."""

    def on_start(self, ctx):  # noqa: ARG002  # its signature
        fast, slow = averages()
        self.over, self.under = (fast > slow).tolist(), (fast < slow).tolist()

    def on_bar(self, ctx):
        if self.over[ctx.idx]:
            if ctx.position is None:
                self.enter()
        elif self.under[ctx.idx] and ctx.position is not None:
            self.close_position()


def w4():
    if style == "every-bar":
        found = raptorbt.run_strategy_backtest(Crossing(), *arrays, symbol="A", config=terms)
        return found.equity_curve()[-1], found
    fast, slow = averages()
    return one(fast > slow)


def w3():
    terms.set_fixed_stop(work.stop)
    terms.set_fixed_target(work.goal)
    enter, leave = work.thresholds()
    masks = {}
    for sign, levels in ((1, enter), (-1, leave)):
        for level in np.unique(levels).tolist():
            masks[sign, level] = mask = np.zeros(work.bars, bool)
            mask[::DAY_BARS] = sign * data["rating"] >= sign * level
    runs = [
        raptorbt.BatchSingleItem(f"{up}/{down}", masks[1, up], masks[-1, down], 1, 1.0, "A", terms)
        for up, down in zip(enter.tolist(), leave.tolist(), strict=True)
    ]
    found = raptorbt.batch_single_backtest(*arrays, runs, terms)
    return sum(one.equity_curve()[-1] for _, one in found), [one for _, one in found]


call = {"W1": lambda: one(data["state"].astype(bool)), "W3": w3, "W4": w4}[work.name]
times, (equity, found) = seconds(call, repeats)
every = found if isinstance(found, list) else [found]
name = "raptorbt (Python class)" if style == "every-bar" else "raptorbt"
tell(name, "raptorbt", times, equity, sum(fills_of(one) for one in every), rule="all in", style=style)
