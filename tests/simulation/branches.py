"""Stories that share their beginning: where a life may end the process forks. In the branch it ends there and the story goes on to its own
verdict; in the trunk it lives on, to the next branch.

A branch is the story that its plan tells from the beginning: it draws nothing while it branches off, the dead life's files are copied as at
every end of a life, and tests/simulation/test_branches.py and each proof compare digests. What a branch reports is what happened in it after
it branched off; its beginning is counted once, by the trunk.
"""

import asyncio
import os
import signal
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

from tests.simulation.points import room_of, wanted

ROOMS = {"intake", "submit", "resolve", "recover", "operate"}
SECONDS_MAX = 90  # of one story
TIMES = 4  # how often the same await point counts within a life, where every end is told
NEAR = 2  # how often a trunk branches off at the same await of the source
DEEPER = 0.12  # the share of branches that are trunks again, for what their second life comes to
LEAST = 5  # ends at an await point below which it is wanted in any case
ENOUGH = 100  # ends that an await point is to see in an hour
AIMED = 12  # how many branches of a trunk wait for the await point that it is told for
RARE = 4  # how often a trunk branches off at one step that few stories come to, each with other lives after it
BY_CHANCE, OFTEN = 0.004, 0.02


@cache
def proven(frames):
    """Those of a task's awaits that are to be proven."""
    return tuple(one for one in frames if one in _known())


@cache
def _known():
    return frozenset(wanted())


class Branches:
    """Decides where stories branch off. ends: how many lives ended at each await point so far, in the whole proof; seed: of its own chance;
    aim: the await point that the trunk is told for, for which half of its branches wait."""

    def __init__(self, ends=None, *, seed=0, most=24, every=1, first=0, since=0.0, aim=""):
        self.ends, self.lot, self.left = Counter(ends or {}), Random(f"branches {seed}"), most
        self.aim, self.kept = aim, AIMED if aim else 0
        self.since = since  # the world's second before which none branches off
        self.every, self.place = every, -first  # in an `every` mode each so-manieth place
        self.is_branch, self.depth = False, 0
        counts = [times for times in self.ends.values() if times]
        self.level = max(sum(counts) / max(len(counts), 1), LEAST)
        self.here = Counter()

    def of(self, world):
        """What a life is to ask."""
        return lambda life, point, count, frames: self._asked(world, life, point, count, frames)

    def wants(self, point, count, frames):
        """How many stories should end a life here: at an await that saw few ends so far, seldom at any other."""
        names = proven(frames)
        if self.aim in names:
            return AIMED // 2
        if not names and room_of(point) not in ROOMS:
            return 0
        if any(self.ends[name] < self.level and self.here[name] < NEAR for name in (*names, point)):
            is_rare = self.level > ENOUGH / 2 and any(self.ends[name] < min(ENOUGH, self.level / 2) for name in names)
            return RARE if is_rare else 1
        return int(self.lot.random() < BY_CHANCE)

    def _asked(self, world, life, point, count, frames):
        if (
            not self.left
            or world.loop.now < self.since
            or not world.is_hostile
            or world.broken
            or len(world.alive()) != 1
        ):
            return False
        is_aim = self.aim in proven(frames)
        for again in range(min(self.wants(point, count, frames), self.left - (0 if is_aim else self.kept))):
            self.left -= 1
            self.kept -= is_aim and self.kept > 0
            signal.alarm(0)
            child = os.fork()
            if not child:
                signal.alarm(SECONDS_MAX)
                asyncio._set_running_loop(world.loop)  # it is known by the process
                self._branch(world, life, point, count, again)
                return True
            os.waitpid(child, 0)
            signal.alarm(SECONDS_MAX)
            for name in (*proven(frames), point):
                self.ends[name] += 1
                self.here[name] += 1
        return False

    def _branch(self, world, life, point, count, again):
        """From here on this process tells another story."""
        self.is_branch = True
        self.depth += 1
        life.branches = None
        world.branch_off(tempfile.mkdtemp(prefix="sim-", dir=Path(world.folder).parent))
        plan = world.plan
        plan.kills = plan.kills[: life.turn]
        plan.kills.append({"dies_by": [point, count]})
        plan.kills += self._tail(Random(f"{plan.seed} {point} {count} {again}"))

    def _tail(self, lot):
        """How the lives after it end."""
        if self.depth < 2 and lot.random() < DEEPER:
            self.left, self.kept, self.here = 6, 0, Counter()
            return [{}]
        self.left = 0
        return [tail_kill(lot) for _ in range(lot.choice((0, 0, 1, 1, 1, 2)))]


class ByChance(Branches):
    """Branches off anywhere, whatever was told before: the same stories each time."""

    def wants(self, point, count, frames):
        return int(room_of(point) in ROOMS and self.lot.random() < OFTEN)


class EveryEnd(Branches):
    """Branches off wherever a life may end, each so-manieth place of the canonical stories."""

    def wants(self, point, count, frames):
        if count > TIMES or room_of(point) not in ROOMS:
            return 0
        self.place += 1
        return int(self.place % self.every == 0)

    def _tail(self, lot):
        self.left = 0
        return [tail_kill(lot)] if lot.random() < 0.6 else []


def tail_kill(lot):
    """An end of a life soon after its beginning: within recovery, or in the first things it does."""
    how = lot.random()
    room = lot.choice(("intake", "submit", "resolve", "operate"))
    found = {"dies_in": [room, lot.randrange(1, 8)]}
    if how < 0.85:
        found = {"dies_in": ["recover", lot.randrange(1, 25)]} if how < 0.6 else {"dies_at": lot.randrange(1, 150)}
    return {**found, "power": True} if lot.random() < 0.15 else found
