"""Rules 7, 9 and 11 as the bundled strategies keep them."""

import pytest

from strategies import FollowSignal, RatingBand
from tests.rules.world import check, daily, data
from trader.core.exits import FallBy
from trader.core.strategy import Units

STOPPED = daily(A=[100, (100, 100, 80, 100), 100, 100, 100, 100], B=[1] * 6)


def signals(*rows):
    return data(*rows, kind="trading_signal")


def test_rule_07_a_ttl_bars_opening_from_the_time_of_issue_and_a_late_leave_is_obeyed(run):
    follow = FollowSignal(size=Units(1), ttl="12h")
    rows = signals((1, "A", 1, 0.25), (2, "A", 1, 1.5), (4, "A", -1, 2))
    check(run(follow, daily(A=[100] * 6), None, rows), (2, "A", "buy", 1, 100), (4, "A", "sell", 1, 100))


@pytest.mark.parametrize(("mode", "again"), [("flip", False), ("state", True)])
def test_rule_11_a_flip_acts_once_and_a_state_is_applied_at_each_wake(run, mode, again):
    follow = FollowSignal(size=Units(1), mode=mode, exits=(FallBy(0.1),))
    rows = signals((1, "A", 1), (3, "B", 0))
    expected = [(1, "A", "buy", 1, 100), (2, "A", "sell", 1, 90), (3, "A", "buy", 1, 100)]
    check(run(follow, STOPPED, None, rows), *expected[: 2 + again])


def test_rule_09_the_rating_band_enters_again_at_the_next_rating_and_leaves_by_level(run):
    band = RatingBand(enter=70, leave=50, kind="g", size=Units(1), exits=(FallBy(0.1),))
    rows = data((1, "A", 70), (3, "A", 75), (4, "A", 60), (5, "A", 50))
    check(run(band, STOPPED, rows), (1, "A", "buy", 1, 100), (2, "A", "sell", 1, 90), (3, "A", "buy", 1, 100),
          (5, "A", "sell", 1, 100))  # fmt: skip
