"""Lock-step: history played to a real bot, one instant after the other; the next comes when nothing is under way any more.

Two clocks: the market's, which this moves, and that of the protocol – signatures, deadlines, time-outs – which is real. Messages go
through the inbox, orders through the venue's adapter and a socket to an exchange whose book stands where the tape says.
At one instant things act in the order of docs/rules.md, 2, so that a replay of the same tape must decide the same.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from trader.core.facts import BarClosed, ExitHit, Fact, TimerDue
from trader.ports import Message
from trader.runtime.desk import Desk
from trader.runtime.house import House
from trader.runtime.outbox import Track

ROUNDS = 2_000  # how often an instant is worked on before the bot counts as stuck
Quote = Callable[[str, float], Awaitable[None]]
Carry = Callable[[bytes], Awaitable[Message]]
News = Callable[[], Awaitable[list[Message]]]


class StuckError(RuntimeError):
    """An order did not come to an end."""


class MarketClock:
    """The market's time for facts, the machine's for waiting."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """The instant that is being played."""
        return self.at

    def monotonic(self) -> float:
        """Seconds that never run backwards, of the machine."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait, in the machine's time."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Instant:
    """What becomes known at one instant, and where the next bars open (empty between bars)."""

    at: datetime
    bars: tuple[BarClosed, ...]
    messages: tuple[bytes, ...]
    opens: Mapping[str, float]


class LockStep:
    """Plays instants to a house. `quote` puts an asset's price in place at the exchange, `carry` brings a message, as a broker does,
    and `news` asks a source what it has to say at the instant that is played.
    """

    def __init__(
        self, house: House, clock: MarketClock, quote: Quote, carry: Carry | None = None, news: News | None = None
    ) -> None:
        self._house, self._clock, self._quote = house, clock, quote
        self._carry, self._news = carry or _by_hand, news or _silence

    async def play(self, instants: Iterable[Instant]) -> AsyncIterator[tuple[Instant, Sequence[Fact]]]:
        """Play one instant after the other, yielding what followed from each."""
        for one in instants:
            yield one, await self._one(one)

    async def _one(self, one: Instant) -> list[Fact]:
        house = self._house
        self._clock.at = one.at
        followed = list[Fact]()
        if one.bars:
            followed += await self._exits(one.bars)
        receipts, publications = list[Fact](), list[Fact]()
        told = await self._news()
        messages = [await self._carry(body) for body in (*one.messages, *(message.body for message in told))]
        for message in messages:
            taken = await house.inbox.take(message)
            receipts += taken.receipts
            publications += [taken.publication] if taken.publication else []
        dues = [(due, desk.name) for desk in house.desks if (due := desk.engine.due()) is not None]
        timers = [TimerDue(due, name) for due, name in dues if due <= one.at]
        if one.bars or publications or timers or receipts:
            followed += await house.tell(*one.bars, *publications, *timers, beside=receipts)
        for message in (*messages, *told):
            await message.acknowledge()
        if one.opens:
            for asset, price in one.opens.items():
                await self._quote(asset, price)
            await self._until_quiet(lambda track: track.placed.asset in one.opens)
        return followed

    async def _exits(self, bars: Sequence[BarClosed]) -> list[Fact]:
        """Exits that act inside the bars are filled at their price, before anything else is known."""
        followed = await self._house.tell(*bars, fires=True)
        for desk in self._house.desks:  # each has levels of its own
            hits = {fact.asset: fact for fact in followed if isinstance(fact, ExitHit) and fact.mount == desk.name}
            for asset, hit in hits.items():
                await self._quote(asset, float(hit.price))
            if hits:
                await self._until_quiet(partial(_is_of, frozenset(hits)), [desk])
        return followed

    async def _until_quiet(self, concerns: Callable[[Track], bool], desks: Sequence[Desk] = ()) -> None:
        desks = desks or self._house.desks
        for _ in range(ROUNDS):
            if not self._open(concerns, desks):
                return
            for desk in desks:
                await desk.work(concerns)
            if self._open(concerns, desks):
                await self._clock.sleep(0.01)
        stuck = [f"order {one.placed.order} is {one.state}" for one in self._open(concerns, desks)]
        raise StuckError(f"{self._clock.at:%Y-%m-%d %H:%M}: {', '.join(stuck)}")

    def _open(self, concerns: Callable[[Track], bool], desks: Sequence[Desk]) -> list[Track]:
        return [track for desk in desks for track in desk.waiting() if concerns(track)]


def _is_of(assets: frozenset[str], track: Track) -> bool:
    return track.placed.asset in assets


async def _by_hand(body: bytes) -> Message:
    return Message("tape", "", body, _nobody)


async def _silence() -> list[Message]:
    return []


async def _nobody() -> None:
    """Nobody asked to be told."""
