"""The peer bench's workloads come out exact through the public face; skipped where the bench is not beside the project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtests import Costs, Tape, replay
from strategies import FollowSignal, RatingBand, SmaCross, TopRated
from tests.services.parts import full
from trader import FallBy, Quote, RiseBy, Units

BENCH = Path(__file__).parents[2].parent / "shared" / "bench"
pytestmark = [
    full,
    pytest.mark.slow,
    pytest.mark.skipif(not BENCH.exists(), reason="the peer bench is not beside this checkout"),
]
START = pd.Timestamp("2021-01-01", tz="UTC")
COLUMNS = ("open", "high", "low", "close", "volume")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    subprocess.run([sys.executable, str(BENCH / "gen.py")], check=True, env={**os.environ, "BENCH_DATA": str(folder)})
    return lambda name: {file.stem: np.load(file) for file in (folder / name).glob("*.npy")}


def expected(name):
    return json.loads((BENCH / "expected.json").read_text())[name]


def frame(columns, names, freq):
    at = pd.date_range(START, periods=columns["open"].shape[-1], freq=freq)
    parts = {name: np.atleast_2d(columns[name]).ravel() for name in COLUMNS}
    return pd.DataFrame({"ts": np.tile(at, len(names)), "asset": np.repeat(names, len(at)), **parts})


def agrees(result, wanted):
    assert result.equity.iloc[-1] == pytest.approx(wanted["final_equity"], rel=1e-9)
    assert len(result.fills) == wanted["n_trades"]


def grades(values, names):
    days = pd.date_range(START, periods=len(values), freq="1D")
    return pd.DataFrame(
        {
            "asset": np.tile(names, len(days)),
            "kind": "trader_grade",
            "as_of": np.repeat(days, len(names)),
            "known_at": np.repeat(days + pd.Timedelta(hours=1), len(names)),
            "value": values.ravel(),
        }
    )


def test_w1_a_million_minutes_and_a_thousand_flips(data):
    columns = data("w1")
    state = columns["signal"]
    at = np.flatnonzero(state[1:] != state[:-1]) + 1
    known = START + pd.to_timedelta(at + 1, unit="min")
    value = np.where(state[at] > 0, 1.0, 0.0)
    said = pd.DataFrame({"asset": "A", "kind": "trading_signal", "as_of": known, "known_at": known, "value": value})
    tape = Tape.from_frames(frame(columns, ["A"], "1min"), signals=said)
    agrees(
        replay(FollowSignal(size=Units(10)), tape, cash=100_000, costs=Costs(fee=0.001, half_spread=0)), expected("W1")
    )


def test_w2_two_hundred_assets_rotate(data):
    columns = data("w2")
    names = [f"A{number:03d}" for number in range(200)]
    tape = Tape.from_frames(frame(columns, names, "1h"), grades(columns["rating"], names))
    result = replay(TopRated(top=10, enter=70.0), tape, cash=1_000_000, costs=Costs(fee=0.002, half_spread=0))
    agrees(result, expected("W2"))


def test_w3_rating_thresholds_with_stop_and_goal_all_in(data):
    columns = data("w3")
    tape = Tape.from_frames(frame(columns, ["A"], "1h"), grades(columns["rating"], ["A"]))
    wanted = expected("W3_sample")
    enter, leave = np.repeat(np.linspace(51.0, 95.0, 50), 50), np.tile(np.linspace(5.0, 50.0, 50), 50)
    total, fills = 0.0, 0
    for combo in wanted["combos"]:
        size, exits = Quote(float("inf")), (FallBy(0.1), RiseBy(0.25))
        strategy = RatingBand(float(enter[combo]), float(leave[combo]), size=size, exits=exits)
        result = replay(strategy, tape, cash=100_000_000, costs=Costs(fee=0.002, half_spread=0))
        total += float(result.equity.iloc[-1])
        fills += len(result.fills)
    assert total == pytest.approx(wanted["final_equity"], rel=1e-9)
    assert fills == wanted["n_trades"]


def test_w4_averages_cross(data):
    tape = Tape.from_frames(frame(data("w4"), ["A"], "1min"))
    result = replay(SmaCross(20, 50, size=Units(1)), tape, cash=100_000, costs=Costs(fee=0.001, half_spread=0))
    agrees(result, expected("W4"))
