"""Wall time, memory and scaling of a sweep on the bundled sample: python benchmarks/sweep.py [study|scaling] [RUNS].

study: `config/sweep.yaml` with that many runs on two workers, the memory of all its processes once a second, and the verdict.
scaling: the same points on one and two processes, and on one and two Dask workers, each a process started for it.
"""

import json
import os
import resource
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


def spent():
    """Processor seconds of all processes that this one started and that have ended, with those below them."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def scaling(runs):
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            before = spent()
            seconds, peak, said = timed(["--workers", str(workers)], runs, folder)
            tell(f"processes, {workers}", seconds, said, runs, spent() - before, f", peak {peak / 1e6:,.0f} MB")
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            before, address = spent(), "tcp://127.0.0.1:28786"
            started = [dask("dask_scheduler", "--port", "28786")]
            started += [
                dask("dask_worker", address, "--nthreads", "1", "--local-directory", folder) for _ in range(workers)
            ]
            try:
                time.sleep(5)
                seconds, _, said = timed(["--cluster", address], runs, folder)
            finally:
                for one in reversed(started):
                    one.terminate()
                    one.wait()
            tell(f"Dask, {workers}", seconds, said, runs, spent() - before)


def dask(what, *arguments):
    command = [sys.executable, "-m", f"distributed.cli.{what}", *arguments, "--no-dashboard"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})


def tell(name, seconds, said, runs, cpu, more=""):
    print(
        f"{name}: {seconds:.1f} s for {runs} runs, {said['seconds']:.1f} s in trials, {cpu:.1f} s of processor time in all{more}",
        flush=True,
    )


if __name__ == "__main__":
    words = sys.argv[1:]
    what, count = words[0] if words else "study", int(words[1]) if len(words) > 1 else 200
    {"study": study, "scaling": scaling}[what](count)
