"""A strategy asked at every bar: stretches in which it changes nothing are one loop, and leave out nothing that comes between."""

from dataclasses import dataclass
from functools import lru_cache

import pytest

from strategies import SmaCross
from tests.proofs.compare import assert_folds, assert_same, both
from tests.proofs.lineup import EXITS, WAYS, world
from trader import Costs, Decision, FallBy, RiseBy, Target, TrailBy, View, Wants

real = lru_cache(world)
PLAIN = {"cash": 100_000.0, "costs": Costs(), "latency": "0s"}


@dataclass(frozen=True, slots=True)
class Patient:
    """Buys when woken with nothing in hand at an even count, waits otherwise; keeps a timer going."""

    exits: tuple = (FallBy(0.02), RiseBy(0.03))
    on_exit: bool = False

    @property
    def wants(self) -> Wants:
        return Wants(bars=1, on_exit=self.on_exit, on_fill=self.on_exit)

    def decide(self, view: View) -> Decision:
        asset = view.assets[0]
        if view.holding(asset) is None and view.now.hour % 2 == 0:
            return Decision.change({asset: Target(0.3, self.exits)})
        return Decision.hold()


def alone(data):
    """The bars of one asset."""
    bars = data.bars[data.bars["asset"] == data.bars["asset"].iloc[0]]
    return bars.reset_index(drop=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("exits", EXITS)
def test_as_a_stepper_does_it(exits, way):
    data, how = real("1h"), WAYS[way]
    for bars in (alone(data), data.bars):
        ratings = data.ratings[data.ratings["asset"].isin(bars["asset"])]
        expected, result = both(
            SmaCross(4, 11, size=0.2, exits=EXITS[exits], every_bar=True), bars, ratings, None,
            data.instruments if how.lots else None, cash=how.cash, costs=how.costs, latency=how.latency, exits=how.exits,
        )  # fmt: skip
        assert len(expected.decisions) == len(bars["ts"].unique())
        assert_same(expected, result)
        assert_folds(result)


@pytest.mark.parametrize("on_exit", [False, True])
@pytest.mark.parametrize(
    "exits", [(FallBy(0.02), RiseBy(0.03)), (TrailBy(0.01),), (RiseBy(0.004, share=0.5), FallBy(0.01))]
)
def test_exits_between_come_in_time(exits, on_exit):
    expected, result = both(Patient(exits, on_exit), alone(real("1h")), **PLAIN)
    assert sum(fill[6].startswith(("FallBy", "RiseBy", "TrailBy")) for fill in expected.fills) > 10
    assert_same(expected, result)
    assert_folds(result)


def test_asked_always_it_trades_as_where_the_averages_turn():
    bars = alone(real("1h"))
    often, seldom = (both(SmaCross(4, 11, size=0.2, every_bar=every), bars, **PLAIN)[1] for every in (True, False))
    assert often.fills.equals(seldom.fills)
    assert len(often.decided) == len(bars) > len(seldom.decided)
    assert next(fact for fact in often.facts() if type(fact).__name__ == "Decided").causes == ("bar",)
