"""What goes over the wire, without the wire: a request in, a response out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; `query` is the raw text behind the question mark, header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str

    def asked(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


Frame = str | bytes


class Stream(Protocol):
    """One WebSocket connection as a venue speaks on it; `is_over` = the venue hangs up."""

    is_over: bool

    def receive(self, text: str, now_ms: int) -> list[Frame]:
        """Answer what the client says."""

    def news(self, now_ms: int) -> list[Frame]:
        """What is to be told now."""


class Dialect(Protocol):
    """How one venue speaks: requests to responses, on the exchange's clock. `unknown` lists what it did not understand."""

    unknown: list[str]

    def respond(self, request: Request, now_ms: int) -> Response:
        """Answer one request."""

    def connect(self, request: Request, now_ms: int) -> Stream | None:
        """Open a stream; None where there is none."""
