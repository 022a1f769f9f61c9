"""Stretches in which one asset's conditions alone wake: quicker steps, and nothing that a stepper does is left out or done twice."""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import pytest

from backtests import Limits, Tape, player, replay, solo
from strategies import RatingBand, Rules, SmaCross
from tests.proofs.compare import assert_folds, assert_same, both
from tests.proofs.lineup import EXITS, GRADE, MAJORS, WAYS, world
from trader import Costs, Decision, FallBy, Quote, RiseBy, Target, Units, View, Wants
from trader.core.conditions import close, sma
from trader.core.facts import Halted, Refused

real = lru_cache(world)
SIZES = {
    "weight": 0.4,
    "units": Units(0.7),
    "quote": Quote(30_000.0),
    "all": Quote(float("inf")),
    "too-much": Units(1e9),
    "dust": Units(1e-7),
}


@dataclass(frozen=True, slots=True)
class Moody:
    """Every third wake says something that is not one target of the asset: two targets, a timer, a memo, exactly."""

    exits: tuple = ()

    @property
    def wants(self) -> Wants:
        lead = sma(close, 3) - sma(close, 7)
        return Wants(when_flat=lead > 0.0, when_held=lead < 0.0, columns=(lead,), on_exit=bool(self.exits))

    def decide(self, view: View) -> Decision:
        asset, count = view.assets[0], view.memo or 0
        wish = 0.0 if view.holding(asset) else Target(0.3, self.exits)
        match view.now.day % 5:
            case 0:
                return Decision.exactly({asset: wish}).remember(count + 1)
            case 1:
                return Decision.change({asset: wish, "ELSE": 0.1})
            case 2:
                return Decision.change({asset: wish}).wake_at(view.now + timedelta(minutes=30))
            case 3:
                return Decision.hold()
        return Decision.change({asset: wish}, why="as usual")


def one_asset(timeframe="1h"):
    data = real(timeframe)
    asset = MAJORS[1]
    return *(
        rows[rows["asset"] == asset].reset_index(drop=True) for rows in (data.bars, data.ratings)
    ), data.instruments


def strategies(exits):
    yield SmaCross(4, 11, size=0.2, exits=exits)
    yield RatingBand(52.0, 48.0, kind=GRADE, size=Quote(float("inf")), exits=exits)
    yield Rules(enter="close > sma(close, 5)", leave="close < sma(close, 5)", size=Units(0.5), exits=exits)
    yield Moody(exits)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("exits", EXITS)
def test_as_a_stepper_does_it(exits, way):
    bars, ratings, instruments = one_asset()
    how = WAYS[way]
    for strategy in strategies(EXITS[exits]):
        expected, result = both(
            strategy, bars, ratings, None, instruments if how.lots else None, cash=how.cash, costs=how.costs,
            latency=how.latency, exits=how.exits,
        )  # fmt: skip
        assert expected.decisions
        assert_same(expected, result)
        assert_folds(result)


@pytest.mark.parametrize(("size", "exact"), [*((size, False) for size in SIZES), ("weight", True), ("all", True)])
def test_the_player_alone_does_the_same(size, exact, monkeypatch):
    bars, ratings, instruments = one_asset()
    steps = []
    plain = player.Player._wake
    monkeypatch.setattr(player.Player, "_wake", lambda self, *rest: (steps.append(1), plain(self, *rest))[1])
    for costs in (Costs(fee=0.0, half_spread=0.0), Costs(fee=0.002, fee_on_buy="received")):
        for lots in (None, instruments):
            tape = Tape.from_frames(bars, ratings, instruments=lots)
            for exits in (
                *EXITS.values(),
                (FallBy(0.004), RiseBy(0.006)),
            ):  # the last often hit where a condition wakes
                strategy = SmaCross(4, 11, size=SIZES[size], exits=exits)
                steps.clear()
                quick = replay(strategy, tape, cash=20_000.0, costs=costs, exact=exact)
                assert len(steps) < len(quick.decided) or "After" in repr(exits) or size in {"too-much", "dust"}
                with monkeypatch.context() as patch:
                    patch.setattr(solo, "fits", lambda _: False)
                    slow = replay(strategy, tape, cash=20_000.0, costs=costs, exact=exact)
                assert quick.rows == slow.rows
                assert [one.tolist() for one in quick.log.fills.columns()] == [
                    one.tolist() for one in slow.log.fills.columns()
                ]
                assert (quick.log.at_once, quick.log.ambiguous) == (slow.log.at_once, slow.log.ambiguous)
                assert quick.final_equity == slow.final_equity


@pytest.mark.parametrize("limits", [Limits(weight_per_asset=0.1), Limits(drawdown=0.005), Limits(orders_per_day=1)])
def test_limits_hold_as_in_the_player_alone(limits, monkeypatch):
    bars, ratings, _ = one_asset()
    tape = Tape.from_frames(bars, ratings)
    for exits in ((), (FallBy(0.004), RiseBy(0.006))):
        strategy = SmaCross(4, 11, size=0.4, exits=exits)
        quick = replay(strategy, tape, limits=limits)
        with monkeypatch.context() as patch:
            patch.setattr(solo, "fits", lambda _: False)
            slow = replay(strategy, tape, limits=limits)
        assert quick.rows == slow.rows
        assert {row[0] for row in quick.rows} & {Refused, Halted}
        assert replay(strategy, tape).rows != quick.rows


def test_progress_is_told():
    bars, ratings, _ = one_asset()
    seen = []
    replay(SmaCross(2, 3, size=0.2), Tape.from_frames(bars, ratings), progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) >= 1
    assert 0 < seen[0] <= seen[-1] <= 1
