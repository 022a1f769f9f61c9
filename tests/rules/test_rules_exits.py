"""Rules 13 to 20: where exits fire, on which base, in which order, and what re-stating a target does to them."""

import pytest

from tests.rules.world import Script, check, daily, data, instruments, long
from trader.core.costs import Costs
from trader.core.exits import Above, After, Below, FallBy, FallTo, RiseBy, RiseTo, TrailBy
from trader.core.strategy import Decision, Quote, Units, Wants

RATED = Wants(ratings=("g",), bars=1)


def held(*exits, then=None):
    return Script({1: {"A": long(*exits, size=Units(10))}, **(then or {})}, wants=RATED)


BUY = (1, "A", "buy", 10, 100)


@pytest.mark.parametrize(
    ("exit_", "price"),
    [(FallBy(0.1), 90), (TrailBy(0.1), 90), (FallTo(92), 92), (RiseBy(0.1), 110), (RiseTo(112), 112)],
)
def test_rule_13_price_exits_act_inside_the_bar_at_their_level(run, exit_, price):
    bars = daily(A=[100, 100, (100, 100 if price < 100 else 115, 85 if price < 100 else 100, 100), 100])
    check(run(held(exit_), bars), BUY, (3, "A", "sell", 10, price))


def test_rule_13_price_exits_know_no_latency(run):
    bars = daily(A=[100, 100, 100, (100, 100, 85, 95), 95, 95])
    out = run(held(FallBy(0.1)), bars, latency="1d")
    check(out, (2, "A", "buy", 10, 100), (4, "A", "sell", 10, 90))


def test_rule_13_what_the_volume_cap_leaves_goes_at_the_following_opens(run):
    bars = daily(A=[100, 100, (100, 100, 85, 95, 40), (94, 94, 94, 94, 20), (93, 93, 93, 93, 100), 93])
    costs = Costs(fee=0, half_spread=0, participation=0.1)
    out = run(held(FallBy(0.1)), bars, costs=costs)
    check(out, BUY, (3, "A", "sell", 4, 90), (3, "A", "sell", 2, 94), (4, "A", "sell", 4, 93))


def test_rule_13_with_next_open_the_hit_becomes_an_order_at_the_close(run):
    bars = daily(A=[100, 100, (100, 100, 85, 95), 94, 94])
    check(run(held(FallBy(0.1)), bars, exits="next_open", latency="0s"), BUY, (3, "A", "sell", 10, 94))


def test_rule_14_exits_are_live_over_the_whole_entry_bar(run):
    bars = daily(A=[100, (100, 101, 85, 95), 95])
    check(run(held(FallBy(0.1)), bars), BUY, (2, "A", "sell", 10, 90))


def test_rule_15_the_base_has_the_half_spread_in_and_the_fee_out(run):
    bars = daily(A=[100, (100, 101, 85, 95), 95])
    out = run(held(FallBy(0.1)), bars, cash=2000, costs=Costs(fee=0.01, half_spread=0.01))
    check(out, (1, "A", "buy", 10, 101), (2, "A", "sell", 10, 90.9 * 0.99))


def test_rule_15_increases_move_the_base_and_decreases_do_not(run):
    exits = (FallBy(0.1),)
    plan = {2: {"A": long(*exits, size=Units(20))}, 3: {"A": long(*exits, size=Units(5))}}
    bars = daily(A=[100, 100, 120, 120, (120, 120, 90, 95), 95])
    out = run(held(*exits, then=plan), bars, cash=10_000)
    check(out, BUY, (2, "A", "buy", 10, 120), (3, "A", "sell", 15, 120), (5, "A", "sell", 5, 99))


def test_rule_15_the_base_starts_anew_from_flat(run):
    plan = {3: {"A": 0}, 4: {"A": long(FallBy(0.1), size=Units(10))}}
    bars = daily(A=[100, 100, 100, 50, 50, (50, 50, 40, 45), 45])
    out = run(held(FallBy(0.6), then=plan), bars)
    check(out, BUY, (3, "A", "sell", 10, 50), (4, "A", "buy", 10, 50), (6, "A", "sell", 10, 45))


def test_rule_16_a_bar_is_tested_against_the_peak_before_it(run):
    bars = daily(A=[100, (100, 120, 100, 115), (115, 115, 105, 110), 110])
    check(run(held(TrailBy(0.1)), bars), BUY, (3, "A", "sell", 10, 108))


def test_rule_16_the_bars_own_high_does_not_move_the_level_but_is_counted(run):
    bars = daily(A=[100, (100, 120, 100, 115), 115])
    out = run(held(TrailBy(0.1)), bars)
    check(out, BUY)
    assert out.counts["ambiguous_bars"] == 1  # 120 x 0.9 = 108 lies in the bar


def test_rule_16_the_peak_starts_at_the_entry_price(run):
    bars = daily(A=[(130, 130, 100, 100), (100, 100, 95, 99), (99, 99, 89, 95), 95])
    check(run(held(TrailBy(0.1)), bars), BUY, (3, "A", "sell", 10, 90))


@pytest.mark.parametrize(("exit_", "bar"), [(FallBy(0.1), (100, 100, 90, 95)), (RiseBy(0.1), (100, 110, 100, 105))])
def test_rule_17_exits_fire_on_touch(run, exit_, bar):
    price = 90 if isinstance(exit_, FallBy) else 110
    check(run(held(exit_), daily(A=[100, 100, bar, 100])), BUY, (3, "A", "sell", 10, price))


def test_rule_18_the_stop_comes_before_the_goal_and_the_bar_is_counted(run):
    out = run(held(RiseBy(0.1), FallBy(0.1)), daily(A=[100, 100, (100, 115, 85, 100), 100]))
    check(out, BUY, (3, "A", "sell", 10, 90))
    assert out.counts["ambiguous_bars"] == 1


def test_rule_18_the_highest_stop_comes_first(run):
    out = run(held(FallBy(0.1), FallBy(0.05, share=0.5)), daily(A=[100, 100, (100, 100, 85, 100), 100]))
    check(out, BUY, (3, "A", "sell", 5, 95), (3, "A", "sell", 5, 90))


def test_rule_18_goals_follow_from_the_lowest(run):
    out = run(held(RiseBy(0.2), RiseBy(0.1, share=0.5)), daily(A=[100, 100, (100, 130, 100, 100), 100]))
    check(out, BUY, (3, "A", "sell", 5, 110), (3, "A", "sell", 5, 120))


def test_rule_18_a_share_does_not_fire_again_until_flat(run):
    bars = daily(A=[100, 100, (100, 100, 94, 100), (100, 100, 94, 100), 100])
    check(run(held(FallBy(0.05, share=0.5)), bars), BUY, (3, "A", "sell", 5, 95))


@pytest.mark.parametrize(("exit_", "price"), [(FallBy(0.1), 80), (RiseBy(0.1), 130)])
def test_rule_18_an_open_beyond_the_level_is_the_price(run, exit_, price):
    check(run(held(exit_), daily(A=[100, 100, price, 100])), BUY, (3, "A", "sell", 10, price))


def test_rule_18_exits_pay_half_spread_impact_and_tick(run):
    bars = daily(A=[100, 100, (100, 100, 85, 95, 100), 95])
    costs = Costs(fee=0, half_spread=0.001, impact=0.1)
    out = run(Script({1: {"A": long(FallTo(90), size=Units(10))}}), bars, None, None, instruments(A={"tick": 0.5}),
              cash=2000, costs=costs)  # fmt: skip
    # buy 100 x (1 + 0.001 + 1e-9): up to 100.5; sell 90 x (1 - 0.001 - 0.01) = 89.01: down to 89.
    check(out, (1, "A", "buy", 10, 100.5), (3, "A", "sell", 10, 89))


def test_rule_18_orders_due_at_the_open_fill_first(run):
    bars = daily(A=[100, 100, (100, 100, 85, 95), 95])
    check(run(held(FallBy(0.1), then={2: {"A": 0}}), bars), BUY, (2, "A", "sell", 10, 100))


def test_rule_18_the_proceeds_are_free_from_the_bars_close(run):
    bars = daily(A=[100, 100, (100, 100, 85, 95), 95, 95], B=[10, 10, 10, 10, 10])
    plan = {2: {"B": Quote(1000)}, 3: {"B": Quote(1000)}}
    check(run(held(FallBy(0.1), then=plan), bars), BUY, (3, "A", "sell", 10, 90), (3, "B", "buy", 90, 10))


def test_rule_19_after_runs_from_the_first_fill_and_fills_at_an_open(run):
    plan = {2: {"A": long(After("2d"), size=Units(15))}}
    bars = daily(A=[100, 100, 100, (90, 90, 80, 85), 80])
    out = run(held(After("2d"), then=plan), bars, cash=2000)
    check(out, BUY, (2, "A", "buy", 5, 100), (3, "A", "sell", 15, 90))


@pytest.mark.parametrize(("exit_", "value"), [(Below(50, kind="g"), 50), (Above(90, kind="g"), 90)])
def test_rule_19_rating_exits_wait_the_latency_and_fill_at_an_open(run, exit_, value):
    bars = daily(A=[100, 100, 100, 101, 102, 103])
    out = run(held(exit_), bars, data((1, "A", value), (3, "A", value)), latency="1h")
    check(out, (2, "A", "buy", 10, 100), (4, "A", "sell", 10, 102))


def test_rule_19_price_exits_stay_armed_meanwhile(run):
    bars = daily(A=[100, 100, 100, (100, 100, 85, 95), 95, 95])
    out = run(held(After("1d"), FallBy(0.1)), bars, latency="1d")
    check(out, (2, "A", "buy", 10, 100), (4, "A", "sell", 10, 90))


def test_rule_20_restating_a_target_rearms_nothing(run):
    exits = (FallBy(0.05, share=0.5),)
    bars = daily(A=[100, 100, (100, 100, 94, 100), (100, 100, 94, 100), 100])
    out = run(held(*exits, then={3: {"A": long(*exits, size=Units(5))}}), bars)
    check(out, BUY, (3, "A", "sell", 5, 95))


def test_rule_20_changed_exits_replace_the_old_at_once_on_the_same_base(run):
    plan = {2: {"A": long(FallBy(0.2), size=Units(10))}}
    bars = daily(A=[100, 100, (120, 120, 85, 85), (85, 85, 75, 80), 80])
    check(run(held(FallBy(0.1), then=plan), bars), BUY, (4, "A", "sell", 10, 80))


def test_rule_20_a_leave_keeps_exits_armed_until_flat(run):
    bars = daily(A=[100, 100, 100, (100, 100, 85, 95), 95, 95])
    out = run(held(FallBy(0.1), then={3: {"A": 0}}), bars, latency="1d")
    check(out, (2, "A", "buy", 10, 100), (4, "A", "sell", 10, 90))


def test_rule_20_exactly_without_the_asset_keeps_its_exits_too(run):
    bars = daily(A=[100, 100, 100, (100, 100, 85, 95), 95, 95])
    out = run(held(FallBy(0.1), then={3: Decision.exactly({})}), bars, latency="1d")
    check(out, (2, "A", "buy", 10, 100), (4, "A", "sell", 10, 90))


@pytest.mark.parametrize(("mode", "prices"), [("resting", (95, 90)), ("next_open", (94,))])
def test_rule_18_two_stops_of_one_bar_both_count(run, mode, prices):
    bars = daily(A=[100, 100, (100, 100, 85, 95), 94, 94])
    out = run(held(FallBy(0.05, share=0.5), FallBy(0.1)), bars, exits=mode)
    assert sum(one[3] for one in out.fills if one[2] == "sell") == 10
    assert {float(one[4]) for one in out.fills[1:]} == set(prices)
    assert out.holdings == {}


def test_rule_19_a_rating_exit_fires_beside_a_partial_stop_of_the_same_instant(run):
    bars = daily(A=[100, 100, (100, 100, 94, 96), 97, 97])
    exits = (FallBy(0.05, share=0.5), Below(50, kind="g"))
    check(run(held(*exits), bars, data((3, "A", 40))), BUY, (3, "A", "sell", 5, 95), (3, "A", "sell", 5, 97))
