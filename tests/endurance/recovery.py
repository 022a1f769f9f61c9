"""How long a killed bot takes until it trades again, by what its journal holds: `python -m tests.endurance.recovery`.

The journal is one that the bot itself began; what a long life would have added (bars of its assets, messages that came twice) is put
behind it. Then the real command is killed and started again, with the snapshot that an orderly end left, and without any.
"""

import argparse
import asyncio
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.crash.rig import rig
from tests.endurance.soak import cpu_seconds
from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import BarClosed
from trader.core.records import SignalReceived
from trader.opening import owner_of

WORKER = Path(__file__).with_name("worker.py")
ASSETS = ("BTC/USDT", "ETH/USDT")
CHUNK = 500


def life(count, until):
    """So many facts of a long life, the newest just before an instant: hourly bars, and every fifth a message that came again."""
    hours = count // (len(ASSETS) + 1) + 1
    at, found = until - timedelta(hours=hours), []
    while len(found) < count:
        at += timedelta(hours=1)
        found += [BarClosed(at, asset, 100.0, 101.0, 99.0, 100.0 + len(found) % 7, 10.0) for asset in ASSETS]
        found.append(SignalReceived(at, f"old/{len(found)}", "bus", f"{len(found):064x}", "duplicate", "", "x" * 200))
    return found[:count]


async def filled(folder, count):
    """Put a long life into a journal that nobody writes."""
    path = folder / "journal.db"
    journal = SqliteJournal(path)
    await journal.take(owner_of(folder), seconds=1)
    missing = count - journal._seq
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    facts = life(max(missing, 0), now - timedelta(hours=2))
    for at in range(0, len(facts), CHUNK):
        await journal.append(facts[at : at + CHUNK])
    await journal.close()


def without_snapshots(folder):
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        (count,) = database.execute("SELECT count(*) FROM snapshots").fetchone()
        database.execute("DELETE FROM snapshots")
        database.commit()
    return count


async def restarted(it):
    """Kill it, start it, and wait until it trades: seconds of the clock, and of the processor."""
    await it.kill()
    begin = time.monotonic()
    await it.start()
    await it.started(120)
    return time.monotonic() - begin, cpu_seconds(it.process.pid)


async def measured(count, times):
    """Medians until ready, with a snapshot and without, and the size of the journal in MB."""
    with tempfile.TemporaryDirectory(prefix="recovery-") as place:
        async with rig(Path(place)) as it:
            it.program, it.environment = WORKER, {"WORKER_TOLD": f"{place}/told"}
            folder = it.folder / "state" / "rig"
            await it.start()
            await it.started()
            await it.send_flip(1)
            await it.healed()
            await it.stop()
            await filled(folder, count)
            await it.start()
            await it.started(120)
            await it.stop()  # an orderly end leaves a snapshot
            await it.start()
            await it.started(120)
            with_, without = [], []
            with_ += [await restarted(it) for _ in range(times)]
            had = 0
            for _ in range(times):
                await it.kill()
                had += without_snapshots(folder)
                without.append(await restarted(it))
            size = (folder / "journal.db").stat().st_size / 2**20
            assert had, "there was no snapshot"
            await it.stop()
    return [statistics.median(column) for some in (with_, without) for column in zip(*some, strict=True)], size


def main():
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--facts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    asked.add_argument("--times", type=int, default=5)
    given = asked.parse_args()
    print("| facts | journal | ready with a snapshot | of the processor | ready without | of the processor |")
    print("|---|---|---|---|---|---|")
    for count in given.facts:
        seconds, size = asyncio.run(measured(count, given.times))
        print(f"| {count:,} | {size:.1f} MB | " + " | ".join(f"{one:.1f} s" for one in seconds) + " |", flush=True)


if __name__ == "__main__":
    main()
