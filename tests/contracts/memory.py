"""A transport without sockets: a loopback's dialect in the same process, over HTTP and websockets."""

import asyncio
from urllib.parse import urlsplit

from aiohttp import WSMessage, WSMsgType

from trader.adapters.http import Answer, NoAnswerError
from trader.loopback.wire import Request

NEWS_SECONDS = 0.01


class MemoryLine:
    """One connection; what the venue tells is looked for while somebody receives."""

    def __init__(self, stream, now_ms):
        self.stream, self.now_ms = stream, now_ms
        self.frames, self.closed, self.is_deaf = [], False, False

    async def receive(self):
        while not self.frames:
            if self.stream.is_over or self.closed:
                self.closed = True
                return WSMessage(WSMsgType.CLOSE, 1000, None)
            self.frames += self.stream.news(self.now_ms())
            await asyncio.sleep(NEWS_SECONDS)
        frame = self.frames.pop(0)
        if isinstance(frame, WSMessage):
            return frame
        return WSMessage(WSMsgType.TEXT if isinstance(frame, str) else WSMsgType.BINARY, frame, None)

    async def send_str(self, data):
        if not self.is_deaf:
            self.frames += self.stream.receive(data, self.now_ms())

    async def ping(self, message=b""):
        if not self.is_deaf:
            self.frames.append(WSMessage(WSMsgType.PONG, message, None))

    async def pong(self, message=b""):
        del message

    async def close(self):
        self.closed = True
        return True


class Memory:
    """Answers from a dialect. `lines` are the connections that were opened."""

    def __init__(self, dialect, clock):
        self.dialect, self.clock, self.lines = dialect, clock, []

    def _request(self, method, url, headers, body):
        parts = urlsplit(url)
        return Request(
            method, parts.path, parts.query, {name.lower(): one for name, one in headers.items()}, body or ""
        )

    async def call(self, method, url, headers, body, *, seconds):
        del seconds
        said = self.dialect.respond(self._request(method, url, headers, body), self.clock.now_ms())
        return Answer(said.status, said.headers, said.body)

    async def dial(self, url, headers=None):
        asked = self._request("WS", url, headers or {}, None)
        stream = self.dialect.connect(asked, self.clock.now_ms())
        if stream is None:
            raise NoAnswerError(f"WS {asked.path}: HTTP 404")
        self.lines.append(MemoryLine(stream, self.clock.now_ms))
        return self.lines[-1]

    async def close(self):
        pass
