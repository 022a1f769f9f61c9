"""The asset map against a loopback vendor and loopback exchanges over sockets: each doubt is named with what helps."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.contracts.worlds import loopback
from trader.adapters.clock import SystemClock
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.tokenmetrics import Budget, Manner, TokenMetrics
from trader.adapters.tokenmetrics_feed import Feeding, TokenMetricsFeed
from trader.asset_map import check
from trader.intake import compare
from trader.loopback.server import LoopbackServer
from trader.loopback.vendor import Published, Token, Vendor
from trader.vendor_settings import TokenChoice
from trader.vendor_settings import Vendor as VendorFile

KEY, D = "tm-00000000-0000-0000-0000-000000000001", Decimal
TRAC = "0xAA7A9CA87d3694B5755f213B5D04094b8d0F0A6F"
TOKENS = [
    Token(3375, "BTC", "Bitcoin"), Token(3306, "ETH", "Ethereum"), Token(17528, "BTC", "batcat"), Token(7, "TRAC", "OriginTrail"),
    Token(8, "TRAC", "Traco", contracts=(("base", TRAC),)), Token(9, "GMT", "Stepn"),
]  # fmt: skip
COSTS = {3375: 100.0, 3306: 10.1, 17528: 0.001, 7: 1.0, 8: 2.0, 9: 0.1}


@asynccontextmanager
async def asking(name="gate", apart=0.0):
    """A client of the vendor and a venue where a bitcoin costs 100, an ether 10, a TRAC 2 and a STEPN 0.1."""
    made = Vendor(KEY, list(TOKENS))
    made.publish(Published("price", token, date(2024, 1, 1), 0, {"CURRENT_PRICE": one}) for token, one in COSTS.items())
    async with LoopbackServer(made) as server, loopback(name) as it:
        for symbol, price in (("TRAC/USDT", D(2)), ("STEPN/USDT", D("0.1"))):
            it.exchange.set_price(symbol, price, it.clock.now_ms(), half_spread=D("0.001"))
        manner = Manner(base=server.url, apart_seconds=apart, tries=1)
        client = TokenMetrics(KEY, SystemClock(), Budget(1_000), manner)
        try:
            yield made, client, it
        finally:
            await client.close()


CASES = {  # asset, what the file says, at which venue -> what is doubtful
    "good": ("BTC/USDT", {"id": 3375, "name": "bitcoin"}, "gate", ""),
    "another coin of the ticker": ("BTC/USDT", {"id": 17528}, "gate", "costs 0.001 at the vendor and 100 at gate"),
    "another symbol": ("ETH/USDT", {"id": 3375}, "gate", "the vendor calls token 3375 BTC (Bitcoin): put the right id, or symbol: BTC"),
    "no such token": ("BTC/USDT", {"id": 4242}, "gate", "the vendor knows no token 4242"),
    "another name": ("BTC/USDT", {"id": 3375, "name": "batcat"}, "gate", "calls token 3375 Bitcoin, not batcat"),
    "no id": ("BTC/USDT", {}, "gate", "2 tokens can be it: 3375 Bitcoin; 17528 batcat: say which one"),
    "no id, by name": ("BTC/USDT", {"name": "Batcat"}, "gate", "the vendor has 17528 batcat; put id: 17528"),
    "no id, by contract": ("TRAC/USDT", {"name": "Traco", "contract": {"base": TRAC}}, "mexc", f"the vendor has 8 Traco {TRAC.lower()}"),
    "no id, no such": ("DOGE/USDT", {}, "gate", "the vendor knows no such token"),
    "no market": ("DOGE/USDT", {"id": 3375, "symbol": "BTC"}, "gate", "no market at gate that can be traded"),
    "not by api": ("OFF/USDT", {"id": 3375, "symbol": "BTC"}, "gate", "no market at gate that can be traded"),
    "the name of another": ("TRAC/USDT", {"id": 7}, "gate", "name the asset TRACO/USDT"),
    "a ticker of its own": ("TRACO/USDT", {"id": 8, "symbol": "TRAC"}, "gate", "put tickers: {gate: TRAC}"),
    "a ticker that is meant": ("TRACO/USDT", {"id": 8, "symbol": "TRAC", "tickers": {"gate": "TRAC"}}, "gate", ""),
    "a ticker that is wrong": ("GMT/USDT", {"id": 9, "tickers": {"mexc": "GMT"}}, "mexc", "calls it STEPN, not GMT as tickers: says"),
    "swapped": ("GMT/USDT", {"id": 9, "tickers": {"mexc": "STEPN"}}, "mexc", ""),
    "another contract here": ("TRAC/USDT", {"id": 8, "contract": {"base": "0x01"}}, "mexc", "at the vendor and 0x01 here"),
    "another contract there": ("TRAC/USDT", {"id": 7, "contract": {"base": "0x02"}}, "mexc", f"its contract is {TRAC.lower()} at mexc and 0x02"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_each_doubt_is_named_with_what_helps(case):
    asset, said, name, wanted = CASES[case]
    async with asking(name) as (_, client, it):
        (found,) = await check({asset: TokenChoice(**said)}, client, {name: it.venue}, within=0.03)
    told = "; ".join(found.problems)
    assert (wanted in told) if wanted else (told == "" and found.venues), told


async def test_prices_that_are_known_already_are_not_asked_for():
    async with asking() as (made, client, it):
        tokens = {"BTC/USDT": TokenChoice(id=3375), "ETH/USDT": TokenChoice(id=3306)}
        one, other = await check(tokens, client, {"gate": it.venue}, within=0.03, prices={3375: 50.0})
        assert [path.partition("?")[0] for path in made.asked] == ["tokens"]
    assert "costs 50 at the vendor and 100 at gate (+100.0%)" in one.problems[0]
    assert (other.problems, len(other.notes)) == ([], 1)


@asynccontextmanager
async def fed(tmp_path):
    """A feed of three assets, one of which is mapped to another coin, and one of which has no id."""
    async with asking() as (made, client, it):
        store, alerts = RatingsStore(tmp_path / "ratings.db"), []
        settings = VendorFile(
            version=1, assets={"BTC/USDT": 17528, "ETH/USDT": 3306, "TMAI/USDT": {"name": "Token Metrics AI"}}
        )
        feed = TokenMetricsFeed(client, store, SystemClock(), Feeding(settings.ids, ("trading_signals",)))

        async def again():
            await compare(feed, settings, ["BTC/USDT", "ETH/USDT", "TMAI/USDT"], it.venue, alerts.append)

        yield made, feed, alerts, again
        store.close()


async def test_a_bot_leaves_out_what_is_doubtful_by_name_and_asks_once_a_day_while_all_is_well(tmp_path):
    async with fed(tmp_path) as (made, feed, alerts, again):
        await again()
        assert feed.feeding.assets == {"ETH/USDT": 3306}
        assert len(alerts) == 2
        assert "TMAI/USDT has no id of the vendor yet" in alerts[0]
        assert alerts[1].startswith("the ratings of BTC/USDT are left out until this is mended: costs 0.001")
        made.publish([Published("price", 17528, date(2024, 1, 2), 1, {"CURRENT_PRICE": 101.0})])
        asked = len(made.asked)
        await again()
        assert len(made.asked) == asked + 2
        await again()
        assert len(made.asked) == asked + 2, "all was well today"


async def test_when_every_asset_is_doubtful_nothing_is_asked(tmp_path):
    async with fed(tmp_path) as (made, feed, _, _):
        feed.feeding = replace(
            feed.feeding, assets={}, endpoints=("trading_signals", "tm_grade", "indices_holdings", "moonshots")
        )
        due = await feed.poll()
        assert (made.asked, due > feed.clock.now() + timedelta(hours=23)) == ([], True)


async def test_a_vendor_that_cannot_be_asked_is_said_and_stops_no_bot(tmp_path):
    async with fed(tmp_path) as (made, feed, alerts, again):
        made.key = "another"
        await again()
        assert feed.feeding.assets == {"BTC/USDT": 17528, "ETH/USDT": 3306}
        assert "were not compared with gate: WrongKeyError" in alerts[-1]
