"""The client against the loopback vendor over real sockets: every shape, every fault, and never "no data" by accident."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from trader.adapters import tokenmetrics as api
from trader.adapters.http import Answer
from trader.adapters.tokenmetrics import Budget, Manner, TokenMetrics, credits_of, windows
from trader.adapters.tokenmetrics_fields import ENDPOINTS, canonical, page_of
from trader.asset_map import check
from trader.loopback.faults import Fault, Faults
from trader.loopback.server import LoopbackServer, VenueClock
from trader.loopback.vendor import Published, Quirks, Token, Vendor, ending
from trader.vendor_settings import TokenChoice

KEY = "tm-00000000-0000-0000-0000-000000000001"
TOKENS = [
    Token(3375, "BTC", "Bitcoin"),
    Token(3306, "ETH", "Ethereum"),
    Token(17528, "BTC", "batcat"),
    Token(22600, "ETH", "other"),
]
FIRST = date(2024, 1, 1)
BOTH = pytest.mark.parametrize("version", ["v2", "v3"])


class Now:
    """A clock that stands where it is put; waiting takes no time and is noted."""

    def __init__(self, at=datetime(2024, 6, 1, tzinfo=UTC)):
        self.at, self.seconds, self.waited = at, 0.0, []

    def now(self):
        return self.at

    def monotonic(self):
        return self.seconds

    async def sleep(self, seconds):
        self.waited.append(seconds)
        self.seconds += seconds


def signals(token, days, first=FIRST):
    """Daily signals whose trend is the last flip."""
    trend, found = 0, []
    for n in range(days):
        day = first + timedelta(days=n)
        flip = 1 if n % 14 == 3 else -1 if n % 14 == 10 else 0
        trend = flip or trend
        values = {
            "TRADING_SIGNAL": flip, "TOKEN_TREND": trend, "TRADING_SIGNALS_RETURNS": 0.5, "HOLDING_RETURNS": 0.25,
            "TM_TRADER_GRADE": None if n % 9 == 0 else 50.0 + n % 40, "TM_INVESTOR_GRADE": 60.0, "TM_LINK": "x",
        }  # fmt: skip
        found.append(Published("trading-signals", token, day, ending(day), values))
    return found


@asynccontextmanager
async def vendor(*rules, version="v2", quirks=None, plan=10_000, **manner):
    made = Vendor(KEY, TOKENS, quirks=quirks or Quirks())
    made.publish(signals(3375, 120))
    made.publish(signals(3306, 120))
    clock = VenueClock(wall=lambda: datetime(2024, 6, 1, tzinfo=UTC).timestamp())
    async with LoopbackServer(made, clock, Faults([Fault(**one) for one in rules])) as server:
        now = Now()
        manner = {"apart_seconds": 0.0, "seconds": 0.5, **manner}
        client = TokenMetrics(KEY, now, Budget(plan), Manner(version=version, base=server.url, **manner), lot=Random(1))
        try:
            yield made, client, now
        finally:
            await client.close()
            assert not made.unknown, made.unknown


async def rows_of(client, ids, since, until, endpoint="trading_signals"):
    return [row async for _, page in client.history(endpoint, ids, since, until) for row in page.rows]


@BOTH
async def test_a_history_is_whole_once_and_typed(version):
    async with vendor(version=version) as (made, client, _):
        found = await rows_of(client, [3375, 3306], FIRST, FIRST + timedelta(days=119))
        assert len(found) == len({row.key for row in found}) == 240
        assert {row.token_id for row in found} == {3375, 3306}
        one = next(row for row in found if row.token_id == 3375 and row.as_of == datetime(2024, 1, 4, tzinfo=UTC))
        assert (one.values["TRADING_SIGNAL"], one.values["TOKEN_TREND"], one.values["HOLDING_RETURNS"]) == (1, 1, 0.25)
        assert (
            next(row for row in found if row.as_of == datetime(2024, 1, 1, tzinfo=UTC)).values["TM_TRADER_GRADE"]
            is None
        )
        assert client.budget.spent == {"2024-06": 4} == made.spent
        assert credits_of([3375, 3306], FIRST, FIRST + timedelta(days=119)) == 4


@BOTH
async def test_the_latest_rows_and_a_list_with_several_tokens_of_one_ticker(version):
    async with vendor(version=version, limit=3) as (_, client, _now):
        listed = await client.listed("tokens")
        assert [row.token_id for row in listed.rows] == [3375, 3306, 17528, 22600]
        assert [row.token_id for row in (await client.latest("tokens", symbol="BTC")).rows] == [3375, 17528]
        latest = await client.latest("trading_signals", token_id="3375,3306")
        assert {row.as_of for row in latest.rows} == {datetime(2024, 4, 29, tzinfo=UTC)}


async def test_paging_that_repeats_itself_is_an_error_and_no_endless_list():
    async with vendor(quirks=Quirks(pages="repeat"), limit=2) as (_, client, _now):
        with pytest.raises(api.SaidNoError, match="paging does not work"):
            await client.listed("tokens")


async def test_a_full_answer_is_an_error_because_there_may_be_more():
    async with vendor(limit=4) as (_, client, _now):
        with pytest.raises(api.FullPageError):
            await client.latest("tokens")


ANSWERS = [
    (401, api.WrongKeyError), (402, api.PaymentError), (403, api.NotInPlanError), (404, api.NotThereError),
    (422, api.BadQuestionError), (400, api.BadQuestionError),
]  # fmt: skip


async def test_a_vendor_that_answers_for_more_tokens_than_were_asked_for_confuses_no_asset():
    async with vendor(quirks=Quirks(ignores_ids=True)) as (made, client, _now):
        cost = {3375: 61_000.0, 3306: 3_400.0, 17528: 0.001, 22600: 0.002}
        made.publish(
            [Published("price", token, FIRST, ending(FIRST), {"CURRENT_PRICE": one}) for token, one in cost.items()]
        )
        rows = await check({"BTC/USDT": TokenChoice(id=3375)}, client, {}, within=0.03)
    assert [(one.name, one.price, one.problems) for one in rows] == [("Bitcoin", 61_000.0, [])]


@pytest.mark.parametrize(("status", "error"), ANSWERS)
async def test_a_refusal_has_its_own_error_and_is_not_tried_again(status, error):
    rule = {"on": "GET /trading-signals", "do": "status_before", "status": status}
    async with vendor(rule) as (_, client, now):
        with pytest.raises(error) as raised:
            await client.latest("trading_signals", token_id=3375)
        assert (raised.value.status, now.waited, client.budget.spent) == (status, [], {"2024-06": 1})
        assert KEY not in str(raised.value)


PASSING = [
    {"do": "status_before", "status": 503}, {"do": "html", "status": 502}, {"do": "truncated"}, {"do": "empty"},
    {"do": "reset_before"}, {"do": "lost_request", "seconds": 2}, {"do": "status_before", "status": 429},
]  # fmt: skip


@pytest.mark.parametrize("fault", PASSING, ids=lambda one: one["do"] + str(one.get("status", "")))
async def test_what_passes_is_tried_again_with_growing_pauses_and_then_is_an_error(fault):
    async with vendor({"on": "GET /trading-signals", "nth": 1, **fault}) as (_, client, now):
        assert (await client.latest("trading_signals", token_id=3375)).rows
        assert [1.0 <= one <= 2.0 for one in now.waited] == [True]
    async with vendor({"on": "GET /trading-signals", **fault}) as (_, client, now):
        with pytest.raises((api.VendorDownError, api.QuotaError)):
            await client.latest("trading_signals", token_id=3375)
        assert [low <= one <= high for one, (low, high) in zip(now.waited, ((1, 2), (2, 4), (4, 8)), strict=True)] == [
            True
        ] * 3
        assert client.budget.spent == {"2024-06": 4}


async def test_a_quota_says_how_long_to_wait_and_ours_is_spent_before_theirs():
    async with vendor(quirks=Quirks(per_minute=1, retry_after=30)) as (_, client, now):
        assert (await client.latest("trading_signals", token_id=3375)).rows
        with pytest.raises(api.QuotaError) as raised:
            await client.latest("trading_signals", token_id=3375)
        assert raised.value.after == 30
        assert all(30 <= one <= 33 for one in now.waited)
    async with vendor(plan=2) as (made, client, _now):
        for _ in range(2):
            await client.latest("trading_signals", token_id=3375)
        with pytest.raises(api.OutOfCreditsError, match="2 credits of 2024-06 are spent"):
            await client.latest("trading_signals", token_id=3375)
        assert made.spent == {"2024-06": 2}


async def test_a_wrong_key_and_an_endpoint_that_a_version_lacks():
    async with vendor() as (made, client, _now):
        made.key = "another"
        with pytest.raises(api.WrongKeyError):
            await client.latest("trading_signals", token_id=3375)
    async with vendor(version="v3") as (_, client, _now):
        with pytest.raises(api.NotThereError, match="does not exist in v3"):
            await client.latest("trader_grades", token_id=3375)
        with pytest.raises(ValueError, match="needs token_id"):
            await client.latest("price")


class Scripted:
    """A wire that answers what a test wants."""

    def __init__(self, status, body):
        self.status, self.body = status, body

    async def call(self, method, url, headers, body, *, seconds):
        return Answer(self.status, {}, self.body)

    async def close(self):
        pass


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"success": false, "message": "no"}', api.SaidNoError), ('{"success": "true", "data": []}', api.SaidNoError),
        ('{"data": []}', api.SaidNoError), ('{"success": true}', api.VendorDownError), ("[]", api.VendorDownError),
        ('{"success": true, "data": {}}', api.VendorDownError), ("null", api.VendorDownError), ("", api.VendorDownError),
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_data_is_an_error(body, error):
    client = TokenMetrics(KEY, Now(), Budget(100), wire=Scripted(200, body))
    with pytest.raises(error):
        await client.latest("market_metrics")


async def test_nothing_found_is_no_error():
    client = TokenMetrics(KEY, Now(), Budget(100), wire=Scripted(200, '{"success": true, "length": 0, "data": []}'))
    assert (await client.latest("market_metrics")).rows == ()


async def test_the_vendors_text_never_shows_the_key():
    client = TokenMetrics(KEY, Now(), Budget(100), wire=Scripted(401, json.dumps({"message": f"bad key {KEY}"})))
    with pytest.raises(api.WrongKeyError) as raised:
        await client.latest("market_metrics")
    assert KEY not in repr(raised.value) + str(raised.value)


@pytest.mark.parametrize(
    "quirks", [Quirks(over_span="truncate"), Quirks(limit_max=50), Quirks(over_limit="refuse"), Quirks(bare_dates=True)]
)
async def test_what_nobody_knows_of_the_vendor_changes_no_history(quirks):
    async with vendor(quirks=quirks, limit=min(quirks.limit_max, 100)) as (_, client, _now):
        found = await rows_of(client, [3375, 3306], FIRST, FIRST + timedelta(days=69))
        assert len(found) == 140


async def test_a_revision_and_the_day_that_is_not_over_are_seen_when_they_are_there():
    async with vendor() as (made, client, _now):
        day = date(2024, 4, 1)
        at = round(datetime(2024, 5, 1, tzinfo=UTC).timestamp() * 1_000)
        later = round(datetime(2024, 7, 1, tzinfo=UTC).timestamp() * 1_000)
        for when, grade in ((at, 11.0), (later, 12.0)):
            made.publish(
                [
                    Published(
                        "trading-signals", 3375, day, when, {**signals(3375, 1)[0].values, "TM_TRADER_GRADE": grade}
                    )
                ]
            )
        (row,) = await rows_of(client, [3375], day, day)
        assert row.values["TM_TRADER_GRADE"] == 11.0


# Rows


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


@given(
    some.sets(some.integers(1, 50), max_size=12),
    some.dates(date(2020, 1, 1), date(2024, 1, 1)),
    some.integers(0, 400),
    some.integers(2, 100),
)
def test_windows_cover_every_day_of_every_token_once_and_no_answer_can_be_full(ids, since, days, limit):
    until = since + timedelta(days=days)
    seen = []
    for one in windows(ids, since, until, limit=limit):
        assert one.days <= 30
        assert len(one.ids) <= 1 or one.days * len(one.ids) < limit
        seen += [(token, one.since + timedelta(days=n)) for token in one.ids or (0,) for n in range(one.days)]
    wanted = {(token, since + timedelta(days=n)) for token in ids or {0} for n in range(days + 1)}
    assert len(seen) == len(set(seen))
    assert set(seen) == wanted


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
