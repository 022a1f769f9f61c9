"""Gate's REST dialect (API v4, spot): requests to responses, signatures checked first. No clock, no sockets.

What the venue does differently from what one expects is kept: a market buy's amount is money, the fee comes out of what is
received, finished orders are forgotten by client id, an expired request is refused by `x-gate-exptime`.
Source of the forms: the public documents of the API and the fields that ccxt reads.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from trader.loopback.exchange import Account, Exchange, Market, Refusal, VenueSideOrder
from trader.loopback.gate_rows import order_row, pair, places, trade_row
from trader.loopback.gate_stream import PATH, GateStream
from trader.loopback.wire import Request, Response, Stream

PREFIX = "/api/v4"
LABELS = {
    "market": (400, "INVALID_CURRENCY_PAIR"),
    "precision": (400, "INVALID_PRECISION"),
    "parameter": (400, "INVALID_PARAM_VALUE"),
    "minimum": (400, "INVALID_PARAM_VALUE"),
    "balance": (400, "BALANCE_NOT_ENOUGH"),
    "untradable": (400, "TRADE_RESTRICTED"),
    "not_by_api": (403, "FORBIDDEN"),
    "no_market_orders": (400, "INVALID_PARAM_VALUE"),
    "repeated": (400, "REPEATED_CREATION"),
    "client_id": (400, "INVALID_PARAM_VALUE"),
    "not_found": (404, "ORDER_NOT_FOUND"),
    "client_id_not_found": (404, "CLIENT_ID_NOT_FOUND"),
    "closed": (400, "ORDER_CLOSED"),
    "key": (401, "INVALID_KEY"),
    "signature": (401, "INVALID_SIGNATURE"),
    "expired": (403, "REQUEST_EXPIRED"),
    "read_only": (403, "READ_ONLY"),
}
WINDOW_MS = 60_000
PAGE = 100
LETTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-.")
T = TypeVar("T")


class GateDialect:
    """Speaks for an exchange as Gate does."""

    name = "gate"

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.unknown: list[str] = []
        self._public: dict[tuple[str, str], Callable[[Request, int], Any]] = {
            ("GET", "/spot/time"): lambda _, now: {"server_time": now},
            ("GET", "/spot/currencies"): self._currencies,
            ("GET", "/spot/currency_pairs"): self._pairs,
            ("GET", "/margin/currency_pairs"): lambda *_: [],
            ("GET", "/spot/tickers"): self._tickers,
            ("GET", "/spot/order_book"): self._order_book,
            ("GET", "/spot/candlesticks"): self._candles,
        }
        self._private: dict[tuple[str, str], Callable[[Account, Request, int], Any]] = {
            ("GET", "/account/detail"): self._detail,
            ("GET", "/account/main_keys"): self._keys,
            ("GET", "/spot/accounts"): self._accounts,
            ("POST", "/spot/orders"): self._create,
            ("GET", "/spot/orders"): self._orders,
            ("GET", "/spot/open_orders"): self._open_orders,
            ("GET", "/spot/my_trades"): self._my_trades,
        }

    def respond(self, request: Request, now_ms: int) -> Response:
        """Answer one request."""
        path = request.path.removeprefix(PREFIX)
        try:
            public = self._public.get((request.method, path))
            if public is not None and request.path.startswith(PREFIX):
                return answer(200, public(request, now_ms))
            private = self._private.get((request.method, path))
            if private is None and path.startswith("/spot/orders/") and request.method in {"GET", "DELETE"}:
                private = self._one
            if private is None:
                self.unknown.append(f"{request.method} {request.path}")
                return answer(404, {"label": "NOT_FOUND", "message": f"no endpoint {request.method} {request.path}"})
            account = self._authenticated(request, now_ms)
            return answer(201 if request.method == "POST" else 200, private(account, request, now_ms))
        except Refusal as refusal:
            status, label = LABELS[refusal.kind]
            return answer(status, {"label": label, "message": refusal.text})

    def connect(self, request: Request, now_ms: int) -> Stream | None:
        """Open a stream; None where there is none."""
        del now_ms
        return GateStream(self.exchange, self.unknown) if request.path == PATH else None

    def _authenticated(self, request: Request, now_ms: int) -> Account:
        headers = request.headers
        account = self.exchange.accounts.get(headers.get("key", ""))
        if account is None:
            raise Refusal("key", "Invalid key provided")
        stamp = headers.get("timestamp", "0")
        digest = hashlib.sha512(request.body.encode()).hexdigest()
        text = "\n".join((request.method, request.path, unquote_plus(request.query), digest, stamp))
        good = hmac.new(account.secret.encode(), text.encode(), hashlib.sha512).hexdigest()
        if not hmac.compare_digest(good.encode(), headers.get("sign", "").encode()):
            raise Refusal("signature", "Signature mismatch")
        if abs(now_ms - float(stamp) * 1_000) > WINDOW_MS:
            raise Refusal("expired", "gap between request time and server time exceeds 60")
        deadline = headers.get("x-gate-exptime")
        if deadline is not None and now_ms > int(deadline):
            raise Refusal("expired", f"request expired at {deadline}")
        if request.method != "GET" and "trade" not in account.may:
            raise Refusal("read_only", "the key may read only")
        return account

    # Public

    def _currencies(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401 - what json can write
        del request, now_ms
        markets = self.exchange.markets.values()
        names = sorted({name for market in markets for name in (market.base, market.quote)})
        places_of = {market.base: market.contract for market in markets if market.contract}
        return [
            {"currency": name, "name": name, "delisted": False, "withdraw_disabled": True, "deposit_disabled": True,
             "trade_disabled": False, "chains": [{"name": "BASEEVM", "addr": places_of[name]}] if name in places_of else []}
            for name in names
        ]  # fmt: skip

    def _pairs(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        del request, now_ms
        return [
            {
                "id": pair(market), "base": market.base, "quote": market.quote, "fee": str(self.exchange.fee * 100),
                "min_quote_amount": str(market.least), "amount_precision": places(market.lot),
                "precision": places(market.tick), "trade_status": market.status, "sell_start": 0, "buy_start": 0,
            }
            for market in self.exchange.markets.values()
        ]  # fmt: skip

    def _tickers(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        del now_ms
        wanted = request.asked().get("currency_pair")
        found = []
        for symbol, market in self.exchange.markets.items():
            if symbol in self.exchange.last and wanted in {None, pair(market)}:
                bids, asks = self.exchange.books[symbol]
                found.append(
                    {
                        "currency_pair": pair(market), "last": str(self.exchange.last[symbol]),
                        "lowest_ask": str(asks[0][0]) if asks else "", "highest_bid": str(bids[0][0]) if bids else "",
                        "change_percentage": "0", "base_volume": "0", "quote_volume": "0",
                    }
                )  # fmt: skip
        if wanted is not None and not found:
            raise Refusal("market", f"Invalid currency pair {wanted}")
        return found

    def _order_book(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        market = self._market(request.asked().get("currency_pair", ""))
        bids, asks = self.exchange.books.get(market.symbol, ([], []))
        return {
            "id": now_ms, "current": now_ms, "update": now_ms,
            "bids": [[str(price), str(quantity)] for price, quantity in bids],
            "asks": [[str(price), str(quantity)] for price, quantity in asks],
        }  # fmt: skip

    def _candles(self, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        del now_ms
        asked = request.asked()
        market, frame = self._market(asked.get("currency_pair", "")), asked.get("interval", "30m")
        rows = self.exchange.shown(market.symbol, frame)
        if "from" in asked:
            begin, end = int(asked["from"]) * 1_000, int(asked.get("to", "99999999999")) * 1_000
            rows = [row for row in rows if begin <= row[0] <= end]
        rows = rows[-int(asked.get("limit", "1000")) :] if "from" not in asked else rows[:1_000]
        return [
            [str(at // 1_000), str(volume * close), str(close), str(high), str(low), str(opened), str(volume), "true"]
            for at, opened, high, low, close, volume in rows
        ]

    # Private

    def _detail(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        del request, now_ms
        return {
            "user_id": 1, "ip_whitelist": list(account.addresses), "currency_pairs": [one.replace("/", "_") for one in account.pairs],
            "key": {"mode": 1}, "tier": 0, "copy_trading_role": 0,
        }  # fmt: skip

    def _keys(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        """The keys of a main account, each with its rights; a sub-account's key may not list them."""
        del request, now_ms
        if not account.is_main:
            raise Refusal("not_by_api", "only for a main account's key")
        names = [("spot", "trade" not in account.may), ("wallet", "withdraw" not in account.may)]
        return [{
            "state": 1, "mode": 1, "name": "loopback", "user_id": 1, "key": account.key, "ip_whitelist": list(account.addresses),
            "currency_pairs": [one.replace("/", "_") for one in account.pairs],
            "perms": [{"name": name, "read_only": reads} for name, reads in names],
            "created_at": str(account.made_s), "updated_at": str(account.made_s), "last_access": str(account.made_s),
        }]  # fmt: skip

    def _accounts(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        del now_ms
        wanted = request.asked().get("currency")
        return [
            {"currency": asset, "available": str(held.available), "locked": str(held.locked)}
            for asset, held in account.balances.items()
            if wanted in {None, asset}
        ]

    def _create(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        try:
            asked = json.loads(request.body)
            kind, side = asked.get("type", "limit"), asked["side"]
            amount = Decimal(asked["amount"])
            limit = Decimal(asked["price"]) if kind == "limit" else None
        except (ValueError, KeyError, TypeError, InvalidOperation) as error:
            raise Refusal("parameter", f"invalid request: {error}") from error
        lasts = asked.get("time_in_force", "gtc" if kind == "limit" else "ioc")
        text = asked.get("text", "")
        if text and not (text.startswith("t-") and len(text) <= 30 and LETTERS.issuperset(text)):
            raise Refusal("client_id", f"Invalid text value {text!r}: t- and at most 28 of 0-9A-Za-z_-.")
        if kind not in {"limit", "market"} or side not in {"buy", "sell"} or lasts not in {"gtc", "ioc", "fok"}:
            raise Refusal("parameter", f"invalid type {kind}, side {side} or time_in_force {lasts}")
        spends = kind == "market" and side == "buy"  # the amount of a market buy is money
        order = self.exchange.place(
            account, self._market(asked.get("currency_pair", "")).symbol, side, quantity=None if spends else amount,
            limit=limit, spend=amount if spends else None, lasts=lasts, client_id=text, at_ms=now_ms,
        )  # fmt: skip
        return order_row(order, self.exchange)

    def _one(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        name = request.path.rpartition("/")[2]
        by_client_id = not name.isdigit()
        order = self.exchange.find(account, None if by_client_id else int(name), name)
        if order is None:
            kind = "client_id_not_found" if by_client_id else "not_found"
            raise Refusal(kind, f"order {name} was not found")
        if request.method == "DELETE":
            if not order.is_open:
                raise Refusal("closed", f"order {name} is closed")
            self.exchange.cancel(order, now_ms)
        return order_row(order, self.exchange)

    def _orders(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        asked = request.asked()
        symbol = self._market(asked["currency_pair"]).symbol if "currency_pair" in asked else None
        rows = self.exchange.listed(account, symbol, now_ms)
        rows = [one for one in rows if one.is_open == (asked.get("status") == "open")]
        rows = [one for one in rows if within(one.at_ms, asked)]
        return [order_row(one, self.exchange) for one in paged(rows[::-1], asked)]

    def _open_orders(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        del request
        groups: dict[str, list[VenueSideOrder]] = {}
        for one in self.exchange.listed(account, None, now_ms):
            if one.is_open:
                groups.setdefault(pair(one.market), []).append(one)
        return [
            {"currency_pair": name, "total": len(rows), "orders": [order_row(one, self.exchange) for one in rows]}
            for name, rows in groups.items()
        ]

    def _my_trades(self, account: Account, request: Request, now_ms: int) -> Any:  # noqa: ANN401
        asked = request.asked()
        symbol = self._market(asked["currency_pair"]).symbol if "currency_pair" in asked else None
        rows = self.exchange.traded(account, symbol, now_ms)
        rows = [one for one in rows if within(one.at_ms, asked)]
        if "order_id" in asked:
            rows = [one for one in rows if str(one.order.number) == asked["order_id"]]
        return [trade_row(one) for one in paged(rows[::-1], asked)]

    def _market(self, name: str) -> Market:
        market = self.exchange.markets.get(name.replace("_", "/"))
        if market is None:
            raise Refusal("market", f"Invalid currency pair {name}")
        return market


def answer(status: int, body: Any) -> Response:  # noqa: ANN401 - what json can write
    """A response with a JSON body."""
    return Response(status, json.dumps(body), {"content-type": "application/json"})


def within(at_ms: int, asked: dict[str, str]) -> bool:
    """Whether an instant is in the asked range of seconds."""
    return int(asked.get("from", 0)) <= at_ms / 1_000 and at_ms // 1_000 <= int(asked.get("to", 99_999_999_999))


def paged(rows: Sequence[T], asked: dict[str, str]) -> Sequence[T]:
    """The asked page."""
    size, page = int(asked.get("limit", PAGE)), int(asked.get("page", 1))
    return rows[(page - 1) * size : page * size]
