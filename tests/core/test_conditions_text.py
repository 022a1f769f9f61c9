"""The text of conditions: it reads back as it prints, and says what is wrong."""

import os
import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.core import conditions as c
from trader.core.conditions import Column, Condition, ConditionError, close, parse, rating, sma

KINDS = st.sampled_from(["trader_grade", "mood", "and", "with space", "it's", "1st"])
BASES = st.one_of(
    st.sampled_from([close, c.open_, c.high, c.low, c.volume, c.atr(14)]), KINDS.map(rating), KINDS.map(c.signal)
)


def windows(inner: st.SearchStrategy[Column]) -> st.SearchStrategy[Column]:
    makers = [sma, c.ema, c.rsi, c.highest, c.lowest, c.rank, c.lag, c.change, lambda x, n: c.ema(x, n, seeded=True)]
    return st.builds(lambda make, x, n: make(x, n), st.sampled_from(makers), inner, st.integers(2, 60))


def arithmetic(inner: st.SearchStrategy[Column]) -> st.SearchStrategy[Column]:
    side = st.one_of(inner, st.floats(-1e6, 1e6).map(c.number))
    return st.builds(lambda op, x, y: Column(op, (x, y)), st.sampled_from("+-*/"), inner, side)


COLUMNS = st.one_of(
    BASES, windows(BASES), windows(windows(BASES)), KINDS.map(c.age), arithmetic(BASES), arithmetic(arithmetic(BASES))
)
COMPARED = st.builds(
    lambda op, x, y: Condition(op, (x, y)),
    st.sampled_from([">", ">=", "<", "<=", "crosses_above", "crosses_below"]),
    COLUMNS,
    st.one_of(COLUMNS, st.floats(-1e6, 1e6).map(c.number)),
)
CONDITIONS = st.recursive(
    COMPARED,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda a: ~a),
        inner.map(lambda a: a.turns()),
        inner.map(lambda a: c.truth(a) > 0.5),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(CONDITIONS)
def test_what_prints_reads_back_the_same(condition: Condition) -> None:
    assert parse(str(condition)) == condition


@settings(max_examples=200, deadline=None)
@given(COLUMNS)
def test_columns_read_back_too(column: Column) -> None:
    assert parse(str(column)) == column


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("rating(trader_grade) >= 70", rating("trader_grade") >= 70.0),
        (
            "rating(trader_grade) >= 70 and close > sma(close, 50)",
            (rating("trader_grade") >= 70.0) & (close > sma(close, 50)),
        ),
        ("not close < 5 or volume > 1", ~(close < 5.0) | (c.volume > 1.0)),
        ("(close < 5) & (volume > 1)", (close < 5.0) & (c.volume > 1.0)),
        ("crosses_above(close, 5)", close.crosses_above(5.0)),
        ("turns(close > 5)", (close > 5.0).turns()),
        ("20 < rsi(close, 14) <= 80", (c.number(20.0) < c.rsi(close, 14)) & (c.rsi(close, 14) <= 80.0)),
        ("change(close, 1) < -2.5", c.change(close, 1) < -2.5),
        ("ema(rating(g), 3, seeded) > 1", c.ema(rating("g"), 3, seeded=True) > 1.0),
        ("close\n  > open", close > c.open_),
    ],
)
def test_operators_write_it_plainly(text: str, meant: Condition) -> None:
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rating(trader_grade) >=", "cannot be read"),
        ("clsoe > 5", "did you mean close?"),
        ("smaa(close, 5) > 1", "did you mean sma?"),
        ("rating > 5", "rating(trader_grade)"),
        ("close(5) > 1", "write close"),
        ("sma(close) > 1", "sma(close, 50)"),
        ("sma(close, 0) > 1", "from 1 to"),
        ("sma(close, 2.5) > 1", "whole number"),
        ("rank(close, 1) > 1", "from 2 to"),
        ("sma(close / rating(g), 3) > 1", "no single series"),
        ("sma(age(g), 3) > 1", "no single series"),
        ("close == 5", "allowed are > >= < <="),
        ("close ** 2 > 5", "allowed are + - * /"),
        ("close and open > 1", "condition is needed"),
        ("sma(close > 1, 5) > 1", "column is needed"),
        ("1 < 2", "compares numbers only"),
        ("close > True", "allowed are columns and numbers"),
        ("close > 1e999", "finite"),
        ("close > 'x'", "columns and numbers"),
        ("__import__('os').system('true') > 1", "unknown function"),
        ("[close][0] > 1", "is not allowed"),
        ("close > (lambda: 1)()", "unknown function"),
        ("rating(5) > 1", "is no kind"),
        ("", "is no condition"),
    ],
)
def test_errors_name_the_remedy(text: str, said: str) -> None:
    with pytest.raises(ConditionError) as error:
        parse(text)
    assert said in str(error.value)
    assert text.strip() in str(error.value) or not text


def test_conditions_refuse_to_be_python_truths() -> None:
    with pytest.raises(TypeError, match=r"& \| ~"):
        _ = (close > 5.0) and (close < 6.0)


def test_equal_columns_are_one_key() -> None:
    assert {sma(close, 5): 1}[sma(close, 5)] == 1
    assert sma(close, 5) != sma(close, 6)


def test_too_deep_is_refused_not_a_crash() -> None:
    with pytest.raises(ConditionError):
        parse("(" * 5000 + "close" + ")" * 5000 + " > 1")
    with pytest.raises(ConditionError):
        parse("not " * 50000 + "close > 1")


@pytest.mark.parametrize("count", [1, 2, 3, 250, 251])
def test_however_many_minus_signs_are_one_or_none_and_print_back_as_such(count: int) -> None:
    column, deep = -close if count % 2 else close, min(count, 98 + count % 2)
    for text in (
        "-" * count + "close > 1",
        "- +" * count + "close > 1",
        "-(" * deep + "close" + ")" * deep + " > 1",
    ):
        found = parse(text)
        assert found == (column > 1.0)
        assert parse(str(found)) == found
        assert len(str(found)) < 20
    assert parse("-" * count + "3 < close") == (c.number((-1) ** count * 3) < close)


@given(st.integers(0, 400))
def test_a_column_that_is_negated_again_and_again_stays_as_short(count: int) -> None:
    column = rating("g")
    for _ in range(count):
        column = -column
    assert column == (-rating("g") if count % 2 else rating("g"))


def test_conditions_keep_their_identity_in_another_process() -> None:
    condition = (sma(close, 5) > rating("g")).turns() & (c.truth(close > 1.0) > 0.5)
    assert pickle.loads(pickle.dumps(condition)) == condition
    program = (
        "import pickle, sys; from trader.core.conditions import parse; "
        "found = pickle.load(sys.stdin.buffer); assert {found: 1}[parse(str(found))] == 1"
    )
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", program], input=pickle.dumps(condition), env=environment, check=True)
