"""The replay that skips and a driver that steps through every bar give the same, on real and on random data.

`make test` plays a part of the cases; WORLDS=2500 plays so many random worlds, REAL=all every case on real data.
"""

import os
from functools import cache

import pytest

from strategies import registry
from tests.proofs import chaos
from tests.proofs.compare import assert_folds, assert_same, both
from tests.proofs.lineup import EXITS, STRATEGIES, WAYS, build, world

real = cache(world)
RANDOM = int(os.environ.get("WORLDS", "150"))
EVERY = os.environ.get("REAL") == "all"
pytestmark = pytest.mark.slow


def test_every_bundled_strategy_is_in_the_lineup():
    assert {name.partition("-")[0] for name in STRATEGIES} == set(registry())


def cases(some_exits):
    """Every strategy with every way and every exits; a part takes each strategy with each way once, exits in turn."""
    whole = [(name, exits, way) for name in STRATEGIES for exits in some_exits for way in WAYS]
    turns = [
        (name, some_exits[(i + j) % len(some_exits)], way)
        for i, name in enumerate(STRATEGIES)
        for j, way in enumerate(WAYS)
    ]
    return whole if EVERY else turns


@pytest.mark.parametrize(("name", "exits", "way"), cases([*EXITS]))
def test_on_real_days(name, exits, way):
    same(name, exits, way, "1d")


@pytest.mark.parametrize(("name", "exits", "way"), cases(["parts-below", "trail-half-after", "stop-goal"]))
def test_on_real_hours(name, exits, way):
    same(name, exits, way, "1h")


def same(name, exits, way, timeframe):
    data, how = real(timeframe), WAYS[way]
    expected, result = both(
        build(name, EXITS[exits]), data.bars, data.ratings, data.signals, data.instruments if how.lots else None,
        cash=how.cash, costs=how.costs, latency=how.latency, exits=how.exits,
    )  # fmt: skip
    assert expected.decisions
    assert_same(expected, result)
    assert_folds(result)


@pytest.mark.parametrize("timeframe", ["1d", "1h"])
def test_the_real_cases_are_not_idle(timeframe):
    """Between them they stop, trail, take goals, part and wait: what is compared did happen."""
    data, how = real(timeframe), WAYS["thin"]
    seen, partial = set(), 0
    for exits in ("stop-goal", "trail-half-after", "parts-below"):
        result = both(
            build("RatingBand", EXITS[exits]), data.bars, data.ratings, None, data.instruments, cash=how.cash,
            costs=how.costs, latency=how.latency,
        )[1]  # fmt: skip
        seen |= {word for why in result.fills["why"] for word in why.replace("(", " ").replace(":", " ").split()}
        orders = [row[3] for row in result.engine.rows if row[0].__name__ == "Filled"]
        partial += len(orders) - len(set(orders))
    assert {"FallBy", "RiseBy", "TrailBy"} <= seen, seen
    assert partial > 0


@pytest.mark.parametrize("seed", range(RANDOM))
def test_on_random_worlds(seed):
    strategy, data, how = chaos.case(seed)
    expected, result = both(strategy, *data, **how)
    assert_same(expected, result)
    assert_folds(result)
