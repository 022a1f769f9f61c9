"""The simulator itself: what must hold does, the same seed is the same story, every end of a life that is asked for comes, failures are made small."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.simulation import disk, loop, points, quick
from tests.simulation.hunt import in_child
from tests.simulation.page import page_of
from tests.simulation.plan import Plan, drawn
from tests.simulation.proof import least
from tests.simulation.run import told_apart
from tests.simulation.scenarios import canonical, ends
from tests.simulation.shrink import shrunk
from tests.simulation.tally import Tally
from trader.opening import BUILDERS
from trader.runtime.daemon import Daemon

ROOT = Path(__file__).parents[2]
STORIES = 10
FAULTS = {
    "lost",
    "silent",
    "late",
    "refused",
    "failed",
    "broken",
    "disk",
    "kept and denied",
    "unacknowledged",
    "dropped",
}


def told(*words, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.simulation", *map(str, words)], cwd=ROOT, capture_output=True, text=True,
        check=False, env={**os.environ, **environment},
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("venue", ["gate", "mexc"])
def test_after_any_kill_and_any_trouble_the_books_agree(venue):
    code, stories, said = told("--venue", venue, "--from", 1, "--count", STORIES)
    assert (code, len(stories)) == (0, STORIES), said[-3_000:]
    counts = sum((Counter(story["counts"]) for story in stories), Counter())
    assert not FAULTS - set(counts), f"never met: {FAULTS - set(counts)}"
    assert sum(story["orders"] for story in stories) > STORIES
    assert sum(bool(story["kills"]) for story in stories) > STORIES // 3


def test_a_seed_is_one_story_whatever_the_order_of_hashes():
    first, second = (
        [{**story, "real": 0} for story in told("--from", 3, "--count", 4, PYTHONHASHSEED=seed)[1]]
        for seed in ("1", "2")
    )
    assert first == second
    assert len(first) == 4


def test_a_seed_is_one_story_alone_and_among_others():
    (alone,) = told_apart([drawn(5)])
    among = list(told_apart([drawn(4), drawn(5)]))[1]
    assert alone["digest"] == among["digest"]


def test_a_plan_is_the_same_after_it_was_text():
    for seed in range(1, 200):
        plan = drawn(seed, "mexc")
        assert Plan.of(plan.text()) == plan


@pytest.mark.slow
def test_a_life_ends_at_the_await_that_is_named():
    plan = canonical("gate")[0]
    places = in_child(lambda: ends(plan))
    named = [point for point, _ in places]
    wanted = ("outbox.send: keep OrderSending / before_the_commit", "outbox.send: venue.send / connected", "outbox.send: venue.send / answered",
              "outbox.settle: keep Filled / after_the_commit", "daemon._one: thing.acknowledge / asyncio.sleep")  # fmt: skip
    wanted = [one.replace("outbox.settle: keep Filled", "outbox.book: keep Filled") for one in wanted]
    assert not set(wanted) - set(named), sorted(set(named))
    plans = [replace(plan, kills=[{"dies_by": [point, 1]}]) for point in wanted]
    assert [story["kills"] for story in told_apart(plans)] == [[point] for point in wanted]


def test_every_await_of_the_protocol_has_a_name_of_its_own():
    names = points.known()
    assert len(names) == len(set(names)) > 100
    assert {"outbox.send: keep OrderSending", "outbox.send: venue.send", "outbox.resolve: keep OrderAbsent"} <= set(
        names
    )
    assert all(points.room_of(name) != "streams" for name in names)


def test_a_torn_commit_is_some_of_its_sectors():
    before, after = bytes(4 * 512), bytes([1]) * (6 * 512)
    seen = {disk._mixed(before, after, Random(seed)) for seed in range(300)}
    assert after in seen
    assert before in {one[: len(before)] for one in seen}
    for one in seen:
        sectors = [one[at : at + 512] for at in range(0, len(one), 512)]
        assert all(sector in {bytes(512), bytes([1]) * 512} for sector in sectors)
        assert len(one) <= len(after)


def test_a_life_that_is_paused_does_afterwards_what_became_due():
    import asyncio

    clock, done = loop.SimulatedLoop(), []
    life = loop.Life("one")

    async def ticks():
        for n in range(4):
            await asyncio.sleep(1.0)
            done.append((n, clock.now))

    async def world():
        task = clock.in_life(life, ticks())
        await asyncio.sleep(1.5)
        clock.pause(life)
        await asyncio.sleep(10.0)
        clock.go_on(life)
        await task

    try:
        clock.run_until_complete(world())
    finally:
        clock.close()
    assert done == [(0, 1.0), (1, 11.5), (2, 12.5), (3, 13.5)]


@pytest.mark.parametrize("venue", ["gate", "mexc"])
def test_an_exchange_that_is_made_the_quick_way_is_the_same(venue, monkeypatch):
    def made():
        return BUILDERS[venue](
            key="k", secret="s", url="http://venue", paces=False, transport=None, wall=float, monotonic=float
        )

    monkeypatch.setattr(quick.Exchange, "__init__", quick.PLAIN)
    plain = made()
    monkeypatch.setattr(quick.Exchange, "__init__", quick.quick)
    made()
    for one, other in zip((plain._reads, plain._writes), (made()._reads, made()._writes), strict=True):
        assert set(vars(one)) == set(vars(other))
        differ = {name for name in vars(one) if vars(one)[name] != vars(other)[name]}
        assert differ <= {"throttler", "origin", "transport"}
        assert one.urls is not other.urls


def test_a_bot_that_goes_round_and_round_is_a_failure(monkeypatch):
    """It never waits, and it catches what is raised in it: nothing but the story's own limit of time ends it."""

    async def spin(_daemon):
        while True:
            try:
                sum(range(1_000))
            except BaseException:
                continue

    monkeypatch.setattr("tests.simulation.run.SECONDS_MAX", 3)
    monkeypatch.setattr(Daemon, "_timers", spin)
    (story,) = told_apart([drawn(1, "gate")])
    assert story["broken"].startswith("no end within 3 s")
    assert story["seed"] == 1


def test_a_plan_that_fails_is_made_small():
    plan = drawn(9)
    assert len(plan.messages) > 2

    def fails(one):
        return "it is there 17" if any(said["id"] == "2" for _, said in one.messages) else ""

    small, said = shrunk(plan, fails=fails)
    assert said == "it is there 17"
    assert [one["id"] for _, one in small.messages] == ["2"]
    assert (small.events, small.kills, small.chances) == ([], [], {})


def test_the_page_tells_what_was_not_met_and_not_caught():
    tally = Tally()
    found = {
        "commit": "c", "python": "3", "minutes": 1.0, "jobs": 1, "schedules": {}, "simulated_hours": 0, "steps": 0, "lives": 0, "orders": 0,
        "kills": 0, "kills_by_room": {}, "await_points": tally.points(), "faults": {}, "must_meet": tally.must_meet(), "violations": [],
        "violations_count": 0, "mutants": [{"mutant": "38-x", "number": 7, "seconds": 1.0, "what": "", "plan": ""}],
        "same_seed": {"seeds": 0, "hash_seeds": [], "differ": []}, "cpu_minutes": 0.0, "branched": 0, "still_points": {}, "wanted_points": 0,
        "least_ended": least({name: ends for name, (_, ends) in tally.wanted().items()}), "least_met": [],
    }  # fmt: skip
    page = page_of(found)
    assert f"0 of {len(tally.must_meet())}" in page
    assert "**not caught**" in page
    assert f"| `{min(tally.wanted())}` | 0 |" in page
    assert len(tally.must_meet()) >= 60
