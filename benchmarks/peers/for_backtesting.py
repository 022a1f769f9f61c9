"""backtesting.py on one workload; a sweep by a sample of its pairs. It calls `next` at every bar and knows one asset."""

import os
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["TQDM_DISABLE"] = "1"
warnings.filterwarnings("ignore")

import pandas as pd
from backtesting import Backtest, Strategy
from timing import asked, seconds, tell
from workloads import COLUMNS, DAY_BARS, average

work, data, repeats, _ = asked()
SAMPLE = 10
index = pd.date_range("2021-01-01", periods=work.bars, freq=pd.Timedelta(work.step_ns))
frame = pd.DataFrame({name.capitalize(): data[name] for name in COLUMNS}, index=index)


class Asked(Strategy):
    """In while it is wanted."""

    def init(self):
        if work.name == "W4":
            self.fast = self.I(average, self.data.Close, work.fast)
            self.slow = self.I(average, self.data.Close, work.slow)

    def next(self):
        if work.name == "W4":
            up, down = self.fast[-1] > self.slow[-1], self.fast[-1] < self.slow[-1]
        else:
            up = wanted[len(self.data) - 1]
            down = not up
        if up and not self.position:
            self.buy(size=int(work.units))
        elif down and self.position:
            self.position.close()


class Band(Strategy):
    """Thresholds of a rating; stop and goal can only be placed from the close of the decision."""

    enter, leave = 0.0, 0.0

    def init(self):
        pass

    def next(self):
        bar = len(self.data) - 1
        if bar % DAY_BARS == 0:
            value, price = rating[bar // DAY_BARS], self.data.Close[-1]
            if not self.position and value >= self.enter:
                self.buy(size=1 - 1e-9, sl=price * (1 - work.stop), tp=price * (1 + work.goal))
            elif self.position and value <= self.leave:
                self.position.close()


def answer(stats):
    return float(stats["Equity Final [$]"]), 2 * len(stats["_trades"]) + len(stats["_strategy"].trades)


def sample():
    pairs = [*zip(*work.thresholds(), strict=True)]
    found = [answer(test.run(enter=up, leave=down)) for up, down in pairs[:: len(pairs) // SAMPLE]]
    return sum(one[0] for one in found), sum(one[1] for one in found)


wanted = data["state"].tolist() if "state" in data else []
rating = data["rating"].tolist() if "rating" in data else []
test = Backtest(frame, Band if work.name == "W3" else Asked, cash=work.cash, commission=work.fee)
times, (equity, fills) = seconds(sample if work.name == "W3" else lambda: answer(test.run()), 1)
scale = len(work.thresholds()[0]) / SAMPLE if work.name == "W3" else 1
tell("backtesting.py", "backtesting", [one * scale for one in times], equity, fills, sampled=scale > 1)
