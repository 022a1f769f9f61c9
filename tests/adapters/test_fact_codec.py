"""Every fact comes back from its text as it went in: same values, same types, every digit."""

import dataclasses
import typing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from trader.adapters.fact_codec import FACTS, CodecError, decode, encode
from trader.core.exits import Above, After, Below, FallBy, FallTo, RiseBy, RiseTo, TrailBy
from trader.core.facts import Filled, MemoKept
from trader.core.signals import Signal
from trader.core.strategy import Quote, Units

AT = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
instants = some.integers(0, 10**9).map(lambda seconds: AT + timedelta(seconds=seconds, microseconds=seconds % 997))
text = some.text(max_size=12)
shares = some.sampled_from([1.0, 0.5, 0.3])
exits = some.one_of(
    some.builds(FallBy, some.floats(0.01, 0.9), shares), some.builds(RiseBy, some.floats(0.01, 3), shares),
    some.builds(TrailBy, some.floats(0.01, 0.9), shares), some.builds(FallTo, some.floats(0.1, 1e6), shares),
    some.builds(RiseTo, some.floats(0.1, 1e6), shares), some.builds(After, some.sampled_from(["3d", "12h"]), shares),
    some.builds(Below, some.floats(0, 100), some.just("g"), shares),
    some.builds(Above, some.floats(0, 100), some.just("g"), shares),
)  # fmt: skip
decimals = some.decimals(allow_nan=False, allow_infinity=False, places=None)
floats = some.floats(allow_nan=False)
numbers = decimals | floats
signals = some.builds(Signal, text, text, floats, instants, instants, some.lists(exits, max_size=2).map(tuple))
memos = some.recursive(
    some.none() | some.booleans() | some.integers() | numbers | text | instants,
    lambda inner: (
        some.lists(inner, max_size=3) | some.lists(inner, max_size=3).map(tuple) | some.dictionaries(text, inner)
    ),
    max_leaves=6,
)
BY_NAME = {"memo": memos, "size": floats | some.builds(Quote, floats) | some.builds(Units, floats), "exit": exits}
BY_TYPE = {
    datetime: instants, str: text, int: some.integers(), bool: some.booleans(), float: numbers, int | None: some.none() | some.integers(),
    float | None: some.none() | numbers, tuple[str, ...]: some.lists(text, max_size=3).map(tuple),
    tuple[tuple[str, str], ...]: some.lists(some.tuples(text, text), max_size=2).map(tuple),
    tuple[tuple[str, ...], ...]: some.lists(some.lists(text, max_size=3).map(tuple), max_size=2).map(tuple),
    tuple[Signal, ...]: some.lists(signals, max_size=3).map(tuple),
}  # fmt: skip


def any_of(cls):
    hints = typing.get_type_hints(cls)
    made = {}
    for field in dataclasses.fields(cls):
        if field.name == "exits":
            made[field.name] = some.lists(exits, max_size=3).map(tuple)
        else:
            made[field.name] = BY_NAME[field.name] if field.name in BY_NAME else BY_TYPE[hints[field.name]]
    return some.builds(cls, **made)


def types(value):
    if dataclasses.is_dataclass(value):
        return type(value), [types(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        return type(value), [types(one) for one in value]
    return type(value)


@pytest.mark.parametrize("name", sorted(FACTS))
def test_every_fact_comes_back_as_it_went_in(name):
    @given(any_of(FACTS[name]))
    def back(fact):
        found = decode(encode(fact))
        assert found == fact
        assert types(found) == types(fact)
        assert "\n" not in encode(fact)

    back()


def test_no_digit_of_a_decimal_is_lost():
    quantity = Decimal("12345678901234567890.123456789012345678")
    fill = Filled(AT, "m", 1, "A", "gate", "buy", quantity, Decimal("1E-18"), Decimal(0), "A", "", "t1")
    assert str(decode(encode(fill)).quantity) == str(quantity)
    assert decode(encode(fill)).price == Decimal("1E-18")


@pytest.mark.parametrize("memo", [object(), {1: 2}, Decimal("NaN"), {"x": {3}}, datetime(2024, 1, 1)])  # noqa: DTZ001
def test_what_has_no_form_is_refused(memo):
    with pytest.raises(CodecError):
        encode(MemoKept(AT, "m", memo))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"$":"OrderTeleported","at":1}', "newer version"),
        ('{"$":"LinkChanged","at":{"$":"at","is":"2024-01-01T00:00:00+00:00"},"link":"x","is_up":true,"why":"","more":1}', "more"),
        ('{"$":"Quote","amount":1.0}', "no fact"), ("[]", "no fact"), ("{", "no fact"), ('{"a":1}', "no fact"),
        ('{"$":"MemoKept","at":{"$":"decimal","is":"x"},"mount":"m","memo":null}', "no fact"),
    ],
)  # fmt: skip
def test_what_this_version_did_not_write_is_refused(line, says):
    with pytest.raises(CodecError, match=says):
        decode(line)
