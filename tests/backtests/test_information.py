"""What ratings say: intervals that cover at their stated rate, spreads and turnover against plain arithmetic, decay as it was planted."""

import math

import numpy as np
import pandas as pd
import pytest

from backtests import Tape
from backtests.buckets import spread, turnover
from backtests.edge import rank_edge
from backtests.forecasts import forecasts
from backtests.information import by_asset, decay, inform, years
from backtests.intervals import correlation_interval, mean_interval, rank_correlation, student
from tests.services.parts import full


def world(gains, values, *, known="25h", start="2022-01-01", delisted=None):
    """A tape of daily bars with these returns by day and asset, and ratings of each day known so long after its beginning."""
    days, assets = gains.shape
    closes = 100 * np.cumprod(1 + gains, axis=0)
    opens = np.vstack([np.full(assets, 100.0), closes[:-1]])
    stamps = pd.date_range(start, periods=days, freq="D", tz="UTC")
    names = [f"A{n:02}" for n in range(assets)]
    bars = pd.DataFrame(
        {
            "ts": np.repeat(stamps, assets), "asset": names * days, "open": opens.ravel(), "close": closes.ravel(),
            "high": np.maximum(opens, closes).ravel(), "low": np.minimum(opens, closes).ravel(), "volume": 1e9,
        }
    )  # fmt: skip
    ratings = pd.DataFrame(
        {"asset": names * days, "kind": "grade", "as_of": np.repeat(stamps, assets), "value": values.ravel()}
    ).dropna()
    ratings["known_at"] = ratings["as_of"] + pd.Timedelta(known)
    return Tape.from_frames(bars, ratings, instruments=delisted)


def said_on(tape, losses=None):
    return forecasts(tape.panel, "grade", losses)


def following(gains, values, days, *, wait=2):
    """Pairs of each day's ratings with the return from the open `wait` days later over `days`, by plain loops: frame."""
    closes = np.vstack([np.ones(gains.shape[1]), np.cumprod(1 + gains, axis=0)])  # the open of day d is closes[d]
    rows = [
        {"day": d, "asset": a, "value": values[d, a], "gain": closes[d + wait + days, a] / closes[d + wait, a] - 1}
        for d in range(len(gains) - wait - days)
        for a in range(gains.shape[1])
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def noise():
    lot = np.random.default_rng(1)
    return lot.normal(0, 0.03, (300, 20)), lot.uniform(0, 100, (300, 20))


def test_correlation_and_interval_are_a_plain_pandas_calculation(noise):
    gains, values = noise
    found = inform(said_on(world(gains, values)), 3)
    frame = following(gains, values, 3)
    frame = frame[frame["day"] % 3 == 0]  # spans that do not overlap
    each = frame.groupby("day")[["value", "gain"]].apply(lambda one: one["value"].corr(one["gain"], method="spearman"))
    assert found.dates == len(each)
    assert found.correlation == pytest.approx(each.mean())
    assert found.t == pytest.approx(each.mean() / each.sem())
    assert (found.high - found.low) / 2 == pytest.approx(1.9849 * each.sem(), rel=2e-3)


def test_a_spread_is_a_plain_pandas_calculation(noise):
    gains, values = noise
    found = spread(said_on(world(gains, values)), 7)
    frame = following(gains, values, 7)
    frame = frame[frame["day"] % 7 == 0]
    frame["bucket"] = frame.groupby("day")["value"].transform(lambda one: pd.qcut(one, 5, labels=False))
    table = (
        frame.groupby(["day", "bucket"])["gain"]
        .mean()
        .reset_index()
        .pivot_table(index="day", columns="bucket", values="gain")
    )
    assert found.buckets == pytest.approx(table.mean().tolist())
    apart = table[4] - table[0]
    assert found.dates == len(apart)
    assert found.spread == pytest.approx(apart.mean())
    assert found.t == pytest.approx(apart.mean() / apart.sem())


def test_over_time_a_spread_is_a_plain_pandas_calculation():
    lot = np.random.default_rng(2)
    gains, values = lot.normal(0, 0.03, (303, 1)), lot.uniform(0, 100, (303, 1))
    found = spread(said_on(world(gains, values)), 1)
    frame = following(gains, values, 1)
    parts = frame.groupby(pd.qcut(frame["value"], 5, labels=False))["gain"]
    assert found.way == "over time"
    assert found.buckets == pytest.approx(parts.mean().tolist())
    error = math.hypot(*(parts.get_group(n).sem() for n in (0, 4)))
    assert found.t == pytest.approx((parts.mean()[4] - parts.mean()[0]) / error)


@pytest.mark.parametrize("assets", [pytest.param(8, marks=full), 1])
def test_intervals_cover_nothing_in_nineteen_of_twenty_worlds_without_skill(assets):
    """Ratings that go on from day to day, as a vendor's do, and returns that nobody knows."""
    covered = []
    for seed in range(300):
        lot = np.random.default_rng(seed)
        gains = lot.normal(0, 0.03, (90, assets))
        values = 50 + np.cumsum(lot.normal(0, 1, (90, assets)), axis=0)
        found = inform(said_on(world(gains, values)), 3)
        covered.append(found.low <= 0 <= found.high)
    assert 0.91 < np.mean(covered) < 0.985


def test_an_interval_does_not_cover_nothing_where_there_is_skill(noise):
    gains, values = noise
    values[:-2] = 50 + 1000 * gains[2:] + np.random.default_rng(3).normal(0, 90, gains[2:].shape)
    found = inform(said_on(world(gains, values)), 1)
    assert 0 < found.low < found.correlation < found.high


def planted(life, *, seed=4, days=900, assets=20):
    """Ratings of which `life` days are known beforehand: the return of each of the days after they are known has an equal part in them."""
    lot = np.random.default_rng(seed)
    gains = lot.normal(0, 0.03, (days, assets))
    known = sum(np.vstack([gains[2 + n :], np.zeros((2 + n, assets))]) for n in range(life))
    return gains, known + lot.normal(0, 0.03, gains.shape)


def test_what_is_known_of_one_day_is_gone_the_next():
    found = decay(said_on(world(*planted(1))))
    points = {lag: one.correlation for lag, one in found.points}
    assert points[0] > 0.5
    assert all(abs(points[lag]) < 0.05 for lag in (1, 2, 3, 5, 7, 14))
    assert found.half_life == pytest.approx(0.5, abs=0.06)
    assert "half of it is gone after 0.5 days" in found.words


def test_what_is_known_of_six_days_fades_after_them():
    found = decay(said_on(world(*planted(6))))
    points = {lag: one.correlation for lag, one in found.points}
    assert min(points[lag] for lag in (0, 1, 2, 3, 5)) > 0.25
    assert max(abs(points[lag]) for lag in (7, 14)) < 0.05
    assert 5 < found.half_life < 7


def test_noise_has_no_half_life(noise):
    found = decay(said_on(world(*noise)))
    assert found.half_life is None
    assert found.words.startswith("none")


def test_turnover_of_a_hand_made_example():
    """Ten assets, of which the best two change in turn by one, by none, by both; the others keep their order."""
    tops = [(8, 9), (8, 7), (8, 7), (6, 5)] * 4
    values = np.tile(np.arange(10.0), (len(tops), 1))
    for day, top in enumerate(tops):
        values[day, list(top)] = 50.0, 51.0
    gains = np.random.default_rng(5).normal(0, 0.01, values.shape)
    found = turnover(said_on(world(gains, values, known="1h")))
    # From one to the next: 1/2, 0, 1, then back to the first pair: 1; fifteen steps, the last publication being known before the last open.
    steps = ([0.5, 0.0, 1.0, 1.0] * 4)[: found.publications - 1]
    assert found.changed == pytest.approx(np.mean(steps))
    pairs = [
        pd.Series(values[n]).corr(pd.Series(values[n + 1]), method="spearman") for n in range(found.publications - 1)
    ]
    assert found.autocorrelation == pytest.approx(np.mean(pairs))


def test_ratings_that_never_move_have_no_turnover(noise):
    gains, _ = noise
    found = turnover(said_on(world(gains, np.tile(np.arange(20.0), (300, 1)))))
    assert (found.changed, found.autocorrelation) == (0.0, pytest.approx(1.0))


def test_one_asset_of_which_something_is_known_stands_out(noise):
    gains, values = noise
    values[:-2, 7] = 1000 * gains[2:, 7] + np.random.default_rng(6).normal(0, 20, 298)
    found = by_asset(said_on(world(gains, values)), 1)
    assert len(found) == 20
    assert found[0][0] == "A07"
    assert found[0][1].low > 0.5
    frame = following(gains, values, 1)
    mine = frame[frame["asset"] == 3]
    other = dict(found)["A03"]
    assert other.dates == len(mine)
    assert other.correlation == pytest.approx(mine["value"].corr(mine["gain"], method="spearman"))


def test_years_are_apart():
    gains, values = planted(1, days=730)
    values[365:] = np.random.default_rng(7).normal(size=values[365:].shape)
    found = dict(years(said_on(world(gains, values, start="2022-01-01")), 1))
    assert found[2022].correlation > 0.5
    assert found[2023].low < 0 < found[2023].high


def test_assets_rated_at_minutes_of_their_own_stand_beside_each_other(noise):
    gains, values = noise
    tape = world(gains, values)
    frame = tape.rating_frame()
    frame["known_at"] += pd.to_timedelta(frame["asset"].str[1:].astype(int) * 7, unit="min")
    bars = pd.DataFrame(
        {
            "ts": pd.to_datetime(np.repeat(tape.panel.opens_ns, 20), utc=True), "asset": tape.panel.names * 300,
            **{name: getattr(tape.panel, name).T.ravel() for name in ("open", "high", "low", "close", "volume")},
        }
    )  # fmt: skip
    moved = Tape.from_frames(bars, frame.sort_values("known_at"))
    assert inform(said_on(moved), 3) == inform(said_on(tape), 3)


def test_what_was_delisted_has_lost_and_is_not_left_out(noise):
    gains, values = noise
    values[:, 0] = 100.0  # the best-rated is the one that goes
    stamps = pd.date_range("2022-01-01", periods=300, freq="D", tz="UTC")
    tape = world(gains, values)
    tape.panel.delisted_ns["A00"] = stamps[200].value
    tape.panel.open[0, 200:] = np.nan
    got = said_on(tape).gains(7)
    assert (got[192:198, 0] == -1.0).all()
    assert got[190, 0] > -1
    assert np.isnan(got[199, 0])
    begin = int(np.take(said_on(tape).at, 195))
    left = tape.close[0, 199] * 0.75 / tape.open[0, begin] - 1
    assert said_on(tape, {"A00": 0.25}).gains(7)[195, 0] == pytest.approx(left, abs=1e-12)


def test_what_a_delisting_pays_in_full_returns_what_its_price_made():
    gains = np.zeros((60, 6))
    gains[20:40, 0] = 0.05  # it rises, and is bought out at its last close
    tape = world(gains, np.tile(np.arange(6.0), (60, 1)))
    tape.panel.delisted_ns["A00"] = pd.Timestamp("2022-02-10", tz="UTC").value  # the open of day 40
    tape.panel.open[0, 40:] = np.nan
    said = said_on(tape, {"A00": 0.0})
    row = int(said.at.searchsorted(36))
    assert said.gains(7)[row, 0] == pytest.approx(1.05**4 - 1)


def test_statistics_against_tables_and_pandas():
    for freedom, wanted in ((9, 2.2622), (15, 2.1314), (30, 2.0423), (200, 1.9719)):
        assert student(freedom) == pytest.approx(wanted, abs=2e-4)
    lot = np.random.default_rng(8)
    one, other = lot.integers(0, 6, 80).astype(float), lot.integers(0, 6, 80).astype(float)
    assert rank_correlation(one, other) == pytest.approx(pd.Series(one).corr(pd.Series(other), method="spearman"))
    assert math.isnan(rank_correlation([1.0, 1.0], [1.0, 2.0]))
    mean, low, high, t = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0] * 4)
    assert (mean, (low + high) / 2) == (3.0, 3.0)
    assert t == pytest.approx(3 / (math.sqrt(2 * 20 / 19) / math.sqrt(20)))
    assert correlation_interval(1.0, 20)[:2] == (1.0, 1.0)


def test_ratings_that_are_all_alike_rank_nothing():
    gains = np.tile(np.linspace(-0.01, 0.01, 8), (200, 1))  # the later in the alphabet, the better
    assert rank_edge(world(gains, np.full((200, 8), 50.0)).panel, "grade") is None
    halves = np.tile([1.0, -1.0] * 4, (200, 1))  # many share a place: their order among each other says nothing
    mean, _, _ = rank_edge(world(gains + np.random.default_rng(1).normal(0, 1e-4, gains.shape), halves).panel, "grade")
    assert mean == pytest.approx(pd.Series(halves[0]).corr(pd.Series(gains[0]), method="spearman"), abs=0.02)
