"""The outermost layer: which names it answers to, how large and deep a body may be, and what every answer tells a browser.

A plain ASGI application around the other, since a middleware of the framework costs more than the rest of a request.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST = 262_144  # bytes of a body
DEEPEST = 32  # brackets within brackets
LONGEST_PATH = 4_096
BODY_SECONDS = 15.0  # in which a body must have come: a connection that is kept open costs memory
BODIES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": PAGE_POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=()",
    b"cache-control": b"no-store",
}


class Guard:
    """Answers only under known names, reads bodies within bounds, and adds the headers."""

    def __init__(self, inner: Application, names: Iterable[str]) -> None:
        self._inner = inner
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((k, v) for k, v in HEADERS.items() if k not in have)]
            await send(message)

        refused = self._refused(scope)
        if refused is None and scope["method"] in BODIES:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body = await _body(receive)
            except TimeoutError:
                refused = 408, "the body did not come in time", f"send it within {BODY_SECONDS:.0f} s"
            else:
                refused = _unfit(body)
                if refused is None:
                    receive = _again(body or b"", receive)
        if refused is not None:
            await _answer(telling, *refused)
            return
        await self._inner(scope, receive, telling)

    def _refused(self, scope: Scope) -> tuple[int, str, str] | None:
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_PATH:
            return 414, "the address is too long", f"at most {LONGEST_PATH} bytes are read"
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if name.strip("[]") not in self._names:
            return 421, "it is not reached under this name", "add the name to api.names, or ask localhost"
        return None


async def _body(receive: Receive) -> bytes | None:
    """The whole body, None where it is too large."""
    parts, size = list[bytes](), 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _unfit(body: bytes | None) -> tuple[int, str, str] | None:
    if body is None:
        return 413, "the body is too large", f"at most {LARGEST} bytes are read"
    if depth(body) > DEEPEST:
        return 400, "the body is nested too deep", f"at most {DEEPEST} brackets within brackets are read"
    return None


def depth(body: bytes) -> int:
    """How deep brackets of JSON are nested, without reading it."""
    deepest = level = 0
    is_text = is_escaped = False
    for byte in body:
        if is_text:
            if is_escaped:
                is_escaped = False
            elif byte == 0x5C:
                is_escaped = True
            elif byte == 0x22:
                is_text = False
        elif byte == 0x22:
            is_text = True
        elif byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives a body once more, and afterwards whatever comes."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given


async def _answer(send: Send, status: int, error: str, remedy: str) -> None:
    body = json.dumps({"error": error, "remedy": remedy}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
