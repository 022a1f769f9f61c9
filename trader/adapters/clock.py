"""The clock of the machine."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Wall time in UTC, and a monotonic one for waiting."""

    def now(self) -> datetime:
        """Wall time, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
