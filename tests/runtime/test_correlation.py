"""One id on every line of one story: from the receipt to the outcome, over remainders and restarts, and never another's."""

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.contracts.worlds import loopback
from tests.runtime.houses import bot
from tests.runtime.test_daemon import daemon, held, rating
from tests.services.parts import until
from trader import FallBy
from trader.core.facts import (
    AttemptEnded,
    BarClosed,
    Decided,
    ExitHit,
    Filled,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    PriceSeen,
    Refused,
    SignalsKnown,
    TargetSet,
    TimerDue,
)
from trader.core.instants import to_ns
from trader.core.records import CommandTaken, LinkChanged, SignalClosed, SignalReceived
from trader.runtime.correlation import Correlation
from trader.runtime.logs import Log, set_up

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)
NS = to_ns(AT)


def known(key, at=AT):
    return SignalsKnown(at, (), key=key)


def placed(order, cause, at=AT, mount="m"):
    return OrderPlaced(at, mount, order, "BTC/USDT", "gate", "buy", D(1), None, "why", cause)


def decided(at=AT):
    return Decided(at, "m", ("rating",), "why")


def target(asset="BTC/USDT", at=AT):
    return TargetSet(at, "m", asset, 0.5, (), "why")


def told(facts, causes=()):
    one, known_causes = Correlation(), dict(causes)
    one.cause_of = lambda mount, order: known_causes.get(order, "")
    found = []
    for fact in facts:
        if isinstance(fact, OrderPlaced):
            known_causes[fact.order] = fact.cause
        found.append(one.of(fact))
    return found


def test_what_follows_from_a_signal_carries_its_key():
    facts = [
        SignalReceived(AT, "k/1", "bus", "d", "", "", "{}"), known("k/1"), decided(), target(), placed(7, "signal:k/1"),
        OrderSending(AT, "m", 7), Filled(AT, "m", 7, "BTC/USDT", "gate", "buy", D(1), D(1), D(0), "quote", "w", "t"),
        AttemptEnded(AT, "m", 7, 1, D(1)), OrderClosed(AT, "m", 7, "BTC/USDT", "filled"), SignalClosed(AT, "k/1", "m", "traded"),
    ]  # fmt: skip
    assert told(facts) == ["k/1"] * len(facts)


def test_a_remainder_belongs_to_where_its_first_order_came_from():
    assert told([placed(9, "remainder:8:1")], {8: "after:7", 7: "signal:k/1"}) == ["k/1"]
    assert told([placed(9, "remainder:8:1")], {8: "exit:BTC/USDT:1:5"}) == ["exit:BTC/USDT:1:5"]
    assert told([placed(9, "remainder:8:1")]) == ["remainder:8:1"]
    assert told([placed(9, "after:9")], {9: "after:9"}) == ["after:9"], "a circle ends"


def test_what_was_not_decided_on_is_not_the_next_decisions_story():
    later = AT + timedelta(seconds=1)
    bar = BarClosed(later, "BTC/USDT", 1.0, 1.0, 1.0, 1.0, 1.0)
    timer = TimerDue(later, "m")
    story = f"bar:{to_ns(later)}"
    assert told([known("k/1"), bar, timer, decided(later), target(at=later)]) == [
        "k/1", story, f"timer:m:{to_ns(later)}", story, story,
    ]  # fmt: skip
    assert told([bar, decided(later), known("k/2", later), decided(later)])[2:] == ["k/2", "k/2"]


def test_of_what_is_told_at_once_the_signal_counts():
    bar = BarClosed(AT, "BTC/USDT", 1.0, 1.0, 1.0, 1.0, 1.0)
    assert told([bar, known("k/1"), known("k/2"), decided()]) == [f"bar:{NS}", "k/1", "k/2", "k/1"]


def test_an_exit_has_a_story_of_its_own_that_its_order_joins():
    hit = ExitHit(AT, "m", "BTC/USDT", 3, FallBy(0.1), D(90))
    story = f"exit:BTC/USDT:3:{NS}"
    facts = [PriceSeen(AT, "BTC/USDT", 90.0), hit, target(), target("ETH/USDT"), placed(1, story)]
    assert told(facts) == [f"price:BTC/USDT:{NS}", story, story, f"price:BTC/USDT:{NS}", story]


def test_a_command_has_its_key_and_a_link_none():
    assert told([CommandTaken(AT, "k1", "flatten", ""), decided(), LinkChanged(AT, "mqtt", True, "")]) == [
        "command:k1", "command:k1", "",
    ]  # fmt: skip


anything = some.one_of(
    some.text(max_size=5).map(known),
    some.just(decided()),
    some.just(Refused(AT, "m", "BTC/USDT", "r", D(1), D(0))),
    some.builds(
        placed, some.integers(0, 4), some.sampled_from(["after:1", "remainder:2:1", "after:x", "signal:k", ""])
    ),
    some.integers(0, 4).map(lambda n: OrderSending(AT, "m", n)),
)


@given(some.lists(anything, max_size=40))
def test_no_order_of_facts_makes_it_raise_and_an_order_has_one_story(facts):
    stories = told(facts)
    assert len(stories) == len(facts)
    assert all(isinstance(story, str) for story in stories)


STORY = {
    "SignalReceived", "SignalsKnown", "Decided", "TargetSet", "OrderPlaced", "OrderSending", "OrderAccepted", "Filled",
    "AttemptEnded", "OrderClosed", "SignalClosed",
}  # fmt: skip


@pytest.fixture
def lines():
    stream = io.StringIO()
    set_up(stream=stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def logged(desk):
    """Log the facts of a desk from now on, as `bench` arranges it."""
    log = Log()
    log.correlation.cause_of = desk.outbox.cause_of
    desk.keeper.listeners.append(log.fact)


async def test_the_log_of_a_real_daemon_tells_each_story_whole(tmp_path, lines):
    async with daemon("gate", tmp_path / "j.db") as (it, one, bus, _):
        logged(one.desk)
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) > 2 and one.desk.is_quiet)
        it.exchange.set_price("BTC/USDT", D(85), 0, half_spread=D("0.001"))
        await until(lambda: not held(one) and one.desk.is_quiet)
    written = lines()
    assert {line["event"] for line in written if line.get("correlation_id") == "test/1"} == STORY
    (hit,) = [line for line in written if line["event"] == "ExitHit"]
    story = {line["event"] for line in written if line.get("correlation_id") == hit["correlation_id"]}
    assert {"ExitHit", "OrderPlaced", "OrderSending", "Filled", "OrderClosed"} <= story
    assert [line for line in written if line["event"] in STORY | {"ExitHit"} and not line.get("correlation_id")] == []
    assert [line for line in written if line["event"] == "LinkChanged" and "correlation_id" in line] == []


async def test_an_order_keeps_its_story_over_a_restart(tmp_path, lines):
    async with loopback("gate") as it:
        it.exchange.set_price("BTC/USDT", D(100), it.clock.now_ms(), half_spread=D("0.001"))
        one = await bot(it, "gate", tmp_path / "j.db")
        await one.bar()
        await one.rate(BTC=50)
        await one.journal.close()
        again = await bot(it, "gate", tmp_path / "j.db")
        logged(again.desk)
        assert await again.reconciler.run()
        await again.desk.change("active", "reconciled")
        await again.work()
        await again.journal.close()
    closed = [line for line in lines() if line["event"] in {"OrderSending", "Filled", "OrderClosed"}]
    assert {line["event"] for line in closed} == {"OrderSending", "Filled", "OrderClosed"}
    assert {line["correlation_id"] for line in closed} == {"test/1-1"}
