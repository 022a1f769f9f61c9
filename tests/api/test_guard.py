"""The outermost layer alone: names, bounds and headers, at their borders."""

import asyncio
import json

import pytest

from tests.api.parts import call
from trader.api import guard
from trader.api.guard import DEEPEST, HEADERS, LARGEST, LONGEST_PATH, Guard, depth


class Inner:
    """An application that notes what reaches it and says which headers of its own it has."""

    def __init__(self, headers=()):
        self.headers, self.bodies, self.others = list(headers), [], []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            self.others.append((scope["type"], await receive()))
            return
        body, more = b"", scope["method"] in guard.BODIES
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"{}"})


def asked(method="GET", path="/", *, names=("localhost", "Box.example", "::1"), inner=None, **how):
    inner = inner or Inner()
    return *asyncio.run(call(Guard(inner, names), method, path, **how)), inner


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8700", "box.example", "box.example:1", "[::1]", "[::1]:8700"])
def test_it_answers_under_the_names_it_knows(host):
    assert asked(headers={"host": host})[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", ":8700", "localhost:8700:1", "[::2]", "::2"]
)
def test_it_answers_under_no_other(host):
    status, headers, body, inner = asked(headers={"host": host})
    assert (status, inner.bodies) == (421, [])
    assert json.loads(body) == {
        "error": "it is not reached under this name", "remedy": "add the name to api.names, or ask localhost"
    }  # fmt: skip
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == len(body)
    assert headers["cache-control"] == "no-store", "a refusal has the headers too"


def test_a_body_under_another_name_gets_no_further():
    for method in ("POST", "PUT"):
        status, _, _, inner = asked(method, headers={"host": "evil.example"}, body=b"{}")
        assert (status, inner.bodies) == (421, [])


def test_a_request_without_a_host_is_none_of_ours():
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": [(b"x", b"localhost")]}
    asyncio.run(Guard(Inner(), ["localhost"])(scope, receive, send))
    assert sent[0]["status"] == 421


def test_every_answer_carries_the_headers_unless_it_has_its_own():
    headers = asked(inner=Inner([(b"Cache-Control", b"max-age=9"), (b"x", b"1")]))[1]
    assert headers["Cache-Control"] == "max-age=9"
    assert "cache-control" not in headers
    wanted = {name.decode(): value.decode() for name, value in HEADERS.items() if name != b"cache-control"}
    assert wanted.items() <= headers.items()
    assert wanted == {
        "content-security-policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }  # fmt: skip


def test_an_address_has_a_bound_with_its_query():
    assert LONGEST_PATH == 4096
    most = "/" + "a" * 4000 + "?" + "b" * 95
    assert asked(path=most)[0] == 200
    status, _, body, _ = asked(path=most + "b")
    assert (status, json.loads(body)["error"]) == (414, "the address is too long")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_body_has_a_bound_whole_or_in_parts(method):
    assert LARGEST == 262_144
    half = LARGEST // 2
    for chunks in ([b"x" * LARGEST], [b"x" * half, b"x" * half], [b"a", b"", b"b"]):
        status, _, _, inner = asked(method, chunks=chunks)
        assert (status, inner.bodies) == (200, [b"".join(chunks)])
    status, _, body, inner = asked(method, chunks=[b"x" * half, b"x" * half, b"x"])
    assert (status, json.loads(body)["error"], inner.bodies) == (413, "the body is too large", [])


def test_a_body_of_a_method_that_has_none_is_left_alone():
    assert asked("GET", body=b"[" * 100)[3].bodies == [b""]


def test_a_body_is_nested_so_deep_and_no_deeper():
    assert DEEPEST == 32
    assert asked("POST", body=b"[" * 32 + b"]" * 32)[0] == 200
    status, _, body, _ = asked("POST", body=b"[" * 33)
    assert (status, json.loads(body)["error"]) == (400, "the body is nested too deep")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", 0), (b"[]", 1), (b"[{}]", 2), (b"[][]{}", 1), (b'["[[["]', 1), (b'["\\"[["]', 1), (b'["\\\\",[]]', 2),
        (b'"\\\\"[', 1), (b"[[[]]]{", 3), (b"]][", 0), (b'{"a":{"}":1}}', 2), (b"\\[", 1), (b"[X]", 1), (b"[X[", 2),
    ],
)  # fmt: skip
def test_depth_counts_brackets_outside_of_texts(body, found):
    assert depth(body) == found


def test_who_hangs_up_has_sent_what_there_is():
    inner, sent, parts = (
        Inner(),
        [],
        [{"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.disconnect"}],
    )

    async def receive():
        return parts.pop(0)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": None,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    asyncio.run(Guard(inner, ["localhost"])(scope, receive, send))
    assert inner.bodies == [b"ab"]


def test_after_the_body_comes_whatever_comes_then():
    heard, parts = [], [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive():
        return parts.pop(0)

    async def inner(_scope, receive_again, _send):
        heard.extend([await receive_again(), await receive_again()])

    scope = {"type": "http", "method": "POST", "query_string": b"", "headers": [(b"host", b"localhost")]}
    asyncio.run(Guard(inner, ["localhost"])(scope, receive, inner))
    assert heard == [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]


def test_what_is_no_request_passes():
    inner = Inner()

    async def receive():
        return {"type": "lifespan.startup"}

    asyncio.run(Guard(inner, ["localhost"])({"type": "lifespan"}, receive, receive))
    assert inner.others == [("lifespan", {"type": "lifespan.startup"})]


def test_a_body_that_is_late_is_answered_with_how_long_it_may_take(monkeypatch):
    assert guard.BODY_SECONDS == 15.0
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.01)

    async def late():
        sent = []

        async def receive():
            await asyncio.sleep(60)

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "query_string": b"", "headers": [(b"host", b"localhost")]}
        await Guard(Inner(), ["localhost"])(scope, receive, send)
        return sent

    start, body = asyncio.run(late())
    assert (start["status"], json.loads(body["body"])["error"]) == (408, "the body did not come in time")
