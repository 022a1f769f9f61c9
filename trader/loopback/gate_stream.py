"""Gate's WebSocket dialect (spot, v4) on one connection: JSON text, subscriptions by channel, private ones signed each."""

import hashlib
import hmac
import json
from typing import Any

from trader.loopback.exchange import Account, Exchange, Held, Refusal, VenueSideOrder
from trader.loopback.gate_rows import order_row, pair, trade_row
from trader.loopback.news import News
from trader.loopback.wire import Frame

PATH = "/ws/v4/"
PUBLIC = frozenset({"spot.tickers", "spot.book_ticker", "spot.candlesticks"})
PRIVATE = frozenset({"spot.orders", "spot.usertrades", "spot.balances"})
WINDOW_S = 60


class GateStream:
    """What one connection asked for, and what is to be told to it."""

    def __init__(self, exchange: Exchange, unknown: list[str]) -> None:
        self.exchange, self.is_over = exchange, False
        self._unknown = unknown
        self._news = News(exchange)
        self._asked: dict[str, set[str]] = {}  # channel -> pairs, or frame and pair
        self._account: Account | None = None

    def receive(self, text: str, now_ms: int) -> list[Frame]:
        """Answer what the client says."""
        try:
            said = json.loads(text)
            channel, event = said["channel"], said.get("event", "")
        except (ValueError, KeyError, TypeError):
            return [self._frame(now_ms, "", "", error={"code": 1, "message": "invalid request"})]
        if channel == "spot.ping":
            return [self._frame(now_ms, "spot.pong", "")]
        if channel not in PUBLIC | PRIVATE or event not in {"subscribe", "unsubscribe"}:
            self._unknown.append(f"WS {channel} {event}")
            return [self._frame(now_ms, channel, event, said, error={"code": 2, "message": "unknown channel"})]
        try:
            if channel in PRIVATE:
                self._authenticate(said, now_ms)
            self._subscribe(channel, event, list(said.get("payload") or []))
        except Refusal as refusal:
            return [self._frame(now_ms, channel, event, said, error={"code": 4, "message": refusal.text})]
        return [self._frame(now_ms, channel, event, said, {"status": "success"})]

    def _authenticate(self, said: dict[str, Any], now_ms: int) -> None:
        auth, stamp = said.get("auth") or {}, said.get("time", 0)
        account = self.exchange.accounts.get(auth.get("KEY", ""))
        text = f"channel={said['channel']}&event={said['event']}&time={stamp}"
        good = "" if account is None else hmac.new(account.secret.encode(), text.encode(), hashlib.sha512).hexdigest()
        if account is None or not hmac.compare_digest(good, str(auth.get("SIGN", ""))):
            raise Refusal("signature", "authentication failed")
        if abs(now_ms / 1_000 - float(stamp)) > WINDOW_S:
            raise Refusal("expired", "the time is more than 60 s off")
        if self._account is None:
            self._news.begin(account)
        self._account = account

    def _subscribe(self, channel: str, event: str, payload: list[str]) -> None:
        names = {"@".join(payload)} if channel == "spot.candlesticks" else set(payload)
        for name in names - {"!all"} if channel != "spot.balances" else ():
            if name.rpartition("@")[2].replace("_", "/") not in self.exchange.markets:
                raise Refusal("market", f"unknown currency pair {name}")
        asked = self._asked.setdefault(channel, set())
        if event == "subscribe":
            asked |= names or {"!all"}
        else:
            asked -= names

    def news(self, now_ms: int) -> list[Frame]:
        """What is to be told now."""
        told = [*self._public(now_ms)]
        if self._account is not None:
            told += self._private(self._account, now_ms)
        return told

    def _public(self, now_ms: int) -> list[Frame]:
        told: list[Frame] = []
        for symbol, market in self.exchange.markets.items():
            name = pair(market)
            channels = [one for one in ("spot.tickers", "spot.book_ticker") if name in self._asked.get(one, ())]
            top = self._news.top(symbol) if channels else None
            if top is None:
                continue
            if "spot.tickers" in channels:
                row: dict[str, Any] = {
                    "currency_pair": name, "last": str(top.last), "lowest_ask": str(top.ask[0]),
                    "highest_bid": str(top.bid[0]), "change_percentage": "0", "base_volume": "0", "quote_volume": "0",
                    "high_24h": str(top.last), "low_24h": str(top.last),
                }  # fmt: skip
                told.append(self._frame(now_ms, "spot.tickers", "update", result=row))
            if "spot.book_ticker" in channels:
                row = {
                    "t": now_ms, "u": now_ms, "s": name, "b": str(top.bid[0]), "B": str(top.bid[1]),
                    "a": str(top.ask[0]), "A": str(top.ask[1]),
                }  # fmt: skip
                told.append(self._frame(now_ms, "spot.book_ticker", "update", result=row))
        for one in sorted(self._asked.get("spot.candlesticks", ())):
            frame, _, name = one.partition("@")
            for (at, opened, high, low, close, volume), is_closed in self._news.candles(name.replace("_", "/"), frame):
                row = {
                    "t": str(at // 1_000), "v": str(volume * close), "c": str(close), "h": str(high), "l": str(low),
                    "o": str(opened), "n": f"{frame}_{name}", "a": str(volume), "w": is_closed,
                }  # fmt: skip
                told.append(self._frame(now_ms, "spot.candlesticks", "update", result=row))
        return told

    def _private(self, account: Account, now_ms: int) -> list[Frame]:
        told: list[Frame] = []
        orders = [self._event(one) for one in self._news.orders(account) if self._wants("spot.orders", one)]
        trades = [trade_row(one) for one in self._news.trades(account) if self._wants("spot.usertrades", one.order)]
        held = self._news.balances(account)
        if orders:
            told.append(self._frame(now_ms, "spot.orders", "update", result=orders))
        if trades:
            told.append(self._frame(now_ms, "spot.usertrades", "update", result=trades))
        if held and "spot.balances" in self._asked:
            rows = [_balance(asset, one, now_ms) for asset, one in held]
            told.append(self._frame(now_ms, "spot.balances", "update", result=rows))
        return told

    def _wants(self, channel: str, order: VenueSideOrder) -> bool:
        return bool({"!all", pair(order.market)} & self._asked.get(channel, set()))

    def _event(self, order: VenueSideOrder) -> dict[str, Any]:
        event = "finish" if order.ended else "update" if order.filled else "put"
        return {**order_row(order, self.exchange), "event": event, "user": 1}

    @staticmethod
    def _frame(
        now_ms: int, channel: str, event: str, said: dict[str, Any] | None = None, result: object = None, *, error: object = None
    ) -> str:  # fmt: skip
        told: dict[str, Any] = {"time": now_ms // 1_000, "time_ms": now_ms, "channel": channel, "event": event}
        if said is not None and "id" in said:
            told["id"] = said["id"]
        return json.dumps({**told, "error": error} if error is not None else {**told, "result": result})


def _balance(asset: str, held: Held, now_ms: int) -> dict[str, Any]:
    return {
        "timestamp": str(now_ms // 1_000), "timestamp_ms": str(now_ms), "user": "1", "currency": asset, "change": "0",
        "total": str(held.available + held.locked), "available": str(held.available), "freeze": str(held.locked),
        "freeze_change": "0", "change_type": "order-match",
    }  # fmt: skip
