"""A life of the bot: its real parts, plugged together as `trader/app.py` does it, over the world's clock, wire, broker and disk."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from tests.contracts.worlds import KEY, SECRET
from tests.simulation.broker import Session
from tests.simulation.disk import opened
from tests.simulation.wire import Wire
from trader import After, Decision, FallBy, Target, Wants
from trader.furnishing import Account, Post, furnish, start
from trader.opening import BUILDERS, NotTradableError, admitted, until_open
from trader.ports import AlreadyKeptError, LeaseLostError
from trader.runtime.daemon import Daemon
from trader.runtime.desk import Execution
from trader.runtime.inbox import Rules
from trader.runtime.logs import Log
from trader.runtime.market import Market
from trader.runtime.recovery import recover
from trader.runtime.till import Pace

ASSETS = ["BTC/USDT", "ETH/USDT"]
CAPITALS = (("m", Decimal(5_000)), ("n", Decimal(2_500)))  # of the mounts of a story, as many as there are
SETTLE_SECONDS, LEASE_SECONDS = 0.5, 30.0
PACE = Pace(reconcile_seconds=10.0, stale_seconds=60.0, idle_seconds=0.5, busy_seconds=0.1, snapshot_facts=60)
RULES = Rules(ttl=timedelta(seconds=60), gather=timedelta(seconds=5), max_age=timedelta(minutes=30))


class Follows:
    """Holds what the newest rating says, in percent of equity, with a stop. hold: seconds after which it leaves again, 0 = never."""

    wants = Wants(ratings=("weight",))

    def __init__(self, hold=0.0):
        self.exits = (FallBy(0.1), *([After(f"{hold:g}s")] if hold else []))

    def __repr__(self):
        return "Follows()"

    def decide(self, view):
        weights = view.ratings("weight")
        sizes = {asset: weights[asset] / 100 for asset in view.wake.assets}
        return Decision.change({a: Target(size, self.exits) if size else 0.0 for a, size in sizes.items()})


@dataclass
class Clock:
    """The bot's clock: its wall may be off and jump, its waiting is the world's."""

    world: object
    skew: float
    readings: int = 0
    last: float = -1.0

    def now(self):
        """No two readings are the same: the world's time stands still within a step, a machine's does not."""
        self.readings = self.readings + 1 if self.last == self.world.loop.now else 0
        self.last = self.world.loop.now
        return self.world.now() + timedelta(seconds=self.skew + self.world.wall_off, microseconds=self.readings)

    def monotonic(self):
        return self.world.loop.time()

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


async def live(world, life):
    """One incarnation, from its first breath: recover, compare, then work, for ever."""
    clock = Clock(world, life.skew)
    journal = opened(world, life, world.path)
    world.witness.opened(journal._seq)
    await asyncio.sleep(0)
    epoch = await journal.take(life.owner, seconds=LEASE_SECONDS)
    world.witness.taken(epoch, journal._seq)
    if world.holder not in {"", life.owner}:
        world.reach("a lease taken over after its end")
    world.holder = life.owner
    venue = BUILDERS[world.plan.venue](
        key=KEY, secret=SECRET, url="http://venue", paces=False, transport=Wire(world, life),
        wall=lambda: clock.now().timestamp(), monotonic=world.loop.time,
    )  # fmt: skip
    instruments, shut = await admitted(ASSETS, await venue.instruments(ASSETS), journal)
    if len(instruments) < len(ASSETS):  # as check_universe does
        world.reach("a start refused: a market is closed")
        raise NotTradableError("an asset has no market")
    if shut:
        world.reach("a start without an asset whose market is closed")
    symbols = {one.asset: one.symbol for one in instruments if one.asset not in shut}
    market = Market(venue, clock, symbols=symbols, timeframe="1h", keep=3, every_seconds=3.0)
    execution = Execution(collar=0.005, again_seconds=0.5, fee=0.002, validity=timedelta(seconds=90))
    posts = [
        Post(name, Follows(world.plan.hold), instruments, capital, execution, market=market, shut=shut)
        for name, capital in CAPITALS[: world.plan.mounts]
    ]
    accounts = [Account("main", "test", venue, posts, world.plan.fence_ms)]
    made = furnish("sim", accounts, journal, clock, rules=RULES)
    venue.settle_seconds = SETTLE_SECONDS
    daemon = Daemon(made.house, [], Log(), PACE, LEASE_SECONDS, program=made.program)
    daemon.sources = [Session(world, daemon.link_changed)]
    facts = await recover(made.house, journal, program=made.program)
    if len(facts) < journal._seq:
        world.reach("a start from a snapshot")
    daemon.folded = len(facts)
    market.newest.update(made.desk.engine.market.newest())
    for desk in made.house.desks:
        desk.heard = market.fresh
    await start(made)
    life.daemon = daemon
    async with asyncio.TaskGroup() as group:
        if shut:
            group.create_task(until_open(shut, lambda: fresh(world, life), clock, seconds=20.0))
        await daemon.run()


async def fresh(world, life):
    """The markets as a connection of its own learns them."""
    venue = BUILDERS[world.plan.venue](
        key=KEY, secret=SECRET, url="http://venue", paces=False, transport=Wire(world, life),
        wall=lambda: world.now().timestamp(), monotonic=world.loop.time,
    )  # fmt: skip
    found = await venue.instruments(ASSETS)
    world.reach("a closed market looked for")
    return found


async def supervised(world, life):
    """What a supervisor and the system's manager do: an attempt that fails is followed by another one."""
    while True:
        try:
            await live(world, life)
        except (Exception, ExceptionGroup) as error:
            first = error
            while isinstance(first, ExceptionGroup):
                first = first.exceptions[0]
            world.count(f"restarted {type(first).__name__}")
            life.failures.append(first)
            life.daemon = None
            if isinstance(first, LeaseLostError):
                world.reach(
                    "a second start refused" if "holds it" in str(first) else "a process that lost its lease ends"
                )
            if isinstance(first, AssertionError | TypeError | KeyError | AttributeError | AlreadyKeptError):
                world.blame(f"the bot failed: {type(first).__name__} {first}")
        await asyncio.sleep(1.0)
