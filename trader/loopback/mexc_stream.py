"""MEXC's WebSocket dialect (spot, v3) on one connection: subscriptions as JSON text, news as protobuf, private ones by listen key."""

import json
from collections.abc import Callable
from typing import Any

from trader.loopback.exchange import Account, Exchange, Trade, VenueSideOrder
from trader.loopback.mexc_rows import name, number
from trader.loopback.news import News
from trader.loopback.wire import Frame

PATH = "/ws"
FRAMES = {
    "Min1": "1m", "Min5": "5m", "Min15": "15m", "Min30": "30m", "Min60": "1h", "Hour4": "4h", "Day1": "1d",
}  # fmt: skip
SECONDS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400}
TICKER, KLINE = "spot@public.aggre.bookTicker.v3.api.pb@100ms", "spot@public.kline.v3.api.pb"
ORDERS, DEALS, ACCOUNT = (f"spot@private.{one}.v3.api.pb" for one in ("orders", "deals", "account"))
MOST = 30  # subscriptions of one connection
SILENT_MS = 60_000  # a client that says nothing for so long is cut off


class MexcStream:
    """What one connection asked for, and what is to be told to it."""

    def __init__(
        self, exchange: Exchange, unknown: list[str], account: Account | None, now_ms: int, *,
        is_good: Callable[[int], bool] = lambda _now_ms: True,
    ) -> None:  # fmt: skip
        self.exchange, self.is_over = exchange, False
        self._unknown, self._account, self._is_good = unknown, account, is_good
        self._news = News(exchange)
        self._asked: list[str] = []
        self._heard_ms = now_ms
        if account is not None:
            self._news.begin(account)

    def receive(self, text: str, now_ms: int) -> list[Frame]:
        """Answer what the client says."""
        self._heard_ms = now_ms
        try:
            said = json.loads(text)
            method = str(said["method"])
        except (ValueError, KeyError, TypeError):
            return [_said("invalid request", 1)]
        if method == "ping":
            return [_said("PONG")]
        channels = [str(one) for one in said.get("params") or []]
        if method == "UNSUBSCRIPTION":
            self._asked = [one for one in self._asked if one not in channels]
            return [_said(",".join(channels))]
        if method != "SUBSCRIPTION":
            self._unknown.append(f"WS {method}")
            return [_said(f"unknown method {method}", 1)]
        bad = [one for one in channels if not self._is_known(one)]
        if bad:
            self._unknown += [f"WS {one}" for one in bad]
            return [_said(f"Not Subscribed successfully! [{','.join(bad)}]. Reason: Blocked! ")]
        if len({*self._asked, *channels}) > MOST:
            return [_said(f"Not Subscribed successfully! [{','.join(channels)}]. Reason: more than {MOST} ")]
        self._asked += [one for one in channels if one not in self._asked]
        return [_said(",".join(channels))]

    def _is_known(self, channel: str) -> bool:
        parts = channel.split("@")
        if channel in {ORDERS, DEALS, ACCOUNT}:
            return self._account is not None
        names = {name(market) for market in self.exchange.markets.values()}
        if channel.startswith(TICKER):
            return parts[-1] in names
        return channel.startswith(KLINE) and parts[-2] in names and parts[-1] in FRAMES

    def news(self, now_ms: int) -> list[Frame]:
        """What is to be told now."""
        if not self._is_good(now_ms):
            self.is_over = True
            return ["Invalid listen key"]
        if now_ms - self._heard_ms > SILENT_MS:
            self.is_over = True
            return []
        told: list[Frame] = []
        for symbol, market in self.exchange.markets.items():
            for channel in [one for one in self._asked if f"@{name(market)}" in one]:
                told += self._told(channel, symbol, name(market), now_ms)
        if self._account is not None:
            told += self._private(self._account, now_ms)
        return told

    def _told(self, channel: str, symbol: str, market: str, now_ms: int) -> list[Frame]:
        if channel.startswith(TICKER):
            top = self._news.top(symbol)
            if top is None:
                return []
            texts = {
                "bidPrice": str(top.bid[0]), "bidQuantity": str(top.bid[1]), "askPrice": str(top.ask[0]),
                "askQuantity": str(top.ask[1]),
            }  # fmt: skip
            return [packed(channel, market, now_ms, "publicAggreBookTicker", texts)]
        interval = channel.rpartition("@")[2]
        return [
            packed(channel, market, now_ms, "publicSpotKline", {
                "interval": interval, "windowStart": at // 1_000, "openingPrice": str(opened), "closingPrice": str(close),
                "highestPrice": str(high), "lowestPrice": str(low), "volume": str(volume), "amount": str(volume * close),
                "windowEnd": at // 1_000 + SECONDS[FRAMES[interval]],
            })
            for (at, opened, high, low, close, volume), _ in self._news.candles(symbol, FRAMES[interval])
        ]  # fmt: skip

    def _private(self, account: Account, now_ms: int) -> list[Frame]:
        orders, deals = self._news.orders(account), self._news.trades(account)
        told: list[Frame] = []
        if ORDERS in self._asked:
            told += [packed(ORDERS, name(one.market), now_ms, "privateOrders", _order(one)) for one in orders]
        if DEALS in self._asked:
            told += [packed(DEALS, name(one.order.market), now_ms, "privateDeals", _deal(one)) for one in deals]
        for asset, held in self._news.balances(account):
            if ACCOUNT in self._asked:
                row = {
                    "vcoinName": asset, "coinId": asset, "balanceAmount": str(held.available), "balanceAmountChange": "0",
                    "frozenAmount": str(held.locked), "frozenAmountChange": "0", "type": "ENTRUST_PLACE", "time": now_ms,
                }  # fmt: skip
                told.append(packed(ACCOUNT, "", now_ms, "privateAccount", row))
        return told


def packed(channel: str, market: str, now_ms: int, part: str, fields: dict[str, Any]) -> bytes:
    """A message in the venue's binary form, made with the definitions that it publishes."""
    from ccxt.protobuf.mexc import PushDataV3ApiWrapper_pb2 as forms  # noqa: PLC0415 - needs the extra mexc-streams

    message = forms.PushDataV3ApiWrapper(channel=channel, symbol=market, sendTime=now_ms)
    inner = getattr(message, part)
    for field, value in fields.items():
        setattr(inner, field, value)
    return bytes(message.SerializeToString())


def _said(text: str, code: int = 0) -> str:
    return json.dumps({"id": 0, "code": code, "msg": text})


def _order(order: VenueSideOrder) -> dict[str, Any]:
    if order.is_open:
        status = 3 if order.filled else 1
    else:
        status = 2 if order.ended == "filled" else 5 if order.filled else 4
    kinds = {"ioc": 3, "fok": 4, "gtc": 1}
    quantity = order.quantity if order.quantity is not None else order.filled
    return {
        "id": number(order), "clientId": order.client_id, "price": str(order.limit or 0), "quantity": str(quantity),
        "amount": str(order.spend or (order.limit or 0) * quantity),
        "avgPrice": str(order.cost / order.filled) if order.filled else "0",
        "orderType": 5 if order.limit is None else kinds[order.lasts], "tradeType": 1 if order.side == "buy" else 2,
        "isMaker": False, "remainAmount": "0", "remainQuantity": str(quantity - order.filled),
        "lastDealQuantity": str(order.trades[-1].quantity) if order.trades else "0",
        "cumulativeQuantity": str(order.filled), "cumulativeAmount": str(order.cost), "status": status,
        "createTime": order.at_ms,
    }  # fmt: skip


def _deal(trade: Trade) -> dict[str, Any]:
    order = trade.order
    return {
        "price": str(trade.price), "quantity": str(trade.quantity), "amount": str(trade.price * trade.quantity),
        "tradeType": 1 if order.side == "buy" else 2, "isMaker": False, "isSelfTrade": False, "tradeId": f"T{trade.number}",
        "clientOrderId": order.client_id, "orderId": number(order), "feeAmount": str(trade.fee),
        "feeCurrency": trade.fee_asset, "time": trade.at_ms,
    }  # fmt: skip
