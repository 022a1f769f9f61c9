"""Seeds in processes of their own: what must hold does, what must be met is met, and the same seed is the same story."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORIES = 60 if os.environ.get("MATRIX") == "full" else 20
MUST_REACH = {
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
    reached = sum((Counter(story["reached"]) for story in stories), Counter())
    assert not MUST_REACH - set(reached), f"never met: {MUST_REACH - set(reached)}"
    assert sum(story["orders"] for story in stories) > STORIES
    assert sum(busy > 0 for story in stories for _, busy in story["kills"]) > STORIES // 4, (
        "no life ended while orders were under way"
    )


def test_a_seed_is_one_story_whatever_the_order_of_hashes():
    first, second = (
        [{**story, "real": 0} for story in told("--from", 3, "--count", 4, PYTHONHASHSEED=seed)[1]]
        for seed in ("1", "2")
    )
    assert first == second
    assert len(first) == 4
