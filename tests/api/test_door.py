"""The door alone: who is let in to do what, and what is said to whom is not; every request is made by hand."""

import asyncio
from datetime import UTC, datetime

import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request

from tests.api.parts import call
from trader.api.door import GUARDED, TEXTS, Door, Problem, Refusal, needs, problems, refuse, within
from trader.api.tokens import FREE_TRIES, Caller, Rate, Sessions, Throttle, Token, Vault

GOOD, OTHER = "x" * 40, "y" * 40
READS = Depends(needs("read"))


class Clock:
    at = 100.0

    def __call__(self):
        return self.at


class Bench:
    """A door with two tokens: `one` may read and control, `two` may read."""

    def __init__(self, *, requests=2, commands=1, proxies=()):
        self.clock = Clock()
        tokens = Token.of("one", GOOD, ["read", "control"]), Token.of("two", OTHER, ["read"])
        self.vault = Vault(tokens, lambda: datetime(2026, 1, 1, tzinfo=UTC))
        self.sessions = Sessions(self.clock)
        self.door = Door(
            self.vault,
            self.sessions,
            Throttle(self.clock),
            Rate(requests, self.clock),
            Rate(commands, self.clock),
            proxies,
        )

    def session(self, token=GOOD):
        return self.sessions.begin(self.vault.find(token), token)


def request(method="GET", *, peer="10.1.2.3", **headers):
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": method, "client": (peer, 1) if peer else None, "headers": named})


def refused(work, *arguments):
    with pytest.raises(Refusal) as caught:
        work(*arguments)
    return caught.value


def test_a_token_lets_its_owner_do_what_its_scopes_say():
    door = Bench().door
    assert door.enter(request(), GOOD, None, "read") == Caller("one", frozenset({"read", "control"}))
    assert door.enter(request("POST"), GOOD, None, "control").name == "one"
    no = refused(door.enter, request("POST"), OTHER, None, "control")
    assert (no.status, no.problem.error, no.headers) == (403, "two may not do this", {})
    assert "'control'" in no.problem.remedy


def test_who_shows_nothing_is_told_how():
    no = refused(Bench().door.enter, request(), None, None, "read")
    assert (no.status, no.problem.error) == (401, "a token is needed")
    assert no.headers == {"WWW-Authenticate": 'Bearer realm="trader"'}
    assert refused(Bench().door.enter, request(), None, "no such session", "read").status == 401


def test_a_wrong_token_does_not_fall_back_on_a_session():
    bench = Bench()
    no = refused(bench.door.enter, request(), "z" * 40, bench.session(), "read")
    assert (no.status, no.problem.error) == (401, "the token is wrong or expired")


def test_a_session_reads_as_it_is_and_changes_only_from_our_page():
    bench = Bench(requests=99, commands=99)
    enter, session = bench.door.enter, bench.session()
    assert enter(request(), None, session, "read").name == "one"
    assert enter(request("HEAD"), None, session, "read").name == "one"
    ours = {"x_trader": "1", "host": "localhost:8700"}
    for headers in (ours, ours | {"origin": "http://localhost:8700"}):
        assert enter(request("POST", **headers), None, session, "control").name == "one"
    for headers in (
        {}, {"host": "localhost:8700"}, ours | {"x_trader": "0"}, ours | {"origin": "http://evil.example"},
        ours | {"origin": "null"}, {"host": "localhost:8700", "origin": "http://localhost:8700"},
    ):  # fmt: skip
        no = refused(enter, request("POST", **headers), None, session, "control")
        assert (no.status, no.problem.error) == (403, "this did not come from the dashboard")
    assert enter(request("POST"), GOOD, None, "control").name == "one", "a token needs no such header"


def test_reading_and_changing_are_counted_apart_and_each_for_its_owner():
    bench = Bench(requests=2, commands=1)
    enter = bench.door.enter
    for method, most in (("GET", 2), ("POST", 1)):
        for _ in range(most):
            enter(request(method), GOOD, None, "read")
        no = refused(enter, request(method), GOOD, None, "read")
        assert (no.status, no.problem.error, no.headers) == (429, "too many requests", {"Retry-After": "1"})
    enter(request("HEAD"), OTHER, None, "read")
    bench.clock.at += 1.0
    enter(request(), GOOD, None, "read")


def test_who_guesses_waits_and_learns_nothing_meanwhile():
    bench = Bench()
    for _ in range(FREE_TRIES + 1):
        assert refused(bench.door.shown, "a", "z" * 40).status == 401
    no = refused(bench.door.shown, "a", GOOD)
    assert (no.status, no.problem.error, no.problem.remedy) == (
        429,
        "too many wrong tokens from this address",
        "wait 1 s",
    )
    assert no.headers == {"Retry-After": "1"}
    assert bench.door.shown("b", GOOD).name == "one"
    bench.clock.at += 1.0
    assert bench.door.shown("a", GOOD).name == "one"


def test_the_address_that_waits_is_the_one_that_our_proxy_names():
    bench = Bench(proxies=["127.0.0.1/32"])
    for _ in range(FREE_TRIES + 1):
        refused(bench.door.enter, request(peer="127.0.0.1", x_forwarded_for="203.0.113.9"), "z" * 40, None, "read")
    asked = {"203.0.113.9": 429, "203.0.113.8": 401}
    for told, status in asked.items():
        one = request(peer="127.0.0.1", x_forwarded_for=told)
        assert refused(bench.door.enter, one, "z" * 40, None, "read").status == status


def test_addresses_are_read_from_the_nearest_on_while_a_proxy_of_ours_speaks():
    door = Bench(proxies=["127.0.0.0/8", "10.9.0.0/16"]).door

    def seen(peer, told):
        return door.address(request(peer=peer, x_forwarded_for=told))

    assert seen("127.0.0.1", "1.2.3.4, 10.9.0.1") == "1.2.3.4"
    assert seen("127.0.0.1", " , ") == "127.0.0.1"
    assert seen("127.0.0.1", "a" * 200) == "a" * 100
    assert seen(None, "1.2.3.4") == ""
    assert door.address(request(peer="127.0.0.1")) == "127.0.0.1"


def test_an_address_is_in_a_network_or_it_is_not():
    assert within("10.1.2.3", ["192.0.2.0/24", "10.0.0.0/8"])
    assert not within("10.1.2.3", ["192.0.2.0/24"])
    assert not within("somebody", ["0.0.0.0/0"])
    assert not within("10.1.2.3", [])


def test_a_refusal_is_an_answer():
    full = Refusal(429, "no", "wait", outcome="duplicate", wait=1.2)
    assert full.headers == {"Retry-After": "2"}
    answer = asyncio.run(refuse(request(), full))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.body == b'{"error":"no","remedy":"wait","outcome":"duplicate"}'
    plain = Refusal(404, "no")
    assert (plain.headers, plain.problem) == ({}, Problem(error="no", remedy="", outcome=""))
    assert str(plain) == "no"


def asked(door, path="/", **how):
    """One request to a route that needs the scope `read`."""
    application = FastAPI()
    application.state.door = door
    application.add_exception_handler(Refusal, refuse)

    @application.get("/")
    @application.post("/")
    def who(caller: Caller = READS) -> dict[str, str]:
        return {"name": caller.name}

    return asyncio.run(call(application, how.pop("method", "GET"), path, **how))


def test_a_route_takes_a_token_or_a_cookie():
    bench = Bench(requests=99)
    assert asked(bench.door)[0] == 401
    assert asked(bench.door, headers={"Authorization": f"Bearer {GOOD}"})[::2] == (200, b'{"name":"one"}')
    assert asked(bench.door, headers={"Cookie": f"trader_session={bench.session()}"})[0] == 200
    assert asked(bench.door, headers={"Cookie": f"session={bench.session()}"})[0] == 401
    session = {"Cookie": f"trader_session={bench.session()}"}
    assert asked(bench.door, method="POST", headers=session)[0] == 403
    assert asked(bench.door, method="POST", headers=session | {"X-Trader": "1"})[0] == 200


def test_what_a_route_may_refuse_is_in_the_document():
    found = problems(401, 403)
    assert list(found) == [401, 403, 414, 421]
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    assert found[401] == {"description": TEXTS[401], "content": {"application/json": schema}}
    assert set(TEXTS) == {400, 401, 403, 404, 409, 413, 414, 421, 422, 428, 429, 503}
    assert GUARDED == (401, 403, 429)
