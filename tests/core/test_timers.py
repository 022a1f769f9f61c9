"""A timer at or before the present would wake for ever: it is refused by name, and the strategy is asked again as if it had raised."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from backtests import Tape, replay
from backtests.replay import StrategyError
from trader import Decision, View, Wants
from trader.core.facts import Decided

DAYS = pd.date_range("2024-01-01", periods=5, freq="1D", tz="UTC")


@dataclass(frozen=True, slots=True)
class Waker:
    later: timedelta

    @property
    def wants(self) -> Wants:
        return Wants(bars=1)

    def decide(self, view: View) -> Decision:
        return Decision.hold() if "timer" in view.wake.causes else Decision.hold().wake_at(view.now + self.later)


def played(later):
    price = np.arange(5) + 10.0
    bars = {"ts": DAYS, "asset": "A", "open": price, "high": price, "low": price, "close": price, "volume": 1.0}
    return replay(Waker(later), Tape.from_frames(pd.DataFrame(bars)))


@pytest.mark.parametrize("later", [timedelta(0), timedelta(seconds=-1), timedelta(days=-40)])
def test_one_that_is_not_after_the_present_is_refused(later):
    with pytest.raises(StrategyError, match=r"wake_at\(.*\): it is 2024-01-02 00:00:00\+00:00 already"):
        played(later)


def test_one_a_moment_later_wakes():
    decided = [fact for fact in played(timedelta(microseconds=1)).facts() if isinstance(fact, Decided)]
    assert [fact.causes for fact in decided[:2]] == [("bar",), ("timer",)]
