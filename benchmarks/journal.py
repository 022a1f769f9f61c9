"""How long a durable commit of the journal takes, beside a bare synchronous insert into SQLite in the same run.

python benchmarks/journal.py
"""

import asyncio
import sqlite3
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles

from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import OrderPlaced

COMMITS = 2_000
AT = datetime(2024, 1, 1, tzinfo=UTC)


async def ours(path: Path) -> list[float]:
    journal = SqliteJournal(path)
    await journal.take("bench", seconds=600)
    took = []
    for number in range(COMMITS):
        fact = OrderPlaced(AT, "m", number, "A", "gate", "buy", Decimal("1.5"), None, "target")
        begin = time.perf_counter()
        await journal.append([fact])
        took.append(time.perf_counter() - begin)
    await journal.close()
    return took


def bare(path: Path) -> list[float]:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, body TEXT)")
    took = []
    for number in range(COMMITS):
        begin = time.perf_counter()
        database.execute("INSERT INTO journal VALUES (?, ?)", (number, "x" * 300))
        took.append(time.perf_counter() - begin)
    database.close()
    return took


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = {
            "bare insert": bare(Path(folder) / "bare.db"),
            "journal.append": asyncio.run(ours(Path(folder) / "ours.db")),
        }
    print(f"{'':16} {'commits/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'ratio of p50':>13}")
    base = median(rows["bare insert"])
    for name, took in rows.items():
        p99 = quantiles(took, n=100)[98]
        print(
            f"{name:16} {len(took) / sum(took):10.0f} {median(took) * 1e3:8.3f} {p99 * 1e3:8.3f} {median(took) / base:13.1f}"
        )
    print(f"{COMMITS} commits of one fact each, synchronous=FULL, SQLite {sqlite3.sqlite_version}")


if __name__ == "__main__":
    main()
