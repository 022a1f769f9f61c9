"""States as text: whatever has a form comes back as it was, and whatever has none is refused before anything is set."""

import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest

from trader.core.states import Coder, StateError


@dataclass(frozen=True, slots=True)
class Frozen:
    number: int
    inner: object = None


class Named(NamedTuple):
    one: int
    two: str = "x"


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b

    def __eq__(self, other):
        return (self.a, self.b) == (other.a, other.b)

    __hash__ = None


class Part:
    STATE = ("value", "other")

    def __init__(self, value=None, other=0):
        self.value, self.other = value, other


CODER = Coder([Frozen, Named, Slots])
AT = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (7, "7"), ("ä$", '"ä$"'), (0.1, "0.1"),
        (math.inf, '{"$":"float","is":"inf"}'), (Decimal("1.50"), '{"$":"decimal","is":"1.50"}'),
        (AT, '{"$":"at","is":"2024-01-02T03:04:05.000006+00:00"}'), (timedelta(seconds=1.5), '{"$":"span","is":1500000.0}'),
        ([1, [2]], "[1,[2]]"), ((1, (2,)), '{"$":"tuple","is":[1,{"$":"tuple","is":[2]}]}'),
        (deque([1, 2]), '{"$":"deque","is":[1,2]}'), ({3, 1}, '{"$":"set","is":[1,3]}'),
        (frozenset({"b", "a"}), '{"$":"frozenset","is":["a","b"]}'),
        ({1: "x", ("a", 2): {}}, '{"$":"map","is":[[1,"x"],[{"$":"tuple","is":["a",2]},{"$":"map","is":[]}]]}'),
        (Frozen(1, Named(2)), '{"$":"Frozen","number":1,"inner":{"$":"Named","one":2,"two":"x"}}'),
        (Slots(1, 2), '{"$":"Slots","a":1,"b":2}'),
    ],
)  # fmt: skip
def test_a_value_has_one_text_and_comes_back_as_it_was(value, text):
    written = CODER.capture({"p": Part(value)})
    assert written == '{"p":{"value":' + text + ',"other":0}}'
    part = Part("before", "before")
    CODER.restore(written, {"p": part})
    assert (part.value, part.other) == (value, 0)
    assert type(part.value) is type(value)


def test_what_is_no_number_comes_back_as_none():
    part = Part()
    CODER.restore(CODER.capture({"p": Part(math.nan)}), {"p": part})
    assert math.isnan(part.value)


class Unlisted(NamedTuple):
    one: int


@pytest.mark.parametrize("value", [object(), b"x", Unlisted(1), {1: object()}, [Unlisted], 1j])
def test_what_has_no_form_is_refused(value):
    with pytest.raises(StateError, match="has no form in a state"):
        CODER.capture({"p": Part(value)})


class Mine(Frozen):
    pass


def test_a_class_of_the_same_name_is_not_the_same_class():
    Mine.__name__ = "Frozen"
    with pytest.raises(StateError, match="has no form"):
        CODER.capture({"p": Part(Mine(1))})


def test_of_a_class_only_what_is_named_is_kept():
    coder = Coder([Frozen], {Frozen: ("number",)})
    text = coder.capture({"p": Part(Frozen(1, 2))})
    assert text == '{"p":{"value":{"$":"Frozen","number":1},"other":0}}'
    part = Part()
    coder.restore(text, {"p": part})
    assert part.value.number == 1
    assert not hasattr(part.value, "inner")


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "7", '{"p":7}', '{"q":{"value":1,"other":2}}', '{"p":{"value":1}}', '{"p":{"other":1,"value":2}}',
        '{"p":{"value":1,"other":2},"q":{}}', '{"p":{"value":{"is":1},"other":2}}', '{"p":{"value":{"$":"os"},"other":2}}',
        '{"p":{"value":{"$":"decimal","is":"x"},"other":2}}', '{"p":{"value":{"$":"at","is":"soon"},"other":2}}',
        '{"p":{"value":{"$":"Frozen","number":1},"other":2}}', '{"p":{"value":{"$":"Frozen","number":1,"inner":2,"more":3},"other":2}}',
        '{"p":{"value":{"$":"tuple"},"other":2}}', '{"p":{"value":{"$":"map","is":[[1]]},"other":2}}',
        '{"p":{"value":{"$":"set","is":[[1]]},"other":2}}', '{"p":{"value":' + "[" * 100_000 + "]" * 100_000 + ',"other":2}}',
    ],
)  # fmt: skip
def test_a_text_that_is_no_state_sets_nothing(text):
    part = Part("before", "before")
    with pytest.raises(StateError, match="no state: "):
        CODER.restore(text, {"p": part})
    assert (part.value, part.other) == ("before", "before")


def test_a_coder_keeps_all_fields_unless_it_is_told_which():
    assert (
        Coder([Frozen]).capture({"p": Part(Frozen(1))})
        == '{"p":{"value":{"$":"Frozen","number":1,"inner":null},"other":0}}'
    )


def test_each_part_gets_its_own():
    parts = {"a": Part(1, 2), "b": Part(3, 4)}
    fresh = {"a": Part(), "b": Part()}
    CODER.restore(CODER.capture(parts), fresh)
    assert [(one.value, one.other) for one in fresh.values()] == [(1, 2), (3, 4)]
