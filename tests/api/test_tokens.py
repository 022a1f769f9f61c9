"""Tokens, sessions, and what slows people down, by a clock that is told what time it is."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from tests.api.parts import call
from trader.api import guard, tokens
from trader.api.door import Door
from trader.api.guard import depth
from trader.api.tokens import FREE_TRIES, LONGEST_WAIT, SESSION_SECONDS, Rate, Sessions, Throttle, Token, Vault

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = "x" * 40


class Clock:
    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


def vault(*tokens, now=lambda: NOW):
    return Vault(tokens, now)


def test_a_token_is_found_by_all_of_it_alone():
    found = vault(Token.of("one", GOOD, ["read"]), Token.of("two", "y" * 40, ["read", "control"]))
    assert found.find(GOOD).name == "one"
    assert found.find("y" * 40).scopes == {"read", "control"}
    for wrong in ("", GOOD[:-1], GOOD + "x", GOOD.upper(), "y" * 39):
        assert found.find(wrong) is None


def test_a_short_token_is_refused_with_what_helps():
    with pytest.raises(ValueError, match=r"23 characters are too few; at least 24.*openssl"):
        Token.of("short", "x" * 23, ["read"])


def test_a_token_ends_when_it_expires_and_takes_its_sessions_along():
    at, clock = [NOW], Clock()
    held = vault(Token.of("one", GOOD, ["read"], NOW + timedelta(hours=1)), now=lambda: at[0])
    sessions = Sessions(clock)
    cookie = sessions.begin(held.find(GOOD), GOOD)
    assert sessions.find(cookie, held).name == "one"
    at[0] = NOW + timedelta(hours=1)
    assert held.find(GOOD) is None
    assert sessions.find(cookie, held) is None


def test_a_session_ends_by_itself_and_by_leaving():
    clock, held = Clock(), vault(Token.of("one", GOOD, ["read"]))
    sessions = Sessions(clock)
    first, second = (sessions.begin(held.find(GOOD), GOOD) for _ in range(2))
    assert first != second
    sessions.end(first)
    assert sessions.find(first, held) is None
    assert sessions.find(second, held) is not None
    clock.at += SESSION_SECONDS
    assert sessions.find(second, held) is None


def test_who_guesses_waits_longer_and_longer_and_nobody_else_does():
    clock = Clock()
    throttle, waits = Throttle(clock), []
    for _ in range(FREE_TRIES + 14):
        throttle.failed("a")
        waits.append(throttle.wait("a"))
        clock.at += throttle.wait("a")
    assert waits[:FREE_TRIES] == [0.0] * FREE_TRIES
    assert waits[FREE_TRIES : FREE_TRIES + 5] == [1, 2, 4, 8, 16]
    assert waits[-1] == LONGEST_WAIT
    assert throttle.wait("b") == 0
    clock.at += 10_000
    throttle.failed("b")
    assert throttle.wait("a") == 0
    throttle.failed("a")
    assert throttle.wait("a") == 0  # forgotten


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200), st.integers(1, 20))
def test_no_more_than_the_rate_gets_through(pauses, per_second):
    clock = Clock()
    rate, taken = Rate(per_second, clock), []
    for pause in pauses:
        clock.at += pause
        if rate.take("one"):
            taken.append(clock.at)
    for begin in taken:
        assert sum(begin <= at <= begin + 1 for at in taken) <= 2 * per_second


def test_the_limits_are_those_that_the_documents_name():
    found = tokens.SHORTEST, SESSION_SECONDS, tokens.SESSIONS_MOST, tokens.ADDRESSES_MOST, FREE_TRIES, tokens.FIRST_WAIT
    assert found == (24, 43_200, 1_000, 10_000, 5, 1)
    assert (LONGEST_WAIT, tokens.FORGOTTEN_AFTER) == (300, 900)
    assert Token.of("one", "x" * 24, ["read"]).scopes == {"read"}


def test_a_session_ends_to_the_second_and_is_forgotten_then():
    clock, found = Clock(), vault(Token.of("one", GOOD, ["read"]))
    sessions = Sessions(clock)
    cookie = sessions.begin(found.find(GOOD), GOOD)
    assert len(cookie) == 43, "32 bytes of chance"
    clock.at += SESSION_SECONDS - 0.001
    assert sessions.find(cookie, found).name == "one"
    assert sessions.find(cookie + "x", found) is None
    clock.at += 0.001
    assert sessions.find(cookie, found) is None
    clock.at -= 10
    assert sessions.find(cookie, found) is None
    sessions.end("no such session")


def test_of_too_many_sessions_the_oldest_end(monkeypatch):
    monkeypatch.setattr(tokens, "SESSIONS_MOST", 3)
    found = vault(Token.of("one", GOOD, ["read"]))
    sessions = Sessions(Clock())
    cookies = [sessions.begin(found.find(GOOD), GOOD) for _ in range(5)]
    assert [sessions.find(one, found) is not None for one in cookies] == [False, False, True, True, True]


def test_failures_are_forgotten_a_while_after_the_wait_is_over():
    for seconds, is_forgotten in ((900.0, False), (900.001, True)):
        clock = Clock()
        throttle = Throttle(clock)
        for _ in range(FREE_TRIES + 1):
            throttle.failed("a")
        assert throttle.wait("a") == 1.0
        clock.at += 1.0 + seconds
        assert throttle.wait("a") == 0.0
        throttle.failed("a")
        assert throttle.wait("a") == (0.0 if is_forgotten else 2.0)


def test_an_address_that_never_failed_does_not_wait_whatever_the_clock_says():
    clock = Clock()
    clock.at = 0.0
    throttle = Throttle(clock)
    assert throttle.wait("a") == 0.0
    throttle.failed("a")
    assert throttle.wait("a") == 0.0


def test_of_too_many_addresses_those_that_failed_longest_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(tokens, "ADDRESSES_MOST", 2)
    throttle, rate = Throttle(Clock()), Rate(1, Clock())
    for address in "abc":
        for _ in range(FREE_TRIES + 1):
            throttle.failed(address)
        assert rate.take(address)
    assert [throttle.wait(address) > 0 for address in "abc"] == [False, True, True]
    assert [rate.take(name) for name in "cba"] == [False, False, True]


def test_a_rate_lets_a_second_of_it_through_at_once_and_fills_up_again_evenly():
    clock = Clock()
    rate = Rate(4, clock)
    assert [rate.take("a") for _ in range(6)] == [True] * 4 + [False] * 2
    assert rate.take("b") is True
    for pause, is_in in ((0.25, True), (0.125, False), (0.125, True), (0.0, False)):
        clock.at += pause
        assert rate.take("a") is is_in
    clock.at += 100.0
    assert [rate.take("a") for _ in range(6)] == [True] * 4 + [False] * 2, "no more than a second's worth is saved up"


JSON = st.recursive(
    st.none() | st.integers() | st.text(alphabet='ab"\\[]{}', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"\\[{', max_size=3), inner, max_size=3)
    ),
    max_leaves=30,
)


@given(JSON)
def test_depth_is_what_a_reader_finds(value):
    import json

    def deep(one):
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else None
        return 0 if inner is None else 1 + max(map(deep, inner), default=0)

    assert depth(json.dumps(value).encode()) == deep(value)


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    async def inner(_scope, _receive, _send):
        raise AssertionError("it must not get here")

    monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)
    application = guard.Guard(inner, ["localhost"])

    async def slow():
        sent = []

        async def receive():
            await asyncio.sleep(10)

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        await application(scope, receive, send)
        return sent[0]["status"]

    assert asyncio.run(slow()) == 408


def test_a_body_in_parts_is_one_body_and_has_a_bound():
    heard = []

    async def inner(_scope, receive, send):
        heard.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    application = guard.Guard(inner, ["localhost"])
    status, headers, _ = asyncio.run(call(application, "POST", "/", chunks=[b"[1,", b"2]"]))
    assert (status, heard) == (200, [b"[1,2]"])
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert asyncio.run(call(application, "POST", "/", chunks=[b"x" * 200_000] * 2))[0] == 413
    assert heard == [b"[1,2]"]


def test_a_proxy_of_ours_says_for_whom_it_asks_and_nobody_else():
    door = Door(vault(), Sessions(Clock()), Throttle(Clock()), Rate(9, Clock()), Rate(9, Clock()), ["127.0.0.1/32"])

    def seen(peer, told):
        scope = {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", told.encode())]}
        return door.address(Request(scope))

    assert seen("127.0.0.1", "203.0.113.9") == "203.0.113.9"
    assert (
        seen("127.0.0.1", "1.2.3.4, 203.0.113.9") == "203.0.113.9"
    )  # what a client claims stands before what the proxy saw
    assert seen("203.0.113.9", "127.0.0.1") == "203.0.113.9"
    assert seen("127.0.0.1", "") == "127.0.0.1"
