"""The vendor's stream of prices as its documentation shows it: names are subscribed, and each price says which exchange it is from."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from trader.loopback.wire import Frame


@dataclass(frozen=True, slots=True)
class Quoted:
    """What a token costs; `slug` is the name by which the stream knows it."""

    token: int
    symbol: str
    name: str
    slug: str
    price: float


class PriceStream:
    """One connection. quotes: what everything costs at an instant. is_good: its key is ours; with another one it is over at once."""

    def __init__(self, quotes: Callable[[int], list[Quoted]], unknown: list[str], *, is_good: bool) -> None:
        self._quotes, self._unknown = quotes, unknown
        self.is_over = not is_good
        self._names: set[str] = set()
        self._told: dict[int, float] = {}

    def receive(self, text: str, now_ms: int) -> list[Frame]:
        """Take a subscription: it replaces the one before, or adds to it."""
        del now_ms
        try:
            said = json.loads(text)
            names = {str(one) for one in said["tokens"]}
            is_added = bool(said["is_append"])
        except (ValueError, KeyError, TypeError):
            self._unknown.append(f"WS {text[:100]}")
            return []
        self._names = self._names | names if is_added else names
        return []

    def news(self, now_ms: int) -> list[Frame]:
        """Prices that are new to this connection."""
        found = list[Frame]()
        for one in self._quotes(now_ms) if not self.is_over else ():
            if one.slug in self._names and self._told.get(one.token) != one.price:
                self._told[one.token] = one.price
                found.append(json.dumps(_message(one, now_ms)))
        return found


def _message(one: Quoted, now_ms: int) -> dict[str, object]:
    at = f"{datetime.fromtimestamp(now_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S}"
    empty = dict.fromkeys(
        ("token_address", "amount", "amount_in_usd", "side_amount", "transaction_type", "maker_address", "signature")
    )
    return {
        "timestamp": at, "event_timestamp": at, "arrival_timestamp": at, "epoch": now_ms, **empty, "token_name": one.name,
        "token_symbol": one.symbol, "token_id": one.token, "cg_id": one.slug, "instrument": one.symbol, "exchange": "gate",
        "exchange_rank": 13, "exchange_type": "cex", "price": one.price, "price_in_usd": one.price, "price_against_side_currency": one.price,
        "volume": None, "isBid": False, "sequence": 0, "last_5s_messages": [],
    }  # fmt: skip
