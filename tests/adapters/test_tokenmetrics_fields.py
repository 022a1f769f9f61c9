"""The reader of the vendor's rows: any casing, spelling and form, and what nobody can read is set aside."""

from datetime import UTC, datetime
from random import Random

from hypothesis import given
from hypothesis import strategies as some

from trader.adapters.tokenmetrics_fields import ENDPOINTS, canonical, page_of


def spelt(name, lot):
    """A field's name as the vendor may write it."""
    form = name.lower() if lot.random() < 0.5 else name
    return form.replace("24h", "24_h").replace("24H", "24_h" if form != name else "24h") if lot.random() < 0.5 else form


GOOD = {
    "number": lambda lot: lot.choice([0, 0.0, 12.5, "12.5", " 3 ", "-0.1", None, ""]),
    "whole": lambda lot: lot.choice([0, 1, -1, "1", "-1", 1.0, None]), "text": lambda lot: lot.choice(["x", "", None]),
    "when": lambda lot: lot.choice(["2024-01-02", "2024-01-02T00:00:00.000Z", "2024-01-02 00:00:00", 1_704_153_600, 1_704_153_600_000]),
    "data": lambda lot: lot.choice([[], {}, [1], None]),
}  # fmt: skip
GOOD |= {"percent": GOOD["number"], "fraction": GOOD["number"]}


@given(some.sampled_from(sorted(ENDPOINTS)), some.integers(0, 10**6))
def test_any_casing_spelling_and_form_of_a_value_is_read_alike(endpoint, seed):
    lot, spec = Random(seed), ENDPOINTS[endpoint]
    values = {name: GOOD[kind](lot) for name, kind in spec.fields.items()}
    values |= {"TOKEN_ID": 7} if "TOKEN_ID" in values else {}
    page = page_of(endpoint, [{spelt(name, lot): value for name, value in values.items()}])
    assert page.aside == ()
    (row,) = page.rows
    for name, kind in spec.fields.items():
        if kind in {"number", "percent", "fraction", "whole"} and name != "TOKEN_ID":
            value = values[name]
            assert row.values[name] == (None if value is None or not str(value).strip() else float(value)), name
        if kind == "when":
            assert row.values[name] == datetime(2024, 1, 2, tzinfo=UTC)


json_values = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text(max_size=6)
    | some.lists(some.integers(), max_size=2)
)


@given(
    some.sampled_from(sorted(ENDPOINTS)),
    some.lists(
        some.dictionaries(some.text(max_size=8) | some.sampled_from(["DATE", "TOKEN_ID", "date"]), json_values)
        | json_values,
        max_size=3,
    ),
)
def test_no_row_breaks_the_reader_and_each_is_read_or_set_aside(endpoint, rows):
    page = page_of(endpoint, rows)
    assert len(page.rows) + len(page.aside) <= len(rows) == page.length
    assert len(page.aside) >= sum(not isinstance(one, dict) for one in rows)


def test_an_unknown_field_or_another_type_sets_the_row_aside_with_its_payload():
    good = {
        "DATE": "2024-01-02",
        "TOTAL_CRYPTO_MCAP": 1,
        "TM_GRADE_PERC_HIGH_COINS": "5",
        "TM_GRADE_SIGNAL": 0,
        "LAST_TM_GRADE_SIGNAL": 1,
    }
    odd = {**good, "DATE": "2024-01-03", "MOOD": "fine"}
    wrong = {**good, "DATE": "2024-01-04", "TM_GRADE_SIGNAL": "up"}
    page = page_of("market_metrics", [good, odd, wrong, {**good, "DATE": None}, "text", good])
    assert [row.as_of.day for row in page.rows] == [2]
    assert [one.payload for one in page.aside] == [odd, wrong, {**good, "DATE": None}, "text"]
    assert "MOOD: unknown field" in page.aside[0].why
    assert [row.as_of.day for row in page_of("market_metrics", [odd], allow=["mood"]).rows] == [3]


def test_names_have_one_spelling():
    assert (
        len(
            {
                canonical(one)
                for one in ("TM_GRADE_24h_PCT_CHANGE", "tm_grade_24_h_pct_change", "tm_grade_24h_pct_change")
            }
        )
        == 1
    )
    for spec in ENDPOINTS.values():
        assert len({canonical(name) for name in spec.fields}) == len(spec.fields)


def test_rows_that_were_really_seen_are_read():
    signal = {
        "TOKEN_ID": 3375, "TOKEN_NAME": "Bitcoin", "TOKEN_SYMBOL": "BTC", "DATE": "2025-04-10T00:00:00.000Z", "TRADING_SIGNAL": 0,
        "TOKEN_TREND": -1, "TRADING_SIGNALS_RETURNS": 45098.7035, "HOLDING_RETURNS": 7559.6422, "TM_TRADER_GRADE": 26.48,
        "TM_INVESTOR_GRADE": 58.23, "tm_link": "bitcoin", "TM_LINK": "https://app.tokenmetrics.com/undefined",
    }  # fmt: skip
    grades = {
        "TOKEN_ID": 17528, "TOKEN_NAME": "BTC", "DATE": "2023-10-10", "TA_GRADE": 14.09, "QUANT_GRADE": 35.7,
        "TM_TRADER_GRADE": 18.41, "TM_TRADER_GRADE_24H_PCT_CHANGE": 22.41,
    }  # fmt: skip
    candle = {
        "TOKEN_ID": 3306, "TOKEN_NAME": "Ethereum", "TOKEN_SYMBOL": "ETH", "DATE": "2021-05-02T00:00:00.000Z", "OPEN": 2944.827239,
        "HIGH": 2989.0, "LOW": 2854.18, "CLOSE": 2950.337798, "VOLUME": 138849600.0,
    }  # fmt: skip
    for endpoint, row in (("trading_signals", signal), ("trader_grades", grades), ("daily_ohlcv", candle)):
        page = page_of(endpoint, [row])
        assert (len(page.rows), page.aside) == (1, ()), page.aside
    assert page_of("trading_signals", [signal]).rows[0].as_of == datetime(2025, 4, 10, tzinfo=UTC)
    assert page_of("trader_grades", [grades]).rows[0].values["TM_TRADER_GRADE_24H_PCT_CHANGE"] == 22.41
