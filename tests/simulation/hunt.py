"""Hunt for a planted bug: tell stories until one fails, and say which it was. Run in a tree that a patch of tests/mutants changed.

python -m tests.simulation.hunt --seconds 120 --planted 136
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from tests.simulation.branches import EveryEnd
from tests.simulation.guide import VENUES, guided
from tests.simulation.plan import Plan
from tests.simulation.run import told_apart
from tests.simulation.scenarios import canonical
from tests.simulation.shrink import shrunk
from tests.simulation.tally import Tally

CORPUS = Path(__file__).parent / "corpus"
# planted bugs without a story of their own in the corpus
LEADS = {38: ("entry",), 39: ("lost answer",), 41: ("lost answer",), 46: ("entry",)}


def corpus():
    """The plans of past failures, by name."""
    return {
        path.stem: replace(Plan.of(path.read_text(encoding="utf-8")), name=path.stem)
        for path in sorted(CORPUS.glob("*.json"))
    }


def hunted(number=0):
    """Plans for ever: those that lead to the planted bug of this number, the canonical stories beside all that failed once, then what a proof tells."""
    told = [one for venue in VENUES for one in canonical(venue)]
    past = corpus()
    yield from (plan for name, plan in past.items() if name.startswith(f"{number:03d}-"))
    for one in (one for one in told if one.name in LEADS.get(number, ())):
        yield from (one, one)  # twice: the same story must be the same
    for one, failed in zip_longest(told, past.values()):
        yield from filter(None, (one, failed))
    for place, one in enumerate(told):
        yield replace(one, kills=[*one.kills, {}]), EveryEnd(seed=place, most=40, every=9, first=place)
    yield from guided(Tally())


def in_child(work):
    """What a function returns that tells stories: it is called in a process that is left without cleaning up."""
    import os

    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            with os.fdopen(writer, "w") as out:
                json.dump(work(), out)
        except AssertionError:
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--planted", type=int, default=0, help="the number of the patch")
    parser.add_argument("--shrink", type=int, default=0, help="tries to make the plan small")
    asked = parser.parse_args()
    number, begin, digests = 0, time.monotonic(), {}
    for story in told_apart(hunted(asked.planted), until=begin + asked.seconds, stops=True, batch=2):
        number += 1
        if not story["broken"] and digests.setdefault(story["plan"], story["digest"]) != story["digest"]:
            story["broken"] = "the same story was told another time, and it was another one"
        if story["broken"]:
            found = {
                "number": number,
                "seconds": round(time.monotonic() - begin, 1),
                "what": story["broken"][:300],
                "plan": story["plan"],
                "story": story["name"] or f"seed {story['seed']} at {story['venue']}",
            }
            if asked.shrink:
                plan, what = shrunk(Plan.of(story["plan"]), tries=asked.shrink)
                found |= {"plan": replace(plan, name="").text(), "what": what[:300]}
            print(json.dumps(found))
            return 1
    print(json.dumps({"number": number, "seconds": round(time.monotonic() - begin, 1), "what": "", "plan": ""}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
