"""No decision depends on what is known later: cutting or poisoning the future changes nothing, and a leak is caught."""

import sys
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import pytest

from backtests import Tape, replay
from tests.proofs.lineup import EXITS, STRATEGIES, build, world
from trader import Decision, Target, Wants
from trader.core import conditions
from trader.core import history as served

UNTIL = (pd.Timestamp("2024-02-12", tz="UTC"), pd.Timestamp("2024-04-23", tz="UTC"))
HOUR = pd.Timestamp("2023-11-09 07:00", tz="UTC")
EACH_BAR = Wants(bars=1)
real = cache(world)


def known_until(data, until, step):
    """The frames without all that becomes known after an instant."""
    bars = data.bars[data.bars["ts"] + step <= until]
    return bars, *(frame[frame["known_at"] <= until] for frame in (data.ratings, data.signals))


def poisoned_after(data, until, step):
    """The frames with prices times ten, ratings turned over and signals against themselves after an instant."""
    bars, ratings, signals = (frame.copy() for frame in (data.bars, data.ratings, data.signals))
    bars.loc[bars["ts"] + step > until, ["open", "high", "low", "close"]] *= 10
    late = (ratings["known_at"] > until) & (ratings["kind"] != "index_weight")
    ratings.loc[late, "value"] = 100 - ratings["value"]
    late = (ratings["known_at"] > until) & (ratings["kind"] == "index_weight")
    ratings.loc[late, "value"] = 1 - ratings["value"]
    signals.loc[signals["known_at"] > until, "value"] *= -1
    return bars, ratings, signals


def decisions(strategy, frames, until):
    result = replay(strategy, Tape.from_frames(*frames), cash=100_000.0)
    kept = result.decisions[result.decisions["at"] <= until]
    return [(row["at"], row["wake"], row["targets"], row["why"]) for row in kept.to_dict("records")]


def assert_causal(strategy, data, until, step):
    """The check: the same decisions up to an instant, whatever comes after it."""
    whole = decisions(strategy, (data.bars, data.ratings, data.signals), until)
    assert whole
    for changed in (known_until, poisoned_after):
        other = decisions(strategy, changed(data, until, step), until)
        unlike = next((pair for pair in zip(whole, other, strict=False) if pair[0] != pair[1]), None)
        assert unlike is None, f"{changed.__name__}: {unlike}"
        assert len(whole) == len(other), changed.__name__


@pytest.mark.parametrize("until", UNTIL, ids=str)
@pytest.mark.parametrize("exits", ["none", "trail-half-after"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_days_to_come_change_no_decision(name, exits, until):
    assert_causal(build(name, EXITS[exits]), real("1d"), until, pd.Timedelta(days=1))


@pytest.mark.parametrize("name", STRATEGIES)
def test_hours_to_come_change_no_decision(name):
    assert_causal(build(name, EXITS["parts-below"]), real("1h"), HOUR, pd.Timedelta(hours=1))


@dataclass(frozen=True)
class LastBar:
    """Holds what rose in the last bar it is shown."""

    wants: Wants = EACH_BAR

    def decide(self, view):
        rose = {asset: (bars := view.bars(asset)).close[-1] > bars.open[-1] for asset in view.assets}
        return Decision.change({asset: Target(0.05) if up else 0 for asset, up in rose.items()})


class BarsAhead(served.History):
    """A test double with a leak: the bar that is still open counts as closed."""

    __slots__ = ()

    def bars(self, asset, most):
        self.bar += self.bar + 1 < self.panel.size
        try:
            return super().bars(asset, most)
        finally:
            self.bar -= self.bar + 1 > self.panel.closed(self.now_ns) + 1


class RatingsAhead(served.History):
    """A test double with a leak: ratings are served a day early."""

    __slots__ = ()

    def rating_state(self, kind):
        state = self._states["ratings", kind]
        state.advance(self.now_ns + 86_400 * 10**9)
        return state.values[:-1], state.as_of[:-1]

    def rating(self, kind, asset):
        self.now_ns += 86_400 * 10**9
        try:
            return super().rating(kind, asset)
        finally:
            self.now_ns -= 86_400 * 10**9


class ColumnsAhead(served.History):
    """A test double with a leak: columns are read one bar ahead."""

    __slots__ = ()

    def value(self, column, asset, max_age_ns):
        at = min(self.bar + 1, self.panel.size - 1)
        return float(
            conditions.values(column, self.panel.series(self.index[asset]), max_age_ns, self.panel.closes_ns)[at]
        )


def test_the_honest_double_passes():
    assert_causal_on_many_days(LastBar())


@pytest.mark.parametrize(
    ("leak", "strategy"),
    [
        (BarsAhead, LastBar()),
        (RatingsAhead, build("TopRated", ())),
        (RatingsAhead, build("RatingBand", ())),
        (ColumnsAhead, build("SmaCross", ())),
    ],
    ids=lambda one: getattr(one, "__name__", type(one).__name__),
)
def test_a_planted_leak_is_caught(monkeypatch, leak, strategy):
    monkeypatch.setattr(sys.modules["backtests.replay"], "History", leak)
    with pytest.raises(AssertionError, match=r"known_until|poisoned_after"):
        assert_causal_on_many_days(strategy)


def assert_causal_on_many_days(strategy):
    """A leak shows only where what lies ahead is decided on, so not on every day."""
    for day in range(0, 70, 5):
        assert_causal(strategy, real("1d"), UNTIL[0] + pd.Timedelta(days=day), pd.Timedelta(days=1))


def test_the_poison_is_strong():
    data = real("1d")
    bars, ratings, _ = poisoned_after(data, UNTIL[0], pd.Timedelta(days=1))
    assert np.isclose(bars["close"] / data.bars["close"], 10).mean() > 0.4
    assert (ratings["value"] != data.ratings["value"]).mean() > 0.4
