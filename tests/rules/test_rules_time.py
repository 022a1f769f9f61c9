"""Rules 1 to 4: when a decision fills, in which order an instant happens, what wakes."""

import pytest

from tests.rules.world import Each, Script, at, check, daily, data, day_of, equity, long, wakes
from trader.core.conditions import close, rating
from trader.core.exits import After, FallBy
from trader.core.strategy import Decision, Quote, Units, Wants

RISING = daily(A=[10, 11, 12, 13, 14])


def test_rule_01_without_latency_a_decision_fills_at_the_open_of_its_instant(run):
    check(run(Script({1: {"A": Units(5)}}), RISING), (1, "A", "buy", 5, 11))


@pytest.mark.parametrize("latency", ["1ns", "1s", "12h", "1d"])
def test_rule_01_any_latency_up_to_a_bar_costs_one_bar(run, latency):
    check(run(Script({1: {"A": Units(5)}}), RISING, latency=latency), (2, "A", "buy", 5, 12))


def test_rule_01_more_than_one_bar_of_latency_costs_two(run):
    check(run(Script({1: {"A": Units(5)}}), RISING, latency="25h"), (3, "A", "buy", 5, 13))


def test_rule_01_a_decision_between_two_bars_fills_at_the_next_open(run):
    strategy = Script({1.25: {"A": Units(5)}}, wants=Wants(ratings=("g",)))
    check(run(strategy, RISING, data((1.25, "A", 80))), (2, "A", "buy", 5, 12))


def test_rule_02_an_exit_inside_the_bar_comes_before_the_decision_at_its_close(run):
    bars = daily(A=[100, (100, 101, 85, 95), 95, 95])
    buys_when_flat = Each(
        lambda view: Decision.change({} if view.holding("A") else {"A": long(FallBy(0.1), size=Units(1))})
    )
    check(run(buys_when_flat, bars), (1, "A", "buy", 1, 100), (2, "A", "sell", 1, 90), (2, "A", "buy", 1, 95))


def test_rule_02_what_is_known_now_is_seen_by_the_decision_of_now(run):
    def decide(view):
        return Decision.change(dict.fromkeys(view.ratings("g"), Units(1)))

    strategy = Each(decide, wants=Wants(ratings=("g",), bars=1))
    check(run(strategy, RISING, data((2, "A", 80))), (2, "A", "buy", 1, 12))


def test_rule_02_a_time_exit_comes_before_the_decision_which_is_then_ignored(run):
    strategy = Script({1: {"A": long(After("1d"), size=Units(1))}, 2: {"A": Units(5)}})
    check(run(strategy, RISING), (1, "A", "buy", 1, 11), (2, "A", "sell", 1, 12))


def test_rule_02_equity_is_taken_before_the_orders_of_the_instant(run):
    out = run(Script({1: {"A": Units(10)}}), daily(A=[10, (20, 20, 15, 15), 15]))
    assert equity(out) == {1: 1000, 2: 950, 3: 950}


def test_rule_03_listed_kinds_wake_on_arrival(run):
    out = run(Script({}, wants=Wants(ratings=("g",), signals=("s",))), RISING,
              data((1, "A", 1), (2.5, "A", 2)), data((2.5, "A", 1), (3, "A", 1), kind="s"))  # fmt: skip
    assert wakes(out) == [(1, ("rating:g",)), (2.5, ("rating:g", "signal:s")), (3, ("signal:s",))]


def test_rule_03_bars_wake_at_each_close(run):
    assert wakes(run(Script({}), RISING)) == [(day, ("bar",)) for day in (1, 2, 3, 4, 5)]


def test_rule_03_one_instant_is_one_wake_that_names_all_causes_and_assets(run):
    strategy = Script({}, wants=Wants(ratings=("g",), bars=1))
    out = run(strategy, daily(A=[1, 1], B=[1, 1]), data((1, "B", 5)))
    assert wakes(out) == [(1, ("rating:g", "bar")), (2, ("bar",))]
    assert strategy.seen[0][2] == ("A", "B")


def test_rule_03_every_wakes_at_the_first_wanted_arrival_of_each_period(run):
    ratings = data((0.5, "A", 1), (1.25, "A", 2), (1.5, "A", 3), (3, "A", 4))
    out = run(Script({}, wants=Wants(ratings=("g",), bars=1, every="1d")), RISING, ratings)
    assert wakes(out) == [(day, ("every",)) for day in (0.5, 1.25, 3)]


def test_rule_03_every_with_only_bars_wanted_wakes_at_the_first_close(run):
    out = run(Script({}, wants=Wants(bars=1, every="1w")), daily(A=[1] * 16))
    assert wakes(out) == [(day, ("every",)) for day in (1, 7, 14)]


def test_rule_03_every_with_a_clock_time_wakes_whether_data_came_or_not(run):
    out = run(Script({}, wants=Wants(ratings=("g",), every="1d", at="06:00")), daily(A=[1, 1, 1]), data((1, "A", 1)))
    assert wakes(out) == [(day, ("every",)) for day in (0.25, 1.25, 2.25)]


def test_rule_03_with_a_condition_listed_kinds_are_only_read(run):
    wants = Wants(ratings=("g",), when=rating("g") > 50)
    out = run(Script({}, wants=wants), RISING, data((1, "A", 40), (2, "A", 60), (3, "A", 70)))
    assert wakes(out) == [(2, ("when",)), (3, ("when",))]


def test_rule_03_conditions_for_flat_and_held_follow_the_standing_target(run):
    wants = Wants(when_flat=close > 10.5, when_held=close > 12.5)
    strategy = Script({2: {"A": Units(1)}, 4: {"A": 0}}, wants=wants)
    out = run(strategy, RISING)
    assert wakes(out) == [(2, ("when_flat",)), (4, ("when_held",)), (5, ("when_flat",))]
    check(out, (2, "A", "buy", 1, 12), (4, "A", "sell", 1, 14))


def test_rule_03_a_timer_wakes_once(run):
    strategy = Script({1: lambda view: Decision.hold().wake_at(at(2.5).to_pydatetime())}, wants=Wants(ratings=("g",)))
    assert wakes(run(strategy, RISING, data((1, "A", 1)))) == [(1, ("rating:g",)), (2.5, ("timer",))]


def test_rule_03_data_known_before_the_first_open_wake_nobody_and_are_seen(run):
    seen = []

    def decide(view):
        seen.extend(view.ratings("g").items())
        return Decision.hold()

    out = run(Each(decide, wants=Wants(ratings=("g",))), daily(A=[1, 1], B=[1, 1]), data((-1, "A", 7), (1, "B", 8)))
    assert wakes(out) == [(1, ("rating:g",))]
    assert seen == [("B", 8), ("A", 7)]


def test_rule_03_an_exit_wakes_only_if_wanted(run):
    bars = daily(A=[100, (100, 101, 85, 95), 95, 95])
    ratings = data((1, "A", 1))
    plan = {1: {"A": long(FallBy(0.1), size=Units(1))}}
    assert wakes(run(Script(plan, wants=Wants(ratings=("g",))), bars, ratings)) == [(1, ("rating:g",))]
    out = run(Script(plan, wants=Wants(ratings=("g",), on_exit=True)), bars, ratings)
    assert wakes(out) == [(1, ("rating:g",)), (2, ("exit",))]


def test_rule_04_an_open_fill_carries_the_open_and_a_fill_inside_a_bar_its_close(run):
    bars = daily(A=[100, (100, 101, 85, 95), 95])
    out = run(Script({1: {"A": long(FallBy(0.1), size=Quote(500))}}), bars)
    check(out, (1, "A", "buy", 5, 100), (2, "A", "sell", 5, 90))


def test_rule_04_equity_is_indexed_by_bar_close(run):
    assert [day_of(ns) for ns, _ in run(Script({}), RISING).equity] == [1, 2, 3, 4, 5]
