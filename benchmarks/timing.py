"""How a run is timed: alone on one core, processor time, the best and the median of some repeats; one line of JSON per figure."""

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from workloads import WORKS, Work


def asked() -> tuple[Work, dict[str, np.ndarray], int, str]:
    """Workload, data, repeats and style from the command line: NAME SHARE FILE REPEATS [STYLE]."""
    name, share, path, repeats, *style = sys.argv[1:]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with np.load(path) as data:
        return WORKS[name].scaled(float(share)), {key: data[key] for key in data.files}, int(repeats), "".join(style)


def seconds(call: Callable[[], Any], repeats: int) -> tuple[list[float], Any]:
    """Processor seconds of each repeat after a first call that is not counted, and the last answer."""
    found, times = call() if repeats > 1 else None, []
    for _ in range(repeats):
        found = None
        gc.collect()
        begin = time.process_time()
        found = call()
        times.append(time.process_time() - begin)
    return times, found


def peak_mb() -> float:
    """The most memory this process ever held. Not `ru_maxrss`: that begins with what the starting process held."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def tell(peer: str, package: str, times: list[float], equity: float, fills: int, **more: object) -> None:
    """Print the line."""
    line = {
        "peer": peer, "version": version(package), "best_s": min(times), "median_s": statistics.median(times), "runs": len(times),
        "equity": float(equity), "fills": int(fills), "rss_mb": peak_mb(), **more,
    }  # fmt: skip
    print(json.dumps(line), flush=True)
