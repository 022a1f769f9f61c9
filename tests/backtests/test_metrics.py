"""The figures against hand-computed cases, a well-kept library and their own properties."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backtests.metrics import (
    BLOCK,
    DAY_NS,
    MEASURES,
    FillColumns,
    daily_returns,
    is_in_kind,
    measure,
    span_years,
    trades,
)

DAYS_PER_YEAR = 365


def daily(*equity: float) -> tuple[np.ndarray, np.ndarray, int]:
    return np.array(equity, np.float64), np.arange(1, len(equity) + 1, dtype=np.int64) * DAY_NS, DAY_NS


def fills(*rows: tuple[str, str, float, float, float, str]) -> FillColumns:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(6)]
    return FillColumns(*columns)


def random_curve(seed: int, bars: int = 1500) -> np.ndarray:
    return 1000.0 * np.cumprod(1.0 + np.random.default_rng(seed).normal(0.0005, 0.02, bars))


def test_a_small_curve_has_the_figures_computed_by_hand() -> None:
    found = measure(*daily(100.0, 110.0, 99.0, 108.9))
    returns = [0.1, -0.1, 0.1]
    mean = sum(returns) / 3
    spread = math.sqrt(sum((r - mean) ** 2 for r in returns) / 2)
    assert found["total_return"] == pytest.approx(0.089)
    assert found["cagr"] == pytest.approx(1.089 ** (365 / 3) - 1)
    assert found["volatility"] == pytest.approx(spread * math.sqrt(365))
    assert found["sharpe"] == pytest.approx(mean / spread * math.sqrt(365))
    assert found["sortino"] == pytest.approx(mean / math.sqrt(0.01 / 3) * math.sqrt(365))
    assert found["max_drawdown"] == pytest.approx(-0.1)
    assert found["calmar"] == pytest.approx(found["cagr"] / 0.1)
    assert found["max_drawdown_days"] == 2.0


@pytest.mark.parametrize(
    ("equity", "days"),
    [
        ((100.0, 101.0, 102.0), 0.0),
        ((100.0, 100.0, 100.0), 0.0),
        ((100.0, 99.0), 1.0),
        ((100.0, 99.0, 100.0), 2.0),
        ((100.0, 99.0, 98.0, 100.0, 99.0), 3.0),
        ((100.0, 90.0, 101.0, 95.0, 95.0, 95.0), 3.0),
    ],
)
def test_days_under_water_run_from_the_peak_to_its_return_or_the_end(equity: tuple[float, ...], days: float) -> None:
    assert measure(*daily(*equity))["max_drawdown_days"] == days


def test_the_cash_at_the_start_makes_the_first_bar_count() -> None:
    found = measure(*daily(90.0, 90.0), cash_start=100.0)
    assert found["total_return"] == pytest.approx(-0.1)
    assert found["max_drawdown"] == pytest.approx(-0.1)
    assert found["max_drawdown_days"] == 2.0
    assert found["cagr"] == pytest.approx(0.9 ** (365 / 2) - 1)


def test_years_go_by_the_clock_where_bars_are_missing() -> None:
    equity = np.array([100.0, 200.0])
    closes = np.array([0, DAYS_PER_YEAR * DAY_NS], np.int64)
    assert measure(equity, closes, DAY_NS)["cagr"] == pytest.approx(1.0)


def test_what_is_not_defined_is_nan() -> None:
    flat = measure(*daily(100.0, 100.0, 100.0))
    assert flat["total_return"] == 0.0
    assert flat["volatility"] == 0.0
    assert all(math.isnan(flat[name]) for name in ("sharpe", "sortino", "calmar"))
    steady = measure(*daily(*(100.0 * 1.01**bar for bar in range(50))))
    assert all(math.isnan(steady[name]) for name in ("sharpe", "sortino", "calmar"))
    assert all(math.isnan(figure) for figure in measure(*daily()).values())
    assert measure(*daily(100.0))["total_return"] == 0.0
    assert math.isnan(measure(*daily(100.0))["cagr"])


def test_a_ruined_curve_has_finite_returns_and_loses_all() -> None:
    with np.errstate(all="raise"):
        found = measure(*daily(100.0, 50.0, 0.0, 0.0))
    assert found["total_return"] == -1.0
    assert found["cagr"] == -1.0
    assert found["max_drawdown"] == -1.0
    assert math.isfinite(found["sharpe"])


def test_measuring_changes_nothing_and_names_every_figure() -> None:
    equity, closes, step = daily(*random_curve(3))
    before = equity.copy()
    assert tuple(measure(equity, closes, step)) == MEASURES
    assert np.array_equal(equity, before)


@pytest.mark.parametrize("seed", range(3))
def test_figures_equal_those_of_quantstats(seed: int) -> None:
    oracle = pytest.importorskip("quantstats.stats", reason="the oracle quantstats is not installed")
    curve = random_curve(seed)
    found = measure(*daily(*curve))
    index = pd.date_range("2021-01-02", periods=curve.size, freq="D")
    returns = pd.Series(curve, index).pct_change().dropna()
    expected = {
        "total_return": oracle.comp(returns),
        "volatility": oracle.volatility(returns, periods=DAYS_PER_YEAR),
        "sharpe": oracle.sharpe(returns, periods=DAYS_PER_YEAR),
        "sortino": oracle.sortino(returns, periods=DAYS_PER_YEAR),
        "cagr": oracle.cagr(returns, periods=DAYS_PER_YEAR),
        "max_drawdown": oracle.max_drawdown(returns),
        "calmar": oracle.calmar(returns, periods=DAYS_PER_YEAR),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)


curves = some.lists(some.floats(1.0, 1e6), min_size=3, max_size=60)


@given(curves)
def test_scale_does_not_matter(curve: list[float]) -> None:
    once, twice = measure(*daily(*curve)), measure(*daily(*(2.0 * point for point in curve)))
    assert once == pytest.approx(twice, rel=1e-9, nan_ok=True)


@given(curves)
def test_drawdown_equals_a_plain_loop(curve: list[float]) -> None:
    peak, since, deepest, longest = -math.inf, 0, 0.0, 0
    for bar, point in enumerate(curve):
        if point >= peak:
            longest = max(longest, bar - since if bar - since > 1 and bar else 0)
            peak, since = point, bar
        else:
            deepest = min(deepest, point / peak - 1.0)
    longest = max(longest, len(curve) - 1 - since)
    found = measure(*daily(*curve))
    assert found["max_drawdown"] == pytest.approx(deepest, abs=1e-15)
    assert found["max_drawdown_days"] == longest


def test_round_trips_count_fees_on_both_sides() -> None:
    found = trades(
        fills(
            ("BTC", "buy", 1.0, 100.0, 1.0, "USDT"),
            ("ETH", "buy", 10.0, 10.0, 1.0, "USDT"),
            ("BTC", "buy", 1.0, 200.0, 2.0, "USDT"),
            ("BTC", "sell", 1.0, 180.0, 1.5, "USDT"),
            ("BTC", "sell", 1.0, 180.0, 1.5, "USDT"),
            ("ETH", "sell", 10.0, 9.0, 1.0, "USDT"),
            ("ETH", "buy", 1.0, 9.0, 0.0, "USDT"),
        ),
        equity_mean=1000.0,
        years=0.5,
    )
    assert found == pytest.approx(
        {
            "hit_rate": 0.5,
            "profit_factor": 54.0 / 12.0,
            "n_trades": 2,
            "turnover": (100 + 100 + 200 + 180 + 180 + 90 + 9) / 1000.0 / 0.5,
            "fees": 8.0,
            "n_fills": 7,
        }
    )


def test_a_fee_in_the_asset_makes_the_holding_smaller() -> None:
    found = trades(
        fills(("BTC", "buy", 1.0, 100.0, 0.01, "BTC"), ("BTC", "sell", 0.99, 110.0, 0.0, "USDT")),
        equity_mean=100.0,
        years=1.0,
    )
    assert found["n_trades"] == 1
    assert found["fees"] == pytest.approx(1.0)
    assert found["hit_rate"] == 1.0
    assert found["profit_factor"] == math.inf


def test_dust_ends_a_trip_and_keeps_its_cost_for_the_next() -> None:
    rows = fills(
        ("BTC", "buy", 1.05, 100.0, 0.0, "USDT"),
        ("BTC", "sell", 1.0, 100.0, 0.0, "USDT"),
        ("BTC", "buy", 1.0, 100.0, 0.0, "USDT"),
        ("BTC", "sell", 1.05, 90.0, 0.0, "USDT"),
    )
    assert trades(rows, equity_mean=1.0, years=1.0)["n_trades"] == 1
    by_lot = trades(rows, equity_mean=1.0, years=1.0, lots={"BTC": 0.1})
    by_minimum = trades(rows, equity_mean=1.0, years=1.0, minimums={"BTC": 10.0})
    assert by_lot == by_minimum
    assert by_lot["n_trades"] == 2
    assert by_lot["profit_factor"] == 0.0


def test_no_fills_and_no_closed_trips() -> None:
    none = trades(fills(), equity_mean=100.0, years=1.0)
    assert (none["n_trades"], none["fees"], none["turnover"], none["n_fills"]) == (0, 0.0, 0.0, 0)
    assert math.isnan(none["hit_rate"])
    assert math.isnan(none["profit_factor"])
    still_open = trades(fills(("BTC", "buy", 1.0, 1.0, 0.0, "USDT")), equity_mean=1.0, years=1.0)
    assert still_open["n_trades"] == 0


amounts = some.integers(1, 1000)


@given(some.lists(some.tuples(some.sampled_from("AB"), amounts, amounts, some.integers(0, 9)), min_size=1, max_size=30))
def test_profits_of_whole_trips_are_the_cash_that_came_in(steps: list[tuple[str, int, int, int]]) -> None:
    rows, cash = [], []
    for asset, bought, sold, fee in steps:
        rows.append((asset, "buy", 3.0, float(bought), float(fee), "USDT"))
        rows += [(asset, "sell", part, float(sold), float(fee), "USDT") for part in (1.0, 2.0)]
        cash.append(3 * sold - 3 * bought - 3 * fee)
    found = trades(fills(*rows), equity_mean=1.0, years=1.0)
    assert found["n_trades"] == len(steps)
    losses = -sum(change for change in cash if change < 0)
    if losses:
        assert found["profit_factor"] == pytest.approx(sum(change for change in cash if change > 0) / losses, abs=1e-9)


def test_a_fee_in_kind_is_known_by_the_name_of_the_asset() -> None:
    assert is_in_kind("BTC", "BTC")
    assert is_in_kind("GATE:BTC/USDT", "BTC")
    assert not is_in_kind("GATE:BTC/USDT", "USDT")


def test_the_span_runs_from_the_first_open_to_the_last_close() -> None:
    assert span_years(np.arange(1, 366, dtype=np.int64) * DAY_NS, DAY_NS) == 1.0
    assert span_years(np.empty(0, np.int64), DAY_NS) == 0.0


@pytest.mark.parametrize("start", [None, 990.0, 1300.0])
def test_curves_longer_than_a_block_equal_one_plain_pass(start: float | None) -> None:
    curve = random_curve(5, 3 * BLOCK + 7) if start is None else random_curve(6, 2 * BLOCK)
    equity, closes, step = daily(*curve)
    found = measure(equity, closes, step, cash_start=start)
    whole = equity if start is None else np.concatenate(([start], equity))
    returns = whole[1:] / whole[:-1] - 1.0
    peaks = np.maximum.accumulate(whole)
    at_peak = np.append(np.flatnonzero(whole == peaks), whole.size - 1)
    assert found["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * math.sqrt(365), rel=1e-9)
    assert found["max_drawdown"] == pytest.approx((whole / peaks - 1.0).min(), rel=1e-12)
    assert found["max_drawdown_days"] == np.diff(at_peak).max()


def test_the_returns_of_days_are_those_between_their_last_closes() -> None:
    hours = np.array([6, 12, 24, 30, 48, 60], np.int64) * (DAY_NS // 24)
    ends, gains = daily_returns(np.array([101.0, 99.0, 110.0, 120.0, 99.0, 49.5]), hours, 100.0)
    assert (ends // (DAY_NS // 24)).tolist() == [24, 48, 60]
    assert gains == pytest.approx([0.1, -0.1, -0.5])


def test_after_all_is_lost_a_day_returns_nothing() -> None:
    _, gains = daily_returns(np.array([50.0, 0.0, 0.0]), np.arange(1, 4, dtype=np.int64) * DAY_NS, 100.0)
    assert gains.tolist() == [-0.5, -1.0, 0.0]
