"""Thirty simulated days of the feed against the loopback vendor: late and missing rows, revisions, troubles, quotas and restarts."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from trader.adapters.http import Answer, NoAnswerError
from trader.adapters.payloads import Payloads
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.tokenmetrics import Budget, Manner, TokenMetrics
from trader.adapters.tokenmetrics_feed import TokenMetricsFeed
from trader.adapters.tokenmetrics_plan import Feeding
from trader.loopback.vendor import Published, Quirks, Token, Vendor, ending
from trader.loopback.wire import Request

KEY = "tm-key"
ASSETS = {"BTC/USDT": 3375, "ETH/USDT": 3306, "SOL/USDT": 3988}
START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR_MS = 3_600_000
DAYS = 30


class Simulated:
    """A clock that jumps; whoever waits lets it run on."""

    def __init__(self, at):
        self.at = at

    def now(self):
        return self.at

    def monotonic(self):
        return self.at.timestamp()

    async def sleep(self, seconds):
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class Direct:
    """The vendor without a socket, with troubles drawn from one seed."""

    def __init__(self, vendor, clock, lot, chance):
        self.vendor, self.clock, self.lot, self.chance, self.troubles = vendor, clock, lot, chance, 0

    async def call(self, method, url, headers, body, *, seconds):
        trouble = self.lot.random()
        if trouble < self.chance:
            self.troubles += 1
            if trouble < self.chance / 3:
                raise NoAnswerError("no answer")
            return (
                Answer(503, {}, "<html>") if trouble < self.chance / 2 else Answer(429, {}, '{"message": "slow down"}')
            )
        path, _, query = url.removeprefix("http://vendor").partition("?")
        answer = self.vendor.respond(
            Request(
                method,
                path,
                query,
                {one.lower(): value for one, value in headers.items()},
                "",
            ),
            round(self.clock.now().timestamp() * 1_000),
        )
        return Answer(answer.status, answer.headers, answer.body)

    async def close(self):
        pass


def history(lot):
    """What the vendor publishes in thirty days: some rows late, some never, some revised within a day."""
    rows, trends = [], dict.fromkeys(ASSETS.values(), 1)
    for n in range(-10, DAYS):
        day = (START + timedelta(days=n)).date()
        late = lot.choice([0.1, 0.5, 0.9, 2.0, 5.0])
        for token in ASSETS.values():
            if n >= 0 and lot.random() < 0.06:
                continue  # a gap
            flip = -trends[token] if lot.random() < 0.2 else 0
            trends[token] = flip or trends[token]
            values = {
                "TRADING_SIGNAL": flip,
                "TOKEN_TREND": trends[token],
                "TM_TRADER_GRADE": float(lot.randrange(0, 100)),
            }
            at = ending(day) + round((late + lot.choice([0, 0, 0, 1.5])) * HOUR_MS)
            rows.append(Published("trading-signals", token, day, at, values))
            if lot.random() < 0.15:
                revised = {**values, "TM_TRADER_GRADE": values["TM_TRADER_GRADE"] + 0.5}
                rows.append(Published("trading-signals", token, day, at + 20 * HOUR_MS, revised))
    return rows


def feed(vendor, clock, store, lot, chance=0.15, plan=2_000, endpoints=("trading_signals",), alerts=None, **more):
    wire = Direct(vendor, clock, lot, chance)
    manner = Manner(base="http://vendor", apart_seconds=0.0, pause_seconds=1.0)
    client = TokenMetrics(KEY, clock, Budget(plan, store.spent(), store.keep_spent), manner, wire=wire, lot=Random(1))
    links = []
    one = TokenMetricsFeed(
        client, store, clock, Feeding(ASSETS, endpoints, **more), tell=lambda *link: links.append(link),
        alert=([] if alerts is None else alerts).append,
    )  # fmt: skip
    return one, links, wire


async def live(one, clock, until, lot, *, loses=0.0):
    """Take what the feed yields until an instant; some messages are not acknowledged, as in a crash."""
    got = []
    stream = one.messages()
    while clock.now() < until:
        step = asyncio.ensure_future(anext(stream))
        while not step.done() and clock.now() < until:  # noqa: ASYNC110 - the clock runs on only while others wait
            await asyncio.sleep(0)
        if not step.done():
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
            break
        message = step.result()
        got.append(message)
        if lot.random() >= loses:
            await message.acknowledge()
    await stream.aclose()
    return got


@pytest.mark.parametrize("seed", range(6))
async def test_thirty_days_keep_every_row_once_per_revision_miss_no_flip_and_stay_within_the_plan(seed, tmp_path):
    lot = Random(seed)
    vendor = Vendor(
        KEY, [Token(token, asset[:3], asset[:3]) for asset, token in ASSETS.items()], quirks=Quirks(per_minute=6)
    )
    vendor.publish(history(lot))
    clock, end = Simulated(START), START + timedelta(days=DAYS)
    store, got, lives = RatingsStore(tmp_path / "ratings.db"), [], 0
    while clock.now() < end:
        one, _, _wire = feed(vendor, clock, store, lot)
        lives += 1
        until = min(end, clock.now() + timedelta(hours=lot.choice([7, 30, 80, 200])))
        got += await live(one, clock, until, lot, loses=0.3)
        clock.at += timedelta(hours=lot.choice([0, 0, 3]))
    one, _, _ = feed(vendor, clock, store, lot, chance=0.0)
    got += await live(one, clock, clock.now() + timedelta(hours=1), lot)
    assert lives > 3
    names = {token: asset for asset, token in ASSETS.items()}
    now_ms = round(clock.now().timestamp() * 1_000)
    first = (START - timedelta(days=8)).date()
    # Every row once per revision: all values that were published of a day, in their order.
    published, ever = {}, {}
    for row in sorted(vendor.rows, key=lambda row: row.at_ms):
        if row.day >= first and row.at_ms <= now_ms:
            ever.setdefault((names[row.token], row.day), set()).add(row.values["TM_TRADER_GRADE"])
            if row.at_ms < now_ms - 30 * HOUR_MS:
                published.setdefault((names[row.token], row.day), []).append(row.values["TM_TRADER_GRADE"])
    stored = {}
    for row in store.rows(kind="trader_grade"):
        assert not row.is_provisional
        stored.setdefault((row.asset, row.as_of.date()), []).append(row.value)
        assert row.known_at >= row.as_of + timedelta(days=1), "never before its day was over"
    for name, values in published.items():
        seen = stored.get(name)
        assert seen is not None, f"{name} was missed"
        assert values[-1] in seen or name[1] < START.date(), (name, values, seen)
        assert len(seen) == len(set(seen)), "a value was kept twice"
        assert set(seen) <= ever[name]
    # No flip missed, and each that is handed on is handed on as it is.
    flips = {
        (names[row.token], row.day): row.values["TRADING_SIGNAL"] for row in vendor.rows if row.values["TRADING_SIGNAL"]
    }
    kept = {(row.asset, row.as_of.date()): row.value for row in store.rows(kind="flip")}
    assert {name: value for name, value in flips.items() if name in published} == {
        name: value for name, value in kept.items() if name in published
    }
    # What is handed on: read by the inbox's own reader, kept in the end, and the last trend of each asset is among it.
    assert store.outgoing() == []
    notices = [Payloads().read(message.body) for message in got]
    assert {notice.type for notice in notices} == {"rating", "state", "event"}
    last = {}
    for notice in notices:
        for said in notice.said:
            if said.kind == "trend" and said.as_of >= last.get(said.asset, (START - timedelta(days=99), 0))[0]:
                last[said.asset] = (said.as_of, said.value)
    truth = {asset: max((row.as_of, row.value) for row in store.rows(asset=asset, kind="trend")) for asset in ASSETS}
    assert last == truth
    assert sum(store.spent().values()) < 900, "one poll is one credit; late rows are asked for every quarter of an hour"


async def test_one_publication_is_one_message_and_the_day_that_is_not_over_is_kept_and_not_told(tmp_path):
    vendor = Vendor(KEY, [Token(token, asset[:3], asset[:3]) for asset, token in ASSETS.items()])
    day = date(2024, 3, 1)
    for n, at in ((0, ending(day) + HOUR_MS // 2), (1, ending(day) + 2 * HOUR_MS)):
        for token in ASSETS.values():
            values = {"TRADING_SIGNAL": 1 - n, "TOKEN_TREND": 1, "TM_TRADER_GRADE": 70.0}
            vendor.publish([Published("trading-signals", token, day + timedelta(days=n), at, values)])
    clock, store = Simulated(START + timedelta(days=1, hours=3)), RatingsStore(tmp_path / "ratings.db")
    one, links, _ = feed(vendor, clock, store, Random(1), chance=0.0)
    got = await live(one, clock, clock.now() + timedelta(minutes=1), Random(1))
    assert [json.loads(message.body)["id"].split("-")[:2] for message in got] == [
        ["flip", "20240301"], ["trader_grade", "20240301"], ["trend", "20240301"],
    ]  # fmt: skip
    assert all(len(json.loads(message.body)["signals"]) == 3 for message in got)
    assert {row.is_provisional for row in store.rows() if row.as_of.date() == date(2024, 3, 2)} == {True}
    assert links == [(True, "answers")]
    wanted, _, _ = feed(vendor, clock, RatingsStore(tmp_path / "other.db"), Random(1), chance=0.0, provisional=True)
    got = await live(wanted, clock, clock.now() + timedelta(minutes=1), Random(1))
    assert {json.loads(message.body)["id"].split("-")[1] for message in got} == {"20240301", "20240302"}


async def test_a_wrong_key_stops_the_feed_and_a_spent_quota_makes_it_wait(tmp_path):
    vendor = Vendor("another", [])
    clock, store = Simulated(START), RatingsStore(tmp_path / "ratings.db")
    one, links, _ = feed(vendor, clock, store, Random(1), chance=0.0)
    assert await live(one, clock, START + timedelta(days=3), Random(1)) == []
    assert (len(links), links[0][0], "401" in links[0][1]) == (1, False, True)
    assert sum(store.spent().values()) == 1, "a wrong key is not tried again"
    vendor.key, vendor.quirks, alerts = KEY, Quirks(credits=0), []
    one, links, _ = feed(vendor, clock, store, Random(1), chance=0.0, alerts=alerts)
    await live(one, clock, clock.now() + timedelta(hours=5), Random(1))
    assert (links[0][0], "429" in links[0][1]) == (False, True)
    assert sum(store.spent().values()) < 1 + 4 * 6, "it is asked again every hour, not every minute"
    standing = one.standing()
    assert (standing["state"], "429" in standing["endpoints"]["trading_signals"]) == ("stale-safe", True)
    assert len(alerts) == 1
    vendor.quirks = Quirks()
    await live(one, clock, clock.now() + timedelta(hours=2), Random(1))
    assert one.standing()["state"] == "answers"
    assert [is_up for is_up, _ in links] == [False, True]


async def test_an_endpoint_that_the_plan_does_not_include_is_not_hidden_by_one_that_answers(tmp_path):
    vendor = Vendor(KEY, [], quirks=Quirks(plan=frozenset({"trading-signals"})))
    clock, store = Simulated(START), RatingsStore(tmp_path / "ratings.db")
    alerts, both = [], ("market_metrics", "trading_signals")
    one, links, _ = feed(vendor, clock, store, Random(1), chance=0.0, endpoints=both, alerts=alerts)
    await live(one, clock, START + timedelta(days=2), Random(1))
    standing = one.standing()
    assert standing["state"] == "stopped"
    assert "403" in standing["endpoints"]["market_metrics"]
    assert "asked again" in standing["endpoints"]["trading_signals"]
    assert ([is_up for is_up, _ in links], len(alerts)) == ([False], 1)


async def test_a_flip_that_was_missed_is_kept_and_healed_by_the_trend_and_not_told_as_news(tmp_path):
    vendor = Vendor(KEY, [Token(token, asset[:3], asset[:3]) for asset, token in ASSETS.items()])
    for n in range(5):
        day = date(2024, 3, 1) + timedelta(days=n)
        for token in ASSETS.values():
            values = {
                "TRADING_SIGNAL": -1 if n == 1 else 0,
                "TOKEN_TREND": 1 if n == 0 else -1,
                "TM_TRADER_GRADE": 70.0,
            }
            vendor.publish([Published("trading-signals", token, day, ending(day) + HOUR_MS // 2, values)])
    clock, store = Simulated(START + timedelta(days=5, hours=3)), RatingsStore(tmp_path / "ratings.db")
    one, _, _ = feed(vendor, clock, store, Random(1), chance=0.0)
    got = await live(one, clock, clock.now() + timedelta(minutes=1), Random(1))
    notices = [Payloads().read(message.body) for message in got]
    assert {row.as_of.day for row in store.rows(kind="flip")} == {2}
    assert "event" not in {notice.type for notice in notices}
    newest = max((notice for notice in notices if notice.type == "state"), key=lambda notice: notice.said[0].as_of)
    assert {said.value for said in newest.said} == {-1.0}
