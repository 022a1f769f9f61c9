"""What a venue's news about an order means: it is booked, what is left goes on, and a decision waits while nobody knows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from trader import Decision, FallBy, Signal, Target, Wants
from trader.core.book import Mount
from trader.core.engine import Engine
from trader.core.facts import (
    AttemptEnded,
    BarClosed,
    Filled,
    Halted,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderUnknown,
    PriceSeen,
    Refused,
    Resumed,
    SignalsKnown,
)
from trader.core.feed import Feed
from trader.core.instruments import Instrument, Terms, exactly
from trader.core.orders import LifeCycleError

START = datetime(2024, 1, 1, tzinfo=UTC)
D = Decimal


class Follows:
    """Holds what the newest rating says, in percent of equity, with a stop."""

    wants = Wants(ratings=("weight",), on_fill=True)

    def decide(self, view):
        weights = view.ratings("weight")
        sizes = {asset: weights[asset] / 100 for asset in weights}
        return Decision.change({a: Target(size, (FallBy(0.1),)) if size else 0.0 for a, size in sizes.items()})


def at(hours):
    return START + timedelta(hours=hours)


@pytest.fixture
def engine():
    terms = Terms(Instrument("A", "gate", "A/USDT", tick=0.01, lot=0.001, min_notional=3), "quote", exactly)
    mount = Mount("m", {"A": [terms]}, {"gate": D(1000)}, D(0))
    one = Engine(Follows(), mount, Feed(["A"], exactly), exactly, None)
    one.handle(BarClosed(at(0), "A", 100, 100, 100, 100, 1))
    return one


def rating(hours, value):
    return SignalsKnown(at(hours), (Signal("A", "weight", value, at(hours), at(hours)),))


def sent(engine, hours, order=1, attempt=1):
    sending = OrderSending(at(hours), "m", order, f"id{order}{attempt}", attempt)
    assert engine.learn(sending, OrderAccepted(at(hours), "m", order, "v1")) == []


def fill(hours, order, quantity, side="buy", trade="t1"):
    return Filled(at(hours), "m", order, "A", "gate", side, D(quantity), D(100), D(0), "quote", "target", trade)


def kinds(facts):
    return [type(fact).__name__ for fact in facts]


def test_a_whole_fill_closes_the_order_when_the_attempt_ends(engine):
    (placed,) = [one for one in engine.handle(rating(1, 50)) if isinstance(one, OrderPlaced)]
    assert placed.quantity == 5
    sent(engine, 2)
    assert engine.learn(fill(2, 1, "5")) == []
    (closed,) = engine.learn(AttemptEnded(at(2), "m", 1, 1, D(5)))
    assert (type(closed), closed.reason) == (OrderClosed, "filled")
    assert engine.mount.ledger.cash == {"gate": 500}


def test_what_is_left_after_an_attempt_is_placed_again(engine):
    engine.handle(rating(1, 50))
    sent(engine, 2)
    engine.learn(fill(2, 1, "2"))
    assert engine.learn(AttemptEnded(at(2), "m", 1, 1, D(2))) == []
    order = engine.mount.orders["A"]
    assert (order.state, order.left) == ("placed", 3)
    sent(engine, 3, attempt=2)


def test_a_decision_waits_while_an_order_is_unknown_and_is_carried_out_when_it_is_known(engine):
    engine.handle(rating(1, 50))
    engine.learn(OrderSending(at(2), "m", 1, "id11", 1), OrderUnknown(at(2), "m", 1, "no answer"))
    refused = [one for one in engine.handle(rating(3, 0)) if isinstance(one, Refused)]
    assert [one.rule for one in refused] == ["in_flight"]
    assert engine.mount.targets == {}
    engine.learn(OrderAccepted(at(4), "m", 1, "v1"), fill(4, 1, "5"))
    followed = engine.learn(AttemptEnded(at(4), "m", 1, 1, D(5)))
    assert kinds(followed) == ["OrderClosed", "OrderPlaced"]
    assert (followed[1].side, followed[1].quantity) == ("sell", 5)


def test_a_waiting_decision_replaces_an_order_that_is_proven_absent(engine):
    engine.handle(rating(1, 50))
    engine.learn(OrderSending(at(2), "m", 1, "id11", 1), OrderUnknown(at(2), "m", 1, "no answer"))
    engine.handle(rating(3, 20))
    followed = engine.learn(OrderAbsent(at(4), "m", 1, "not in two scans"))
    assert kinds(followed) == ["OrderClosed", "OrderPlaced"]
    assert (followed[0].reason, followed[1].quantity) == ("replaced", 2)


def test_no_exit_acts_while_it_is_not_known_what_is_held(engine):
    engine.handle(rating(1, 50))
    sent(engine, 2)
    engine.learn(fill(2, 1, "2"))
    assert "ExitHit" not in kinds(engine.handle(PriceSeen(at(3), "A", 50)))
    engine.learn(AttemptEnded(at(3), "m", 1, 1, D(2)))
    followed = engine.handle(PriceSeen(at(4), "A", 50))
    assert kinds(followed)[:3] == ["ExitHit", "OrderClosed", "OrderPlaced"]
    assert followed[2].quantity == 2


def test_a_fill_wakes_who_wants_it_at_the_next_instant(engine):
    engine.handle(rating(1, 50))
    sent(engine, 2)
    engine.learn(fill(2, 1, "5"), AttemptEnded(at(2), "m", 1, 1, D(5)))
    followed = engine.handle(BarClosed(at(3), "A", 100, 100, 100, 100, 1))
    assert followed[0].causes == ("fill",)
    assert engine.handle(BarClosed(at(4), "A", 100, 100, 100, 100, 1)) == []


def test_a_fill_after_the_end_of_its_order_is_still_booked(engine):
    engine.handle(rating(1, 50))
    sent(engine, 2)
    engine.learn(OrderClosed(at(2), "m", 1, "A", "refused X"))
    engine.learn(fill(3, 1, "5"))
    assert engine.mount.ledger.holdings["A"].quantity == 5


def test_halted_opens_nothing_and_leaves_all_the_same(engine):
    engine.handle(rating(1, 50))
    sent(engine, 2)
    engine.learn(fill(2, 1, "5"), AttemptEnded(at(2), "m", 1, 1, D(5)), Halted(at(3), "m", "operator"))
    assert [one.rule for one in engine.handle(rating(4, 80)) if isinstance(one, Refused)] == ["halted"]
    assert kinds(engine.handle(rating(5, 0)))[-1] == "OrderPlaced"
    engine.learn(OrderClosed(at(5), "m", 2, "A", "refused X"), Resumed(at(6), "m", "operator"))
    assert kinds(engine.handle(rating(7, 80)))[-1] == "OrderPlaced"


def test_an_attempt_cannot_end_before_the_venue_has_it(engine):
    engine.handle(rating(1, 50))
    with pytest.raises(LifeCycleError):
        engine.learn(AttemptEnded(at(2), "m", 1, 1, D(0)))
