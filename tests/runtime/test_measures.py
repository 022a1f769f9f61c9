"""What is counted and timed: facts in, numbers out; no order of facts makes it raise, and no name grows without bound."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.contracts.worlds import loopback
from tests.runtime.houses import bot, house
from trader.core.facts import (
    AttemptEnded,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
    ZombieSeen,
)
from trader.core.records import CommandTaken, SignalClosed, SignalReceived
from trader.core.risk import Gate, Limits
from trader.runtime import measures as measures_
from trader.runtime.measures import NAMES_MOST, Histogram, Measures, Tally
from trader.runtime.standing import measured, worth

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)


class Watch:
    """A stopwatch that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch(monkeypatch):
    found = Watch()
    monkeypatch.setattr(measures_, "perf_counter", found)
    return found


def placed(order=1, cause="signal:test/1", side="buy"):
    return OrderPlaced(AT, "m", order, "BTC/USDT", "gate", side, D(1), None, "why", cause)


def receipt(outcome="", key="test/1"):
    return SignalReceived(AT, key, "bus", "digest", outcome, "", "{}")


def filled(order=1):
    return Filled(AT, "m", order, "BTC/USDT", "gate", "buy", D(1), D(100), D(0), "quote", "why", "t1")


def count(plain, stage):
    return sum(plain["stages"][stage]["counts"])


def test_a_histogram_has_each_duration_in_one_bucket_and_a_bound_belongs_to_its_own():
    one = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 1.0, 7.0):
        one.add(seconds)
    assert one.plain() == {"bounds": [0.1, 1.0], "counts": [2, 2, 1], "sum": 8.65}


def test_each_stage_of_a_signal_is_timed_once_from_its_arrival_to_its_fill(watch):
    one, message = Measures(), object()
    one.came("mqtt", message)
    watch.now += 2
    one.taken(message)
    one.fold(receipt())
    watch.now += 1
    one.fold(placed())
    watch.now += 4
    one.fold(OrderSending(AT, "m", 1))
    watch.now += 8
    one.fold(OrderAccepted(AT, "m", 1, "v"))
    watch.now += 20
    one.fold(filled())
    one.fold(filled())
    one.fold(OrderSending(AT, "m", 1, attempt=2))
    found = one.plain()
    sums = {name: stage["sum"] for name, stage in found["stages"].items()}
    assert sums == {"queued": 2, "decided": 0, "kept": 0, "sending": 4, "answered": 0, "filled": 20}
    assert (found["to_wire"]["sum"], sum(found["to_wire"]["counts"])) == (7, 1)
    assert found["message_seconds_ago"] == {"mqtt": 35.0}
    assert (found["attempts"]["sent"], found["fills"]["buy"]) == (2, 2)


def test_an_arrival_belongs_to_the_message_that_was_taken_and_to_no_later_one(watch):
    one, message = Measures(), object()
    one.came("mqtt", message)
    one.taken(message)
    one.fold(receipt("duplicate"))
    watch.now += 50
    one.fold(receipt(key="test/2"))
    one.fold(placed(cause="signal:test/2"))
    one.fold(OrderSending(AT, "m", 1))
    assert one.plain()["to_wire"]["sum"] == 0


def test_the_ends_of_signals_and_orders_are_counted_by_their_first_word():
    one = Measures()
    told = [
        receipt("malformed"), receipt(), SignalClosed(AT, "test/1", "m", "refused weight_per_asset"),
        placed(), OrderSending(AT, "m", 1), OrderClosed(AT, "m", 1, "BTC/USDT", "refused BALANCE_NOT_ENOUGH"),
        placed(2, side="sell"), OrderSending(AT, "m", 2), AttemptEnded(AT, "m", 2, 1, D(0), "refused TOO_MANY"),
        CommandTaken(AT, "k", "halt", ""), ZombieSeen(AT, "m", 2, "c", "v"), OrderStuck(AT, "m", 2, ""),
    ]  # fmt: skip
    for fact in told:
        one.fold(fact)
    found = one.plain()
    signals = {name: many for name, many in found["signals"].items() if many}
    assert signals == {"malformed": 1, "refused": 1}
    assert found["orders"] == {"placed": {"buy": 1, "sell": 1}, "closed": {"filled": 0, "refused": 1}}
    assert {name: many for name, many in found["attempts"].items() if many} == {
        "sent": 2, "refused": 2, "zombie": 1, "stuck": 1,
    }  # fmt: skip
    assert found["commands"] == {"halt": 1}


def test_an_unknown_order_is_as_old_as_its_fact_and_one_of_an_earlier_process_as_the_process(watch):
    one = Measures()
    watch.now += 10
    one.fold(OrderUnknown(AT, "m", 1, "lost"))
    watch.now += 5
    assert one.unknown_seconds({}) == 0
    assert one.unknown_seconds({("m", 1): 1}) == 5
    assert one.unknown_seconds({("m", 1): 1, ("m", 7): 1}) == 15
    one.fold(OrderAbsent(AT, "m", 1, "proof"))
    watch.now += 1
    one.fold(OrderUnknown(AT, "m", 1, "lost"))
    assert one.unknown_seconds({("m", 1): 1}) == 0


names = some.integers(1, 3)
anything = some.one_of(
    names.map(placed),
    names.map(lambda n: OrderSending(AT, "m", n)),
    names.map(lambda n: OrderAccepted(AT, "m", n, "v")),
    names.map(lambda n: OrderUnknown(AT, "m", n, "")),
    names.map(lambda n: OrderAbsent(AT, "m", n, "")),
    names.map(lambda n: AttemptEnded(AT, "m", n, 1, D(0))),
    names.map(lambda n: OrderClosed(AT, "m", n, "BTC/USDT", "")),
    some.sampled_from([None, 1, 2]).map(filled),
    some.text(max_size=40).map(receipt),
    some.text(max_size=40).map(lambda text: SignalClosed(AT, text, "m", text)),
)


@given(some.lists(anything, max_size=60))
def test_no_order_of_facts_makes_it_raise(facts):
    one = Measures()
    for fact in facts:
        one.fold(fact)
    found = one.plain()
    assert found["attempts"]["sent"] == sum(isinstance(fact, OrderSending) for fact in facts)
    assert count(found, "sending") <= sum(isinstance(fact, OrderPlaced) for fact in facts)
    assert count(found, "filled") <= found["attempts"]["accepted"]


def test_names_and_memory_are_bounded(monkeypatch):
    monkeypatch.setattr(measures_, "MOST", 50)
    tally, one = Tally(), Measures()
    for number in range(500):
        tally.add(f"name{number} and more")
        one.fold(placed(number))
        one.fold(receipt(key=f"k{number}"))
        one.came(f"source{number}", object())
    assert len(tally.counts) == NAMES_MOST + 1
    assert tally.counts["other"] == 500 - NAMES_MOST
    assert max(len(one._decided), len(one._received), len(one._came)) <= 50
    assert len(one._heard) <= NAMES_MOST


async def test_a_real_order_fills_every_stage_that_needs_no_queue(tmp_path):
    async with house("gate", tmp_path / "j.db") as it:
        it.loop.exchange.set_price("BTC/USDT", D(100), it.loop.clock.now_ms(), half_spread=D("0.001"))
        await it.bar(price=100.0)
        assert (worth(it.desk), measured(it.made.house, 7)["drawdown"]) == (500, 0.0)
        await it.rate(BTC=50)
        await it.work()
        found = measured(it.made.house, 7)
        assert {name: count(found, name) > 0 for name in ("decided", "kept", "sending", "answered", "filled")} == dict.fromkeys(
            ("decided", "kept", "sending", "answered", "filled"), True
        )  # fmt: skip
        assert found["orders"]["closed"]["filled"] == 1
        assert found["facts"]["Filled"] == found["fills"]["buy"]
        equity = it.cash + it.held() * 100
        assert (D(found["equity"]), found["drawdown"] > 0, found["line"]) == (equity, True, 7)
        assert found["drawdown"] == pytest.approx(float(1 - equity / 500), abs=1e-6)
        assert found["memory_bytes"] > 10_000_000


async def test_the_drawdown_counts_from_where_its_limit_counts(tmp_path):
    async with loopback("gate") as it:
        one = await bot(it, "gate", tmp_path / "j.db")
        one.desk.engine.gate = Gate(Limits(drawdown=0.2))
        one.desk.engine.gate.highest = D(625)
        found = measured(one.made.house, 1)
        assert (found["drawdown"], found["drawdown_limit"]) == (0.2, 0.2)
        one.desk.engine.gate.resume()
        assert measured(one.made.house, 1)["drawdown"] == 0, "after a resume it counts anew"
        await one.journal.close()
