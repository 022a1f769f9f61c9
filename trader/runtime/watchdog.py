"""The watchdog: tells a service manager that the process is well, from the event loop itself and only while its work goes on.

A loop that is blocked sends nothing, and neither does one whose lines of work stand still; the manager then starts the process anew,
into recovery, which is safe at any instant.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from trader.ports import Clock
from trader.runtime.logs import Log

STILL_SECONDS = 300.0  # longer than any honest turn: questions to a venue and commits have bounds of their own


class Manager(Protocol):
    """Who is told."""

    def tell(self, *lines: str) -> None:
        """Send one notification."""


@dataclass(slots=True)
class Pulse:
    """When each line of work last began a turn, in monotonic seconds."""

    turns: dict[str, float] = field(default_factory=dict)

    def beat(self, line: str, now: float) -> None:
        """A turn begins."""
        self.turns[line] = now

    def still(self, now: float) -> list[str]:
        """The lines that have begun no turn for too long."""
        return sorted(line for line, at in self.turns.items() if now - at > STILL_SECONDS)


@dataclass(slots=True)
class Watchdog:
    """Reports to `manager` at least three times within each `seconds`; None = it wants no sign of life, but the status all the same."""

    manager: Manager
    clock: Clock
    log: Log
    seconds: float | None = None
    pulse: Pulse = field(default_factory=Pulse)
    status: Callable[[], str] = lambda: "starting"
    _is_ready: bool = False
    _was_still: bool = False

    def begin(self, status: Callable[[], str], pulse: Pulse | None = None) -> None:
        """From now on this is what works: a standby, or a daemon that has recovered. The first one makes the process ready."""
        self.status, self.pulse = status, pulse or Pulse()
        ready = [] if self._is_ready else ["READY=1"]
        self._is_ready = True
        self.manager.tell(*ready, f"STATUS={status()}")

    def failed(self, why: str) -> None:
        """What worked has ended and is started anew; a start that fails again and again is no reason to be killed."""
        self.status, self.pulse = lambda: f"starting anew: {why}", Pulse()
        extends = [] if self._is_ready else ["EXTEND_TIMEOUT_USEC=90000000"]
        self.manager.tell(*extends, f"STATUS={self.status()}")

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            self.report()
            await self.clock.sleep(min(self.seconds or 30.0, 30.0) / 3)

    def report(self) -> None:
        """Say how it stands now; nothing of being well where a line stands still."""
        still = self.pulse.still(self.clock.monotonic())
        if still and not self._was_still:
            self.log.alert(f"{', '.join(still)}: no turn for {STILL_SECONDS:g} s", link="watchdog")
        self._was_still = bool(still)
        said = f"STATUS={self.status()}" + (f"; stands still: {', '.join(still)}" if still else "")
        alive = ["WATCHDOG=1"] if self.seconds is not None and not still else []
        self.manager.tell(*alive, said)
