"""The plain reference against itself: exact and float arithmetic agree (rule 29), money is conserved, input is checked."""

import random

import pytest

from tests.reference.stepper import step
from tests.rules.world import Each, daily, data, instruments, long
from trader.core.costs import Costs
from trader.core.exits import FallBy, RiseBy, TrailBy
from trader.core.strategy import Decision, Quote, Units


def walk(seed, days=40):
    chance = random.Random(seed)
    bars, price = [], 100.0
    for _ in range(days):
        close = price * (1 + chance.gauss(0, 0.04))
        high, low = max(price, close) * 1.01, min(price, close) * 0.99
        bars.append((price, high, low, close, chance.choice([0, 50, 500])))
        price = close
    return bars


def whims(seed):
    def decide(view):
        chance = random.Random(f"{seed} {view.now}")
        size = chance.choice([0.0, 0.3, Units(7.0), Quote(400.0)])
        exits = chance.choice([(), (FallBy(0.03),), (TrailBy(0.04, share=0.5), RiseBy(0.05))])
        return Decision.change({name: long(*exits, size=size) for name in view.assets if chance.random() < 0.5})

    return Each(decide)


COSTS = Costs(participation=0.2, impact=0.05)


def play(seed, **how):
    facts = instruments(
        A={"tick": 0.01, "lot": 0.1}, B={"lot": 1.0, "min_notional": 50.0, "fee_on_buy": "received"}, C={}
    )
    bars = daily(A=walk(seed), B=walk(seed + 1), C=walk(seed + 2))
    return step(whims(seed), bars, None, None, facts, cash=5000.0, costs=COSTS, **how)


@pytest.mark.parametrize("seed", range(8))
def test_rule_29_exact_and_float_agree(seed):
    plain, exact = play(seed), play(seed, exact=True)
    assert [one[:3] for one in plain.fills] == [one[:3] for one in exact.fills]
    assert plain.fills
    for one, other in zip(plain.fills, exact.fills, strict=True):
        assert one[3:6] == pytest.approx(tuple(map(float, other[3:6])), rel=1e-9)
    assert plain.cash == pytest.approx(float(exact.cash), rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_cash_is_what_the_fills_made_of_it(seed):
    out = play(seed, exact=True)
    cash = 5000
    for _, asset, side, quantity, price, fee, _ in out.fills:
        in_money = side == "sell" or asset != "B"
        cash += quantity * price * (1 if side == "sell" else -1) - (fee if in_money else 0)
    assert float(cash - out.cash) == pytest.approx(0, abs=1e-20)


def test_data_without_known_at_need_a_delay():
    rows = data((1, "A", 5)).drop(columns="known_at")
    with pytest.raises(ValueError, match="delay"):
        step(whims(1), daily(A=[1, 1]), rows, cash=1)
    assert step(whims(1), daily(A=[1, 1]), rows, cash=1, delay="1d").equity
