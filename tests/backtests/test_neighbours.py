"""Grids of parameters: how they are written, what of them is refused, and that noise around noise is found to be overfitted."""

import pytest

from backtests.neighbours import GridError, around, grid_of
from strategies import load


def test_a_grid_is_read_as_it_is_written():
    assert grid_of("enter=60:90:10, leave=40:60:10") == {"enter": [60, 70, 80, 90], "leave": [40, 50, 60]}
    assert grid_of("stop=0.1:0.3:0.1,every=1d|1w|none") == {"stop": [0.1, 0.2, 0.3], "every": ["1d", "1w", None]}
    assert grid_of("top=5") == {"top": [5]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("enter", "name=from:to:step"),
        ("enter=60:90", "three numbers"),
        ("enter=60:90:0", "over 0"),
        ("enter=90:60:10", "at or over"),
        ("enter=a:b:c", "three numbers"),
        ("enter=1,enter=2", "twice"),
        ("", "empty"),
        ("enter=0:1:0.00001", "at most"),
    ],
)
def test_what_is_no_grid_is_refused_in_words(text, words):
    with pytest.raises(GridError, match=words):
        grid_of(text)


def test_strategies_around_one_differ_from_it_and_refused_ones_are_counted():
    middle = load("RatingBand", {"enter": 70, "leave": 50})
    found, refused = around(middle, grid_of("enter=50:70:10,leave=50:60:10"))
    pairs = [(one.enter, one.leave) for one in found]
    assert (70.0, 50.0) not in pairs
    assert len(set(pairs)) == len(pairs) == 5 - refused
    assert refused
    assert all(enter > leave for enter, leave in pairs)
    assert all(isinstance(one.enter, float) for one in found)


@pytest.mark.parametrize(
    ("grid", "words"), [("entr=1|2", "no parameter 'entr'"), ("enter=70", "no combination"), ("enter=x", "refused")]
)
def test_a_grid_that_does_not_fit_the_strategy_is_refused_in_words(grid, words):
    with pytest.raises(GridError, match=words):
        around(load("RatingBand", {"enter": 70, "leave": 50}), grid_of(grid))
