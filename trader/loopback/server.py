"""The thin shell of a loopback exchange: aiohttp on 127.0.0.1 around a dialect, with its faults and its own clock."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from trader.loopback.faults import Fault, Faults
from trader.loopback.wire import Dialect, Frame, Request, Response, Stream

NEWS_SECONDS = 0.02  # how often a stream looks for news


@dataclass(slots=True)
class VenueClock:
    """The exchange's clock in milliseconds: the wall's, moved by `skew_ms`, which a rehearsal may change."""

    skew_ms: int = 0
    wall: Callable[[], float] = field(default=time.time)

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return round(self.wall() * 1_000) + self.skew_ms


class LoopbackServer:
    """Serves one dialect: `async with LoopbackServer(...) as server` and `server.url`."""

    def __init__(
        self, dialect: Dialect, clock: VenueClock | None = None, faults: Faults | None = None, *, port: int = 0
    ) -> None:
        self.dialect, self.clock, self.faults = dialect, clock or VenueClock(), faults or Faults()
        self.is_down = False  # maintenance: every request is answered with 503
        self.log: list[tuple[int, str]] = []  # (venue ms, what was asked), for tests that look at what left us
        self._port = port
        self._runner: web.AppRunner | None = None
        self.is_silent = False  # streams stay open and tell nothing
        self.streams: set[web.WebSocketResponse] = set()
        self._late: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._late:
            task.cancel()
        await self.hang_up()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, arrived: web.Request) -> web.StreamResponse:
        is_stream = arrived.headers.get("upgrade", "").lower() == "websocket"
        request = Request(
            "WS" if is_stream else arrived.method, arrived.rel_url.raw_path, arrived.rel_url.raw_query_string,
            {name.lower(): value for name, value in arrived.headers.items()}, await arrived.text(),
        )  # fmt: skip
        self.log.append((self.clock.now_ms(), f"{request.method} {request.path}"))
        if self.is_down:
            return _sent(Response(503, '{"label":"SERVER_ERROR","message":"maintenance"}'))
        fault = self.faults.take(request)
        if request.method == "WS":
            return await self._stream(fault, request, arrived)
        if fault is None:
            return _sent(self.dialect.respond(request, self.clock.now_ms()))
        return await self._spoilt(fault, request, arrived)

    async def _stream(self, fault: Fault | None, request: Request, arrived: web.Request) -> web.StreamResponse:
        """Speak on a connection until either side ends it."""
        stream = self.dialect.connect(request, self.clock.now_ms())
        if stream is None:
            self.dialect.unknown.append(f"WS {request.path}")
            return _sent(Response(404, ""))
        if fault is not None and fault.do not in {"silent", "cut"}:
            return _reset(arrived) if fault.do.startswith(("reset", "lost")) else _sent(Response(fault.status, ""))
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(arrived)
        self.streams.add(socket)
        end = time.monotonic() + fault.seconds if fault is not None and fault.do == "cut" else None
        telling = asyncio.create_task(self._tell(socket, stream, end, is_silent=fault is not None and end is None))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    for frame in stream.receive(message.data, self.clock.now_ms()):
                        await _frame(socket, frame)
        finally:
            telling.cancel()
            self.streams.discard(socket)
        return socket

    async def _tell(
        self, socket: web.WebSocketResponse, stream: Stream, end: float | None, *, is_silent: bool
    ) -> None:  # fmt: skip
        while not socket.closed:
            news = stream.news(self.clock.now_ms())
            if not (is_silent or self.is_silent):
                for frame in news:
                    await _frame(socket, frame)
            if stream.is_over or self.is_down or (end is not None and time.monotonic() > end):
                await socket.close()
                return
            await asyncio.sleep(NEWS_SECONDS)

    async def hang_up(self) -> None:
        """Close every stream, as a venue does without a word."""
        for socket in list(self.streams):
            await socket.close()

    async def _spoilt(self, fault: Fault, request: Request, arrived: web.Request) -> web.StreamResponse:
        match fault.do:
            case "lost_request":
                return await _silence(fault, arrived)
            case "reset_before":
                return _reset(arrived)
            case "status_before":
                return _sent(Response(fault.status, _error(fault)))
            case "late":
                task = asyncio.create_task(self._arrive(fault, request))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
                return await _silence(fault, arrived)
        response = self.dialect.respond(request, self.clock.now_ms())
        match fault.do:
            case "lost_reply":
                return await _silence(fault, arrived)
            case "reset_after":
                return _reset(arrived)
            case "status_after":
                return _sent(Response(fault.status, _error(fault)))
            case "html":
                return _sent(Response(fault.status, "<html><body>Bad gateway</body></html>"))
            case "truncated":
                return _sent(Response(response.status, response.body[: len(response.body) // 2]))
            case "empty":
                return _sent(Response(response.status, ""))
        await asyncio.sleep(fault.seconds)
        return _sent(response)

    async def _arrive(self, fault: Fault, request: Request) -> None:
        await asyncio.sleep(fault.seconds)
        self.dialect.respond(request, self.clock.now_ms())


async def _frame(socket: web.WebSocketResponse, frame: Frame) -> None:
    with suppress(ConnectionError):
        if isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_str(frame)


def _error(fault: Fault) -> str:
    code: object = int(fault.code) if fault.code.lstrip("-").isdigit() else fault.code
    return json.dumps({"label": fault.code, "code": code, "message": "on purpose", "msg": "on purpose"})


def _sent(response: Response) -> web.Response:
    return web.Response(status=response.status, text=response.body, headers=dict(response.headers))


async def _silence(fault: Fault, arrived: web.Request) -> web.StreamResponse:
    with suppress(TimeoutError):
        async with asyncio.timeout(fault.seconds):
            await asyncio.Event().wait()  # the handler is cancelled when the caller hangs up
    return _reset(arrived)


def _reset(arrived: web.Request) -> web.StreamResponse:
    if arrived.transport is not None:
        arrived.transport.abort()
    raise ConnectionResetError("on purpose")
