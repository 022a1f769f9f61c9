"""What many stories came to together."""

from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.points import known, room_of, wanted
from tests.simulation.reached import MUST_MEET

RETOLD = 50  # each so-manieth story that branched off is told again from its beginning


@dataclass
class Tally:
    """Sums over stories, and the first of those that failed."""

    stories: Counter = field(default_factory=Counter)  # by part
    branches: int = 0  # of them share their beginning with another one
    cpu: float = 0.0  # seconds of processor
    steps: int = 0
    seconds: float = 0.0
    lives: int = 0
    orders: int = 0
    kills: Counter = field(default_factory=Counter)  # by await point
    ends: Counter = field(default_factory=Counter)  # the same, and by each await that waited then
    branched: list = field(default_factory=list)  # (plan, digest) of some that share their beginning
    faults: Counter = field(default_factory=Counter)
    met: Counter = field(default_factory=Counter)
    visited: Counter = field(default_factory=Counter)
    broken: list = field(default_factory=list)

    def add(self, part, story):
        """Count a story."""
        self.stories[part] += 1
        self.branches += story["is_branch"]
        self.steps += story["steps"]
        self.seconds += story["simulated"]
        self.lives += story["lives"]
        self.orders += story["orders"]
        self.kills.update(story["kills"])
        self.ends.update(story["kills"])
        for names in story["ends"]:
            self.ends.update(names)
        if story["is_branch"] and sum(self.stories.values()) % RETOLD == 0:
            self.branched.append((story["plan"], story["digest"]))
        self.faults.update(story["counts"])
        self.met.update(story["met"])
        self.visited.update(story["visited"])
        if story["broken"]:
            self.broken.append({"what": story["broken"], "line": story["line"], "plan": story["plan"]})

    def rooms(self):
        """Kills by room of the protocol."""
        found = Counter()
        for point, times in self.kills.items():
            found["within a commit" if point == "within a commit" else room_of(point)] += times
        return found

    def points(self):
        """Each await point of the protocol: how often it was come to, and how often a life ended there, in it or in what it waits for."""
        return {name: (self.visited.get(name, 0), self.ends.get(name, 0)) for name in known()}

    def wanted(self):
        """Those of them at which lives are to end."""
        return {name: (self.visited.get(name, 0), self.ends.get(name, 0)) for name in wanted()}

    def must_meet(self):
        """How often each state that must be met was."""
        return {name: self.met.get(name, 0) for name in MUST_MEET}
