"""Client ids: stable, of the form that both venues take, different wherever anything differs."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from trader.core.identity import client_core, intent_id, is_ours

words = some.text(some.characters(exclude_characters="|", exclude_categories=["Cs"]), max_size=20)
intents = some.tuples(words, words, words, words, some.integers(0, 5))
attempts = some.integers(1, 50)


@given(intents, attempts)
def test_it_has_the_form_that_venues_take(intent, attempt):
    core = client_core("abc2", intent_id(*intent), attempt)
    assert re.fullmatch(r"abc2[a-z2-7]{22}", core)
    assert core == client_core("abc2", intent_id(*intent), attempt)
    assert is_ours(core, "abc2")
    assert not is_ours(core, "abc3")
    assert not is_ours(core + "a", "abc2")


@given(intents, intents, attempts, attempts)
def test_whatever_differs_makes_another(one, other, first, second):
    assume((one, first) != (other, second))
    assert client_core("abc2", intent_id(*one), first) != client_core("abc2", intent_id(*other), second)


def test_the_name_of_a_known_order_never_changes():
    """An id made by an older version must be found again: this one is written down."""
    intent = intent_id("gate-main", "weekly-top", "timer:weekly-top:1704067200", "BTC")
    assert intent == "7599c3b6c55327908accae506ef4228903ef20c1028de2b35d2c7ebf9c39c7d1"
    assert client_core("abc2", intent, 1) == "abc2mup2u7eanbls7rmervjzen"
    assert client_core("abc2", intent, 1) != client_core("abc2", intent, 2)


@pytest.mark.parametrize("namespace", ["", "abc", "abcde", "ABC2", "abc1", "ab-2"])
def test_a_namespace_of_another_form_is_refused(namespace):
    with pytest.raises(ValueError, match="namespace"):
        client_core(namespace, "x", 1)


def test_an_id_with_a_letter_that_we_never_use_is_not_ours():
    for letter in "X1-":
        assert not is_ours("abc2" + letter * 22, "abc2")
    assert is_ours("abc2" + "a" * 22, "abc2")


def test_parts_that_could_be_confused_are_refused():
    with pytest.raises(ValueError, match=r"\|"):
        intent_id("a|b", "m", "c", "A")
    with pytest.raises(ValueError, match="attempt"):
        client_core("abc2", "x", 0)
