"""The book fact by fact: what each leaves in it, and what it leaves alone."""

from datetime import UTC, datetime

import pytest

from trader.core.book import (
    Book,
    Mount,
    book_close,
    book_cut,
    book_lapse,
    book_order,
    book_target,
)
from trader.core.exits import FallBy, RiseBy
from trader.core.facts import (
    AttemptEnded,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderCut,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
    Refused,
    TargetSet,
)
from trader.core.instants import to_ns
from trader.core.instruments import Instrument, Terms, plainly
from trader.core.orders import Order
from trader.core.strategy import Target

AT = datetime(2024, 1, 1, tzinfo=UTC)
STOP, GOAL = FallBy(0.1), RiseBy(0.5)


def terms(asset, venue="gate", lot=0.1):
    return Terms(Instrument(asset, venue, lot=lot), "quote", plainly)


def mounted(name="m", cash=1000.0):
    every = {"A": [terms("A")], "B": [terms("B", "gate"), terms("B", "mexc", 1.0)]}
    return Mount(name, every, {"gate": cash}, 0.0)


@pytest.fixture
def mount():
    return mounted()


@pytest.fixture
def book(mount):
    return Book({"m": mount, "n": mounted("n")}, plainly)


def placed(number=1, asset="A", *, side="buy", quantity=2.0, spend=None, why="target", mount="m"):
    return OrderPlaced(AT, mount, number, asset, "gate", side, quantity, spend, why)


def filled(number=1, asset="A", *, side="buy", quantity=2.0, price=10.0, fee=0.0, fee_asset="quote", at=AT):
    return Filled(at, "m", number, asset, "gate", side, quantity, price, fee, fee_asset, "target")


def bought(book, quantity=2.0, exits=(STOP,), asset="A"):
    for fact in (
        TargetSet(AT, "m", asset, 0.5, exits, "why"), placed(1, asset, quantity=quantity),
        filled(1, asset, quantity=quantity), OrderClosed(AT, "m", 1, asset, "filled"),
    ):  # fmt: skip
        book.apply(fact)
    book.mounts["m"].touched.clear()


# Targets


def test_a_target_stands_and_is_news_where_it_differs(mount):
    assert book_target(mount, "A", Target(0.5, (STOP,), 0.1, "why"))
    assert mount.targets == {"A": Target(0.5, (STOP,), 0.1, "why")}
    assert not book_target(mount, "A", mount.targets["A"])
    assert not book_target(mount, "A", Target(0.5, (STOP,)))
    assert book_target(mount, "A", Target(0.6, (STOP,)))
    assert book_target(mount, "A", Target(0.6, (GOAL,)))
    assert mount.targets == {"A": Target(0.6, (GOAL,))}


def test_what_changes_about_a_target_is_touched(mount):
    book_target(mount, "A", Target(0.5, (STOP,)))
    assert mount.touched == ["A"]
    book_target(mount, "A", Target(0.6, (STOP,)))
    assert mount.touched == ["A"], "another size arms nothing anew"
    book_target(mount, "A", Target(0.6, (GOAL,)))
    assert mount.touched == ["A", "A"]
    book_target(mount, "A", Target(0.0))
    assert mount.touched == ["A", "A", "A"]


def test_a_target_of_nothing_takes_it_off_and_keeps_its_exits_armed(mount):
    assert not book_target(mount, "A", Target(0.0))
    book_target(mount, "A", Target(0.5, (STOP,)))
    assert book_target(mount, "A", Target(0.0))
    assert (mount.targets, mount.leaving) == ({}, {"A": (STOP,)})
    book_target(mount, "B", Target(0.5))
    book_target(mount, "B", Target(0.0))
    assert mount.leaving == {"A": (STOP,)}, "one without exits keeps none"


def test_changed_exits_arm_anew_and_the_same_ones_do_not(mount):
    book_target(mount, "A", Target(0.5, (STOP, GOAL)))
    mount.spent["A"], mount.spent["B"] = {1}, {2}
    book_target(mount, "A", Target(0.6, (STOP, GOAL)))
    assert mount.spent == {"A": {1}, "B": {2}}
    book_target(mount, "A", Target(0.6, (GOAL,)))
    assert mount.spent == {"B": {2}}


def test_a_leave_that_is_taken_back_re_arms_nothing(mount):
    book_target(mount, "A", Target(0.5, (STOP,)))
    mount.spent["A"] = {0}
    book_target(mount, "A", Target(0.0))
    mount.touched.clear()
    assert book_target(mount, "A", Target(0.5, (STOP,)))
    assert (mount.spent, mount.leaving, mount.touched) == ({"A": {0}}, {}, ["A"])


# Orders


def test_a_placed_order_works(book, mount):
    book.apply(placed(3, why="exit FallBy", side="sell", quantity=None, spend=50.0))
    order = mount.orders["A"]
    assert (order.number, order.side, order.quantity, order.spend, order.left) == (3, -1, None, 50.0, 50.0)
    assert (order.venue, order.why, order.placed_ns, order.is_exit) == ("gate", "exit FallBy", to_ns(AT), True)
    assert (mount.exiting, mount.orders_made, mount.placed) == ({"A": 3}, 3, [order])
    book.apply(placed(4, "B"))
    assert (mount.orders["B"].side, mount.orders["B"].is_exit, mount.exiting) == (1, False, {"A": 3})


def test_what_is_told_of_an_order_moves_it_and_no_other(book, mount):
    book.apply(placed(1))
    book.apply(placed(2, "B"))
    for fact, state in (
        (OrderSending(AT, "m", 1), "sending"), (OrderUnknown(AT, "m", 1), "unknown"), (OrderStuck(AT, "m", 1, ""), "stuck"),
        (OrderAbsent(AT, "m", 1, ""), "absent"), (OrderSending(AT, "m", 1), "sending"), (OrderAccepted(AT, "m", 1), "accepted"),
        (AttemptEnded(AT, "m", 1, 2, 0.0), "placed"),
    ):  # fmt: skip
        book.apply(fact)
        assert (mount.orders["A"].state, mount.orders["B"].state) == (state, "placed")


def test_a_closed_order_works_no_more_and_its_target_lapses_where_nothing_is_held(book, mount):
    for asset, number in (("A", 1), ("B", 2)):
        book.apply(TargetSet(AT, "m", asset, 0.5, (), ""))
        book.apply(placed(number, asset))
    order = mount.orders["A"]
    mount.touched.clear()
    book.apply(OrderClosed(AT, "m", 1, "A", "cash"))
    assert (list(mount.orders), list(mount.targets), mount.touched, order.state) == (["B"], ["B"], ["A"], "closed")
    with pytest.raises(AssertionError, match="order 9 of B is not the working one"):
        book.apply(OrderClosed(AT, "m", 9, "B", "cash"))


@pytest.mark.parametrize("reason", ["replaced", "exit", "joined"])
def test_an_order_that_makes_room_for_another_lets_the_target_stand(book, mount, reason):
    book.apply(TargetSet(AT, "m", "A", 0.5, (), ""))
    book.apply(placed())
    book.apply(OrderClosed(AT, "m", 1, "A", reason))
    assert (mount.orders, list(mount.targets)) == ({}, ["A"])


def test_closing_an_exits_order_ends_the_exit_and_no_other(mount):
    one, other = (Order(n, "A", "gate", -1, 1.0, None, "exit", 0, is_exit=True) for n in (1, 2))
    book_order(mount, one)
    mount.exiting["A"] = 2
    book_close(mount, one)
    assert (mount.orders, mount.exiting) == ({}, {"A": 2})
    book_order(mount, one)
    other.state = "placed"
    book_close(mount, other)
    assert (mount.orders, mount.exiting) == ({"A": one}, {}), "what it makes room for goes on"


def test_a_target_lapses_only_where_nothing_is_held_or_on_its_way(book, mount):
    bought(book)
    book_lapse(mount, "A")
    assert list(mount.targets) == ["A"]
    book.apply(TargetSet(AT, "m", "B", 0.5, (), ""))
    book.apply(placed(2, "B"))
    book_lapse(mount, "B")
    assert list(mount.targets) == ["A", "B"]
    book_lapse(mount, "C")
    assert mount.touched == ["B"]


def test_a_cut_leaves_less(book, mount):
    book.apply(placed())
    book.apply(OrderCut(AT, "m", 1, "A", 0.5))
    assert mount.orders["A"].left == 1.5
    book_cut(mount.orders["A"], 1.0)
    assert mount.orders["A"].left == 0.5


def test_a_refusal_takes_the_target_off_and_a_cut_does_not(book, mount):
    for allowed, left in ((1.0, ["A"]), (0.0, [])):
        book.apply(TargetSet(AT, "m", "A", 0.5, (), ""))
        book.apply(Refused(AT, "m", "A", "lot", 2.0, allowed))
        assert list(mount.targets) == left
