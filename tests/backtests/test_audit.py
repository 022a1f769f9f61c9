"""The audit tells look-ahead, luck, information and the impossible apart, on data where the answer is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtests import Costs, Tape, audit, replay, sample
from strategies import load
from tests.services.parts import full

REAL = Path(__file__).parents[3] / "shared" / "data" / "ratings_tokenmetrics_btc_u.parquet"
ASSETS = [f"A{n}" for n in range(12)]
COSTS = Costs(fee=0.0005, half_spread=0.0)


def market(days=420, seed=1):
    """Daily bars of assets whose returns nobody can know: long frame with the returns, by day and asset."""
    lot = np.random.default_rng(seed)
    gains = lot.normal(0.0005, 0.03, (days, len(ASSETS)))
    closes = 100 * np.cumprod(1 + gains, axis=0)
    opens = np.vstack([np.full(len(ASSETS), 100.0), closes[:-1]])
    stamps = pd.date_range("2022-01-01", periods=days, freq="D", tz="UTC")
    rows = [
        {
            "ts": stamps[d], "asset": asset, "open": opens[d, a], "high": max(opens[d, a], closes[d, a]) * 1.001,
            "low": min(opens[d, a], closes[d, a]) * 0.999, "close": closes[d, a], "volume": 1e9,
        }
        for d in range(days)
        for a, asset in enumerate(ASSETS)
    ]  # fmt: skip
    return pd.DataFrame(rows), gains, stamps


def rated(values, stamps, *, known):
    """Ratings of each day and asset; `known` is how long after the day's beginning."""
    return pd.DataFrame(
        [
            {"asset": asset, "kind": "grade", "as_of": stamps[d], "known_at": stamps[d] + known, "value": values[d, a]}
            for d in range(len(stamps))
            for a, asset in enumerate(ASSETS)
            if not np.isnan(values[d, a])
        ]
    )


def ranked(values):
    """Values as ranks from 0 to 100 within each day."""
    order = np.argsort(np.argsort(values, axis=1), axis=1)
    return 100 * order / (values.shape[1] - 1)


def top(**more):
    return load("TopRated", {"kind": "grade", "top": 3, "enter": 50, "every": "1d", **more})


def asked(ratings, bars, **more):
    return audit(top(), Tape.from_frames(bars, ratings), costs=COSTS, **{"permutations": 20, **more})


def test_a_rating_that_holds_its_own_days_move_collapses_when_it_is_known_a_day_later():
    bars, gains, stamps = market()
    found = asked(rated(ranked(gains), stamps, known=pd.Timedelta("25h")), bars)
    same, given = found.delays[0], found.delays[1]
    assert same.growth > 100
    assert given.growth < 2
    assert found.verdict.startswith(("NOT REAL", "NO PROFIT")), found.summary()
    assert any("known on its own day it would have made" in one for one in found.reasons)
    assert "look-ahead" in found.verdict


def test_noise_is_no_edge_beyond_luck():
    bars, _, stamps = market()
    found = asked(
        rated(np.random.default_rng(5).uniform(0, 100, (420, len(ASSETS))), stamps, known=pd.Timedelta("25h")), bars
    )
    assert found.verdict.startswith(("NOT REAL", "NO PROFIT")), found.summary()
    assert all(abs(one.t) < 3 for one in found.information)


def test_an_oracle_with_honest_delays_is_found_to_carry_information():
    bars, gains, stamps = market()
    lot = np.random.default_rng(7)
    later = np.full_like(gains, np.nan)
    later[:-2] = gains[2:]  # what is known during D+1 ranks the return of D+2, with much noise
    noisy = ranked(later + lot.normal(0, 0.09, gains.shape))
    noisy[-2:] = np.nan
    found = asked(rated(noisy, stamps, known=pd.Timedelta("25h")), bars, permutations=40)
    assert found.verdict.startswith("INFORMATION"), found.summary()
    day = next(one for one in found.information if one.days == 1)
    assert 0.1 < day.correlation < 0.4
    assert day.t > 5
    assert found.chance < 0.05
    assert [one.how for one in found.luck] == [
        "ratings given to other assets of the day",
        "ratings moved to other days",
    ]
    assert all(one.better == 0 and len(set(one.growths)) > 20 for one in found.luck)  # both ways change something


def test_a_wrong_known_at_that_lets_the_future_in_is_implausible():
    bars, gains, stamps = market()
    found = asked(rated(ranked(gains), stamps, known=pd.Timedelta(0)), bars)
    assert found.verdict.startswith("IMPLAUSIBLE"), found.summary()
    assert any("the future is in the data" in one for one in found.reasons)


def test_each_replay_of_the_audit_is_the_replay_that_one_would_make_by_hand():
    tape = sample("1d")
    strategy = load("RatingBand", {"kind": "derived_trader", "size": 0.02})
    found = audit(strategy, tape, costs=COSTS, permutations=0)
    given = replay(strategy, tape, costs=COSTS)
    assert found.delays[1].growth == pytest.approx(1 + given.stats["total_return"])
    assert found.costs[1].growth == found.delays[1].growth
    frames = tape.rating_frame()
    moved = tape.retold(lambda _kind, rows: rows)
    assert replay(strategy, moved, costs=COSTS).stats["final_equity"] == given.stats["final_equity"]
    assert len(frames)
    free = replay(strategy, tape, costs=Costs(fee=0, half_spread=0))
    assert found.costs[0].growth == pytest.approx(1 + free.stats["total_return"])


def test_the_bundled_ratings_have_no_edge_beyond_luck():
    strategy = load("TopRated", {"kind": "derived_trader", "top": 5, "enter": 60, "every": "1w"})
    found = audit(strategy, sample("1d"), costs=Costs(fee=0.002), permutations=25)
    assert not found.verdict.startswith(("INFORMATION", "IMPLAUSIBLE")), found.summary()
    assert found.warnings
    assert "survivorship" in found.warnings[0]


@pytest.mark.skipif(not REAL.exists(), reason="the real grades lie beside the project, and are read in place")
def test_the_real_bitcoin_grades_collapse_a_day_later():
    frame = pd.read_parquet(REAL)
    frame["ts"] = pd.to_datetime(frame["ts"], utc=True)
    bars = frame[["ts", "open", "high", "low", "close", "volume"]].assign(asset="BTC")
    ratings = frame[["ts", "tm_trader_grade"]].rename(columns={"ts": "as_of", "tm_trader_grade": "value"}).dropna()
    ratings = ratings.assign(asset="BTC", kind="trader_grade", known_at=ratings["as_of"] + pd.Timedelta("25h"))
    strategy = load("RatingCross", {"kind": "trader_grade", "fast": 3, "slow": 7})
    found = audit(strategy, Tape.from_frames(bars, ratings), costs=Costs(fee=0.0, half_spread=0.0), permutations=40)
    same, given = found.delays[0], found.delays[1]
    assert same.growth > 2 * given.growth, found.summary()
    assert any("known on its own day" in one for one in found.reasons), found.summary()
    assert "look-ahead" in found.verdict, found.summary()


def test_more_trials_make_the_same_result_less_of_one():
    tape, strategy = sample("1d"), load("RatingBand", {"kind": "derived_trader", "size": 0.02})
    few, many = (audit(strategy, tape, permutations=0, trials=count).deflated for count in (1, 1_000))
    assert 0 <= many < few <= 1


def test_a_result_that_lives_from_revisions_is_shown_without_them():
    bars, gains, stamps = market()
    lot = np.random.default_rng(3)
    later = np.full_like(gains, np.nan)
    later[:-3] = gains[3:]
    noise = rated(ranked(lot.normal(size=gains.shape)), stamps, known=pd.Timedelta("25h"))
    revised = rated(np.where(np.isnan(later), np.nan, ranked(later)), stamps, known=pd.Timedelta("47h"))
    found = asked(pd.concat([noise, revised], ignore_index=True).sort_values("known_at"), bars)
    runs = {one.name: one.growth for one in found.delays}
    assert "first seen only" in runs
    assert "first seen only" not in {one.name for one in asked(noise, bars).delays}
    assert runs["first seen only"] < 2


def test_a_rating_of_days_alone_is_told_by_moving_days_though_assets_are_rated_alike():
    """All assets have one rating a day, which knows the market's next day: giving it to other assets changes nothing."""
    lot = np.random.default_rng(11)
    days = 420
    market_gains = lot.normal(0, 0.03, days)
    bars, _, stamps = market(days)
    closes = 100 * np.cumprod(1 + market_gains)
    opens = np.concatenate([[100.0], closes[:-1]])
    for column, values in (
        ("open", opens),
        ("close", closes),
        ("high", np.maximum(opens, closes)),
        ("low", np.minimum(opens, closes)),
    ):
        bars[column] = np.repeat(values, len(ASSETS))
    known = np.full(days, np.nan)
    known[:-2] = market_gains[2:] + lot.normal(0, 0.05, days - 2)
    values = np.repeat(np.where(known > 0, 90.0, 10.0)[:, None], len(ASSETS), axis=1)
    found = asked(rated(values, stamps, known=pd.Timedelta("25h")), bars, permutations=40)
    assert [one.how for one in found.luck] == ["ratings moved to other days"]
    assert found.chance < 0.05, found.summary()
    assert not found.verdict.startswith("NOT REAL")


def test_few_replays_do_not_call_a_result_luck_that_none_of_them_reached():
    bars, gains, stamps = market()
    later = np.full_like(gains, np.nan)
    later[:-2] = gains[2:]
    ratings = rated(
        ranked(later + np.random.default_rng(7).normal(0, 0.09, gains.shape))[:-2],
        stamps[:-2],
        known=pd.Timedelta("25h"),
    )
    found = asked(ratings, bars, permutations=5)
    assert found.verdict.startswith("INFORMATION"), found.summary()
    assert any("ask for 39 permutations" in one for one in found.reasons)


def test_each_cost_is_asked_alone_and_is_the_replay_by_hand():
    tape, strategy = sample("1d"), load("RatingBand", {"kind": "derived_trader", "size": 0.02})
    costs = Costs(fee=0.001, half_spread=0.0005, impact=0.1)
    found = audit(strategy, tape, costs=costs, permutations=0)
    assert [one.name for one in found.apart] == [
        f"{what} x{n}" for what in ("fee", "spread", "impact") for n in (0, 2, 4)
    ]
    asked_for = {one.name: one.growth for one in found.apart}
    for name, changed in {
        "fee x4": {"fee": 0.004},
        "spread x0": {"half_spread": 0.0},
        "impact x2": {"impact": 0.2},
    }.items():
        by_hand = replay(strategy, tape, costs=Costs(**{"fee": 0.001, "half_spread": 0.0005, "impact": 0.1, **changed}))
        assert asked_for[name] == pytest.approx(1 + by_hand.stats["total_return"])
    assert len(set(asked_for.values())) == 9


@full
def test_the_strategies_around_it_count_as_trials():
    tape, strategy = sample("1d"), load("RatingBand", {"kind": "derived_trader", "size": 0.02})
    alone, among = (audit(strategy, tape, permutations=0, sweep=grid) for grid in (None, "enter=65:80:5,leave=30|50"))
    assert alone.neighbours is None
    assert alone.trials == 1
    assert among.neighbours.strategies == among.trials == 8
    assert among.deflated < alone.deflated
    other = replay(load("RatingBand", {"kind": "derived_trader", "size": 0.02, "enter": 65, "leave": 30}), tape)
    assert among.neighbours.growths[1] == pytest.approx(1 + other.stats["total_return"])
    assert among.neighbours.growths[0] == pytest.approx(among.delays[1].growth)
    assert 0 <= among.neighbours.overfitting.probability <= 1
    more = audit(strategy, tape, permutations=0, trials=100, sweep="enter=65:80:5,leave=30|50")
    assert more.trials == 107


def test_the_summary_is_short_unless_all_is_asked_for_and_the_page_has_each_picture(tmp_path):
    tape, strategy = sample("1d"), load("RatingBand", {"kind": "derived_trader", "size": 0.02})
    found = audit(strategy, tape, permutations=4, sweep="enter=65:80:5")
    short, full = found.summary(), found.summary(full=True)
    assert len(short.splitlines()) < 60 < len(full.splitlines())
    assert "BTC" not in short.split("survivorship")[0]
    assert "BTC" in full
    words = found.report(tmp_path / "audit.html").read_text()
    for title in (
        "Growth, in doublings", "derived_trader, by horizon", "How fast it fades", "mean return of", "Asset by asset", "moved to other days, in",
        "other assets of the day, in", "Growth up to each day", "Logit of its rank", "fee x4", "held on a rating",
    ):  # fmt: skip
        assert title in words, title
    assert "nan" not in words.lower().replace("finance", "")


def test_a_tape_on_which_nothing_was_delisted_says_so_in_plain_words_and_one_on_which_something_was_does_not():
    bars, gains, stamps = market(days=60)
    ratings = rated(ranked(gains), stamps, known=pd.Timedelta("25h"))
    gone = pd.DataFrame([{"asset": "A0", "delisted_at": stamps[-1] + pd.Timedelta("24h")}])
    silent = audit(top(), Tape.from_frames(bars, ratings), permutations=0, costs=COSTS).warnings
    assert "12 assets, and all still trade at its end" in silent[0]
    shorter = bars[(bars["asset"] != "A3") | (bars["ts"] < stamps[30])]
    assert (
        "the bars of 1 stop"
        in audit(top(), Tape.from_frames(shorter, ratings), permutations=0, costs=COSTS).warnings[0]
    )
    assert audit(top(), Tape.from_frames(bars, ratings, instruments=gone), permutations=0, costs=COSTS).warnings == []
