"""The life of an order, state by state: what each may be told, and what becomes of it."""

import pytest

from trader.core.orders import FLYING, LIFE, LifeCycleError, Order, next_state, sells_first

LIVES = {
    "placed": {"OrderSending": "sending", "OrderClosed": "closed"},
    "sending": {"OrderAccepted": "accepted", "OrderUnknown": "unknown", "AttemptEnded": "placed", "OrderClosed": "closed"},
    "accepted": {"OrderUnknown": "unknown", "AttemptEnded": "placed", "OrderClosed": "closed"},
    "unknown": {"OrderAccepted": "accepted", "OrderAbsent": "absent", "OrderStuck": "stuck", "OrderClosed": "closed"},
    "absent": {"OrderSending": "sending", "OrderClosed": "closed"},
    "stuck": {"OrderAccepted": "accepted", "OrderAbsent": "absent", "OrderClosed": "closed"},
    "closed": {},
}  # fmt: skip
TOLD = sorted({fact for one in LIVES.values() for fact in one})


@pytest.mark.parametrize("state", LIVES)
@pytest.mark.parametrize("fact", [*TOLD, "Filled"])
def test_each_state_allows_what_it_allows_and_nothing_else(state, fact):
    if fact in LIVES[state]:
        assert next_state(state, fact) == LIVES[state][fact]
        return
    with pytest.raises(LifeCycleError, match=f"an order that is {state} cannot become {fact}"):
        next_state(state, fact)


def test_a_state_that_there_is_not_has_no_future():
    assert set(LIFE) == set(LIVES)
    with pytest.raises(LifeCycleError):
        next_state("open", "OrderClosed")


def test_what_the_venue_has_or_may_have_is_on_its_way():
    assert {"sending", "accepted", "unknown", "stuck"} == FLYING


def order(number=1, *, side=1, quantity=2.0, spend=None, why="target", **more):
    return Order(number, "A", "gate", side, quantity, spend, why, 7, **more)


def test_an_order_begins_placed_with_all_of_it_left():
    one = order()
    found = [getattr(one, name) for name in Order.__slots__]
    assert found == ["A", False, 2.0, 1, 7, 2.0, 1, None, "placed", "gate", "target"]
    assert order(quantity=None, spend=50.0).left == 50.0
    assert order(quantity=0.0, spend=50.0).left == 0.0


@pytest.mark.parametrize(
    ("why", "waits", "whole"),
    [
        ("exit After(9d)", True, True), ("exit Below(45)", True, True), ("exit Above(45)", True, True),
        ("exit FallBy(0.1)", False, True), ("exit After(9d) (share 0.5)", True, False), ("exit RiseBy(0.1) (share 0.5)", False, False),
    ],
)  # fmt: skip
def test_an_exit_says_in_its_reason_whether_it_waits_and_whether_it_is_of_all(why, waits, whole):
    one = order(side=-1, why=why, is_exit=True)
    assert (one.waits, one.is_whole) == (waits, whole)
    other = order(side=-1, why=why)
    assert (other.waits, other.is_whole) == (False, False), "what a strategy decided is no exit, whatever it is called"


def test_sells_go_before_buys_and_both_in_the_order_of_placement():
    orders = [order(4, side=1), order(3, side=-1), order(2, side=1), order(1, side=-1)]
    assert [one.number for one in sells_first(orders)] == [1, 3, 2, 4]
