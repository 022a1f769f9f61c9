"""How bytes of ccxt's classes go out: over our transport instead of its own, signed at a time that can be pinned."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ccxt.base.errors import ExchangeNotAvailable, RequestTimeout

from trader.adapters.http import NoAnswerError, Transport


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
    path = urlsplit(url).path
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

    def log(self, *said: object) -> None:
        """Say nothing: what ccxt prints where `verbose` is set holds keys, signatures and listen keys."""

    def milliseconds(self) -> int:
        """The wall's time, from outside; all else that ccxt asks of the clock comes from here."""
        return int(self.wall() * 1_000)

    def seconds(self) -> int:
        """The venue's clock as far as it is known: ccxt signs subscriptions with it."""
        return (self.milliseconds() - int(self.options["timeDifference"])) // 1_000  # type: ignore[attr-defined]

    def nonce(self) -> int:
        """The pinned time, else the venue's clock as far as it is known."""
        return self.pinned_ms if self.pinned_ms is not None else int(super().nonce())  # type: ignore[misc]
