"""Conditions: one definition, two evaluators, causal, three-valued, and honest about how far back they look."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.core import conditions as c
from trader.core.conditions import BarColumns, Column, Condition, Series, close, ema, rating, signal, sma
from trader.core.instants import DAY

HOUR = DAY // 24
MAX_AGE = 3 * DAY

COLUMNS = [
    rating("grade"),
    signal("mood"),
    close,
    c.open_,
    c.high,
    c.low,
    c.volume,
    sma(close, 1),
    sma(close, 20),
    sma(rating("grade"), 7),
    ema(close, 3),
    ema(rating("grade"), 2),
    ema(rating("grade"), 3, seeded=True),
    c.rsi(close, 3),
    c.atr(2),
    c.highest(c.high, 11),
    c.lowest(c.low, 8),
    c.rank(close, 9),
    c.lag(close, 4),
    c.change(rating("grade"), 2),
    c.age("grade"),
    c.age("mood"),
    close / sma(close, 5) - 1.0,
    2.0 * rating("grade") + signal("mood"),
    100.0 - c.age("grade") / 2.0,
    sma(c.change(c.highest(close, 3), 2), 5),
    c.truth(sma(close, 3) > sma(close, 6)),
]
CONDITIONS = [
    rating("grade") >= 70.0,
    (rating("grade") >= 50.0) & (close > sma(close, 5)),
    ~(signal("mood") > 0.0) | (c.age("grade") < 1.0),
    sma(close, 3).crosses_above(sma(close, 7)),
    sma(close, 3).crosses_below(sma(close, 7)),
    (rating("grade") > 60.0).turns() & (close > c.lag(close, 3)),
    ((rating("grade") > 50.0) & (close > 100.0)).turns(),
    (close > sma(close, 3)).turns().turns(),
    close / rating("grade") > 1.8,
    c.truth(rating("grade") > 50.0) + c.truth(close > 100.0) >= 1.0,
]


def made(seed: int, bars: int = 150, grades: int = 60) -> Series:
    """Random bars with gaps, and ratings and signals at their own instants."""
    rng = np.random.default_rng(seed)
    close_ns = np.cumsum(rng.integers(1, 3, bars)).astype(np.int64) * HOUR
    price = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, bars))), 1)
    spread = rng.uniform(0.0, 1.0, bars)
    columns = BarColumns(close_ns, price - 0.1, price + spread, price - spread, price, rng.uniform(1, 9, bars))

    def datums(low: float, high: float, digits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known = np.sort(rng.choice(int(close_ns[-1]) // (HOUR // 2), grades, replace=False)).astype(np.int64) * (
            HOUR // 2
        )
        as_of = known - rng.integers(0, 80, grades).astype(np.int64) * HOUR
        return known, as_of, np.round(rng.uniform(low, high, grades), digits)

    return Series(columns, {"grade": datums(0.0, 100.0, 0)}, {"mood": datums(-1.0, 1.0, 0)})


def cut(series: Series, at_ns: int, keep: int | None = None) -> Series:
    """What was known at an instant; with `keep` only the last so many of each."""

    def part(known: np.ndarray) -> slice:
        stop = int(np.searchsorted(known, at_ns, side="right"))
        return slice(0 if keep is None else max(0, stop - keep), stop)

    bars = series.bars
    here = part(bars.close_ns)
    names = ("close_ns", "open", "high", "low", "close", "volume")
    columns = BarColumns(*(getattr(bars, name)[here] for name in names))
    ratings = {kind: tuple(one[part(datum[0])] for one in datum) for kind, datum in series.ratings.items()}
    signals = {kind: tuple(one[part(datum[0])] for one in datum) for kind, datum in series.signals.items()}
    return Series(columns, ratings, signals)  # type: ignore[arg-type]  # tuples of three, built by iteration


def same(one: object, other: object) -> bool:
    return np.array_equal(np.float64(one), np.float64(other), equal_nan=True)  # type: ignore[arg-type]  # floats


@pytest.mark.parametrize("column", COLUMNS, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_newest_value_equals_the_column_to_the_last_bit(column: Column, seed: int) -> None:
    series = made(seed)
    at = np.unique(np.concatenate([series.bars.close_ns, series.ratings["grade"][0], series.signals["mood"][0]]))
    whole = c.values(column, series, MAX_AGE, at)
    assert np.isfinite(whole).any()
    for instant, value in zip(at.tolist(), whole.tolist(), strict=True):
        assert same(c.newest(column, series, MAX_AGE, instant), value)


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_newest_truth_equals_the_moments(condition: Condition, seed: int) -> None:
    series = made(seed)
    moments = c.evaluate(condition, series, MAX_AGE)
    assert moments.true.any()
    assert not (moments.true & moments.false).any()
    for instant, true, false in zip(*(one.tolist() for one in moments), strict=True):
        assert c.newest(condition, series, MAX_AGE, instant) is (True if true else False if false else None)


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_no_column_sees_the_future(column: Column) -> None:
    series = made(3)
    at = series.bars.close_ns
    whole = c.values(column, series, MAX_AGE, at)
    for i in range(0, len(at), 7):
        prefix = c.values(column, cut(series, int(at[i])), MAX_AGE, at[: i + 1])
        assert np.array_equal(prefix, whole[: i + 1], equal_nan=True)


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_no_condition_sees_the_future(condition: Condition) -> None:
    series = made(3)
    whole = c.evaluate(condition, series, MAX_AGE)
    for i in range(0, len(whole.at_ns), 7):
        prefix = c.evaluate(condition, cut(series, int(whole.at_ns[i])), MAX_AGE)
        for part, full in zip(prefix, whole, strict=True):
            assert np.array_equal(part, full[: i + 1])


@pytest.mark.parametrize("column", [one for one in COLUMNS if one.has_clock and not one.seeded], ids=str)
def test_a_tail_shorter_than_the_lookback_is_unknown(column: Column) -> None:
    series = made(4)
    source, kind = column.sources[0]
    held = {"bars": {}, "rating": series.ratings, "signal": series.signals}[source]
    clock = held[kind][0] if kind else series.bars.close_ns
    at = clock[-1:]
    endless = 10_000 * DAY
    enough = c.values(column, cut(series, int(at[0]), column.lookback), endless, at)
    short = c.values(column, cut(series, int(at[0]), column.lookback - 1), endless, at)
    assert np.isfinite(enough).all()
    assert np.isnan(short).all()


def test_seeded_average_counts_from_the_first_datum_and_forgets_after_its_lookback() -> None:
    column = ema(rating("grade"), 3, seeded=True)
    strict = ema(rating("grade"), 3)
    series = made(5)
    known = series.ratings["grade"][0]
    seeded, full = (c.values(one, series, 10_000 * DAY, known) for one in (column, strict))
    assert seeded[0] == series.ratings["grade"][2][0]
    assert np.isnan(full[: column.lookback - 1]).all()
    assert np.array_equal(seeded[column.lookback - 1 :], full[column.lookback - 1 :])


@pytest.mark.parametrize(
    "condition", [sma(close, 20) > sma(close, 50), sma(close, 9).crosses_above(ema(close, 30))], ids=str
)
def test_long_passes_in_blocks_equal_one_pass(condition: Condition) -> None:
    series = made(6, bars=3 * c.BLOCK + 17)
    blocks = c.evaluate(condition, series, 0)
    column = condition.columns[0]
    assert np.array_equal(blocks.at_ns, series.bars.close_ns)
    for i in range(c.BLOCK - 2, len(blocks.at_ns), 4099):
        found = c.newest(condition, series, 0, int(blocks.at_ns[i]))
        assert found is (True if blocks.true[i] else False if blocks.false[i] else None)
    whole = c.values(column, series, 0, series.bars.close_ns)
    elsewhere = c.values(column, series, 0, series.bars.close_ns.copy())
    assert np.array_equal(whole, elsewhere, equal_nan=True)


def test_conditions_evaluated_together_equal_each_alone() -> None:
    series = made(7, bars=3 * c.BLOCK)
    pair = (sma(close, 20) > sma(close, 50), sma(close, 20) < sma(close, 50))
    for together, alone in zip(
        c.evaluate_all(pair, series, 0), (c.evaluate(one, series, 0) for one in pair), strict=True
    ):
        assert np.array_equal(together.true, alone.true)
        assert np.array_equal(together.false, alone.false)


def of_three(value: float) -> Condition:
    """A condition that is true, false or unknown: 1, 0, NaN (as a division by zero)."""
    return {1.0: close > 0.0, 0.0: close < 0.0}.get(value, close / 0.0 > 0.0)


@pytest.mark.parametrize("left", [1.0, 0.0, 0.5])
@pytest.mark.parametrize("right", [1.0, 0.0, 0.5])
def test_three_valued_logic(left: float, right: float) -> None:
    series, at = made(8), 10**15
    a, b = of_three(left), of_three(right)
    word = {1.0: True, 0.0: False, 0.5: None}
    assert c.newest(a & b, series, 0, at) is word[min(left, right)]
    assert c.newest(a | b, series, 0, at) is word[max(left, right)]
    assert c.newest(~a, series, 0, at) is word[1.0 - left]


def graded(*grades: float, age_days: int = 0) -> Series:
    days = (np.arange(len(grades), dtype=np.int64) + 10) * DAY
    empty = np.empty(0)
    bars = BarColumns(np.empty(0, np.int64), empty, empty, empty, empty, empty)
    return Series(bars, {"grade": (days, days - age_days * DAY, np.array(grades, np.float64))}, {})


def test_an_edge_is_true_only_after_a_known_false() -> None:
    series = graded(80.0, 60.0, 70.0, 90.0, 50.0, 75.0)
    level = rating("grade") >= 70.0
    assert c.evaluate(level, series, DAY).true.tolist() == [True, False, True, True, False, True]
    edge = c.evaluate(level.turns(), series, DAY)
    assert edge.true.tolist() == [False, False, True, False, False, True]
    assert edge.false.tolist() == [False, True, False, True, True, False]


def test_crossing_from_equality_counts() -> None:
    series = graded(60.0, 70.0, 71.0, 70.0, 69.0)
    assert c.evaluate(rating("grade").crosses_above(70.0), series, DAY).true.tolist() == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert c.evaluate(rating("grade").crosses_below(70.0), series, DAY).true.tolist() == [
        False,
        False,
        False,
        False,
        True,
    ]


def test_an_edge_joined_with_another_clock_is_true_at_its_own_datum_only() -> None:
    series = graded(60.0, 80.0)
    hours = (np.arange(10 * 24, 12 * 24, dtype=np.int64)) * HOUR
    flat = np.full(len(hours), 5.0)
    both = Series(BarColumns(hours, flat, flat, flat, flat, flat), series.ratings, {})
    moments = c.evaluate((rating("grade") >= 70.0).turns() & (close > 0.0), both, DAY)
    assert moments.at_ns[moments.true].tolist() == [11 * DAY]


def test_rule_6_a_rating_counts_up_to_max_age_and_not_beyond() -> None:
    series = graded(80.0, age_days=3)
    high = rating("grade") >= 70.0
    assert c.newest(high, series, 3 * DAY, 10 * DAY) is True
    assert c.newest(high, series, 3 * DAY, 10 * DAY + 1) is None
    assert c.newest(~high, series, 3 * DAY, 10 * DAY + 1) is None
    assert c.newest(c.age("grade"), series, 3 * DAY, 10 * DAY + DAY // 2) == 3.5
    assert c.evaluate(high, graded(80.0, age_days=4), 3 * DAY).true.tolist() == [False]


def test_missing_kinds_are_unknown() -> None:
    series = made(9)
    assert np.isnan(c.newest(rating("other"), series, DAY, 10**18))
    assert np.isnan(c.newest(c.age("other"), series, DAY, 10**18))
    assert c.newest(rating("other") > 1.0, series, DAY, 10**18) is None
    assert len(c.evaluate((signal("other") > 0.0).turns(), series, DAY).at_ns) == 0
    assert not c.evaluate((signal("other") > 0.0).turns() & (close > 0.0), series, DAY).true.any()


def test_a_flat_series_never_crosses_its_averages() -> None:
    flat = np.full(400, 0.9998)
    series = Series(BarColumns(np.arange(400, dtype=np.int64), flat, flat, flat, flat, flat), {}, {})
    for fast, slow in ((sma(close, 7), sma(close, 50)), (ema(close, 7), ema(close, 50)), (close, ema(close, 9))):
        assert not c.evaluate((fast > slow) | (fast < slow), series, 0).true.any()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-50, 50).map(lambda n: n / 8), min_size=1, max_size=60), st.integers(2, 9), st.data())
def test_any_tail_gives_the_same_bits(prices: list[float], n: int, data: st.DataObject) -> None:
    x = np.array(prices)
    series = Series(BarColumns(np.arange(len(x), dtype=np.int64), x, x, x, x, x), {}, {})
    column = data.draw(st.sampled_from([sma, ema, c.rsi, c.highest, c.lowest, c.rank, c.lag, c.change]))(close, n)
    whole = c.values(column, series, 0, series.bars.close_ns)
    for i, value in enumerate(whole.tolist()):
        assert same(c.newest(column, series, 0, i), value)
