"""A process that writes to the real journal below a folder and says in a file what was promised: recorded by test_power.

Checkpoints come soon, so that a short run has many; everything else is as in production.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import Filled, OrderPlaced
from trader.core.records import SignalReceived

AT = datetime(2024, 1, 1, tzinfo=UTC)
CHECKPOINT_PAGES = 60


def facts_of(number):
    received = SignalReceived(AT, f"key{number}", "bus", "d", "", "", "x" * (number * 37 % 3_000))
    placed = OrderPlaced(AT, "m", number, "A", "gate", "buy", Decimal(number), None, "target")
    fill = (AT, "m", number, "A", "gate", "buy", Decimal(1), Decimal(2), Decimal(0), "A", "target", f"t{number}")
    return [received, placed, Filled(*fill)]


async def main(root, begin, commits, end):
    promised = os.open(root / "promised", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    journal = SqliteJournal(root / "state" / "rig" / "journal.db")
    journal._database.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    epoch = await journal.take("writer", seconds=60)
    os.write(promised, f"{journal._seq} {epoch}\n".encode())
    for number in range(begin, begin + commits):
        seq = await journal.append(facts_of(number))
        os.write(promised, f"{seq} {epoch}\n".encode())
        if number % 7 == 3:
            await journal.renew()
        if number % 12 == 5:
            await journal.keep_snapshot("program", "s" * 9_000)
    if end == "killed":
        os._exit(0)  # nothing is tidied up: the log stays
    await journal.close()  # an orderly end: the log is taken into the file and removed


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
