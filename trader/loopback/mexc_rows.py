"""Orders, trades and names as MEXC writes them over REST."""

from typing import Any

from trader.loopback.exchange import ZERO, Market, Trade, VenueSideOrder


def name(market: Market) -> str:
    """`BTCUSDT`."""
    return market.base + market.quote


def number(order: VenueSideOrder) -> str:
    """The order's id."""
    return f"C02__{order.number}"


def order_row(order: VenueSideOrder) -> dict[str, Any]:
    """An order as the API writes it."""
    partly = bool(order.filled)
    if order.is_open:
        status = "PARTIALLY_FILLED" if partly else "NEW"
    else:
        status = "FILLED" if order.ended == "filled" else ("PARTIALLY_CANCELED" if partly else "CANCELED")
    kinds = {"ioc": "IMMEDIATE_OR_CANCEL", "fok": "FILL_OR_KILL", "gtc": "LIMIT"}
    return {
        "symbol": name(order.market), "orderId": number(order), "orderListId": -1, "clientOrderId": order.client_id,
        "price": str(order.limit or ZERO), "origQty": str(order.quantity or ZERO), "executedQty": str(order.filled),
        "cummulativeQuoteQty": str(order.cost), "status": status, "timeInForce": None,
        "type": "MARKET" if order.limit is None else kinds[order.lasts], "side": order.side.upper(), "stopPrice": None,
        "icebergQty": None, "time": order.at_ms, "updateTime": order.ended_ms or order.at_ms,
        "isWorking": order.is_open, "origQuoteOrderQty": str(order.spend or ZERO),
    }  # fmt: skip


def trade_row(trade: Trade) -> dict[str, Any]:
    """A trade of the account as the API writes it."""
    order = trade.order
    return {
        "symbol": name(order.market), "id": f"T{trade.number}", "orderId": number(order), "orderListId": -1,
        "price": str(trade.price), "qty": str(trade.quantity), "quoteQty": str(trade.quantity * trade.price),
        "commission": str(trade.fee), "commissionAsset": trade.fee_asset, "time": trade.at_ms,
        "isBuyer": order.side == "buy", "isMaker": False, "isBestMatch": True, "isSelfTrade": False,
        "clientOrderId": order.client_id,
    }  # fmt: skip
