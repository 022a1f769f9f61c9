"""What is new at an exchange since a stream last told of it: prices, candles, and what happened to one account's orders.

Streams know no past: what happened before something is asked for is never told, and nothing is told twice.
"""

from dataclasses import dataclass
from decimal import Decimal

from trader.loopback.exchange import Account, Candle, Exchange, Held, Level, Trade, VenueSideOrder

Shape = tuple[Decimal, str]  # how much of an order is filled, and how it ended


@dataclass(frozen=True, slots=True)
class Top:
    """The best bid and ask of a market, with their quantities, and the last price."""

    bid: Level
    ask: Level
    last: Decimal


class News:
    """The cursors of one connection."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._tops: dict[str, Top] = {}
        self._closed: dict[tuple[str, str], int] = {}
        self._forming: dict[tuple[str, str], Candle] = {}
        self._orders: dict[int, Shape] = {}
        self._trades = len(exchange.trades)
        self._held: dict[str, tuple[Decimal, Decimal]] = {}

    def top(self, symbol: str) -> Top | None:
        """The top of a book, if it is another than the one that was told."""
        bids, asks = self._exchange.books.get(symbol, ([], []))
        if not bids or not asks:
            return None
        found = Top(bids[0], asks[0], self._exchange.last[symbol])
        if self._tops.get(symbol) == found:
            return None
        self._tops[symbol] = found
        return found

    def candles(self, symbol: str, timeframe: str) -> list[tuple[Candle, bool]]:
        """Candles that closed, and the one that forms if it moved; each with whether it is closed."""
        name = (symbol, timeframe)
        rows = self._exchange.candles.get(name, [])
        begin = self._closed.setdefault(name, len(rows))
        self._closed[name] = len(rows)
        found = [(row, True) for row in rows[begin:]]
        forming = self._exchange.forming.get(name)
        if forming is not None and forming != self._forming.get(name):
            self._forming[name] = forming
            found.append((forming, False))
        return found

    def begin(self, account: Account) -> None:
        """From now on the account is listened to."""
        self._orders = {one.number: _shape(one) for one in account.orders}
        self._trades = len(self._exchange.trades)
        self._held = {asset: (one.available, one.locked) for asset, one in account.balances.items()}

    def orders(self, account: Account) -> list[VenueSideOrder]:
        """Orders that are new or moved."""
        found = [one for one in account.orders if self._orders.get(one.number) != _shape(one)]
        self._orders |= {one.number: _shape(one) for one in found}
        return found

    def trades(self, account: Account) -> list[Trade]:
        """Trades that are new."""
        found = [one for one in self._exchange.trades[self._trades :] if one.order.account is account]
        self._trades = len(self._exchange.trades)
        return found

    def balances(self, account: Account) -> list[tuple[str, Held]]:
        """Balances that moved."""
        now = {asset: (one.available, one.locked) for asset, one in account.balances.items()}
        found = [(asset, account.balances[asset]) for asset, both in now.items() if self._held.get(asset) != both]
        self._held = now
        return found


def _shape(order: VenueSideOrder) -> Shape:
    return order.filled, order.ended
