"""Rules 21 to 29: how large an order is, what it costs, and what rounding does."""

import pytest

from tests.rules.world import Script, check, daily, instruments, long
from trader.core.costs import Costs
from trader.core.exits import FallBy
from trader.core.strategy import Decision, Quote, Target, Units


def costs(**given):
    return Costs(**{"fee": 0.0, "half_spread": 0.0, **given})


def test_rule_21_quantity_is_weight_times_equity_over_mark_all_at_the_decision(run):
    out = run(Script({1: {"A": 0.5}}), daily(A=[(10, 10, 8, 8), 20, 20]), cash=1000)
    check(out, (1, "A", "buy", 50, 20))  # the cut to 1000 / 20 = 50 would come later than 62.5 is asked


def test_rule_21_equity_is_cash_and_holdings_at_their_marks(run):
    out = run(Script({1: {"A": Units(50)}, 2: {"B": 0.5}}), daily(A=[10, (10, 20, 10, 20), 20], B=[5, 5, 1]), cash=1000)
    check(out, (1, "A", "buy", 50, 10), (2, "B", "buy", 150, 1))


def test_rule_21_a_decision_cancels_the_remainder_and_sizes_from_the_real_holding(run):
    bars = daily(A=[10, (10, 10, 10, 10, 100), (10, 10, 10, 10, 1000), 10])
    out = run(Script({1: {"A": Units(50)}, 2: {"A": Units(30)}}), bars, costs=costs(participation=0.1))
    check(out, (1, "A", "buy", 10, 10), (2, "A", "buy", 20, 10))


def test_rule_22_sells_come_first_and_their_proceeds_are_spent_at_that_open(run):
    plan = {1: {"B": Units(100)}, 2: {"A": Units(100), "B": 0}}
    check(run(Script(plan), daily(A=[10] * 4, B=[10] * 4)), (1, "B", "buy", 100, 10), (2, "B", "sell", 100, 10),
          (2, "A", "buy", 100, 10))  # fmt: skip


def test_rule_22_buys_follow_the_order_of_the_mapping(run):
    out = run(Script({1: {"B": Units(80), "A": Units(80)}}), daily(A=[10] * 3, B=[10] * 3))
    check(out, (1, "B", "buy", 80, 10), (1, "A", "buy", 20, 10))


def test_rule_23_a_buy_is_cut_to_the_free_cash_down_to_lots(run):
    out = run(Script({1: {"A": 1.0}}), daily(A=[10, 12, 12]), None, None, instruments(A={"lot": 0.5}), cash=1000)
    check(out, (1, "A", "buy", 83, 12))


def test_rule_23_what_was_cut_for_cash_is_not_retried(run):
    bars = daily(A=[10] * 5, B=[10] * 5)
    out = run(Script({1: {"B": Units(50), "A": Units(150)}, 3: {"B": 0}}), bars)
    check(out, (1, "B", "buy", 50, 10), (1, "A", "buy", 50, 10), (3, "B", "sell", 50, 10))


def test_rule_23_under_the_minimum_nothing_is_bought(run):
    facts = instruments(A={"min_notional": 300.0}, B={})
    out = run(Script({1: {"B": Units(80), "A": Units(80)}}), daily(A=[10] * 3, B=[10] * 3), None, None, facts)
    check(out, (1, "B", "buy", 80, 10))


def test_rule_23_what_the_volume_cap_held_back_stays_working(run):
    bars = daily(A=[10, (10, 10, 10, 10, 100), (10, 10, 10, 10, 200), 10, 10])
    out = run(Script({1: {"A": Units(50)}}), bars, costs=costs(participation=0.1))
    check(out, (1, "A", "buy", 10, 10), (2, "A", "buy", 20, 10), (3, "A", "buy", 20, 10))


def test_rule_23_cash_is_never_negative_but_for_the_shortage_of_rule_29(run):
    out = run(Script({1: {"A": 1.0}}), daily(A=[7, 7.3, 7.3]), costs=Costs(fee=0.002, half_spread=0.0005))
    assert out.cash == pytest.approx(0, abs=1e-9)
    assert out.cash >= -1e-12 * 1000


def test_rule_24_quote_spends_at_most_its_amount_fee_included(run):
    out = run(Script({1: {"A": Quote(500)}}), daily(A=[10, 12.5, 12.5]), costs=costs(fee=0.25))
    check(out, (1, "A", "buy", 32, 12.5))
    assert out.cash == pytest.approx(500)


def test_rule_24_quote_opens_once_and_again_after_flat(run):
    plan = {day: {"A": Quote(100)} for day in (1, 2, 3)} | {4: {"A": 0}, 5: {"A": Quote(100)}}
    out = run(Script(plan), daily(A=[10] * 7))
    check(out, (1, "A", "buy", 10, 10), (4, "A", "sell", 10, 10), (5, "A", "buy", 10, 10))


def test_rule_24_more_than_the_cash_spends_all_of_it(run):
    check(run(Script({1: {"A": Quote(float("inf"))}}), daily(A=[10, 8, 8])), (1, "A", "buy", 125, 8))


def test_rule_24_weights_and_units_are_levels(run):
    out = run(Script({1: {"A": Units(10)}, 2: {"A": Units(10)}, 3: {"A": Units(15)}}), daily(A=[10] * 5))
    check(out, (1, "A", "buy", 10, 10), (3, "A", "buy", 5, 10))


@pytest.mark.parametrize(("weight", "orders"), [(0.599, 0), (0.601, 1)])
def test_rule_25_within_the_band_there_is_no_order_and_outside_all_the_way(run, weight, orders):
    plan = {1: {"A": Target(0.5, band=0.1)}, 2: {"A": Target(weight, band=0.1)}}
    expected = [(1, "A", "buy", 50, 10), (2, "A", "buy", weight * 100 - 50, 10)]
    out = run(Script(plan), daily(A=[10] * 4))
    check(out, *expected[: 1 + orders])


def test_rule_25_the_band_stops_neither_opening_nor_leaving(run):
    plan = {1: {"A": Target(0.05, band=0.1)}, 2: {"A": Target(0.0, band=0.1)}}
    check(run(Script(plan), daily(A=[10] * 4)), (1, "A", "buy", 5, 10), (2, "A", "sell", 5, 10))


@pytest.mark.parametrize(("where", "owned", "cash"), [("quote", 10, 899), ("received", 9.9, 900)])
def test_rule_26_the_fee_of_a_buy_is_taken_in_quote_or_from_what_is_received(run, where, owned, cash):
    out = run(Script({1: {"A": Units(10)}}), daily(A=[10] * 3), costs=costs(fee=0.01, fee_on_buy=where))
    check(out, (1, "A", "buy", 10, 10))
    assert out.holdings["A"] == pytest.approx(owned, rel=1e-12)
    assert out.cash == pytest.approx(cash, rel=1e-12)


def test_rule_26_the_instrument_overrides_the_costs_and_sells_pay_in_quote(run):
    facts = instruments(A={"fee_on_buy": "received"})
    out = run(Script({1: {"A": Units(10)}, 2: {"A": 0}}), daily(A=[10] * 4), None, None, facts, costs=costs(fee=0.01))
    check(out, (1, "A", "buy", 10, 10), (2, "A", "sell", 9.9, 10))
    assert out.cash == pytest.approx(900 + 99 * 0.99, rel=1e-12)


def test_rule_27_a_price_after_spread_is_rounded_to_the_tick_against_us(run):
    plan = {1: {"A": Units(10)}, 2: {"A": 0}}
    out = run(Script(plan), daily(A=[10] * 4), None, None, instruments(A={"tick": 0.25}), costs=costs(half_spread=0.01))
    check(out, (1, "A", "buy", 10, 10.25), (2, "A", "sell", 10, 9.75))


def test_rule_27_levels_are_not_rounded(run):
    bars = daily(A=[10, 10, (10, 10, 9.4, 9.4), 9.4])
    plan = {1: {"A": long(FallBy(0.05), size=Units(10))}}
    check(run(Script(plan), bars, None, None, instruments(A={"tick": 1.0})), (1, "A", "buy", 10, 10),
          (3, "A", "sell", 10, 9))  # fmt: skip


def test_rule_28_the_minimum_is_tested_at_placement(run):
    facts = instruments(A={"min_notional": 100.0})
    bars = daily(A=[10, 5, 5, 5])
    out = run(Script({1: {"A": Units(10)}, 2: {"A": Units(15)}}), bars, None, None, facts)
    check(out, (1, "A", "buy", 10, 5))  # 10 x 10 is enough though it fills at 50; 5 more at 5 are not


def test_rule_28_dust_is_flat_for_strategies_but_owned_and_added_to(run):
    facts = instruments(A={"lot": 1.0, "fee_on_buy": "received"})
    seen = []
    plan = {1: {"A": Units(10)}, 2: {"A": 0}, 3: lambda view: seen.append(view.holding("A")) or Decision.hold(),
            4: {"A": Units(10)}}  # fmt: skip
    out = run(Script(plan), daily(A=[10] * 6), None, None, facts, costs=costs(fee=0.05))
    # 9.5 received, 9 sold, 0.5 dust; then 10 - 0.5 = 9.5 asked: 9 bought, 8.55 received.
    check(out, (1, "A", "buy", 10, 10), (2, "A", "sell", 9, 10), (4, "A", "buy", 9, 10))
    assert seen == [None]
    assert out.holdings["A"] == pytest.approx(0.5 + 8.55, rel=1e-12)


def test_rule_28_what_should_go_and_is_below_the_minimum_becomes_dust(run):
    facts = instruments(A={"min_notional": 60.0})
    plan = {1: {"A": Quote(100)}, 3: {"A": 0}, 4: {"A": Quote(100)}}
    out = run(Script(plan), daily(A=[10, 10, 5, 5, 5, 5]), None, None, facts)
    check(out, (1, "A", "buy", 10, 10), (4, "A", "buy", 20, 5))
    assert out.holdings["A"] == pytest.approx(30)


def test_rule_28_an_exit_is_tested_at_its_price(run):
    facts = instruments(A={"min_notional": 95.0})
    bars = daily(A=[10, 10, (10, 10, 8, 8), 8, 8])
    out = run(Script({1: {"A": long(FallBy(0.1), size=Units(10))}}), bars, None, None, facts)
    check(out, (1, "A", "buy", 10, 10))
    assert out.holdings["A"] == pytest.approx(10)


def test_rule_29_a_quotient_close_to_the_next_lot_counts_as_it(run):
    facts = instruments(A={"lot": 0.00001})
    out = run(Script({1: {"A": Units(1000.0)}}), daily(A=[1, 1, 1]), None, None, facts, cash=2000)
    check(out, (1, "A", "buy", 1000, 1))


def test_rule_29_levels_compare_with_a_tolerance_towards_the_hit(run):
    level = 100 * (1 - 0.1)
    bars = daily(A=[100, 100, (100, 100, level * (1 + 5e-13), 95), 95])
    out = run(Script({1: {"A": long(FallBy(0.1), size=Units(1))}}), bars)
    check(out, (1, "A", "buy", 1, 100), (3, "A", "sell", 1, 90))


def test_rule_29_the_last_weight_of_the_cash_is_not_lost_to_rounding(run):
    bars = daily(**{name: [3.3, 3.3, 3.3] for name in "ABC"})
    out = run(Script({1: {"A": 0.1, "B": 0.2, "C": 0.7}}), bars)
    check(out, (1, "A", "buy", 100 / 3.3, 3.3), (1, "B", "buy", 200 / 3.3, 3.3), (1, "C", "buy", 700 / 3.3, 3.3))


def test_rule_29_less_than_a_billionth_of_an_order_is_nothing(run):
    bars = daily(A=[3, 3.1, 3.1], B=[7, 7.3, 7.3])
    out = run(Script({1: {"A": Quote(float("inf")), "B": Units(100)}}), bars, costs=Costs(fee=0.002, half_spread=0.001))
    assert [one[1] for one in out.fills] == ["A"]


@pytest.mark.parametrize(
    ("units", "amount", "bought"), [(100, 800, 80), (100, float("inf"), 100), (60, float("inf"), 100)]
)
def test_rule_22_a_quote_may_spend_the_proceeds_of_sells_at_its_open(run, units, amount, bought):
    out = run(Script({1: {"A": Units(units)}, 2: {"A": 0, "B": Quote(amount)}}), daily(A=[10] * 4, B=[10] * 4))
    check(out, (1, "A", "buy", units, 10), (2, "A", "sell", units, 10), (2, "B", "buy", bought, 10))


def test_rule_30_impact_is_paid_on_what_is_taken_of_the_bar(run):
    bars = daily(A=[10, (10, 10, 10, 10, 100), (10, 10, 10, 10, 1e9), 10])
    out = run(Script({1: {"A": Units(50)}}), bars, costs=costs(participation=0.1, impact=0.5))
    assert out.fills[0][3:5] == pytest.approx((10, 10.5))
