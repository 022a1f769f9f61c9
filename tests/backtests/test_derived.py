"""The further kinds of the sample: small shapes said in literals, and no value that the future could change."""

from functools import cache

import pandas as pd
import pytest

from backtests import derived
from backtests.bundled import frames, further, sample
from trader.core.signals import MARKET

DAY = pd.Timedelta(days=1)
KINDS = {"regime": derived.regime, "moonshot": derived.moonshots, "weight": derived.weights}
bundled = cache(lambda timeframe: frames(timeframe)[0])


def bars(**closes):
    """Daily bars from 2024-01-01, a Monday, with closes by asset; every coin turns over its close a day."""
    rows = [
        (pd.Timestamp("2024-01-01", tz="UTC") + n * DAY, asset, close)
        for asset, prices in closes.items()
        for n, close in enumerate(prices)
    ]
    frame = pd.DataFrame(rows, columns=["ts", "asset", "close"])
    return frame.assign(open=frame["close"], high=frame["close"], low=frame["close"], volume=1.0)


@pytest.mark.parametrize("until", ["2021-05-20", "2024-02-11", "2024-05-01"])
@pytest.mark.parametrize("name", KINDS)
def test_the_future_changes_nothing_that_was_known(name, until):
    until = pd.Timestamp(until, tz="UTC")
    whole, make = bundled("1d"), KINDS[name]
    later = whole["ts"] + DAY > until
    poisoned = whole.assign(
        close=whole["close"].where(~later, whole["close"] * 10), volume=whole["volume"].where(~later, 1e9)
    )
    seen = [make(one) for one in (whole, whole[~later], poisoned)]
    known = [one[one["known_at"] <= until].reset_index(drop=True) for one in seen]
    assert len(known[0]) > 5
    for other in known[1:]:
        pd.testing.assert_frame_equal(known[0], other, check_categorical=False)


def test_an_hour_to_come_changes_no_hourly_trend():
    whole = bundled("1h")
    whole = whole[whole["ts"] >= "2024-06-01"]
    until = pd.Timestamp("2024-06-10 07:00", tz="UTC")
    seen = [derived.hourly(one) for one in (whole, whole[whole["ts"] + derived.HOUR <= until])]
    known = [one[one["known_at"] <= until].reset_index(drop=True) for one in seen]
    pd.testing.assert_frame_equal(*known)
    assert (known[0]["known_at"] - known[0]["as_of"] == derived.HOUR).all()
    assert set(known[0]["value"]) == {1.0, -1.0}


def test_a_moonshot_begins_after_a_strong_week_and_ends_after_a_loss_or_in_time():
    rises = [100.0] * 7 + [121.0] + [125.0] * 20
    falls = [100.0] * 7 + [121.0, 110.0, 101.0, 100.0]
    found = derived.moonshots(bars(X=rises, Y=falls))
    said = [(row.asset, row.as_of.day, row.value) for row in found.itertuples()]
    assert said == [("X", 9, 1.0), ("Y", 9, 1.0), ("Y", 11, 0.0), ("X", 23, 0.0)]
    assert (found["known_at"] == found["as_of"]).all()


def test_the_regime_is_a_state_of_the_market_that_stays_between_its_levels():
    up, down = [1.0] * 30 + [2.0] * 3, [1.0] * 30 + [0.5] * 3
    mixed = [1.0] * 30 + [2.0, 0.5, 0.5]
    found = derived.regime(bars(A=up, B=up, C=down, D=mixed))
    assert found["value"].tolist() == [1.0, 1.0, 1.0], "three of four are up, then two: as before"
    assert set(found["asset"]) == {MARKET}
    assert found["as_of"].dt.day.tolist() == [31, 1, 2]
    assert derived.regime(bars(A=down, B=down, C=up))["value"].tolist() == [-1.0] * 3


def test_the_index_is_half_of_the_coins_and_its_shares_sum_to_one():
    found = derived.weights(bars(A=[4.0] * 30, B=[1.0] * 30, C=[0.1] * 30))
    assert found["as_of"].dt.day.unique().tolist() == [21, 28]
    last = found[found["as_of"].dt.day == 28].set_index("asset")["value"].to_dict()
    assert last == pytest.approx({"A": 2 / 3, "B": 1 / 3})
    assert (found["known_at"] - found["as_of"] == DAY).all()


@pytest.mark.parametrize("timeframe", ["1d", "1h"])
def test_the_sample_has_them_and_what_was_there_is_as_it_was(timeframe):
    before, after = frames(timeframe), further(*frames(timeframe))
    for old, new in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(
            old.reset_index(drop=True), new.iloc[: len(old)].reset_index(drop=True), check_dtype=False
        )
    tape = sample(timeframe)
    assert set(tape.panel.signals) == {"derived_signal", "derived_regime", "derived_moonshot"}
    assert set(tape.panel.ratings) == {"derived_ta", "derived_quant", "derived_trader", "derived_weight"}
    totals = after[1][after[1]["kind"] == "derived_weight"].groupby("as_of")["value"].sum()
    assert totals.tolist() == pytest.approx([1.0] * len(totals))
