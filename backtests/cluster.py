"""The crew of a sweep on a Dask cluster: the same trials, by workers on other machines.

The tape goes to each worker once, as a plugin that also reaches workers that come later or come back; jobs go in chunks of a
few seconds, because a task costs milliseconds. A worker that dies costs what it had under way: that is done again elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distributed

from backtests import shared
from backtests.crew import Pace
from backtests.study import packages_code
from backtests.tape import Tape
from backtests.trial import Bench, Job, Row, Setting

CHUNK_SECONDS = 2.0
PATIENCE_SECONDS = 60.0  # without any worker


class ClusterError(RuntimeError):
    """The cluster cannot be used; what was finished is kept."""


class Shipped(distributed.WorkerPlugin):
    """The tape at a worker."""

    def __init__(self, name: str, tape: Tape) -> None:
        self.name, self.packed = name, shared.packed(tape)
        self.tape: Tape | None = None

    def setup(self, worker: Any) -> None:  # noqa: ANN401 - distributed has no types
        """Put the tape into a file there and map it; its bytes are let go."""
        file = Path(worker.local_directory) / f"{self.name}.map"
        file.write_bytes(self.packed)
        self.packed = b""
        self.tape = shared.read(file)
        file.unlink()  # what is mapped stays until the worker ends
        self.lock = threading.Lock()
        self.benches: dict[str, Bench] = {}

    def bench(self, sweep: str, setting: Setting) -> Bench:
        """The place of a sweep's trials; a worker's threads share it, one at a time."""
        assert self.tape is not None
        if sweep not in self.benches:
            self.benches = {sweep: Bench(self.tape, setting)}
        return self.benches[sweep]


class Cluster:
    """The workers of a cluster."""

    def __init__(self, client: Any, tape: Tape, setting: Setting) -> None:  # noqa: ANN401
        if client.asynchronous:
            raise ValueError(
                "executor: the client is asynchronous; a sweep needs Client(address) without asynchronous=True"
            )
        self.client, self.setting, self.pace = client, setting, Pace(CHUNK_SECONDS)
        self.sweep = f"{time.time_ns():x}"
        self.name = f"trader-tape-{shared.fingerprint(tape)}-{self.sweep}"
        self.client.register_plugin(Shipped(self.name, tape), name=self.name)

    def rows(self, jobs: Iterable[Job]) -> Iterator[list[Row]]:
        """At most two chunks per worker are under way. What was with several workers when they died is done again, job by job, and each
        alone in the cluster: what else waits at a worker that dies is under suspicion as well.
        """
        coming, suspects = iter(jobs), deque[Job]()
        under_way: dict[Any, list[Job]] = {}
        alone: set[Any] = set()
        while True:
            most = 1 if suspects or alone else 2 * max(1, len(self.client.nthreads()))
            while len(under_way) < most:
                is_alone = bool(suspects)
                chunk = [suspects.popleft()] if is_alone else self.pace.take(coming)
                if not chunk:
                    break
                sent = self.client.submit(
                    _work, self.name, self.sweep, self.setting, chunk, packages_code(), pure=False
                )
                under_way[sent] = chunk
                if is_alone:
                    alone.add(sent)
                    break
            if not under_way:
                return
            for one in self._done(under_way):
                chunk = under_way.pop(one)
                try:
                    rows = one.result()
                except distributed.KilledWorker:
                    if one not in alone:
                        suspects.extend(chunk)
                        continue
                    rows = [
                        Row(
                            chunk[0].number,
                            None,
                            "its workers died of it: out of memory, or a crash in compiled code",
                            b"",
                            0.0,
                        )
                    ]
                except (CancelledError, OSError) as error:
                    raise ClusterError(
                        f"the scheduler is gone ({error}); run it again: finished trials are kept"
                    ) from error
                finally:
                    alone.discard(one)
                self.pace.note(rows)
                yield rows

    def _done(self, under_way: Iterable[Any]) -> list[Any]:
        """What is done; waits for the first, and not for ever where nobody works."""
        alone_since: float | None = None
        while True:
            try:
                found = distributed.wait(  # type: ignore[no-untyped-call]
                    list(under_way), timeout=5, return_when="FIRST_COMPLETED"
                )
            except TimeoutError:
                if self.client.nthreads():
                    alone_since = None
                    continue
                alone_since = alone_since or time.monotonic()
                if time.monotonic() - alone_since > PATIENCE_SECONDS:
                    raise ClusterError(
                        f"no worker for {PATIENCE_SECONDS:.0f} s; start some and run it again: finished trials are kept"
                    ) from None
                continue
            return list(found.done)

    def close(self) -> None:
        """Let the tape go."""
        if self.client.status == "running":
            self.client.unregister_worker_plugin(self.name)


@contextmanager
def client_of(address: str) -> Iterator[Any]:
    """A client of the scheduler at an address."""
    try:
        client = distributed.Client(address, timeout=10)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ClusterError(f"no scheduler answers ({error}); start one: dask scheduler") from error
    with client:
        yield client


def _work(name: str, sweep: str, setting: Setting, jobs: Sequence[Job], code: str) -> list[Row]:
    if packages_code() != code:
        raise ClusterError("a worker runs other code of this program; install the same version on all machines")
    plugin = distributed.get_worker().plugins[name]
    assert isinstance(plugin, Shipped)
    with plugin.lock:
        bench = plugin.bench(sweep, setting)
        return [bench.run(job) for job in jobs]
