"""Break the code on purpose, once per patch, and require that the tests named in the patch notice.

A patch `tests/mutants/NAME.patch` begins with `# run: ARGUMENTS OF PYTEST` (and may go on with `#` lines that say why).
Each is applied to a copy of the tree, never to the tree itself. The named tests must pass before and fail after.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CAUGHT, SURVIVED, STALE, BROKEN = "caught", "SURVIVED", "DOES NOT APPLY", "NO VERDICT"
TESTS_FAILED = 1  # pytest's exit code; 2 to 5 (interrupted, internal, usage, nothing collected) prove nothing
SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one mutant fared."""

    name: str
    outcome: str
    seconds: float
    detail: str = ""


@contextmanager
def copy_of(root: Path) -> Iterator[Path]:
    """Copy what git tracks or would track into a temporary folder; data that lies beside the tree is linked."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder) / "tree"
        for name in filter(None, names):
            if (root / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, tree / name)
        if (root.parent / "shared").is_dir():
            (Path(folder) / "shared").symlink_to(root.parent / "shared")
        yield tree


def arguments(patch: Path) -> list[str]:
    """Read which tests must notice."""
    for line in patch.read_text(encoding="utf-8").splitlines():
        if line.startswith("# run:") and (found := shlex.split(line.removeprefix("# run:"))):
            return found
    message = f"{patch.name}: no line `# run: <pytest arguments>`"
    raise ValueError(message)


def run_tests(tree: Path, wanted: Sequence[str]) -> tuple[int, str]:
    """Run the wanted tests in the copy; the copy comes before any installed package."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *wanted]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end after {SECONDS_MAX} s"
    last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode, last[-1] if last else ""


def try_mutant(root: Path, patch: Path, wanted: Sequence[str]) -> Verdict:
    """Apply one patch to a fresh copy and see whether the wanted tests fail."""
    start = time.monotonic()
    with copy_of(root) as tree:
        environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
        apply = ["git", "apply", "--whitespace=nowarn", str(patch.resolve())]
        applied = subprocess.run(apply, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        if applied.returncode:
            detail = (applied.stderr.strip().splitlines() or [""])[0]
            return Verdict(patch.stem, STALE, time.monotonic() - start, detail)
        code, detail = run_tests(tree, wanted)
    outcome = {0: SURVIVED, TESTS_FAILED: CAUGHT}.get(code, BROKEN)
    return Verdict(patch.stem, outcome, time.monotonic() - start, detail)


def try_whole(root: Path, wanted: Sequence[str]) -> Verdict | None:
    """Require that the wanted tests pass on the tree as it is: otherwise their failing proves nothing."""
    start = time.monotonic()
    with copy_of(root) as tree:
        code, detail = run_tests(tree, wanted)
    return Verdict(f"(whole) {shlex.join(wanted)}", BROKEN, time.monotonic() - start, detail) if code else None


def try_all(root: Path, patches: Sequence[Path], workers: int = 2) -> list[Verdict]:
    """Try each patch, some at a time; first the whole tree once per distinct set of tests."""
    wanted = {patch: tuple(arguments(patch)) for patch in patches}
    with ThreadPoolExecutor(workers) as pool:
        whole = list(pool.map(lambda tests: try_whole(root, tests), dict.fromkeys(wanted.values())))
        mutants = list(pool.map(lambda patch: try_mutant(root, patch, wanted[patch]), patches))
    return [*filter(None, whole), *mutants]


def main() -> int:
    """Try every patch beside this file and print a table; 1 if a mutant was not caught."""
    here = Path(__file__).resolve().parent
    patches = sorted(here.glob("*.patch"))
    if names := sys.argv[1:]:
        patches = [patch for patch in patches if any(name in patch.stem for name in names)]
    if not patches:
        print("no mutants in tests/mutants")
        return 0
    try:
        verdicts = try_all(here.parents[1], patches)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    width = max(len(verdict.name) for verdict in verdicts)
    for verdict in verdicts:
        print(f"{verdict.name:<{width}}  {verdict.outcome:<14}  {verdict.seconds:6.1f} s  {verdict.detail}")
    caught = sum(verdict.outcome == CAUGHT for verdict in verdicts)
    print(f"{caught} of {len(patches)} mutants caught")
    return int(caught < len(verdicts))


if __name__ == "__main__":
    sys.exit(main())
