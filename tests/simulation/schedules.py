"""Schedules: one seed is one story – messages, troubles, kills at any step – then everything heals, and the oracles judge."""

import asyncio
import gc
import time
from dataclasses import dataclass, field
from random import Random

import structlog

from tests.simulation.loop import SimulatedLoop
from tests.simulation.oracles import BrokenError, judge
from tests.simulation.world import FUNDS, Chances, World

GRAVES = []  # a dead life is never cleaned up: its process ends with os._exit, see __main__.py
SECONDS, HEALING_SECONDS = 40.0, 400.0


@dataclass
class Story:
    """What one seed came to."""

    seed: int
    venue: str
    kills: list = field(default_factory=list)  # steps and busy steps at which lives ended
    steps: int = 0
    simulated: float = 0.0
    real: float = 0.0
    orders: int = 0
    reached: dict = field(default_factory=dict)
    broken: str = ""

    @property
    def line(self):
        """What reproduces it."""
        return f"python -m tests.simulation --venue {self.venue} --seed {self.seed}"


def tell(seed, venue="gate", *, kills=None, chances=None):
    """Let one seed happen. kills: at which steps lives end, None = by lot. chances: of trouble, None = by lot."""
    lot, story = Random(seed), Story(seed, venue)
    kills = [_kill(lot) for _ in range(lot.choice((1, 1, 2, 3)))] if kills is None else kills
    chances = Chances.by_lot(lot) if chances is None else chances
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    loop, begin = SimulatedLoop(), time.perf_counter()
    gc.disable()
    GRAVES.append(loop)
    world = None
    try:
        world = loop.run_until_complete(_made(loop, seed, venue, chances))
        loop.run_until_complete(_happen(world, story, lot, kills))
        judge(world, FUNDS)
    except BrokenError as error:
        story.broken = str(error)
    finally:
        story.real, story.simulated = time.perf_counter() - begin, loop.time()
        if world is not None:
            story.reached, story.orders = world.reached, len(world.account.orders)
            story.steps = sum(life.steps for life in world.lives)
            world.close()
    return story


def _kill(lot):
    """At any step, or, as often, while orders are under way."""
    return {"dies_at": lot.randrange(1, 2_000)} if lot.random() < 0.4 else {"dies_busy_at": lot.randrange(1, 80)}


async def _made(loop, seed, venue, chances):
    return World(loop, seed, venue, chances)


async def _happen(world, story, lot, kills):
    loop = world.loop
    market = loop.in_world(world.market())
    for number, dies in enumerate(kills):
        life = world.begin(**dies)
        loop.in_world(_messages(world, lot, number))
        try:
            async with asyncio.timeout(SECONDS):
                await life.ended.wait()
        except TimeoutError:
            life.kill()
        story.kills.append((life.steps, life.busy_steps))
        await asyncio.sleep(lot.choice((0.0, 0.1, 2.0)))
    world.begin()
    await asyncio.sleep(lot.uniform(0.0, 10.0))
    world.chances = Chances()
    end = loop.time() + HEALING_SECONDS
    quiet = 0
    while quiet < 5:
        await asyncio.sleep(1.0)
        quiet = quiet + 1 if world.is_quiet() else 0
        if loop.time() > end:
            raise BrokenError(f"it does not heal: {_why(world)}")
    market.cancel()


async def _messages(world, lot, number):
    await asyncio.sleep(lot.uniform(0.0, 8.0))
    for n in range(lot.randrange(2, 7)):
        await asyncio.sleep(lot.uniform(0.0, 5.0))
        weights = {
            f"{name}/USDT": float(lot.choice((0, 20, 40))) for name in lot.sample(("BTC", "ETH"), lot.choice((1, 2)))
        }
        world.publish(number * 10 + n, weights)


def _why(world):
    life = world.lives[-1]
    if life.daemon is None:
        return f"no daemon: {life.failures[-1:]!r}"
    status = life.daemon.status()
    return {name: status[name] for name in ("state", "orders", "in_line", "off", "links")} | {
        "unacknowledged": list(world.sent)
    }
