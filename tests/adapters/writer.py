"""A process that writes facts until it is killed, and says on stdout what is durable: run by test_journal."""

import asyncio
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import Filled, OrderPlaced
from trader.core.records import SignalReceived

AT = datetime(2024, 1, 1, tzinfo=UTC)


async def main(path, begin):
    journal = SqliteJournal(path)
    await journal.take("writer", seconds=60)
    for number in range(begin, begin + 100_000):
        facts = [
            SignalReceived(AT, f"key{number}", "bus", "d", "", "", "x" * (number % 3_000)),
            OrderPlaced(AT, "m", number, "A", "gate", "buy", Decimal(number), None, "target"),
            Filled(
                AT, "m", number, "A", "gate", "buy", Decimal(1), Decimal(2), Decimal(0), "A", "target", f"t{number}"
            ),
        ]
        print(await journal.append(facts), number, flush=True)


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
