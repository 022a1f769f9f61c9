"""Old ratings: which days count, what was ordered on them and what they returned, on days that were left out on purpose."""

import numpy as np
import pandas as pd
import pytest

from backtests import Costs, Tape, audit, replay
from backtests.staleness import missing_days, stale_days
from strategies import load
from trader.core.facts import OrderPlaced

DAYS = 60
STAMPS = pd.date_range("2022-01-01", periods=DAYS, freq="D", tz="UTC")
HOLES = range(20, 25)  # no rating describes these days


def world(rated):
    """Two assets whose prices move at random, and ratings `rated(day)` of each, known an hour after their day; none on the days of HOLES."""
    gains = np.random.default_rng(1).normal(0.002, 0.03, (DAYS, 2))
    closes = 100 * np.cumprod(1 + gains, axis=0)
    opens = np.vstack([[100.0, 100.0], closes[:-1]])
    bars = [
        {
            "ts": STAMPS[d], "asset": "AB"[a], "open": opens[d, a], "high": max(opens[d, a], closes[d, a]),
            "low": min(opens[d, a], closes[d, a]), "close": closes[d, a], "volume": 1e9,
        }
        for d in range(DAYS)
        for a in range(2)
    ]  # fmt: skip
    ratings = [
        {
            "asset": "AB"[a],
            "kind": "grade",
            "as_of": STAMPS[d],
            "known_at": STAMPS[d] + pd.Timedelta("25h"),
            "value": value,
        }
        for d in range(DAYS)
        for a, value in enumerate(rated(d))
        if value is not None
    ]
    return Tape.from_frames(pd.DataFrame(bars), pd.DataFrame(ratings))


def on(result, days):
    """The growth over some days and the orders placed on them, by pandas and by the facts."""
    gains = result.equity.pct_change()
    gains.index = (gains.index - pd.Timedelta("1s")).floor("D")
    placed = [fact.at for fact in result.facts() if isinstance(fact, OrderPlaced)]
    growth = (1 + gains[STAMPS[days.start : days.stop]]).prod()
    return growth, sum(STAMPS[days.start] <= at < STAMPS[days.stop] for at in placed)


def test_days_held_on_old_ratings_are_counted_with_what_they_returned():
    tape = world(lambda d: (None, None) if d in HOLES else (90.0, 10.0))
    result = replay(load("RatingBand", {"kind": "grade", "size": 0.9}), tape, costs=Costs(fee=0.0, half_spread=0.0))
    known, described = stale_days(result, ["grade"])
    assert missing_days(tape.panel) == [("grade", 5, 5)]
    # What describes day 19 is known on day 20, and nothing newer until day 26: the days 21 to 25 end on a rating of more than a day ago.
    assert (known.days, known.longest, known.orders) == (5, 5, 0)
    assert known.growth == pytest.approx(on(result, range(21, 26))[0])
    assert known.growth != pytest.approx(1, abs=1e-4)
    # Past three days it is from the end of day 22 on.
    assert (described.days, described.longest) == (4, 4)
    assert described.growth == pytest.approx(on(result, range(22, 26))[0])
    held = DAYS - 2  # what describes day 0 is known at 01:00 on day 1, and bought at the next open, that of day 2
    assert (known.held, described.held) == (held, held)


def test_orders_on_days_of_old_ratings_are_counted():
    def rated(d):
        return (None if d >= 20 else 90.0, 95.0 if d >= 22 else 10.0)

    tape = world(rated)
    strategy = load("TopRated", {"kind": "grade", "top": 1, "enter": 50, "max_age": "9d", "band": 0.5})
    result = replay(strategy, tape, costs=Costs(fee=0.0, half_spread=0.0))
    known, described = stale_days(result, ["grade"])
    # A is held to the open of day 24, when B, rated 95 on day 22 and known on day 23, takes its place.
    stale = range(21, 25)
    assert known.days == len(stale)
    growth, orders = on(result, stale)
    assert orders == 2
    assert known.orders == orders
    assert known.growth == pytest.approx(growth)
    assert described.days == 0


def test_nothing_is_stale_where_each_day_is_rated_and_the_audit_says_what_is():
    whole, holed = (world(lambda d, gone=gone: (None, None) if d in gone else (90.0, 10.0)) for gone in ((), HOLES))
    strategy = load("RatingBand", {"kind": "grade", "size": 0.9})
    assert all(one.days == 0 for one in audit(strategy, whole, permutations=0).stale)
    found = audit(strategy, holed, permutations=0)
    assert [one.days for one in found.stale] == [5, 4]
    assert "held on grade known more than 1d ago: 5 of 58 days (longest 5), 0 orders on them" in found.summary()


def test_weekly_ratings_are_not_old_within_their_week():
    tape = world(lambda d: (90.0, 10.0) if d % 7 == 0 else (None, None))
    result = replay(load("RatingBand", {"kind": "grade", "size": 0.9}), tape)
    known, described = stale_days(result, ["grade"])
    assert known.limit == "known more than 7d ago"
    assert known.days == 0
    assert described.days > 20
