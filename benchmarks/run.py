"""Our replay and its peers beside each other: one run, one core, the same data, the same fills looked for.

python benchmarks/run.py [--only W1,W4] [--rounds 2] [--share 1.0] [--no-peers] [--json build/bench/bench.json] [--page docs]

Each figure is the best processor time of all repeats, in a process of its own; rounds alternate between all of them, so that a
noisy minute falls on everybody; what takes over ten seconds runs in the first only. Peers are installed into environments of their own under build/peers; what cannot be installed
is named with the figure that was once recorded, and marked so. Loading data, imports and compilation are not counted.
--page writes the tables into performance.md of a folder and all figures into performance.json beside it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from workloads import WORKS, make, plain, saved

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[1]
BUILD = ROOT / "build"
PEERS = {  # what is installed, with which requirement
    "vectorbt": "vectorbt[rust]==1.2.0",
    "raptorbt": "raptorbt==0.13.4 numpy pandas",
    "backtesting": "backtesting==0.6.6",
    "backtrader": "backtrader==1.9.78.123 numpy pandas",
}
# workload: our style, then who runs it in which style with how many repeats
RACES = {
    "W1": ("", [("vectorbt", "rust", 7), ("vectorbt", "numba", 7), ("raptorbt", "", 7), ("backtesting", "", 1), ("backtrader", "", 1)]),
    "W2": ("", [("vectorbt", "numba", 3), ("vectorbt", "rust", 3)]),
    "W3": ("", [("raptorbt", "", 1), ("vectorbt", "numba", 1), ("backtesting", "", 1)]),
    "W3 with curves": ("curves", [("raptorbt", "", 1)]),
    "W4": ("", [("raptorbt", "", 7), ("vectorbt", "rust", 7), ("vectorbt", "numba", 7)]),
    "W4 asked at every bar": ("every-bar", [("raptorbt", "every-bar", 2), ("backtesting", "", 1), ("backtrader", "", 1)]),
}  # fmt: skip
COMPILED = ("W3", "W3 with curves", "W4")  # where numba makes a difference to ours: both are shown
REPEATS = {"W1": 9, "W2": 7, "W3": 1, "W4": 7}
GOALS = {"W1": 3.0, "W2": 13.0, "W3": 3.5, "W3 with curves": 2.5, "W4": 1.3, "W4 asked at every bar": 3.0}
# Peers that are heavy to install, with the seconds recorded once on a quieter day, on data of the same size and shape.
RECORDED = {
    "zipline-reloaded 3.2.1": {"W1": 4.08, "W4 asked at every bar": 3.41},
    "bt 1.4.1": {"W2": 4.9},
    "jesse 3.5.3": {"W1": 9.4, "W4 asked at every bar": 7.8},
    "nautilus_trader 1.221.0": {"W1": 11.1, "W2": 64.0, "W3": 999.0, "W4 asked at every bar": 12.1},
    "freqtrade 2026.9": {"W1": 22.9, "W3": 1536.0, "W4 asked at every bar": 15.7},
    "akquant 0.3.71": {"W1": 32.0, "W4 asked at every bar": 18.9},
}
BEGIN, END = "<!-- made by make bench -->", "<!-- end of what make bench made -->"
OURS = {"ours": "**ours**", "ours plain": "ours, without numba"}
ONE_CORE = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "NUMBA", "RAYON")}


def installed(peer: str) -> Path | None:
    """The Python of a peer's environment, made when missing; None where it cannot be made."""
    folder = BUILD / "peers" / peer
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        print(f"installing {peer} into build/peers (once)", file=sys.stderr)
        made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, check=False)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEERS[peer].split()]
        if made.returncode or subprocess.run(pip, check=False, stderr=subprocess.DEVNULL).returncode:
            return None
        (folder / "installed").touch()
    return python


def timed(python: Path | str, script: str, name: str, share: float, *, repeats: int, style: str) -> dict | None:
    """One process, its line of JSON; None if it failed."""
    path = saved(WORKS[name].scaled(share), BUILD / "bench")
    command = [str(python), str(HERE / script), name, str(share), str(path), str(repeats), *([style] if style else [])]
    environment = {**os.environ, **ONE_CORE, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        print(f"{script} {name} {style}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(lines[-1])


def agreement(line: dict, expected: dict[str, tuple[float, int]]) -> str:
    """Which plain loop the fills and the final equity are equal to."""
    if line.get("sampled"):
        return "a sample, scaled up"
    for rule, (equity, fills) in expected.items():
        if line["fills"] == fills and abs(line["equity"] / equity - 1) < 1e-8:
            return f"exact{f', {rule}' if rule else ''}"
    if line.get("rule"):
        fills = next(iter(expected.values()))[1]
        return f"{line['rule']}, {line['fills']:,} of {fills:,} fills"
    return f"{line['fills']:,} fills, not {next(iter(expected.values()))[1]:,}"


def race(title: str, share: float, rounds: int, *, with_peers: bool) -> list[dict]:
    """All who run a workload, in turns; ours first."""
    name = title.split(maxsplit=1)[0]
    ours, theirs = RACES[title]
    expected = plain(WORKS[name].scaled(share), make(WORKS[name].scaled(share)))
    entries = [(sys.executable, "ours.py", ours, REPEATS[name], "ours")]
    if title in COMPILED:
        entries.append((sys.executable, "ours.py", f"{ours}plain", REPEATS[name], "ours plain"))
    for peer, style, repeats in theirs if with_peers else ():
        if (python := installed(peer)) is not None:
            entries.append((python, f"peers/for_{peer}.py", style, repeats, peer))
    found: dict[int, dict] = {}
    for number in range(rounds):
        for at, (python, script, style, repeats, peer) in enumerate(entries):
            is_slow = at in found and found[at]["best_s"] * repeats > 10
            if number and is_slow:
                continue
            line = timed(python, script, name, share, repeats=repeats, style=style)
            if line is not None and (at not in found or line["best_s"] < found[at]["best_s"]):
                found[at] = {
                    **line,
                    "workload": title,
                    "is_ours": peer.startswith("ours"),
                    "who": peer,
                    "measured": True,
                }
    rows = list(found.values())
    for line in rows:
        line["fills_agree"] = agreement(line, expected)
        line["ratio"] = line["best_s"] / rows[0]["best_s"]
    if share == 1.0:
        rows += [
            {"workload": title, "peer": peer, "best_s": times[title], "ratio": times[title] / rows[0]["best_s"], "measured": False}
            for peer, times in RECORDED.items() if title in times
        ]  # fmt: skip
    return rows


FIRST = """
import numpy{more}
from backtests import Tape, replay
from strategies import SmaCross
close = 100 + numpy.cumsum(numpy.random.default_rng(1).normal(0, 1, 1_000))
bars = {{"ts": {days}, "asset": "A", "open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 1.0}}
print(replay(SmaCross(10, 30), Tape.{made}).final_equity)
"""
WAYS = {
    "columns": {"more": "", "days": 'numpy.datetime64("2022-01-01") + numpy.arange(1_000)', "made": "from_columns(bars)"},
    "frames": {
        "more": ", pandas", "days": 'pandas.date_range("2022-01-01", periods=1_000, freq="1D", tz="UTC")',
        "made": "from_frames(pandas.DataFrame(bars))",
    },
}  # fmt: skip


def first_results() -> dict[str, float]:
    """Wall seconds from starting Python to the first result of a small backtest, from columns and from frames, best of five."""
    times: dict[str, list[float]] = {}
    for _ in range(5):
        for name, way in WAYS.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", FIRST.format(**way)], cwd=ROOT, check=True, capture_output=True)
            times.setdefault(name, []).append(time.perf_counter() - begin)
    return {name: min(one) for name, one in times.items()}


def machine() -> dict[str, str]:
    """What was measured on."""
    model = next(
        (row.split(":")[1].strip() for row in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in row),
        "?",
    )
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table, workload by workload."""
    lines = ["| workload | who | seconds | ratio to ours | peak MB | fills |", "|---|---|---|---|---|---|"]
    for row in rows:
        who = OURS[row["who"]] if row.get("is_ours") else f"{row['peer']} {row.get('version', '')}".strip()
        if row["measured"]:
            tail = f"{row['best_s']:.4g} | {row['ratio']:.2f} | {row['rss_mb']:.0f} | {row['fills_agree']}"
        else:
            tail = f"{row['best_s']:g} (recorded) | {row['ratio']:.0f} | | not measured"
        lines.append(f"| {row['workload']} | {who} | {tail} |")
    return "\n".join(lines)


def verdicts(rows: list[dict]) -> str:
    """Each goal beside what was reached: the quickest measured peer over ours."""
    lines = ["| workload | goal | reached | over |", "|---|---|---|---|"]
    for title, goal in GOALS.items():
        peers = [row for row in rows if row["workload"] == title and row["measured"] and not row.get("is_ours")]
        if peers:
            best = min(peers, key=lambda row: row["best_s"])
            lines.append(f"| {title} | {goal:g} | {best['ratio']:.2f} | {best['peer']} |")
    return "\n".join(lines)


def main() -> None:
    """Race, print, write."""
    parser = argparse.ArgumentParser(description="Our replay and its peers beside each other.")
    parser.add_argument("--only", default=",".join(RACES), help="workloads, by comma")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="part of the bars, for a quick look")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--json", type=Path, default=BUILD / "bench" / "bench.json")
    parser.add_argument("--page", type=Path, help="a folder whose performance.md and performance.json are written")
    asked = parser.parse_args()
    rows = []
    for title in asked.only.split(","):
        rows += race(title, asked.share, asked.rounds, with_peers=not asked.no_peers)
        print(
            f"{title}: " + ", ".join(f"{r['peer']} {r['best_s']:.4g}" for r in rows if r["workload"] == title),
            file=sys.stderr,
        )
    starts, where = first_results(), machine()
    began = f"From starting Python to the first result: {starts['columns']:.2f} s from columns, {starts['frames']:.2f} s from frames of pandas. "
    said = "\n\n".join([table(rows), verdicts(rows), began + told(where)])
    print(said)
    found = json.dumps({"machine": where, "first_result_s": starts, "rows": rows}, indent=1) + "\n"
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(found)
    if asked.page is not None:
        (asked.page / "performance.json").write_text(found)
        write_between(asked.page / "performance.md", said)


def told(where: dict[str, str]) -> str:
    """The machine in a sentence."""
    return ", ".join(f"{name} {value}" for name, value in where.items()) + f", {datetime.now(UTC):%d %B %Y}."


def write_between(page: Path, said: str) -> None:
    """Put text between the marks of a page."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{page}: no lines {BEGIN} and {END}, between which the tables belong")
    page.write_text(f"{before}{BEGIN}\n\n{said}\n\n{END}{after}")


if __name__ == "__main__":
    main()
