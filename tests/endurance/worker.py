"""The `trader` command in a process that says on SIGUSR1, in the file WORKER_TOLD, what it holds: tasks, objects, traced memory."""

import asyncio
import gc
import json
import os
import signal
import sys
import tracemalloc
from pathlib import Path

from trader.cli import main

DEPTH = 3
kept = []


def tell(*_):
    gc.collect()
    said = {"objects": len(gc.get_objects()), "tasks": tasks()}
    if tracemalloc.is_tracing():
        only = [tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, __file__)]
        now = tracemalloc.take_snapshot().filter_traces(only)
        said["blocks"] = sum(one.count for one in now.statistics("filename"))
        if kept:
            grown = now.compare_to(kept[0], "traceback")[:8]
            said["grown"] = [[one.size_diff, one.count_diff, str(one.traceback)] for one in grown]
        else:
            kept.append(now)
    elif os.environ.get("WORKER_TRACES"):  # from the first time on: imports would take much longer
        tracemalloc.start(DEPTH)
    beside = Path(os.environ["WORKER_TOLD"] + ".new")
    beside.write_text(json.dumps(said))
    beside.replace(os.environ["WORKER_TOLD"])


def tasks():
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # no loop runs yet
        return 0


signal.signal(signal.SIGUSR1, tell)
main(sys.argv[1:])
