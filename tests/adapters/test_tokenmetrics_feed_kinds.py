"""Thirty simulated days of the feed on what is not daily: hours, moonshots, an index, sentiment, and how things stand now."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from tests.adapters.test_tokenmetrics_feed import ASSETS, KEY, START, Direct, Simulated, live
from tests.services.parts import full
from trader.adapters.payloads import Payloads
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.tokenmetrics import Budget, Manner, TokenMetrics
from trader.adapters.tokenmetrics_feed import TokenMetricsFeed
from trader.adapters.tokenmetrics_plan import Feeding, check_plan
from trader.loopback.vendor import Published, Quirks, Token, Vendor

NAMES = {token: asset for asset, token in ASSETS.items()}
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
DAYS, INDEX, STRANGER, DECOY = 30, 7, 42, 17528
TOKENS = [
    Token(3375, "BTC", "Bitcoin"), Token(3306, "ETH", "Ethereum"), Token(3988, "SOL", "Solana"), Token(DECOY, "BTC", "batcat"),
    Token(STRANGER, "STR", "Stranger"),
]  # fmt: skip
ENDPOINTS = ["hourly_trading_signals", "moonshots", "indices_holdings", "sentiments", "tm_grade", "market_metrics"]
PLAN = 6_000


def ms(at):
    return round(at.timestamp() * 1_000)


def hours(lot, trouble):
    """Signals of each hour from five days before: some late, some never, some revised."""
    found = []
    for token in ASSETS:
        trend = 1
        for n in range(-5 * 24, DAYS * 24):
            at = START + n * HOUR
            flip = -trend if lot.random() < 0.05 else 0
            trend = flip or trend
            if trouble and lot.random() < 0.02:
                continue
            late = lot.choice([2, 2, 2, 3, 12, 70]) if trouble else 2
            values = {"SIGNAL": flip, "POSITION": trend, "CLOSE": 100.0 + n}
            seen = at + HOUR + late * MINUTE
            found.append(Published("hourly-trading-signals", ASSETS[token], at.date(), ms(seen), values, hour=at))
            if trouble and lot.random() < 0.01:
                revised = {**values, "POSITION": -trend}
                found.append(
                    Published("hourly-trading-signals", ASSETS[token], at.date(), ms(seen + 2 * HOUR), revised, hour=at)
                )
    return found


def moonshots(lot):
    """Picks of ours, of a token with Bitcoin's ticker and of a stranger; each is over days before the next of its token."""
    found, spans = [], {}
    for token in (*NAMES, DECOY, STRANGER):
        at = START + lot.randrange(1, 60) * HOUR
        while at < START + 27 * DAY:
            end = at + lot.randrange(30, 150) * HOUR
            values = {"MOONSHOT_AT": at.isoformat(), "MOONSHOT_END_AT": None, "MARKET_CAP": 1e6, "MOONSHOT_ROI": 0.1}
            found.append(Published("moonshot-tokens", token, at.date(), ms(at), values, hour=at))
            over = {**values, "MOONSHOT_END_AT": end.isoformat()}
            found.append(Published("moonshot-tokens", token, at.date(), ms(end), over, hour=at))
            spans.setdefault(token, []).append((at, end))
            at = end + lot.randrange(60, 200) * HOUR
    return found, spans


def index(lot):
    """Daily holdings in percent: one to three of ours, and a stranger."""
    found, truth = [], {}
    for n in range(DAYS):
        at = START + n * DAY
        members = [*sorted(lot.sample(sorted(NAMES), lot.randrange(1, 4))), STRANGER]
        parts = [lot.randrange(1, 100) for _ in members]
        weights = {token: 100.0 * part / sum(parts) for token, part in zip(members, parts, strict=True)}
        truth[at] = weights
        found += [
            Published("indices-holdings", token, at.date(), ms(at + 30 * MINUTE), {"WEIGHT": weight}, index=INDEX)
            for token, weight in weights.items()
        ]
    return found, truth


def market(lot):
    """Sentiment of each hour, a grade of each day without a date, and a regime that turns."""
    found, state = [], 1
    for n in range(-24, DAYS * 24):
        at = START + n * HOUR
        values = {"MARKET_SENTIMENT_GRADE": float(lot.randrange(0, 100)), "MARKET_SENTIMENT_LABEL": "neutral"}
        found.append(Published("sentiments", 0, at.date(), ms(at + HOUR + 2 * MINUTE), values, hour=at))
    for n in range(-3, DAYS):
        at = START + n * DAY
        flip = -state if lot.random() < 0.2 else 0
        state = flip or state
        values = {"TM_GRADE_SIGNAL": flip, "LAST_TM_GRADE_SIGNAL": state, "TM_GRADE_PERC_HIGH_COINS": 40.0}
        found.append(Published("market-metrics", 0, at.date(), ms(at + DAY + 20 * MINUTE), values))
        found += [
            Published("tm-grade", token, START.date(), ms(at), {"TM_GRADE": float(lot.randrange(0, 100))})
            for token in NAMES
        ]
    return found


def feed(vendor, clock, store, lot, *, chance, warned, **more):
    wire = Direct(vendor, clock, lot, chance)
    manner = Manner(base="http://vendor", apart_seconds=0.0, pause_seconds=1.0, limit=more.pop("limit", 100))
    client = TokenMetrics(KEY, clock, Budget(PLAN, store.spent(), store.keep_spent), manner, wire=wire, lot=Random(1))
    feeding = Feeding(ASSETS, more.pop("endpoints", ENDPOINTS), indices={"index_weight": INDEX}, **more)
    assert check_plan(feeding, PLAN) <= PLAN
    return TokenMetricsFeed(client, store, clock, feeding, warn=warned.append)


@full
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(2))
async def test_thirty_days_keep_all_of_it_once_and_stay_within_the_plan(seed, tmp_path):
    lot = Random(seed)
    vendor = Vendor(KEY, TOKENS, quirks=Quirks(credits=PLAN))
    (picks, spans), (lists, weights) = moonshots(lot), index(lot)
    for rows in (hours(lot, trouble=True), picks, lists, market(lot)):
        vendor.publish(rows)
    clock, end = Simulated(START), START + DAYS * DAY
    store, got, warned, lives, away = RatingsStore(tmp_path / "ratings.db"), [], [], 0, timedelta(0)
    while clock.now() < end:
        one = feed(vendor, clock, store, lot, chance=0.05, warned=warned, limit=30)
        lives += 1
        got += await live(one, clock, min(end, clock.now() + lot.choice([9, 50, 120, 200]) * HOUR), lot, loses=0.1)
        pause = lot.choice([0, 1, 3]) * HOUR
        clock.at += pause
        away += pause
    got += await live(feed(vendor, clock, store, lot, chance=0.0, warned=warned), clock, clock.now() + HOUR, lot)
    notices = [Payloads().read(message.body) for message in got]
    assert store.outgoing() == []
    hours_are_kept(vendor, store, clock.now())
    flips_are_told_while_they_are_news(notices, store)
    picks_begin_and_end(store, spans, notices)
    lists_are_whole(store, weights)
    regime_and_grades(vendor, store)
    strangers = Counter(
        json.loads(row.payload).get("TOKEN_NAME") for row in store.aside() if row.endpoint == "moonshots"
    )
    assert strangers == {"batcat": len(spans[DECOY]), "Stranger": len(spans[STRANGER])}, "each once"
    spent, planned = sum(store.spent().values()), check_plan(one.feeding, PLAN)
    assert sum(vendor.spent.values()) <= spent <= PLAN
    assert spent < 1.5 * planned, "a third of the hours is late here, and each is asked for again once or twice"
    print(
        f"{lives} lives, {away} away: {spent} credits, {planned} planned, {len(store.rows())} rows, {len(got)} messages"
    )


def hours_are_kept(vendor, store, now):
    published = {}
    for row in sorted(vendor.rows, key=lambda row: row.at_ms):
        if row.path == "hourly-trading-signals" and row.at_ms < ms(now - 8 * HOUR):
            published.setdefault((NAMES[row.token], row.hour), []).append(float(row.values["POSITION"]))
    stored = {}
    for row in store.rows(kind="hourly_trend"):
        assert row.known_at >= row.as_of + HOUR, "never before its hour was over"
        if not row.is_provisional:
            stored.setdefault((row.asset, row.as_of), []).append(row.value)
    reachable = {name: values for name, values in published.items() if name[1] >= START - DAY}
    assert len(reachable) > 3 * 24 * DAYS
    for name, values in reachable.items():
        seen = stored[name]
        assert len(seen) == len(set(seen)), "a value was kept twice"
        assert seen[-1] == values[-1]
        assert set(seen) <= set(values)
    flips = {
        (NAMES[row.token], row.hour)
        for row in vendor.rows
        if row.path == "hourly-trading-signals" and row.values["SIGNAL"]
    }
    kept = {(row.asset, row.as_of) for row in store.rows(kind="hourly_flip")}
    assert flips & set(reachable) == kept & set(reachable)
    said = {row.as_of: row.value for row in store.rows(kind="sentiment")}
    truth = {
        row.hour: row.values["MARKET_SENTIMENT_GRADE"]
        for row in vendor.rows
        if row.path == "sentiments" and row.at_ms < ms(now - 2 * HOUR)
    }
    assert {at: said.get(at) for at in truth} == truth


def flips_are_told_while_they_are_news(notices, store):
    told = [
        (one.asset, one.as_of, notice.issued_at)
        for notice in notices
        for one in notice.said
        if one.kind == "hourly_flip"
    ]
    assert len(told) > 20
    assert all(issued - as_of <= 2 * HOUR + 5 * MINUTE for _, as_of, issued in told)
    last = {}
    for notice in notices:
        for one in notice.said:
            if one.kind == "hourly_trend" and one.as_of >= last.get(one.asset, (one.as_of, 0))[0]:
                last[one.asset] = (one.as_of, one.value)
    truth = {asset: (row.as_of, row.value) for asset, row in store.standing("tokenmetrics", "hourly_trend").items()}
    assert last == truth, "a flip that was missed is healed by the trend"


def picks_begin_and_end(store, spans, notices):
    for token, asset in NAMES.items():
        until = START + DAYS * DAY
        kept = [(row.as_of, row.value) for row in store.rows(asset=asset, kind="moonshot") if row.as_of < until]
        wanted = [pair for begin, end in spans[token] for pair in ((begin, 1.0), (end, 0.0)) if pair[0] < until]
        assert kept == wanted, asset
        said = [one for notice in notices for one in notice.said if (one.asset, one.kind) == (asset, "moonshot")]
        assert {(one.as_of, one.value) for one in said if one.as_of < until} == set(wanted)
    assert {row.asset for row in store.rows(kind="moonshot")} <= set(ASSETS)


def lists_are_whole(store, weights):
    kept = {}
    for row in store.rows(kind="index_weight"):
        assert row.asset not in kept.get(row.as_of, {}), "once"
        kept.setdefault(row.as_of, {})[row.asset] = row.value
    assert len(kept) > DAYS - 5
    for at, shares in kept.items():
        ours = {NAMES[token]: weight / 100 for token, weight in weights[at].items() if token in NAMES}
        assert {asset: share for asset, share in shares.items() if share} == pytest.approx(ours)
        assert sum(shares.values()) + weights[at][STRANGER] / 100 == pytest.approx(1.0)
    strangers = [row for row in store.aside() if row.endpoint == "indices_holdings"]
    assert len(strangers) == 1


def regime_and_grades(vendor, store):
    truth = {row.day: row.values["LAST_TM_GRADE_SIGNAL"] for row in vendor.rows if row.path == "market-metrics"}
    kept = {row.as_of.date(): row.value for row in store.rows(asset="MARKET", kind="regime") if not row.is_provisional}
    assert len(kept) >= DAYS
    assert all(truth[day] == value for day, value in kept.items())
    polls = Counter(row.as_of.date() for row in store.rows(asset="BTC/USDT", kind="tm_grade_now"))
    assert set(polls.values()) <= {1, 2}, "asked once a day, and once when it began"
    assert len(polls) >= DAYS - 2


async def test_a_restart_asks_again_neither_for_how_things_stand_nor_for_an_hour_that_is_there(tmp_path):
    vendor, lot, warned = Vendor(KEY, TOKENS), Random(3), []
    vendor.publish(hours(lot, trouble=False) + market(lot))
    clock, store = Simulated(START + 5 * DAY + 10 * MINUTE), RatingsStore(tmp_path / "ratings.db")
    some = ["hourly_trading_signals", "tm_grade"]
    got = await live(
        feed(vendor, clock, store, lot, chance=0, warned=warned, endpoints=some), clock, clock.now() + MINUTE, lot
    )
    assert (len(got), len(vendor.asked)) == (2, 4), "a trend and a grade; three tokens and one list"
    clock.at = START + 5 * DAY + 30 * MINUTE
    again = feed(vendor, clock, store, lot, chance=0, warned=warned, endpoints=some)
    assert await live(again, clock, clock.now() + MINUTE, lot) == []
    assert len(vendor.asked) == 4


async def test_after_days_away_the_trend_is_told_once_and_what_cannot_be_had_is_named(tmp_path):
    vendor, lot, warned = Vendor(KEY, TOKENS), Random(3), []
    vendor.publish(hours(lot, trouble=False))
    clock, store = Simulated(START + 10 * MINUTE), RatingsStore(tmp_path / "ratings.db")
    some = ["hourly_trading_signals"]
    await live(
        feed(vendor, clock, store, lot, chance=0, warned=warned, endpoints=some), clock, clock.now() + MINUTE, lot
    )
    assert warned == []
    clock.at = START + 6 * DAY + 10 * MINUTE
    got = await live(
        feed(vendor, clock, store, lot, chance=0, warned=warned, endpoints=some), clock, clock.now() + MINUTE, lot
    )
    trends = [one for message in got for one in json.loads(message.body)["signals"] if one["kind"] == "hourly_trend"]
    assert {one["as_of"] for one in trends} == {(START + 6 * DAY - HOUR).isoformat()}
    assert len(trends) == 3
    assert sorted(warned)[0].startswith(
        "hourly_trading_signals of BTC/USDT: 2024-03-01 00:00 to 2024-03-02 19:00 cannot be had"
    )
    holes = store.gaps("tokenmetrics", "hourly_trend", "BTC/USDT", HOUR)
    assert holes == [(START, START + DAY + 19 * HOUR)]


async def test_an_hour_is_not_told_before_it_is_over(tmp_path):
    vendor, lot, warned = Vendor(KEY, TOKENS), Random(3), []
    at = START + 3 * HOUR
    for token in NAMES:  # the row of the running hour is there from its beginning, and changes
        for n, seen in enumerate((MINUTE, 50 * MINUTE, HOUR + 2 * MINUTE)):
            values = {"SIGNAL": 0, "POSITION": (1, -1, 1)[n], "CLOSE": 1.0}
            vendor.publish([Published("hourly-trading-signals", token, at.date(), ms(at + seen), values, hour=at)])
    clock, store = Simulated(at + 10 * MINUTE), RatingsStore(tmp_path / "ratings.db")
    one = feed(vendor, clock, store, lot, chance=0, warned=warned, endpoints=["hourly_trading_signals"])
    got = await live(one, clock, at + 59 * MINUTE, lot)
    assert got == []
    assert {row.is_provisional for row in store.rows()} == {True}
    one = feed(vendor, clock, store, lot, chance=0, warned=warned, endpoints=["hourly_trading_signals"])
    (message,) = await live(one, clock, at + HOUR + 10 * MINUTE, lot)
    said = json.loads(message.body)
    assert {(row["asset"], row["value"]) for row in said["signals"]} == {(asset, 1.0) for asset in ASSETS}
    assert datetime.fromisoformat(said["issued_at"]) >= at + HOUR


async def test_a_token_that_the_vendor_does_not_have_costs_nothing_more_and_stops_nobody(tmp_path):
    vendor, lot, warned = Vendor(KEY, TOKENS), Random(3), []
    vendor.publish([row for row in hours(lot, trouble=False) if row.token != 3988])
    clock, store = Simulated(START + 10 * MINUTE), RatingsStore(tmp_path / "ratings.db")
    one = feed(vendor, clock, store, lot, chance=0, warned=warned, endpoints=["hourly_trading_signals"])
    await live(one, clock, clock.now() + 5 * HOUR, lot)
    assert {row.asset for row in store.rows(kind="hourly_trend")} == {"BTC/USDT", "ETH/USDT"}
    assert sum(store.spent().values()) == 3 * 6


async def test_an_index_in_another_unit_is_refused_and_said_and_nothing_goes_on_with_it(tmp_path):
    vendor, lot, warned = Vendor(KEY, TOKENS), Random(3), []
    at = START + DAY
    for token, weight in ((3375, 0.7), (3306, 0.3)):
        vendor.publish([Published("indices-holdings", token, at.date(), ms(at), {"WEIGHT": weight}, index=INDEX)])
    clock, store = Simulated(at + HOUR), RatingsStore(tmp_path / "ratings.db")
    one = feed(vendor, clock, store, lot, chance=0, warned=warned, endpoints=["indices_holdings"])
    assert await live(one, clock, clock.now() + MINUTE, lot) == []
    assert ["that is a fraction: say weight_unit: fraction" in what for what in warned] == [True]
    one = feed(
        vendor, clock, store, lot, chance=0, warned=warned, endpoints=["indices_holdings"], weight_unit="fraction"
    )
    (message,) = await live(one, clock, clock.now() + MINUTE, lot)
    notice = Payloads().read(message.body)
    assert notice.type == "rating"
    assert {said.asset: said.value for said in notice.said} == {"BTC/USDT": 0.7, "ETH/USDT": 0.3}
    assert datetime(2024, 3, 2, tzinfo=UTC) == notice.said[0].as_of
