"""The demo: the whole chain on this machine, without keys or network: a loopback exchange with real candles, real ccxt over a
socket, messages through the inbox, the journal on disk. What is derived says so.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from trader.adapters.clock import SystemClock
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.mqtt import Broker, MqttDownError, MqttSource
from trader.adapters.paper_venue import PaperVenue
from trader.adapters.payloads import compose
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.tokenmetrics import Budget, Manner, TokenMetrics
from trader.adapters.tokenmetrics_feed import TokenMetricsFeed
from trader.adapters.tokenmetrics_plan import Feeding
from trader.core.costs import Costs
from trader.core.facts import BarClosed, Fact
from trader.core.instruments import Instrument
from trader.core.records import DiscrepancySeen
from trader.core.risk import Limits
from trader.core.view import Strategy
from trader.demo_vendor import HOURS_SINCE, INDEX, ids_of, vendor_of
from trader.demo_vendor import KEY as VENDOR_KEY
from trader.furnishing import Bench, bench, start
from trader.lockstep import Carry, Instant, LockStep, MarketClock, News, Quote
from trader.loopback.dialects import DIALECTS
from trader.loopback.exchange import Exchange, Market
from trader.loopback.server import LoopbackServer, VenueClock
from trader.opening import BUILDERS
from trader.ports import Hint, Message, Touch, Venue, VenueBar
from trader.runtime.desk import ACTIVE, Execution
from trader.runtime.inbox import Rules
from trader.runtime.logs import Log
from trader.runtime.recovery import recover

if TYPE_CHECKING:
    import pandas as pd

    from backtests import Tape

KEY, SECRET = "loopback-key", "loopback-secret"
FEES = {"gate": ("received", "0.002"), "mexc": ("quote", "0.0005"), "paper": ("quote", "0.001")}
HALF_SPREAD = 0.0005
SOURCE = "sample"
NAMED = {  # as the loopback vendor calls them
    "derived_trader": "trader_grade", "derived_signal": "trend", "derived_regime": "regime", "derived_moonshot": "moonshot",
    "derived_weight": "index_weight", "derived_hourly": "hourly_trend",
}  # fmt: skip
TOPIC = "trader/v1/demo"
CARRY_SECONDS = 10.0
LEAST = Decimal(3)
RULES = {  # tick and lot
    "BTC/USDT": ("0.1", "0.000001"), "ETH/USDT": ("0.01", "0.0001"), "BNB/USDT": ("0.1", "0.001"),
    "SOL/USDT": ("0.01", "0.001"), "XRP/USDT": ("0.0001", "0.1"),
}  # fmt: skip
Progress = Callable[[Instant, Bench, Sequence[Fact]], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """What is played: a strategy, an exchange's dialect, a span of the bundled sample, the money."""

    strategy: Strategy
    venue: str = "gate"
    timeframe: str = "1h"
    since: datetime = datetime(2024, 3, 1, tzinfo=UTC)
    until: datetime = datetime(2024, 5, 1, tzinfo=UTC)
    cash: Decimal = Decimal(10_000)
    half_spread: float = HALF_SPREAD
    limits: Limits | None = None
    feeds: bool = False  # signals come from a loopback vendor through the feed, not from the tape by hand
    endpoints: tuple[str, ...] = ("trading_signals", "market_metrics")  # what the feed asks for


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it."""

    facts: list[Fact]
    cash: Decimal
    holdings: dict[str, Decimal]
    equity: Decimal
    requests: int
    orders_at_venue: int
    discrepancies: list[DiscrepancySeen] = field(default_factory=list)


def markets_of(names: Sequence[str]) -> list[Market]:
    """The markets of the loopback exchange; ticks and lots are assumed, about as the real ones are."""
    found = []
    for name in names:
        base, _, quote = name.partition("/")
        tick, lot = map(Decimal, RULES.get(name, ("0.0001", "0.01")))
        found.append(Market(base, quote, tick, lot, LEAST))
    return found


def frames_of(stage: Stage) -> "tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]":
    """Bars, ratings and signals of the span, where it feeds with what the vendor says besides."""
    import pandas as pd

    from backtests.bundled import frames, further
    from backtests.derived import hourly

    bars, ratings, signals = frames(stage.timeframe)
    if stage.feeds:
        bars, ratings, signals = further(bars, ratings, signals)
    if "hourly_trading_signals" in stage.endpoints:
        signals = pd.concat([signals, hourly(bars[bars["ts"] >= HOURS_SINCE])], ignore_index=True)
    bars = bars[(bars["ts"] >= stage.since) & (bars["ts"] < stage.until)].reset_index(drop=True)
    said = [
        one[(one["known_at"] >= stage.since) & (one["known_at"] <= stage.until)].reset_index(drop=True)
        for one in (ratings, signals)
    ]
    return bars, said[0], said[1]


def tape_of(stage: Stage) -> "Tape":
    """The same history with the same market rules as a tape, for a replay beside it; as the vendor names things, where it feeds."""
    import pandas as pd

    from backtests.bundled import LABEL
    from backtests.tape import Tape

    bars, ratings, signals = frames_of(stage)
    if stage.feeds:
        ratings, signals = (frame.assign(kind=frame["kind"].replace(NAMED)) for frame in (ratings, signals))
    rows = [
        {"asset": one.symbol, "tick": float(one.tick), "lot": float(one.lot), "min_notional": float(one.least)}
        for one in markets_of(sorted(bars["asset"].astype(str).unique()))
    ]
    return Tape.from_frames(bars, ratings, signals, pd.DataFrame(rows), label=LABEL)


def instants_of(stage: Stage) -> list[Instant]:
    """The history as instants: bars at their close, messages when they were known."""
    bars, ratings, signals = frames_of(stage)
    step = timedelta(hours=1) if stage.timeframe == "1h" else timedelta(days=1)
    closing: dict[datetime, list[BarClosed]] = {}
    opens: dict[datetime, dict[str, float]] = {}
    columns = ["ts", "asset", "open", "high", "low", "close", "volume"]
    for ts, asset, *prices in bars[columns].itertuples(index=False):
        at = ts.to_pydatetime().astimezone(UTC)
        first, high, low, close, volume = map(float, prices)
        closing.setdefault(at + step, []).append(BarClosed(at + step, str(asset), first, high, low, close, volume))
        opens.setdefault(at, {})[str(asset)] = float(prices[0])
    messages: dict[datetime, list[bytes]] = {}
    for type_, frame in () if stage.feeds else (("rating", ratings), ("state", signals)):
        for at, body in _messages(frame, type_):
            messages.setdefault(at, []).append(body)
    return [
        Instant(
            at, tuple(sorted(closing.get(at, ()), key=lambda bar: bar.asset)), tuple(messages.get(at, ())),
            opens.get(at, {}),
        )
        for at in sorted({*closing, *opens, *messages})
    ]  # fmt: skip


def _messages(frame: "pd.DataFrame", type_: str) -> Iterator[tuple[datetime, bytes]]:
    keys = ["known_at", "as_of", "kind"]
    for (known, as_of, kind), rows in frame.groupby(keys, sort=True):
        at, described = (datetime.fromisoformat(str(one)).astimezone(UTC) for one in (known, as_of))
        values = dict(zip(rows["asset"].astype(str), rows["value"].astype(float), strict=True))
        body = compose(
            source=SOURCE, kind=str(kind), values=values, type_=type_, issued_at=at, as_of=described,
            id_=f"{kind}-{described:%Y%m%dT%H%M}",
        )  # fmt: skip
        yield at, body


@dataclass(frozen=True, slots=True)
class House:
    """Where a stage is played: our way to trade, how a price is put in place, and what was asked and ordered there so far."""

    venue: Venue
    quote: Quote
    requests: Callable[[], int]
    orders: Callable[[], int]


@asynccontextmanager
async def exchange_of(stage: Stage, names: Sequence[str]) -> AsyncIterator[House]:
    """A loopback exchange with our money on it, and our way to it."""
    fee_in, fee = FEES[stage.venue]
    exchange = Exchange(markets_of(names), fee=Decimal(fee), fee_in=fee_in)
    exchange.open_account(KEY, SECRET, {"USDT": stage.cash})
    clock, half_spread = VenueClock(), Decimal(repr(stage.half_spread))

    async def quote(asset: str, price: float) -> None:
        exchange.set_price(asset, Decimal(repr(price)), clock.now_ms(), half_spread=half_spread)

    async with LoopbackServer(DIALECTS[stage.venue](exchange), clock) as server:
        venue = BUILDERS[stage.venue](key=KEY, secret=SECRET, url=server.url, paces=False)
        try:
            yield House(venue, quote, lambda: len(server.log), lambda: len(exchange.orders))
        finally:
            await venue.close()


class TapePrices:
    """Prices as the tape has them, for an account on paper."""

    def __init__(self, names: Sequence[str]) -> None:
        self._markets, self.prices = markets_of(names), dict[str, float]()

    async def instruments(self, assets: Sequence[str]) -> list[Instrument]:
        """The markets of these assets."""
        return [
            Instrument(one.symbol, "paper", one.symbol, float(one.tick), float(one.lot), float(one.least))
            for one in self._markets
            if one.symbol in assets
        ]

    async def touch(self, symbol: str) -> Touch:
        """The last price on both sides: the spread is the account's to assume."""
        price = Decimal(repr(self.prices[symbol]))
        return Touch(price, price)

    async def bars(self, symbol: str, timeframe: str, *, since_ms: int) -> list[VenueBar]:
        """None: the tape tells them itself."""
        del symbol, timeframe, since_ms
        return []

    async def hear_market(self, symbols: Sequence[str], timeframe: str, tell: Callable[[Hint], None]) -> None:
        """The tape tells by itself."""
        del symbols, timeframe, tell
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def paper_of(stage: Stage, names: Sequence[str]) -> AsyncIterator[House]:
    """An account on paper, filled at the tape's prices by the rules that a replay fills with."""
    fee_in, fee = FEES[stage.venue]
    costs = Costs(
        fee=float(fee), half_spread=stage.half_spread, fee_on_buy="received" if fee_in == "received" else "quote"
    )
    prices = TapePrices(names)
    venue = PaperVenue(prices, SystemClock(), costs=costs, path=None, deposit={"USDT": stage.cash})

    async def quote(asset: str, price: float) -> None:
        prices.prices[asset] = price

    yield House(venue, quote, lambda: 0, lambda: len(venue.orders))


@asynccontextmanager
async def carrier(broker: Broker) -> AsyncIterator[Carry]:
    """A way for messages through a broker and back: published, received, and acknowledged when they are kept."""
    line, connected = asyncio.Queue[Message](), asyncio.Event()
    problem: list[str] = []

    def tell(is_up: bool, why: str) -> None:
        problem[:] = [] if is_up else [why]
        connected.set()

    async def pump() -> None:
        async for message in MqttSource(
            replace(broker, topic=f"{TOPIC}/#", client_id="trader-demo"), tell=tell
        ).messages():
            await line.put(message)

    async def carry(body: bytes) -> Message:
        await client.publish(f"{TOPIC}/{SOURCE}", body, qos=1)
        async with asyncio.timeout(CARRY_SECONDS):
            while (message := await line.get()).body != body:
                await message.acknowledge()  # of a demo that was broken off
        return message

    task = asyncio.create_task(pump())
    try:
        await connected.wait()
        if problem:
            raise MqttDownError(f"mqtt {broker.host}:{broker.port}: {problem[0]}")
        async with broker.client("", persistent=False) as client:
            yield carry
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def feed_of(stage: Stage, clock: MarketClock, names: Sequence[str], path: Path) -> AsyncIterator[News | None]:
    """A loopback vendor over a socket, and the feed that asks it, both on the market's clock; none where the tape tells by hand."""
    if not stage.feeds:
        yield None
        return
    store, made = RatingsStore(path), vendor_of(stage.timeframe)
    wall = VenueClock(wall=lambda: clock.now().timestamp())
    async with LoopbackServer(made, wall) as server:
        manner = Manner(base=server.url, apart_seconds=0.0)
        client = TokenMetrics(VENDOR_KEY, clock, Budget(10_000, keep=store.keep_spent), manner)
        feeding = Feeding(
            ids_of(list(names)), stage.endpoints, lag=timedelta(0), back_days=0, revised_days=1, hourly_lag=timedelta(0),
            indices={"index_weight": INDEX} if "indices_holdings" in stage.endpoints else {},
        )  # fmt: skip
        try:
            yield TokenMetricsFeed(client, store, clock, feeding).news
        finally:
            await client.close()
            store.close()


@asynccontextmanager
async def _by_hand() -> AsyncIterator[None]:
    yield None


async def play(
    stage: Stage, path: Path, *, progress: Progress | None = None, log: Log | None = None, broker: Broker | None = None
) -> Ended:
    """Play a stage to its end in lock-step, its messages through a broker where one is given; the journal at `path` must be new."""
    instants = instants_of(stage)
    names = sorted({asset for one in instants for asset in one.opens})
    clock, journal = MarketClock(instants[0].at), SqliteJournal(path)
    async with (paper_of if stage.venue == "paper" else exchange_of)(stage, names) as house:
        venue = house.venue
        await journal.take("demo", seconds=3_600)
        for asset, price in first_prices(instants).items():
            await house.quote(asset, price)
        made = bench(
            name="demo", strategy=stage.strategy, instruments=await venue.instruments(names), capital=stage.cash,
            journal=journal, venue=venue, clock=clock, log=log, limits=stage.limits, rules=Rules(max_age=timedelta(days=4)),
            execution=Execution(collar=0.0, again_seconds=0.05, fee=float(FEES[stage.venue][1])),
        )  # fmt: skip
        desk = made.desk
        await recover(made.house, journal)
        await made.reconciler.run()
        await start(made)
        await desk.change(ACTIVE, "reconciled")

        ways = carrier(broker) if broker is not None else _by_hand()
        async with ways as carry, feed_of(stage, clock, names, path.with_name("ratings.db")) as news:
            async for instant, followed in LockStep(made.house, clock, house.quote, carry, news).play(instants):
                if progress is not None:
                    progress(instant, made, followed)
        for track in desk.waiting():  # nothing opens after the last bar
            await desk.outbox.give_up(track, "end")
        await made.reconciler.run()
        facts = [entry.fact async for entry in journal.read()]
        await journal.close()
        ledger = desk.engine.mount.ledger
        held = {asset: Decimal(str(one.quantity)) for asset, one in ledger.holdings.items() if one.quantity}
        cash = Decimal(str(ledger.total_cash()))
        equity = cash + sum(
            (amount * Decimal(str(desk.engine.market.mark(asset))) for asset, amount in held.items()), Decimal(0)
        )
        return Ended(
            facts, cash, held, equity, house.requests(), house.orders(),
            [fact for fact in facts if isinstance(fact, DiscrepancySeen)],
        )  # fmt: skip


def first_prices(instants: Sequence[Instant]) -> dict[str, float]:
    """The first open of each asset."""
    found: dict[str, float] = {}
    for one in instants:
        for asset, price in one.opens.items():
            found.setdefault(asset, price)
    return found
