"""How bytes of ccxt's classes go out: over aiohttp, or to a simulated exchange; without headers or addresses in any error."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import yarl
from ccxt.base.errors import ExchangeNotAvailable, RequestTimeout


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
    """Bytes over aiohttp: one session, no redirects, a limit in time on each call."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def call(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, *, seconds: float
    ) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": "signal-trader"})
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


async def fetch_through(
    exchange: Any,  # noqa: ANN401 - ccxt's classes carry no types of use
    transport: Transport, url: str, method: str, headers: Mapping[str, str] | None, body: str | None,
) -> Any:  # fmt: skip  # noqa: ANN401
    """What ccxt's own `fetch` does, over our transport, and without writing headers or addresses anywhere."""
    try:
        answer = await transport.call(
            method, url, exchange.prepare_request_headers(headers), body, seconds=exchange.timeout / 1_000
        )
    except NoAnswerError as error:
        raise RequestTimeout(f"{exchange.id} {error}") from error
    found = exchange.parse_json(answer.body)
    path = yarl.URL(url).path
    exchange.handle_errors(
        answer.status, "", path, method, answer.headers, answer.body, found, None, None
    )  # fmt: skip
    exchange.handle_http_status_code(answer.status, "", path, method, answer.body)
    if found is None:
        raise ExchangeNotAvailable(f"{exchange.id} {method} {path}: HTTP {answer.status} without JSON")
    return found


class Wired:
    """What our classes put before ccxt's: our transport, a wall clock from outside, and a time of signing that can be pinned."""

    def __init__(self, config: dict[str, Any], transport: Transport, wall: Callable[[], float]) -> None:
        self.transport, self.wall = transport, wall
        self.pinned_ms: int | None = None
        super().__init__(config)  # type: ignore[call-arg]  # ccxt's class stands behind this one
        self.number = str  # exact, and unlike Decimal known to all of its code

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:  # noqa: ANN401
        """Over our transport."""
        return await fetch_through(self, self.transport, url, method, headers, body)

    def milliseconds(self) -> int:
        """The wall's time, from outside; all else that ccxt asks of the clock comes from here."""
        return int(self.wall() * 1_000)

    def nonce(self) -> int:
        """The pinned time, else the venue's clock as far as it is known."""
        return self.pinned_ms if self.pinned_ms is not None else int(super().nonce())  # type: ignore[misc]
