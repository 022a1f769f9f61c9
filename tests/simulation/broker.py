"""The broker: a persistent session that delivers at least once, forgets, overflows, and can be taken over by somebody with our name."""

import asyncio

from trader.ports import Message

AGAIN_SECONDS = 20.0
WINDOW = 5  # how many messages are on their way without an acknowledgement


class Broker:
    """What the broker holds for us, whoever of us lives."""

    def __init__(self, world, holds=0):
        self.world, self.holds = world, holds
        self.sent = {}  # key -> body, is_retained: until it is acknowledged
        self.lost = set()  # keys that it forgot, or never took
        self.connection = 0  # of which session what is said counts
        self.away_until = 0.0
        self.news = asyncio.Event()

    def publish(self, key, body, *, is_retained=False):
        """Take a message."""
        if self.holds and len(self.sent) >= self.holds and self.world.is_hostile:
            self.lost.add(key)
            self.world.reach("the broker's queue overflows")
            return
        self.sent[key] = (body, is_retained)
        self.news.set()

    def forget(self):
        """Start again without what it held."""
        self.lost |= set(self.sent)
        self.sent.clear()
        self.world.reach("the broker forgets what it held")
        self.cut()

    def cut(self, seconds=0.0):
        """End our connection; with seconds, somebody else has our name for so long."""
        self.connection += 1
        self.away_until = self.world.loop.time() + seconds
        self.news.set()


class Session:
    """A life's source of messages: after each connection all that was not acknowledged comes again, in its order."""

    name = "broker"

    def __init__(self, world, tell):
        self.world, self.broker, self._tell = world, world.broker, tell

    async def messages(self):
        told, loop, broker, number = {}, self.world.loop, self.broker, None
        while True:
            if number != broker.connection:
                if number is not None:
                    self._tell("broker", False, "lost")
                    self.world.reach("the broker's connection is lost")
                number = broker.connection
                await asyncio.sleep(max(broker.away_until - loop.time(), 0.0))
                self._tell("broker", True, "connected")
                told = {}
            for key, (body, is_retained) in list(broker.sent.items())[:WINDOW]:
                if number == broker.connection and loop.time() - told.get(key, -1e9) >= AGAIN_SECONDS:
                    told[key] = loop.time()
                    self.world.deliver(key)
                    yield Message("sim", "", body, self._acknowledge(key, number), is_retained)
            broker.news.clear()
            try:
                async with asyncio.timeout(AGAIN_SECONDS / 2):
                    await broker.news.wait()
            except TimeoutError:
                continue

    def _acknowledge(self, key, number):
        async def acknowledge():
            await asyncio.sleep(0)
            self.world.witness.acknowledged(key)
            if number == self.broker.connection and not self.world.happens("unacknowledged"):
                self.broker.sent.pop(key, None)
                self.broker.news.set()

        return acknowledge
