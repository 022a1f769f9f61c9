"""Streams through ccxt's own websocket classes: prices, candles that begin, and orders that move. Hints, never proofs.

Each call opens connections of its own and closes them at its end; whoever listens decides when to begin again. Quirks with their
source, measured at the classes: `watch_bids_asks` never answers on MEXC, so prices come from `watch_ticker`; a connection that ends
is an error to all who wait, and nothing is subscribed again by itself; MEXC takes 30 subscriptions on a connection.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any

from aiohttp import ClientError, WSMsgType
from ccxt.async_support.base.ws.client import Client
from ccxt.base.errors import BaseError, NetworkError, RequestTimeout
from ccxt.pro.gate import gate
from ccxt.pro.mexc import mexc

from trader.adapters.ccxt_transport import Wired
from trader.adapters.http import Line, Transport
from trader.ports import Hint, Rolled, Stirred, Touch, Touched, VenueDownError

MOST = {"gate": 100, "mexc": 30}  # subscriptions of one connection


class WiredClient(Client):  # type: ignore[misc]  # ccxt ships no types
    """ccxt's websocket client over our transport and clock. Addresses hold a listen key: none is in an error."""

    exchange: Any

    def create_connection(self, session: Any) -> Awaitable[Line]:  # noqa: ANN401
        """Dial over our transport instead of the session."""
        del session
        dialled: Awaitable[Line] = self.exchange.transport.dial(self.url)
        return dialled

    @property
    def buffer(self) -> Any:  # noqa: ANN401
        """What aiohttp has read ahead; other lines read nothing ahead."""
        return super().buffer if hasattr(self.connection, "_conn") else None

    def handle_message(self, message: Any) -> None:  # noqa: ANN401
        """Ccxt's own, and when the other end answered, by our clock."""
        super().handle_message(message)
        if message.type is WSMsgType.PONG:
            self.lastPong = self.exchange.milliseconds()

    async def ping_loop(self) -> None:
        """Ask at intervals whether the other end is there, and end a connection whose other end is not."""
        self.lastPong = self.exchange.milliseconds()
        while self.keepAlive and not self.closed():
            await asyncio.sleep(self.keepAlive / 1_000)
            silent = self.exchange.milliseconds() - self.lastPong
            if silent > self.keepAlive * self.maxPingPongMisses:
                self.on_error(RequestTimeout(f"no answer to pings for {silent / 1_000:.0f} s"))
                return
            try:
                await (self.send(self.ping(self)) if self.ping else self.connection.ping())
            except (BaseError, OSError, ClientError) as error:
                if not self.closed():
                    self.on_error(NetworkError(type(error).__name__))
                return


class Dialling(Wired):
    """What our listeners put before ccxt's: websockets over our transport."""

    def client(self, url: str) -> Any:  # noqa: ANN401
        """The client of an address, ccxt's own with its transport replaced."""
        found = super().client(url)  # type: ignore[misc]  # of ccxt's class, which stands behind this one
        if not isinstance(found, WiredClient):
            found.__class__, found.exchange = WiredClient, self  # ccxt has no place to name another class
        return found


class GateListener(Dialling, gate):  # type: ignore[misc]  # ccxt ships no types
    """ccxt's Gate streams; what they ask over HTTP goes over our transport."""


class MexcListener(Dialling, mexc):  # type: ignore[misc]
    """ccxt's MEXC streams; the listen key is asked for over our transport."""


def listener(name: str, reads: Any, transport: Transport, config: dict[str, Any], url: str) -> Any:  # noqa: ANN401
    """A listener that shares the markets and the clock's difference of an instance that reads."""
    found: Any = {"gate": GateListener, "mexc": MexcListener}[name](config, transport, reads.wall)
    found.newUpdates = True
    found.set_markets_from_exchange(reads)
    found.options["timeDifference"] = reads.options["timeDifference"]
    if url:
        streams = url.replace("http", "ws", 1)
        if name == "gate":
            found.urls["api"]["spot"] = f"{streams}/ws/v4/"
        else:
            found.urls["api"]["ws"]["spot"] = f"{streams}/ws"
            for access in ("public", "private"):
                found.urls["api"]["spot"][access] = url
    return found


async def hear_market(
    name: str, make: Callable[[], Any], symbols: Sequence[str], timeframe: str, tell: Callable[[Hint], None]
) -> None:
    """Tell prices and beginnings of candles until cancelled; raises VenueDownError when a connection ends."""
    size = MOST[name] // 2  # two subscriptions for each market
    listeners = [(make(), symbols[begin : begin + size]) for begin in range(0, len(symbols), size)]
    try:
        await _together(
            name,
            [
                one
                for exchange, part in listeners
                for symbol in part
                for one in (_touches(exchange, symbol, tell), _candles(exchange, symbol, timeframe, tell))
            ],
        )
    finally:
        for exchange, _ in listeners:
            await exchange.close()


async def hear_account(name: str, make: Callable[[], Any], tell: Callable[[Hint], None]) -> None:
    """Tell which orders of the account move until cancelled; raises VenueDownError when the connection ends."""
    exchange = make()
    try:
        await _together(name, [_orders(exchange, tell), _trades(exchange, tell)])
    finally:
        await exchange.close()


async def _together(name: str, parts: Sequence[Coroutine[Any, Any, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except* (BaseError, TimeoutError, OSError) as errors:
        error = errors.exceptions[0]
        raise VenueDownError(f"{name} stream: {type(error).__name__} {str(error)[:200]}") from error


async def _touches(exchange: Any, symbol: str, tell: Callable[[Hint], None]) -> None:  # noqa: ANN401
    while True:
        found = await exchange.watch_ticker(symbol)
        if found["bid"] and found["ask"]:
            tell(Touched(symbol, Touch(Decimal(found["bid"]), Decimal(found["ask"]))))


async def _candles(exchange: Any, symbol: str, timeframe: str, tell: Callable[[Hint], None]) -> None:  # noqa: ANN401
    newest = 0
    while True:
        rows = await exchange.watch_ohlcv(symbol, timeframe)
        opened = max(int(row[0]) for row in rows)
        if newest and opened > newest:
            tell(Rolled(symbol, opened))
        newest = max(newest, opened)


async def _orders(exchange: Any, tell: Callable[[Hint], None]) -> None:  # noqa: ANN401
    while True:
        for one in await exchange.watch_orders():
            tell(Stirred(str(one["id"]), one["clientOrderId"] or ""))


async def _trades(exchange: Any, tell: Callable[[Hint], None]) -> None:  # noqa: ANN401
    while True:
        for one in await exchange.watch_my_trades():
            tell(Stirred(str(one["order"])))
