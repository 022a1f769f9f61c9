"""Streams of each venue: ccxt's own websocket classes over real sockets to the loopback exchange, in its dialect."""

import asyncio
import json
import traceback
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from tests.contracts.memory import Memory
from tests.contracts.worlds import KEY, MARKETS, SECRET, loopback, world
from tests.services.parts import until
from trader.adapters.ccxt_streams import listener
from trader.core.identity import client_core
from trader.loopback.dialects import DIALECTS
from trader.loopback.exchange import Exchange
from trader.loopback.server import VenueClock
from trader.loopback.wire import Request
from trader.opening import BUILDERS
from trader.ports import Accepted, OrderRequest, Rolled, Stirred, Touch, Touched, VenueDownError

D = Decimal
BOTH = ["gate", "mexc"]
SYMBOLS = ["BTC/USDT", "ETH/USDT"]


@asynccontextmanager
async def listening(coroutine):
    """A listener at work; it must not have ended by itself."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("name", [*BOTH, "paper"])
async def test_prices_are_told_as_they_move(name):
    async with world(name) as it:
        heard = []
        async with listening(it.venue.hear_market(SYMBOLS, "1h", heard.append)) as task:
            await until(lambda: {one.symbol for one in heard if isinstance(one, Touched)} == set(SYMBOLS))
            it.exchange.set_price("BTC/USDT", D(101), it.clock.now_ms(), half_spread=D("0.001"))
            await until(lambda: any(one.symbol == "BTC/USDT" and one.touch.bid > 100 for one in heard))
            assert not task.done()
        assert heard[-1].touch == await it.venue.touch("BTC/USDT")
        assert heard[-1].touch == Touch(D("100.89"), D("101.11"))


@pytest.mark.parametrize("name", BOTH)
async def test_a_candle_that_begins_is_told_and_none_before(name):
    async with loopback(name) as it:
        forming = it.exchange.forming
        forming["BTC/USDT", "1h"] = (3_600_000, D(100), D(101), D(99), D(100), D(1))
        heard = []
        async with listening(it.venue.hear_market(SYMBOLS, "1h", heard.append)):
            await until(lambda: {one.symbol for one in heard} == set(SYMBOLS))
            forming["BTC/USDT", "1h"] = (3_600_000, D(100), D(102), D(99), D(102), D(2))
            await asyncio.sleep(0.2)
            assert not [one for one in heard if isinstance(one, Rolled)]
            it.exchange.add_candle("BTC/USDT", "1h", (3_600_000, D(100), D(102), D(98), D(98), D(3)))
            forming["BTC/USDT", "1h"] = (7_200_000, D(98), D(98), D(98), D(98), D(0))
            await until(lambda: Rolled("BTC/USDT", 7_200_000) in heard)
        assert [one for one in heard if isinstance(one, Rolled)] == [Rolled("BTC/USDT", 7_200_000)]


@pytest.mark.parametrize("name", BOTH)
async def test_orders_of_the_account_are_told_and_nothing_of_before(name):
    async with loopback(name) as it:
        before = it.request()
        await it.venue.send(await it.sign(before))
        heard = []
        async with listening(it.venue.hear_account(heard.append)):
            await until(lambda: it.server.streams)
            await asyncio.sleep(0.3)
            request = it.request()
            reply = await it.venue.send(await it.sign(request))
            assert isinstance(reply, Accepted)
            await until(lambda: Stirred(reply.venue_order, request.client_id) in heard)
            await until(lambda: Stirred(reply.venue_order) in heard)
        assert {one.venue_order for one in heard} == {reply.venue_order}


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("what", ["market", "account"])
async def test_a_connection_that_ends_is_an_error_and_a_new_one_tells_again(name, what):
    async with loopback(name) as it:
        heard = []

        def hear():
            if what == "account":
                return it.venue.hear_account(heard.append)
            return it.venue.hear_market(SYMBOLS, "1h", heard.append)

        task = asyncio.create_task(hear())
        await until(lambda: it.server.streams)
        await asyncio.sleep(0.2)
        await it.server.hang_up()
        with pytest.raises(VenueDownError, match=f"{name} stream"):
            async with asyncio.timeout(5):
                await task
        heard.clear()
        async with listening(hear()):
            await until(lambda: it.server.streams)
            await asyncio.sleep(0.2)
            await it.venue.send(await it.sign(it.request()))
            await until(lambda: heard)


@pytest.mark.parametrize("name", BOTH)
async def test_a_refused_connection_is_an_error(name):
    async with loopback(name, {"on": "WS /", "do": "status_before"}, {"on": "WS /ws", "do": "status_before"}) as it:
        with pytest.raises(VenueDownError):
            async with asyncio.timeout(5):
                await it.venue.hear_market(SYMBOLS, "1h", lambda _: None)


async def test_a_wrong_secret_hears_nothing_of_an_account():
    async with loopback("gate") as it:
        it.venue._config["secret"] = "another"
        with pytest.raises(VenueDownError, match="authentication failed"):
            async with asyncio.timeout(5):
                await it.venue.hear_account(lambda _: None)


async def test_an_expired_listen_key_ends_the_stream():
    async with loopback("mexc") as it:
        it.server.dialect.listen_key_ms = 300
        with pytest.raises(VenueDownError, match=r"listen key|closed"):
            async with asyncio.timeout(5):
                await it.venue.hear_account(lambda _: None)


async def test_more_markets_than_a_connection_takes_are_heard_over_several(monkeypatch):
    from trader.adapters import ccxt_streams

    monkeypatch.setitem(ccxt_streams.MOST, "mexc", 2)
    async with loopback("mexc") as it:
        heard = []
        async with listening(it.venue.hear_market(SYMBOLS, "1h", heard.append)):
            await until(lambda: {one.symbol for one in heard} == set(SYMBOLS))
            assert len(it.server.streams) == 2


REAL = {  # the forms of messages that were recorded at the real venue in 2021
    "spot.tickers": {
        "currency_pair": str, "last": str, "lowest_ask": str, "highest_bid": str, "change_percentage": str, "base_volume": str,
        "quote_volume": str, "high_24h": str, "low_24h": str,
    },
    "spot.candlesticks": {"t": str, "v": str, "c": str, "h": str, "l": str, "o": str, "n": str},
}  # fmt: skip


async def test_the_loopbacks_messages_have_the_form_of_recorded_ones():
    async with loopback("gate") as it:
        it.exchange.forming["BTC/USDT", "1m"] = (60_000, D(100), D(101), D(99), D(100), D(1))
        stream = it.server.dialect.connect(Request("WS", "/ws/v4/", "", {}, ""), 0)
        for channel, payload in (("spot.tickers", ["BTC_USDT"]), ("spot.candlesticks", ["1m", "BTC_USDT"])):
            asked = {"time": 1, "id": 7, "channel": channel, "event": "subscribe", "payload": payload}
            (answer,) = stream.receive(json.dumps(asked), 1_000)
            assert json.loads(answer)["result"] == {"status": "success"}
        told = {one["channel"]: one for one in map(json.loads, stream.news(61_000))}
        for channel, form in REAL.items():
            assert {"time", "channel", "event", "result"} <= set(told[channel])
            assert told[channel]["event"] == "update"
            assert {name: type(told[channel]["result"][name]) for name in form} == form
        assert told["spot.candlesticks"]["result"]["n"] == "1m_BTC_USDT"
        assert stream.news(62_000) == []


@asynccontextmanager
async def in_memory(name):
    """A venue whose exchange is in this process, on a clock that is days behind the machine's; ours is an hour off."""
    clock = VenueClock(skew_ms=-(10**9))
    exchange = Exchange(MARKETS, fee=D("0.002"), fee_in="quote")
    exchange.open_account(KEY, SECRET, {"USDT": D(1_000)})
    exchange.set_price("BTC/USDT", D(100), clock.now_ms(), half_spread=D("0.001"))
    wire = Memory(DIALECTS[name](exchange), clock)
    venue = BUILDERS[name](
        key=KEY,
        secret=SECRET,
        url="http://in.memory",
        paces=False,
        transport=wire,
        wall=lambda: clock.now_ms() / 1_000 + 3_600,
    )
    await venue.prepare()
    yield venue, wire


@pytest.mark.parametrize("name", BOTH)
async def test_the_transport_comes_from_outside_streams_included(name):
    """Ccxt's own signing and parsing, without one socket and on another clock than the machine's."""
    async with in_memory(name) as (venue, wire):
        await hears_its_own_order(venue, wire)
    assert not wire.dialect.unknown
    assert all(line.closed for line in wire.lines)


async def hears_its_own_order(venue, wire):
    request = OrderRequest(venue.client_id(client_core("test", "intent 1", 1)), "BTC/USDT", "buy", D("0.1"), D(105))
    market, account = [], []
    async with (
        listening(venue.hear_market(["BTC/USDT"], "1h", market.append)),
        listening(venue.hear_account(account.append)),
    ):
        await until(lambda: market and len(wire.lines) == 2)
        await asyncio.sleep(0.2)
        now_ms = await venue.now_ms()
        reply = await venue.send(venue.sign(request, signed_ms=now_ms, not_after_ms=now_ms + 5_000))
        assert isinstance(reply, Accepted)
        await until(lambda: Stirred(reply.venue_order, request.client_id) in account)


@pytest.mark.parametrize("fault", ["status_before", "reset_before"])
async def test_a_listen_key_is_in_no_error(fault):
    """The key of MEXC's account stream is in its address, and an error is written into the journal and the log."""
    async with loopback("mexc", {"on": "WS /ws", "do": fault}) as it:
        with pytest.raises(VenueDownError) as caught:
            async with asyncio.timeout(5):
                await it.venue.hear_account(lambda _: None)
        (key,) = it.server.dialect.listen_keys
        told = "".join(traceback.format_exception(caught.value))
        assert key not in f"{caught.value}"
        assert key not in told, told


@pytest.mark.parametrize("name", BOTH)
async def test_an_other_end_that_answers_no_ping_is_noticed_by_the_clock_from_outside(name, monkeypatch):
    def quick(*args):
        found = listener(*args)
        found.streaming["keepAlive"] = 100  # ms
        return found

    monkeypatch.setattr("trader.adapters.ccxt_streams.listener", quick)
    async with in_memory(name) as (venue, wire):
        heard = []
        async with listening(venue.hear_market(["BTC/USDT"], "1h", heard.append)) as task:
            await until(lambda: heard)
            await asyncio.sleep(0.6)
            assert not task.done()
            wire.lines[0].is_deaf = True
            with pytest.raises(VenueDownError, match="no answer to pings"):
                async with asyncio.timeout(5):
                    await task
