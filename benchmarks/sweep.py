"""Wall time, memory and scaling of a sweep on the bundled sample: python benchmarks/sweep.py [study|scaling] [RUNS].

study: `config/sweep.yaml` with that many runs on two workers, the memory of all its processes once a second, and the verdict.
scaling: the same points on one and two processes, and on one and two Dask workers, each a process started for it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRADER = [sys.executable, "-m", "trader.cli"]


def memory(pid):
    """Proportional share of all processes below one and of itself, in bytes; a page that two map counts half in each."""
    total = 0
    for one in [pid, *family(pid)]:
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += 1024 * int(next(line.split()[1] for line in text.splitlines() if line.startswith("Pss:")))
    return total


def family(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = task.read_text().split()
        except OSError:
            continue
        for child in map(int, below):
            found += [child, *family(child)]
    return found


def timed(arguments, runs, folder):
    """Run a sweep as a command; seconds, peak bytes, and what it says."""
    environment = {**os.environ, "TRADER_SWEEP__RUNS": str(runs)}
    file = Path(folder) / "said.json"
    command = [
        *TRADER,
        "sweep",
        str(ROOT / "config/sweep.yaml"),
        "--folder",
        f"{folder}/study",
        "--json",
        str(file),
        *arguments,
    ]
    begun, peak = time.monotonic(), 0
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=ROOT)
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(1)
    seconds = time.monotonic() - begun
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, peak, json.loads(file.read_text())


def study(runs):
    with tempfile.TemporaryDirectory() as folder:
        seconds, peak, said = timed(["--workers", "2"], runs, folder)
        size = sum(one.stat().st_size for one in Path(folder).rglob("*") if one.is_file())
        print(f"{runs:,} runs, 2 workers: {seconds:,.0f} s, peak {peak / 1e6:,.0f} MB, {size / 1e6:,.0f} MB on disk")
        print(f"work of the trials alone: {said['seconds']:,.0f} s; {said['states']}")
        print(said["verdict"]["text"])
        again, _, said = timed(["--workers", "2"], runs, folder)
        print(f"asked again: {again:,.1f} s, {said['fresh']} new runs")


def scaling(runs):
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak, said = timed(["--workers", str(workers)], runs, folder)
            print(
                f"processes, {workers}: {seconds:6.1f} s for {runs} runs, {said['seconds']:6.1f} s of work, peak {peak / 1e6:,.0f} MB"
            )
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            address = "tcp://127.0.0.1:28786"
            base = [sys.executable, "-m"]
            started = [
                subprocess.Popen(
                    [*base, "distributed.cli.dask_scheduler", "--port", "28786", "--no-dashboard"],
                    stderr=subprocess.DEVNULL,
                )
            ]
            started += [
                subprocess.Popen(
                    [*base, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--local-directory", folder],
                    stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
                )
                for _ in range(workers)
            ]  # fmt: skip
            try:
                time.sleep(5)
                seconds, _, said = timed(["--cluster", address], runs, folder)
                print(f"Dask, {workers}: {seconds:6.1f} s for {runs} runs, {said['seconds']:6.1f} s of work")
            finally:
                for one in reversed(started):
                    one.terminate()
                    one.wait()


if __name__ == "__main__":
    words = sys.argv[1:]
    what, count = words[0] if words else "study", int(words[1]) if len(words) > 1 else 200
    {"study": study, "scaling": scaling}[what](count)
