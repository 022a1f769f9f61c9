"""Other histories from the same days: blocks stay whole, intervals cover at their rate, and what is calm and stormy stays together."""

import numpy as np
import pytest

from backtests.bootstrap import bootstrap, places


def test_places_are_blocks_of_consecutive_days_of_the_stated_mean_length():
    found = places(500, 200, 10.0, np.random.default_rng(1))
    steps = np.diff(found, axis=1) % 500
    assert found.min() >= 0
    assert found.max() == 499
    assert (steps == 1).mean() == pytest.approx(0.9 + 0.1 / 500, abs=0.01)
    counts = np.bincount(found.ravel(), minlength=500)
    assert counts.min() > 0.5 * counts.mean()  # each day is drawn as often as another, the first and last too


def test_intervals_cover_the_true_sharpe_ratio_at_their_rate():
    true, covered = 0.05 * np.sqrt(365), []
    for seed in range(200):
        found = bootstrap(np.random.default_rng(seed).normal(0.001, 0.02, 500), resamples=200, seed=seed)
        covered.append(found.sharpe_low <= true <= found.sharpe_high)
    assert 0.87 < np.mean(covered) < 0.985


def runs_of(days, *, seed):
    """Returns that go on: each is 0.6 of the one before, and news."""
    lot = np.random.default_rng(seed)
    found = lot.normal(0, 0.01, days)
    for day in range(1, days):
        found[day] += 0.6 * found[day - 1]
    return found


def test_returns_that_go_on_have_wider_intervals_than_days_drawn_one_by_one_would_say():
    wide = [bootstrap(runs_of(800, seed=seed), resamples=400, block=20) for seed in range(10)]
    narrow = [bootstrap(runs_of(800, seed=seed), resamples=400, block=1) for seed in range(10)]
    reach = [np.mean([one.sharpe_high - one.sharpe_low for one in many]) for many in (wide, narrow)]
    assert 1.4 < reach[0] / reach[1] < 2.2  # exactly (1 + 0.6) / sqrt(1 - 0.6²) = 2 for blocks without end


def test_a_sure_gain_loses_nowhere_and_noise_in_half():
    lot = np.random.default_rng(3)
    assert bootstrap(lot.normal(0.01, 0.01, 300)).loses == 0
    noise = lot.normal(0, 0.02, 300)
    noise -= np.log1p(noise).mean()
    assert 0.35 < bootstrap(noise).loses < 0.65


def test_the_figures_are_those_of_the_days_and_the_fan_ends_where_the_interval_does():
    gains = np.random.default_rng(4).normal(0.001, 0.02, 400)
    found = bootstrap(gains, resamples=300)
    assert found.growth == pytest.approx(np.prod(1 + gains))
    assert found.sharpe == pytest.approx(gains.mean() / gains.std(ddof=1) * np.sqrt(365))
    assert found.block == 7
    assert len(found.fan) == 5
    assert len(found.fan[0]) == len(found.stops)
    assert found.stops[-1] == 400
    assert (found.fan[0][-1], found.fan[-1][-1]) == pytest.approx((found.growth_low, found.growth_high), rel=0.02)
    assert all(low <= high for low, high in zip(found.fan[0], found.fan[-1], strict=True))


def test_too_little_to_draw_from_is_no_answer():
    assert bootstrap([0.01] * 10) is None
    assert bootstrap([0.0] * 100) is None
