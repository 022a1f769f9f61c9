"""What lies in the tree beside code: no place or host of anybody's machine, licences we can live with, a light start."""

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]

# Put together from pieces, so that this file does not name what it forbids.
FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.])/" + r"(work|root|Users|mnt)/\w",
            r"(?<![\w.])/" + r"tmp/\w",
            r"(?<![\w.])/" + r"home/(?!trader\b)\w",
            r"(?<![\w.])/" + r"opt/(?!trader\b)\w",
            r"file" + r":///",
            "pypi" + r"\.(org|python)",
            "python" + r"hosted\.",
            "npm" + r"js\.(org|com)",
            r"deb\.debian" + r"\.org",
            r"index-url[ =]+\S*:" + "//",
        ]
    )
)
COPYLEFT = re.compile(
    r"\bA?GPL|GNU (Affero )?General Public|\bSSPL|\bBUSL|Business Source|Commons Clause", re.IGNORECASE
)
# Distributions whose metadata says nothing: read from the licence file that they carry.
READ_BY_HAND = {"atheris": "Apache-2.0", "axe-playwright-python": "MIT", "peewee": "MIT"}
HEAVY = ("ccxt", "pandas", "pyarrow", "plotly", "sqlalchemy", "sqlmodel", "fastapi", "apprise", "pyotp")


def texts() -> dict[str, str]:
    """Read every text file that is tracked or would be: what git ignores is nobody's business."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git tree: what is tracked cannot be told")
    found = {}
    for name in filter(None, listed):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" not in data[:8000]:
            found[name] = data.decode("utf-8", "replace" if name.startswith("tests/fuzz/corpus/") else "strict")
    return found


def places(files: Mapping[str, str]) -> list[str]:
    """Name each line that holds a machine's path or a registry's host."""
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in files.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if FORBIDDEN.search(line)
    ]


def test_no_file_names_a_machine_or_a_registry() -> None:
    assert places(texts()) == []


@pytest.mark.parametrize(
    "line",
    [
        "data = '/wo" + "rk/shared/data'",
        "/ho" + "me/somebody/x",
        "--extra-index" + "-url https" + "://h/simple",
        "https://pypi" + ".org/simple",
        "https://files.python" + "hosted.org/packages/x.whl",
        "path: /tm" + "p/x",
    ],
)
def test_a_planted_place_is_seen(line: str) -> None:
    assert places({"x.txt": f"first\n{line}\n"})


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-run.lock"])
def test_a_lock_pins_each_package_by_hash_and_names_no_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_the_run_lock_is_part_of_the_whole_lock() -> None:
    pins = [
        {line.partition(" ")[0] for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if "==" in line}
        for name in ("requirements-run.lock", "requirements.lock")
    ]
    assert pins[0] < pins[1]


def test_the_sample_is_small_and_is_what_its_provenance_says() -> None:
    folder = ROOT / "backtests" / "sample_data"
    said = (folder / "PROVENANCE.md").read_text(encoding="utf-8")
    files = sorted(folder.glob("*.parquet"))
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) < 4_000_000
    for path in files:
        row = f"| `{path.name}` | {path.stat().st_size:,} | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |"
        assert row in said


def _declared() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *(need for extra in project["optional-dependencies"].values() for need in extra)]


def closure(declared: Iterable[str]) -> dict[str, importlib.metadata.Distribution]:
    """Find the installed distributions that the declared ones need, and theirs."""
    waiting = [(Requirement(need), "") for need in declared]
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        need, extra = waiting.pop()
        if need.marker is not None and not need.marker.evaluate({"extra": extra}):
            continue
        if (need.name.lower(), frozenset(need.extras)) in seen:
            continue
        seen.add((need.name.lower(), frozenset(need.extras)))
        try:
            found[need.name.lower()] = importlib.metadata.distribution(need.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in found[need.name.lower()].requires or []:
            waiting += [(Requirement(line), extra) for extra in ("", *need.extras)]
    return found


def licence(expression: str | None, classifiers: Iterable[str], text: str | None) -> str:
    """Choose what says most exactly under which licence a distribution comes."""
    named = [line.rpartition("::")[2].strip() for line in classifiers if line.startswith("License ::")]
    return expression or " OR ".join(named) or (text or "").strip().partition("\n")[0]


def is_copyleft(statement: str) -> bool:
    """Say whether no alternative of the statement is free of strong copyleft; linking exceptions are free."""
    free = re.sub(r"\bGPL\S* WITH (GCC|Classpath)\S*|\bLGPL\S*", "", statement)
    return all(COPYLEFT.search(choice) for choice in re.split(r"\bOR\b", free))


def test_no_dependency_is_strong_copyleft() -> None:
    found = closure(_declared())
    assert len(found) > 20, "the closure is too small to be the project's"
    statements = {
        name: READ_BY_HAND.get(name)
        or licence(
            dist.metadata.get("License-Expression"),
            dist.metadata.get_all("Classifier") or [],
            dist.metadata.get("License"),
        )
        for name, dist in found.items()
    }
    assert {name: said for name, said in statements.items() if is_copyleft(said)} == {}
    assert {name for name, said in statements.items() if not said} == set(), "says no licence at all"


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("GPL-3.0-only", True),
        ("AGPL-3.0-or-later", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("Apache-2.0 with Commons Clause", True),
        ("MIT AND GPL-2.0-only", True),
        ("GPL-2.0-only OR MIT", False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("MPL-2.0", False),
    ],
)
def test_a_planted_licence_is_judged(statement: str, refused: bool) -> None:
    assert is_copyleft(statement) is refused


@pytest.mark.skipif(not (ROOT / "trader" / "cli.py").exists(), reason="no command line in this tree yet")
def test_help_is_quick_and_imports_nothing_heavy() -> None:
    program = (
        "import sys, time\n"
        "start = time.process_time()\n"
        "sys.argv = ['trader', '--help']\n"
        "from trader.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"heavy = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "print('\\nHEAVY', heavy, 'CPU', time.process_time() - start, file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    spent = []
    for _ in range(3):
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        heavy, cpu = re.search(r"HEAVY (\[.*\]) CPU ([\d.e-]+)", done.stderr).groups()
        assert heavy == "[]", f"trader --help imports {heavy}"
        spent.append(float(cpu))
    assert min(spent) < 1.0, f"trader --help takes {min(spent):.2f} s of CPU"
