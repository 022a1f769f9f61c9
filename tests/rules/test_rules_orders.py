"""Rules 30 to 38: orders that last, exits in progress, marks, delistings, ends and what is counted."""

import pytest

from tests.rules.world import Script, at, check, daily, equity, instruments, long, wakes
from trader.core.costs import Costs
from trader.core.exits import FallBy, RiseBy
from trader.core.strategy import Decision, Quote, Units

TENTH = Costs(fee=0, half_spread=0, participation=0.1)


def test_rule_30_all_fills_of_a_bar_exits_included_stay_under_the_share_in_whole_lots(run):
    bars = daily(A=[10, 10, (10, 10, 8, 8, 57), (8, 8, 8, 8, 1000), 8])
    plan = {1: {"A": long(FallBy(0.1), size=Units(20))}, 2: {"A": long(FallBy(0.1), size=Units(22))}}
    out = run(Script(plan), bars, None, None, instruments(A={"lot": 1.0}), costs=TENTH)
    check(out, (1, "A", "buy", 20, 10), (2, "A", "buy", 2, 10), (3, "A", "sell", 3, 9), (3, "A", "sell", 19, 8))


def test_rule_30_a_bar_without_volume_neither_fills_nor_triggers(run):
    bars = daily(A=[10, (10, 10, 10, 10, 0), 11, (11, 11, 5, 11, 0), 11, (11, 11, 5, 11), 11])
    out = run(Script({1: {"A": long(FallBy(0.1), size=Units(10))}}), bars)
    check(out, (2, "A", "buy", 10, 11), (6, "A", "sell", 10, 9.9))


def test_rule_31_an_order_waits_for_the_instruments_next_bar(run):
    bars = daily(A=[10, None, None, None, 13, 13], B=[1] * 6)
    check(run(Script({1: {"A": Units(10)}}), bars), (4, "A", "buy", 10, 13))


def test_rule_31_after_a_gap_a_stop_fills_at_the_open(run):
    bars = daily(A=[10, 10, None, None, 7, 7], B=[1] * 6)
    out = run(Script({1: {"A": long(FallBy(0.1), size=Units(10))}}), bars)
    check(out, (1, "A", "buy", 10, 10), (5, "A", "sell", 10, 7))


def test_rule_31_an_order_that_never_met_a_bar_is_closed_at_the_end(run):
    out = run(Script({2: {"A": Units(10)}}), daily(A=[10, 10], B=[1] * 4))
    check(out)
    assert out.orders is None or out.orders == [(out.orders[0][0], "A", "buy", "no_bar")]


def test_rule_32_a_decision_naming_the_asset_replaces_its_order(run):
    bars = daily(A=[10, (10, 10, 10, 10, 100), (10, 10, 10, 10, 100), 10, 10])
    out = run(Script({1: {"A": Units(50)}, 2: {"A": 0}}), bars, costs=TENTH)
    check(out, (1, "A", "buy", 10, 10), (2, "A", "sell", 10, 10))


def test_rule_32_exactly_replaces_every_order_that_works(run):
    bars = daily(A=[10, None, None, 10, 10], B=[1] * 5)
    check(run(Script({1: {"A": Units(10)}, 2: Decision.exactly({"B": Units(1)})}), bars), (2, "B", "buy", 1, 1))


def test_rule_32_a_decision_about_others_leaves_the_order_alone(run):
    bars = daily(A=[10, None, None, 10, 10], B=[1] * 5)
    out = run(Script({1: {"A": Units(10)}, 2: {"B": Units(1)}}), bars)
    check(out, (2, "B", "buy", 1, 1), (3, "A", "buy", 10, 10))


def test_rule_32_a_quote_being_filled_continues(run):
    bars = daily(A=[10, (10, 10, 10, 10, 100), (10, 10, 10, 10, 100), 10, 10])
    out = run(Script({1: {"A": Quote(300)}, 2: {"A": Quote(300)}}), bars, costs=TENTH)
    check(out, (1, "A", "buy", 10, 10), (2, "A", "buy", 10, 10), (3, "A", "buy", 10, 10))


def test_rule_33_while_exiting_decisions_are_recorded_and_ignored(run):
    bars = daily(A=[10, 10, (10, 10, 8, 8, 50), (8, 8, 8, 8, 10), 8, 8, 8])
    plan = {1: {"A": long(FallBy(0.1), size=Units(10))}, 3: {"A": Units(50)}, 4: {"A": Units(50)}, 5: {"A": Units(2)}}
    out = run(Script(plan), bars, costs=TENTH)
    check(out, (1, "A", "buy", 10, 10), (3, "A", "sell", 5, 9), (3, "A", "sell", 1, 8), (4, "A", "sell", 4, 8),
          (5, "A", "buy", 2, 8))  # fmt: skip
    assert [day for day, _ in wakes(out)] == [1, 2, 3, 4, 5, 6, 7]


def test_rule_33_the_exit_cancels_the_assets_other_order(run):
    bars = daily(A=[10, (10, 10, 8, 8, 200), 8, 8, 8])  # the buy takes all the volume there is, so the exit waits
    out = run(Script({1: {"A": long(FallBy(0.1), size=Units(50))}}), bars, costs=TENTH)
    check(out, (1, "A", "buy", 20, 10), (2, "A", "sell", 20, 8))


def test_rule_34_marks_are_the_last_closed_bar_and_old_ones_are_counted(run):
    bars = daily(A=[10, 20, None, None, None, None, None], B=[1] * 7)
    out = run(Script({1: {"A": Units(10)}}), bars)
    assert equity(out) == {1: 1000, 2: 1000, 3: 1000, 4: 1000, 5: 1000, 6: 1000, 7: 1000}
    assert out.counts["stale_marks"] == 2  # four and five bars old at the closes of day 6 and 7


def test_rule_34_an_instant_without_any_bar_gives_no_equity_point(run):
    out = run(Script({}), daily(A=[10, 10, None, None, 10]))
    assert sorted(equity(out)) == [1, 2, 5]


@pytest.mark.parametrize(("loss", "price"), [(None, 0), (0.4, 6)])
def test_rule_35_a_declared_delisting_writes_the_holding_off(run, loss, price):
    facts = {"delisted_at": at(3)} | ({} if loss is None else {"delisting_loss": loss})
    bars = daily(A=[10, 10, 10], B=[1] * 6)
    out = run(
        Script({1: {"A": Units(10)}}), bars, None, None, instruments(A=facts), costs=Costs(half_spread=0, fee=0.01)
    )
    check(out, (1, "A", "buy", 10, 10), (3, "A", "sell", 10, price))
    assert (out.fills[1][5], out.fills[1][6]) == (0, "delisted")
    assert out.holdings == {}
    assert equity(out)[3] == pytest.approx(1000 - 101 + 10 * price)


def test_rule_35_working_orders_are_cancelled_by_a_delisting(run):
    bars = daily(A=[10, (10, 10, 10, 10, 0), 10], B=[1] * 4)
    facts = instruments(A={"delisted_at": at(2)})
    check(run(Script({1: {"A": Units(10)}}), bars[bars.ts < at(2)], None, None, facts))


def test_rule_35_bars_that_merely_stop_are_marked(run):
    out = run(Script({1: {"A": Units(10)}}), daily(A=[10, 12], B=[1] * 4))
    check(out, (1, "A", "buy", 10, 12))
    assert equity(out)[4] == 1000
    assert out.holdings == {"A": 10}


def test_rule_36_at_the_end_holdings_are_marked_and_a_last_decision_is_recorded(run):
    out = run(Script({1: {"A": Units(10)}, 3: {"A": 0}}), daily(A=[10, 10, (10, 12, 10, 12)]))
    check(out, (1, "A", "buy", 10, 10))
    assert equity(out)[3] == 1020
    assert out.holdings == {"A": 10}
    assert [day for day, _ in wakes(out)] == [1, 2, 3]


def test_rule_36_working_orders_are_closed_at_the_end(run):
    out = run(Script({1: {"A": Units(50)}}), daily(A=[10, (10, 10, 10, 10, 100)]), costs=TENTH)
    check(out, (1, "A", "buy", 10, 10))
    assert out.orders is None or [order[1:] for order in out.orders] == [("A", "buy", "end")]


def test_rule_37_nothing_is_limited_unless_asked(run):
    check(run(Script({1: {"A": 1.0}}), daily(A=[10, 10, 10])), (1, "A", "buy", 100, 10))


def test_rule_38_bars_with_a_stop_and_a_goal_in_range_are_counted(run):
    bars = daily(A=[10, (10, 12, 8, 10), (10, 10, 8, 10), 10])
    out = run(Script({1: {"A": long(FallBy(0.1), RiseBy(0.1), size=Units(1))}}), bars)
    assert out.counts["ambiguous_bars"] == 1
