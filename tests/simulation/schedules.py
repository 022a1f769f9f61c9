"""Schedules: a plan is told – messages, troubles, people, ends of lives – then everything heals, and the oracles judge."""

import asyncio
import gc
import time
from dataclasses import dataclass, field
from itertools import count

import structlog

from tests.simulation import deeds
from tests.simulation.branches import proven
from tests.simulation.loop import SimulatedLoop, StuckError
from tests.simulation.oracles import BrokenError, judge
from tests.simulation.plan import Chances, Plan, drawn
from tests.simulation.world import FUNDS, World
from trader.runtime.house import GRAVE

GRAVES = []  # a dead life is never cleaned up: its process ends with os._exit, see run.py
HEALING_SECONDS = 300.0


@dataclass
class Story:
    """What one plan came to."""

    seed: int
    venue: str
    name: str = ""
    kills: list = field(default_factory=list)  # the await points at which lives ended
    ends: list = field(default_factory=list)  # for each, the awaits to be proven that waited at that moment
    steps: int = 0
    simulated: float = 0.0
    real: float = 0.0
    orders: int = 0
    lives: int = 0
    counts: dict = field(default_factory=dict)
    met: dict = field(default_factory=dict)
    visited: dict = field(default_factory=dict)
    digest: str = ""
    broken: str = ""
    line: str = ""


def tell(plan, *, records=None, branches=None):
    """Let one plan happen; a number is a seed. records: a list that is given the lives, to look at what they went through. branches: decides where
    others branch off; there this returns in each of the processes.
    """
    plan = plan if isinstance(plan, Plan) else drawn(plan)
    story = Story(plan.seed, plan.venue, plan.name)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    loop, begin = SimulatedLoop(), time.perf_counter()
    gc.disable()
    GRAVES.append(loop)
    world = None
    try:
        world = loop.run_until_complete(_made(loop, plan))
        world.branches = branches
        loop.run_until_complete(_happen(world))
        judge(world, FUNDS)
    except BrokenError as error:
        story.broken = world.broken or str(error)
    except StuckError as error:
        story.broken = f"stuck: {error}"
    finally:
        story.real, story.simulated = time.perf_counter() - begin, loop.time()
        if world is not None:
            _sum_up(world, story)
            world.close()
    if records is not None:
        records.append(world)
    if story.broken:
        story.line = plan.line
    return story


def _sum_up(world, story):
    """What happened here; the beginning that a branch shares with its trunk is not in it, but in `digest`."""
    before = world.before
    story.counts, story.met, story.orders = world.counts, world.met, len(world.account.orders) - before["orders"]
    story.lives, story.digest = len(world.lives) - before["lives"], world.digest.hexdigest()
    story.steps = sum(life.steps for life in world.lives) - before["steps"]
    story.simulated -= before["seconds"]
    for life in world.lives:
        for frames, times in life.chains.items():
            for frame in frames:
                story.visited[frame] = story.visited.get(frame, 0) + times
        if life.ended_at and life.name not in before["dead"]:
            story.kills.append(life.ended_at)
            story.ends.append(list(proven(life.ended_in)))


async def _made(loop, plan):
    return World(loop, plan)


async def _happen(world):
    loop, plan = world.loop, world.plan
    world.tidied = set()
    loop.in_world(world.market())
    loop.in_world(deeds.messages(world))
    loop.in_world(deeds.events(world))
    for turn in count():
        if turn >= len(plan.kills) or loop.time() >= world.until or world.broken:
            break
        dies = plan.kills[turn]
        life = world.begin(**dies)
        if not dies and world.branches is not None:
            life.turn, life.branches = turn, world.branches.of(world)
        await _one_life(world, life)
        if plan.after and life.is_dead:
            world.until = min(plan.seconds, loop.time() + plan.after)
    if not world.alive() and not world.broken:
        world.begin()
    if not world.broken:
        await asyncio.sleep(max(world.until - loop.time(), 0.0))
    if not world.broken:
        await _heal(world)


async def _one_life(world, life):
    loop = world.loop
    while not life.ended.is_set() and loop.time() < world.until:
        try:
            async with asyncio.timeout(min(5.0, max(world.until - loop.time(), 0.01))):
                await life.ended.wait()
        except TimeoutError:
            continue
    if not life.is_dead:
        return
    world.ended(life)
    await asyncio.sleep(world.lot.choice((0.0, 0.1, 2.0)))
    if world.copy and not world.alive():
        world.restore_backup()


async def _heal(world):
    """Nothing goes wrong any more; what a person must do is done; then all must come to rest."""
    loop, plan = world.loop, world.plan
    world.is_hostile, world.chances, world.is_dark, world.is_frozen, world.script = False, Chances(), False, False, []
    world.factors.clear()
    world.depth = 0
    for symbol in ("BTC/USDT", "ETH/USDT"):
        if world.exchange.markets[symbol].status != "tradable":
            world.exchange.markets[symbol] = world.sound[symbol]
    living = world.alive()
    for life in living[:-1]:
        life.kill()
    for life in living[-1:]:
        life.spare()
        life.loses_power = life.is_losing = False
        if life.is_paused:
            loop.go_on(life)
    if world.copy and world.copy[2]:
        world.copy = ()
    if not living:
        world.begin()
    for one in deeds.by_hand(world):
        if one.is_open:
            world.tidied.add(one.number)
    deeds.tidied(world)
    slow = plan.does("jump") and (plan.does("double") or plan.does("pause"))  # a lease of a clock that was set back
    end = loop.time() + HEALING_SECONDS + plan.lag_ms / 1_000 + (4_000.0 if slow else 0.0)
    quiet, asked = 0, -60.0
    while quiet < 5:
        await asyncio.sleep(1.0)
        quiet = quiet + 1 if world.is_quiet() else 0
        if world.broken:
            return
        if loop.time() > end:
            raise BrokenError(f"it does not heal: {_why(world)}")
        if not quiet and loop.time() - asked > 15.0:
            asked = loop.time()
            loop.in_world(_operator(world))


async def _operator(world):
    """What a person does who finds the bot at rest and not at work, and only where there is a reason."""
    life, plan, facts = world.newest, world.plan, world.witness.facts
    daemon = None if life is None else life.daemon
    if daemon is None:
        return
    desks, off = daemon.house.desks, daemon.reconciler.off
    desk = max(desks, key=lambda one: GRAVE.index(one.state))
    is_amnesia = bool(world.lost_orders)
    is_open = any(one.state in {"unknown", "stuck"} for one in desk.outbox.live.values()) and desk.state == "reducing"
    if (any(off.values()) or is_open) and (deeds.by_hand(world) or is_amnesia or plan.is_zombies_world):
        await deeds.command(world, "adopt", f"heal-adopt-{world.loop.time():.0f}", seconds=5.0)
    if desk.state in {"halted", "killed"}:
        why = next(
            (
                one.why
                for one in reversed(facts)
                if type(one).__name__ == "StateChanged" and one.state == desk.state and one.why != "as before"
            ),
            "",
        )
        is_known = (
            plan.does("order") or (plan.is_zombies_world and "zombie" in why) or (is_amnesia and "amnesia" in why)
        )
        if not is_known:
            world.blame(f"it halted and nobody told it to: {why}")
        if any(
            it.is_flattening and any(it.engine.mount.held(one) is not None for one in it.engine.mount.ledger.holdings)
            for it in desks
        ):
            return
        if desk.is_flattening:
            world.reach("flat")
        await deeds.command(world, "resume", f"heal-{world.loop.time():.0f}", seconds=5.0)


def _why(world):
    life = world.newest
    if life is None or life.daemon is None:
        return f"no daemon: {life and life.failures[-1:]!r}"
    status = life.daemon.status()
    return {name: status[name] for name in ("state", "orders", "in_line", "off", "links")} | {
        "unacknowledged": list(world.broker.sent)
    }
