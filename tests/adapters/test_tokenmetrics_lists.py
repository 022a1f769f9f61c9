"""Moonshots, holdings and hours as observations: whose they are, what unit they have, when they begin, end and are known."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from trader.adapters.tokenmetrics_fields import page_of
from trader.adapters.tokenmetrics_lists import holdings_of, moonshots_of, names_of
from trader.adapters.tokenmetrics_plan import Feeding, PlanError, check_plan
from trader.adapters.tokenmetrics_signals import FED, SAID, STEPS, observations_of, position_in, unread_positions
from trader.core.observations import EVENT, Observation

NOW = datetime(2024, 3, 10, 12, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ASSETS = {3375: "BTC/USDT", 3306: "ETH/USDT", 3988: "SOL/USDT"}
TOKENS = [(3375, "Bitcoin", "BTC"), (3306, "Ethereum", "ETH"), (3988, "Solana", "SOL"), (17528, "batcat", "BTC")]


def names(tokens=TOKENS):
    rows = [{"TOKEN_ID": token, "TOKEN_NAME": name, "TOKEN_SYMBOL": symbol} for token, name, symbol in tokens]
    return names_of(page_of("tokens", rows).rows)


def moonshot(name, symbol, begin, end=None, **more):
    row = {"TOKEN_NAME": name, "TOKEN_SYMBOL": symbol, "MOONSHOT_AT": begin.isoformat(), "TM_TRADER_GRADE": "71.5"}
    return {**row, "MOONSHOT_END_AT": None if end is None else end.isoformat(), **more}


def heard(active, past=None, standing=None, known=None, absent=None, now=NOW):
    found = moonshots_of(
        page_of("moonshots", active), None if past is None else page_of("moonshots", past), names() if known is None else known,
        ASSETS, standing or {}, now=now, absent=set() if absent is None else absent,
    )  # fmt: skip
    return [(one.asset, one.as_of, one.value) for one in found.said], [one.why for one in found.aside]


def state(asset, as_of, value):
    return {asset: Observation("tokenmetrics", "moonshot", "state", asset, as_of, value, as_of, as_of)}


def test_a_moonshot_is_ours_by_name_and_symbol_and_never_by_its_ticker_alone():
    begin = NOW - HOUR
    rows = [moonshot(" bitcoin ", "btc", begin), moonshot("batcat", "BTC", begin), moonshot("Ethereum", "ETHX", begin),
            moonshot("Doge", "DOGE", begin), moonshot("", "SOL", begin)]  # fmt: skip
    said, aside = heard(rows)
    assert said == [("BTC/USDT", begin, 1.0)]
    assert [why.rpartition(": ")[2] for why in aside] == [
        "BTC/USDT has this symbol and another name",
        "no mapped asset has this name and symbol",
        "no mapped asset has this name and symbol",
        "SOL/USDT has this symbol and another name",
    ]


def test_two_tokens_of_one_name_and_symbol_are_not_told_apart_by_guessing():
    said, aside = heard([moonshot("Solana", "SOL", NOW - HOUR)], known=names([*TOKENS, (4, "Solana", "SOL")]))
    assert said == []
    assert "2 tokens have this name and symbol (4, 3988)" in aside[0]
    by_id = [moonshot("Solana", "SOL", NOW - HOUR, TOKEN_ID=3988), moonshot("Solana", "SOL", NOW - HOUR, TOKEN_ID=4)]
    said, aside = heard(by_id, known=names([*TOKENS, (4, "Solana", "SOL")]))
    assert [one[0] for one in said] == ["SOL/USDT"]
    assert "token 4 is not mapped" in aside[0]


def test_a_moonshot_is_on_from_its_begin_and_off_from_its_end():
    begin, end = NOW - 3 * DAY, NOW - 2 * HOUR
    on = state("BTC/USDT", begin, 1.0)
    assert heard([moonshot("Bitcoin", "BTC", begin)], standing=on)[0] == [], "what is known is no news"
    assert heard([], [moonshot("Bitcoin", "BTC", begin, end)], on)[0] == [("BTC/USDT", end, 0.0)]
    assert heard([moonshot("Bitcoin", "BTC", begin, end)], standing=on)[0] == [("BTC/USDT", end, 0.0)]
    assert heard([moonshot("Bitcoin", "BTC", begin, NOW + HOUR)], standing=on)[0] == []
    assert heard([moonshot("Bitcoin", "BTC", NOW + HOUR)])[0] == [], "it has not begun"
    late = heard([], [moonshot("Bitcoin", "BTC", begin, NOW - 2 * DAY)], on)[0]
    assert late == [("BTC/USDT", NOW, 0.0)], (
        "an end that is long over is news of now, or it would be too old to be taken"
    )
    again = heard([moonshot("Bitcoin", "BTC", NOW - HOUR)], standing=state("BTC/USDT", end, 0.0))[0]
    assert again == [("BTC/USDT", NOW - HOUR, 1.0)]
    back = heard([moonshot("Bitcoin", "BTC", begin)], standing=state("BTC/USDT", end, 0.0))[0]
    assert back == [("BTC/USDT", NOW, 1.0)], "it is listed again although it was over: since now"
    earlier = [moonshot("Bitcoin", "BTC", begin - 9 * DAY, begin - 2 * DAY)]
    assert heard([], earlier, on)[0] == [], "the end of an earlier one ends no later one"


def test_what_left_the_list_without_an_end_is_over_when_it_is_missing_twice():
    on, absent = state("BTC/USDT", NOW - DAY, 1.0), set()
    assert heard([], [], on, absent=absent)[0] == []
    assert heard([{"TOKEN_NAME": 5}], [], on, absent=absent)[0] == [], (
        "an answer that could not be read shows no absence"
    )
    assert heard([], [], on, absent=absent)[0] == [("BTC/USDT", NOW, 0.0)]
    absent = set()
    assert heard([], [], on, absent=absent)[0] == []
    assert heard([moonshot("Bitcoin", "BTC", NOW - DAY)], [], on, absent=absent)[0] == []
    assert heard([], [], on, absent=absent)[0] == [], "it was there in between"


# Weights


def holdings(weights, at=datetime(2024, 3, 10, tzinfo=UTC), unit="percent", standing=None):
    rows = [
        {"TOKEN_ID": token, "TOKEN_NAME": f"N{token}", "TOKEN_SYMBOL": "S", "WEIGHT": weight, "DATE": at.isoformat()}
        for token, weight in weights.items()
    ]
    found = holdings_of(
        page_of("indices_holdings", rows), 5, "index_weight", ASSETS, standing or {}, unit=unit, now=NOW
    )
    return {one.asset: one.value for one in found.said}, found


def test_weights_are_shares_whatever_unit_they_come_in():
    assert holdings({3375: 60.0, 3306: 40})[0] == pytest.approx({"BTC/USDT": 0.6, "ETH/USDT": 0.4})
    assert holdings({3375: 0.6, 3306: "0.4"}, unit="fraction")[0] == pytest.approx({"BTC/USDT": 0.6, "ETH/USDT": 0.4})
    (one, _) = holdings({3375: 60.0, 3306: 40})[1].said
    assert (one.type, one.as_of, one.known_at, one.is_provisional) == (
        "rating",
        NOW.replace(hour=0, minute=0),
        NOW,
        False,
    )


@pytest.mark.parametrize(
    ("weights", "unit", "help_"),
    [
        ({3375: 0.6, 3306: 0.4}, "percent", "that is a fraction: say weight_unit: fraction"),
        ({3375: 60, 3306: 40}, "fraction", "that is percent: say weight_unit: percent"),
        ({3375: 60, 3306: 30}, "percent", "neither percent nor a fraction"),
        ({3375: 110, 3306: -10}, "percent", "neither percent nor a fraction"),
        ({3375: None, 3306: 90}, "percent", "neither percent nor a fraction"),
    ],
)
def test_a_sum_that_does_not_fit_the_unit_refuses_all_of_them(weights, unit, help_):
    shares, found = holdings(weights, unit=unit)
    assert shares == {}
    assert help_ in found.aside[0].why


def test_what_the_index_holds_no_longer_gets_nothing_and_strangers_are_named_with_their_weight():
    day = datetime(2024, 3, 9, tzinfo=UTC)
    before = {
        asset: Observation("tokenmetrics", "index_weight", "rating", asset, day, value, day, day)
        for asset, value in (("ETH/USDT", 0.5), ("SOL/USDT", 0.0))
    }
    shares, found = holdings({3375: 75, 42: 25}, standing=before)
    assert shares == {"BTC/USDT": 0.75, "ETH/USDT": 0.0}
    assert "index 5 holds 25.00% of N42 (S, token 42), which is not mapped" in found.aside[0].why
    again = holdings({3375: 70, 42: 30}, standing=before)[1]
    assert again.aside[0].payload == found.aside[0].payload, "the same stranger is named once, whatever its weight"
    assert holdings({3375: 100}, at=day - DAY, standing=before)[0] == {}, "an older publication changes nothing"


@given(
    some.dictionaries(some.sampled_from([3375, 3306, 3988, 42, 43]), some.floats(0.01, 50), min_size=1), some.booleans()
)
def test_shares_of_ours_and_of_strangers_are_the_whole(parts, is_percent):
    whole, total = (100.0 if is_percent else 1.0), sum(parts.values())
    shares, found = holdings(
        {one: part / total * whole for one, part in parts.items()}, unit="percent" if is_percent else "fraction"
    )
    strange = sum(part for one, part in parts.items() if one not in ASSETS) / total
    assert sum(shares.values()) + strange == pytest.approx(1.0)
    assert len(found.aside) == sum(one not in ASSETS for one in parts)


# Hours


def hour(at, token=3375, **values):
    row = {"TOKEN_ID": token, "TOKEN_NAME": "Bitcoin", "TOKEN_SYMBOL": "BTC", "TIMESTAMP": at.isoformat(), "CLOSE": 1.5}
    return {**row, "SIGNAL": "0", "POSITION": "1", **values}


def observed(endpoint, rows, now=NOW, **more):
    found = page_of(endpoint, rows)
    assert not found.aside, found.aside
    return observations_of(found.rows, ASSETS, observed_at=now, lag=timedelta(0), is_history=False, **more)


def test_an_hour_is_final_when_it_is_over_and_zero_is_no_flip():
    over, running = NOW.replace(minute=0) - HOUR, NOW.replace(minute=0)
    found = observed("hourly_trading_signals", [hour(running, SIGNAL="-1", POSITION="-1"), hour(over)])
    assert [(one.kind, one.as_of, one.value, one.is_provisional) for one in found] == [
        ("hourly_flip", running, -1.0, True), ("hourly_trend", running, -1.0, True), ("hourly_trend", over, 1.0, False),
    ]  # fmt: skip
    said = observed(
        "sentiments", [{"DATETIME": over.isoformat(), "MARKET_SENTIMENT_GRADE": "40", "NEWS_SENTIMENT_GRADE": None}]
    )
    assert [(one.asset, one.kind, one.value) for one in said] == [("MARKET", "sentiment", 40.0)]


@pytest.mark.parametrize(
    ("how", "read"),
    [("plain", [-1.0, 0.0, 1.0, None, None]), ("binary", [None, -1.0, 1.0, None, None]), ("unused", [None] * 5)],
)
def test_a_position_is_read_as_it_is_configured(how, read):
    assert [position_in(value, how) for value in (-1, 0, 1, 2, None)] == read
    rows = page_of(
        "hourly_trading_signals", [hour(NOW - n * HOUR, POSITION=value) for n, value in enumerate(("-1", "0", "2"))]
    ).rows
    count = {"plain": 1, "binary": 2, "unused": 0}[how]
    assert len(unread_positions(rows, how)) == count


def test_what_tells_how_things_stand_describes_its_date_or_the_instant_of_asking():
    (now,) = observed("tm_grade", [{"TOKEN_ID": 3375, "TM_GRADE": "55.5", "TM_GRADE_SIGNAL": "Buy"}])
    assert (now.kind, now.as_of, now.value, now.is_provisional) == ("tm_grade_now", NOW, 55.5, False)
    (dated,) = observed("technology_grade", [{"TOKEN_ID": 3375, "TECHNOLOGY_GRADE": 70, "DATE": "2024-03-10"}])
    assert (dated.kind, dated.as_of.day, dated.is_provisional) == ("technology_grade_now", 10, False)
    old = {"TOKEN_ID": 3375, "FUNDAMENTAL_GRADE": 70, "DATE": "2024-03-01"}
    assert observed("fundamental_grade", [old])[0].as_of.day == 1, "a batch that stands still is not made younger"
    assert {
        one.kind
        for one in observed("quantmetrics", [{"TOKEN_ID": 3375, "DATE": "2024-03-10", "SHARPE": 1.5, "CAGR": ""}])
    } == {"sharpe"}


def test_no_kind_is_said_by_endpoints_of_different_periods_and_steps_are_theirs():
    assert STEPS["hourly_trend"] == HOUR
    assert STEPS["trend"] == DAY
    assert not {"flip", "hourly_flip", "moonshot", "tm_grade_now"} & set(STEPS)
    current = {
        kind
        for one in ("tm_grade", "technology_grade", "fundamental_grade", "quantmetrics")
        for kind, _ in SAID[one].values()
    }
    assert not current & set(STEPS)
    assert {type_ for fields in SAID.values() for kind, type_ in fields.values() if kind.endswith("flip")} == {EVENT}


# What it costs

THIRTY = {f"A{n}/USDT": n for n in range(1, 31)}


def test_thirty_tokens_by_the_hour_take_a_larger_plan():
    feeding = Feeding(THIRTY, ["hourly_trading_signals"])
    assert check_plan(feeding, 21_600) == 21_600
    with pytest.raises(PlanError) as raised:
        check_plan(feeding, 10_000)
    for part in (
        "21,600 credits a month",
        "includes 10,000",
        "30 tokens hourly = 21,600 a month",
        "polls: {hourly_trading_signals: 2h}",
    ):
        assert part in str(raised.value)


def test_credits_of_a_month_are_those_of_the_polls():
    figures = {
        "hourly_trading_signals": 2 * 720, "sentiments": 720, "moonshots": 720 + 60, "indices_holdings": 2 * 30, "market_metrics": 30,
        "trading_signals": 30, "tm_grade": 30, "quantmetrics": 30,
    }  # fmt: skip
    feeding = Feeding({"A/USDT": 1, "B/USDT": 2}, list(figures), indices={"x": 1, "y": 2})
    assert {one: feeding.monthly(one) for one in figures} == figures
    rarely = Feeding(
        THIRTY, ["hourly_trading_signals", "moonshots"], polls={"hourly_trading_signals": 4 * HOUR, "moonshots": DAY}
    )
    assert check_plan(rarely, 5_490) == 30 * 6 * 30 + 30 + 60
    assert Feeding({f"A{n}": n for n in range(1, 101)}, []).requests("tm_grade") == 2
    assert Feeding({f"A{n}": n for n in range(1, 101)}, []).requests("trading_signals") == 4, (
        "33 tokens of three days each"
    )


@given(
    some.sampled_from(FED),
    some.integers(0, 366 * 86_400),
    some.booleans(),
    some.integers(1, 200),
)
def test_the_next_poll_is_later_and_no_slot_is_left_out(endpoint, seconds, is_there, hours):
    at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    feeding = Feeding({"A": 1}, [endpoint], polls={endpoint: hours * HOUR})
    after = feeding.next(endpoint, at, is_there=is_there)
    assert at < after <= at + hours * HOUR
    assert feeding.slot(endpoint, after) >= feeding.slot(endpoint, at)
    if is_there:
        assert feeding.slot(endpoint, after) == after == feeding.slot(endpoint, at) + hours * HOUR
    assert feeding.expected(endpoint, at) < at


def test_weekly_polls_fall_on_mondays():
    feeding = Feeding({"A": 1}, ["indices_holdings"], polls={"indices_holdings": 7 * DAY})
    assert feeding.next("indices_holdings", NOW, is_there=True) == datetime(2024, 3, 11, 1, tzinfo=UTC)


def test_nothing_is_said_of_an_asset_that_is_left_out():
    """It may be doubtful for a day: no list says that it is over, or a bot would sell it."""
    on, absent = state("ADA/USDT", NOW - DAY, 1.0), set()
    for _ in range(3):
        assert heard([], [], on, absent=absent)[0] == []
    day = datetime(2024, 3, 9, tzinfo=UTC)
    before = {"ADA/USDT": Observation("tokenmetrics", "index_weight", "rating", "ADA/USDT", day, 0.5, day, day)}
    assert holdings({3375: 75, 42: 25}, standing=before)[0] == {"BTC/USDT": 0.75}
