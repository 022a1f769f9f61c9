"""Mutation testing: `python -m tests.mutation [MODULE ...]` tries every mutant of the modules that `targets.toml` names.

`--survivors` tries only what survived the last time; `--show` prints what survived. Results lie in build/mutation, one file per module;
`--page docs` writes docs/mutation.json and the table of docs/mutation.md from them.
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.mutation.operators import mutants
from tests.mutation.page import figures, shortfalls, written

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS_LEAST = 6.0  # a mutant may take at least so long, on a machine that others use too
MEMORY = "/dev/shm"  # journals of tests are synchronous: there it costs nothing
Targets = dict[str, tuple[str, list[str]]]  # the module's path -> its part, and pytest's arguments


def targets(file: Path) -> tuple[Targets, float]:
    """Read which modules are tried with which tests, and the share that must be killed."""
    found = tomllib.loads(file.read_text(encoding="utf-8"))
    floor = found.pop("floor")
    return {path: (part, shlex.split(tests)) for part, one in found.items() for path, tests in one.items()}, floor


def equivalents(file: Path) -> dict[tuple[str, str, str], str]:
    """Read which mutants no test can notice: (module, line, change) -> the reason."""
    found = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {(one["module"], one["line"], one["change"]): one["reason"] for one in found.get("mutant", [])}


def change(row: Mapping[str, Any]) -> str:
    """A mutant's change as equivalent.toml names it."""
    return f"{row['operator']}: {' '.join(row['old'].split())} -> {row['new']}"


def try_module(
    root: Path, path: str, tests: list[str], numbers: list[int] | None = None, *, least: float = SECONDS_LEAST
) -> list[dict[str, Any]]:
    """A row for each mutant tried, each with its verdict; raises RuntimeError where the tests fail without a change.

    least: seconds that every mutant may take.
    """
    with tempfile.TemporaryDirectory(prefix="mutation-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        said = Path(folder) / "said"
        chosen = "-" if numbers is None else ",".join(map(str, numbers))
        command = [sys.executable, "-m", "tests.mutation.worker", str(root), path, str(said), chosen]
        environment = {
            **os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "TMPDIR": folder, "MUTATION_SECONDS": str(least),
            "PYTHONPATH": os.pathsep.join([str(root), str(ROOT)]),
        }  # fmt: skip
        done = subprocess.run(
            [*command, *tests], cwd=root, env=environment, check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        rows = [json.loads(line) for line in said.read_text().splitlines()] if said.is_file() else []
    end = rows.pop() if rows and "verdict" not in rows[-1] else {"wrong": done.stderr[-500:]}
    if "wrong" in end:
        raise RuntimeError(f"{path}: {end['wrong']}; tests: {' '.join(tests)}")
    return rows


def run(path: str, part: str, tests: list[str], *, again: bool, build: Path) -> dict[str, Any]:
    """Try one module and keep its result in the build folder."""
    file, began = build / (path.replace("/", ".") + ".json"), time.monotonic()
    source = (ROOT / path).read_text(encoding="utf-8")
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    before = json.loads(file.read_text()) if again and file.is_file() else None
    rows: list[dict[str, Any]]
    if before is not None and before["source"] == digest:
        made = [one.start for one in mutants(source)]
        keys = [(one.start, one.end, one.new) for one in mutants(source)]
        wanted = {
            (row["start"], row["end"], row["new"])
            for row in before["rows"]
            if row["verdict"] in {"survived", "not reached"}
        }
        numbers = [place for place in range(len(made)) if keys[place] in wanted]
        fresh = try_module(ROOT, path, tests, numbers) if numbers else []
        kept = [row for row in before["rows"] if (row["start"], row["end"], row["new"]) not in wanted]
        rows = sorted([*kept, *fresh], key=lambda row: (row["start"], row["end"], row["new"]))
    else:
        rows = try_module(ROOT, path, tests)
    result = {
        "module": path, "part": part, "tests": " ".join(tests), "source": digest, "commit": commit(),
        "seconds": round(time.monotonic() - began), "rows": rows,
    }  # fmt: skip
    build.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1))
    return result


def commit() -> str:
    """The commit of the tree, with `+` where something is changed since."""
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "trader", "tests"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return (head.stdout.strip() or "unknown") + ("+" if dirty.stdout.strip() else "")


def show(results: Iterable[Mapping[str, Any]], known: Mapping[tuple[str, str, str], str]) -> None:
    """Print what survived and has no reason."""
    for result in results:
        for row in result["rows"]:
            if row["verdict"] in {"survived", "not reached"}:
                if (result["module"], row["text"], change(row)) not in known:
                    print(f"{result['module']}:{row['line']} [{row['verdict']}] {change(row)}   | {row['text']}")


def main() -> int:
    """Try the modules; 1 if a part is below its floor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--survivors", action="store_true", help="try only what survived the last time")
    parser.add_argument("--show", action="store_true", help="try nothing; print what survived the last time")
    parser.add_argument("--page", type=Path, help="the folder in which mutation.json and mutation.md are written")
    given = parser.parse_args()
    every, floor = targets(HERE / "targets.toml")
    if unknown := [one for one in given.modules if one not in every]:
        print(f"not in tests/mutation/targets.toml: {', '.join(unknown)}", file=sys.stderr)
        return 2
    wanted = given.modules or list(every)
    build, known = ROOT / "build" / "mutation", equivalents(HERE / "equivalent.toml")
    if not given.show:

        def one(path: str) -> bool:
            part, tests = every[path]
            try:
                result = run(path, part, tests, again=given.survivors, build=build)
            except RuntimeError as wrong:
                print(wrong, file=sys.stderr, flush=True)
                return False
            print(figures(result, known).line(), flush=True)
            return True

        with ThreadPoolExecutor(given.workers) as pool:
            if not all(list(pool.map(one, wanted))):
                return 2
    files = [build / (path.replace("/", ".") + ".json") for path in every]
    results = [json.loads(file.read_text()) for file in files if file.is_file()]
    show([one for one in results if one["module"] in wanted], known)
    if given.page and len(results) == len(every):
        written(given.page, results, known, floor)
    elif given.page:
        print(
            f"{len(results)} of {len(every)} modules were tried here: {given.page} is written when all of them were",
            file=sys.stderr,
        )
    short = shortfalls([figures(one, known) for one in results if one["module"] in wanted], floor)
    for line in short:
        print(line, file=sys.stderr)
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
