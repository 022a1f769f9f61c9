"""A market that goes nowhere in particular: a seeded random walk with candles, for rehearsals. It is no real market's."""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from random import Random

from trader.loopback.exchange import Candle, Exchange, stepped

FRAMES = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000}
HALF_SPREAD = Decimal("0.0005")


class Walk:
    """Moves the prices of an exchange. `swing` is the standard deviation of a step, as a share of the price."""

    def __init__(
        self, exchange: Exchange, prices: Mapping[str, Decimal], *, seed: int = 0, swing: float = 0.0004
    ) -> None:
        self._exchange, self._swing = exchange, swing
        self._lot = Random(seed)  # noqa: S311 - a rehearsal wants the same walk again
        self.prices = dict(prices)

    def past(self, now_ms: int, count: int = 400) -> None:
        """Let candles before now be seen, so that strategies have something to look back on."""
        for symbol, now in self.prices.items():
            for frame, step in FRAMES.items():
                price, rows = now, list[Candle]()
                begin = now_ms // step * step
                for n in range(1, count + 1):
                    before = self._moved(symbol, price, scale=4.0)
                    high, low = max(before, price), min(before, price)
                    rows.append((begin - n * step, before, high, low, price, Decimal(10)))
                    price = before
                for row in reversed(rows):
                    self._exchange.add_candle(symbol, frame, row)

    def step(self, now_ms: int) -> None:
        """Move every price once, and close the candles whose time is over."""
        for symbol, price in self.prices.items():
            moved = self._moved(symbol, price)
            self.prices[symbol] = moved
            self._exchange.set_price(symbol, moved, now_ms, half_spread=HALF_SPREAD)
            for frame, step in FRAMES.items():
                self._candle(symbol, frame, now_ms // step * step, moved)

    def _moved(self, symbol: str, price: Decimal, *, scale: float = 1.0) -> Decimal:
        market = self._exchange.markets[symbol]
        moved = price * Decimal(repr(1 + self._lot.gauss(0.0, self._swing * scale)))
        return max(stepped(moved, market.tick, ROUND_FLOOR), market.tick)

    def _candle(self, symbol: str, frame: str, opened_ms: int, price: Decimal) -> None:
        row = self._exchange.forming.get((symbol, frame))
        if row is not None and row[0] != opened_ms:
            self._exchange.add_candle(symbol, frame, row)
            row = None
        if row is None:
            row = (opened_ms, price, price, price, price, Decimal(0))
        at, opened, high, low, _, volume = row
        self._exchange.forming[symbol, frame] = (at, opened, max(high, price), min(low, price), price, volume + 1)
