"""Let seeds happen: `python -m tests.simulation --seed 7`, or `--from 1 --count 100`; one line of JSON for each.

The process ends without cleaning up, since no clean-up code may run for a life that is dead; so it tells at most a few dozen stories, and
whoever wants more starts it again.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict

from tests.simulation.schedules import tell

parser = argparse.ArgumentParser()
parser.add_argument("--venue", default="gate", choices=["gate", "mexc"])
parser.add_argument("--seed", type=int)
parser.add_argument("--from", dest="first", type=int, default=1)
parser.add_argument("--count", type=int, default=20)
asked = parser.parse_args()
seeds = [asked.seed] if asked.seed is not None else range(asked.first, asked.first + asked.count)
broken = 0
for seed in seeds:
    story = tell(seed, asked.venue)
    broken += bool(story.broken)
    print(json.dumps(asdict(story)), flush=True)
    if story.broken:
        print(f"BROKEN: {story.broken}\n  {story.line}", file=sys.stderr, flush=True)
sys.stdout.flush()
os._exit(1 if broken else 0)
