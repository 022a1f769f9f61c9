"""MEXC spot through ccxt's class: a pinned time and window, limit IOC as an order type, fees from trades.

Quirks with their source: a new order's answer tells nothing but its id (API documents); a symbol may be shown and yet not be tradable
through the API (ccxt#17069), so `selfSymbols` decides; an order may be "not there" just after it was created (ccxt#21614).
"""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ccxt.async_support as ccxt
from ccxt.base.errors import BaseError

from trader.adapters.ccxt_transport import Wired
from trader.adapters.ccxt_venue import (
    CcxtVenue,
    by_windows,
    code_of,
    exact_step,
)
from trader.adapters.clock import elapsed
from trader.adapters.http import HttpTransport, Transport
from trader.core.instruments import Instrument
from trader.ports import KeyView, OrderRequest, Touch, VenueDownError

ORDERS, TRADES = 1_000, 100  # the most rows of one answer
GONE = frozenset({"-2013", "-2011"})


class MexcExchange(Wired, ccxt.mexc):  # type: ignore[misc]  # ccxt ships no types
    """ccxt's MEXC with our transport and clock, and a time that can be pinned."""


class Mexc:
    """How MEXC spot is asked."""

    name = "mexc"
    settle_seconds = 3.0

    def client_id(self, core: str) -> str:
        """`tb` and 26 characters, letters and digits only."""
        return "tb" + core

    def request(self, exchange: Any, request: OrderRequest) -> tuple[str, list[str], dict[str, Any]]:  # noqa: ANN401
        """The request of an order; raises ValueError where ccxt would send another amount or price."""
        market = exchange.market(request.symbol)
        options: dict[str, Any] = {"clientOrderId": request.client_id}
        if request.quantity is None:
            if request.side != "buy" or request.spend is None:
                raise ValueError(f"{request.symbol}: only a buy can spend money")
            options |= {"cost": str(request.spend)}
        if request.limit is not None:
            options |= {"timeInForce": "IOC"}
        kind = "market" if request.limit is None else "limit"
        params = exchange.create_spot_order_request(
            market, kind, request.side, request.quantity, request.limit, None, options
        )
        wanted = (("quantity", request.quantity), ("price", request.limit), ("quoteOrderQty", request.spend))
        for name, value in wanted:
            if value is not None and Decimal(str(params.get(name, "0"))) != value:
                raise ValueError(f"{request.symbol}: {name} {value} would be sent as {params.get(name)}")
        expected = "MARKET" if request.limit is None else "IMMEDIATE_OR_CANCEL"
        if params["type"] != expected or params["newClientOrderId"] != request.client_id:
            raise ValueError(f"{request.symbol}: ccxt would send {params['type']} where {expected} is meant")
        return "order", ["spot", "private"], params

    def fence(self, exchange: Any, signed: dict[str, Any], not_after_ms: int) -> dict[str, str]:  # noqa: ANN401
        """The headers; the deadline is `timestamp` and `recvWindow`, which are signed."""
        del not_after_ms
        return dict(exchange.prepare_request_headers(signed["headers"]))

    async def find(self, exchange: Any, client_id: str, symbol: str) -> Any:  # noqa: ANN401
        """By client id."""
        return await self._one(exchange, symbol, {"origClientOrderId": client_id})

    async def order(self, exchange: Any, venue_order: str, symbol: str) -> Any:  # noqa: ANN401
        """One order."""
        return await self._one(exchange, symbol, {"orderId": venue_order})

    async def _one(self, exchange: Any, symbol: str, asked: dict[str, str]) -> Any:  # noqa: ANN401
        market = exchange.market(symbol)
        try:
            row = await exchange.spotPrivateGetOrder({"symbol": market["id"], **asked})
        except BaseError as error:
            if code_of(error) in GONE:
                return None
            raise
        return exchange.parse_order(row, market)

    async def cancel(self, exchange: Any, venue_order: str, symbol: str) -> None:  # noqa: ANN401
        """Cancel; an order that is gone is no error."""
        try:
            await exchange.spotPrivateDeleteOrder({"symbol": exchange.market(symbol)["id"], "orderId": venue_order})
        except BaseError as error:
            if code_of(error) not in GONE:
                raise

    async def orders(self, exchange: Any, symbol: str, since_ms: int, until_ms: int) -> list[Any]:  # noqa: ANN401
        """Open orders, and all of the span in windows that prove the end."""
        market = exchange.market(symbol)
        rows = await exchange.spotPrivateGetOpenOrders({"symbol": market["id"]})
        rows += await by_windows(
            lambda begin, end: exchange.spotPrivateGetAllOrders(
                {"symbol": market["id"], "startTime": begin, "endTime": end, "limit": ORDERS}
            ),
            since_ms, until_ms, ORDERS,
        )  # fmt: skip
        return [exchange.parse_order(row, market) for row in {row["orderId"]: row for row in rows}.values()]

    async def trades(self, exchange: Any, symbol: str, since_ms: int, until_ms: int) -> list[Any]:  # noqa: ANN401
        """Trades of the span in windows that prove the end."""
        market = exchange.market(symbol)
        rows = await by_windows(
            lambda begin, end: exchange.spotPrivateGetMyTrades(
                {"symbol": market["id"], "startTime": begin, "endTime": end, "limit": TRADES}
            ),
            since_ms, until_ms, TRADES,
        )  # fmt: skip
        return [exchange.parse_trade(row, market) for row in rows]

    async def trades_of(self, exchange: Any, venue_order: str, symbol: str) -> list[Any]:  # noqa: ANN401
        """Trades of one order; an order of ours is filled within one second, so a page holds them."""
        market = exchange.market(symbol)
        asked = {"symbol": market["id"], "orderId": venue_order, "limit": TRADES}
        rows = await exchange.spotPrivateGetMyTrades(asked)
        if len(rows) >= TRADES:
            raise VenueDownError(f"mexc shows {len(rows)} trades of order {venue_order}: the list may be cut")
        return [exchange.parse_trade(row, market) for row in rows]

    async def touch(self, exchange: Any, symbol: str) -> Touch:  # noqa: ANN401
        """The best prices."""
        found = await exchange.spotPublicGetTickerBookTicker({"symbol": exchange.market(symbol)["id"]})
        if not found.get("bidPrice") or not found.get("askPrice"):
            raise VenueDownError(f"mexc shows no bid and ask for {symbol}")
        return Touch(Decimal(found["bidPrice"]), Decimal(found["askPrice"]))

    async def tradable(self, exchange: Any) -> frozenset[str] | None:  # noqa: ANN401
        """The symbols that this account may trade through the API; without a key nobody can say."""
        if not exchange.apiKey:
            return None
        found = await exchange.spotPrivateGetSelfSymbols()
        return frozenset(found["data"])

    async def key_view(self, exchange: Any) -> KeyView:  # noqa: ANN401
        """What the account may; of the key itself MEXC shows neither rights nor addresses nor its end."""
        found = await exchange.spotPrivateGetAccount()
        withdraws = (
            None if found.get("canWithdraw") else False
        )  # an account that may withdraw does not mean that the key may
        rights = tuple(map(str, found.get("permissions") or ()))
        return KeyView(
            bool(found.get("canTrade")),
            withdraws,
            rights,
            note="mexc shows what the account may, not what this key may",
        )

    def instrument(self, market: dict[str, Any], asset: str) -> Instrument:
        """A market's rules; fees are paid in quote money."""
        least = market["limits"]["cost"]["min"]
        return Instrument(
            asset, "mexc", market["symbol"], exact_step(market["precision"]["price"]),
            exact_step(market["precision"]["amount"]), exact_step(least) if least else None, "quote",
        )  # fmt: skip


def mexc_venue(
    *,
    key: str,
    secret: str,
    url: str = "",
    transport: Transport | None = None,
    paces: bool = True,
    quote: str = "USDT",
    wall: Callable[[], float] = time.time,  # sim-ok: handed in by who simulates
    monotonic: Callable[[], float] = elapsed,  # sim-ok: handed in by who simulates
) -> CcxtVenue:
    """A MEXC spot account; `url` points it to a loopback exchange, and the clocks come from outside where they are simulated."""
    wire = transport or HttpTransport()
    config = {
        "apiKey": key, "secret": secret, "enableRateLimit": paces, "timeout": 5_000, "maxRetriesOnFailure": 0,
        "options": {"adjustForTimeDifference": False, "timeDifference": 0, "defaultType": "spot"},
    }  # fmt: skip
    reads, writes = (MexcExchange(config, wire, wall) for _ in range(2))
    if url:
        for exchange in (reads, writes):
            for access in ("public", "private"):
                exchange.urls["api"]["spot"][access] = url
            exchange.urls["api"]["contract"] = {"public": f"{url}/api/v1/contract", "private": f"{url}/api/v1/private"}
    return CcxtVenue(Mexc(), reads, writes, wire, config=config, url=url, quote=quote, monotonic=monotonic)
