"""Frames from files of Parquet, CSV or JSON, or a folder of them, and to Parquet and CSV."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from backtests.checks import TapeError, column_ns, need
from trader.core.history import Instants

READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".parquet": pd.read_parquet,
    ".csv": pd.read_csv,
    ".gz": pd.read_csv,
    ".json": pd.read_json,
}
IN_FOLDERS = (".parquet", ".csv", ".gz")  # a .json beside them says more often where they come from


def read_frame(path: Path) -> pd.DataFrame:
    """The frame of a file, or of all Parquet and CSV files of a folder one after the other; raises TapeError."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in IN_FOLDERS)
        if not files:
            raise TapeError(f"{path}: the folder holds no .parquet or .csv file")
        return pd.concat([read_frame(file) for file in files], ignore_index=True)
    if not path.exists():
        raise TapeError(f"{path}: no such file")
    if path.suffix not in READERS:
        raise TapeError(f"{path}: cannot read {path.suffix or 'a file without ending'}; give .parquet, .csv or .json")
    try:
        return READERS[path.suffix](path)
    except ImportError as error:
        raise TapeError(
            f"{path}: reading Parquet needs pyarrow; install the extra: pip install 'signal-trader[research]'"
        ) from error
    except (OSError, ValueError) as error:
        raise TapeError(f"{path}: cannot be read: {error}") from error


def read_heads(path: Path) -> tuple[str, Instants]:
    """The asset of a file of candles and when its bars open, in ns UTC."""
    try:
        frame = pd.read_parquet(path, columns=["ts", "asset"]) if path.suffix == ".parquet" else read_frame(path)
    except (ImportError, OSError, ValueError):
        frame = read_frame(path)  # says what is wrong
    need(frame, ("ts", "asset"), str(path))
    if not len(frame):
        raise TapeError(f"{path}: holds no bars; remove it")
    return str(frame["asset"].iloc[0]), column_ns(frame, "ts", str(path))


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as Parquet or CSV, whole or not at all; raises TapeError."""
    if path.suffix not in {".parquet", ".csv"}:
        raise TapeError(f"{path}: cannot write {path.suffix or 'a file without ending'}; give .parquet or .csv")
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".parquet":
            frame.to_parquet(part, index=False)
        else:
            frame.to_csv(part, index=False)
        part.replace(path)
    except ImportError as error:
        raise TapeError(
            f"{path}: writing Parquet needs pyarrow; install the extra: pip install 'signal-trader[research]'"
        ) from error
    except OSError as error:
        raise TapeError(f"{path}: cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
