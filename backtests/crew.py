"""The crew of a sweep: who does the trials. This process, or several on this machine; `cluster.py` has those elsewhere.

A crew takes jobs as they come and gives rows as they are done, in no order, with few under way at once. A worker that dies
is replaced and its jobs are done again; a job that kills its worker when it is alone with it ends as a row that says so.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Protocol

from backtests import shared
from backtests.trial import Bench, Job, Row, Setting

CHUNK_SECONDS = 0.5  # how long a chunk of jobs should take: long enough to be worth its way, short enough to lose
CHUNK_MOST = 500
_HELD: dict[str, Bench] = {}


class Crew(Protocol):
    """Who does the trials."""

    def rows(self, jobs: Iterable[Job]) -> Iterator[list[Row]]:
        """Do the jobs; what is done, some at a time, in no order."""

    def close(self) -> None:
        """Let the workers go."""


class Alone:
    """This process."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def rows(self, jobs: Iterable[Job]) -> Iterator[list[Row]]:
        """One after the other."""
        try:
            for job in jobs:
                yield [self.bench.run(job)]
        finally:
            self.bench.leave()

    def close(self) -> None:
        """Nobody to let go."""


class Pace:
    """How many jobs make a chunk, from how long they took so far."""

    def __init__(self, seconds: float = CHUNK_SECONDS) -> None:
        self.seconds, self.spent, self.done = seconds, 0.0, 0

    def note(self, rows: Sequence[Row]) -> None:
        """Learn from rows that are done."""
        self.spent += sum(row.seconds for row in rows)
        self.done += len(rows)

    def take(self, jobs: Iterator[Job]) -> list[Job]:
        """The next chunk; empty at the end."""
        mean = self.spent / self.done if self.done else self.seconds
        size = max(1, min(CHUNK_MOST, int(self.seconds / max(mean, 1e-6))))
        return list(islice(jobs, size))


class Processes:
    """Processes on this machine, each with the tape's file mapped."""

    def __init__(self, file: Path, setting: Setting, workers: int) -> None:
        self.file, self.setting, self.workers = file, setting, workers
        self.pace = Pace()
        self.pool = self._opened()

    def _opened(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=_arrive,
            initargs=(str(self.file), self.setting),
        )  # fmt: skip

    def rows(self, jobs: Iterable[Job]) -> Iterator[list[Row]]:
        """At most two chunks per worker are under way; what was under way when a worker died is done again, alone."""
        coming, suspects = iter(jobs), deque[Job]()
        under_way: dict[Future[list[Row]], list[Job]] = {}
        while True:
            while not suspects and len(under_way) < 2 * self.workers and (chunk := self.pace.take(coming)):
                under_way[self._given(chunk)] = chunk
            if suspects and not under_way:
                yield [self._alone(suspects.popleft())]
                continue
            if not under_way:
                return
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            found: list[Row] = []
            for one in done:
                chunk = under_way.pop(one)
                try:
                    found += one.result()
                except BrokenProcessPool:
                    suspects.extend(chunk)
            if suspects:
                for one, chunk in under_way.items():
                    try:
                        found += one.result()
                    except BrokenProcessPool:
                        suspects.extend(chunk)
                under_way.clear()
                self._reopen()
            self.pace.note(found)
            if found:
                yield found

    def _given(self, jobs: list[Job]) -> Future[list[Row]]:
        """Give a worker its jobs. The first time this starts the workers, which take over that Ctrl-C is blocked.

        It is for the parent, which lets the workers finish their chunks; one that is still starting would die of it.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self.pool.submit(_work, jobs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _alone(self, job: Job) -> Row:
        for _ in range(2):
            try:
                return self._given([job]).result()[0]
            except BrokenProcessPool:
                self._reopen()
        return Row(
            job.number, None, "the worker died of it, twice: out of memory, or a crash in compiled code", b"", 0.0
        )

    def _reopen(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.pool = self._opened()

    def close(self) -> None:
        """Let the workers go."""
        self.pool.shutdown(wait=True, cancel_futures=True)


def check_importable(make: Callable[..., Any]) -> None:
    """Other processes import the strategy by name: one that was typed into a notebook or a shell they cannot have."""
    name, main = getattr(make, "__qualname__", repr(make)), sys.modules.get("__main__")
    try:
        pickle.dumps(make)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{name} cannot be sent to other processes ({error}); put a class in a file, or take workers=1"
        ) from error
    if getattr(make, "__module__", "") == "__main__" and not getattr(main, "__file__", None):
        raise ValueError(
            f"{name} was typed in here, so other processes cannot import it; put it in a file, or take workers=1"
        )


def _arrive(file: str, setting: Setting) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _HELD["bench"] = Bench(shared.read(Path(file)), setting)


def _leave_with_parent() -> None:
    """A pool's worker does not notice that its parent was killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _work(jobs: Sequence[Job]) -> list[Row]:
    bench = _HELD["bench"]
    return [bench.run(job) for job in jobs]
