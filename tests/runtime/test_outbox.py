"""An order becomes at most one order at its venue, and we know which, through kills at every step and every kind of failure.

The journal is the real one on disk. The venue is a plain model of the worst that Gate and MEXC are known for: ids that are no
keys, look-ups that forget finished orders, lists that lag, requests that arrive late, answers that get lost.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import OrderPlaced, OrderSending
from trader.core.orders import ABSENT, ACCEPTED, CLOSED, PLACED
from trader.ports import Accepted, Balance, RefusedByVenue, Scan, Signed, Unclear, VenueDownError, VenueOrder
from trader.runtime.keeper import Keeper
from trader.runtime.outbox import ATTEMPTS, Outbox

START = datetime(2024, 1, 1, tzinfo=UTC)
FINAL = {ACCEPTED, CLOSED}
TROUBLES = ("none", "refused", "lost request", "lost reply", "late", "too late", "5xx before", "5xx after", "no id")


class Killed(BaseException):
    """kill -9: nothing of the process runs on."""


@dataclass
class Steps:
    """Counts what a process does and kills it at one count."""

    kill_at: int
    count: int = 0

    def tick(self):
        self.count += 1
        if self.count == self.kill_at:
            raise Killed


@dataclass
class World:
    """Time, the venue's books, and the trouble that is in store."""

    lot: Random
    troubles: list = field(default_factory=list)
    seconds: float = 0.0
    accepted: list = field(default_factory=list)  # (client id, venue id, when)
    received: list = field(default_factory=list)  # what left us
    under_way: list = field(default_factory=list)  # (arrives, signed)

    def now_ms(self):
        return 1_700_000_000_000 + round(self.seconds * 1000)

    def pass_time(self, seconds):
        self.seconds += seconds
        for one in [one for one in self.under_way if one[0] <= self.seconds]:
            self.under_way.remove(one)
            self.take(one[1])

    def take(self, signed):
        if self.now_ms() <= signed.not_after_ms:
            self.accepted.append((signed.client_id, f"v{len(self.accepted) + 1}", self.seconds))
            return True
        return False


class Clock:
    def __init__(self, world, steps):
        self.world, self.steps = world, steps

    def now(self):
        return START + timedelta(seconds=self.world.seconds)

    def monotonic(self):
        return self.world.seconds

    async def sleep(self, seconds):
        self.steps.tick()
        self.world.pass_time(seconds)


class HostileVenue:
    name, settle_seconds = "gate", 3.0

    def __init__(self, world, steps):
        self.world, self.steps = world, steps

    def client_id(self, core):
        return "t-" + core

    async def asked(self):
        self.steps.tick()
        self.world.pass_time(self.world.lot.uniform(0.0, 0.4))
        if self.world.lot.random() < 0.05:
            raise VenueDownError("no answer")

    async def now_ms(self):
        self.steps.tick()
        self.world.pass_time(0.01)
        return self.world.now_ms()

    async def signing_ms(self):
        return await self.now_ms()

    def sign(self, request, *, signed_ms, not_after_ms):
        return Signed(request.client_id, "POST", "/orders", {}, repr(request), signed_ms, not_after_ms, "digest")

    async def send(self, signed):
        self.steps.tick()
        world = self.world
        world.received.append(signed)
        trouble = world.troubles.pop(0) if world.troubles else "none"
        world.pass_time(0.05)
        done = trouble in {"none", "lost reply", "5xx after", "no id"} and world.take(signed)
        if trouble in {"late", "too late"}:
            world.under_way.append((world.seconds + (3.0 if trouble == "late" else 30.0), signed))
        self.steps.tick()
        if trouble == "none":
            return Accepted(world.accepted[-1][1]) if done else RefusedByVenue("REQUEST_EXPIRED", "")
        return RefusedByVenue("BALANCE_NOT_ENOUGH", "") if trouble == "refused" else Unclear(trouble)

    def listed(self):
        lag = 2.5
        return [one for one in self.world.accepted if one[2] + lag <= self.world.seconds]

    async def find(self, client_id, symbol):
        await self.asked()  # an order that is finished is not found by its client id, as at Gate

    async def scan(self, symbols, *, since_ms, until_ms):
        await self.asked()
        orders = [
            VenueOrder(venue, client, symbols[0], "buy", Decimal(1), Decimal(1), False, "closed", 0)
            for client, venue, _ in self.listed()
        ]
        return Scan(since_ms, until_ms, tuple(orders), ())

    async def balances(self):
        await self.asked()
        return {"A": Balance(Decimal(len(self.world.accepted)), Decimal(0))}


class Journal(SqliteJournal):
    """The real journal; a process may die on either side of its commit."""

    steps = None

    async def append(self, facts):
        self.steps.tick()
        kept = await super().append(facts)
        self.steps.tick()
        return kept


async def process(path, world, steps):
    """One life of the daemon: fold, recover, then work until the order is final."""
    journal = Journal(path)
    journal.steps = steps
    try:
        await journal.take("daemon", seconds=60)
        outbox = Outbox(
            Keeper(journal, Clock(world, steps)), HostileVenue(world, steps), Clock(world, steps), account="main", namespace="test",
        )  # fmt: skip
        outbox.explains = lambda balances: balances["A"].total == 0
        async for entry in journal.read():
            outbox.fold(entry.fact)
        await outbox.recover()
        (track,) = outbox.tracks.values()
        for _ in range(300):
            if track.state in FINAL:
                return track
            if track.state in {PLACED, ABSENT}:
                try:
                    if track.attempt >= ATTEMPTS:
                        await outbox.give_up(track, "absent")
                    else:
                        await outbox.send(track, quantity=Decimal(1), limit=Decimal(10), symbol="A/USDT")
                except VenueDownError:
                    pass
            else:
                await outbox.resolve(track, "A/USDT")
                await Clock(world, steps).sleep(1.0)
        return track
    finally:
        journal._database.close()  # what the death of a process does


def lives(path, world, kills):
    """Start the daemon again after each kill; the last life runs to the end. Returns its track and steps."""
    first = Journal(path)
    first.steps = Steps(0)
    asyncio.run(first.take("daemon", seconds=60))
    asyncio.run(first.append([OrderPlaced(START, "m", 1, "A", "gate", "buy", Decimal(1), None, "target", "signal:7")]))
    first._database.close()
    for kill_at in kills:
        steps = Steps(kill_at)
        try:
            return asyncio.run(process(path, world, steps)), steps.count
        except Killed:
            world.pass_time(world.lot.choice([0.0, 1.0, 20.0]))
    steps = Steps(0)
    return asyncio.run(process(path, world, steps)), steps.count


def check(path, world, track):
    world.pass_time(600.0)  # whatever was under way has arrived or was refused by the fence
    assert track.state in FINAL, track
    assert len(world.accepted) <= 1, "a duplicate order"
    if track.state == ACCEPTED:
        assert [one[1] for one in world.accepted] == [track.venue_order]
    else:
        assert world.accepted == [], "a ghost: the venue has an order that we gave up"
    assert max(Counter(signed.client_id for signed in world.received).values(), default=0) <= 1, "one id was sent twice"
    journal = SqliteJournal(path)
    facts = asyncio.run(read(journal))
    written = {fact.client_id: fact for fact in facts if isinstance(fact, OrderSending)}
    assert {signed.client_id for signed in world.received} <= set(written), "something left before it was written"
    assert journal.verify() is None
    journal._database.close()


async def read(journal):
    return [entry.fact async for entry in journal.read()]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_without_a_kill_it_ends_as_it_must(tmp_path, trouble):
    world = World(Random(trouble), [trouble])
    track, _ = lives(tmp_path / "j.db", world, [])
    check(tmp_path / "j.db", world, track)
    assert track.state == ("closed" if trouble == "refused" else ACCEPTED)
    assert track.attempt == (2 if trouble in {"lost request", "too late", "5xx before"} else 1)


def test_an_order_that_never_arrives_is_given_up_after_three_attempts(tmp_path):
    world = World(Random(1), ["lost request"] * 5)
    track, _ = lives(tmp_path / "j.db", world, [])
    assert (track.state, track.attempt) == ("closed", 3)
    check(tmp_path / "j.db", world, track)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
def test_killed_at_every_step(tmp_path, trouble):
    whole = World(Random(trouble), [trouble])
    _, steps = lives(tmp_path / "whole.db", whole, [])
    for kill_at in range(1, steps + 1):
        path = tmp_path / f"{kill_at}.db"
        world = World(Random(trouble), [trouble])
        track, _ = lives(path, world, [kill_at])
        check(path, world, track)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_killed_again_and_again_in_any_trouble(tmp_path, part):
    for seed in range(part, 240, 4):
        lot = Random(seed)
        world = World(lot, [lot.choice(TROUBLES) for _ in range(lot.randint(0, 4))])
        kills = [lot.randint(1, 30) for _ in range(lot.randint(1, 5))]
        path = tmp_path / f"{seed}.db"
        track, _ = lives(path, world, kills)
        check(path, world, track)
