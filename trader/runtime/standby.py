"""The standby: a second process that waits for the lease of the journal, and leads when the first one's runs out or is given back.

It opens what can be opened and writes nothing. That taking over brings about no second order does not rest on the lease: every write of
the former leader is refused by its epoch, and what it had signed is unknown until the venue's lists prove it, after its validity.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from trader.ports import Clock, Journal, JournalDownError, LeaseHeldError, VenueDownError
from trader.runtime.control import Answer, Command
from trader.runtime.logs import Log

POLL_SECONDS = 0.5  # a look at one row, without a lock
AGAIN_SECONDS = 2.0  # between looks at a venue that does not answer
CHECK_SECONDS = 900.0  # how old what was seen of the venue may be: the terms of markets change
STANDBY = "standby"


@dataclass(slots=True)
class Standby:
    """Waits for the lease. `check` opens the venue and looks at it: who cannot reach the exchange does not take over."""

    name: str
    journal: Journal
    owner: str
    lease_seconds: float
    clock: Clock
    log: Log
    check: Callable[[], Awaitable[None]]
    stopping: asyncio.Event
    leader: str = ""
    left: float = 0.0  # seconds of the leader's lease
    trouble: str = ""
    is_ready: bool = False
    _checked_at: float = field(default=0.0)

    async def wait(self) -> bool:
        """Wait until the lease is ours, which is true, or until it is to stop."""
        while not self.stopping.is_set():
            if not self.is_ready or self._is_old():
                await self._look()
            if self.is_ready and await self._take():
                self.log.info("leads", owner=self.owner, epoch=self.journal.epoch, after=self.leader)
                return True
            try:
                async with asyncio.timeout(POLL_SECONDS if self.is_ready else AGAIN_SECONDS):
                    await self.stopping.wait()
            except TimeoutError:
                continue
        return False

    def _is_old(self) -> bool:
        """Whether to look at the venue anew: only while the leader is well, so that a look holds up no takeover."""
        is_over = self.clock.monotonic() - self._checked_at > CHECK_SECONDS
        return is_over and self.left > self.lease_seconds / 2

    async def _look(self) -> None:
        try:
            await self.check()
        except (VenueDownError, JournalDownError) as error:
            self.is_ready = False
            self._troubled(str(error))
        else:
            self.is_ready, self.trouble, self._checked_at = True, "", self.clock.monotonic()

    async def _take(self) -> bool:
        try:
            await self.journal.take(self.owner, seconds=self.lease_seconds)
        except LeaseHeldError as error:
            if error.owner != self.leader:
                self.log.info(STANDBY, leader=error.owner, seconds=round(error.seconds, 1))
            self.leader, self.left, self.trouble = error.owner, error.seconds, ""
        except JournalDownError as error:
            self._troubled(str(error))
        else:
            return True
        return False

    def _troubled(self, why: str) -> None:
        if why != self.trouble:
            self.log.warning("the standby cannot take over now", why=why)
        self.trouble = why

    def line(self) -> str:
        """How it stands, in one line."""
        return f"{STANDBY}: {self.leader or 'nobody'} leads" + (
            "" if self.is_ready and not self.trouble else "; cannot take over now"
        )

    async def act(self, command: Command) -> Answer:
        """Answer what can be answered without leading; for the control socket."""
        if command.name == "status":
            return {
                "ok": True, "mount": self.name, "state": STANDBY, "leader": self.leader, "lease_seconds_left": round(self.left, 1),
                "is_ready": self.is_ready, "trouble": self.trouble,
            }  # fmt: skip
        if command.name == "stop":
            self.stopping.set()
            return {"ok": True, "done": "stopping"}
        return {
            "ok": False,
            "error": f"this one is a standby: {self.leader or 'nobody'} leads; say {command.name} there",
        }
