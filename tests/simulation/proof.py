"""The proof: many stories within a budget of minutes, planted bugs, the same seeds again; what came of it is docs/reliability.md and .json.

    python -m tests.simulation.proof --minutes 60 --page docs
    python -m tests.simulation.proof --quick

It fails when an invariant broke, when a state that must be met was not, when a planted bug was not caught, when a seed was two stories, when a
story that shares its beginning is another one told from it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

from tests.mutants.run import copy_of
from tests.simulation.branches import EveryEnd
from tests.simulation.guide import VENUES, fixed, guided
from tests.simulation.hunt import corpus
from tests.simulation.page import written
from tests.simulation.plan import Plan, drawn
from tests.simulation.points import STILL
from tests.simulation.run import BATCH, told_apart, warm
from tests.simulation.scenarios import canonical
from tests.simulation.shrink import shrunk
from tests.simulation.tally import Tally

ROOT = Path(__file__).parents[2]
PLANTED = (33, 34, *range(38, 47), *range(135, 150))
HASH_SEEDS = ("0", "1", "777")
QUICK = {"seeds": 60, "stride": 25, "branches": 5, "same": 4}


def canonical_ends(tally, stride):
    """Trunks of the canonical stories, which branch off at every so-manieth place where their last life may end."""
    for number, plan in enumerate(plan for venue in VENUES for plan in canonical(venue)):
        yield (
            replace(plan, kills=[*plan.kills, {}]),
            EveryEnd(tally.ends, seed=number, most=1_000, every=stride, first=number % stride),
        )


def drawn_ones(most=None):
    """Seeds, at both venues in turn."""
    return islice((drawn(number, VENUES[number % 2]) for number in count(1)), most)


def same(seeds):
    """Whether seeds are the same stories under other orders of hashes: how many were compared, and those that differ."""
    found = []
    for hash_seed in HASH_SEEDS:
        command = [sys.executable, "-W", "ignore", "-m", "tests.simulation", "--from", "1", "--count", str(seeds)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        found.append({story["seed"]: story["digest"] for story in map(json.loads, done.stdout.splitlines())})
    seen = set().union(*found)
    return {
        "seeds": len(seen),
        "hash_seeds": list(HASH_SEEDS),
        "differ": sorted(one for one in seen if len({each.get(one) for each in found}) > 1),
    }


def planted(number, seconds):
    """Hunt for one planted bug."""
    patch = next((ROOT / "tests" / "mutants").glob(f"{number}-*.patch"))
    with copy_of(ROOT) as tree:
        environment = {
            **os.environ,
            "GIT_CEILING_DIRECTORIES": str(tree.parent),
            "PYTHONPATH": str(tree),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        applied = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", str(patch)], cwd=tree, env=environment, check=False
        )
        if applied.returncode:
            return {"mutant": patch.stem, "number": 0, "seconds": 0.0, "what": "the patch does not apply", "plan": ""}
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "tests.simulation.hunt",
            "--planted",
            str(number),
            "--seconds",
            str(seconds),
        ]
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    found = (
        json.loads(lines[-1])
        if lines
        else {"number": 0, "seconds": 0.0, "what": f"no verdict: {done.stderr[-200:]}", "plan": ""}
    )
    return {"mutant": patch.stem, **found}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true", help="a fixed set of stories, no planted bugs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=["stories", "planted"], help="a part of it, to look at; no proof")
    parser.add_argument("--page", type=Path, help="the folder of reliability.md and reliability.json")
    asked = parser.parse_args()
    begin, tally = time.monotonic(), Tally()
    warm()
    end = begin + asked.minutes * 60
    _tell({"corpus": corpus().values()}, tally, asked.jobs, None)
    if asked.quick:
        _tell({"drawn": drawn_ones(QUICK["seeds"])}, tally, asked.jobs, None)
        parts = {"single ends": canonical_ends(Tally(), QUICK["stride"]), "families": fixed(QUICK["branches"])}
        _tell(parts, tally, asked.jobs, None, batch=1)
        mutants, again = [], same(QUICK["same"]) | retold(tally, asked.jobs)
    else:
        again = same(40 if asked.minutes >= 30 else 10)
        mutants = [] if asked.only == "stories" else _plant(asked, begin)
        if asked.only != "planted":
            again |= _stories(tally, asked.jobs, end)
    minutes = (time.monotonic() - begin) / 60
    found = summed_up(tally, mutants, again, minutes, asked)
    if asked.page:
        written(found, asked.page)
    return told(found, tally)


def _stories(tally, jobs, end):
    """The single ends of the canonical stories within a third of what is left, then what guides to what came least."""
    left = end - time.monotonic()
    stride = max(round(6_500 * 0.15 / max(left * 0.3 * jobs, 1)), 1)
    _tell({"single ends": canonical_ends(tally, stride)}, tally, jobs, time.monotonic() + left * 0.4, batch=1)
    _tell({"drawn": guided(tally)}, tally, jobs, end - min(30.0, 0.05 * left), batch=1)
    return retold(tally, jobs)


def retold(tally, jobs):
    """Whether stories that shared their beginning are the same when they are told from it."""
    wanted = [(Plan.of(text), digest) for text, digest in tally.branched[:: len(tally.branched) // 200 + 1]]
    found = {story["plan"]: story["digest"] for story in told_apart([plan for plan, _ in wanted], jobs=jobs)}
    return {
        "retold": len(found),
        "retold_differ": [plan.text() for plan, digest in wanted if found.get(plan.text()) != digest],
    }


def _tell(parts, tally, jobs, until, batch=BATCH):
    begin = _cpu()
    for part, plans in parts.items():
        for story in told_apart(plans, jobs=jobs, until=until, batch=batch):
            tally.add(part, story)
            if story["broken"]:
                print(f"BROKEN: {story['broken'][:300]}\n  {story['line']}", file=sys.stderr, flush=True)
    tally.cpu += _cpu() - begin


def _cpu():
    """Seconds of processor that this process and those it waited for used."""
    found = os.times()
    return found.user + found.system + found.children_user + found.children_system


def _plant(asked, begin):
    """Hunt for all planted bugs, within a third of the time."""
    seconds = max(asked.minutes * 60 * 0.33 * asked.jobs / len(PLANTED) * 3, 60.0)
    until = begin + asked.minutes * 60 * 0.45

    def one(number):
        return planted(number, min(seconds, until - time.monotonic())) if time.monotonic() < until - 10.0 else None

    numbers = [one for one in PLANTED if list((ROOT / "tests" / "mutants").glob(f"{one}-*.patch"))]
    with ThreadPoolExecutor(asked.jobs) as pool:
        found = list(pool.map(one, numbers))
    return [
        one or {"mutant": str(number), "number": 0, "seconds": 0.0, "what": "not tried: the time was over", "plan": ""}
        for number, one in zip(numbers, found, strict=True)
    ]


def summed_up(tally, mutants, again, minutes, asked):
    """All that the page tells, as data."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "commit": commit, "python": platform.python_version(), "minutes": round(minutes, 1), "jobs": asked.jobs,
        "cpu_minutes": round(tally.cpu / 60, 2), "branched": tally.branches,
        "schedules": dict(tally.stories), "simulated_hours": round(tally.seconds / 3_600, 1), "steps": tally.steps, "lives": tally.lives,
        "orders": tally.orders, "kills": sum(tally.kills.values()), "kills_by_room": dict(tally.rooms().most_common()),
        "kills_by_point": dict(tally.kills.most_common()), "await_points": tally.points(), "still_points": STILL, "wanted_points": len(tally.wanted()),
        "least_ended": least({name: ends for name, (_, ends) in tally.wanted().items()}), "least_met": least(tally.must_meet()),
        "faults": dict(sorted(tally.faults.items())),
        "must_meet": tally.must_meet(), "violations": tally.broken[:20], "violations_count": len(tally.broken), "mutants": mutants, "same_seed": again,
    }  # fmt: skip


def least(times, most=10):
    """The names that came least."""
    return sorted(times.items(), key=lambda one: (one[1], one[0]))[:most]


def told(found, tally):
    """Print what came of it; 1 where the proof fails."""
    never = [name for name, times in found["must_meet"].items() if not times]
    survived = [one["mutant"] for one in found["mutants"] if not one["plan"]]
    total, minutes, again = sum(found["schedules"].values()), found["minutes"], found["same_seed"]
    print(
        f"{total} schedules in {minutes} minutes ({found['schedules']}), {found['kills']} ends of lives, {found['simulated_hours']} simulated hours"
    )
    print(
        f"{total / max(found['cpu_minutes'], 0.01):.0f} schedules per minute of processor, {found['kills'] / max(total, 1):.2f} ends of lives each, {found['branched']} share their beginning, {again.get('retold', 0)} of them told from it, {len(again.get('retold_differ', []))} differ"
    )
    points = found["await_points"]
    for what, rows in (("ended at", found["least_ended"]), ("met", found["least_met"])):
        print(f"least {what}: " + ", ".join(f"{name} {times}" for name, times in rows))
    print(
        f"{sum(1 for visits, _ in points.values() if visits)} of {len(points)} await points come to, {sum(1 for _, ends in points.values() if ends)} ended at"
    )
    print(
        f"{len(found['must_meet']) - len(never)} of {len(found['must_meet'])} states met; same seed: {found['same_seed']['seeds']} seeds, {len(found['same_seed']['differ'])} differ"
    )
    for name in never:
        print(f"NEVER MET: {name}", file=sys.stderr)
    for name in survived:
        print(f"NOT CAUGHT: {name}", file=sys.stderr)
    for one in tally.broken[:2]:
        plan, what = shrunk(Plan.of(one["plan"]), tries=60)
        print(f"BROKEN, made small: {what[:300]}\n  {plan.line}", file=sys.stderr)
    return int(bool(never or survived or tally.broken or again["differ"] or again.get("retold_differ")))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # stories were told here to be warm: what is dead is not cleaned up
