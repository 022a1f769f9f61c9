"""The probability of backtest overfitting and the deflated Sharpe ratio, on data where the answer is known, and against slow arithmetic."""

import math
from itertools import combinations

import numpy as np
import pytest

from backtests.overfitting import best_by_chance, deflated, deflated_sharpe, overfitting, sharpe_ratios


def by_hand(returns, parts):
    """The definition, split by split and trial by trial: probability, logits, figures of the chosen."""
    size = len(returns) // parts
    blocks = [returns[len(returns) % parts :][n * size : (n + 1) * size] for n in range(parts)]
    logits, pairs = [], []
    for mine in combinations(range(parts), parts // 2):
        inside = np.concatenate([blocks[n] for n in mine])
        outside = np.concatenate([blocks[n] for n in range(parts) if n not in mine])
        ratio_in = [one.mean() / one.std(ddof=1) for one in inside.T]
        ratio_out = [one.mean() / one.std(ddof=1) for one in outside.T]
        best = max(range(len(ratio_in)), key=ratio_in.__getitem__)
        rank = 1 + sum(one < ratio_out[best] for one in ratio_out)
        share = rank / (len(ratio_out) + 1)
        logits.append(math.log(share / (1 - share)))
        pairs.append((ratio_in[best], ratio_out[best]))
    return sum(one <= 0 for one in logits) / len(logits), logits, pairs


@pytest.mark.parametrize(("periods", "trials", "parts"), [(120, 5, 6), (203, 9, 8), (61, 2, 4)])
def test_each_split_is_what_one_would_work_out_by_hand(periods, trials, parts):
    returns = np.random.default_rng(periods).standard_t(4, (periods, trials)) * 0.02 + np.linspace(0, 0.002, trials)
    probability, logits, pairs = by_hand(returns, parts)
    found = overfitting(returns, parts)
    assert found.probability == pytest.approx(probability)
    assert found.logits == pytest.approx(logits)
    assert list(zip(found.chosen, found.other, strict=True)) == [pytest.approx(one) for one in pairs]
    inside, outside = np.array(pairs).T
    assert found.degradation == pytest.approx(np.polyfit(inside, outside, 1)[0])
    assert found.loss == pytest.approx((outside < 0).mean())
    assert sum(found.picks) == math.comb(parts, parts // 2)
    assert found.periods == periods - periods % parts


def test_sixteen_parts_are_twelve_thousand_splits():
    found = overfitting(np.random.default_rng(1).normal(size=(64, 3)))
    assert len(found.logits) == 12_870


def test_the_best_of_noise_is_at_the_median_on_average():
    lot = np.random.default_rng(2)
    found = [overfitting(lot.normal(0, 0.02, (400, 20)), 10).probability for _ in range(60)]
    assert 0.43 < np.mean(found) < 0.57


def test_a_planted_overfit_grid_is_found_out():
    """Each trial earns in a stretch of its own and pays it back elsewhere: what is best in one half is worst in the other."""
    lot = np.random.default_rng(3)
    returns = lot.normal(0, 0.01, (640, 24))
    season = np.repeat(lot.choice([-1, 1], (16, 24)), 40, axis=0)
    season = season - season.mean(axis=0)
    found = overfitting(returns + 0.006 * season)
    assert found.probability > 0.8
    assert found.kept < 0


def test_one_trial_with_skill_is_not_overfitted():
    returns = np.random.default_rng(4).normal(0, 0.02, (800, 24))
    returns[:, 7] += 0.005
    found = overfitting(returns)
    assert found.probability < 0.02
    assert found.picks[7] > 0.95 * sum(found.picks)
    assert found.kept == pytest.approx(1, abs=0.1)
    assert found.loss < 0.02


def test_trials_that_returned_the_same_count_once():
    returns = np.random.default_rng(5).normal(0, 0.02, (160, 4))
    doubled = np.hstack([returns, returns[:, :2], returns])
    one, other = overfitting(returns, 8), overfitting(doubled, 8)
    assert (other.trials, other.distinct) == (10, 4)
    assert sorted(one.logits) == pytest.approx(sorted(other.logits))


def test_a_trial_that_never_trades_is_a_trial_of_zero():
    returns = np.random.default_rng(6).normal(-0.01, 0.02, (160, 3))
    returns[:, 1] = 0.0
    found = overfitting(returns, 8)
    assert found.picks[1] == sum(found.picks)
    assert set(found.other) == {0.0}


@pytest.mark.parametrize(
    ("returns", "parts", "words"),
    [
        (np.zeros((100, 1)), 4, "at least two trials"),
        (np.zeros((100, 3)), 4, "differ"),
        (np.random.default_rng(7).normal(size=(100, 3)), 5, "even"),
        (np.random.default_rng(7).normal(size=(20, 3)), 16, "at least 32"),
        (np.full((100, 3), np.nan), 4, "missing"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(returns, parts, words):
    with pytest.raises(ValueError, match=words):
        overfitting(returns, parts)


# The example that Bailey and Lopez de Prado publish: 100 trials over five years of 250 days, the variance of the yearly Sharpe ratios 1/2, the
# best of them 2.5 a year with skewness -3 and kurtosis 10. They give a hurdle of 0.1132 and a probability of 0.9004; 46 trials, or 88 with
# normal returns, would have left 0.95.
YEARLY = {"sharpe": 2.5 / math.sqrt(250), "periods": 1250, "variance": 1 / 2 / 250}


def test_the_published_example_of_a_deflated_sharpe_ratio():
    assert best_by_chance(100, 1 / 2 / 250) == pytest.approx(0.1132, abs=5e-5)
    assert deflated(**YEARLY, trials=100, skew=-3, kurtosis=10) == pytest.approx(0.9004, abs=5e-5)
    assert deflated(**YEARLY, trials=46, skew=-3, kurtosis=10) == pytest.approx(0.9505, abs=5e-5)
    assert deflated(**YEARLY, trials=88) == pytest.approx(0.9505, abs=5e-5)


def test_the_best_of_so_many_noise_trials_is_what_chance_gives():
    lot = np.random.default_rng(8)
    best = [sharpe_ratios(lot.normal(size=(250, 50))).max() for _ in range(300)]
    assert best_by_chance(50, 1 / 249) == pytest.approx(np.mean(best), rel=0.03)


def test_deflation_grows_with_the_trials_and_with_their_variance():
    gains = np.random.default_rng(9).normal(0.002, 0.02, 800)
    assert deflated_sharpe(gains) > deflated_sharpe(gains, 10) > deflated_sharpe(gains, 1000) > 0
    assert deflated_sharpe(gains, 10, 1e-4) > deflated_sharpe(gains, 10, 1e-2)
    assert deflated_sharpe(gains, 10) == deflated_sharpe(gains, 10, 1 / 799)


def test_without_skill_the_probability_is_even_over_many_seeds():
    lot = np.random.default_rng(10)
    found = np.array([deflated_sharpe(lot.normal(size=500)) for _ in range(400)])
    assert abs((found < 0.1).mean() - 0.1) < 0.05
    assert abs((found < 0.9).mean() - 0.9) < 0.05


def test_too_few_returns_or_none_that_move_are_no_ratio():
    assert deflated_sharpe([0.01] * 5) is None
    assert deflated_sharpe(np.zeros(100)) is None
