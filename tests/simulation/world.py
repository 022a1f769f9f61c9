"""The world around the bot: an exchange in its real dialect, a network that loses and delays, a broker, a disk, and lives of the real bot.

Nothing of the bot is replaced but what the composition root plugs in anyway: clock, transport, source of messages, and a journal whose
disk may say that it failed. All chance comes from one seed.
"""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from tests.contracts.memory import MemoryLine
from tests.contracts.worlds import FEES, KEY, MARKETS, SECRET
from tests.simulation.loop import Life
from trader import Decision, FallBy, Target, Wants
from trader.adapters.http import Answer, NoAnswerError
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.payloads import compose
from trader.app import BUILDERS, bench, start
from trader.loopback.dialects import DIALECTS
from trader.loopback.exchange import Exchange
from trader.loopback.walk import Walk
from trader.loopback.wire import Request
from trader.ports import JournalDownError, Message
from trader.runtime.daemon import Daemon, Pace
from trader.runtime.desk import Execution
from trader.runtime.logs import Log
from trader.runtime.market import Market
from trader.runtime.recovery import recover

D = Decimal
BEGIN = datetime(2024, 3, 1, 12, 0, 20, tzinfo=UTC)
ASSETS = ["BTC/USDT", "ETH/USDT"]
FUNDS = {"USDT": D(10_000), "BTC": D(0), "ETH": D(0)}
CAPITAL = D(5_000)
FENCE_MS, AGAIN_SECONDS = 400, 20.0
SHARED = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())


class Follows:
    """Holds what the newest rating says, in percent of equity, with a stop."""

    wants = Wants(ratings=("weight",))

    def __repr__(self):
        return "Follows()"

    def decide(self, view):
        weights = view.ratings("weight")
        sizes = {asset: weights[asset] / 100 for asset in view.wake.assets}
        return Decision.change({a: Target(size, (FallBy(0.1),)) if size else 0.0 for a, size in sizes.items()})


@dataclass
class Chances:
    """How likely what is, per request, commit or message; all of it is over when the world heals."""

    lost: float = 0.0  # the request never arrives
    silent: float = 0.0  # it is carried out, and the answer never comes
    late: float = 0.0  # it arrives when its sender has long given up
    twice: float = 0.0  # it arrives a second time
    refused: float = 0.0  # 503 before it is carried out
    failed: float = 0.0  # 503 after it was carried out
    broken: float = 0.0  # half an answer
    disk: float = 0.0  # a commit that says that it failed; half of these were kept
    unacknowledged: float = 0.0  # an acknowledgement that the broker does not hear
    dropped: float = 0.0  # a stream that ends, per second

    @classmethod
    def by_lot(cls, lot):
        """A swarm: each kind of trouble is there in half of the worlds, from rare to common."""
        return cls(**{name: lot.choice((0.0, lot.uniform(0.01, 0.25))) for name in cls.__dataclass_fields__})


@dataclass
class World:
    """Everything outside of the bot. `reached` counts what happened, so that a run which never met it can fail."""

    loop: object
    seed: int
    name: str
    chances: Chances
    lot: Random = field(init=False)
    exchange: Exchange = field(init=False)
    sent: dict = field(default_factory=dict)  # what the broker has, until it is acknowledged
    keys: list = field(default_factory=list)
    reached: dict = field(default_factory=dict)
    lives: list = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self):
        self.lot = Random(self.seed)
        fee_in, fee = FEES[self.name]
        self.exchange = Exchange(MARKETS, fee=D(fee), fee_in=fee_in, forgets=self.name == "gate")
        self.account = self.exchange.open_account(KEY, SECRET, FUNDS)
        self.dialect = DIALECTS[self.name](self.exchange)
        self.walk = Walk(self.exchange, {"BTC/USDT": D(100), "ETH/USDT": D(10)}, seed=self.seed)
        self.walk.past(self.now_ms(), 3)
        self.walk.step(self.now_ms())
        self.folder = Path(tempfile.mkdtemp(prefix="sim-", dir=SHARED))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    # Time and chance

    def now(self):
        return BEGIN + timedelta(seconds=self.loop.time())

    def now_ms(self):
        return round(self.now().timestamp() * 1_000)

    def happens(self, name, weight=1.0):
        """Whether trouble comes now; it is counted."""
        found = self.lot.random() < getattr(self.chances, name) * weight
        if found:
            self.count(name)
        return found

    def count(self, name):
        self.reached[name] = self.reached.get(name, 0) + 1

    async def market(self, every=2.0):
        """Let prices move, for ever."""
        while True:
            await asyncio.sleep(every)
            self.walk.step(self.now_ms())

    # The broker

    def publish(self, number, weights):
        """Publish a message; the broker keeps it until it is acknowledged."""
        body = compose(
            source="sim", kind="weight", values=weights, type_="rating", issued_at=self.now(), id_=str(number)
        )
        self.sent[f"sim/{number}"] = body
        self.keys.append(f"sim/{number}")
        self.news.set()

    # A life

    async def live(self, life, *, skew=0.0):
        """One incarnation, from its first breath: recover, compare, then work, for ever."""
        clock, wire = Clock(self, skew), Wire(self)
        venue = BUILDERS[self.name](
            key=KEY, secret=SECRET, url="http://venue", paces=False, transport=wire, wall=lambda: clock.now().timestamp(),
            monotonic=self.loop.time,
        )  # fmt: skip
        journal = Disk(self, SqliteJournal(self.folder / "journal.db"))
        await journal.take("sim", seconds=60)
        instruments = await venue.instruments(ASSETS)
        market = Market(
            venue,
            clock,
            symbols={one.asset: one.symbol for one in instruments},
            timeframe="1h",
            keep=3,
            every_seconds=3.0,
        )
        made = bench(
            name="m", strategy=Follows(), instruments=instruments, capital=CAPITAL, journal=journal, venue=venue, clock=clock,
            namespace="test", price=market.price, fence_ms=FENCE_MS, execution=Execution(collar=0.005, again_seconds=0.5, fee=0.002),
        )  # fmt: skip
        venue.settle_seconds = 0.5
        pace = Pace(reconcile_seconds=10.0, stale_seconds=60.0, idle_seconds=0.5, busy_seconds=0.1, snapshot_facts=60)
        life.daemon = Daemon(
            made.desk, made.reconciler, made.inbox, [Broker(self)], market, Log(), pace, program=made.program
        )
        facts = await recover(made.desk, made.reconciler, made.inbox, journal, program=made.program)
        life.daemon.folded = len(facts)
        market.newest.update(made.desk.engine.market.newest())
        made.desk.heard = market.fresh
        await start(made.desk, made.instruments, made.capital)
        await life.daemon.run()

    async def supervised(self, life, skew):
        """What a supervisor does: an attempt that fails is followed by another one, in the same process."""
        while True:
            try:
                await self.live(life, skew=skew)
            except (Exception, ExceptionGroup) as error:
                self.count(f"restarted {type(error).__name__}")
                life.failures.append(error)
                life.daemon = None
            await asyncio.sleep(1.0)

    def begin(self, **dies):
        """A new life beside the dead ones. dies: when, as Life takes it."""
        life = Life(f"life {len(self.lives) + 1}", **dies)
        life.is_busy = lambda: life.daemon is not None and not life.daemon.desk.is_quiet
        life.daemon, life.failures = None, []
        self.lives.append(life)
        self.loop.in_life(life, self.supervised(life, self.lot.choice((0.0, 0.0, -2.0, 3.0))))
        return life

    def is_quiet(self):
        """Whether the newest life has nothing under way and all that was sent is taken."""
        daemon = self.lives[-1].daemon
        return (
            daemon is not None
            and daemon.desk.state == "active"
            and daemon.desk.is_quiet
            and not self.sent
            and not daemon.status()["in_line"]
        )


@dataclass
class Clock:
    """The bot's clock: its wall may be off, its waiting is the world's."""

    world: World
    skew: float

    def now(self):
        return self.world.now() + timedelta(seconds=self.skew)

    def monotonic(self):
        return self.world.loop.time()

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


@dataclass
class Broker:
    """A persistent session: what was not acknowledged comes again with the next life."""

    world: World
    name: str = "broker"

    async def messages(self):
        told, loop = {}, self.world.loop
        while True:
            for key, body in list(self.world.sent.items()):
                if loop.time() - told.get(key, -1e9) >= AGAIN_SECONDS:  # as after a connection that was made anew
                    told[key] = loop.time()
                    yield Message("sim", "", body, self._acknowledge(key))
            self.world.news.clear()
            try:
                async with asyncio.timeout(AGAIN_SECONDS / 2):
                    await self.world.news.wait()
            except TimeoutError:
                continue

    def _acknowledge(self, key):
        async def acknowledge():
            if not self.world.happens("unacknowledged"):
                self.world.sent.pop(key, None)

        return acknowledge


class Wire:
    """The network: a request is on its way whether or not its sender lives."""

    def __init__(self, world):
        self.world = world

    async def call(self, method, url, headers, body, *, seconds):
        parts, loop = urlsplit(url), self.world.loop
        plain = {name.lower(): one for name, one in headers.items()}
        request = Request(method, parts.path, parts.query, plain, body or "")
        answer = loop.create_future()
        loop.in_world(self._carry(request, answer))
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise NoAnswerError(f"{method} {parts.path}: no answer in {seconds:g} s") from None

    async def _carry(self, request, answer):
        world = self.world
        weight = 2.0 if request.method != "GET" else 1.0 if _is_ours(request) else 0.2  # trouble where it matters most
        await asyncio.sleep(world.lot.uniform(0.002, 0.03))
        if world.happens("lost", weight):
            return
        if world.happens("late", weight):
            await asyncio.sleep(world.lot.uniform(0.5, 40.0))
        if world.happens("refused", weight):
            said = Answer(503, {}, '{"label":"SERVER_ERROR","message":"busy","code":503,"msg":"busy"}')
        else:
            found = world.dialect.respond(request, world.now_ms())
            said = Answer(found.status, found.headers, found.body)
            if request.method == "GET" and world.happens("twice"):
                world.dialect.respond(request, world.now_ms())
        await asyncio.sleep(world.lot.uniform(0.002, 0.03))
        if world.happens("silent", weight):
            return
        if world.happens("failed", weight):
            said = Answer(503, {}, "<html>Bad gateway</html>")
        elif world.happens("broken", weight):
            said = Answer(said.status, said.headers, said.body[: len(said.body) // 2])
        if not answer.done():
            answer.set_result(said)

    async def dial(self, url, headers=None):
        world, parts = self.world, urlsplit(url)
        await asyncio.sleep(0.02)
        if world.happens("lost"):
            raise NoAnswerError(f"WS {parts.path}: refused")
        asked = Request("WS", parts.path, parts.query, headers or {}, "")
        stream = world.dialect.connect(asked, world.now_ms())
        if stream is None:
            raise NoAnswerError(f"WS {parts.path}: HTTP 404")
        return Line(stream, world)

    async def close(self):
        pass


def _is_ours(request):
    """Whether a request is about our account."""
    return any(name in request.headers for name in ("key", "x-mexc-apikey"))


class Line(MemoryLine):
    """A websocket that may end at any time."""

    def __init__(self, stream, world):
        super().__init__(stream, world.now_ms)
        self.world = world

    async def receive(self):
        while not self.frames:
            if self.stream.is_over or self.closed or self.world.happens("dropped"):
                self.stream.is_over = True
                break
            self.frames += self.stream.news(self.now_ms())
            if not self.frames:
                await asyncio.sleep(1.0)
        return await super().receive()


class Disk:
    """The journal on a disk that may say no, before or after it kept what it was given."""

    def __init__(self, world, journal):
        self._world, self._journal = world, journal

    def __getattr__(self, name):
        return getattr(self._journal, name)

    async def append(self, facts):
        await asyncio.sleep(0)
        is_failing = self._world.happens("disk")
        if is_failing and self._world.lot.random() < 0.5:
            raise JournalDownError("the disk is full")
        inner = self._journal
        before = inner._seq, inner._hash
        found = await inner.append(facts)
        if is_failing:  # the commit is on disk and its answer is lost: the adapter knows no more than before
            self._world.count("kept and denied")
            inner._seq, inner._hash, inner._in_doubt, inner._accounts = *before, True, None
            raise JournalDownError("the commit has no answer")
        await asyncio.sleep(0)
        return found
