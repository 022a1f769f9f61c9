"""Indicator columns against plain loops."""

import math

import numpy as np
import pytest

from trader.core import columns

RNG = np.random.default_rng(11)
CLOSE = 100.0 * np.exp(np.cumsum(RNG.normal(0.0, 0.01, 400)))
HIGH, LOW = CLOSE * 1.01, CLOSE * 0.985


def decaying(values: list[float], decay: float, width: int) -> float:
    weights = [decay**k for k in range(width)]
    return sum(w * v for w, v in zip(weights, reversed(values[-width:]), strict=True)) / sum(weights)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 20, 50, 64, 100])
def test_sma_is_the_mean(n: int) -> None:
    found = columns.sma(CLOSE, n)
    assert np.isnan(found[: n - 1]).all()
    for t in range(n - 1, len(CLOSE), 13):
        assert found[t] == pytest.approx(math.fsum(CLOSE[t - n + 1 : t + 1]) / n, rel=1e-13)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 20])
def test_ema_is_the_weighted_mean_and_close_to_the_endless_one(n: int) -> None:
    found = columns.ema(CLOSE, n)
    alpha, endless = 2.0 / (n + 1.0), [CLOSE[0]]
    for price in CLOSE[1:]:
        endless.append(endless[-1] + alpha * (price - endless[-1]))
    assert np.isnan(found[: 4 * n - 1]).all()
    for t in range(4 * n - 1, len(CLOSE), 13):
        assert found[t] == pytest.approx(decaying(CLOSE[: t + 1].tolist(), 1.0 - alpha, 4 * n), rel=1e-12)
        assert found[t] == pytest.approx(endless[t], rel=2e-3)


@pytest.mark.parametrize("n", [2, 14])
def test_rsi_and_atr_are_wilders_but_for_what_is_cut_off(n: int) -> None:
    rsi, atr = columns.rsi(CLOSE, n), columns.atr(HIGH, LOW, CLOSE, n)
    moves = np.diff(CLOSE).tolist()
    ranges = [
        max(HIGH[t] - LOW[t], abs(HIGH[t] - CLOSE[t - 1]), abs(LOW[t] - CLOSE[t - 1])) for t in range(1, len(CLOSE))
    ]
    up, down, true = max(moves[0], 0.0), max(-moves[0], 0.0), ranges[0]
    assert np.isnan(rsi[: 8 * n]).all()
    assert np.isnan(atr[: 8 * n]).all()
    for t in range(2, len(CLOSE)):
        up += (max(moves[t - 1], 0.0) - up) / n
        down += (max(-moves[t - 1], 0.0) - down) / n
        true += (ranges[t - 1] - true) / n
        if t < 8 * n:
            continue
        gains = decaying([max(move, 0.0) for move in moves[:t]], 1.0 - 1.0 / n, 8 * n)
        losses = decaying([max(-move, 0.0) for move in moves[:t]], 1.0 - 1.0 / n, 8 * n)
        assert rsi[t] == pytest.approx(100.0 * gains / (gains + losses), rel=1e-11)
        assert atr[t] == pytest.approx(decaying(ranges[:t], 1.0 - 1.0 / n, 8 * n), rel=1e-11)
        assert rsi[t] == pytest.approx(100.0 * up / (up + down), abs=0.2)
        assert atr[t] == pytest.approx(true, rel=2e-3)


def test_rsi_ends_and_middle() -> None:
    assert columns.rsi(np.arange(30.0), 3)[-1] == 100.0
    assert columns.rsi(-np.arange(30.0), 3)[-1] == 0.0
    assert columns.rsi(np.full(30, 7.0), 3)[-1] == 50.0


@pytest.mark.parametrize("n", [1, 2, 3, 8, 21])
def test_highest_and_lowest(n: int) -> None:
    for t in range(n - 1, 100):
        assert columns.highest(CLOSE, n)[t] == max(CLOSE[t - n + 1 : t + 1])
        assert columns.lowest(CLOSE, n)[t] == min(CLOSE[t - n + 1 : t + 1])


def test_rank_counts_ties_half() -> None:
    found = columns.rank(np.array([1.0, 2.0, 3.0, 3.0, 0.0, 2.0]), 3)
    assert found[2:].tolist() == [100.0, 75.0, 0.0, 50.0]


def test_lag_and_change() -> None:
    assert columns.lag(np.array([1.0, 2.0, 4.0]), 2)[2:].tolist() == [1.0]
    assert columns.change(np.array([1.0, 2.0, 4.0]), 2)[2:].tolist() == [3.0]
    assert np.isnan(columns.lag(np.array([1.0]), 3)).all()


@pytest.mark.parametrize("n", [3, 7, 10, 50])
def test_equal_values_average_to_themselves(n: int) -> None:
    flat = np.full(420, 0.1)
    assert columns.sma(flat, n)[-1] == 0.1
    assert columns.ema(flat, n)[-1] == 0.1


def test_unknown_values_make_their_windows_unknown() -> None:
    holed = CLOSE.copy()
    holed[200] = np.nan
    for found in (columns.sma(holed, 5), columns.highest(holed, 5), columns.rank(holed, 5)):
        assert np.isnan(found[200:205]).all()
        assert np.isfinite(found[205:]).all()
