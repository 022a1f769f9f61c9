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


class Dialect(Protocol):
    """How one venue speaks: requests to responses, on the exchange's clock. `unknown` lists what it did not understand."""

    unknown: list[str]

    def respond(self, request: Request, now_ms: int) -> Response:
        """Answer one request."""
