"""The verdict of a sweep: luck is called luck, and skill is found, however it came about."""

import numpy as np
import pytest

from backtests.overfitting import deflated_sharpe
from backtests.tally import Tried
from backtests.verdict import judge


def gains(count, days=800, seed=1):
    return np.random.default_rng(seed).normal(0, 0.01, (days, count))


def best_of(columns):
    return int((columns.mean(axis=0) / columns.std(axis=0)).argmax())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_best_of_noise_is_not_sound(seed):
    columns = gains(60, seed=seed)
    found = judge(list(range(60)), columns, best_of(columns), tried=None)
    assert not found.text.startswith("SOUND")
    assert found.overfitting.probability > 0.2
    assert found.deflated < 0.95


def test_skill_is_sound_until_too_many_were_tried():
    columns = gains(60)
    columns[:, 5] += 0.0025
    sure = judge(list(range(60)), columns, 5, tried=None)
    assert sure.text.startswith("SOUND")
    assert sure.trials == 60
    many = judge(list(range(60)), columns, 5, tried=Tried(here=1_000_000, anywhere=1_000_000, variance=0.004))
    assert many.trials == 1_000_000
    assert many.deflated < sure.deflated
    assert many.deflated == deflated_sharpe(columns[:, 5], trials=1_000_000, variance=0.004)
    assert "1,000,000" in many.text


def test_one_trial_is_no_choice():
    found = judge([4], gains(1), 4, tried=None)
    assert found.overfitting is None
    assert found.text.startswith("UNDECIDED")
    assert judge([], np.empty((0, 0)), None, tried=None).deflated is None
