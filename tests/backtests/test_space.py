"""A space holds the values that were asked for, and its points are the same for the same seed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backtests import Range
from backtests.space import Space, read, written


def test_ranges_hold_both_ends():
    assert Range(1, 4).values() == (1, 2, 3, 4)
    assert Range(10, 20, step=5).values() == (10, 15, 20)
    assert Range(0.1, 0.5, step=0.1).values() == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert Range(0.0, 1.0).values() is None


@pytest.mark.parametrize(
    ("low", "high", "more"),
    [
        (2, 1, {}),
        (1, 1, {}),
        (0, 5, {"log": True}),
        (1, 5, {"step": 9}),
        (1, 5, {"step": 0}),
        (1, math.inf, {}),
        (1, 5, {"step": 1, "log": True}),
    ],
)
def test_bad_ranges_are_refused(low, high, more):
    with pytest.raises(ValueError, match=r"low|step"):
        Range(low, high, **more)


def test_a_grid_is_every_combination_with_the_last_turning_fastest():
    space = Space({"a": [1, 2], "b": ["x", "y", "z"]})
    assert [tuple(space.values(point).values()) for point in space.grid()] == [
        (1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")
    ]  # fmt: skip
    assert space.size == 6
    with pytest.raises(ValueError, match="c: a grid needs a step"):
        list(Space({"c": Range(0.0, 1.0)}).grid())


@pytest.mark.parametrize("given_", [{}, {"a": []}, {"a": "text"}, {"a": {"x": 1}}])
def test_a_space_without_values_is_refused(given_):
    with pytest.raises(ValueError, match=r"values|value"):
        Space(given_)


SPACE = Space({"a": Range(1, 6), "b": Range(0.001, 1.0, log=True), "c": ["x", "y"], "d": Range(5.0, 6.0)})


@given(seed=some.integers(0, 2**32), few=some.integers(1, 20), more=some.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_points_by_lot_are_told_by_the_seed_alone_and_go_on(seed, few, more):
    whole = list(SPACE.random(few + more, seed))
    assert list(SPACE.random(few, seed)) == whole[:few]
    assert len({written(point) for point in whole}) == few + more
    for point in whole:
        values = SPACE.values(point)
        assert values["a"] in range(1, 7)
        assert 0.001 <= values["b"] <= 1.0
        assert values["c"] in {"x", "y"}
        assert 5 <= values["d"] <= 6
        assert SPACE.values(read(written(point))) == values
        assert all(0 <= axis.share(point[name]) <= 1 for name, axis in SPACE.axes.items())


def test_another_seed_is_other_points():
    assert list(SPACE.random(5, 1)) != list(SPACE.random(5, 2))


def test_log_is_even_in_the_logarithm():
    drawn = [SPACE.values(point)["b"] for point in SPACE.random(2000, 3)]
    shares = np.histogram(np.log10(drawn), bins=[-3, -2, -1, 0])[0] / 2000
    assert shares == pytest.approx([1 / 3] * 3, abs=0.05)


def test_more_points_than_there_are_is_refused():
    small = Space({"a": [1, 2], "b": [3, 4]})
    assert len(list(small.random(4, 0))) == 4
    with pytest.raises(ValueError, match="4 points"):
        list(small.random(5, 0))


def test_a_lone_number_is_no_list_of_values():
    with pytest.raises(ValueError, match=r"fast = 2: write a list of values, or a Range"):
        Space({"fast": 2})
