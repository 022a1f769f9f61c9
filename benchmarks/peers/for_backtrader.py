"""backtrader on one workload of one asset: `next` is called at every bar. Copying the frame into its lines is counted apart."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import backtrader
import pandas as pd
from timing import asked, tell
from workloads import COLUMNS

work, data, repeats, _ = asked()
index = pd.date_range("2021-01-01", periods=work.bars, freq=pd.Timedelta(work.step_ns))
frame = pd.DataFrame({name: data[name] for name in COLUMNS}, index=index)
wanted = data["state"].tolist() if "state" in data else []
copying = [0.0]


class Feed(backtrader.feeds.PandasData):
    """A frame, with a clock on its copying."""

    def preload(self):
        begin = time.process_time()
        super().preload()
        copying[0] += time.process_time() - begin


class Asked(backtrader.Strategy):
    """In while it is wanted."""

    fills = 0

    def __init__(self):
        if work.name == "W4":
            fast, slow = (backtrader.ind.SMA(self.data.close, period=count) for count in (work.fast, work.slow))
            self.lead = fast - slow

    def notify_order(self, order):
        self.fills += order.status == order.Completed

    def next(self):
        lead = self.lead[0] if work.name == "W4" else 1 if wanted[len(self) - 1] else -1
        if lead > 0 and not self.position:
            self.buy(size=work.units)
        elif lead < 0 and self.position:
            self.close()


brain = backtrader.Cerebro(stdstats=False)
brain.adddata(Feed(dataname=frame, timeframe=backtrader.TimeFrame.Minutes))
brain.broker.setcash(work.cash)
brain.broker.setcommission(commission=work.fee)
brain.addstrategy(Asked)
begin = time.process_time()
ran = brain.run()[0]
took = time.process_time() - begin - copying[0]
tell("backtrader", "backtrader", [took], brain.broker.getvalue(), ran.fills, copying_s=round(copying[0], 2))
