"""A study is gone on with where it was, whoever was killed, and never mixed with another."""

import importlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtests import Costs, Range, Search, Tape, explore, replay, sample, shared
from backtests.space import Space
from backtests.study import Study, StudyError, code_of
from strategies import SmaCross, TopRated
from tests.services.parts import full
from trader.core.history import Panel
from trader.core.instruments import Instrument

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from sweeper import SPACE, Deadly, family, go, is_alive  # noqa: E402


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def rows_of(folder):
    base = sqlite3.connect(f"file:{folder / 'study.sqlite'}?mode=ro", uri=True)
    try:
        return dict(base.execute("select number, finished_at || stats from trial"))
    finally:
        base.close()


def wait_for_rows(folder, count):
    for _ in range(600):
        if (folder / "study.sqlite").exists():
            try:
                if len(found := rows_of(folder)) >= count:
                    return found
            except sqlite3.OperationalError:
                pass  # the table is not there yet
        time.sleep(0.05)
    pytest.fail("the sweep did not get on")


@pytest.mark.slow
@full
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_sweep_goes_on_and_repeats_nothing(tmp_path, workers):
    folder = tmp_path / "studies" / "one"
    child = subprocess.Popen(
        [sys.executable, str(HERE / "sweeper.py"), str(folder), "60", workers], cwd=HERE.parents[1]
    )
    try:
        wait_for_rows(folder, 8)
        workers_of_it = family(child.pid)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    finally:
        child.kill()
    for _ in range(400):
        if not any(map(is_alive, workers_of_it)):
            break
        time.sleep(0.05)
    assert not any(map(is_alive, workers_of_it)), "workers outlive the process that was killed"
    before = rows_of(folder)
    assert 8 <= len(before) < 60
    found = go(folder, 60)
    after = rows_of(folder)
    assert {number: after[number] for number in before} == before  # not one of them done again
    assert sorted(after) == list(range(60))
    assert found.fresh == 60 - len(before)
    whole = go(None, 60)
    pd.testing.assert_frame_equal(found.frame, whole.frame)
    assert go(folder, 60).fresh == 0


@full
@pytest.mark.slow
def test_a_dead_worker_loses_nothing(tmp_path):
    seen: list[float] = []

    def strike(share):
        seen.append(share)
        if len(seen) == 3:
            workers = [pid for pid in family(os.getpid()) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            os.kill(workers[0], signal.SIGKILL)

    found = explore(
        TopRated, Space(SPACE), sample("1d"), search=Search("random", 60, seed=5), workers=2, progress=strike,
        costs=Costs(fee=0.001),
    )  # fmt: skip
    pd.testing.assert_frame_equal(found.frame, go(None, 60).frame)


@pytest.mark.slow
def test_what_kills_its_worker_is_a_row(hours):
    found = explore(Deadly, Space({"number": Range(1, 12)}), hours, search=Search(), workers=2)
    errors = dict(zip(found.frame["number"], found.frame["error"], strict=True))
    assert "worker died of it" in errors.pop(7)
    assert "no good" in errors.pop(3)
    assert set(errors.values()) == {None}
    assert found.states.count("failed") == 2


@pytest.mark.slow
def test_an_interrupted_sweep_keeps_its_rows(tmp_path):
    folder = tmp_path / "one"
    child = subprocess.Popen(
        [sys.executable, str(HERE / "sweeper.py"), str(folder), "60", "2"], cwd=HERE.parents[1], start_new_session=True,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        before = wait_for_rows(folder, 6)
        os.killpg(child.pid, signal.SIGINT)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert said.count("Traceback") <= 1, said  # of the script itself, none of its workers
    assert before.items() <= rows_of(folder).items()
    assert not (folder / "tape.map").exists()


@full
@pytest.mark.slow
def test_an_interrupt_while_its_workers_start_is_for_the_sweep_alone(tmp_path):
    child = subprocess.Popen(
        [sys.executable, str(HERE / "sweeper.py"), str(tmp_path / "one"), "1000", "2"], cwd=HERE.parents[1],
        start_new_session=True, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for _ in range(1200):
            if any(b"spawn_main" in command_of(pid) for pid in family(child.pid)):
                break
            time.sleep(0.02)
        else:
            pytest.fail("no worker was started")
        time.sleep(0.3)  # in the middle of their imports
        os.killpg(child.pid, signal.SIGINT)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert said.count("Traceback") == 1, said
    assert "KeyboardInterrupt" in said


@pytest.mark.slow
def test_the_best_replayed_alone_has_the_same_figures(tmp_path):
    found = go(tmp_path / "study", 40, workers=2)
    for place in found.finalists:
        alone = replay(TopRated(**found.space.values(found.points[place])), sample("1d"), costs=Costs(fee=0.001)).stats
        row = found.frame.iloc[place]
        for name, value in alone.items():
            assert row[name] == value or (np.isnan(value) and np.isnan(row[name])), name
    kept = pd.read_parquet(tmp_path / "study" / "results.parquet")
    assert len(kept) == 40
    assert kept["sharpe"].tolist() == found.frame["sharpe"].tolist()


@pytest.fixture(scope="module")
def hours():
    return sample("1h")


def small(tape, folder, **change):
    search = change.pop("search", Search("random", 3, seed=1))
    space = change.pop("space", Space({"top": Range(1, 5), "kind": ["derived_ta"], "every": ["1w"]}))
    return explore(change.pop("make", TopRated), space, tape, search=search, folder=folder, **change)


def test_a_study_says_what_differs(hours, tmp_path):
    small(hours, tmp_path / "s", cash=1000.0)
    other = sample("1d")
    with pytest.raises(StudyError, match="the tape differs"):
        small(other, tmp_path / "s", cash=1000.0)
    with pytest.raises(StudyError, match=r"the assumptions .* differs"):
        small(hours, tmp_path / "s", cash=1001.0)
    with pytest.raises(StudyError, match="the assumptions"):
        small(hours, tmp_path / "s", cash=1000.0, costs=Costs(fee=0.0021))
    with pytest.raises(StudyError, match="the space of parameters differs"):
        small(
            hours,
            tmp_path / "s",
            cash=1000.0,
            space=Space({"top": Range(1, 6), "kind": ["derived_ta"], "every": ["1w"]}),
        )
    with pytest.raises(StudyError, match="the way of searching differs"):
        small(hours, tmp_path / "s", cash=1000.0, search=Search("random", 3, seed=2))
    assert len(rows_of(tmp_path / "s")) == 3


def test_more_runs_of_a_study_are_a_continuation(hours, tmp_path):
    first = small(hours, tmp_path / "s")
    more = small(hours, tmp_path / "s", search=Search("random", 5, seed=1))
    assert more.fresh == 2
    pd.testing.assert_frame_equal(more.frame.iloc[:3], first.frame)


def test_one_bar_more_or_less_is_another_tape(hours):
    assert shared.fingerprint(hours) == shared.fingerprint(sample("1h"))
    frame = pd.DataFrame(
        {
            "ts": pd.date_range("2024-01-01", periods=4, tz="UTC"),
            "asset": "A",
            "open": 1.0,
            "high": 1.0,
            "low": 1.0,
            "close": 1.0,
        }
    )
    whole = shared.fingerprint(Tape.from_frames(frame))
    assert shared.fingerprint(Tape.from_frames(frame[:3])) != whole
    assert shared.fingerprint(Tape.from_frames(frame.assign(close=[1.0, 1.0, 1.0, 1.0 + 1e-15]))) != whole


def test_two_processes_cannot_work_on_one_study(tmp_path):
    with Study(tmp_path, {"tape": "a"}), pytest.raises(StudyError, match="another process"):
        Study(tmp_path, {"tape": "a"})


def test_what_the_strategy_refuses_is_a_row(hours):
    found = small(hours, None, search=Search(), space=Space({"top": [0, 2], "kind": ["derived_ta"], "every": ["1w"]}))
    assert "top" in found.frame["error"][0]
    assert found.frame["error"][1] is None
    assert np.isfinite(found.frame["sharpe"][1])
    assert found.best == 1


def test_a_mapped_tape_is_the_tape_and_cannot_be_written(hours, tmp_path):
    there = shared.read(shared.write(hours, tmp_path / "tape"))
    assert shared.fingerprint(there) == shared.fingerprint(hours)
    assert there.instruments == hours.instruments
    with pytest.raises(ValueError, match="read-only"):
        there.panel.close[0, 0] = 1.0


def big_tape(assets=200, bars=24_000):
    lot = np.random.default_rng(3)
    close = np.exp(np.cumsum(lot.normal(0, 0.01, (assets, bars)), axis=1))
    opens = np.arange(bars, dtype=np.int64) * 3_600_000_000_000
    names = [f"A{number:03}" for number in range(assets)]
    panel = Panel(
        names, opens, 3_600_000_000_000, close.copy(), close * 1.01, close * 0.99, close, np.full(close.shape, 1e6)
    )
    return Tape(panel, instruments={name: Instrument(name) for name in names})


@pytest.mark.slow
def test_workers_share_the_memory_of_the_tape(tmp_path):
    tape = big_tape()
    size = 5 * tape.close.nbytes
    seen: dict[int, dict[str, int]] = {}

    def look(_share):
        for pid in family(os.getpid()):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes() and (found := mapping_of(pid, "tape.map")):
                seen[pid] = found

    space = Space({"fast": [2000], "slow": [5000, 5500], "size": [0.001, 0.002]})
    found = explore(SmaCross, space, tape, search=Search(), workers=2, folder=tmp_path, progress=look)
    assert found.frame["error"].isna().all()
    assert len(seen) == 2
    for one in seen.values():
        assert one["Private_Dirty"] == 0  # nobody wrote: no page was copied
        assert one["Rss"] > size / 10, one  # and it was read
    assert max(one["anonymous"] for one in seen.values()) < size, seen  # interpreter and all: no copy


def mapping_of(pid, name):
    """Bytes of one mapped file in a process, and of all its memory that is not in files."""
    found, here = {}, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        key, _, value = line.partition(":")
        if "-" in key.split(" ")[0] and "kB" not in value:
            here = line.endswith(name)
        elif here and value.strip().endswith("kB"):
            found[key] = found.get(key, 0) + 1024 * int(value.split()[0])
    if found:
        rollup = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        found["anonymous"] = 1024 * int(rollup["Anonymous"].split()[0])
    return found


@full
@pytest.mark.slow
def test_memory_does_not_grow_with_the_runs(tmp_path):
    """A trial leaves circles behind; what 20 of them took is what 160 take."""
    seen: dict[int, list[int]] = {}

    def look(_share):
        for pid in family(os.getpid()):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                seen.setdefault(pid, []).append(
                    int(next(line.split()[1] for line in text.splitlines() if line.startswith("Anon")))
                )

    explore(
        TopRated, Space({"top": Range(1, 200), "kind": ["derived_trader"]}), sample("1d"), search=Search("random", 160, seed=5),
        workers=2, folder=tmp_path, progress=look,
    )  # fmt: skip
    for kilobytes in seen.values():
        early, late = kilobytes[len(kilobytes) // 4], kilobytes[-1]
        assert late < early + 15_000, kilobytes


def typed(number):
    """A strategy's class as a notebook has it: no file stands behind it."""
    names = {"__name__": "a_notebook"}
    exec(
        f"class Typed:\n    def decide(self, view):\n        return sorted(view, key=lambda one: one * {number})\n",
        names,
    )
    return names["Typed"]


def test_a_class_without_a_file_is_another_when_its_code_changes():
    assert code_of(typed(1)) == code_of(typed(1))  # also the code within the code, which has no address
    assert code_of(typed(1)) != code_of(typed(2))


def test_a_partial_is_known_by_the_file_of_its_class(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "my_own_strategy.py"
    file.write_text("class Mine:\n    pass\n")
    made = partial(importlib.import_module("my_own_strategy").Mine, top=1)
    before = code_of(made)
    assert code_of(partial(made.func, top=2)) != before
    file.write_text("class Mine:\n    another = True\n")
    assert code_of(made) != before
