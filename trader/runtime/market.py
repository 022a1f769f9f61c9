"""The market as the daemon hears it. Streams are hints, questions are the truth.

A stream's price counts as long as it is fresh; where none is, the price is asked for. That a candle began is a hint to ask for the one
that closed: bars always come from questions, the same rows that a catalog is filled with. When one is over, the venue's clock says: our
wall may be wrong. A bar wakes only when it is the newest that
can be there, and bars of one instant are told together, after a grace at the latest. Older ones that were missed are taught as the past.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from trader.core.facts import BarClosed, PriceSeen
from trader.core.instants import duration
from trader.ports import Clock, Hint, Rolled, Touch, Touched, Venue, VenueBar, VenueDownError

LEAST_KEPT = 300  # bars that are asked for to look back on
FRESH_SECONDS = 2.0
BREATH_SECONDS = 0.02
AGAIN_SECONDS, AGAIN_SECONDS_MOST = 1.0, 30.0
EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard at once of a market: bars that are past, bars that just closed, prices."""

    market: "Market"
    past: tuple[BarClosed, ...] = ()
    bars: tuple[BarClosed, ...] = ()
    prices: tuple[PriceSeen, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was heard."""
        return not (self.past or self.bars or self.prices)


class Market:
    """Asks a venue for closed bars of a timeframe and for prices. `newest` is the closing time of each asset's last bar.

    name: what its bars and prices are marked with, `ACCOUNT/TIMEFRAME`; empty = nothing.
    """

    def __init__(
        self, venue: Venue, clock: Clock, *, symbols: Mapping[str, str], timeframe: str, keep: int,
        every_seconds: float = 5.0, grace_seconds: float = 2.0, late_seconds: float = 10.0, quiet_seconds: float = 30.0,
        name: str = "",
    ) -> None:  # fmt: skip
        self._venue, self._clock, self._symbols = venue, clock, symbols
        self.name = name
        self._timeframe, self._step = timeframe, timedelta(microseconds=duration(timeframe) / 1_000)
        self._keep, self._every, self._grace = keep, every_seconds, timedelta(seconds=grace_seconds)
        self._late, self._quiet = timedelta(seconds=late_seconds), quiet_seconds
        self._assets: dict[str, list[str]] = {}
        for asset, symbol in symbols.items():
            self._assets.setdefault(symbol, []).append(asset)
        self.tell: Callable[[str, bool, str], None] = lambda _link, _up, _why: None
        self.newest: dict[str, datetime] = {}
        self.prices: dict[str, float] = {}
        self._touches: dict[str, tuple[Touch, float]] = {}
        self.heard_at = clock.monotonic()
        self._is_up: bool | None = None
        self._is_streaming: bool | None = None
        self._venue_at: tuple[int, float] | None = None  # the venue's milliseconds, and when they were read
        self._news = asyncio.Event()
        self._asked_end = EPOCH
        self._has_asked = False  # whether the last round put a question: where streams tell all, there is none
        self._moved: set[str] = set()
        self._rolled: dict[str, int] = {}  # when the newest candle of an asset began, by its stream

    @property
    def assets(self) -> Collection[str]:
        """What it hears of."""
        return self._symbols.keys()

    @property
    def is_streaming(self) -> bool:
        """Whether the stream of the market tells."""
        return bool(self._is_streaming)

    def price(self, asset: str) -> float | None:
        """What an asset cost when it was last heard of."""
        return self.prices.get(asset)

    def fresh(self, asset: str) -> Touch | None:
        """The best prices, if they were heard within `FRESH_SECONDS`."""
        found = self._touches.get(asset)
        return found[0] if found is not None and self._clock.monotonic() - found[1] < FRESH_SECONDS else None

    def is_ready(self, at: datetime, told: Mapping[str, datetime]) -> bool:
        """Whether the bars that ended at an instant were told, or need not be waited for; `told` is each asset's newest."""
        seconds = (at - EPOCH).total_seconds() % self._step.total_seconds()
        if seconds or self._clock.now() - at >= self._late:
            return True
        return all(told.get(asset, EPOCH) >= at for asset in self._symbols)

    async def listen(self) -> None:
        """Keep the venue's streams open, for ever; one that is silent for too long is opened anew."""
        pause = AGAIN_SECONDS
        while True:
            why = "it was silent"
            try:
                async with asyncio.timeout(self._quiet) as limit:
                    told = partial(self._told, limit)
                    await self._venue.hear_market(list(self._symbols.values()), self._timeframe, told)
            except VenueDownError as error:
                why = str(error)
            except TimeoutError:
                pass
            pause = AGAIN_SECONDS if self._is_streaming else min(pause * 2, AGAIN_SECONDS_MOST)
            self._stream(False, why)
            await self._clock.sleep(pause)

    def _told(self, limit: asyncio.Timeout, hint: Hint) -> None:
        if not limit.expired():  # it may speak in the very turn in which it counts as silent
            limit.reschedule(asyncio.get_running_loop().time() + self._quiet)
        self._stream(True, "tells")
        match hint:
            case Touched(symbol=symbol, touch=touch):
                for asset in self._assets[symbol]:
                    self._note(asset, touch)
                    self._moved.add(asset)
            case Rolled(symbol=symbol, opened_ms=opened_ms):
                for asset in self._assets[symbol]:
                    self._rolled[asset] = opened_ms
            case _:
                return
        self._news.set()

    def _note(self, asset: str, touch: Touch) -> None:
        self.heard_at = self._clock.monotonic()
        self.prices[asset] = float((touch.bid + touch.ask) / 2)
        self._touches[asset] = (touch, self.heard_at)

    async def events(self) -> AsyncIterator[Heard]:
        """Yield what is heard, for ever: at once where a stream tells, else by asking."""
        ask_at = self._clock.monotonic()
        while True:
            if self._moved:
                seen = tuple(self._seen(one) for one in sorted(self._moved))
                self._moved.clear()
                yield Heard(self, prices=seen)
            if self._clock.monotonic() >= ask_at or self._has_rolled():
                heard = await self._asked()
                is_behind = any(newest < self._asked_end for newest in self.newest.values())
                ask_at = self._clock.monotonic() + (min(self._every, AGAIN_SECONDS) if is_behind else self._every)
                if not heard.is_empty:
                    yield heard
            self._news.clear()
            if self._moved:
                continue
            try:
                async with asyncio.timeout(max(min(ask_at - self._clock.monotonic(), self._until_grace()), 0.0)):
                    await self._news.wait()
            except TimeoutError:
                continue
            await self._clock.sleep(BREATH_SECONDS)  # what comes within a breath is told together

    async def _asked(self) -> Heard:
        try:
            heard = await self._ask()
        except VenueDownError as error:
            self._link(False, str(error))
            return Heard(self)
        if self._has_asked:
            self.heard_at = self._clock.monotonic()
            self._link(True, "answers")
        return heard

    def _link(self, is_up: bool, why: str) -> None:
        if is_up != self._is_up:
            self._is_up = is_up
            self.tell("market", is_up, why)

    def _stream(self, is_up: bool, why: str) -> None:
        if is_up != self._is_streaming:
            self._is_streaming = is_up
            self.tell("market stream", is_up, why)

    def _now(self) -> datetime:
        """The venue's time, as far as it was asked for."""
        if self._venue_at is None:
            return self._clock.now()
        venue_ms, read_at = self._venue_at
        return EPOCH + timedelta(milliseconds=venue_ms, seconds=self._clock.monotonic() - read_at)

    def _ended(self, now: datetime) -> datetime:
        """When the newest period ended."""
        step = self._step.total_seconds()
        return datetime.fromtimestamp(now.timestamp() // step * step, UTC)

    def _all_rolled(self, ended: datetime) -> bool:
        """Whether streams told of every asset that the candle behind this one began."""
        began = round(ended.timestamp() * 1_000)
        return all(self._rolled.get(asset, 0) >= began for asset in self._symbols)

    def _has_rolled(self) -> bool:
        """Whether there are bars to ask for that were not there at the last question."""
        return self._newest_end() > self._asked_end

    def _newest_end(self) -> datetime:
        """The end of the newest bars that are known to be closed: after the grace, or when every stream said so."""
        ended = self._ended(self._now())
        return ended if self._all_rolled(ended) else self._ended(self._now() - self._grace)

    def _until_grace(self) -> float:
        """Seconds until the bars of the running period can be asked for."""
        now, ended = self._now(), self._ended(self._now())
        due = ended + self._grace
        return ((due if due > now else due + self._step) - now).total_seconds()

    async def _ask(self) -> Heard:
        self._has_asked = False
        self._venue_at = await self._venue.signing_ms(), self._clock.monotonic()
        bars, reached = await self._bars()
        prices = []
        for asset, symbol in self._symbols.items():
            found = self._touches.get(asset)
            if found is not None and self._is_streaming and self._clock.monotonic() - found[1] < self._every:
                continue  # a stream tells
            self._note(asset, await self._venue.touch(symbol))
            self._has_asked = True
            prices.append(self._seen(asset))
        self.newest |= reached  # only here: where a question fails on the way, what was not told is asked for again
        newest = max((bar.at for bar in bars), default=None)
        is_current = newest is not None and self._now() - newest < self._step
        now = tuple(bar for bar in bars if is_current and bar.at == newest)
        return Heard(self, tuple(bar for bar in bars if bar not in now), now, tuple(prices))

    def _seen(self, asset: str) -> PriceSeen:
        return PriceSeen(self._clock.now(), asset, self.prices[asset], self.name)

    async def _bars(self) -> tuple[list[BarClosed], dict[str, datetime]]:
        """Closed bars that are new, of all assets, in the order of time, and which is the newest of each."""
        found, reached, ended = list[BarClosed](), dict[str, datetime](), self._newest_end()
        self._asked_end = ended
        for asset, symbol in self._symbols.items():
            since = self.newest.get(asset, ended - self._keep * self._step)
            if since >= ended:
                continue
            for row in await self._venue.bars(symbol, self._timeframe, since_ms=round(since.timestamp() * 1_000)):
                self._has_asked, bar = True, self._bar(asset, row)
                if since < bar.at <= ended:
                    found.append(bar)
                    reached[asset] = max(bar.at, reached.get(asset, bar.at))
        return sorted(found, key=lambda bar: (bar.at, bar.asset)), reached

    def _bar(self, asset: str, row: VenueBar) -> BarClosed:
        at = datetime.fromtimestamp(row.opened_ms / 1_000, UTC) + self._step
        return BarClosed(at, asset, row.open, row.high, row.low, row.close, row.volume, self.name)
