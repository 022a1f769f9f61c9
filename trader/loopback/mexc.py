"""MEXC's REST dialect (spot API v3): requests to responses, signatures checked first. No clock, no sockets.

Kept as it is: a new order's answer tells nothing but its id, fees are only in the trades, client ids are unique among open orders
only, a symbol may be shown and yet not be tradable through the API. Source of the forms: the public documents of the API.
"""

import hashlib
import hmac
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from trader.loopback.exchange import Account, Exchange, Market, Refusal
from trader.loopback.gate import answer
from trader.loopback.gate_rows import places
from trader.loopback.mexc_rows import name, number, order_row, trade_row
from trader.loopback.mexc_stream import PATH, MexcStream
from trader.loopback.wire import Request, Response, Stream

PREFIX = "/api/v3"
CODES = {
    "market": (400, 10007, "bad symbol"),
    "not_by_api": (400, 10007, "symbol not support api"),
    "precision": (400, 30016, "trade is not allowed with this precision"),
    "parameter": (400, 700008, "invalid parameter"),
    "minimum": (400, 30002, "the minimum transaction volume cannot be less than"),
    "balance": (400, 30004, "Insufficient position"),
    "untradable": (400, 30014, "invalid symbol"),
    "no_market_orders": (400, 30018, "market order is disabled"),
    "repeated": (400, 700009, "duplicate client order id"),
    "client_id": (400, 700008, "invalid newClientOrderId"),
    "not_found": (400, -2013, "Order does not exist."),
    "closed": (400, -2011, "Unknown order sent."),
    "key": (400, 10072, "Api key info invalid"),
    "signature": (400, 700002, "Signature for this request is not valid."),
    "expired": (400, 700003, "Timestamp for this request is outside of the recvWindow."),
    "read_only": (403, 700007, "No permission to access the endpoint."),
}
FRAMES = {"1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "60m": "1h", "4h": "4h", "1d": "1d"}
MOST_MS = 60_000
AHEAD_MS = 1_000
LETTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-")


class MexcDialect:
    """Speaks for an exchange as MEXC does."""

    name = "mexc"

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.unknown: list[str] = []
        self.listen_keys: dict[str, tuple[Account, int]] = {}  # key -> whose, and until when
        self.listen_key_ms = 3_600_000
        self._public: dict[tuple[str, str], Callable[[Request, int], Any]] = {
            ("GET", "/api/v3/ping"): lambda *_: {},
            ("GET", "/api/v3/time"): lambda _, now: {"serverTime": now},
            ("GET", "/api/v3/exchangeInfo"): self._exchange_info,
            ("GET", "/api/v3/depth"): self._depth,
            ("GET", "/api/v3/klines"): self._klines,
            ("GET", "/api/v3/ticker/24hr"): self._tickers,
            ("GET", "/api/v3/ticker/bookTicker"): self._book_tickers,
            ("GET", "/api/v1/contract/detail"): lambda *_: {"success": True, "code": 0, "data": []},
        }
        self._private: dict[tuple[str, str], Callable[[Account, Request, int], Any]] = {
            ("GET", "/api/v3/account"): self._account,
            ("GET", "/api/v3/capital/config/getall"): self._coins,
            ("GET", "/api/v3/selfSymbols"): lambda *_: {"code": 200, "data": self._by_api(), "msg": None},
            ("POST", "/api/v3/userDataStream"): self._listen,
            ("PUT", "/api/v3/userDataStream"): self._listen,
            ("DELETE", "/api/v3/userDataStream"): self._listen,
            ("POST", "/api/v3/order"): self._create,
            ("GET", "/api/v3/order"): self._one,
            ("DELETE", "/api/v3/order"): self._one,
            ("GET", "/api/v3/openOrders"): self._open_orders,
            ("GET", "/api/v3/allOrders"): self._all_orders,
            ("GET", "/api/v3/myTrades"): self._my_trades,
        }

    def respond(self, request: Request, now_ms: int) -> Response:
        """Answer one request."""
        try:
            public = self._public.get((request.method, request.path))
            if public is not None:
                return answer(200, public(request, now_ms))
            private = self._private.get((request.method, request.path))
            if private is None:
                self.unknown.append(f"{request.method} {request.path}")
                return answer(404, {"code": 404, "msg": f"no endpoint {request.method} {request.path}"})
            return answer(200, private(self._authenticated(request, now_ms), request, now_ms))
        except Refusal as refusal:
            status, code, text = CODES[refusal.kind]
            return answer(status, {"code": code, "msg": f"{text} ({refusal.text})"})

    def connect(self, request: Request, now_ms: int) -> Stream | None:
        """Open a stream, with the account's news where a listen key is given; None where there is none."""
        if request.path != PATH:
            return None
        key = request.asked().get("listenKey")
        if key is None:
            return MexcStream(self.exchange, self.unknown, None, now_ms)
        account = self.listen_keys[key][0] if self._is_listening(key, now_ms) else None
        is_good = lambda at_ms: self._is_listening(key, at_ms)  # noqa: E731 - short, and it names what it is
        return MexcStream(self.exchange, self.unknown, account, now_ms, is_good=is_good)

    def _is_listening(self, key: str, now_ms: int) -> bool:
        return key in self.listen_keys and now_ms <= self.listen_keys[key][1]

    def _listen(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        """Give, prolong or end a listen key."""
        key = request.asked().get("listenKey", "")
        if request.method == "POST":
            key = f"listen{len(self.listen_keys) + 1}"
            self.listen_keys[key] = (account, now_ms + self.listen_key_ms)
        elif not self._is_listening(key, now_ms):
            raise Refusal("not_found", f"listen key {key}")
        elif request.method == "PUT":
            self.listen_keys[key] = (account, now_ms + self.listen_key_ms)
        else:
            del self.listen_keys[key]
        return {"listenKey": key}

    def _authenticated(self, request: Request, now_ms: int) -> Account:
        account = self.exchange.accounts.get(request.headers.get("x-mexc-apikey", ""))
        if account is None:
            raise Refusal("key", "unknown key")
        text, found, signature = (request.query + request.body).rpartition("&signature=")
        good = hmac.new(account.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if not found or not hmac.compare_digest(good.encode(), signature.encode()):
            raise Refusal("signature", "signature mismatch")
        asked = request.asked()
        stamp, window = int(asked.get("timestamp", "0")), int(asked.get("recvWindow", "5000"))
        if stamp - now_ms > AHEAD_MS or now_ms - stamp > min(window, MOST_MS):
            raise Refusal("expired", f"timestamp {stamp} at {now_ms}")
        if request.method != "GET" and "trade" not in account.may:
            raise Refusal("read_only", "the key may read only")
        return account

    # Public

    def _exchange_info(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401 - what json can write
        del request
        return {"timezone": "CST", "serverTime": now_ms, "rateLimits": [], "symbols": [
            {
                "symbol": name(market), "status": "1" if market.status == "tradable" else "2",
                "baseAsset": market.base, "quoteAsset": market.quote, "baseAssetPrecision": places(market.lot),
                "quotePrecision": places(market.tick), "quoteAssetPrecision": places(market.tick),
                "baseSizePrecision": str(market.lot), "quoteAmountPrecision": str(market.least),
                "isSpotTradingAllowed": market.by_api, "isMarginTradingAllowed": False, "permissions": ["SPOT"],
                "orderTypes": ["LIMIT", "LIMIT_MAKER"] + (["MARKET"] if market.takes_market_orders else []),
                "makerCommission": "0", "takerCommission": str(self.exchange.fee), "filters": [],
                "maxQuoteAmount": "5000000", "tradeSideType": "1", "fullName": market.base,
            }
            for market in self.exchange.markets.values()
        ]}  # fmt: skip

    def _coins(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        """Coins with their contracts; only those that have one are told, the rest ccxt takes from the markets."""
        del account, request, now_ms
        return [
            {"coin": market.base, "name": market.base, "networkList": [
                {"coin": market.base, "network": "BASE", "netWork": "BASE", "name": market.base, "depositEnable": False, "withdrawEnable": False,
                 "withdrawFee": "0", "withdrawMax": "0", "withdrawMin": "0", "contract": market.contract},
            ]}
            for market in self.exchange.markets.values() if market.contract
        ]  # fmt: skip

    def _by_api(self) -> list[str]:
        return [name(market) for market in self.exchange.markets.values() if market.by_api]

    def _depth(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        bids, asks = self.exchange.books.get(self._market(request).symbol, ([], []))
        return {
            "lastUpdateId": now_ms, "timestamp": now_ms,
            "bids": [[str(price), str(quantity)] for price, quantity in bids],
            "asks": [[str(price), str(quantity)] for price, quantity in asks],
        }  # fmt: skip

    def _klines(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        del now_ms
        asked = request.asked()
        market, frame = self._market(request), FRAMES.get(asked.get("interval", "60m"), "1h")
        rows = self.exchange.shown(market.symbol, frame)
        begin, end = int(asked.get("startTime", 0)), int(asked.get("endTime", 10**15))
        rows, most = [row for row in rows if begin <= row[0] <= end], int(asked.get("limit", "500"))
        rows = rows[:most] if "startTime" in asked else rows[-most:]
        return [
            [at, str(opened), str(high), str(low), str(close), str(volume), at + 3_600_000, str(volume * close)]
            for at, opened, high, low, close, volume in rows
        ]

    def _tickers(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        rows = [
            {
                "symbol": name(market), "priceChange": "0", "priceChangePercent": "0", "prevClosePrice": "0",
                "lastPrice": str(self.exchange.last[symbol]), "openPrice": "0", "highPrice": "0", "lowPrice": "0",
                "bidPrice": str(self.exchange.books[symbol][0][0][0]), "bidQty": "0",
                "askPrice": str(self.exchange.books[symbol][1][0][0]), "askQty": "0", "volume": "0",
                "quoteVolume": "0", "openTime": now_ms, "closeTime": now_ms,
            }
            for symbol, market in self.exchange.markets.items()
            if symbol in self.exchange.last
        ]  # fmt: skip
        return self._asked_rows(request, rows)

    def _book_tickers(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        del now_ms
        rows = [
            {
                "symbol": name(self.exchange.markets[symbol]), "bidPrice": str(bids[0][0]), "bidQty": str(bids[0][1]),
                "askPrice": str(asks[0][0]), "askQty": str(asks[0][1]),
            }
            for symbol, (bids, asks) in self.exchange.books.items()
            if bids and asks
        ]  # fmt: skip
        return self._asked_rows(request, rows)

    @staticmethod
    def _asked_rows(request: Request, rows: list[dict[str, Any]]) -> Any:  # noqa: ANN401
        wanted = request.asked().get("symbol")
        if wanted is None:
            return rows
        found = [row for row in rows if row["symbol"] == wanted]
        if not found:
            raise Refusal("market", f"unknown symbol {wanted}")
        return found[0]

    # Private

    def _account(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        del request
        return {
            "makerCommission": None, "takerCommission": None, "canTrade": "trade" in account.may, "canWithdraw": "withdraw" in account.may,
            "canDeposit": False, "updateTime": now_ms, "accountType": "SPOT", "permissions": ["SPOT"],
            "balances": [
                {"asset": asset, "free": str(held.available), "locked": str(held.locked)}
                for asset, held in account.balances.items()
            ],
        }  # fmt: skip

    def _create(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        asked, market = request.asked(), self._market(request)
        kind, client_id = asked.get("type", ""), asked.get("newClientOrderId", "")
        if kind not in {"LIMIT", "MARKET", "IMMEDIATE_OR_CANCEL", "FILL_OR_KILL", "LIMIT_MAKER"}:
            raise Refusal("parameter", f"type {kind}")
        if client_id and not (len(client_id) <= 32 and LETTERS.issuperset(client_id)):
            raise Refusal("client_id", client_id)
        try:
            quantity = Decimal(asked["quantity"]) if "quantity" in asked else None
            spend = Decimal(asked["quoteOrderQty"]) if "quoteOrderQty" in asked and quantity is None else None
            limit = Decimal(asked["price"]) if kind != "MARKET" else None
        except (KeyError, InvalidOperation) as error:
            raise Refusal("parameter", str(error)) from error
        lasts = {"IMMEDIATE_OR_CANCEL": "ioc", "FILL_OR_KILL": "fok", "MARKET": "ioc"}.get(kind, "gtc")
        order = self.exchange.place(
            account, market.symbol, asked.get("side", "").lower(), quantity=quantity, limit=limit, spend=spend,
            lasts=lasts, client_id=client_id, at_ms=now_ms,
        )  # fmt: skip
        return {
            "symbol": name(market), "orderId": number(order), "orderListId": -1, "price": asked.get("price", "0"),
            "origQty": asked.get("quantity", "0"), "type": kind, "side": asked.get("side"), "transactTime": now_ms,
        }  # fmt: skip

    def _one(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        asked = request.asked()
        wanted = asked.get("orderId", "")
        order = self.exchange.find(
            account, int(wanted.partition("__")[2] or 0) if wanted else None, asked.get("origClientOrderId", "")
        )
        if order is None or order.at_ms + self.exchange.list_lag_ms > now_ms:
            raise Refusal("not_found", wanted or asked.get("origClientOrderId", ""))
        if request.method == "DELETE":
            if not order.is_open:
                raise Refusal("closed", wanted)
            self.exchange.cancel(order, now_ms)
        return order_row(order)

    def _open_orders(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        rows = self.exchange.listed(account, self._market(request).symbol, now_ms)
        return [order_row(one) for one in rows if one.is_open]

    def _all_orders(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        asked = request.asked()
        rows = self.exchange.listed(account, self._market(request).symbol, now_ms)
        return [order_row(one) for one in rows if spanned(one.at_ms, asked)][-int(asked.get("limit", "500")) :]

    def _my_trades(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        asked = request.asked()
        rows = self.exchange.traded(account, self._market(request).symbol, now_ms)
        rows = [one for one in rows if spanned(one.at_ms, asked)]
        if "orderId" in asked:
            rows = [one for one in rows if number(one.order) == asked["orderId"]]
        return [trade_row(one) for one in rows[::-1][: min(int(asked.get("limit", "100")), 100)]]

    def _market(self, request: Request) -> Market:
        wanted = request.asked().get("symbol", "")
        for market in self.exchange.markets.values():
            if name(market) == wanted:
                return market
        raise Refusal("market", f"unknown symbol {wanted!r}")


def spanned(at_ms: int, asked: dict[str, str]) -> bool:
    """Whether an instant is in the asked range."""
    return int(asked.get("startTime", 0)) <= at_ms <= int(asked.get("endTime", 10**15))
