"""A small world for hand-computed cases: daily bars from day 0, strategies that follow a script, fills to compare."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
import pytest

from trader.core.instants import DAY, to_ns
from trader.core.strategy import Decision, Target, Wants

START = pd.Timestamp("2024-01-01", tz="UTC")  # a Monday
START_NS = to_ns(START.to_pydatetime())
EACH_BAR = Wants(bars=1)


def at(day):
    return START + pd.Timedelta(days=day)


def daily(**assets):
    """Bars by asset: each a list of (open, high, low, close) with or without volume, a price for all four, or None."""
    rows = []
    for asset, bars in assets.items():
        for day, bar in enumerate(bars):
            if bar is None:
                continue
            prices = bar if isinstance(bar, tuple) else (bar,) * 4
            volume = prices[4] if len(prices) == 5 else 1e9
            rows.append((at(day), asset, *(float(price) for price in prices[:4]), float(volume)))
    return pd.DataFrame(rows, columns=["ts", "asset", "open", "high", "low", "close", "volume"])


def data(*rows, kind="g"):
    """Rows of (known day, asset, value), with as_of as a fourth where it is not the known day."""
    full = [(row[1], kind, at(row[3] if len(row) > 3 else row[0]), at(row[0]), float(row[2])) for row in rows]
    return pd.DataFrame(full, columns=["asset", "kind", "as_of", "known_at", "value"])


def instruments(**assets):
    columns = ["asset", "tick", "lot", "min_notional", "fee_on_buy", "delisted_at", "delisting_loss"]
    rows = [{"asset": asset, **facts} for asset, facts in assets.items()]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Script:
    """Decide by the day: a decision, or a mapping of targets for `change`, or a function of the view."""

    plan: dict
    wants: Wants = EACH_BAR
    seen: list = field(default_factory=list, compare=False)

    def decide(self, view):
        day = (pd.Timestamp(view.now) - START) / pd.Timedelta(days=1)
        self.seen.append((day, view.wake.causes, view.wake.assets))
        step = self.plan.get(day, Decision.hold())
        if isinstance(step, dict):
            return Decision.change(step)
        return step(view) if callable(step) else step


@dataclass(frozen=True)
class Each:
    """Decide with one function of the view at every wake."""

    function: Callable
    wants: Wants = EACH_BAR

    def decide(self, view):
        return self.function(view)


def long(*exits, size=1.0, **how):
    return Target(size, exits=exits, **how)


def day_of(ns):
    return (ns - START_NS) / DAY


def fills(outcome):
    return [(day_of(one[0]), one[1], one[2], float(one[3]), float(one[4])) for one in outcome.fills]


def check(outcome, *expected):
    """Fills as (day, asset, side, quantity, price), in order."""
    found = fills(outcome)
    assert [one[:3] for one in found] == [one[:3] for one in expected], found
    for one, wished in zip(found, expected, strict=True):
        assert one[3:] == pytest.approx(wished[3:], rel=1e-12), (one, wished)


def equity(outcome):
    return {day_of(ns): float(value) for ns, value in outcome.equity}


def wakes(outcome):
    return [(day_of(ns), tuple(causes)) for ns, causes in outcome.decisions]
