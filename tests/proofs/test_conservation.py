"""No money comes or goes but by prices and fees: exact to the last digit, and the same in float64."""

from decimal import Decimal
from fractions import Fraction
from functools import cache
from random import Random

import pytest

from backtests import Tape, replay
from tests.proofs.lineup import EXITS, STRATEGIES, WAYS, build, world
from trader.core.instruments import exactly
from trader.core.ledger import Ledger, book_fill, equity

real = cache(world)


def some(lot, digits, most):
    return Decimal(lot.randint(1, most * 10**digits)).scaleb(-digits)


@pytest.mark.parametrize("seed", range(20))
def test_random_fills_keep_the_sum_exact(seed):
    lot, zero = Random(seed), exactly(0)
    start = some(lot, 2, 10**6)
    ledger = Ledger({"v": start}, zero)
    cash, held, others, paid = Fraction(start), {"A": Fraction(0), "B": Fraction(0)}, Fraction(0), Fraction(0)
    marks = {"A": Decimal(1), "B": Decimal(1)}
    for at in range(200):
        asset, price = lot.choice("AB"), some(lot, 5, 500)
        selling = held[asset] > 0 and lot.random() < 0.5
        quantity = Decimal(lot.randint(1, int(held[asset] * 10**8))).scaleb(-8) if selling else some(lot, 6, 10)
        fee_asset = lot.choice(["quote", "POINT"] if selling else ["quote", asset, "POINT"])
        fee = some(lot, 8, 1) if fee_asset != asset else quantity.scaleb(-3).quantize(Decimal("1e-8"))
        marks[asset] = price
        before = sum((held[name] * Fraction(marks[name]) for name in held), cash)
        side = -1 if selling else 1
        book_fill(ledger, asset, "v", side, quantity=quantity, price=price, fee=fee, fee_asset=fee_asset, at_ns=at)
        cash -= side * Fraction(quantity) * Fraction(price) + (Fraction(fee) if fee_asset == "quote" else 0)
        held[asset] += side * Fraction(quantity) - (Fraction(fee) if fee_asset == asset else 0)
        others -= Fraction(fee) if fee_asset == "POINT" else 0
        lost = {"quote": Fraction(fee), asset: Fraction(fee) * Fraction(price)}.get(fee_asset, Fraction(0))
        paid += lost
        assert Fraction(ledger.cash["v"]) == cash
        assert all(Fraction(one.quantity) == held[name] for name, one in ledger.holdings.items())
        assert Fraction(equity(ledger, marks)) == before - lost  # a fill at the mark costs its fee and nothing else
    assert Fraction(ledger.others.get(("v", "POINT"), zero)) == others
    assert paid > 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_exact_replay_conserves_and_agrees_with_floats(name):
    data, how = real("1d"), WAYS["thin"]
    tape = Tape.from_frames(data.bars, data.ratings, data.signals, data.instruments)
    given = {"cash": how.cash, "costs": how.costs}  # with latency, what decides each day would replace each order
    strategy = build(name, EXITS["trail-half-after"])
    exact, plain = replay(strategy, tape, exact=True, **given), replay(strategy, tape, **given)
    cash, held = Fraction(int(how.cash)), {}
    for fill in exact.fills.to_dict("records"):
        quantity, price, fee = (Fraction(fill[key]) for key in ("quantity", "price", "fee"))
        assert isinstance(fill["quantity"], Decimal)
        side = 1 if fill["side"] == "buy" else -1
        in_quote = fill["fee_asset"] == "quote"
        cash -= side * quantity * price + (fee if in_quote else 0)
        held[fill["asset"]] = held.get(fill["asset"], Fraction(0)) + side * quantity - (0 if in_quote else fee)
    ledger = exact.engine.mount.ledger
    assert Fraction(ledger.total_cash()) == cash
    assert {asset: Fraction(one.quantity) for asset, one in ledger.holdings.items()} == held
    assert len(exact.fills) == len(plain.fills) > 0
    assert [(at, wake.causes) for at, wake, _ in exact.decided] == [(at, wake.causes) for at, wake, _ in plain.decided]
    assert exact.decisions["targets"].map(list).tolist() == plain.decisions["targets"].map(list).tolist()
    assert plain.cash == pytest.approx(float(exact.cash), rel=1e-9)
    for mine, other in zip(plain.fills.to_dict("records"), exact.fills.to_dict("records"), strict=True):
        assert [mine[key] for key in ("at", "asset", "side")] == [other[key] for key in ("at", "asset", "side")]
        assert mine["quantity"] == pytest.approx(float(other["quantity"]), rel=1e-9)
        assert mine["price"] == pytest.approx(float(other["price"]), rel=1e-9)
