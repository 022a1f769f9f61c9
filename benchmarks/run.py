"""The speed of a replay on three workloads, as ratios to a numpy bound taken in the same run.

    python benchmarks/run.py [--json FILE] [--runs N]

The bound is one vectorised pass over the same columns that gives the same kind of curve without any strategy, order or
book: what no engine can get under with numpy. Absolute times depend on the machine; compare ratios. Processor time is
measured, data are made with fixed seeds, every wake calls `decide` and the calls are counted.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backtests import Costs, Result, Tape, replay
from strategies import FollowSignal, SmaCross, TopRated
from trader import Units

START = pd.Timestamp("2021-01-01", tz="UTC")


def walk(rng: np.random.Generator, count: int, spread: float, start: float) -> dict[str, np.ndarray]:
    """Random open, high, low, close, volume."""
    moves = rng.standard_normal(count) * spread
    close = start * np.exp(np.cumsum(moves))
    opened = np.concatenate(([start], close[:-1]))
    high = np.maximum(opened, close) * (1 + np.abs(rng.standard_normal(count)) * spread / 2)
    low = np.minimum(opened, close) * (1 - np.abs(rng.standard_normal(count)) * spread / 2)
    return {"open": opened, "high": high, "low": low, "close": close, "volume": rng.gamma(2.0, 50.0, count) + 1}


def frame(columns: dict[str, np.ndarray], asset: str, freq: str) -> pd.DataFrame:
    """One asset's long frame."""
    return pd.DataFrame(
        {"ts": pd.date_range(START, periods=len(columns["open"]), freq=freq), "asset": asset, **columns}
    )


def flips() -> tuple[Tape, Any]:
    """W1: one asset, 1,000,000 minute bars, 1,000 flips of a signal, 10 units."""
    rng = np.random.default_rng(1)
    bars = frame(walk(rng, 1_000_000, 0.0006, 100.0), "A", "1min")
    at = START + pd.to_timedelta(np.sort(rng.choice(np.arange(10, 999_990), 1_000, replace=False)), unit="min")
    value = np.where(np.arange(1_000) % 2 == 0, 1.0, 0.0)
    signals = pd.DataFrame({"asset": "A", "kind": "trading_signal", "as_of": at, "known_at": at, "value": value})
    return Tape.from_frames(bars, signals=signals), FollowSignal(size=Units(10))


def rotation() -> tuple[Tape, Any]:
    """W2: 200 assets, three years of hourly bars, daily ratings, the best ten of them rebalanced daily."""
    rng = np.random.default_rng(2)
    names = [f"A{i:03d}" for i in range(200)]
    bars = pd.concat([frame(walk(rng, 26_280, 0.006, 50.0), name, "1h") for name in names], ignore_index=True)
    days = pd.date_range(START, periods=1_095, freq="1D")
    grades = 100 / (1 + np.exp(-rng.standard_normal((200, len(days))).cumsum(axis=1) / 10))
    ratings = pd.DataFrame(
        {
            "asset": np.repeat(names, len(days)),
            "kind": "trader_grade",
            "as_of": np.tile(days, 200),
            "known_at": np.tile(days + pd.Timedelta(hours=1), 200),
            "value": grades.ravel(),
        }
    )
    return Tape.from_frames(bars, ratings), TopRated(top=10, enter=60.0)


def crossing() -> tuple[Tape, Any]:
    """W4: one asset, 500,000 minute bars, averages of 20 and 50 closes crossing, 1 unit."""
    bars = frame(walk(np.random.default_rng(4), 500_000, 0.0006, 100.0), "A", "1min")
    return Tape.from_frames(bars), SmaCross(20, 50, size=Units(1))


def bound(tape: Tape) -> float:
    """A curve of one position over all closes and one comparison with a shifted copy."""
    close = tape.close[: min(10, len(tape.assets))]
    steps = np.repeat(np.arange(close.shape[1] // 64 + 1), 64)[: close.shape[1]]
    return float((close * (steps % 2) + steps).sum())


def cpu(call: Callable[[], object], runs: int) -> float:
    """The median processor seconds of a call."""
    times = []
    for _ in range(runs):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return statistics.median(times)


def once(tape: Tape, strategy: object) -> Result:
    """A replay from cold columns to its curve."""
    tape.panel.caches.clear()
    result = replay(strategy, tape, cash=1_000_000, costs=Costs(fee=0.001, half_spread=0.0))  # type: ignore[arg-type]
    result.curve.sum()
    return result


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="also write the table here")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    rows = []
    for make in (flips, rotation, crossing):
        tape, strategy = make()
        result = once(tape, strategy)
        seconds = cpu(lambda t=tape, s=strategy: once(t, s), asked.runs)
        least = cpu(lambda t=tape: bound(t), asked.runs)
        wakes = len(result.decided)
        rows.append(
            {
                "workload": make.__name__, "cpu_ms": round(seconds * 1e3, 1), "bound_ms": round(least * 1e3, 2),
                "ratio": round(seconds / least, 1), "wakes": wakes, "fills": int(result.stats["n_fills"]),
                "us_per_wake": round(seconds / wakes * 1e6, 1),
            }
        )  # fmt: skip
    print(pd.DataFrame(rows).to_string(index=False))
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}; {asked.runs} runs, medians"
    )
    if asked.json is not None:
        asked.json.write_text(json.dumps({"python": sys.version, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
