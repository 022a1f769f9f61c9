"""The market as the daemon hears it: closed bars and prices, asked for by questions that can be asked again.

A bar wakes only when it is the newest that can be there. Older ones that were missed are taught as the past. A question without
an answer is asked again; how old the last answer is can be seen in `heard_at`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trader.core.facts import BarClosed, PriceSeen
from trader.core.instants import duration
from trader.ports import Clock, Touch, Venue, VenueBar, VenueDownError

FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard at once: bars that are past, bars that just closed, prices."""

    past: tuple[BarClosed, ...] = ()
    bars: tuple[BarClosed, ...] = ()
    prices: tuple[PriceSeen, ...] = ()


class Market:
    """Asks a venue for closed bars of a timeframe and for prices. `newest` is the closing time of each asset's last bar."""

    def __init__(
        self, venue: Venue, clock: Clock, *, symbols: Mapping[str, str], timeframe: str, keep: int,
        every_seconds: float = 5.0, grace_seconds: float = 2.0
    ) -> None:  # fmt: skip
        self._venue, self._clock, self._symbols = venue, clock, symbols
        self._timeframe, self._step = timeframe, timedelta(microseconds=duration(timeframe) / 1_000)
        self._keep, self._every, self._grace = keep, every_seconds, timedelta(seconds=grace_seconds)
        self.tell: Callable[[bool, str], None] = lambda _up, _why: None
        self.newest: dict[str, datetime] = {}
        self.prices: dict[str, float] = {}
        self._touches: dict[str, tuple[Touch, float]] = {}
        self.heard_at = clock.monotonic()
        self._is_up: bool | None = None

    def price(self, asset: str) -> float | None:
        """What an asset cost when it was last heard of."""
        return self.prices.get(asset)

    def fresh(self, asset: str) -> Touch | None:
        """The best prices, if they were heard within `FRESH_SECONDS`."""
        found = self._touches.get(asset)
        return found[0] if found is not None and self._clock.monotonic() - found[1] < FRESH_SECONDS else None

    async def events(self) -> AsyncIterator[Heard]:
        """Yield what is heard, for ever."""
        while True:
            try:
                heard = await self._ask()
            except VenueDownError as error:
                self._link(False, str(error))
            else:
                self.heard_at = self._clock.monotonic()
                self._link(True, "answers")
                if heard != Heard():
                    yield heard
            await self._clock.sleep(self._every)

    def _link(self, is_up: bool, why: str) -> None:
        if is_up != self._is_up:
            self._is_up = is_up
            self.tell(is_up, why)

    async def _ask(self) -> Heard:
        bars = await self._bars()
        prices = []
        for asset, symbol in self._symbols.items():
            touch = await self._venue.touch(symbol)
            self.prices[asset] = float((touch.bid + touch.ask) / 2)
            self._touches[asset] = (touch, self._clock.monotonic())
            prices.append(PriceSeen(self._clock.now(), asset, self.prices[asset]))
        newest = max((bar.at for bar in bars), default=None)
        is_current = newest is not None and self._clock.now() - newest < self._step
        now = tuple(bar for bar in bars if is_current and bar.at == newest)
        return Heard(tuple(bar for bar in bars if bar not in now), now, tuple(prices))

    async def _bars(self) -> list[BarClosed]:
        """Closed bars that are new, of all assets, in the order of time."""
        found = []
        now = self._clock.now() - self._grace
        ended = datetime.fromtimestamp(now.timestamp() // self._step.total_seconds() * self._step.total_seconds(), UTC)
        for asset, symbol in self._symbols.items():
            since = self.newest.get(asset, ended - self._keep * self._step)
            if since >= ended:
                continue
            for row in await self._venue.bars(symbol, self._timeframe, since_ms=round(since.timestamp() * 1_000)):
                bar = self._bar(asset, row)
                if since < bar.at <= ended:
                    found.append(bar)
                    self.newest[asset] = max(bar.at, self.newest.get(asset, bar.at))
        return sorted(found, key=lambda bar: (bar.at, bar.asset))

    def _bar(self, asset: str, row: VenueBar) -> BarClosed:
        at = datetime.fromtimestamp(row.opened_ms / 1_000, UTC) + self._step
        return BarClosed(at, asset, row.open, row.high, row.low, row.close, row.volume)
