"""Tell many plans, in processes that are left without cleaning up: no clean-up code may run for a life that is dead."""

import gc
import json
import os
import selectors
import signal
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from tests.simulation.branches import SECONDS_MAX
from tests.simulation.plan import Plan, drawn
from tests.simulation.schedules import tell

BATCH = 20  # stories of one process: what is dead is never freed


_TOLD = []  # where this process writes, and the plan that it tells


def warm():
    """Tell some stories here, so that processes that begin here know what all stories look up anew: sources, mappings, ccxt's tables. The caller leaves
    with `os._exit`."""
    for seed in (1, 2):
        for venue in ("gate", "mexc"):
            tell(drawn(seed, venue))
    gc.freeze()


def told_apart(plans, *, jobs=1, until=None, stops=False, batch=BATCH):
    """Tell plans and yield what each came to, as it comes; until: the monotonic second after which none is begun; stops: with the first that fails.

    A generator of plans is asked for the next only when somebody is free. In place of a plan may stand (plan, branches): each story that branches off is
    yielded as well.
    """
    plans, running = iter(plans), {}
    selector = selectors.DefaultSelector()
    is_over = False
    try:
        while True:
            while len(running) < jobs and not is_over:
                taken = [plan for _, plan in zip(range(batch), plans, strict=False)]
                is_over = not taken or (until is not None and time.monotonic() > until)
                if taken and not is_over:
                    reader, child = _begun(taken)
                    running[reader] = (child, bytearray())
                    selector.register(reader, selectors.EVENT_READ)
            if not running:
                return
            for key, _ in selector.select():
                child, rest = running[key.fd]
                data = os.read(key.fd, 1 << 16)
                rest += data
                *lines, left = bytes(rest).split(b"\n")
                running[key.fd] = (child, bytearray(left))
                for line in lines:
                    story = json.loads(line)
                    yield story
                    is_over = is_over or (stops and bool(story["broken"]))
                if not data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    os.waitpid(child, 0)
                    del running[key.fd]
                if is_over and stops:
                    return
    finally:
        for reader, (child, _) in running.items():
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reader)
        selector.close()


def _begun(batch):
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return reader, child
    os.close(reader)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # asyncio tells of tasks that nobody finished: they belong to the dead
    signal.signal(signal.SIGALRM, _too_long)
    with os.fdopen(writer, "w") as out:
        for plan in batch:
            plan, branches = plan if isinstance(plan, tuple) else (plan, None)
            _TOLD[:] = out, plan if isinstance(plan, Plan) else drawn(plan)
            out.write(json.dumps(one(plan, branches)) + "\n")
            out.flush()
            if branches is not None and branches.is_branch:
                break
    os._exit(0)


def _too_long(*_):
    """A story did not end: say so and leave at once, for whoever goes round and round may catch what is raised there."""
    out, plan = _TOLD
    out.write(json.dumps(_failed(plan, f"no end within {SECONDS_MAX} s, or one that branched off of it")) + "\n")
    out.flush()
    os._exit(1)


def one(plan, branches=None):
    """What a plan came to; what breaks the simulator itself is a failure as well."""
    plan = plan if isinstance(plan, Plan) else drawn(plan)
    signal.alarm(SECONDS_MAX)
    try:
        told = asdict(tell(plan, branches=branches))
        return told | {"plan": plan.text(), "is_branch": branches is not None and branches.is_branch}
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return _failed(plan, f"{type(error).__name__} {error} ({Path(place.filename).name}:{place.lineno})")
    finally:
        signal.alarm(0)


def _failed(plan, said):
    return {"seed": plan.seed, "venue": plan.venue, "name": plan.name, "kills": [], "steps": 0, "simulated": 0.0, "real": 0.0, "orders": 0,
            "lives": 0, "counts": {}, "met": {}, "visited": {}, "digest": "", "broken": said, "line": plan.line, "plan": plan.text(), "ends": [], "is_branch": False}  # fmt: skip
