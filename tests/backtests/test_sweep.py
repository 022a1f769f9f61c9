"""A sweep is every combination replayed, in the order of the grid, whoever does the work."""

import pandas as pd
import pytest

from backtests import Costs, replay, sample, sweep
from strategies import RatingBand

GRID = {"enter": [55.0, 70.0], "leave": [30.0, 45.0], "kind": ["derived_trader"]}
COSTS = Costs(fee=0.001, half_spread=0.0)


@pytest.fixture(scope="module")
def tape():
    return sample("1h")


def test_each_row_is_the_replay_of_its_parameters(tape):
    found = sweep(RatingBand, GRID, tape, costs=COSTS)
    assert [(row.enter, row.leave) for row in found.itertuples()] == [(55, 30), (55, 45), (70, 30), (70, 45)]
    alone = replay(RatingBand(70.0, 30.0, kind="derived_trader"), tape, costs=COSTS)
    row = found[(found.enter == 70.0) & (found.leave == 30.0)].iloc[0]
    assert row.total_return == alone.stats["total_return"]
    assert row.n_fills == len(alone.fills) > 0


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tape):
    once, twice = (sweep(RatingBand, GRID, tape, costs=COSTS, workers=workers) for workers in (1, 2))
    pd.testing.assert_frame_equal(once, twice)


def test_a_parameter_out_of_range_is_named(tape):
    with pytest.raises(ValueError, match="leave"):
        sweep(RatingBand, GRID | {"leave": [90.0]}, tape, costs=COSTS)
