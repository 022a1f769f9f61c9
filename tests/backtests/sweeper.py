"""A sweep in a process of its own, for the tests that kill it: python sweeper.py FOLDER RUNS [WORKERS]."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from backtests import Costs, Range, Search, explore, sample
from backtests.space import Space
from strategies import TopRated
from trader import Decision, Wants

SPACE = {"top": Range(1, 12), "enter": Range(40, 90, step=1), "kind": ["derived_trader", "derived_ta"], "every": ["1w"]}


@dataclass(frozen=True)
class Deadly:
    """Takes its process down at its first decision where it is told to, and raises where it is told that."""

    number: int = 0
    kind: str = "derived_trader"

    @property
    def wants(self):
        return Wants(ratings=(self.kind,))

    def decide(self, view):
        if self.number == 7:
            os._exit(9)
        if self.number == 3:
            raise RuntimeError("no good")
        return Decision.hold()


def family(pid):
    """All processes below one."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *family(child)]
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def go(folder, runs, *, workers=1, executor=None, tally=None):
    return explore(
        TopRated, Space(SPACE), sample("1d"), search=Search("random", runs, seed=5), workers=workers, executor=executor,
        folder=folder, tally=tally, costs=Costs(fee=0.001),
    )  # fmt: skip


if __name__ == "__main__":
    go(Path(sys.argv[1]), int(sys.argv[2]), workers=int(sys.argv[3]) if len(sys.argv) > 3 else 1)
