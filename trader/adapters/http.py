"""HTTP as every adapter speaks it: a question goes out once over a transport – aiohttp, or what a simulation puts there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import yarl


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: str


class NoAnswerError(Exception):
    """Nothing whole came back; whether the request arrived is open."""


class Transport(Protocol):
    """How bytes go out: a socket, or a simulated exchange."""

    async def call(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, *, seconds: float
    ) -> Answer:
        """Send once and return the answer; raises NoAnswerError."""

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
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": "signal-trader"})
            if not self._repeats:
                # there is no public switch; tests/adapters/test_tokenmetrics.py fails when this one moves
                self._session._retry_connection = False  # noqa: SLF001
        limit = aiohttp.ClientTimeout(total=seconds)
        where = f"{method} {yarl.URL(url).path}"  # never the query: it holds the signature
        try:
            async with self._session.request(
                method, yarl.URL(url, encoded=True), headers=headers, data=None if body is None else body.encode(),
                timeout=limit, allow_redirects=False,
            ) as response:  # fmt: skip
                return Answer(response.status, dict(response.headers), await response.text(errors="replace"))
        except TimeoutError as error:
            raise NoAnswerError(f"{where}: no answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswerError(f"{where}: {type(error).__name__}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
