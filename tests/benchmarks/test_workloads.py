"""The workloads of the bench come out as a plain loop has them, each wake asks `decide`, and their cost grows with wakes alone.

Cost is counted in calls of functions, which depend on nothing but the program: no clock is read here.
"""

import sys
from dataclasses import replace as changed
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from ours import count_calls, once, strategies_of, tape_of
from workloads import WORKS, make, plain

from backtests import Costs, Tape, replay
from strategies import RatingBand, SmaCross
from tests.services.parts import full
from trader import FallBy, RiseBy, Units

SMALL = {"W1": 0.02, "W2": 0.05, "W3": 0.1, "W4": 0.02}


THREE = pytest.param("W3", "", marks=full), pytest.param("W3", "plain", marks=full)


def small(name, share=1.0):
    work = WORKS[name].scaled(SMALL[name] * share)
    return changed(work, grid=6) if name == "W3" else work


@pytest.mark.parametrize(
    ("name", "style"),
    [("W1", ""), ("W2", ""), *THREE, ("W4", ""), ("W4", "plain"), ("W4", "every-bar")],
)
def test_a_workload_comes_out_as_a_plain_loop_has_it(name, style):
    work = small(name)
    data = make(work)
    equity, fills = plain(work, data)[""]
    tape, strategies = tape_of(work, data), strategies_of(work, style)
    for _ in range(2):  # cold, and with what the first left on the shelf
        found = once(work, tape, strategies, style)
        assert found[1] == fills
        assert found[0] == pytest.approx(equity, rel=1e-9)
    assert count_calls(work, tape, strategies) >= fills / 2 / (3 if name == "W2" else 1)


def test_asked_at_every_bar_it_is_asked_at_every_bar():
    work = small("W4")
    tape = tape_of(work, make(work))
    assert count_calls(work, tape, strategies_of(work, "every-bar")) == work.bars
    assert count_calls(work, tape, strategies_of(work, "")) < work.bars / 10


def calls(work, style=""):
    """Calls of Python and built-in functions in one pass from cold columns, and its wakes and fills."""
    tape, strategies = tape_of(work, make(work)), strategies_of(work, style)
    counted = [0]

    def count(_frame, event, _arg):
        counted[0] += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        _, fills, _ = once(work, tape, strategies, style)
    finally:
        sys.setprofile(before)
    return counted[0], count_calls(work, tape, strategies) + fills


@pytest.mark.parametrize(
    ("name", "style"),
    [("W1", ""), ("W2", ""), pytest.param("W3", "", marks=full), ("W4", ""), ("W4", "every-bar")],
)
def test_calls_grow_with_wakes_and_fills(name, style):
    costs = []
    for share in (1, 2, 4, 8) if name != "W2" else (1, 2, 4):
        count, events = calls(small(name, share / 2), style)
        costs.append(count / events)
    assert max(costs) <= 1.15 * costs[0], costs


def test_bars_that_wake_nobody_cost_no_call():
    few, many = changed(small("W1"), bars=20_000, flips=50), changed(small("W1"), bars=160_000, flips=50)
    assert calls(many)[0] <= 1.1 * calls(few)[0]


@full
def test_a_sweep_evaluates_each_condition_and_searches_each_exit_once():
    work = small("W3")
    tape = tape_of(work, make(work))
    once(work, tape, strategies_of(work, ""), "plain")  # the kernel searches for itself
    kept = len(tape.panel.shelf)
    pairs = work.thresholds()
    conditions = len(np.unique(pairs[0])) + len(np.unique(pairs[1]))
    assert conditions < kept <= conditions + work.bars // 24
    once_more = [
        replay(one, tape, cash=work.cash, costs=Costs(fee=work.fee, half_spread=0), compiled=False)
        for one in strategies_of(work, "")
    ]
    assert len(tape.panel.shelf) == kept
    assert sum(one.n_fills for one in once_more) == plain(work, make(work))[""][1]


def test_the_shelf_is_bounded():
    work = small("W4")
    tape = tape_of(work, make(work))
    tape.panel.shelf.most = 3 * 8 * work.bars
    for fast in range(5, 25):
        replay(SmaCross(fast, 50, size=Units(1)), tape)
        assert tape.panel.shelf.size <= tape.panel.shelf.most
    assert len(tape.panel.shelf) < 20


def test_a_changed_tape_shares_nothing_with_the_old():
    days = pd.date_range("2024-01-01", periods=40, freq="1D", tz="UTC")
    prices = np.full(40, 100.0)
    bars = pd.DataFrame(
        {"ts": days, "asset": "A", "open": prices, "high": 101.0, "low": 99.0, "close": prices, "volume": 1.0}
    )
    values = np.where(np.arange(40) % 10 < 5, 80.0, 20.0)
    said = pd.DataFrame({"asset": "A", "kind": "trader_grade", "as_of": days, "known_at": days, "value": values})
    tape = Tape.from_frames(bars, said)
    strategy = RatingBand(70, 50, size=0.5)
    assert replay(strategy, tape).n_fills == 8
    quiet = tape.retold(lambda _, rows: changed(rows, value=np.full(len(rows.value), 60.0)))
    assert replay(strategy, quiet).decided == []
    assert replay(strategy, tape).n_fills == 8
    loud = quiet.retold(lambda _, rows: changed(rows, value=values))
    assert replay(strategy, loud).n_fills == 8


def test_a_shared_column_cannot_be_changed():
    work = small("W4")
    tape = tape_of(work, make(work))
    strategy = SmaCross(20, 50, size=Units(1))
    replay(strategy, tape)
    with pytest.raises(ValueError, match="read-only"):
        tape.panel.column(strategy.lead, 0, strategy.wants.max_age_ns)[:] = 0.0


def test_runs_that_hold_alike_share_a_search_and_get_their_own_exits():
    """Stop and goal alike, but one sells half: what one run finds of a hit must not become the other's."""
    work = small("W3")
    tape = tape_of(work, make(work))
    whole, half = (
        RatingBand(60.0, 10.0, size=0.5, exits=(FallBy(0.1, share=share), RiseBy(0.25, share=share)))
        for share in (1.0, 0.5)
    )
    alone = []
    for strategy in (whole, half):
        tape.panel.forget()
        alone.append(replay(strategy, tape).facts())
    tape.panel.forget()
    assert [replay(strategy, tape).facts() for strategy in (whole, half, whole)] == [*alone, alone[0]]
    assert [replay(strategy, tape).facts() for strategy in (half, whole)] == alone[::-1]


def test_an_exit_in_the_bar_that_ends_now_leaves_room_for_the_rating_that_comes_now():
    days, hours = (
        pd.date_range("2024-01-01", periods=count, freq=freq, tz="UTC") for count, freq in ((2, "1D"), (48, "1h"))
    )
    low = np.where(np.arange(48) == 24, 80.0, 99.5)
    bars = pd.DataFrame(
        {"ts": hours, "asset": "A", "open": 100.0, "high": 100.5, "low": low, "close": 100.0, "volume": 1.0}
    )
    known = days + pd.Timedelta(hours=1)
    said = pd.DataFrame({"asset": "A", "kind": "trader_grade", "as_of": days, "known_at": known, "value": 90.0})
    result = replay(RatingBand(70, 50, size=0.5, exits=(FallBy(0.1),)), Tape.from_frames(bars, said), costs=Costs(0, 0))
    assert [(str(at)[:13], side) for at, side in zip(result.fills["at"], result.fills["side"], strict=True)] == [
        ("2024-01-01 01", "buy"), ("2024-01-02 01", "sell"), ("2024-01-02 01", "buy"),
    ]  # fmt: skip
