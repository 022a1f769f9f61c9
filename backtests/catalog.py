"""The catalog: candles of venues on disk as Parquet, one file per market and timeframe, grown at its end, with what is missing named.

A file is what a tape reads: ts (the bar's open, UTC), asset, open, high, low, close, volume. It is replaced whole or not at all.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pandas as pd

COLUMNS = ["ts", "asset", "open", "high", "low", "close", "volume"]
Row = tuple[int, float, float, float, float, float]  # opened at ms, open, high, low, close, volume


@dataclass(frozen=True, slots=True)
class Gap:
    """Bars that the venue did not have: from the first missing open to the last, both included."""

    first: datetime
    last: datetime
    count: int


class Catalog:
    """Candles below a folder: `folder/venue/timeframe/BASE-QUOTE.parquet`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, venue: str, timeframe: str, symbol: str) -> Path:
        """Where a market's candles are, whether or not there are any."""
        return self._folder / venue / timeframe / f"{symbol.replace('/', '-')}.parquet"

    def read(self, venue: str, timeframe: str, symbol: str) -> pd.DataFrame:
        """The candles there are, oldest first; empty where there are none."""
        path = self.path(venue, timeframe, symbol)
        return pd.read_parquet(path) if path.exists() else pd.DataFrame(columns=COLUMNS)

    def newest(self, venue: str, timeframe: str, symbol: str) -> datetime | None:
        """When the newest bar there opened."""
        found = self._heads(venue, timeframe, symbol)
        return None if found.empty else found["ts"].iloc[-1].to_pydatetime()

    def oldest(self, venue: str, timeframe: str, symbol: str) -> datetime | None:
        """When the oldest bar there opened."""
        found = self._heads(venue, timeframe, symbol)
        return None if found.empty else found["ts"].iloc[0].to_pydatetime()

    def _heads(self, venue: str, timeframe: str, symbol: str) -> pd.DataFrame:
        path = self.path(venue, timeframe, symbol)
        return pd.read_parquet(path, columns=["ts"]) if path.exists() else pd.DataFrame(columns=COLUMNS)

    def add(self, venue: str, timeframe: str, symbol: str, rows: Sequence[Row]) -> int:
        """Add bars; one that is there already is replaced by the newer reading. Returns how many bars there are now."""
        new = pd.DataFrame([(row[0], symbol, *row[1:]) for row in rows], columns=COLUMNS)
        new["ts"] = pd.to_datetime(new["ts"], unit="ms", utc=True)
        before = self.read(venue, timeframe, symbol)
        whole = new if before.empty else pd.concat([before, new], ignore_index=True)
        whole = whole.drop_duplicates("ts", keep="last").sort_values("ts", ignore_index=True)
        path = self.path(venue, timeframe, symbol)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        whole.to_parquet(part, index=False)
        os.replace(part, path)  # noqa: PTH105 - atomic, over the older file
        return len(whole)

    def gaps(self, venue: str, timeframe: str, symbol: str, step: timedelta) -> list[Gap]:
        """Where bars are missing between the first and the last."""
        opens = self._heads(venue, timeframe, symbol)["ts"]
        found = []
        for before, after in pairwise(opens):
            missing = round((after - before) / step) - 1
            if missing > 0:
                first, last = before.to_pydatetime() + step, after.to_pydatetime() - step
                found.append(Gap(first.astimezone(UTC), last.astimezone(UTC), missing))
        return found
