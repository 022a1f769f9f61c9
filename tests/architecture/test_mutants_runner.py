"""The runner of mutants must itself be able to fail: a survivor, a stale patch and a tree that fails anyway are seen."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).resolve().parents[1] / "mutants" / "run.py"
PATCH = "# run: {run}\ndiff --git a/sums.py b/sums.py\n--- a/sums.py\n+++ b/sums.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return {old}\n+    return a - b\n"


@pytest.fixture(scope="module")
def runner():
    spec = importlib.util.spec_from_file_location("mutants_run", RUNNER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    (root / "test_sums.py").write_text(
        "from sums import add\n"
        "def test_tight(): assert add(2, 2) == 4\n"
        "def test_loose(): assert add(0, 0) == 0\n"
        "def test_wrong(): assert add(2, 2) == 5\n"
    )
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


@pytest.mark.parametrize(
    ("run", "old", "outcomes"),
    [
        ("test_sums.py::test_tight", "a + b", ["caught"]),
        ("test_sums.py::test_loose", "a + b", ["SURVIVED"]),
        ("test_sums.py::test_tight", "a * b", ["DOES NOT APPLY"]),
        ("test_sums.py::test_wrong", "a + b", ["NO VERDICT", "caught"]),
        ("test_sums.py::test_absent", "a + b", ["NO VERDICT", "NO VERDICT"]),
    ],
)
def test_each_fate_is_told_apart(runner, tree: Path, run: str, old: str, outcomes: list[str]) -> None:
    patch = tree.parent / "m.patch"
    patch.write_text(PATCH.format(run=run, old=old))
    before = (tree / "sums.py").read_text()
    assert [verdict.outcome for verdict in runner.try_all(tree, [patch])] == outcomes
    assert (tree / "sums.py").read_text() == before


def test_what_was_seen_to_pass_is_not_run_first(runner, tree: Path) -> None:
    patch, told = tree.parent / "m.patch", []
    patch.write_text(PATCH.format(run="test_sums.py::test_tight", old="a + b"))
    assert [verdict.outcome for verdict in runner.try_all(tree, [patch], is_seen=True, tell=told.append)] == ["caught"]
    assert told == ["broken: 1 of 1: m caught"]
    patch.write_text(PATCH.format(run="test_sums.py::test_loose", old="a + b"))
    assert [verdict.outcome for verdict in runner.try_all(tree, [patch], is_seen=True)] == ["SURVIVED"]


def test_a_patch_must_say_what_catches_it(runner, tree: Path) -> None:
    patch = tree.parent / "m.patch"
    patch.write_text(PATCH.format(run="", old="a + b"))
    with pytest.raises(ValueError, match="no line"):
        runner.try_all(tree, [patch])
