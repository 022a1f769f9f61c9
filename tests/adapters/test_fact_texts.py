"""The form of facts in the journal, letter by letter: what is written today must be read for ever."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType

import pytest

from trader.adapters.fact_codec import FACTS, PARTS, CodecError, decode, encode
from trader.adapters.journal_chain import GENESIS, Broken, chained, rows_of, sealed, walk
from trader.core.exits import FallBy
from trader.core.facts import Filled, LinkChanged, MemoKept, SignalsKnown, TargetSet
from trader.core.signals import Signal
from trader.core.strategy import Quote, Units

AT = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
AT_TEXT = '{"$":"at","is":"2024-01-02T03:04:05.000006+00:00"}'


class Flag:
    pass


@dataclass
class Strange:
    one: int = 1


@pytest.mark.parametrize(
    ("memo", "text"),
    [
        (None, "null"), (True, "true"), (7, "7"), ("ä\n", '"ä\\n"'), (0.1, "0.1"),
        (math.inf, '{"$":"float","is":"inf"}'), (-math.inf, '{"$":"float","is":"-inf"}'),
        (Decimal("1.50"), '{"$":"decimal","is":"1.50"}'), (AT, AT_TEXT),
        (AT.astimezone(timezone(timedelta(hours=2))), AT_TEXT),
        ((1, (2,)), '{"$":"tuple","is":[1,{"$":"tuple","is":[2]}]}'), ([1, [2]], "[1,[2]]"),
        ({"b": 1, "$": (2,)}, '{"$":"map","is":{"b":1,"$":{"$":"tuple","is":[2]}}}'), ({}, '{"$":"map","is":{}}'),
        (MappingProxyType({"a": 1}), '{"$":"map","is":{"a":1}}'),
        (Quote(2.5), '{"$":"Quote","amount":2.5}'), (Units(Decimal(3)), '{"$":"Units","quantity":{"$":"decimal","is":"3"}}'),
        (FallBy(0.1, 0.5), '{"$":"FallBy","by":0.1,"share":0.5}'),
    ],
)  # fmt: skip
def test_a_value_has_one_text_and_comes_back(memo, text):
    line = '{"$":"MemoKept","at":' + AT_TEXT + ',"mount":"m","memo":' + text + "}"
    assert encode(MemoKept(AT, "m", memo)) == line
    found = decode(line)
    assert found == MemoKept(AT, "m", memo)
    assert type(found.memo) is (dict if isinstance(memo, MappingProxyType) else type(memo))
    assert encode(found) == line


def test_what_is_no_number_comes_back_as_none():
    assert math.isnan(decode(encode(MemoKept(AT, "m", math.nan))).memo)


def test_facts_within_facts():
    signal = Signal("A", "grade", 80.0, AT, AT)
    fact = SignalsKnown(AT, (signal,), key="k")
    assert json.loads(encode(fact)) == {
        "$": "SignalsKnown", "at": json.loads(AT_TEXT), "is_rating": True, "key": "k",
        "signals": {"$": "tuple", "is": [json.loads(encode(MemoKept(AT, "m", signal)))["memo"]]},
    }  # fmt: skip
    assert decode(encode(fact)) == fact
    target = TargetSet(AT, "m", "A", Units(1.0), (FallBy(0.1),), "why")
    assert decode(encode(target)) == target


def test_the_classes_are_those_of_facts_and_of_what_they_hold():
    assert {"MemoKept", "Filled", "SignalReceived", "EpochTaken", "ConfigApplied"} <= set(FACTS)
    assert set(PARTS) == {
        "FallBy",
        "RiseBy",
        "TrailBy",
        "FallTo",
        "RiseTo",
        "After",
        "Below",
        "Above",
        "Signal",
        "Quote",
        "Units",
    }


@pytest.mark.parametrize(
    ("memo", "says"),
    [
        (Decimal("NaN"), "NaN is no amount"), (Decimal("Infinity"), "Infinity is no amount"),
        (datetime(2024, 1, 1), "has no time zone"),  # noqa: DTZ001
        ({1: 2}, "only text can be a key"), (Flag(), r"\(Flag\) cannot be kept"), (Flag, "cannot be kept"), (Strange(), r"\(Strange\) cannot"), ({1, 2}, r"\(set\) cannot"),
        ([Flag()], "cannot be kept"), ((Flag(),), "cannot be kept"), ({"a": Flag()}, "cannot be kept"),
    ],
)  # fmt: skip
def test_what_has_no_form_is_refused_with_what_it_is(memo, says):
    with pytest.raises(CodecError, match=says):
        encode(MemoKept(AT, "m", memo))


MEMO = '{"$":"MemoKept","at":' + AT_TEXT + ',"mount":"m","memo":%s}'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (MEMO % '{"$":"float","is":"7.0"}', "'7.0' is no float of this codec"), (MEMO % '{"$":"Teleported"}', "'Teleported' is unknown here"),
        (MEMO % '{"is":1}', "no fact of this version"), (MEMO % '{"$":"map","is":[1]}', "no fact of this version"),
        (MEMO % '{"$":"tuple","is":1}', "no fact of this version"), (MEMO % '{"$":"at","is":"soon"}', "no fact of this version"),
        (MEMO % '{"$":"at"}', "no fact of this version"), ("[" * 100_000, "no fact of this version"), ("7", "no fact: '7'"), ("", "no fact of"),
        ('{"$":"Quote","amount":1.0}', "no fact: "), ('{"$":["Quote"],"amount":1.0}', "no fact of this version"),
    ],
)  # fmt: skip
def test_what_is_no_fact_is_refused_with_why(line, says):
    with pytest.raises(CodecError, match=says):
        decode(line)


def test_a_refusal_shows_the_beginning_of_what_it_refuses():
    with pytest.raises(CodecError) as caught:
        decode("[" + "1," * 100 + "1]")
    assert str(caught.value) == "no fact: " + repr("[" + "1," * 39 + "1")


# The chain

LINKS = [LinkChanged(AT + timedelta(seconds=n), f"gate{n}", n % 2 == 0, "up") for n in range(3)]


def test_the_hash_of_a_row_covers_the_one_before_and_all_that_it_says():
    written = "bc329849c8feb1a4cd2b18b27bc6471816635bdd62ef10a338d5c9a9016bc6fd"
    assert GENESIS == "0" * 64
    found = chained(GENESIS, 1, 2, "Kind", "{}")
    assert found == written
    parts = [(GENESIS, 1, 2, "Kind", "{}"), ("1" + "0" * 63, 1, 2, "Kind", "{}"), (GENESIS, 2, 2, "Kind", "{}"),
             (GENESIS, 1, 3, "Kind", "{}"), (GENESIS, 1, 2, "Other", "{}"), (GENESIS, 1, 2, "Kind", "{} ")]  # fmt: skip
    assert len({chained(*one) for one in parts}) == len(parts)
    assert len({sealed(*one) for one in (("p", "h", "b"), ("q", "h", "b"), ("p", "i", "b"), ("p", "h", "c"))}) == 4


def test_rows_follow_from_one_another():
    rows = rows_of(LINKS, 7, 41, "before")
    assert [row[:4] for row in rows] == [
        (42 + n, 7, f"2024-01-02T03:04:{5 + n:02}.000006+00:00", "LinkChanged") for n in range(3)
    ]
    assert [row[4] for row in rows] == [encode(one) for one in LINKS]
    assert [row[5] for row in rows] == ["before", rows[0][6], rows[1][6]]
    assert [row[6] for row in rows] == [chained(row[5], row[0], 7, row[3], row[4]) for row in rows]
    assert rows_of([], 7, 41, "before") == []


def links():
    return [(row[0], row[1], *row[3:]) for row in rows_of(LINKS, 1, 0, GENESIS)]


def test_a_whole_chain_holds():
    assert walk(links()) is None
    assert walk([]) is None
    assert walk(links()[:2]) is None


def resealed(rows, place, **parts):
    """The rows with one changed, and all hashes from there on made to fit."""
    names = ("seq", "epoch", "kind", "body", "prev_hash", "hash")
    found, before = [], GENESIS
    for number, row in enumerate(rows):
        one = dict(zip(names, row, strict=True)) | (parts if number == place else {})
        after = chained(before, one["seq"], one["epoch"], one["kind"], one["body"])
        found.append((one["seq"], one["epoch"], one["kind"], one["body"], before, after))
        before = after
    return found


CHANGED = "the row, or one before it, was changed after it was written"


def test_the_first_row_that_does_not_follow_is_named_with_the_reason():
    rows = links()
    assert walk([rows[0], rows[2]]) == Broken(2, "row 2 is missing: the next is 3")
    assert walk(rows[1:]) == Broken(1, "row 1 is missing: the next is 2")
    assert walk([rows[0], (*rows[1][:3], rows[1][3] + " ", *rows[1][4:]), rows[2]]) == Broken(2, CHANGED)
    assert walk([rows[0], (*rows[1][:5], "0" * 64), rows[2]]) == Broken(2, CHANGED)
    assert walk([rows[0], (*rows[1][:4], "f" * 64, chained("f" * 64, *rows[1][:4]))]) == Broken(2, CHANGED)
    assert walk([rows[0], (*rows[1][:4], "f" * 64, rows[1][5])]) == Broken(2, CHANGED)
    broken = walk(resealed(rows, 1, body="{}"))
    assert broken.seq == 2
    assert broken.why.startswith("no fact of this version")
    assert isinstance(decode(encode(Filled(AT, "m", None, "A", "gate", "buy", 1.0, 1.0, 0.0, "quote", "x"))), Filled)
