"""The market over streams and questions at a loopback exchange: what comes first, what takes over, what is told together."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.contracts.worlds import SkewedClock, loopback
from tests.services.parts import until
from trader.adapters.clock import SystemClock
from trader.loopback.server import VenueClock
from trader.ports import Touch, Touched, VenueBar, VenueDownError
from trader.runtime.market import EPOCH, Market

D = Decimal
BOTH = pytest.mark.parametrize("name", ["gate", "mexc"])
HOUR = timedelta(hours=1)
SYMBOLS = {"BTC/USDT": "BTC/USDT", "ETH/USDT": "ETH/USDT"}


def just_before_an_hour(seconds):
    """A clock that stands so long before a full hour, and that hour."""
    real = datetime.now(UTC)
    hour = real.replace(minute=0, second=0, microsecond=0) + HOUR
    clock = VenueClock(skew_ms=round((hour - real).total_seconds() * 1_000) - round(seconds * 1_000))
    return clock, hour


def candle(opened, price):
    return (round(opened.timestamp() * 1_000), D(price), D(price), D(price), D(price), D(1))


@asynccontextmanager
async def heard_at(name, *rules, clock=None, listens=True, **more):
    """A market at work, what it was heard to say, and its links."""
    async with loopback(name, *rules, clock=clock) as it:
        market = Market(it.venue, SkewedClock(it.clock), symbols=SYMBOLS, timeframe="1h", keep=5, **more)
        said, links = [], []
        market.tell = lambda *link: links.append(link)

        async def hear():
            async for one in market.events():
                said.append(one)  # noqa: PERF401 - it never ends

        tasks = [asyncio.create_task(hear()), *([asyncio.create_task(market.listen())] if listens else [])]
        try:
            await until(lambda: len(market.prices) == 2)
            yield it, market, said, links
            assert not [task.exception() for task in tasks if task.done()]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def prices(said, asset="BTC/USDT"):
    return [one.price for heard in said for one in heard.prices if one.asset == asset]


@BOTH
async def test_a_price_is_told_by_the_stream_long_before_the_next_question(name):
    async with heard_at(name, every_seconds=60.0) as (it, market, said, links):
        await until(lambda: market.is_streaming)
        asked = len([one for one in it.server.log if "GET" in one[1]])
        for price in (101, 102, 103):
            it.exchange.set_price("BTC/USDT", D(price), 0, half_spread=D("0.001"))
            await until(lambda price=price: prices(said)[-1:] == [price], seconds=3)
        assert len([one for one in it.server.log if "GET" in one[1]]) == asked
        assert market.fresh("BTC/USDT").bid < 103 < market.fresh("BTC/USDT").ask
        assert links[-1] == ("market stream", True, "tells")


async def test_where_an_open_stream_is_silent_questions_take_over():
    async with heard_at("gate", every_seconds=0.3, quiet_seconds=60.0) as (it, market, said, _links):
        await until(lambda: market.is_streaming)
        it.server.is_silent = True
        await asyncio.sleep(0.1)
        it.exchange.set_price("BTC/USDT", D(105), 0, half_spread=D("0.001"))
        await until(lambda: prices(said)[-1:] == [105], seconds=3)
        assert market.is_streaming, "the socket is open still"


@BOTH
async def test_a_silent_stream_is_opened_anew_and_tells_again(name):
    async with heard_at(name, every_seconds=0.3, quiet_seconds=0.5) as (it, market, said, links):
        await until(lambda: market.is_streaming)
        it.server.is_silent = True
        it.exchange.set_price("BTC/USDT", D(105), 0, half_spread=D("0.001"))
        await until(lambda: prices(said)[-1:] == [105], seconds=3)
        await until(lambda: ("market stream", False, "it was silent") in links)
        it.server.is_silent = False
        it.exchange.set_price("BTC/USDT", D(106), 0, half_spread=D("0.001"))
        await until(lambda: market.is_streaming and prices(said)[-1:] == [106])
        assert len([one for one in it.server.log if one[1].startswith("WS")]) >= 2


async def test_a_stream_that_is_cut_again_and_again_costs_no_price():
    async with heard_at("gate", {"on": "WS /ws/v4/", "do": "cut", "seconds": 0.3}, every_seconds=0.3) as (
        it,
        _market,
        said,
        links,
    ):
        for price in range(101, 106):
            it.exchange.set_price("BTC/USDT", D(price), 0, half_spread=D("0.001"))
            await until(lambda price=price: prices(said)[-1:] == [price], seconds=3)
        await until(lambda: [one[:2] for one in links].count(("market stream", False)) >= 2)


@BOTH
async def test_bars_are_asked_for_as_soon_as_every_stream_says_that_the_next_began(name):
    clock, hour = just_before_an_hour(1.5)
    async with heard_at(name, clock=clock, every_seconds=60.0, grace_seconds=30.0) as (it, market, said, _links):
        await until(lambda: market.is_streaming)
        for symbol in SYMBOLS:
            it.exchange.forming[symbol, "1h"] = candle(hour - HOUR, 100)
        await until(lambda: clock.now_ms() > hour.timestamp() * 1_000)
        for symbol, price in (("BTC/USDT", 101), ("ETH/USDT", 11)):
            assert not [one for one in said if one.bars]
            it.exchange.add_candle(symbol, "1h", candle(hour - HOUR, price))
            it.exchange.forming[symbol, "1h"] = candle(hour, price)
            await asyncio.sleep(0.3)
        await until(lambda: any(one.bars for one in said), seconds=3)
        (bars,) = [one.bars for one in said if one.bars]
        assert [(bar.asset, bar.at, bar.close) for bar in bars] == [("BTC/USDT", hour, 101), ("ETH/USDT", hour, 11)]
        assert clock.now_ms() < (hour.timestamp() + 10) * 1_000


async def test_without_a_stream_bars_are_asked_for_after_the_grace_and_a_forming_one_is_never_taken():
    clock, hour = just_before_an_hour(0.5)
    async with heard_at("gate", clock=clock, listens=False, every_seconds=0.1, grace_seconds=1.0) as (
        it,
        market,
        said,
        _,
    ):
        it.exchange.forming["BTC/USDT", "1h"] = candle(hour - HOUR, 100)
        await asyncio.sleep(0.9)
        assert not [one for one in said if one.bars]
        it.exchange.add_candle("BTC/USDT", "1h", candle(hour - HOUR, 101))
        it.exchange.forming["BTC/USDT", "1h"] = candle(hour, 150)
        await until(lambda: any(one.bars for one in said), seconds=3)
        (bars,) = [one.bars for one in said if one.bars]
        assert [(bar.at, bar.close) for bar in bars] == [(hour, 101)]
        assert clock.now_ms() >= (hour.timestamp() + 1) * 1_000
        assert market.newest == {"BTC/USDT": hour}


async def test_a_wake_at_a_bars_end_waits_for_the_bars_up_to_a_grace_and_others_do_not():
    clock, hour = just_before_an_hour(0.2)
    async with heard_at("gate", clock=clock, listens=False, late_seconds=1.0) as (_it, market, _said, _links):
        assert market.is_ready(hour + timedelta(minutes=7), {}), "at other times no bar ends"
        assert not market.is_ready(hour, {"BTC/USDT": hour, "ETH/USDT": EPOCH})
        assert market.is_ready(hour, {"BTC/USDT": hour, "ETH/USDT": hour})
        await until(lambda: market.is_ready(hour, {}), seconds=3)
        assert clock.now_ms() >= (hour.timestamp() + 1) * 1_000


async def test_a_stream_that_speaks_in_the_turn_in_which_it_counts_as_silent_is_opened_anew():
    opened = []

    class Late:
        """Its word is told while the wait for it is being ended."""

        async def hear_market(self, symbols, timeframe, tell):
            opened.append(1)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                tell(Touched("BTC/USDT", Touch(D(99), D(101))))
                raise

    market = Market(Late(), SystemClock(), symbols=SYMBOLS, timeframe="1h", keep=5, quiet_seconds=0.05)
    listening = asyncio.create_task(market.listen())
    await until(lambda: len(opened) == 2 or listening.done(), 5)
    assert not listening.done(), listening.exception()
    assert market.price("BTC/USDT") == 100
    listening.cancel()


class Steps:
    """A clock that goes as ours does, and can be moved on."""

    def __init__(self):
        self.real, self.moved = SystemClock(), 0.0
        self.began = self.real.monotonic()

    def now(self):
        return datetime(2026, 1, 1, 5, 0, 5, tzinfo=UTC) + timedelta(seconds=self.monotonic() - self.began)

    def monotonic(self):
        return self.real.monotonic() + self.moved

    async def sleep(self, seconds):
        await self.real.sleep(seconds)


class Flaky:
    """A venue with a bar for every hour; `refuses` are the questions that it does not answer, once each."""

    def __init__(self, clock):
        self.clock, self.refuses = clock, set()

    def _answer(self, question):
        if question in self.refuses:
            self.refuses.remove(question)
            raise VenueDownError("busy")

    async def signing_ms(self):
        return round(self.clock.now().timestamp() * 1_000)

    async def bars(self, symbol, timeframe, *, since_ms):
        self._answer(("bars", symbol))
        end = round(self.clock.now().timestamp() // 3_600) * 3_600_000
        return [VenueBar(at, 1.0, 1.0, 1.0, 1.0, 1.0) for at in range(since_ms, end, 3_600_000)]

    async def touch(self, symbol):
        self._answer(("touch", symbol))
        return Touch(D(1), D(1))


@pytest.mark.parametrize("refused", [("bars", "ETH/USDT"), ("touch", "BTC/USDT"), ("touch", "ETH/USDT")])
async def test_a_question_that_fails_loses_no_bar_that_was_answered_before(refused):
    clock = Steps()
    venue, said = Flaky(clock), []
    market = Market(venue, clock, symbols=SYMBOLS, timeframe="1h", keep=3, every_seconds=0.02)
    events = market.events()
    async with asyncio.timeout(10):
        assert {bar.asset for bar in (await anext(events)).bars} == SYMBOLS.keys()
        clock.moved += 3_600
        venue.refuses.add(refused)
        while not said:
            said += (await anext(events)).bars
    assert [(bar.asset, bar.at.hour) for bar in said] == [("BTC/USDT", 6), ("ETH/USDT", 6)]
    assert not venue.refuses
