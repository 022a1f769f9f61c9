"""Gate.io spot through ccxt's class: a pinned time, the deadline header that ccxt does not send, amounts that nobody changes.

Quirks with their source: `x-gate-exptime` bounds how late the venue may accept (Gate's SDK documents); a client id is `t-` and at most
28 characters, and a finished order is not found by it (gateio/gateapi-go#41); a market buy's amount is money (ccxt#16506).
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import ccxt.async_support as ccxt
from ccxt.base.errors import BaseError, NetworkError

from trader.adapters.ccxt_transport import Wired
from trader.adapters.ccxt_venue import (
    CcxtVenue,
    by_pages,
    code_of,
    exact_step,
)
from trader.adapters.clock import elapsed
from trader.adapters.http import HttpTransport, Transport
from trader.core.instruments import Instrument
from trader.ports import KeyView, OrderRequest, Touch, VenueDownError

PAGE = 100
GONE = frozenset({"ORDER_NOT_FOUND", "CLIENT_ID_NOT_FOUND", "ORDER_CLOSED", "ORDER_CANCELLED"})


class GateExchange(Wired, ccxt.gate):  # type: ignore[misc]  # ccxt ships no types
    """ccxt's Gate with our transport and clock, and a time that can be pinned."""


class Gate:
    """How Gate spot is asked."""

    name = "gate"
    settle_seconds = 3.0

    def client_id(self, core: str) -> str:
        """`t-` and 26 characters: ccxt would add the prefix only where it thinks one is missing."""
        return "t-" + core

    def request(self, exchange: Any, request: OrderRequest) -> tuple[str, list[str], dict[str, Any]]:  # noqa: ANN401
        """The request of an order; raises ValueError where ccxt would send another amount or price."""
        spends = request.quantity is None
        amount = request.spend if spends else request.quantity
        if spends and request.side != "buy":
            raise ValueError(f"{request.symbol}: only a buy can spend money")
        options: dict[str, Any] = {"clientOrderId": request.client_id, "timeInForce": "IOC"}
        if spends:
            options |= {"cost": amount}
        kind = "market" if request.limit is None else "limit"
        params = exchange.create_order_request(request.symbol, kind, request.side, amount, request.limit, options)
        for name, wanted in (("amount", amount), ("price", request.limit)):
            if wanted is not None and Decimal(str(params[name])) != wanted:
                raise ValueError(f"{request.symbol}: {name} {wanted} would be sent as {params[name]}")
        if params["text"] != request.client_id or params["time_in_force"] != "ioc":
            raise ValueError(f"{request.symbol}: ccxt changed the client id or the time in force")
        return "orders", ["private", "spot"], params

    def fence(self, exchange: Any, signed: dict[str, Any], not_after_ms: int) -> dict[str, str]:  # noqa: ANN401
        """The headers with the deadline; it is no part of Gate's signature."""
        return {**exchange.prepare_request_headers(signed["headers"]), "x-gate-exptime": str(not_after_ms)}

    async def find(self, exchange: Any, client_id: str, symbol: str) -> Any:  # noqa: ANN401
        """By client id, as long as the venue remembers it."""
        return await self.order(exchange, client_id, symbol)

    async def order(self, exchange: Any, venue_order: str, symbol: str) -> Any:  # noqa: ANN401
        """One order."""
        market = exchange.market(symbol)
        asked = {"order_id": venue_order, "currency_pair": market["id"]}
        try:
            return _order(exchange, await exchange.privateSpotGetOrdersOrderId(asked), market)
        except BaseError as error:
            if code_of(error) in GONE:
                return None
            raise

    async def cancel(self, exchange: Any, venue_order: str, symbol: str) -> None:  # noqa: ANN401
        """Cancel; an order that is gone is no error."""
        asked = {"order_id": venue_order, "currency_pair": exchange.market(symbol)["id"]}
        try:
            await exchange.privateSpotDeleteOrdersOrderId(asked)
        except BaseError as error:
            if code_of(error) not in GONE:
                raise

    async def orders(self, exchange: Any, symbol: str, since_ms: int, until_ms: int) -> list[Any]:  # noqa: ANN401
        """Open and finished orders of the span, every page."""
        market = exchange.market(symbol)
        asked = {"currency_pair": market["id"], "limit": PAGE}
        span = {"from": since_ms // 1_000, "to": until_ms // 1_000 + 1}
        rows = await by_pages(
            lambda page: exchange.privateSpotGetOrders({**asked, "status": "open", "page": page}), PAGE
        )
        rows += await by_pages(
            lambda page: exchange.privateSpotGetOrders({**asked, **span, "status": "finished", "page": page}), PAGE
        )
        return [_order(exchange, row, market) for row in rows]

    async def trades(self, exchange: Any, symbol: str, since_ms: int, until_ms: int) -> list[Any]:  # noqa: ANN401
        """Trades of the span, every page."""
        market = exchange.market(symbol)
        asked = {"currency_pair": market["id"], "limit": PAGE, "from": since_ms // 1_000, "to": until_ms // 1_000 + 1}
        rows = await by_pages(lambda page: exchange.privateSpotGetMyTrades({**asked, "page": page}), PAGE)
        return [exchange.parse_trade(row, market) for row in rows]

    async def trades_of(self, exchange: Any, venue_order: str, symbol: str) -> list[Any]:  # noqa: ANN401
        """Trades of one order, every page."""
        market = exchange.market(symbol)
        asked = {"currency_pair": market["id"], "order_id": venue_order, "limit": PAGE}
        rows = await by_pages(lambda page: exchange.privateSpotGetMyTrades({**asked, "page": page}), PAGE)
        return [exchange.parse_trade(row, market) for row in rows]

    async def touch(self, exchange: Any, symbol: str) -> Touch:  # noqa: ANN401
        """The best prices from the ticker."""
        found = await exchange.publicSpotGetTickers({"currency_pair": exchange.market(symbol)["id"]})
        if not found or not found[0].get("highest_bid") or not found[0].get("lowest_ask"):
            raise VenueDownError(f"gate shows no bid and ask for {symbol}")
        return Touch(Decimal(found[0]["highest_bid"]), Decimal(found[0]["lowest_ask"]))

    async def tradable(self, exchange: Any) -> frozenset[str] | None:  # noqa: ANN401
        """Every active market can be traded through the API."""
        del exchange
        return None

    async def key_view(self, exchange: Any) -> KeyView:  # noqa: ANN401
        """Addresses and pairs of the asking key; its rights from the list of keys, which only a main account's key may see.

        The list has no name for withdrawing alone: `wallet` is the name that money can leave by.
        """
        detail = await exchange.privateAccountGetDetail()
        addresses, pairs = tuple(detail.get("ip_whitelist") or ()), tuple(detail.get("currency_pairs") or ())
        symbols = tuple(one.replace("_", "/") for one in pairs)
        try:
            rows = await exchange.privateAccountGetMainKeys()
        except NetworkError:
            raise
        except BaseError:
            return KeyView(
                None, None, (), addresses, symbols, note="gate shows the rights of a main account's keys only"
            )
        rows = [rows] if isinstance(rows, dict) else rows
        own = [row for row in rows if row.get("key") == exchange.apiKey] or rows
        if len(own) != 1:
            return KeyView(
                None,
                None,
                (),
                addresses,
                symbols,
                note=f"gate lists {len(own)} keys and does not say which of them asks",
            )
        perms = {str(one["name"]): bool(one.get("read_only")) for one in own[0].get("perms") or ()}
        rights = tuple(f"{name} (read)" if reads else name for name, reads in perms.items())
        made = str(own[0].get("created_at") or "").partition(".")[0]
        return KeyView(
            perms.get("spot") is False,
            any(name.startswith(("wallet", "withdraw")) and not reads for name, reads in perms.items()),
            rights, addresses, symbols, datetime.fromtimestamp(int(made), UTC) if made.isdigit() else None,
        )  # fmt: skip

    def instrument(self, market: dict[str, Any], asset: str) -> Instrument:
        """A market's rules; a buy's fee comes out of what is received."""
        least = market["limits"]["cost"]["min"]
        return Instrument(
            asset, "gate", market["symbol"], exact_step(market["precision"]["price"]),
            exact_step(market["precision"]["amount"]), exact_step(least) if least else None, "received",
        )  # fmt: skip


def _order(exchange: Any, row: dict[str, Any], market: Any) -> Any:  # noqa: ANN401
    """As ccxt reads it, but filled as the venue says it, for ccxt divides what a buy for money spent by a rounded average price.

    Where the venue does not say it, what was spent is exact.
    """
    found = exchange.parse_order(row, market)
    is_for_money = row.get("type") == "market" and row.get("side") == "buy"
    if row.get("filled_amount"):
        found["filled"] = row["filled_amount"]
    elif is_for_money:
        found |= {"filled": None, "spent": row.get("filled_total")}
    return found | {"amount": None} if is_for_money else found


def gate_venue(
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
    """A Gate spot account; `url` points it to a loopback exchange, and the clocks come from outside where they are simulated."""
    wire = transport or HttpTransport()
    config = {
        "apiKey": key, "secret": secret, "enableRateLimit": paces, "timeout": 5_000, "maxRetriesOnFailure": 0,
        "options": {
            "fetchMarkets": {"types": ["spot"]}, "unifiedAccount": False, "adjustForTimeDifference": False,
            "createMarketBuyOrderRequiresPrice": False, "timeDifference": 0, "defaultType": "spot",
        },
    }  # fmt: skip
    reads, writes = (GateExchange(config, wire, wall) for _ in range(2))
    if url:
        for exchange in (reads, writes):
            for access in ("public", "private"):
                for part in exchange.urls["api"][access]:
                    exchange.urls["api"][access][part] = f"{url}/api/v4"
    return CcxtVenue(Gate(), reads, writes, wire, config=config, url=url, quote=quote, monotonic=monotonic)
