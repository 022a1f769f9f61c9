"""A mapped folder gives the tape that its frames give, grows by what was added, and is laid out anew where files changed."""

import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtests import Tape, TapeError, mapped, replay
from backtests.catalog import Catalog
from strategies import SmaCross
from trader import FallBy

START = pd.Timestamp("2024-01-01", tz="UTC")


def frame(asset, hours, seed=0):
    rng = np.random.default_rng(seed + sum(map(ord, asset)))
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, max(hours) + 1)))[list(hours)]
    return pd.DataFrame(
        {
            "ts": START + pd.to_timedelta(list(hours), unit="h"), "asset": asset, "open": close, "high": close * 1.01,
            "low": close * 0.99, "close": close * 1.002, "volume": rng.integers(0, 5, len(close)).astype(float),
        }
    )  # fmt: skip


def write(folder, frames):
    folder.mkdir(exist_ok=True)
    for one in frames:
        one.to_parquet(folder / f"{one['asset'].iloc[0].replace('/', '-')}.parquet", index=False)


def assert_same(tape, frames):
    wanted = Tape.from_frames(pd.concat(frames, ignore_index=True))
    assert tape.assets == wanted.assets
    assert tape.report == wanted.report
    for name in ("opens_ns", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(tape, name), getattr(wanted, name), err_msg=name)
    assert tape.panel.spans() == wanted.panel.spans()
    assert tape.panel.is_regular == wanted.panel.is_regular
    one, other = (replay(SmaCross(2, 5, size=0.3, exits=(FallBy(0.02),)), each) for each in (tape, wanted))
    assert one.facts() == other.facts()
    np.testing.assert_array_equal(one.curve, other.curve)


@st.composite
def hours(draw):
    """Bars of an asset: a stretch of hours with a few missing."""
    first, count = draw(st.integers(0, 20)), draw(st.integers(12, 40))
    missing = draw(st.sets(st.integers(first + 1, first + count - 2), max_size=3))
    return [hour for hour in range(first, first + count) if hour not in missing]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(hours(), min_size=1, max_size=3), st.integers(0, 30), st.data())
def test_it_is_the_tape_of_the_frames_before_and_after_they_grew(tmp_path_factory, whole, more, data):
    folder = tmp_path_factory.mktemp("candles")
    names = [f"{letter}/USDT" for letter in "ABC"]
    frames = [frame(name, one) for name, one in zip(names, whole, strict=False)]
    write(folder, frames)
    assert_same(Tape.mapped(folder), frames)
    grown = [[*one, *(one[-1] + 1 + i for i in range(data.draw(st.integers(0, more))))] for one in whole]
    frames = [frame(name, one) for name, one in zip(names, grown, strict=False)]
    write(folder, frames)
    assert_same(Tape.mapped(folder), frames)


def test_only_what_grew_is_read_again(tmp_path, monkeypatch):
    frames = [frame("A", range(50)), frame("B", range(50))]
    write(tmp_path, frames)
    Tape.mapped(tmp_path)
    laid = []
    plain = mapped._laid
    monkeypatch.setattr(mapped, "_laid", lambda file, *rest: laid.append(file.name) or plain(file, *rest))
    Tape.mapped(tmp_path)
    assert laid == []
    frames[1] = frame("B", range(55))
    write(tmp_path, frames[1:])
    assert_same(Tape.mapped(tmp_path), frames)
    assert laid == ["B.parquet"]


def test_a_bar_that_changed_is_taken_as_it_is_now(tmp_path):
    frames = [frame("A", range(50)), frame("B", range(50))]
    write(tmp_path, frames)
    Tape.mapped(tmp_path)
    frames[0].loc[7, "close"] *= 1.001
    write(tmp_path, frames)
    assert_same(Tape.mapped(tmp_path), frames)


def test_files_come_and_go(tmp_path):
    frames = [frame("B", range(50))]
    write(tmp_path, frames)
    Tape.mapped(tmp_path)
    frames.insert(0, frame("A", range(10, 90)))
    write(tmp_path, frames)
    assert_same(Tape.mapped(tmp_path), frames)
    (tmp_path / "B.parquet").unlink()
    assert_same(Tape.mapped(tmp_path), frames[:1])


def test_a_broken_write_is_not_trusted(tmp_path):
    frames = [frame("A", range(50))]
    write(tmp_path, frames)
    Tape.mapped(tmp_path)
    (tmp_path / ".tape" / "about.json").unlink()
    with (tmp_path / ".tape" / "close.f8").open("r+b") as file:
        file.write(b"\xff" * 80)
    assert_same(Tape.mapped(tmp_path), frames)


def test_columns_are_not_loaded(tmp_path):
    write(tmp_path, [frame("A", range(50))])
    tape = Tape.mapped(tmp_path)
    base = tape.close
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        tape.close[0, 0] = 1.0


def test_what_a_tape_refuses_is_refused(tmp_path):
    bad = frame("A", range(50))
    bad.loc[3, "low"] = -1.0
    write(tmp_path, [bad])
    with pytest.raises(TapeError, match="over 0"):
        Tape.mapped(tmp_path)
    write(tmp_path, [frame("A", range(50)), frame("B", range(50)).assign(ts=lambda f: f["ts"] + pd.Timedelta("7min"))])
    with pytest.raises(TapeError, match="grid"):
        Tape.mapped(tmp_path)
    with pytest.raises(TapeError, match="one per asset"):
        Tape.mapped(tmp_path / "nowhere")


def test_a_catalog_is_mapped_and_grows(tmp_path):
    catalog = Catalog(tmp_path)
    at = int(START.timestamp()) * 1_000
    rows = [(at + hour * 3_600_000, 100.0, 101.0, 99.0, 100.0, 1.0) for hour in range(30)]
    catalog.add("gate", "1h", "BTC/USDT", rows[:20])
    folder = catalog.path("gate", "1h", "BTC/USDT").parent
    assert Tape.mapped(folder).close.shape == (1, 20)
    catalog.add("gate", "1h", "BTC/USDT", rows[20:])
    os.utime(catalog.path("gate", "1h", "BTC/USDT"))
    assert Tape.mapped(folder).close.shape == (1, 30)
