"""HTTP and websockets as every adapter speaks them: over a transport – aiohttp, or what a simulation puts there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import yarl

FRAME_MOST = 10 * 2**20  # bytes of one frame


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: str


class NoAnswerError(Exception):
    """Nothing whole came back; whether the request arrived is open."""


class Line(Protocol):
    """A websocket that stands."""

    @property
    def closed(self) -> bool:
        """Whether it ended."""

    async def receive(self) -> aiohttp.WSMessage:
        """The next frame; pings are frames as well, and answered by who listens."""

    async def send_str(self, data: str) -> None:
        """Send a text."""

    async def ping(self, message: bytes = b"") -> None:
        """Ask whether the other end is there."""

    async def pong(self, message: bytes = b"") -> None:
        """Answer that."""

    async def close(self) -> bool:
        """End it."""


class Transport(Protocol):
    """How bytes go out: a socket, or a simulated exchange."""

    async def call(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, *, seconds: float
    ) -> Answer:
        """Send once and return the answer; raises NoAnswerError."""

    async def dial(self, url: str, headers: Mapping[str, str] | None = None) -> Line:
        """Open a websocket; raises NoAnswerError."""

    async def close(self) -> None:
        """Close what is open."""


class HttpTransport:
    """Bytes over aiohttp: one session, no redirects, a limit in time on each call, and no address or header in any error.

    repeats: whether aiohttp may put a question again by itself after a reset (never a POST); not where each one is paid for.
    """

    def __init__(self, *, repeats: bool = True) -> None:
        self._repeats = repeats
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, *, seconds: float
    ) -> Answer:
        limit = aiohttp.ClientTimeout(total=seconds)
        where = f"{method} {yarl.URL(url).path}"  # never the query: it holds the signature
        try:
            async with self._opened().request(
                method, yarl.URL(url, encoded=True), headers=headers, data=None if body is None else body.encode(),
                timeout=limit, allow_redirects=False,
            ) as response:  # fmt: skip
                return Answer(response.status, dict(response.headers), await response.text(errors="replace"))
        except TimeoutError as error:
            raise NoAnswerError(f"{where}: no answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswerError(f"{where}: {type(error).__name__}") from error

    async def dial(self, url: str, headers: Mapping[str, str] | None = None) -> Line:
        where = f"WS {yarl.URL(url).path}"  # never the query: it holds the listen key
        try:
            return await self._opened().ws_connect(
                yarl.URL(url, encoded=True), headers=headers, autoping=False, autoclose=False, compress=15,
                max_msg_size=FRAME_MOST,
            )  # fmt: skip
        except aiohttp.WSServerHandshakeError as error:
            raise NoAnswerError(f"{where}: HTTP {error.status}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NoAnswerError(f"{where}: {type(error).__name__}") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": "signal-trader"})
            if not self._repeats:
                # there is no public switch; tests/adapters/test_tokenmetrics.py fails when this one moves
                self._session._retry_connection = False  # noqa: SLF001
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
