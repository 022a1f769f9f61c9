"""Orders, trades and names as Gate writes them, over REST and in its streams alike."""

from decimal import Decimal
from typing import Any

from trader.loopback.exchange import ZERO, Exchange, Market, Trade, VenueSideOrder
from trader.loopback.fees import POINTS

AVERAGE = Decimal("0.00000001")  # the average price is rounded to this


def pair(market: Market) -> str:
    """`BTC_USDT`."""
    return f"{market.base}_{market.quote}"


def beside(asset: str, *trades: Trade) -> str:
    """What was taken of the fees in an asset that is not of the pair."""
    return str(sum((one.beside[0] for one in trades if one.beside[1] == asset), ZERO))


def places(step: Decimal) -> int:
    """The decimal places of a step that is a power of ten."""
    return -int(step.normalize().as_tuple().exponent)


def order_row(order: VenueSideOrder, exchange: Exchange) -> dict[str, Any]:
    """An order as the API writes it."""
    market = order.market
    amount = order.quantity if order.quantity is not None else order.spend
    done = order.filled if order.quantity is not None else order.cost
    fee_asset = market.base if order.side == "buy" and exchange.fee_in == "received" else market.quote
    at, until = order.at_ms, order.ended_ms or order.at_ms
    row = {
        "id": str(order.number), "text": order.client_id or "apiv4", "create_time": str(at // 1_000),
        "update_time": str(until // 1_000), "create_time_ms": at, "update_time_ms": until,
        "status": "open" if order.is_open else ("closed" if order.ended == "filled" else "cancelled"),
        "finish_as": order.ended or "open", "currency_pair": pair(market),
        "type": "market" if order.limit is None else "limit", "account": "spot", "side": order.side,
        "amount": str(amount), "price": str(order.limit or ZERO), "time_in_force": order.lasts, "iceberg": "0",
        "left": str((amount or ZERO) - done), "filled_total": str(order.cost), "fill_price": str(order.cost),
        "fee": str(sum((one.fee for one in order.trades), ZERO)), "fee_currency": fee_asset,
        "point_fee": beside(POINTS, *order.trades), "gt_fee": beside("GT", *order.trades),
        "gt_discount": order.account.pays_in == "GT", "rebated_fee": "0", "rebated_fee_currency": market.quote,
    }  # fmt: skip
    if order.filled:
        row["avg_deal_price"] = str((order.cost / order.filled).quantize(AVERAGE))
    if exchange.tells_filled:
        row["filled_amount"] = str(order.filled)
    return row


def trade_row(trade: Trade) -> dict[str, Any]:
    """A trade of the account as the API writes it."""
    order = trade.order
    return {
        "id": str(trade.number), "create_time": str(trade.at_ms // 1_000), "create_time_ms": f"{trade.at_ms}.000000",
        "currency_pair": pair(order.market), "side": order.side, "role": "taker", "amount": str(trade.quantity),
        "price": str(trade.price), "order_id": str(order.number), "fee": str(trade.fee),
        "fee_currency": trade.fee_asset, "point_fee": beside(POINTS, trade), "gt_fee": beside("GT", trade),
        "amend_text": "-",
        "text": order.client_id or "apiv4", "sequence_id": str(trade.number),
    }  # fmt: skip
