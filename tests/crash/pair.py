"""Two bots as on two machines: a folder and a configuration file each, one database, one broker, one account at one exchange."""

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from tests.crash.rig import Rig, rig
from trader.core.records import EpochTaken, LinkChanged, SignalReceived


@dataclass
class Pair:
    """Both, of which one leads."""

    first: Rig
    second: Rig

    @property
    def both(self):
        return self.first, self.second

    def other(self, one):
        return self.second if one is self.first else self.first

    async def start(self):
        """Start both; the first leads."""
        await self.first.start()
        await self.first.started()
        await self.second.start()
        await self.waits(self.second)

    async def waits(self, one, seconds=90):
        """Wait until it is a standby that could take over."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    found = await one.status()
                    if found is not None and found["state"] == "standby" and found["is_ready"] and found["leader"]:
                        return found
                    assert one.process.returncode is None, one.log()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"no standby: {await one.status()}\n{one.log()}") from None

    async def leads(self, one, since=None):
        """Seconds until it trades."""
        since = time.monotonic() if since is None else since
        await one.started()
        return time.monotonic() - since

    async def replaced(self, one):
        """Kill the leader with SIGKILL, let the other take over, and have the first wait again; returns the seconds without a leader."""
        begin = time.monotonic()
        assert await one.kill(), one.log()
        seconds = await self.leads(self.other(one), begin)
        await one.start()
        await self.waits(one)
        return seconds

    async def settled(self, seconds=60):
        """Wait until one of them leads, everything sent is received and nothing is under way; returns who leads."""
        async with asyncio.timeout(seconds):
            while True:
                states = [await one.status() for one in self.both]
                names = [str(found and found["state"]) for found in states]
                if sorted(names) == ["active", "standby"]:
                    leader, found = self.both[names.index("active")], states[names.index("active")]
                    if not found["orders"] and not found["in_line"]:
                        received = {fact.key for fact in await leader.facts() if isinstance(fact, SignalReceived)}
                        if set(leader.sent) <= received:
                            return leader
                await asyncio.sleep(0.1)

    async def stop(self):
        """Stop both, whoever waits first: otherwise it takes the lease that the leader gives back, and leads for a moment."""
        states = [(await one.status() or {}).get("state") for one in self.both]
        for one in sorted(self.both, key=lambda one: states[self.both.index(one)] != "standby"):
            if one.process is not None and one.process.returncode is None:
                await one.stop()


def epochs(facts):
    """(epoch, owner) in the order in which they were taken."""
    return [(fact.epoch, fact.owner) for fact in facts if isinstance(fact, EpochTaken)]


def sessions_lost(facts, epoch):
    """How often the broker ended the session under this epoch."""
    begin = next(i for i, fact in enumerate(facts) if isinstance(fact, EpochTaken) and fact.epoch == epoch)
    return [fact for fact in facts[begin:] if isinstance(fact, LinkChanged) and fact.link == "mqtt" and not fact.is_up]


@asynccontextmanager
async def pair(folder, *, broker, database, fence="400ms", lease=2.4, **more):
    """Two bots that are not started yet. lease: shorter than in production, except where that is what is measured."""
    for name in ("a", "b"):
        (folder / name).mkdir()
    async with rig(folder / "a", broker=broker, database=database, **more) as first:
        text = first.config.read_text().replace("fence: 400ms", f"fence: {fence}")
        first.config.write_text(text)
        first.flags, first.lease = ("--standby",), lease
        second = replace(first, folder=folder / "b", config=folder / "b" / "run.yaml")
        second.config.write_text(text)
        both = Pair(first, second)
        try:
            yield both
        finally:
            if second.process is not None and second.process.returncode is None:
                second.process.send_signal(signal.SIGKILL)
                await second.process.wait()
