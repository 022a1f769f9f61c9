"""How a tape of many bars is laid out, opened, grown and replayed: seconds, and the peak of the memory of each step's process.

python benchmarks/size.py [--share 1.0] [--json build/bench/size.json]

Two folders of Parquet, one file per asset, as `trader data download` leaves them: 500 assets x 4 years of hours, and 50 assets x 1 year
of minutes. Each step is a process of its own. Needs 6 GB under build/.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import numpy as np
from timing import peak_mb
from workloads import HOUR, MINUTE, START_NS, walk

BUILD = Path(__file__).parents[1] / "build" / "bench" / "size"
SIZES = {"500 x 4 years x 1h": (500, 4 * 8_766, HOUR), "50 x 1 year x 1m": (50, 525_600, MINUTE)}
STEPS = ("laid out at first", "opened again", "grown by a day", "replayed")


def write(folder: Path, assets: int, bars: int, step: int, *, only: int | None = None) -> None:
    """One file per asset; random walks."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    at = pd.to_datetime(START_NS + step * np.arange(bars), unit="ns", utc=True)
    for asset in range(assets) if only is None else [only]:
        # a longer file begins with the same bars: noise is drawn per column, so the longest is made and cut
        columns = walk(np.random.default_rng(asset), bars + 86_400_000_000_000 // step, 0.006, 100.0)
        opened, high, low, close, volume = (column[:bars] for column in columns)
        name = f"A{asset:03d}/USDT"
        frame = pd.DataFrame(
            {"ts": at, "asset": name, "open": opened, "high": high, "low": low, "close": close, "volume": volume}
        )
        frame.to_parquet(folder / f"{name.replace('/', '-')}.parquet", index=False)


def step_of(name: str, folder: Path) -> None:
    """One step in this process, told as a line of JSON."""
    begin = time.perf_counter()
    from backtests.tape import Tape

    imported = time.perf_counter()
    tape = Tape.mapped(folder)
    opened = time.perf_counter()
    fills = 0
    if name == "replayed":
        from backtests import replay
        from strategies import SmaCross

        result = replay(SmaCross(48, 240, size=0.8 / len(tape.assets)), tape)
        result.curve.sum()
        fills = result.n_fills
    end = time.perf_counter()
    print(json.dumps({
        "import_s": imported - begin, "open_s": opened - imported, "replay_s": end - opened, "fills": fills, "bars": int(tape.close.size),
        "rss_mb": peak_mb(), "has_pandas": "pandas" in sys.modules,
    }))  # fmt: skip


def main() -> None:
    """Write, open, grow, replay; print a table."""
    parser = argparse.ArgumentParser(description="Tapes of many bars.")
    parser.add_argument("--share", type=float, default=1.0, help="part of the bars")
    parser.add_argument("--json", type=Path, default=BUILD.parent / "size.json")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        step_of(asked.step[0], Path(asked.step[1]))
        return
    rows = []
    print("| data | step | import s | open s | replay s | peak MB | fills |\n|---|---|---|---|---|---|---|")
    for title, (assets, bars, step) in SIZES.items():
        bars = int(bars * asked.share)
        folder = BUILD / title.replace(" ", "")
        shutil.rmtree(folder, ignore_errors=True)
        write(folder, assets, bars, step)
        for name in STEPS:
            if name == "grown by a day":
                write(folder, assets, bars + 86_400_000_000_000 // step, step, only=assets // 2)
            command = [sys.executable, __file__, "--step", name, str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row = {"data": title, "step": name, **json.loads(done.stdout)}
            rows.append(row)
            times = (f"{row[key]:.2f}" for key in ("import_s", "open_s", "replay_s"))
            print(f"| {title} | {name} | {' | '.join(times)} | {row['rss_mb']:.0f} | {row['fills']} |", flush=True)
        shutil.rmtree(folder)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
