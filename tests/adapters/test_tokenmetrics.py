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
        seconds = 1.5 if rules else 10.0  # short only where something may be lost: a slow machine loses nothing
        manner = {"apart_seconds": 0.0, "seconds": seconds, **manner}
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
        assert one.days * max(len(one.ids), 1) < limit
        seen += [(token, one.since + timedelta(days=n)) for token in one.ids or (0,) for n in range(one.days)]
    wanted = {(token, since + timedelta(days=n)) for token in ids or {0} for n in range(days + 1)}
    assert len(seen) == len(set(seen))
    assert set(seen) == wanted
