"""The gate by examples: each limit at its border, alone and beside others; tests/machines/test_risk.py plays against a model."""

from collections import deque
from dataclasses import fields, replace
from math import inf

import pytest

from trader.core.instants import DAY, SECOND
from trader.core.risk import Approved, Denied, Facing, Gate, Limits, never_fits
from trader.core.states import Coder
from trader.core.strategy import Quote, Units

CODER = Coder([])

NOW, MINUTE = 10 * DAY, 60 * SECOND
FACING = Facing(
    at_ns=NOW, equity=1000.0, held_value=100.0, gross=300.0, open_orders=0, mark_age_ns=0, mark=10.0, price=10.0
)


def judged(limits, value=50.0, **more):
    gate = Gate(limits)
    gate.watch(NOW, 1000.0)
    return gate.review(value, replace(FACING, **more))


def test_without_limits_everything_may_go():
    assert [getattr(Limits(), field.name) for field in fields(Limits)] == [None] * 10
    assert judged(Limits(), 1e9, mark_age_ns=DAY, open_orders=99, equity=0.0, price=1.0) == Approved(1e9, None)
    assert Limits().given() == {}
    assert Limits(open_orders=2, price_age="3h").given() == {"open_orders": 2, "price_age": "3h"}


@pytest.mark.parametrize("name", [field.name for field in fields(Limits) if field.name != "price_age"])
@pytest.mark.parametrize("wrong", [0, -1, True, "1", float("nan")])
def test_a_limit_is_a_number_over_nothing(name, wrong):
    with pytest.raises(ValueError, match=f"limits.{name} = .* must be over 0"):
        Limits(**{name: wrong})
    assert Limits(**{name: 0.5}).given() == {name: 0.5}
    assert Limits(**{name: 2}).given() == {name: 2}


def test_an_age_is_a_duration():
    with pytest.raises(ValueError, match="soon"):
        Limits(price_age="soon")


@pytest.mark.parametrize(
    ("limits", "value", "found"),
    [
        (Limits(order_notional=40.0), 50.0, Approved(40.0, "order_notional")),
        (Limits(order_notional=50.0), 50.0, Approved(50.0, None)),
        (Limits(weight_per_asset=0.12), 50.0, Approved(20.0, "weight_per_asset")),
        (Limits(weight_per_asset=0.15), 50.0, Approved(50.0, None)),
        (Limits(weight_per_asset=0.1), 50.0, Denied("weight_per_asset")),
        (Limits(weight_per_asset=0.05), 50.0, Denied("weight_per_asset")),
        (Limits(gross_exposure=0.32), 50.0, Approved(20.0, "gross_exposure")),
        (Limits(gross_exposure=0.3), 50.0, Denied("gross_exposure")),
        (Limits(gross_exposure=0.2), 50.0, Denied("gross_exposure")),
        (Limits(order_notional=30.0, weight_per_asset=0.12, gross_exposure=0.31), 50.0, Approved(10.0, "gross_exposure")),
        (Limits(order_notional=20.0, weight_per_asset=0.12, gross_exposure=0.32), 50.0, Approved(20.0, "order_notional")),
        (Limits(weight_per_asset=0.05, gross_exposure=0.3), 50.0, Denied("weight_per_asset")),
    ],
)  # fmt: skip
def test_a_limit_of_size_cuts_and_the_smallest_room_counts(limits, value, found):
    seen = judged(limits, value)
    if isinstance(found, Denied):
        assert seen == found
    else:
        assert (seen.amount, seen.cut_by) == (pytest.approx(found.amount), found.cut_by)


def test_nothing_is_left_where_the_room_is_used_up_below_nothing():
    assert judged(Limits(weight_per_asset=0.05, gross_exposure=0.25), 50.0) == Denied("weight_per_asset")
    assert judged(Limits(weight_per_asset=0.5, gross_exposure=0.31), equity=0.0, held_value=0.0, gross=0.0) == Denied(
        "weight_per_asset"
    )


@pytest.mark.parametrize(
    ("limits", "allowed", "refused"),
    [
        (Limits(open_orders=2), {"open_orders": 1}, {"open_orders": 2}),
        (Limits(price_age="1m"), {"mark_age_ns": MINUTE}, {"mark_age_ns": MINUTE + 1}),
        (Limits(price_collar=0.25), {"price": 12.5}, {"price": 12.6}),
        (Limits(price_collar=0.25), {"price": 7.5}, {"price": 7.4}),
        (Limits(price_collar=0.25), {"price": None}, {"price": 100.0}),
        (Limits(loss_per_day=0.25), {"equity": 750.1}, {"equity": 750.0}),
    ],
)  # fmt: skip
def test_a_limit_that_refuses_does_so_from_its_border_on(limits, allowed, refused):
    (name,) = limits.given()
    assert judged(limits, **allowed) == Approved(50.0)
    assert judged(limits, **refused) == Denied(name)


def test_the_first_rule_broken_is_the_one_that_is_named():
    every = Limits(
        drawdown=0.5,
        loss_per_day=0.1,
        open_orders=1,
        price_age="1m",
        price_collar=0.1,
        orders_per_day=1,
        orders_per_minute=1,
    )
    gate = Gate(every)
    gate.watch(NOW, 1000.0)
    gate.count(NOW)
    worst = replace(FACING, equity=1.0, open_orders=1, mark_age_ns=DAY, price=20.0)
    better = [{"equity": 1000.0}, {"open_orders": 0}, {"mark_age_ns": 0}, {"price": 10.0}]
    assert gate.review(50.0, worst) == Denied("loss_per_day")
    for change, rule in zip(better, ("open_orders", "price_age", "price_collar", "orders_per_day"), strict=True):
        worst = replace(worst, **change)
        assert gate.review(50.0, worst) == Denied(rule)
    gate.limits = replace(every, orders_per_day=2)
    assert gate.review(50.0, worst) == Denied("orders_per_minute")
    gate.latched = True
    assert gate.review(50.0, worst) == Denied("drawdown")


def test_orders_of_a_minute_are_counted_to_the_nanosecond():
    gate = Gate(Limits(orders_per_minute=2))
    gate.count(NOW)
    assert gate.review(1.0, replace(FACING, at_ns=NOW + 1)) == Approved(1.0)
    gate.count(NOW + 30 * SECOND)
    assert gate.review(1.0, replace(FACING, at_ns=NOW + 60 * SECOND - 1)) == Denied("orders_per_minute")
    assert gate.review(1.0, replace(FACING, at_ns=NOW + 60 * SECOND)) == Approved(1.0)
    gate.count(NOW + 60 * SECOND)
    assert gate.review(1.0, replace(FACING, at_ns=NOW + 89 * SECOND)) == Denied("orders_per_minute")
    assert gate.review(1.0, replace(FACING, at_ns=NOW + 90 * SECOND)) == Approved(1.0)
    assert list(gate._recent) == [NOW + 60 * SECOND], "what is older is forgotten"


def test_orders_of_a_day_are_counted_from_its_first_wake():
    gate = Gate(Limits(orders_per_day=2))
    assert (gate._day, gate._today) == (-1, 0)
    for at in (NOW, NOW + 1):
        gate.watch(at, 1000.0)
        assert gate.review(1.0, FACING) == Approved(1.0)
        gate.count(at)
    gate.watch(NOW + DAY - 1, 1000.0)
    assert gate.review(1.0, FACING) == Denied("orders_per_day")
    gate.watch(NOW + DAY, 1000.0)
    assert gate.review(1.0, FACING) == Approved(1.0)


def test_the_days_loss_counts_from_the_equity_of_its_first_wake():
    gate = Gate(Limits(loss_per_day=0.25))
    for at, equity in ((NOW + 1, 1000.0), (NOW + 2, 2000.0), (NOW + DAY - 1, 800.0)):
        gate.watch(at, equity)
        assert gate.review(1.0, replace(FACING, equity=equity)) == Approved(1.0)
    assert gate.review(1.0, replace(FACING, equity=750.0)) == Denied("loss_per_day")
    gate.watch(NOW + DAY, 750.0)
    assert gate.review(1.0, replace(FACING, equity=750.0)) == Approved(1.0)
    assert gate.review(1.0, replace(FACING, equity=562.5)) == Denied("loss_per_day")


def test_before_the_first_wake_nothing_is_lost():
    gate = Gate(Limits(loss_per_day=0.25))
    assert gate.review(0.1, replace(FACING, equity=0.5)) == Approved(0.1)


def test_the_first_wake_of_all_begins_a_day():
    gate = Gate(Limits(loss_per_day=0.25))
    gate.watch(0, 1000.0)
    assert gate.review(1.0, replace(FACING, equity=700.0)) == Denied("loss_per_day")


def test_the_latch_falls_once_at_its_share_of_the_highest_and_holds_until_resumed():
    gate = Gate(Limits(drawdown=0.25))
    assert gate.watch(NOW, 1000.0) is False
    assert gate.watch(NOW, 2000.0) is False
    assert gate.watch(NOW, 1500.1) is False
    assert gate.highest == 2000.0
    assert gate.watch(NOW, 1500.0) is True
    assert gate.watch(NOW, 100.0) is False, "it is down already"
    assert gate.watch(NOW, 3000.0) is False
    assert gate.review(1.0, FACING) == Denied("drawdown")
    gate.resume()
    assert (gate.latched, gate.highest) == (False, None)
    assert gate.watch(NOW, 100.0) is False
    assert gate.review(1.0, replace(FACING, equity=100.0)) == Approved(1.0)
    assert gate.highest == 100.0


def test_what_is_remembered_is_kept_in_a_snapshot():
    gate, again = Gate(Limits(orders_per_day=9)), Gate(Limits(orders_per_day=9))
    for at in (NOW, NOW + 1):
        gate.watch(at, 1000.0)
        gate.count(at)
    gate.latched = True
    CODER.restore(CODER.capture({"gate": gate}), {"gate": again})
    state = {name: getattr(again, name) for name in ("_recent", "_day", "_today", "_day_equity", "highest", "latched")}
    assert state == {
        "_recent": deque([NOW, NOW + 1]), "_day": 10, "_today": 2, "_day_equity": 1000.0, "highest": 1000.0, "latched": True,
    }  # fmt: skip


def test_an_amount_of_less_than_one_may_go():
    assert judged(Limits(order_notional=0.5)) == Approved(0.5, "order_notional")
    assert judged(Limits(gross_exposure=0.2), 0.5) == Denied("gross_exposure")


def test_without_a_limit_no_latch_falls():
    gate = Gate(Limits())
    gate.watch(NOW, 1000.0)
    assert gate.watch(NOW, 0.0) is False
    assert gate.latched is False


@pytest.mark.parametrize(
    ("size", "limits", "why"),
    [
        (0.5, Limits(), None),
        (0.5, Limits(weight_per_asset=0.5), None),
        (0.5, Limits(weight_per_asset=0.4), "a size of 0.5 of the equity is over weight_per_asset = 0.4: it could never be reached"),
        (0.5, Limits(gross_exposure=0.4), "a size of 0.5 of the equity is over gross_exposure = 0.4: it could never be reached"),
        (inf, Limits(gross_exposure=0.4), "a size of 1 of the equity is over gross_exposure = 0.4: it could never be reached"),
        (inf, Limits(gross_exposure=1.0), None),
        (Quote(600.0), Limits(weight_per_asset=0.5), "a size of 0.6 of the equity is over weight_per_asset = 0.5: it could never be reached"),
        (Quote(500.0), Limits(weight_per_asset=0.5, order_notional=500.0), None),
        (Units(1e9), Limits(weight_per_asset=0.1, order_notional=1.0), None),
        (
            0.5, Limits(order_notional=400.0),
            "an order for a size of 500 (of a capital of 1,000) is over order_notional = 400: it would always be cut",
        ),
    ],
)  # fmt: skip
def test_what_can_never_be_reached_is_said_with_both_figures(size, limits, why):
    assert never_fits(size, limits, 1000.0) == why
