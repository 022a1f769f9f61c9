"""Folding an engine from facts, kind by kind; tests/core/test_recovery.py compares whole lives."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from trader.core.book import Mount
from trader.core.engine import IN_FLIGHT, Engine
from trader.core.exits import FallBy
from trader.core.facts import (
    BarClosed,
    Decided,
    ExitHit,
    Filled,
    Halted,
    OrderClosed,
    OrderPlaced,
    PriceSeen,
    Refused,
    Resumed,
    SignalsKnown,
    TimerDue,
    TimerSet,
)
from trader.core.feed import Feed
from trader.core.instants import DAY, to_ns
from trader.core.instruments import Instrument, Terms, plainly
from trader.core.recovery import fold
from trader.core.risk import Gate, Limits
from trader.core.signals import Signal
from trader.core.strategy import Wants

AT = datetime(2024, 1, 3, 12, tzinfo=UTC)  # a Wednesday
HOUR = timedelta(hours=1)


def engine(limits=None, **wants):
    terms = {name: [Terms(Instrument(name, "gate"), "quote", plainly)] for name in "AB"}
    mount = Mount("m", terms, {"gate": 1000.0}, 0.0)
    strategy = SimpleNamespace(wants=Wants(ratings=("grade",), **wants), decide=None)
    return Engine(strategy, mount, Feed(["A", "B"], plainly), plainly, Gate(limits) if limits else None)


def bar(at=AT, asset="A", close=10.0):
    return BarClosed(at, asset, close, close + 1, close - 1, close, 5.0)


def placed(number=1, asset="A", why="target", side="buy"):
    return OrderPlaced(AT, "m", number, asset, "gate", side, 2.0, None, why)


FILLED = Filled(AT, "m", 1, "A", "gate", "buy", 2.0, 10.0, 0.0, "quote", "target")


def test_only_an_engine_with_a_feed_can_be_folded():
    one = engine()
    one.market = object()
    with pytest.raises(ValueError, match="reads a tape"):
        fold(one, [])


def test_bars_and_signals_are_learnt_and_move_the_time():
    one = engine()
    fold(
        one,
        [
            bar(),
            bar(AT + HOUR, close=12.0),
            SignalsKnown(AT + 2 * HOUR, (Signal("A", "grade", 70.0, AT, AT + 2 * HOUR),)),
        ],
    )
    assert one.market.mark("A") == 12.0
    assert list(one.market._data) == [("rating", "grade", "A")]
    assert one.market.now_ns == to_ns(AT + 2 * HOUR)


def test_a_bar_moves_the_peak_once_and_one_that_is_known_does_not():
    one = engine()
    fold(one, [placed(), FILLED, bar(close=10.0)])
    assert one.mount.held("A").peak == 11.0
    fold(one, [BarClosed(AT, "A", 1.0, 99.0, 1.0, 10.0, 5.0)])
    assert one.mount.held("A").peak == 11.0


@pytest.mark.parametrize(
    ("fact", "moves"),
    [
        (bar(AT + HOUR), True), (SignalsKnown(AT + HOUR, ()), True), (PriceSeen(AT + HOUR, "A", 1.0), True), (TimerDue(AT + HOUR, "m"), True),
        (Decided(AT + HOUR, "m", ("grade",), ""), True), (Halted(AT + HOUR, "m", "me"), False),
    ],
)  # fmt: skip
def test_what_the_engine_was_told_moves_its_time_and_what_others_wrote_does_not(fact, moves):
    one = engine()
    fold(one, [bar(), fact])
    assert one.market.now_ns == to_ns(AT + HOUR if moves else AT)


def test_facts_of_another_mount_pass_by_and_those_of_none_do_not():
    one = engine()
    fold(one, [Halted(AT, "n", "x"), bar(), Halted(AT, "m", "y")])
    assert (one.mount.halted, one.market.mark("A")) == ("y", 10.0)


def test_orders_are_counted_at_the_gate_but_exits_are_not():
    one = engine(Limits(orders_per_minute=9))
    leaving = OrderPlaced(AT + HOUR, "m", 2, "B", "gate", "sell", 2.0, None, "exit FallBy")
    fold(one, [placed(1), leaving])
    assert list(one.gate._recent) == [to_ns(AT)]
    assert (one.mount.orders_made, one.exits_seen) == (2, True)


def test_an_engine_without_a_gate_folds_the_same():
    one = engine()
    fold(one, [placed(1), Decided(AT, "m", (), ""), Halted(AT, "m", "x"), Resumed(AT, "m", "me")])
    assert (one.mount.halted, one.gate) == ("", None)


def test_what_waits_for_an_order_in_flight_waits_until_it_is_closed_or_another_is_placed():
    one = engine()
    waits = [Refused(AT, "m", asset, IN_FLIGHT, 1.0, 0.0) for asset in "AB"]
    fold(one, [placed(1), *waits, Refused(AT, "m", "A", "lot", 1.0, 1.0)])
    assert one.deferred == {"A", "B"}
    fold(one, [OrderClosed(AT, "m", 1, "A", "filled")])
    assert (one.deferred, one.mount.orders) == ({"B"}, {})
    fold(one, [placed(2, "B")])
    assert (one.deferred, list(one.mount.orders)) == (set(), ["B"])


def test_a_refusal_in_flight_takes_no_target_off_and_another_does():
    from trader.core.facts import TargetSet

    one = engine()
    fold(one, [TargetSet(AT, "m", "A", 0.5, (), ""), Refused(AT, "m", "A", IN_FLIGHT, 1.0, 0.0)])
    assert list(one.mount.targets) == ["A"]
    fold(one, [Refused(AT, "m", "A", "lot", 1.0, 0.0)])
    assert (one.mount.targets, one.deferred) == ({}, {"A"})


HIT = ExitHit(AT, "m", "A", 0, FallBy(0.1), 9.0)


@pytest.mark.parametrize(("wants", "noted"), [({}, []), ({"on_fill": True}, ["fill"]), ({"on_exit": True}, ["exit"])])
def test_what_wakes_the_strategy_at_its_next_wake_is_noted_once(wants, noted):
    one = engine(**wants)
    fold(one, [placed(), FILLED, FILLED, HIT, HIT])
    assert one.noted == noted
    assert (one.mount.held("A").quantity, one.mount.spent) == (4.0, {"A": {0}})
    fold(one, [Decided(AT, "m", ("fill",), "")])
    assert one.noted == []


def test_a_timer_that_was_answered_is_gone():
    one = engine()
    fold(one, [TimerSet(AT, "m", AT), Decided(AT, "m", ("timer",), "")])
    assert one.mount.timers == set()


@pytest.mark.parametrize(
    ("every", "period"), [("1d", to_ns(AT) // DAY), ("1w", (to_ns(AT) + 3 * DAY) // (7 * DAY)), ("2w", (to_ns(AT) + 3 * DAY) // (14 * DAY))]
)  # fmt: skip
def test_the_period_that_had_its_wake_is_remembered(every, period):
    one = engine(every=every)
    one.periods.add(-1)
    fold(one, [Decided(AT, "m", ("every",), "")])
    assert one.periods == {period}


def test_a_week_begins_on_monday():
    weeks = []
    for day in (7, 8, 14, 15):
        one = engine(every="1w")
        fold(one, [Decided(datetime(2024, 1, day, tzinfo=UTC), "m", ("every",), "")])
        weeks += one.periods
    assert [week - weeks[0] for week in weeks] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("causes", "wants"), [(("fill",), {"every": "1d"}), (("every",), {}), (("every",), {"every": "1d", "at": "12:00"})]
)
def test_a_wake_for_another_cause_or_at_a_clock_time_takes_no_period(causes, wants):
    one = engine(**wants)
    one.periods.add(-1)
    fold(one, [Decided(AT, "m", causes, "")])
    assert one.periods == {-1}


def test_the_gate_sees_the_equity_of_each_wake_and_is_opened_by_a_resume():
    one = engine(Limits(drawdown=0.1))
    fold(one, [placed(), FILLED, bar(close=100.0), Decided(AT, "m", ("grade",), "")])
    assert (one.gate.highest, one.gate._day) == (1180.0, to_ns(AT) // DAY)
    fold(one, [bar(AT + HOUR, close=10.0), Decided(AT + HOUR, "m", ("grade",), ""), Halted(AT + HOUR, "m", "drawdown")])
    assert (one.gate.latched, one.mount.halted) == (True, "drawdown")
    fold(one, [Resumed(AT + HOUR, "m", "me")])
    assert (one.gate.latched, one.gate.highest, one.mount.halted) == (False, None, "")


def test_nothing_is_left_for_a_driver_to_look_at():
    one = engine()
    fold(one, [placed(), FILLED])
    assert (one.mount.placed, one.mount.touched) == ([], [])
