"""The book after fills, exits, bars and the rest."""

# ruff: noqa: F811 - fixtures of another file are arguments here

from datetime import timedelta

import pytest

from tests.core.test_book import AT, GOAL, STOP, book, bought, filled, mount, mounted, placed  # noqa: F401 - fixtures
from trader.core.book import (
    Book,
    Mount,
    book_close,
    book_dealt,
    book_filled,
    book_lapse,
    book_left,
    book_order,
    book_traded,
)
from trader.core.exits import FallBy
from trader.core.facts import (
    BarClosed,
    Decided,
    DustLeft,
    ExitHit,
    Halted,
    LinkChanged,
    MemoKept,
    Resumed,
    TargetSet,
    TimerDue,
    TimerSet,
)
from trader.core.instants import to_ns
from trader.core.instruments import plainly
from trader.core.orders import Order
from trader.core.strategy import Target

# Fills


def test_a_fill_is_booked_and_leaves_less_of_its_order(book, mount):
    book.apply(placed())
    book.apply(filled(quantity=0.5, fee=1.0, at=AT + timedelta(hours=1)))
    holding = mount.held("A")
    assert (holding.quantity, holding.entry, holding.opened_ns, mount.orders["A"].left) == (
        0.5,
        10.0,
        to_ns(AT) + 3600 * 10**9,
        1.5,
    )
    assert (mount.ledger.cash, mount.ledger.fees, mount.touched) == ({"gate": 994.0}, {"quote": 1.0}, ["A"])


@pytest.mark.parametrize(("fee_asset", "left"), [("quote", 29.0), ("X", 30.0), ("A", 30.0)])
def test_of_an_order_that_spends_money_the_fee_is_a_part_only_if_taken_in_money(book, mount, fee_asset, left):
    book.apply(placed(quantity=None, spend=50.0))
    book.apply(filled(quantity=2.0, fee=1.0, fee_asset=fee_asset))
    assert mount.orders["A"].left == left


def test_a_fill_of_another_order_than_the_working_one_is_booked_all_the_same(book, mount):
    book.apply(placed(2))
    book.apply(filled(1))
    assert (mount.orders["A"].left, mount.held("A").quantity) == (2.0, 2.0)
    book.apply(filled(None, "B", quantity=3.0))
    assert mount.held("B").quantity == 3.0
    book.apply(filled(None, "B", side="sell", quantity=1.0))
    assert mount.held("B").quantity == 2.0


def test_of_what_is_sold_less_than_a_lot_is_flat(book, mount):
    bought(book)
    mount.spent["A"], mount.leaving["A"], mount.exiting["A"] = {0}, (STOP,), 2
    book.apply(placed(2, side="sell", quantity=1.0))
    book.apply(filled(2, side="sell", quantity=1.0))
    assert (mount.held("A").quantity, mount.spent, mount.touched) == (1.0, {"A": {0}}, ["A"])
    book.apply(filled(2, side="sell", quantity=0.95))
    assert mount.held("A") is None
    assert mount.ledger.holdings["A"].quantity == pytest.approx(0.05)
    assert (mount.spent, mount.leaving, mount.exiting, mount.touched) == ({}, {}, {}, ["A"] * 3)


def test_a_bought_crumb_is_no_dust(mount):
    holding = book_filled(
        mount, None, asset="A", venue="gate", side=1, quantity=0.05, price=10.0, fee=0.0, fee_asset="quote", at_ns=1
    )
    assert (mount.held("A"), holding.quantity) == (holding, 0.05)


def test_of_what_is_sold_one_lot_and_less_than_one_unit_stay_held(book, mount):
    bought(book)
    book.apply(filled(2, side="sell", quantity=1.5))
    assert mount.held("A").quantity == 0.5


def test_what_is_oversold_is_flat(mount):
    def deal(side, quantity):
        return book_filled(
            mount,
            None,
            asset="A",
            venue="gate",
            side=side,
            quantity=quantity,
            price=1.0,
            fee=0.0,
            fee_asset="quote",
            at_ns=1,
        )

    deal(1, 1.0)
    assert deal(-1, 2.0).quantity == -1.0
    assert mount.held("A") is None


def test_terms_are_those_of_the_venue(mount):
    assert mount.terms_of("A", "anywhere").venue == "gate"
    assert [mount.terms_of("B", venue).venue for venue in ("gate", "mexc")] == ["gate", "mexc"]


def same(left, right):
    """Whether two mounts hold the same, orders and exits included."""

    def seen(one):
        holdings = {
            name: (held.quantity, held.entry, held.is_flat, held.venue) for name, held in one.ledger.holdings.items()
        }
        return holdings, one.ledger.cash, one.targets, one.orders, one.exiting, one.spent, one.leaving

    assert seen(left) == seen(right)


@pytest.mark.parametrize("is_exit", [False, True])
@pytest.mark.parametrize(("side", "quantity"), [(1, 1.0), (-1, 1.0), (-1, 1.95), (-1, 2.0)])
def test_the_short_ways_of_booking_are_the_long_ones(side, quantity, is_exit):
    """`book_traded` and `book_dealt` beside `book_filled`, `book_close` and `book_lapse`."""
    mounts = []
    for way in range(3):
        mount = mounted()
        bought(Book({"m": mount}, plainly), exits=(STOP, GOAL))
        mount.spent["A"] = {1}
        order = Order(2, "A", "gate", side, quantity, None, "why", 5, is_exit=is_exit)
        book_order(mount, order)
        if is_exit:
            mount.exiting["A"] = 2
        mount.exiting["B"] = 9
        if way == 0:
            book_filled(
                mount,
                order,
                asset="A",
                venue="gate",
                side=side,
                quantity=quantity,
                price=11.0,
                fee=0.5,
                fee_asset="quote",
                at_ns=9,
            )
            book_close(mount, order)
            book_lapse(mount, "A")
        elif way == 1:
            book_traded(mount, order, quantity, 11.0, 0.5, "quote", 9)
        else:
            mount.orders.clear()
            mount.exiting.pop("A", None)
            book_dealt(mount, "A", "gate", side, quantity, 11.0, 0.5, "quote", 9)
        if way < 2:
            assert (order.left, order.state) == (0.0, "closed")
        assert "A" in mount.touched
        mounts.append(mount)
    same(mounts[0], mounts[1])
    same(mounts[0], mounts[2])


def test_a_traded_order_ends_its_own_exit_alone(mount):
    order = Order(2, "A", "gate", 1, 1.0, None, "why", 5)
    book_order(mount, order)
    mount.exiting["A"] = 3
    book_traded(mount, order, 1.0, 10.0, 0.0, "quote", 9)
    assert mount.exiting == {"A": 3}


def test_a_holding_that_leaves_whole_is_flat_with_all_that_belonged_to_it(book, mount):
    bought(book)
    mount.spent["A"] = {0}
    book_left(mount, "A", 2.0, 11.0, 0.5, 9)
    assert (mount.held("A"), mount.targets, mount.spent, mount.touched) == (None, {}, {}, ["A"])
    assert mount.ledger.cash == {"gate": 1001.5}
    book_left(mount, "A", 0.0, 11.0, 0.0, 9)  # without a target
    assert mount.ledger.cash == {"gate": 1001.5}


# Exits, bars, and the rest


@pytest.mark.parametrize(("share", "targets", "leaving"), [(1.0, [], {"A": (STOP,)}), (0.5, ["A"], {})])
def test_an_exit_is_spent_and_one_of_all_takes_the_target_off(book, mount, share, targets, leaving):
    bought(book)
    book.apply(ExitHit(AT, "m", "A", 0, FallBy(0.1, share), 9.0))
    assert (mount.spent, list(mount.targets), mount.leaving, mount.touched) == ({"A": {0}}, targets, leaving, ["A"])
    book.apply(ExitHit(AT, "m", "A", 1, FallBy(0.1, share), 9.0))
    assert (mount.spent, mount.leaving) == ({"A": {0, 1}}, leaving)


def test_dust_is_flat(book, mount):
    bought(book)
    book.apply(DustLeft(AT, "m", "A"))
    assert (mount.held("A"), mount.ledger.holdings["A"].quantity, mount.touched) == (None, 2.0, ["A"])


def test_a_closed_bar_moves_the_peak_of_what_is_held_up_alone(book, mount):
    bought(book)
    for asset, high, peak in (("A", 9.0, 10.0), ("A", 12.0, 12.0), ("A", 11.0, 12.0), ("B", 99.0, 12.0)):
        book.apply(BarClosed(AT, asset, 1.0, high, 1.0, 1.0, 1.0))
        assert mount.held("A").peak == peak
    assert book.mounts["n"].ledger.holdings == {}
    book.apply(DustLeft(AT, "m", "A"))
    book.apply(BarClosed(AT, "A", 1.0, 99.0, 1.0, 1.0, 1.0))
    assert mount.ledger.holdings["A"].peak == 12.0


def test_a_timer_stands_until_it_is_due_or_was_answered(book, mount):
    later = AT + timedelta(days=1)
    for due in (AT, later):
        book.apply(TimerSet(AT, "m", due))
    assert mount.timers == {to_ns(AT), to_ns(later)}
    book.apply(Decided(AT, "m", ("every",), ""))
    assert mount.timers == {to_ns(AT), to_ns(later)}
    book.apply(Decided(AT, "m", ("timer",), ""))
    assert mount.timers == {to_ns(later)}
    book.apply(TimerDue(later, "m"))
    assert mount.timers == set()


def test_memo_and_halt_are_kept(book, mount):
    book.apply(MemoKept(AT, "m", {"a": 1}))
    book.apply(Halted(AT, "m", "drawdown"))
    assert (mount.memo, mount.halted, book.mounts["n"].halted) == ({"a": 1}, "drawdown", "")
    book.apply(Resumed(AT, "m", "me"))
    assert mount.halted == ""
    book.apply(LinkChanged(AT, "gate", True, ""))


def test_a_target_that_is_folded_has_its_exits(book, mount):
    book.apply(TargetSet(AT, "m", "A", 0.5, (STOP,), "why"))
    assert mount.targets == {"A": Target(0.5, (STOP,), 0.0, "why")}


def test_a_fresh_mount_is_empty():
    one = mounted()
    state = {name: getattr(one, name) for name in Mount.STATE if name != "ledger"}
    assert state == {
        "targets": {}, "orders": {}, "exiting": {}, "spent": {}, "leaving": {}, "memo": None, "timers": set(), "halted": "",
        "orders_made": 0,
    }  # fmt: skip
    assert (one.name, one.placed, one.touched, one.ledger.cash) == ("m", [], [], {"gate": 1000.0})
