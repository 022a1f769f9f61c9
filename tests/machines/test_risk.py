"""The gate beside a model that keeps everything and counts again each time; a snapshot in between changes nothing."""

from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from trader.core.instants import DAY, SECOND, duration
from trader.core.risk import Approved, Denied, Facing, Gate, Limits
from trader.core.states import Coder

money = st.integers(0, 10**6).map(lambda n: n / 64)  # floats that add without a rest
more = st.integers(1, 10**6).map(lambda n: n / 64)
shares = st.sampled_from([0.125, 0.25, 0.5, 1.0])
LIMITS = st.builds(
    Limits,
    order_notional=st.none() | more, weight_per_asset=st.none() | shares, gross_exposure=st.none() | shares,
    open_orders=st.none() | st.integers(1, 3), price_age=st.none() | st.sampled_from(["1m", "1h"]), price_collar=st.none() | shares,
    orders_per_minute=st.none() | st.integers(1, 3), orders_per_day=st.none() | st.integers(1, 5),
    loss_per_day=st.none() | shares.filter(lambda one: one < 1), drawdown=st.none() | shares.filter(lambda one: one < 1),
)  # fmt: skip


class Reviews(RuleBasedStateMachine):
    """What is let through is allowed by every limit, and what is not is refused by the first that forbids it."""

    @initialize(limits=LIMITS)
    def begins(self, limits):
        self.limits, self.gate = limits, Gate(limits)
        self.now = 10 * DAY
        self.orders, self.wakes = [], []
        self.peak, self.latched = None, False

    @rule(equity=money, forward=st.sampled_from([0, 1, 30, 60, 3_600, 86_400]))
    def wake(self, equity, forward):
        self.now += forward * SECOND
        self.wakes.append((self.now, equity))
        self.peak = equity if self.peak is None else max(self.peak, equity)
        falls = (
            self.limits.drawdown is not None and not self.latched and equity <= self.peak * (1 - self.limits.drawdown)
        )
        self.latched |= falls
        assert self.gate.watch(self.now, equity) == falls
        assert self.gate.latched == self.latched

    @rule()
    def resume(self):
        self.gate.resume()
        self.latched, self.peak = False, None

    @rule(value=more, equity=money, held=money, gross=money, open_orders=st.integers(0, 3), age=st.sampled_from([0, 59, 61, 4_000]),
          mark=more, price=st.none() | more)  # fmt: skip
    def order(self, value, equity, held, gross, open_orders, age, mark, price):
        if not self.wakes:
            return
        facing = Facing(self.now, equity, held, gross, open_orders, age * SECOND, mark, price)
        found = self.gate.review(value, facing)
        forbids = self.forbids(facing)
        if forbids:
            assert found == Denied(forbids[0])
            return
        room = self.room(facing)
        least = min([value, *room.values()])
        if least <= 0:
            assert isinstance(found, Denied)
            assert room[found.rule] <= 0
            return
        assert isinstance(found, Approved)
        assert Fraction(found.amount) == Fraction(least)
        assert (found.cut_by is None) == (least == value)
        assert found.cut_by is None or room[found.cut_by] == least
        self.gate.count(self.now)
        self.orders.append(self.now)

    def forbids(self, facing):
        limits, today = self.limits, self.now // DAY
        first = next(equity for at, equity in self.wakes if at // DAY == self.wakes[-1][0] // DAY)
        checks = {
            "drawdown": self.latched,
            "loss_per_day": limits.loss_per_day and facing.equity <= first * (1 - limits.loss_per_day),
            "open_orders": limits.open_orders and facing.open_orders >= limits.open_orders,
            "price_age": limits.price_age and facing.mark_age_ns > duration(limits.price_age),
            "price_collar": limits.price_collar and facing.price is not None
            and abs(facing.price / facing.mark - 1) > limits.price_collar,
            "orders_per_day": limits.orders_per_day
            and sum(at // DAY == today for at in self.orders) >= limits.orders_per_day,
            "orders_per_minute": limits.orders_per_minute
            and sum(at > self.now - 60 * SECOND for at in self.orders) >= limits.orders_per_minute,
        }  # fmt: skip
        return [name for name, forbidden in checks.items() if forbidden]

    def room(self, facing):
        limits = self.limits
        room = {
            "order_notional": limits.order_notional,
            "weight_per_asset": limits.weight_per_asset and limits.weight_per_asset * facing.equity - facing.held_value,
            "gross_exposure": limits.gross_exposure and limits.gross_exposure * facing.equity - facing.gross,
        }
        return {name: most for name, most in room.items() if most is not None}

    @rule()
    def restart(self):
        self.gate = restarted(self.gate)


def restarted(gate):
    """The gate as a snapshot gives it back."""
    coder, fresh = Coder([]), Gate(gate.limits)
    coder.restore(coder.capture({"gate": gate}), {"gate": fresh})
    assert [getattr(fresh, name) for name in Gate.__slots__] == [getattr(gate, name) for name in Gate.__slots__]
    return fresh


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (Limits(orders_per_minute=1), "orders_per_minute"),
        (Limits(orders_per_day=1), "orders_per_day"),
        (Limits(loss_per_day=0.5), "loss_per_day"),
        (Limits(drawdown=0.5), "drawdown"),
    ],
)
def test_a_restart_remembers_what_was_ordered_and_lost(limits, rule):
    """One of each by hand: what is drawn at random may come to it seldom."""
    gate, now = Gate(limits), 10 * DAY
    gate.watch(now, 1_000.0)
    facing = Facing(now + SECOND, 1_000.0, 0.0, 0.0, 0, 0, 1.0, None)
    assert isinstance(gate.review(10.0, facing), Approved)
    gate.count(now + SECOND)
    gate = restarted(gate)
    gate.watch(now + 2 * SECOND, 400.0)
    assert gate.review(10.0, Facing(now + 2 * SECOND, 400.0, 0.0, 0.0, 0, 0, 1.0, None)) == Denied(rule)


TestReviews = pytest.mark.slow(Reviews.TestCase)
TestReviews.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
