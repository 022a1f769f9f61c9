"""Tell stories: `python -m tests.simulation --seed 7`, `--from 1 --count 100`, `--plan JSON` or a file of one; one line of JSON for each.

python -m tests.simulation --venue mexc --from 1 --count 20
python -m tests.simulation --seed 7 --shrink
python -m tests.simulation --scenario entry
python -m tests.simulation --scenario entry --kill "outbox.send: venue.send / answered:1"
python -m tests.simulation --kills entry
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from tests.simulation.plan import Plan, drawn
from tests.simulation.run import told_apart
from tests.simulation.scenarios import canonical, single_kills
from tests.simulation.shrink import shrunk


def asked_for(asked):
    """The plans that were asked for."""
    if asked.plan:
        text = asked.plan if asked.plan.lstrip().startswith("{") else Path(asked.plan).read_text(encoding="utf-8")
        return [Plan.of(text)]
    if asked.scenario or asked.kills:
        found = [one for one in canonical(asked.venue) if one.name == (asked.scenario or asked.kills)]
        if not found:
            sys.exit(f"no scenario of that name; there are {', '.join(one.name for one in canonical(asked.venue))}")
        if asked.kills:
            return single_kills(found[0])
        if asked.kill:
            point, _, count = asked.kill.rpartition(":")
            return [replace(found[0], kills=[*found[0].kills, {"dies_by": [point, int(count)]}])]
        return found
    seeds = [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.count)
    return [drawn(seed, asked.venue) for seed in seeds]


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--venue", default="gate", choices=["gate", "mexc"])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--plan", help="a plan as JSON, or a file with one")
    parser.add_argument("--scenario", help="a canonical story")
    parser.add_argument(
        "--kill", help="with --scenario: POINT:N, the life ends when it comes to this await point for the n-th time"
    )
    parser.add_argument("--kills", help="a canonical story, once for each place at which its life may end")
    parser.add_argument("--shrink", action="store_true", help="make a plan that fails small")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    broken, plans = 0, asked_for(asked)
    if asked.shrink:
        plan, said = shrunk(plans[0])
        print(f"BROKEN: {said}\n  {plan.line}")
        return 1
    for story in told_apart(plans, jobs=asked.jobs):
        broken += bool(story["broken"])
        print(
            json.dumps({key: one for key, one in story.items() if key not in {"visited", "plan", "line"}}), flush=True
        )
        if story["broken"]:
            print(f"BROKEN: {story['broken']}\n  {story['line']}", file=sys.stderr, flush=True)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
