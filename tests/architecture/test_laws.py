"""Hold the tree to the laws of the house, and show for each law that it fails when it is broken on purpose."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]


def _laws():
    spec = importlib.util.spec_from_file_location("architecture_laws", HERE.with_name("laws.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


laws = _laws()
Law = Callable[[Mapping[str, str]], list[str]]


def _read(*folders: str) -> dict[str, str]:
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}


TREE = _read("trader", "strategies", "backtests")
EVERYTHING = TREE | _read("tests", "benchmarks")


@pytest.mark.parametrize(
    "law",
    [laws.upward, laws.circles, laws.impure, laws.outside, laws.environment, laws.modes, laws.broad],
    ids=lambda law: law.__name__,
)
def test_the_tree_keeps_the_law(law: Law) -> None:
    assert TREE, "no source found: a law over nothing holds nothing"
    assert law(TREE) == []


def test_functions_and_files_stay_short_in_tests_too() -> None:
    assert laws.long(EVERYTHING) == []


def test_every_table_entry_has_a_reason() -> None:
    for name, (_, reason) in {**laws.OUTSIDE, **laws.BROAD}.items():
        assert len(reason) > 10, name


PLANTED: list[tuple[str, Law, dict[str, str]]] = [
    ("core imports strategies", laws.upward, {"trader/core/a.py": "import strategies.x", "strategies/x.py": ""}),
    ("upward in a function", laws.upward, {"trader/core/a.py": "def f():\n    from trader import settings"}),
    ("strategies import backtests", laws.upward, {"strategies/a.py": "from backtests import Tape"}),
    ("strategies import settings", laws.upward, {"strategies/a.py": "import trader.settings"}),
    ("core imports its face", laws.upward, {"trader/core/a.py": "from trader import Target", "trader/__init__.py": ""}),
    ("relative upward", laws.upward, {"trader/core/a.py": "from ..runtime import loop"}),
    ("neighbours", laws.upward, {"backtests/a.py": "import trader.runtime.loop"}),
    ("adapters and runtime", laws.upward, {"trader/runtime/a.py": "from trader.adapters import mqtt"}),
    ("no room", laws.upward, {"trader/helpers.py": ""}),
    (
        "by import_module",
        laws.upward,
        {"strategies/a.py": "import importlib\nimportlib.import_module('backtests.tape')"},
    ),
    ("under TYPE_CHECKING", laws.upward, {"strategies/a.py": "if TYPE_CHECKING:\n    from backtests import Tape"}),
    (
        "a circle of two",
        laws.circles,
        {"trader/core/a.py": "from trader.core.b import x", "trader/core/b.py": "import trader.core.a"},
    ),
    (
        "a circle of three, one inside a function",
        laws.circles,
        {
            "strategies/a.py": "from strategies import b",
            "strategies/b.py": "import strategies.c",
            "strategies/c.py": "def f():\n    from . import a",
        },
    ),
    (
        "circle through a package",
        laws.circles,
        {"strategies/__init__.py": "from strategies.a import A", "strategies/a.py": "from strategies import B"},
    ),
    *[
        (f"core imports {name}", laws.impure, {"trader/core/a.py": f"import {name}"})
        for name in ("os", "sys", "io", "time", "random", "asyncio", "logging", "socket", "pathlib", "threading")
    ],
    *[
        (f"core imports from {name}", laws.impure, {"trader/core/a.py": f"from {name} import x"})
        for name in ("subprocess", "sqlite3", "os.path", "pandas", "numpy.random", "trader.settings")
    ],
    ("core opens", laws.impure, {"trader/core/a.py": "open('x')"}),
    ("core prints", laws.impure, {"trader/core/a.py": "def f():\n    print(1)"}),
    ("core asks now", laws.impure, {"trader/core/a.py": "from datetime import datetime, UTC\ndatetime.now(UTC)"}),
    ("core asks utcnow", laws.impure, {"trader/core/a.py": "import datetime\ndatetime.datetime.utcnow()"}),
    ("core asks today", laws.impure, {"trader/core/a.py": "from datetime import date\nf = date.today"}),
    ("core is random", laws.impure, {"trader/core/a.py": "import numpy as np\nnp.random.default_rng()"}),
    ("pandas in a strategy", laws.outside, {"strategies/a.py": "def f():\n    import pandas as pd"}),
    ("ccxt anywhere", laws.outside, {"trader/adapters/mqtt.py": "import ccxt.async_support"}),
    ("typer in settings", laws.outside, {"trader/settings.py": "from typer import Option"}),
    ("environment in backtests", laws.environment, {"backtests/a.py": "import os\nos.environ['X']"}),
    ("getenv", laws.environment, {"trader/cli.py": "from os import getenv"}),
    ("is_live attribute", laws.modes, {"trader/core/a.py": "if self.is_live: pass"}),
    ("run_mode argument", laws.modes, {"trader/core/a.py": "def f(run_mode): pass"}),
    ("is_paper keyword", laws.modes, {"trader/core/a.py": "f(is_paper=True)"}),
    ("is_backtest key", laws.modes, {"trader/core/a.py": "config['is_backtest']"}),
    ("mode property", laws.modes, {"trader/core/a.py": "class A:\n    def is_backtest(self): ..."}),
    ("bare except", laws.broad, {"backtests/a.py": "try:\n    f()\nexcept:\n    pass"}),
    ("except Exception", laws.broad, {"trader/core/book.py": "try:\n    f()\nexcept Exception as e:\n    raise"}),
    ("in a tuple", laws.broad, {"trader/settings.py": "try:\n    f()\nexcept (OSError, BaseException):\n    pass"}),
    (
        "suppress",
        laws.broad,
        {"trader/settings.py": "import contextlib\nwith contextlib.suppress(Exception):\n    f()"},
    ),
    ("twice in the engine", laws.broad, {"trader/core/engine.py": "try:\n    f()\nexcept Exception:\n    pass\n" * 2}),
    ("a long function", laws.long, {"strategies/a.py": "def f():\n" + "    x = 1\n" * 60}),
    (
        "a long match",
        laws.long,
        {"strategies/a.py": "def f():\n    match x:\n        case 1:\n" + "            y = 1\n" * 78},
    ),
    ("a long method", laws.long, {"strategies/a.py": "class A:\n    async def f(self):\n" + "        x = 1\n" * 60}),
    ("a long file", laws.long, {"strategies/a.py": "x = 1\n" * 401}),
    ("a long file, reason missing", laws.long, {"strategies/a.py": "# long:\n" + "x = 1\n" * 400}),
]


@pytest.mark.parametrize(("law", "sources"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_a_law_broken_on_purpose_is_seen(law: Law, sources: dict[str, str]) -> None:
    assert law(sources), "the planted violation passed"
    assert law(TREE | sources), "the planted violation passed in the real tree"


ALLOWED: list[tuple[str, Law, dict[str, str]]] = [
    (
        "strategies import the face",
        laws.upward,
        {"strategies/a.py": "from trader import Target", "trader/__init__.py": ""},
    ),
    ("the face imports the core", laws.upward, {"trader/__init__.py": "from trader.core.costs import Costs"}),
    ("cli imports all", laws.upward, {"trader/cli.py": "import backtests, strategies, trader.settings, trader.app"}),
    ("no circle in a line", laws.circles, {"strategies/a.py": "import strategies.b", "strategies/b.py": ""}),
    ("datetime as a value", laws.impure, {"trader/core/a.py": "from datetime import datetime\nview.now\nview.now()"}),
    ("numpy", laws.impure, {"trader/core/a.py": "from numpy.typing import NDArray"}),
    ("once in the engine", laws.broad, {"trader/core/engine.py": "try:\n    f()\nexcept Exception:\n    pass\n"}),
    ("narrow except", laws.broad, {"backtests/a.py": "try:\n    f()\nexcept (OSError, ValueError):\n    pass"}),
    ("60 lines", laws.long, {"strategies/a.py": "def f():\n" + "    x = 1\n" * 59}),
    (
        "a match of 80",
        laws.long,
        {"strategies/a.py": "def f():\n    match x:\n        case 1:\n" + "            y = 1\n" * 77},
    ),
    ("long with a reason", laws.long, {"strategies/a.py": "# long: one table\n" + "x = 1\n" * 400}),
    (
        "long function with a reason",
        laws.long,
        {"strategies/a.py": "def f():  # long: one table\n" + "    x = 1\n" * 90},
    ),
]


@pytest.mark.parametrize(("law", "sources"), [case[1:] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_a_law_lets_pass_what_is_right(law: Law, sources: dict[str, str]) -> None:
    assert law({path: dedent(source) for path, source in sources.items()}) == []
