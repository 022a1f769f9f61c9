"""What a find is worth: folds that leak nothing, choices that know the past alone, and draws that keep what they must."""

from dataclasses import replace
from datetime import UTC, datetime
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backtests import Check, Costs, Range, Search, Tape, replay, sample, validate
from backtests.chance import deepest, reorder, trip_gains
from backtests.choosing import choose
from backtests.crew import Alone
from backtests.crossval import cross_validate
from backtests.folds import crossed, paths, walk
from backtests.search import Plan
from backtests.space import Space
from backtests.spans import Span
from backtests.tally import Tally
from backtests.trial import Bench, Job, Setting
from backtests.validation import walk_forward
from strategies import RatingBand, SmaCross, TopRated
from tests.services.parts import full
from trader.core.instants import from_ns, to_ns
from trader.core.instruments import Instrument

SPACE = Space({"top": Range(1, 8), "enter": Range(40, 80, step=10), "kind": ["derived_ta", "derived_trader"]})


@pytest.fixture(scope="module")
def days():
    return sample("1d")


@given(size=some.integers(60, 400), folds=some.integers(1, 6), purge=some.integers(0, 5), anchored=some.booleans())
@settings(deadline=None)
def test_a_walk_chooses_on_the_past_alone_and_tests_each_day_once(size, folds, purge, anchored):
    found = walk(size, folds, anchored=anchored, purge=purge)
    for one in found:
        assert one.chosen_on.max() < one.tested.min() - purge
        assert (np.diff(one.chosen_on) == 1).all()
        assert one.chosen_on.min() == 0 or not anchored
    tested = np.concatenate([one.tested for one in found])
    assert tested.tolist() == list(range(int(tested[0]), size))


@given(
    size=some.integers(80, 300),
    groups=some.integers(3, 8),
    tests=some.integers(1, 2),
    purge=some.integers(0, 5),
    embargo=some.integers(0, 5),
)
@settings(deadline=None)
def test_folds_are_purged_and_embargoed(size, groups, tests, purge, embargo):
    found = crossed(size, groups, tests=tests, purge=purge, embargo=embargo)
    assert len(found) == comb(groups, tests)
    for one in found:
        tested, chosen_on = set(one.tested.tolist()), set(one.chosen_on.tolist())
        for day in range(size):
            near_before = any(day + step in tested for step in range(purge + 1))
            near_after = any(day - step in tested for step in range(embargo + 1))
            assert (day in chosen_on) == (not near_before and not near_after), day
    whole = paths(groups, tests)
    assert len(whole) == comb(groups - 1, tests - 1)
    for path in whole:
        for group, fold in enumerate(path):
            assert group in found[fold].groups
    used = [(group, fold) for path in whole for group, fold in enumerate(path)]
    assert len(used) == len(set(used)) == comb(groups, tests) * tests


def test_a_purge_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="purge"):
        walk(20, 4, purge=4)
    with pytest.raises(ValueError, match="leave nothing"):
        crossed(20, 2, purge=10, embargo=10)


def test_cross_validation_finds_skill_and_not_luck():
    lot = np.random.default_rng(1)
    noise = lot.normal(0, 0.01, (1200, 60))
    luck = cross_validate(noise, 8, tests=2, purge=5, embargo=5)
    assert 0.25 < luck.probability < 0.75
    assert luck.inside > 0.8
    assert abs(luck.outside) < 0.5
    skill = noise.copy()
    skill[:, 17] += 0.004
    found = cross_validate(skill, 8, tests=2, purge=5, embargo=5)
    assert {one.trial for one in found.choices} == {17}
    assert found.probability == 0
    assert len(found.paths) == 7
    year = float(skill[:, 17].mean() / skill[:, 17].std(ddof=1) * np.sqrt(365))
    assert found.paths == pytest.approx([year] * 7)  # whichever fold it came from, it is the same trial on all days


def test_what_is_chosen_on_does_not_show_the_tested_days():
    lot = np.random.default_rng(2)
    gains = lot.normal(0, 0.01, (400, 30))
    before = cross_validate(gains, 4, purge=10, embargo=10)
    changed = gains.copy()
    changed[90:210] = lot.normal(0, 0.5, (120, 30))  # the second of four groups, with ten days on both sides
    after = cross_validate(changed, 4, purge=10, embargo=10)
    assert before.choices[1].trial == after.choices[1].trial
    assert before.choices[1].inside == after.choices[1].inside
    assert before.choices[1].outside != after.choices[1].outside


def at(text):
    return to_ns(datetime.fromisoformat(text).replace(tzinfo=UTC))


def test_a_span_is_a_start_at_its_beginning(days):
    # a nanosecond later, because at the very beginning the tape that was cut has no closed bar to act on yet
    span = Span(at("2022-03-01") + 1, at("2023-02-01"))
    make = {"kind": "derived_ta", "top": 4, "enter": 60.0, "stop": 0.1}
    row = Bench(days, Setting(TopRated, {"costs": Costs()})).run(Job(0, make, span))
    alone = replay(
        TopRated(**make),
        choose("1d", since=datetime(2022, 3, 1, tzinfo=UTC), until=datetime(2023, 2, 1, tzinfo=UTC)),
        costs=Costs(),
    )
    for name in (
        "total_return",
        "sharpe",
        "max_drawdown",
        "turnover",
        "exposure",
        "n_fills",
        "n_trades",
        "fees",
        "cagr",
        "volatility",
    ):
        assert row.stats[name] == pytest.approx(alone.stats[name], rel=1e-9), name
    assert len(row.gains) == 337
    assert np.prod(1 + row.gains) - 1 == pytest.approx(alone.stats["total_return"], rel=1e-4)


def test_a_span_that_looks_back_trades_from_its_first_day():
    """Averages of 30 days are there at the first close of a span of 20, because the days before may be read."""
    from strategies import SmaCross

    frame = pd.DataFrame({"ts": pd.date_range("2024-01-01", periods=80, tz="UTC"), "asset": "A"})
    for name in ("open", "high", "low", "close"):
        frame[name] = np.linspace(10.0, 20.0, 80)
    span = Span(at("2024-03-01"), at("2024-03-21"))
    row = Bench(Tape.from_frames(frame), Setting(SmaCross)).run(Job(0, {"fast": 10, "slow": 30}, span))
    assert row.stats["n_fills"] == 1
    assert len(row.gains) == 20
    assert row.gains[0] < 0  # bought at the first open: the costs
    assert (row.gains[1:] > 0).all()


def walked(tape, *, anchored=True):
    plan = Plan(TopRated, SPACE, tape, Search("random", 12, seed=3), {"costs": Costs()})
    return walk_forward(plan, Alone(Bench(tape, Setting(TopRated, plan.assumed))), Check(folds=4), anchored=anchored)


@full
@pytest.mark.slow
@pytest.mark.parametrize("anchored", [True, False])
def test_a_walk_does_not_know_the_future(days, anchored):
    """Whatever comes after a fold's choice may be changed without changing the choice, or what was tested before."""
    whole = walked(days, anchored=anchored)
    cut = int(np.searchsorted(days.opens_ns, at(whole.steps[2].tested_on[0])))
    panel = replace(days.panel)
    for name in ("open", "high", "low", "close"):
        column = getattr(days.panel, name).copy()
        column[:, cut:] *= np.random.default_rng(4).uniform(0.5, 2, column[:, cut:].shape[0])[:, None]
        setattr(panel, name, column)
    other = Tape(panel, instruments=days.instruments, label=days.label, delay_ns=days.delay_ns)
    changed = walked(other, anchored=anchored)
    assert [one.parameters for one in changed.steps[:3]] == [one.parameters for one in whole.steps[:3]]
    assert [one.inside for one in changed.steps[:3]] == [one.inside for one in whole.steps[:3]]
    assert [one.outside for one in changed.steps[:2]] == [one.outside for one in whole.steps[:2]]
    assert changed.steps[2].outside != whole.steps[2].outside
    assert len(whole.steps) == 4
    assert whole.total_return == pytest.approx(np.prod([1 + one.total_return for one in whole.steps]) - 1, rel=1e-4)


def test_the_order_of_trades_changes_the_fall_and_not_what_they_made(days):
    result = replay(RatingBand(60.0, 40.0, kind="derived_ta", size=0.2), days)
    gains = trip_gains(result)
    assert len(gains) == result.stats["n_trades"]
    assert (gains > 0).mean() == pytest.approx(result.stats["hit_rate"])
    found = reorder(result, 300, seed=1)
    assert found == reorder(result, 300, seed=1)
    assert found != reorder(result, 300, seed=2)
    assert found.drawdown.quantiles[0] < found.drawdown.quantiles[-1] <= 0
    assert found.growth.quantiles[0] < found.growth.replayed < found.growth.quantiles[-1]


def test_one_trip_after_the_other_makes_what_the_replay_made():
    """All money in one asset: the product of what the trips made is the growth of the equity."""
    lot = np.random.default_rng(6)
    close = 100 * np.exp(np.cumsum(lot.normal(0, 0.03, 300)))
    frame = pd.DataFrame({"ts": pd.date_range("2024-01-01", periods=300, tz="UTC"), "asset": "A", "close": close})
    frame["open"] = frame["close"].shift(1, fill_value=100.0)
    frame["high"], frame["low"] = frame[["open", "close"]].max(axis=1), frame[["open", "close"]].min(axis=1)
    rated = pd.DataFrame({"asset": "A", "kind": "grade", "as_of": frame["ts"], "value": lot.uniform(0, 100, 300)})
    tape = Tape.from_frames(frame, rated, delay="1d")
    result = replay(RatingBand(70.0, 30.0, kind="grade", size=0.9), tape, costs=Costs(fee=0.001))
    gains = trip_gains(result)
    assert len(gains) > 5
    last_sold = result.fills[result.fills["side"] == "sell"]["at"].iloc[-1]
    flat = result.equity[result.equity.index > last_sold].iloc[0]
    assert not result.fills["at"].gt(last_sold).any()
    assert np.prod(1 + gains) == pytest.approx(flat / 100_000.0, rel=1e-9)
    assert deepest([0.1, -0.5, 0.2]) == pytest.approx(-0.5)
    assert deepest([0.1, 0.2]) == 0


def test_all_trials_ever_made_are_counted_once(tmp_path):
    lot = np.random.default_rng(5)
    gains = {name: lot.normal(0, 0.01, 200) for name in "abcde"}
    tally = Tally(tmp_path / "t.sqlite", tape="T", strategy="S", study="one")
    tally.note((name, gains[name]) for name in "abc")
    later = Tally(tmp_path / "t.sqlite", tape="T", strategy="S", study="two")
    later.note((name, gains[name]) for name in "cde")
    Tally(tmp_path / "t.sqlite", tape="U", strategy="S", study="three").note([("a", gains["a"])])
    Tally(tmp_path / "t.sqlite", tape="T", strategy="R", study="four").note([("a", gains["a"])])
    tried = later.tried()
    assert (tried.here, tried.anywhere) == (5, 6)
    ratios = [one.mean() / one.std(ddof=1) for one in gains.values()]
    assert tried.variance == pytest.approx(np.var(ratios, ddof=1))


@full
@pytest.mark.slow
def test_a_second_study_makes_the_first_find_less_sure(days, tmp_path):
    from backtests import explore

    def ask(folder, seed, runs):
        return explore(TopRated, SPACE, days, search=Search("random", runs, seed), folder=tmp_path / folder)

    first = ask("one", 1, 10)
    assert first.tried.here == 10
    second = ask("two", 2, 30)
    assert 30 < second.tried.here <= 40
    import shutil

    shutil.rmtree(tmp_path / "two")
    again = ask("one", 1, 10)
    assert again.fresh == 0
    assert again.tried.here == second.tried.here  # the folder is gone, its trials are not
    assert again.verdict().trials == second.tried.here


@pytest.mark.slow
@full
def test_validation_is_gone_on_with(days, tmp_path):
    def ask():
        return validate(
            TopRated,
            SPACE,
            days,
            search=Search("random", 10, seed=1),
            check=Check(folds=3, fills=4),
            folder=tmp_path / "s",
            workers=2,
        )

    first = ask()
    assert not first.missing
    assert len(first.walks) == 2
    assert first.fills[0].quantiles[0] < first.fills[0].quantiles[-1]
    again = ask()
    assert again.swept.fresh == 0
    assert again.as_dict() == first.as_dict()
    assert "<h1>" in first.report(tmp_path / "v.html").read_text()


def walk_of(step, *, bars=300, seed=3, **terms):
    """One asset on a random walk, with a rating at each open."""
    lot = np.random.default_rng(seed)
    ts = np.datetime64("2015-01-05", "ns") + np.arange(bars) * np.timedelta64(step)
    close = 100 * np.exp(np.cumsum(lot.normal(0, 0.03, bars)))
    open_ = np.append(100, close[:-1])
    rows = {"ts": ts, "asset": "A", "open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close)}
    said = {"asset": "A", "kind": "trader_grade", "as_of": ts, "known_at": ts, "value": lot.uniform(0, 100, bars)}
    return Tape.from_columns(rows | {"close": close, "volume": 1e6}, said, None, [Instrument("A", **terms)])


def test_longer_bars_are_counted_by_their_own_length():
    tape, check = walk_of(np.timedelta64(7, "D")), Check(folds=3, groups=4, shuffles=0, fills=0)
    found = validate(SmaCross, {"fast": [3, 5], "slow": [10, 20]}, tape, search=Search(), check=check)
    for one in found.walks:
        assert one.sharpe == pytest.approx(one.gains.mean() / one.gains.std(ddof=1) * np.sqrt(365 / 7))
    gains, (fold, *_) = found.swept.gains, crossed(300, 4, purge=1, embargo=1)  # seven days are one such bar
    inside = gains[fold.chosen_on]
    best = (inside.mean(axis=0) / inside.std(axis=0, ddof=1)).max() * np.sqrt(365 / 7)
    assert found.purged.choices[0].inside == pytest.approx(best)
    assert found.walks[0].steps[0].chosen_on[1] == f"{from_ns(int(tape.closes_ns[73]) - 1):%Y-%m-%d}"


@pytest.mark.parametrize("fee_on_buy", ["quote", "received"])
@pytest.mark.parametrize("terms", [{}, {"lot": 0.01}, {"min_notional": 10.0, "lot": 0.01}], ids=str)
def test_what_is_less_than_a_lot_ends_a_trip_as_nothing_does(terms, fee_on_buy):
    result = replay(RatingBand(size=0.9), walk_of(np.timedelta64(1, "D"), **terms), costs=Costs(fee_on_buy=fee_on_buy))
    sells = int((result.fills["side"] == "sell").sum())
    assert sells > 20
    assert result.stats["n_trades"] == sells
    assert len(trip_gains(result)) == sells
