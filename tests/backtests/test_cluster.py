"""The same sweep on a Dask cluster: equal rows, the tape sent once per worker, and a death loses nothing."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.services.parts import full

distributed = pytest.importorskip("distributed")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from sweeper import go  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:::distributed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def dask(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])}
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def end(process):
    """End it and its children, at once: a nanny whose worker was killed may not hear of anything else any more."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers, as separate processes; a worker that dies is started anew by its nanny."""
    file = tmp_path / "scheduler.json"
    started = [dask("dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))]
    try:
        started += [
            dask(
                "dask_worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path)
            )
            for _ in range(2)
        ]  # fmt: skip
        with distributed.Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            yield client, started[1:]
    finally:
        for one in reversed(started):
            end(one)


@full
def test_a_cluster_finds_what_one_process_finds(cluster):
    client, _ = cluster
    pd.testing.assert_frame_equal(go(None, 30, executor=client).frame, go(None, 30).frame)
    assert not client.run(lambda dask_worker: [name for name in dask_worker.plugins if name.startswith("trader")])[
        next(iter(client.nthreads()))
    ]


@full
def test_a_worker_that_dies_loses_and_repeats_nothing(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("backtests.cluster.CHUNK_SECONDS", 0.1)  # several chunks, however quick a replay is
    client, _ = cluster
    victim = min(client.run(os.getpid).values())
    struck = []

    class Progress:
        def __call__(self, share):
            if share > 0.2 and not struck:
                os.kill(victim, signal.SIGKILL)
                struck.append(share)

    from sweeper import SPACE

    from backtests import Costs, Search, explore, sample
    from backtests.space import Space
    from strategies import TopRated

    found = explore(
        TopRated, Space(SPACE), sample("1d"), search=Search("random", 60, seed=5), executor=client, folder=tmp_path / "s" / "one",
        progress=Progress(), costs=Costs(fee=0.001),
    )  # fmt: skip
    assert struck
    assert struck[0] < 1
    client.wait_for_workers(2, timeout=60)
    assert victim not in client.run(os.getpid).values()
    pd.testing.assert_frame_equal(found.frame, go(None, 60).frame)
    base = sqlite3.connect(tmp_path / "s" / "one" / "study.sqlite")
    assert base.execute("select count(*), count(distinct number) from trial").fetchone() == (60, 60)
    base.close()
    base = sqlite3.connect(tmp_path / "s" / "trials.sqlite")
    assert base.execute("select count(*) from trial").fetchone() == (60,)
    base.close()


@full
def test_without_a_scheduler_it_says_so():
    from backtests.cluster import ClusterError, client_of

    begun = time.monotonic()
    with pytest.raises(ClusterError, match="no scheduler answers"), client_of("tcp://127.0.0.1:1"):
        pass
    assert time.monotonic() - begun < 30


@full
def test_what_kills_its_workers_is_a_row(cluster):
    from sweeper import Deadly

    from backtests import Range, Search, explore, sample

    client, _ = cluster
    found = explore(Deadly, {"number": Range(5, 9)}, sample("1h"), search=Search(), executor=client)
    errors = dict(zip(found.frame["number"], found.frame["error"], strict=True))
    assert "workers died of it" in errors.pop(7)
    assert set(errors.values()) == {None}
