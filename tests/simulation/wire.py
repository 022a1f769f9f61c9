"""The network between the bot and the exchange: a request is on its way whether or not its sender lives."""

import asyncio
from urllib.parse import parse_qs, urlsplit

from tests.contracts.memory import MemoryLine
from trader.adapters.http import Answer, NoAnswerError
from trader.loopback.wire import Request

BUSY = '{"label":"SERVER_ERROR","message":"busy","code":503,"msg":"busy"}'


class Wire:
    """One life's way to the exchange."""

    def __init__(self, world, life):
        self.world, self.life = world, life

    async def call(self, method, url, headers, body, *, seconds):
        parts, loop = urlsplit(url), self.world.loop
        plain = {name.lower(): one for name, one in headers.items()}
        request = Request(method, parts.path, parts.query, plain, body or "")
        answer = loop.create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._connected(request)
                if _is_order(request):
                    self.world.witness.sent(request, self.world.now_ms())
                loop.in_world(self._carry(request, answer))
                return await self._answered(answer)
        except TimeoutError:
            raise NoAnswerError(f"{method} {parts.path}: no answer in {seconds:g} s") from None

    async def _connected(self, request):
        """Before a byte left."""
        if request.method != "GET" and self.world.happens("hung"):
            await asyncio.sleep(self.world.lot.uniform(0.1, 3.0))
        else:
            await asyncio.sleep(0)

    async def _answered(self, answer):
        return await answer

    async def _carry(self, request, answer):
        world, is_order = self.world, _is_order(request)
        told = world.script.pop(0) if is_order and world.script else None
        weight = 2.0 if request.method != "GET" else 1.0 if _is_ours(request) else 0.2  # trouble where it matters most

        def happens(name):
            if told is None:
                return world.happens(name, weight)
            return name == told and world.count(name)

        await asyncio.sleep(world.lot.uniform(0.002, 0.03))
        if world.is_dark or happens("lost"):
            return
        if happens("late"):
            await asyncio.sleep(world.lot.uniform(0.2, 40.0) if told is None else 30.0)
        if told == "tardy":
            await asyncio.sleep(world.plan.fence_ms * 0.9 / 1_000)
        signed_ms = world.now_ms()
        if told == "risen":  # the exchange carries it out long after it should not have
            await asyncio.sleep(18.0)
        if happens("refused"):
            said = Answer(503, {}, BUSY)
        else:
            moves = is_order and happens("moved")
            if moves:
                world.move_prices(2)
            found = world.dialect.respond(request, signed_ms if told == "risen" else world.now_ms())
            if moves:
                world.move_prices(1)
            said = Answer(found.status, found.headers, found.body)
            if is_order:
                world.taken_at = world.loop.time()
                world.reach("order taken" if found.status < 300 else "order refused by the venue")
                if "xpire" in found.body or "recvWindow" in found.body or "700003" in found.body:
                    world.reach("a late order stopped by its fence")
                elif answer.done() and found.status < 300:
                    world.reach("an order taken after its sender gave up")
                if found.status < 300 and self.life.is_dead:
                    world.reach("an order taken after its sender died")
            if request.method == "GET" and world.happens("twice"):
                world.dialect.respond(request, world.now_ms())
        await asyncio.sleep(world.lot.uniform(0.002, 0.03))
        world.trace("answer", request.method, request.path, said.status, said.body)
        if happens("silent") or told in {"moved", "risen"}:
            world.reach("the answer to an order lost" if is_order else "an answer lost")
            return
        if happens("failed"):
            said = Answer(503, {}, "<html>Bad gateway</html>")
        elif happens("broken"):
            said = Answer(said.status, said.headers, said.body[: len(said.body) // 2])
        if not answer.done():
            answer.set_result(said)

    async def dial(self, url, headers=None):
        world, parts = self.world, urlsplit(url)
        await asyncio.sleep(0.02)
        if world.is_dark or world.happens("lost"):
            raise NoAnswerError(f"WS {parts.path}: refused")
        asked = Request("WS", parts.path, parts.query, headers or {}, "")
        stream = world.dialect.connect(asked, world.now_ms())
        if stream is None:
            raise NoAnswerError(f"WS {parts.path}: HTTP 404")
        return Line(stream, world)

    async def close(self):
        pass


def _is_order(request):
    """Whether a request places an order."""
    return request.method == "POST" and request.path.endswith(("/spot/orders", "/api/v3/order"))


def client_id_of(request):
    """The client id that a request carries; for the oracles."""
    import json

    if request.path.endswith("/spot/orders"):
        return json.loads(request.body)["text"]
    return parse_qs(request.query or request.body)["newClientOrderId"][0]


def _is_ours(request):
    """Whether a request is about our account."""
    return any(name in request.headers for name in ("key", "x-mexc-apikey"))


class Line(MemoryLine):
    """A websocket that may end at any time."""

    def __init__(self, stream, world):
        super().__init__(stream, world.now_ms)
        self.world = world

    async def receive(self):
        while not self.frames:
            if self.stream.is_over or self.closed or self.world.is_dark or self.world.happens("dropped"):
                self.stream.is_over = True
                break
            self.frames += self.stream.news(self.now_ms())
            if not self.frames:
                await asyncio.sleep(1.0)
        return await super().receive()
