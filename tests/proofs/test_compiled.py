"""Compiled stretches: row for row what the player does without them, as machine code and as the plain Python it is made of."""

import ctypes
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from backtests import Limits, Tape, compiled, kernel, machine, replay, sweep, trial
from backtests.replay import StrategyError
from strategies import RatingBand, SmaCross
from tests.proofs.compare import assert_folds, assert_same, both
from tests.proofs.lineup import EXITS, GRADE, WAYS
from tests.proofs.test_solo import SIZES, Moody, one_asset, strategies
from tests.services.parts import full
from trader import Costs, Decision, FallBy, Quote, RiseBy, Target, View, Wants
from trader.core.conditions import close, sma
from trader.core.facts import Dealt, Many

FREE, DEAR = Costs(fee=0.0, half_spread=0.0), Costs(fee=0.0012, half_spread=0.0004)
TIGHT = FallBy(0.004), RiseBy(0.006)


def column(row, dtype, width=None):
    """The array that lies at a place."""
    address, length = (int(one) for one in row)
    kind = ctypes.c_int64 if dtype is np.int64 else ctypes.c_double
    found = np.ctypeslib.as_array((kind * (length * (width or 1))).from_address(address))
    return found if width is None else found.reshape(length, width)


def plain_step(address, verb, size):
    """The kernel as it is written: Python over arrays, whose bounds numpy looks after."""
    table = np.ctypeslib.as_array((ctypes.c_int64 * 28).from_address(address)).reshape(14, 2)
    kinds = [np.int64, *[np.float64] * 5, *[np.int64] * 6]
    arrays = [column(row, kind) for row, kind in zip(table, kinds, strict=False)]
    whole, parts = column(table[12], np.int64, kernel.INT_COLUMNS), column(table[13], np.float64, kernel.FLOAT_COLUMNS)
    return int(kernel.step(*arrays, whole, parts, verb, size))


@pytest.fixture(params=["machine", "plain"])
def steps(request, monkeypatch):
    """The kernel, made ready for one test, with what it answered; as machine code where numba is installed."""
    calls = []
    if request.param == "machine" and not machine.is_installed():
        pytest.skip("numba is not installed (the extra `fast`)")
    inner = machine.ready() if request.param == "machine" else plain_step

    def step(address, verb, size):
        calls.append(inner(address, verb, size))
        return calls[-1]

    monkeypatch.setattr(machine, "_MADE", [step])
    return calls


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at all that a view says of the ledger, and sizes by it."""

    exits: tuple = ()

    @property
    def wants(self) -> Wants:
        lead = sma(close, 3) - sma(close, 7)
        return Wants(when_flat=lead > 0.0, when_held=lead < 0.0, columns=(lead,))

    def decide(self, view: View) -> Decision:
        asset = view.assets[0]
        if not view.holds(asset):  # each first thing that is asked must be right by itself
            size, told = Quote(view.cash * 0.4), f"{view.equity:.6f}"
            assert view.holding(asset) is None
            return Decision.change({asset: Target(size, self.exits, why=told)})
        held = view.holding(asset)
        why = f"{held.quantity} at {held.entry_price} since {held.since} is {held.weight} up {held.profit}"
        return Decision.hold() if held.profit > 0.02 else Decision.change({asset: Target(0.0, why=why)})


def two_ways(strategy, tape, **how):
    """The same replay with and without the kernel, found equal in every row and number."""
    quick, slow = replay(strategy, tape, **how), replay(strategy, tape, compiled=False, **how)
    assert quick.rows == slow.rows
    assert [(at, wake.causes, said) for at, wake, said in quick.decided] == [
        (at, wake.causes, said) for at, wake, said in slow.decided
    ]
    assert [one.tolist() for one in quick.log.fills.columns()] == [one.tolist() for one in slow.log.fills.columns()]
    assert (quick.log.at_once, quick.log.ambiguous) == (slow.log.at_once, slow.log.ambiguous)
    mine, other = quick.engine.mount, slow.engine.mount
    for name in ("cash", "fees", "held", "others", "realised"):
        assert getattr(mine.ledger, name) == getattr(other.ledger, name), name
    for name in ("targets", "orders", "exiting", "spent", "leaving", "memo", "timers", "orders_made"):
        assert getattr(mine, name) == getattr(other, name), name
    for asset, holding in other.ledger.holdings.items():
        for part in ("quantity", "entry", "is_flat", "opened_ns", "venue"):
            assert getattr(mine.ledger.holdings[asset], part) == getattr(holding, part), part
        assert holding.is_flat or mine.ledger.holdings[asset].peak == holding.peak
    assert quick.final_equity == slow.final_equity
    np.testing.assert_array_equal(quick.curve, slow.curve)
    return quick


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("exits", EXITS)
def test_as_a_stepper_does_it(exits, way, steps):
    bars, ratings, instruments = one_asset()
    how = WAYS[way]
    for strategy in strategies(EXITS[exits]):
        expected, result = both(
            strategy, bars, ratings, None, instruments if how.lots else None, cash=how.cash, costs=how.costs,
            latency=how.latency, exits=how.exits,
        )  # fmt: skip
        assert_same(expected, result)
        assert_folds(result)
    assert bool(steps) == (way == "plain")  # the others have what the kernel leaves to the engine


@pytest.mark.parametrize("size", SIZES)
def test_row_for_row_as_without_it(size, steps):
    bars, ratings, instruments = one_asset()
    for costs in (FREE, DEAR):
        for lots in (None, instruments):
            tape = Tape.from_frames(bars, ratings, instruments=lots)
            for exits in (*EXITS.values(), TIGHT):
                for strategy in (
                    SmaCross(4, 11, size=SIZES[size], exits=exits),
                    RatingBand(52.0, 48.0, kind=GRADE, size=SIZES[size], exits=exits),
                    Moody(exits),
                    Looker(exits),
                ):
                    two_ways(strategy, tape, cash=20_000.0, costs=costs)
    assert steps


def test_the_kernel_does_the_work(steps, monkeypatch):
    bars, ratings, _ = one_asset()
    tape = Tape.from_frames(bars, ratings)
    carried = []
    plain = compiled.solo.carry_out
    monkeypatch.setattr(compiled.solo, "carry_out", lambda *rest: (carried.append(1), plain(*rest))[1])
    result = two_ways(SmaCross(2, 3, size=0.4, exits=TIGHT), tape, costs=DEAR)
    assert (
        0 <= len(result.decided) - sum(answer >= 0 for answer in steps) <= 1
    )  # the last bar has no next one to deal at
    assert steps.count(kernel.FULL) == 2  # twice more events than there is room for
    assert not carried
    assert sum(row[0] is Dealt for row in result.engine.record) == 0
    assert sum(row[0] is Many for row in result.engine.record) == 1


def random_world(seed):
    """Bars that jump, gap and stand still, ratings at closes, and a market with steps of odd sizes."""
    lot = np.random.default_rng(seed)
    count = 900
    moves = lot.normal(0, lot.choice([0.002, 0.01, 0.04]), count) * lot.choice([0, 1], count, p=[0.1, 0.9])
    closes = 10 ** lot.uniform(-3, 4) * np.exp(np.cumsum(moves))
    opens = np.append(closes[0], closes[:-1]) * np.exp(lot.normal(0, 0.003, count) * lot.choice([0, 1], count))
    spread = np.abs(lot.normal(0, 0.008, (2, count)))
    at = pd.date_range("2024-01-01", periods=count, freq="1h", tz="UTC")
    bars = pd.DataFrame(
        {
            "ts": at, "asset": "A", "open": opens, "high": np.maximum(opens, closes) * (1 + spread[0]),
            "low": np.minimum(opens, closes) * (1 - spread[1]), "close": closes, "volume": lot.uniform(1, 9, count),
        }
    )  # fmt: skip
    told = at[lot.choice([True, False], count, p=[0.3, 0.7])]
    known = told + pd.to_timedelta(lot.choice([0, 0, 0, 0, 7], len(told)), unit="min")  # some between two closes
    ratings = pd.DataFrame(
        {"asset": "A", "kind": GRADE, "as_of": told, "known_at": known, "value": lot.uniform(0, 100, len(told))}
    )
    step = 10.0 ** -int(lot.integers(0, 7))
    one = {
        "asset": "A",
        "lot": lot.choice([np.nan, step, 0.3 * step]),
        "tick": lot.choice([np.nan, closes[0] * 1e-4, 0.05 * closes[0] * 0.01]),
        "min_notional": lot.choice([np.nan, 5.0, 3_000.0]),
    }
    return bars, ratings, pd.DataFrame([one])


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(seed, marks=full) for seed in range(6, 24))])
def test_in_random_worlds(seed, steps):
    bars, ratings, instruments = random_world(seed)
    lot = np.random.default_rng(seed + 1_000)
    tape = Tape.from_frames(bars, ratings, instruments=instruments)
    costs = Costs(fee=float(lot.choice([0.0, 0.001, 0.02])), half_spread=float(lot.choice([0.0, 0.0005])))
    for size in (*SIZES.values(), 1.0, Quote(400.0)):
        exits = [(), (FallBy(float(lot.uniform(0.001, 0.1))),), (RiseBy(float(lot.uniform(0.001, 0.1))),)]
        exits.append((exits[1][0], exits[2][0]))
        mine = exits[int(lot.integers(4))]
        for strategy in (
            RatingBand(60.0, 40.0, kind=GRADE, size=size, exits=mine),
            SmaCross(3, 8, size=size, exits=mine),
            Looker(mine),
        ):
            two_ways(strategy, tape, cash=float(10 ** lot.uniform(2, 6)), costs=costs)
    assert steps


def test_what_a_strategy_raises_is_told_after_what_it_did(steps):
    @dataclass(frozen=True, slots=True)
    class Raises:
        inner: SmaCross
        at: int

        @property
        def wants(self):
            return self.inner.wants

        def decide(self, view):
            seen.append(view.now)
            if len(seen) == self.at:
                raise ZeroDivisionError("by hand")
            return self.inner.decide(view)

    bars, ratings, _ = one_asset()
    tape = Tape.from_frames(bars, ratings)
    told = []
    for how in (None, False):
        seen = []
        with pytest.raises(StrategyError) as caught:
            replay(Raises(SmaCross(4, 11, size=0.3, exits=TIGHT), 30), tape, compiled=how)
        told.append((str(caught.value), seen))
    assert told[0] == told[1]
    assert "by hand" in told[0][0]
    assert steps


def test_limits_exact_numbers_and_the_next_open_are_the_engines(steps):
    bars, ratings, _ = one_asset()
    tape = Tape.from_frames(bars, ratings)
    for how in ({"limits": Limits(weight_per_asset=0.1)}, {"exact": True}, {"exits": "next_open"}):
        two_ways(SmaCross(4, 11, size=0.3, exits=TIGHT), tape, **how)
    assert not steps


def test_it_is_left_alone_where_it_has_nothing_to_do(steps):
    bars, ratings, _ = one_asset()
    tape = Tape.from_frames(bars, ratings)
    result = two_ways(SmaCross(4, 11, size=0.3, exits=EXITS["trail-half-after"]), tape)
    assert 0 < len(steps) <= 2 * compiled.SHORTS < len(result.decided)


def test_progress_is_told(steps):
    bars, ratings, _ = one_asset()
    seen = []
    replay(SmaCross(2, 3, size=0.2), Tape.from_frames(bars, ratings), progress=seen.append)
    assert seen == sorted(seen)
    assert 0 < seen[0] <= seen[-1] <= 1
    assert steps


def test_without_numba_it_is_said_how_to_get_it(monkeypatch):
    bars, ratings, _ = one_asset()
    monkeypatch.setattr(machine, "_MADE", [])
    monkeypatch.setattr(machine, "is_installed", lambda: False)
    tape = Tape.from_frames(bars, ratings)
    with pytest.raises(ValueError, match=r"pip install 'signal-trader\[fast\]'"):
        replay(SmaCross(), tape, compiled=True)
    assert replay(SmaCross(), tape).n_fills == replay(SmaCross(), tape, compiled=False).n_fills


def test_only_who_asks_waits_for_numba(monkeypatch):
    bars, ratings, _ = one_asset()
    monkeypatch.setattr(machine, "_MADE", [])
    replay(SmaCross(), Tape.from_frames(bars, ratings))
    assert not machine.is_ready()


def test_a_long_sweep_makes_it_ready_and_finds_the_same(monkeypatch):
    if not machine.is_installed():
        pytest.skip("numba is not installed (the extra `fast`)")
    bars, ratings, _ = one_asset()
    tape, grid = Tape.from_frames(bars, ratings), {"fast": [2, 3, 4], "slow": [7, 11], "size": [0.3], "exits": [TIGHT]}
    monkeypatch.setattr(machine, "_MADE", [])
    short = sweep(SmaCross, grid, tape)
    assert not machine.is_ready()
    monkeypatch.setattr(trial, "COMPILE_AFTER", 0.0)
    long = sweep(SmaCross, grid, tape)
    assert machine.is_ready()
    pd.testing.assert_frame_equal(
        long.drop(columns="seconds", errors="ignore"), short.drop(columns="seconds", errors="ignore")
    )
