"""To what an order answers: of several things told at once, the one that the strategy reads and that speaks of the asset."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from trader.core.exits import FallBy
from trader.core.facts import BarClosed, ExitHit, OrderPlaced, SignalsKnown, TimerDue
from trader.core.instants import to_ns
from trader.core.records import CommandTaken
from trader.core.signals import Signal
from trader.runtime.causes import caused

AT = datetime(2024, 1, 1, tzinfo=UTC)
NS = to_ns(AT)
BAR = BarClosed(AT, "A", 1.0, 1.0, 1.0, 1.0, 1.0)


def said(key, kind, *assets):
    return SignalsKnown(AT, tuple(Signal(asset, kind, 1.0, AT, AT) for asset in assets), key=key)


def placed(asset="A", why="target"):
    return OrderPlaced(AT, "m", 1, asset, "gate", "buy", Decimal(1), None, why)


@pytest.mark.parametrize(
    ("told", "asset", "cause"),
    [
        ([said("x", "other", "A"), said("y", "grade", "A")], "A", "signal:y"),
        ([said("x", "grade", "B"), said("y", "grade", "A")], "A", "signal:y"),
        ([said("x", "grade", "B"), said("y", "other", "A")], "A", "signal:x"),
        ([said("x", "other", "A"), TimerDue(AT, "m")], "A", f"timer:m:{NS}"),
        ([said("x", "other", "A"), BAR], "A", f"bar:{NS}"),
        ([BAR, said("x", "grade", "A")], "A", "signal:x"),
        ([CommandTaken(AT, "k", "flatten", ""), BAR], "A", "command:k"),
        ([], "A", ""),
    ],
)
def test_an_order_answers_what_the_strategy_reads_of_its_asset(told, asset, cause):
    (found,) = caused(told, [placed(asset)], {"grade"})
    assert found.cause == cause


def test_the_order_of_an_exit_answers_the_exit():
    hit = ExitHit(AT, "m", "A", 2, FallBy(0.1), 90.0)
    _, sold, bought = caused(
        [said("x", "grade", "A", "B"), BAR], [hit, placed("A", "exit FallBy"), placed("B")], {"grade"}
    )
    assert (sold.cause, bought.cause) == (f"exit:A:2:{NS}", "signal:x")
