"""Break the code on purpose, once per patch, and require that the tests named in the patch notice.

A patch `tests/mutants/NAME.patch` begins with `# run: ARGUMENTS OF PYTEST` (and may go on with `#` lines that say why).
Each is applied to a copy of the tree, never to the tree itself. The named tests must pass before and fail after. With --seen they are not run
before: for who has just seen all tests pass in this tree, as CI has.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CAUGHT, SURVIVED, STALE, BROKEN = "caught", "SURVIVED", "DOES NOT APPLY", "NO VERDICT"
TESTS_FAILED = 1  # pytest's exit code; 2 to 5 (interrupted, internal, usage, nothing collected) prove nothing
SECONDS_MAX = 600
QUICK = (
    "-p",
    "no:cacheprovider",
    "-p",
    "no:hypothesispytest",
)  # the latter imports all of Hypothesis to say at the end that it has nothing to say
Teller = Callable[[str], object]
VARIABLE = re.compile(r"[A-Z]+=")  # a word of the environment before the arguments, such as MATRIX=full


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


@contextmanager
def compiled(root: Path) -> Iterator[Path]:
    """Copy a tree once and compile it: copies of that start in half the time, and what a patch changes is compiled anew, for its hash differs."""
    with copy_of(root) as tree:
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", str(tree)], check=False
        )  # what does not compile, tests will tell
        yield tree


@contextmanager
def copy_again(tree: Path) -> Iterator[Path]:
    """Copy such a tree and what lies beside it."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        shutil.copytree(tree.parent, Path(folder) / "it", symlinks=True)
        yield Path(folder) / "it" / tree.name


def arguments(patch: Path) -> list[str]:
    """Read which tests must notice."""
    for line in patch.read_text(encoding="utf-8").splitlines():
        if line.startswith("# run:") and (found := shlex.split(line.removeprefix("# run:"))):
            return found
    message = f"{patch.name}: no line `# run: <pytest arguments>`"
    raise ValueError(message)


def run_tests(tree: Path, wanted: Sequence[str]) -> tuple[int, str]:
    """Run the wanted tests in the copy; the copy comes before any installed package."""
    given = dict(word.split("=", 1) for word in wanted if VARIABLE.match(word))
    fixed = {
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CI": "1",
    }  # by the last, Hypothesis draws the same each time
    environment = {**os.environ, **given, **fixed}
    words = [word for word in wanted if not VARIABLE.match(word)]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", *QUICK, *words]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end after {SECONDS_MAX} s"
    last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode, last[-1] if last else ""


def try_mutant(base: Path, patch: Path, wanted: Sequence[str]) -> Verdict:
    """Apply one patch to a fresh copy and see whether the wanted tests fail."""
    start = time.monotonic()
    with copy_again(base) as tree:
        environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
        apply = ["git", "apply", "--whitespace=nowarn", str(patch.resolve())]
        applied = subprocess.run(apply, cwd=tree, env=environment, capture_output=True, text=True, check=False)
        if applied.returncode:
            detail = (applied.stderr.strip().splitlines() or [""])[0]
            return Verdict(patch.stem, STALE, time.monotonic() - start, detail)
        code, detail = run_tests(tree, wanted)
    outcome = {0: SURVIVED, TESTS_FAILED: CAUGHT}.get(code, BROKEN)
    return Verdict(patch.stem, outcome, time.monotonic() - start, detail)


def try_whole(base: Path, wanted: Sequence[str]) -> Verdict | None:
    """Require that the wanted tests pass on the tree as it is: otherwise their failing proves nothing."""
    start = time.monotonic()
    with copy_again(base) as tree:
        code, detail = run_tests(tree, wanted)
    return Verdict(f"(whole) {shlex.join(wanted)}", BROKEN, time.monotonic() - start, detail) if code else None


def try_all(
    root: Path, patches: Sequence[Path], workers: int = 2, *, is_seen: bool = False, tell: Teller = str
) -> list[Verdict]:
    """Try each patch, some at a time; first the whole tree once per distinct set of tests, unless it `is_seen` to pass. `tell` hears how far it is."""
    wanted = {patch: tuple(arguments(patch)) for patch in patches}
    sets = [] if is_seen else list(dict.fromkeys(wanted.values()))
    with compiled(root) as base, ThreadPoolExecutor(workers) as pool:
        whole = []
        for number, verdict in enumerate(pool.map(lambda tests: try_whole(base, tests), sets), 1):
            whole.append(verdict)
            tell(f"as it is: {number} of {len(sets)} sets of tests" + (f": {verdict}" if verdict else ""))
        mutants = []
        for number, verdict in enumerate(pool.map(lambda patch: try_mutant(base, patch, wanted[patch]), patches), 1):
            mutants.append(verdict)
            tell(f"broken: {number} of {len(patches)}: {verdict.name} {verdict.outcome}")
    return [*filter(None, whole), *mutants]


def main() -> int:
    """Try every patch beside this file and print a table; 1 if a mutant was not caught."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Break the code on purpose: the named tests must notice.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only patches with one of these in their names")
    parser.add_argument(
        "--seen", action="store_true", help="all tests were just seen to pass in this tree: do not run them first"
    )
    asked = parser.parse_args()
    patches = sorted(here.glob("*.patch"))
    if asked.names:
        patches = [patch for patch in patches if any(name in patch.stem for name in asked.names)]
    if not patches:
        print("no mutants in tests/mutants")
        return 0
    try:
        verdicts = try_all(
            here.parents[1], patches, is_seen=asked.seen, tell=lambda text: print(text, file=sys.stderr, flush=True)
        )
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
