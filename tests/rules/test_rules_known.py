"""Rules 5 to 12: what a view shows, how old it may be, and what a missing or withheld datum does."""

import pytest

from tests.rules.world import Each, Script, check, daily, data, day_of, long, wakes
from trader.core.exits import FallBy
from trader.core.signals import MARKET
from trader.core.strategy import HOLD, Decision, Units, Wants

FLAT = daily(A=[10] * 8, B=[10] * 8, C=[10] * 8)
RATED = Wants(ratings=("g",))


def shown(run, bars, ratings, wants=RATED, ask=lambda view: view.ratings("g").items()):
    found = []

    def decide(view):
        found.append(list(ask(view)))
        return Decision.hold()

    out = run(Each(decide, wants=wants), bars, ratings)
    return [(day_of(ns), one) for (ns, _), one in zip(out.decisions, found, strict=True)], out


def test_rule_05_the_newest_as_of_wins_and_an_outdated_arrival_wakes_nobody(run):
    found, _ = shown(run, FLAT, data((2, "A", 50, 2), (3, "A", 90, 1), (4, "A", 60, 4)))
    assert found == [(2, [("A", 50)]), (4, [("A", 60)])]


def test_rule_05_of_one_as_of_the_newest_known_at_wins(run):
    found, _ = shown(run, FLAT, data((2, "A", 50, 2), (3, "A", 55, 2)))
    assert found == [(2, [("A", 50)]), (3, [("A", 55)])]


def test_rule_06_age_runs_from_as_of_and_the_limit_counts_as_fresh(run):
    found, _ = shown(run, FLAT, data((2, "A", 50, 1), kind="g"), wants=Wants(ratings=("g",), every="1d", at="00:00"))
    assert [day for day, one in found if one] == [2, 3, 4]


def test_rule_06_fresher_than_keeps_an_age_equal_to_the_limit(run):
    ratings = data((2, "A", 50, 1), (2, "B", 40, 0.5))
    ask = lambda view: view.ratings("g").fresher_than("1d")  # noqa: E731
    assert shown(run, FLAT, ratings, ask=ask)[0] == [(2, ["A"])]


def test_rule_07_a_signal_shows_its_time_of_issue_for_its_ttl(run):
    def age(view):
        found = view.signal("A")
        return [] if found is None else [(view.now - found.as_of).total_seconds()]

    found = []
    signals = data((2, "A", 1, 1.75), kind="s")
    strategy = Each(lambda view: found.extend(age(view)) or Decision.hold(), wants=Wants(signals=("s",)))
    run(strategy, FLAT, None, signals)
    assert found == [21600]


def test_rule_08_a_view_omits_and_counts_assets_without_a_closed_bar(run):
    bars = daily(A=[10] * 4, B=[None, None, 10, 10])
    found, out = shown(run, bars, data((1, "A", 50), (1, "B", 60), (3, "A", 50), (3, "B", 60)))
    assert found == [(1, [("A", 50)]), (3, [("B", 60), ("A", 50)])]
    assert out.counts["omitted_assets"] == 1


def test_rule_08_a_target_without_a_price_is_refused(run):
    bars = daily(A=[10] * 4, B=[None, None, 10, 10])
    check(run(Script({1: {"B": Units(1), "A": Units(1)}}), bars), (1, "A", "buy", 1, 10))


def test_rule_08_an_asset_whose_bars_stopped_stays_visible(run):
    bars = daily(A=[10] * 5, B=[10, 10])
    found, _ = shown(run, bars, data((4, "A", 50), (4, "B", 60)))
    assert found == [(4, [("B", 60), ("A", 50)])]


def test_rule_09_the_next_rating_after_a_stop_may_enter_again(run):
    def band(view):
        grades = view.ratings("g")
        enter = [a for a in view.wake.assets if grades.get(a, 0) >= 70 and view.holding(a) is None]
        return Decision.change(dict.fromkeys(enter, long(FallBy(0.1), size=Units(1))))

    bars = daily(A=[100, (100, 100, 80, 100), 100, 100, 100])
    out = run(Each(band, wants=RATED), bars, data((1, "A", 80), (3, "A", 80)))
    check(out, (1, "A", "buy", 1, 100), (2, "A", "sell", 1, 90), (3, "A", "buy", 1, 100))


def test_rule_10_ranking_is_by_value_then_by_name(run):
    found, _ = shown(run, FLAT, data((1, "C", 70), (1, "B", 70), (1, "A", 60)))
    assert found == [(1, [("B", 70), ("C", 70), ("A", 60)])]


def test_rule_10_top_cuts_ties_by_name(run):
    ask = lambda view: view.ratings("g").at_least(65).top(1)  # noqa: E731
    assert shown(run, FLAT, data((1, "C", 70), (1, "B", 70)), ask=ask)[0] == [(1, ["B"])]


def test_rule_11_a_signal_about_the_market_is_read_and_never_traded(run):
    seen = []

    def decide(view):
        seen.append(view.signal(MARKET).value)
        return Decision.change({MARKET: Units(1)})

    out = run(Each(decide, wants=Wants(signals=("s",))), FLAT, None, data((1, MARKET, -1), kind="s"))
    assert seen == [-1]
    check(out)


@pytest.mark.parametrize(("unknown", "sold"), [(None, True), (HOLD, False)])
def test_rule_12_exactly_lets_an_unknown_asset_go_unless_told_to_hold(run, unknown, sold):
    def decide(view):
        names = dict.fromkeys(view.ratings("g"), Units(1))
        return Decision.exactly(names) if unknown is None else Decision.exactly(names, unknown=unknown)

    wants = Wants(ratings=("g",), every="1d", at="00:00", max_age="2d")
    out = run(Each(decide, wants=wants), FLAT, data((1, "A", 80)))
    check(out, *[(1, "A", "buy", 1, 10), (4, "A", "sell", 1, 10)][: 1 + sold])
    assert out.counts["unknown_held"] == (1 if sold else 5)


def test_rule_12_a_batch_under_80_percent_waits_for_the_next_to_confirm_it(run):
    names = "ABCDE"
    bars = daily(**{name: [10] * 6 for name in names})
    full = [(1, name, 50) for name in names]
    part = [(day, name, 50) for day in (2, 3) for name in "ABC"]
    out = run(Script({}, wants=RATED), bars, data(*full, *part))
    assert wakes(out) == [(1, ("rating:g",)), (3, ("rating:g",))]
    assert out.counts["withheld_batches"] == 1


def test_rule_12_a_withheld_batch_wakes_when_completed_with_all_its_assets(run):
    names = "ABCDE"
    bars = daily(**{name: [10] * 6 for name in names})
    rows = [(1, name, 50) for name in names]
    rows += [(2, name, 50) for name in "ABC"] + [(2.5, "D", 50, 2)]
    strategy = Script({}, wants=RATED)
    assert wakes(run(strategy, bars, data(*rows))) == [(1, ("rating:g",)), (2.5, ("rating:g",))]
    assert strategy.seen[1][2] == ("A", "B", "C", "D")


def test_rule_12_four_of_five_are_enough(run):
    bars = daily(**{name: [10] * 6 for name in "ABCDE"})
    rows = [(1, name, 50) for name in "ABCDE"] + [(2, name, 50) for name in "ABCD"]
    out = run(Script({}, wants=RATED), bars, data(*rows))
    assert wakes(out) == [(1, ("rating:g",)), (2, ("rating:g",))]
    assert out.counts["withheld_batches"] == 0
