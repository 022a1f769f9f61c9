"""Hours, lists and the plan as a person meets them: what is fed, what is shown, and what is refused before anything is asked."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.services.parts import full
from tests.services.vendor import KEY, RUN, caller, config, vendor
from tests.test_cli_ratings import SPAN
from trader.adapters.clock import SystemClock
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.tokenmetrics_feed import TokenMetricsFeed
from trader.core.observations import Observation
from trader.ratings import client_of, fed, feeding_of, store_of

KINDS = """\
version: 1
key: {key}
url: "http://127.0.0.1:{port}"
credits: 10000
apart: 0.001s
assets: {{BTC/USDT: 3375, ETH/USDT: 3306, SOL/USDT: 3988}}
endpoints: [hourly_trading_signals, moonshots, indices_holdings, sentiments, tm_grade, quantmetrics, market_metrics]
indices: {{index_weight: 1}}
store: ratings.db
"""


@pytest.fixture
def run(capsys):
    return caller(capsys)


@pytest.mark.slow
@pytest.mark.parametrize("api", [pytest.param("v2", marks=full), "v3"])
def test_what_is_not_daily_is_fed_over_a_socket_and_shown(tmp_path, run, api):
    path = tmp_path / "vendor.yaml"

    async def ask():
        settings, clock, warned = fed(path), SystemClock(), []
        with store_of(settings, tmp_path) as store:
            client = client_of(settings, tmp_path, store, clock)
            one = TokenMetricsFeed(client, store, clock, feeding_of(settings), warn=warned.append)
            news = await one.news()
            again = len(await one.news())
            await client.close()
        return (
            [json.loads(message.body) for message in news],
            again,
            {n: turn.trouble for n, turn in one.turns.items()},
            warned,
        )

    with vendor() as port:
        path.write_text(KINDS.format(port=port, key=KEY) + f"api: {api}\n")
        said, again, troubles, warned = asyncio.run(ask())
        assert again == len(said), "what nobody kept comes again, and nothing is asked twice"
        kinds = {one["kind"]: message["type"] for message in said for one in message["signals"]}
        wanted = {
            "hourly_trend": "state",
            "index_weight": "rating",
            "sentiment": "rating",
            "tm_grade_now": "rating",
            "regime": "state",
        }
        assert kinds.items() >= wanted.items(), kinds
        assert set(kinds) <= {*wanted, "hourly_flip", "moonshot", "regime_flip", "quant_grade_now"}
        assert set(troubles.values()) == {""}
        assert any("which is not mapped" in what for what in warned)
        listed = run("ratings", "list", path)
        assert re.search(r"BTC/USDT +hourly_trend +\S+( \S+)? +\S+( \S+)? +\d+ +\d+ +0 ", listed), listed
        assert re.search(r"MARKET +sentiment ", listed)
        assert re.search(r"index_weight .* +1 +- +0 ", listed), "a list has no gaps"
        assert "were set aside" in listed
        assert re.search(r"hourly_trend +\S+( \d\d:\d\d)? ", run("ratings", "show", path))
        said = run("ratings", "pull", path, *SPAN, "--yes")
        assert (
            "no history there: hourly_trading_signals, moonshots, indices_holdings, sentiments, tm_grade, quantmetrics"
            in said
        )
        assert "5 requests" in said, "market_metrics has one"
    path.write_text(path.read_text().replace(", market_metrics", ""))
    assert "no history there" in run("ratings", "pull", path, *SPAN, "--yes", code=2)


def test_hours_that_are_missing_are_named_as_hours(tmp_path, run):
    path = config(tmp_path / "vendor.yaml", 1)
    store = RatingsStore(tmp_path / "ratings.db")
    hours = [datetime(2024, 3, 1, n, tzinfo=UTC) for n in (0, 1, 2, 6, 7)]
    for kind, type_ in (("hourly_trend", "state"), ("hourly_flip", "event"), ("moonshot", "state")):
        store.append(
            [
                Observation(
                    "tokenmetrics", kind, type_, "BTC/USDT", at, 1.0, at + timedelta(hours=1), at + timedelta(hours=1)
                )
                for at in hours
            ]
        )
    store.close()
    assert run("ratings", "gaps", path, "BTC/USDT") == "hourly_trend: 2024-03-01 03:00 to 2024-03-01 05:00 (3 hours)\n"
    listed = run("ratings", "list", path)
    assert re.search(r"hourly_trend +2024-03-01 00:00 +2024-03-01 07:00 +5 +3 +0 ", listed)
    assert re.search(r"moonshot +2024-03-01 +2024-03-01 07:00 +5 +- +0 ", listed)
    shown = run("ratings", "show", path, "--at", "2024-03-01T01:30")
    assert re.search(r"hourly_trend +2024-03-01 00:00 ", shown), "a row of an hour says its hour, midnight as well"


def test_a_plan_that_is_too_small_is_said_before_anything_is_asked(tmp_path, run):
    path, vendor_file = tmp_path / "run.yaml", tmp_path / "vendor.yaml"
    path.write_text(RUN.format(port=1))
    many = ", ".join(f"A{n}/USDT: {n}" for n in range(1, 31))
    text = KINDS.format(port=1, key=KEY).replace("BTC/USDT: 3375, ETH/USDT: 3306, SOL/USDT: 3988", many)
    vendor_file.write_text(text)
    for words in (("check", path), ("run", path, "--live")):
        said = run(*words, code=2)
        for part in (
            "vendor.yaml:4:1 credits:",
            "takes 23,220 credits a month",
            "includes 10,000",
            "30 tokens hourly = 21,600 a month",
        ):
            assert part in said, said
    vendor_file.write_text(text + "polls: {hourly_trading_signals: 4h, sentiments: 1d}\n")
    assert "fed runs TopRated" in run("check", path)
    for line, part in (
        ("polls: {trading_signals: 4h}", "trading_signals is not asked for"),
        ("polls: {sentiments: 5s}", "too often"),
        ("weight_unit: share", "allowed are percent, fraction"),
        ("position: maybe", "allowed are plain, binary, unused"),
    ):
        vendor_file.write_text(text + line + "\n")
        assert part in run("check", path, code=2)
    vendor_file.write_text(text.replace("indices: {index_weight: 1}\n", ""))
    assert "write indices: {index_weight: ID}" in run("check", path, code=2)
