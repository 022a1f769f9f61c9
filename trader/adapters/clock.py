"""The clock of the machine."""

import asyncio
import time
from datetime import UTC, datetime

BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds that never run backwards and go on while the machine sleeps: what was fresh before is not fresh after it."""
    return time.clock_gettime(BOOT)


class SystemClock:
    """Wall time in UTC, and a monotonic one for waiting."""

    def now(self) -> datetime:
        """Wall time, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards, those of a machine asleep included."""
        return elapsed()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
