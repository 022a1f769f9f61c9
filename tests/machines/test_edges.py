"""Signatures and pages: nothing passes but what was signed, and a list is whole or refused."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.adapters.ccxt_venue import by_pages, by_windows
from trader.adapters.payloads import Payloads, compose, signed
from trader.core.instants import from_ns
from trader.ports import PayloadError, VenueDownError

secrets = st.text(min_size=1, max_size=40)
names = st.from_regex(r"[\x21-\x7e]{1,20}", fullmatch=True)


def message(value, at):
    return compose(source="s", kind="k", values={"A": value}, type_="event", issued_at=from_ns(at * 10**9))


bodies = st.builds(message, st.floats(-1e6, 1e6), st.integers(10**9, 2 * 10**9))


@given(bodies, st.dictionaries(names, secrets, min_size=1, max_size=4), st.data())
def test_what_was_signed_passes_and_says_the_same(body, keys, data):
    name = data.draw(st.sampled_from(sorted(keys)))
    assert Payloads(keys).read(signed(body, name, keys[name])) == Payloads().read(body)


def passes(keys, envelope):
    try:
        Payloads(keys).read(json.dumps(envelope).encode())
    except PayloadError as error:
        return error.outcome
    return "passes"


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(bodies, bodies, names, names, secrets, secrets, st.data())
def test_nothing_else_passes(body, other, name, stranger, secret, wrong, data):
    keys = {name: secret}
    good = json.loads(signed(body, name, secret))
    if other != body:
        assert passes(keys, {**good, "payload": other.decode()}) == "unauthenticated"
    if wrong != secret:
        assert passes(keys, json.loads(signed(body, name, wrong))) == "unauthenticated"
    if stranger != name:
        assert passes(keys, {**good, "key_id": stranger}) == "unauthenticated"
        assert passes({stranger: secret}, good) == "unauthenticated"
        assert passes(keys, json.loads(signed(body, stranger, ""))) == "unauthenticated"
    place = data.draw(st.integers(0, 63))
    digit = data.draw(st.sampled_from([one for one in "0123456789abcdefABCDEF é" if one != good["signature"][place]]))
    assert (
        passes(keys, {**good, "signature": good["signature"][:place] + digit + good["signature"][place + 1 :]})
        == "unauthenticated"
    )
    assert passes(keys, {**good, "signature": good["signature"][: data.draw(st.integers(0, 63))]}) == "unauthenticated"
    assert passes(keys, json.loads(body)) == "unauthenticated"


@given(st.lists(st.integers(), max_size=40), st.integers(1, 7))
def test_pages_are_asked_for_until_one_is_not_full(rows, size):
    asked = []

    async def page(number):
        asked.append(number)
        return rows[(number - 1) * size : number * size]

    assert asyncio.run(by_pages(page, size)) == rows
    assert asked == list(range(1, len(rows) // size + 2))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 6), st.integers(-5, 55), st.integers(0, 60))
def test_windows_give_every_row_once_or_say_that_they_cannot(times, most, since, length):
    """The venue shows the newest rows of a span, up to a limit, and says of none that it left some out."""
    rows, until = sorted(enumerate(times), key=lambda row: row[1]), since + length

    async def ask(begin, end):
        assert since <= begin <= end <= until
        return [row for row in rows if begin <= row[1] <= end][-most:]

    wanted = [row for row in rows if since <= row[1] <= until]
    crowded = any(sum(row[1] == at for row in wanted) >= most for at in set(times)) and len(wanted) >= most
    if crowded:
        with pytest.raises(VenueDownError, match="cannot be proven whole"):
            asyncio.run(by_windows(ask, since, until, most))
    else:
        assert sorted(asyncio.run(by_windows(ask, since, until, most))) == sorted(wanted)


@given(st.lists(st.integers(), min_size=1, max_size=30), st.integers(1, 5), st.data())
def test_an_answer_that_fails_is_no_end_of_the_list(rows, size, data):
    fails = data.draw(st.integers(1, len(rows) // size + 1))

    async def page(number):
        if number == fails:
            raise VenueDownError("no answer")
        return rows[(number - 1) * size : number * size]

    with pytest.raises(VenueDownError):
        asyncio.run(by_pages(page, size))
