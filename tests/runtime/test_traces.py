"""A story as a tree of spans: from the receipt to the outcome, with each order, attempt, request and fill in its place."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as some

from trader.core.facts import (
    AttemptEnded,
    Decided,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderUnknown,
    SignalsKnown,
)
from trader.core.records import LinkChanged, SignalClosed, SignalReceived
from trader.runtime import traces as traces_
from trader.runtime.traces import Traces, trace_of

D = Decimal
AT = datetime(2024, 1, 1, tzinfo=UTC)


class House:
    """Traces with a clock by hand: each fact is on disk one second after the one before, and says half a second earlier."""

    def __init__(self):
        self.seconds, self.over, self.causes = 0, [], {}
        self.traces = Traces(self.now, lambda mount, order: self.causes.get(order, ""), self.hand_over)

    def now(self):
        return AT + timedelta(seconds=self.seconds)

    def hand_over(self, key, story):
        self.over.append((key, story))

    def tell(self, make):
        self.seconds += 1
        fact = make(self.now() - timedelta(seconds=0.5))
        if isinstance(fact, OrderPlaced):
            self.causes[fact.order] = fact.cause
        self.traces.fold(fact)


def at(ns):
    return ns / 1e9 - AT.timestamp()


def shape(span):
    return (span.name, at(span.begin_ns), at(span.end_ns), [shape(one) for one in span.inner])


def receipt(key="k/1", outcome=""):
    return lambda now: SignalReceived(now, key, "mqtt", "d", outcome, "", "{}")


def filled(now):
    return Filled(now, "m", 7, "BTC/USDT", "gate", "buy", D(1), D(100), D("0.2"), "quote", "w", "t1")


STORY = [
    receipt(), lambda now: SignalsKnown(now, (), key="k/1"), lambda now: Decided(now, "m", ("rating",), "better"),
    lambda now: OrderPlaced(now, "m", 7, "BTC/USDT", "gate", "buy", D(1), None, "w", "signal:k/1"),
    lambda now: OrderSending(now, "m", 7, "c1", 1, D(1), D(101)), lambda now: OrderUnknown(now, "m", 7, "no answer"),
    lambda now: OrderAbsent(now, "m", 7, "two scans"), lambda now: OrderSending(now, "m", 7, "c2", 2, D(1), D(102)),
    lambda now: OrderAccepted(now, "m", 7, "v1"), filled, lambda now: AttemptEnded(now, "m", 7, 2, D(1)),
    lambda now: OrderClosed(now, "m", 7, "BTC/USDT", "filled"), lambda now: SignalClosed(now, "k/1", "m", "traded"),
]  # fmt: skip


def test_a_story_is_one_tree_from_its_receipt_to_its_outcome():
    house = House()
    for make in STORY:
        house.tell(make)
    ((key, story),) = house.over
    trace = trace_of(key, story)
    assert shape(trace) == (
        "signal", 0.5, 13.0, [
            ("decision", 2.5, 3.0, []),
            ("order", 4.0, 12.0, [
                ("attempt", 4.5, 7.0, [("request", 5.0, 5.5, [])]),
                ("attempt", 7.5, 12.0, [("request", 8.0, 8.5, []), ("fill", 8.5, 9.5, [])]),
            ]),
        ],
    )  # fmt: skip
    assert trace.attributes == {
        "correlation_id": "k/1", "source": "mqtt", "outcome": "traded", "mount": "m", "signals": 0,
    }  # fmt: skip
    lost, found = trace.inner[1].inner
    assert "no answer" in lost.error
    assert "two scans" in lost.error
    assert (found.error, found.attributes["client_id"], found.inner[1].attributes["price"]) == ("", "c2", "100")


def test_what_ends_at_the_door_is_a_trace_of_one_span():
    house = House()
    house.tell(receipt("k/2", "duplicate"))
    ((key, story),) = house.over
    assert shape(trace_of(key, story)) == ("signal", 0.5, 1.0, [])
    assert trace_of(key, story).attributes["outcome"] == "duplicate"


def test_a_refusal_is_an_error_of_its_order():
    house = House()
    for make in (*STORY[:5], lambda now: OrderClosed(now, "m", 7, "BTC/USDT", "refused BALANCE"), STORY[-1]):
        house.tell(make)
    order = trace_of(*house.over[0]).inner[1]
    assert (order.error, order.inner[0].error, order.inner[0].inner[0].error) == ("refused BALANCE",) * 3


def test_an_order_that_was_never_sent_has_no_attempt():
    house = House()
    for make in (*STORY[:4], lambda now: OrderClosed(now, "m", 7, "BTC/USDT", "expired"), STORY[-1]):
        house.tell(make)
    order = trace_of(*house.over[0]).inner[1]
    assert (order.attributes["end"], order.inner, order.error) == ("expired", (), "")


def test_a_story_of_an_earlier_process_and_what_belongs_to_none_are_no_traces():
    house = House()
    house.causes[7] = "signal:k/1"
    for make in (*STORY[4:], lambda now: LinkChanged(now, "mqtt", True, "")):
        house.tell(make)
    assert house.over == []
    assert house.traces._stories == {}


def test_stories_without_an_end_make_room(monkeypatch):
    monkeypatch.setattr(traces_, "STORIES_MOST", 10)
    monkeypatch.setattr(traces_, "FACTS_MOST", 5)
    house = House()
    for number in range(100):
        house.tell(receipt(f"k/{number}"))
    assert list(house.traces._stories) == [f"k/{number}" for number in range(90, 100)]
    for _ in range(50):
        house.tell(lambda now: SignalsKnown(now, (), key="k/99"))
    house.tell(lambda now: SignalClosed(now, "k/99", "m", "traded"))
    assert len(house.over[0][1]) == 6


@given(some.lists(some.sampled_from(STORY), max_size=50))
def test_no_order_of_facts_makes_it_raise_and_nothing_ends_before_it_begins(makes):
    house = House()
    for make in makes:
        house.tell(make)

    def check(span):
        for one in span.inner:
            assert one.begin_ns <= one.end_ns
            check(one)

    for key, story in house.over:
        check(trace_of(key, story))
