"""What the simulation runs is the same from the same seed: nothing of it asks a clock, chance, a thread or an order of hashes by itself."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.architecture.determinism import NOT_SIMULATED, PATH, varying

ROOT = Path(__file__).parents[2]
TREE = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "trader").rglob("*.py"))
    if any(fnmatch(str(path.relative_to(ROOT)), one) for one in PATH)
    and str(path.relative_to(ROOT)) not in NOT_SIMULATED
}
PLANTED = (
    "import time\ntime.time()",
    "import time\ndef f(now=time.monotonic): pass",
    "from datetime import datetime\ndatetime.now()",
    "import random\nrandom.random()",
    "import uuid\nuuid.uuid4()",
    "import os\nos.environ['A']",
    "import asyncio\nasyncio.to_thread(f)",
    "loop.run_in_executor(None, f)",
    "sorted(rows, key=lambda one: id(one))",
    "for one in {1, 2}: f(one)",
    "names: set[str] = g()\nfor one in names: f(one)",
    "class A:\n    def f(self):\n        self.a: set[str] = set()\n        return [g(one) for one in self.a]",
    "names = set(rows)\nlist(names)",
    "[f(one) for one in set(a) | set(b)]",
)
ALLOWED = (
    "for one in sorted({1, 2}): f(one)",
    "sum(one for one in set(rows))",
    "any(f(one) for one in {1, 2})",
    "import time\ntime.monotonic()  # sim-ok: the default of a port",
    "now = clock.now()",
    "for one in rows: f(one)",
)


def test_the_deterministic_path_asks_nothing_by_itself():
    assert len(TREE) > 40
    assert varying(TREE) == []


@pytest.mark.parametrize("source", PLANTED)
def test_what_varies_is_found(source):
    assert len(varying({"a.py": source})) == 1


@pytest.mark.parametrize("source", ALLOWED)
def test_what_does_not_vary_passes(source):
    assert varying({"a.py": source}) == []
