"""Decisions about several assets that are carried out in one go: row for row what one asset after the other comes to."""

from collections import Counter
from dataclasses import dataclass
from functools import cache

import pytest

from backtests import Tape, rebalance, replay
from strategies import TopRated
from tests.proofs.lineup import EXITS, GRADE, WAYS, world
from trader import HOLD, Costs, Decision, FallBy, Quote, Target, Units, View, Wants

real = cache(world)
EXIT = (FallBy(0.08),)


@dataclass(frozen=True, slots=True)
class Fickle:
    """Says something else each time: weights, units, money, nothing at all, too much, crumbs, with bands and with exits."""

    @property
    def wants(self) -> Wants:
        return Wants(ratings=(GRADE,), max_age="5d")

    def decide(self, view: View) -> Decision:
        if len(view.assets) < 3:
            return Decision.hold()
        one, two, three, *_ = view.assets
        match view.now.toordinal() % 9:
            case 0:
                return Decision.exactly({one: 0.3, two: Target(0.3, EXIT, band=0.02)})
            case 1:
                return Decision.change({one: 0.1, two: 0.2, three: 0.5})
            case 2:
                return Decision.change({one: 0.7, two: 0.7})  # more than there is
            case 3:
                return Decision.exactly({three: Target(0.4, why="for the third"), one: 0.0}, unknown=HOLD)
            case 4:
                return Decision.change({one: Units(0.5), two: 0.1})
            case 5:
                return Decision.change({two: Quote(1_000.0), three: 0.2})
            case 6:
                return Decision.change({one: 1e-9, two: 0.3})  # less than a lot
            case 7:
                return Decision.exactly({})
        return Decision.change({one: 0.25, two: 0.25, three: Target(0.25, EXIT)})


def played(monkeypatch, strategy, way, *, at_once):
    data, how = real("1d"), WAYS[way]
    tape = Tape.from_frames(
        data.bars, data.ratings, data.signals, instruments=data.instruments if how.lots else None
    )  # fmt: skip
    done = Counter()
    carry_out = rebalance.Rebalance.__call__

    def counted(self, leaving, decision, view):
        before = len(self.mount.targets), self.mount.orders_made, len(self.engine.record), dict(self.mount.ledger.cash)
        is_done = carry_out(self, leaving, decision, view)
        if not is_done:
            assert before == (
                len(self.mount.targets), self.mount.orders_made, len(self.engine.record), self.mount.ledger.cash,
            )  # fmt: skip
        done[is_done] += 1
        return is_done

    with monkeypatch.context() as patched:
        patched.setattr(rebalance.Rebalance, "__call__", counted)
        if not at_once:
            patched.setattr(rebalance, "fits", lambda player: False)
        result = replay(strategy, tape, cash=how.cash, costs=how.costs, latency=how.latency, exits=how.exits)
    return result, done


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "strategy", [Fickle(), TopRated(top=3, enter=45.0, kind=GRADE, exits=EXITS["trail-half-after"], band=0.01)]
)
def test_row_for_row_as_one_after_the_other(monkeypatch, strategy, way):
    quick, done = played(monkeypatch, strategy, way, at_once=True)
    slow, none = played(monkeypatch, strategy, way, at_once=False)
    assert not none
    assert quick.engine.rows == slow.engine.rows
    assert quick.log.fills.columns()[0].tolist() == slow.log.fills.columns()[0].tolist()
    assert quick.curve.tolist() == slow.curve.tolist()
    assert (quick.log.at_once, quick.engine.exits_seen) == (slow.log.at_once, slow.engine.exits_seen)
    if way == "plain" and isinstance(strategy, Fickle):
        assert min(done[True], done[False]) > 20, done


def test_a_fee_in_what_is_bought_is_not_its_matter(monkeypatch):
    _, done = played(monkeypatch, Fickle(), "plain", at_once=True)
    assert done[True]
    data = real("1d")
    result = replay(Fickle(), Tape.from_frames(data.bars, data.ratings), costs=Costs(fee=0.001, fee_on_buy="received"))
    assert result.engine.rebalance is None
    assert result.n_fills


def test_the_curve_is_cash_and_what_is_held_at_each_close(monkeypatch):
    """Assets that are held seldom are marked where they are held alone: told again by a plain loop."""
    result, _ = played(monkeypatch, TopRated(top=1, enter=50.0, kind=GRADE, every="1w"), "plain", at_once=True)
    panel, held, cash, fills = result.tape.panel, Counter(), result.curve[0], 0
    rows = sorted(zip(*map(list, result.log.fills.columns()), strict=True), key=lambda row: row[0])
    seldom = Counter()
    for bar, worth in enumerate(result.curve.tolist()):
        while fills < len(rows) and rows[fills][0] <= bar:
            _, asset, change, cash = rows[fills]
            held[asset] += change
            fills += 1
        mine = [asset for asset, quantity in held.items() if abs(quantity) > 1e-9]
        seldom.update(mine)
        assert worth == pytest.approx(cash + sum(held[asset] * panel.close[asset, bar] for asset in mine), rel=1e-12)
    assert min(seldom.values()) * 8 < panel.size
