"""Messages at their borders: what is read, what is refused with which words, and that no envelope passes but with a known key."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from trader.adapters.payloads import (
    LARGEST,
    BatchModel,
    MessageModel,
    Payloads,
    SaidModel,
    compose,
    parts_of_schema,
    schema,
    signed,
)
from trader.ports import Notice, PayloadError, Said

AT = datetime(2024, 1, 1, 1, tzinfo=UTC)
ROW = {"asset": "A", "kind": "grade", "value": 80.0}


def message(*rows, **parts):
    whole = {
        "version": 1,
        "source": "tm",
        "type": "rating",
        "issued_at": "2024-01-01T01:00:00Z",
        "signals": list(rows or (ROW,)),
    }
    return json.dumps({name: one for name, one in (whole | parts).items() if one is not ...}).encode()


def refused(body, keys=None, **options):
    with pytest.raises(PayloadError) as caught:
        Payloads(keys, **options).read(body)
    return caught.value.outcome, caught.value.why


def test_a_message_says_what_it_says():
    assert Payloads().read(message()) == Notice(
        "", "tm", "rating", AT, (Said("A", "grade", 80.0, AT, None),), None, None
    )
    rows = {"asset": "A", "kind": "x", "value": -1, "as_of": "2023-12-31T01:00:00+01:00", "price": 2.5}, ROW
    full = message(*rows, id="7", type="event", ttl="15m", batch={"id": "b", "count": 2})
    said = Said("A", "x", -1.0, datetime(2023, 12, 31, tzinfo=UTC), 2.5), Said("A", "grade", 80.0, AT, None)
    assert Payloads().read(full) == Notice("7", "tm", "event", AT, said, ("b", 2), 900.0)


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        ({"version": 2}, "version"), ({"source": ...}, "source"), ({"source": ""}, "source"), ({"source": "x" * 101}, "source"),
        ({"source": "a b"}, "source"), ({"source": "ä"}, "source"), ({"id": ""}, "id"), ({"type": "hint"}, "type"), ({"issued_at": "2024-01-01T00:00:00"}, "issued_at"),
        ({"more": 1}, "more"), ({"signals": []}, "signals"), ({"batch": {"id": "b", "count": 0}}, "batch.count"),
        ({"batch": {"id": "b", "count": 10_001}}, "batch.count"), ({"batch": {"id": "b"}}, "batch.count"), ({"ttl": "soon"}, "ttl"),
        ({"ttl": "0s"}, "ttl"), ({"ttl": "367d"}, "ttl"), ({"signals": [ROW | {"more": 1}]}, "signals.0.more"),
        ({"signals": [ROW, ROW | {"price": 0}]}, "signals.1.price"), ({"signals": [ROW | {"value": "high"}]}, "signals.0.value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(parts, where):
    outcome, why = refused(message(**parts))
    assert (outcome, why.partition(": ")[0]) == ("malformed", where)


@pytest.mark.parametrize(
    "parts",
    [
        {"source": "x" * 100}, {"source": "!~"}, {"batch": {"id": "b", "count": 1}}, {"batch": {"id": "b", "count": 10_000}}, {"ttl": "366d"},
        {"ttl": None}, {"signals": [ROW | {"price": 0.5}]}, {"signals": [ROW | {"kind": f"k{n}"} for n in range(5_000)]},
    ],
)  # fmt: skip
def test_the_border_is_inside(parts):
    assert Payloads(largest=10**9).read(message(**parts)).source


def test_there_are_at_most_so_many_values():
    rows = [ROW | {"kind": f"k{n}"} for n in range(5_001)]
    assert refused(message(*rows), largest=10**9)[1].startswith("signals: ")


def test_a_duration_of_a_nanosecond_is_one():
    assert Payloads().read(message(type="event", ttl="0.000000001s")).ttl_seconds == pytest.approx(1e-9)


@pytest.mark.parametrize(
    ("at", "fits"),
    [
        ("1970-01-01T00:00:00Z", True), ("1969-12-31T23:59:59.999999Z", False), ("2199-12-31T23:59:59.999999Z", True), ("2200-01-01T00:00:00Z", False),
        ("1970-01-01T00:30:00+01:00", False), ("0001-01-01T00:00:00+14:00", False), ("9999-12-31T23:59:59-01:00", False),
    ],
)  # fmt: skip
def test_an_instant_is_from_1970_to_2199(at, fits):
    for body in (message(issued_at=at), message(ROW | {"as_of": at})):
        if fits:
            Payloads().read(body)
        else:
            assert "an instant from 1970 to 2199 is wanted" in refused(body)[1]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("name", ["value", "price"])
def test_what_is_no_number_is_no_json(name, value):
    outcome, why = refused(message(ROW | {name: "HERE"}).replace(b'"HERE"', value.encode()))
    assert (outcome, why) == ("malformed", f"no JSON: {value} is no JSON")
    assert refused(message(ROW | {name: "HERE"}).replace(b'"HERE"', b"1e999"))[0] == "malformed"
    with pytest.raises(ValidationError):
        SaidModel(**ROW | {name: float(value)})


def test_what_is_no_message_at_all():
    assert refused(b"{")[1].startswith("no JSON: Expecting property name")
    assert refused(b"7")[1].startswith("message: Input should be a valid")
    assert refused(b"[" * 100_000)[1].startswith("no JSON: ")
    why = refused(b'"' + b"\\" * 1 + b"x" * 500)[1]
    assert len(why) <= 200 + len("no JSON: ")
    assert refused(message(source="SECRET value"))[1].count("SECRET") == 0, "what came is not told again"


def test_one_asset_and_kind_has_one_value():
    assert refused(message(ROW, ROW)) == ("malformed", "signals: one asset and kind is named twice")
    assert len(Payloads().read(message(ROW, ROW | {"asset": "B"}, ROW | {"kind": "x"})).said) == 3


def test_a_message_has_a_bound():
    assert LARGEST == 262_144
    body = message()
    assert Payloads(largest=len(body)).read(body)
    assert refused(body, largest=len(body) - 1) == ("oversized", f"{len(body)} bytes; at most {len(body) - 1} are read")
    assert refused(body + b" " * (LARGEST - len(body) + 1))[0] == "oversized"
    assert Payloads().read(body + b" " * (LARGEST - len(body)))


def test_models_do_not_change():
    for one, name in (
        (SaidModel(**ROW), "value"),
        (BatchModel(id="b", count=1), "count"),
        (MessageModel(**json.loads(message())), "source"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(one, name, getattr(one, name))


# Envelopes


def envelope(payload, key_id="k1", secret="secret"):
    found = json.loads(signed(payload.encode() if isinstance(payload, str) else payload, key_id, secret))
    assert found["signature"] == hmac.new(secret.encode(), found["payload"].encode(), hashlib.sha256).hexdigest()
    return found


KEYS = {"k1": "secret", "k2": "other"}
FITS = "the signature does not fit the payload under a key we know"


def test_an_envelope_opens_with_its_own_key_alone():
    good = envelope(message(id="7"))
    assert Payloads(KEYS).read(json.dumps(good).encode()).id == "7"
    for change in (
        {"key_id": "k2"}, {"key_id": "k3"}, {"signature": good["signature"][:-1]}, {"signature": ""}, {"signature": good["signature"].upper()},
        {"payload": good["payload"] + " "},
    ):  # fmt: skip
        assert refused(json.dumps(good | change).encode(), KEYS) == ("unauthenticated", FITS), change


@pytest.mark.parametrize("secret", ["", "None", "k3"])
def test_an_unknown_key_opens_nothing_whatever_it_is_signed_with(secret):
    assert refused(json.dumps(envelope(message(), "k3", secret)).encode(), KEYS) == ("unauthenticated", FITS)


def test_what_is_not_signed_passes_only_where_there_are_no_keys():
    assert refused(message(), KEYS) == ("unauthenticated", "it is not signed, and keys are configured")
    assert refused(b"[1]", KEYS)[0] == "unauthenticated"
    assert Payloads({}).read(message())
    assert Payloads(None).read(json.dumps(envelope(message(), "k9", "whatever")).encode())


@pytest.mark.parametrize(
    "change",
    [{"payload": 1}, {"key_id": None}, {"signature": 1}, {"payload": None}, {"signature": None}, {"key_id": 1}],
)
def test_an_envelope_has_three_texts(change):
    whole = envelope(message()) | change
    assert refused(json.dumps(whole).encode(), KEYS) == (
        "malformed",
        "an envelope has payload, key_id and signature, all of them texts",
    )


@pytest.mark.parametrize("name", ["payload", "signature"])
def test_half_a_character_is_no_text(name):
    whole = json.dumps(envelope(message()) | {name: "HERE"}).replace("HERE", "\\ud800")
    assert refused(whole.encode(), KEYS) == ("malformed", "an envelope has texts, and half a surrogate pair is none")


def test_an_envelope_in_an_envelope_is_no_message():
    assert refused(json.dumps(envelope(json.dumps(envelope(message())))).encode(), KEYS)[0] == "malformed"


# Making them


def test_a_message_is_made_as_it_is_read():
    body = compose(
        source="tm", kind="grade", values={"A": 1.0, "B": 2.0}, type_="event", issued_at=AT, id_="7", ttl=timedelta(seconds=90), batch=("b", 3),
        as_of=AT - timedelta(hours=1), price=2.5,
    )  # fmt: skip
    as_of = AT - timedelta(hours=1)
    said = Said("A", "grade", 1.0, as_of, 2.5), Said("B", "grade", 2.0, as_of, 2.5)
    assert Payloads().read(body) == Notice("7", "tm", "event", AT, said, ("b", 3), 90.0)
    plain = compose(source="tm", kind="grade", values={"A": 1.0}, type_="rating", issued_at=AT)
    assert plain == (
        b'{"version":1,"source":"tm","type":"rating","issued_at":"2024-01-01T01:00:00+00:00",'
        b'"signals":[{"asset":"A","kind":"grade","value":1.0}]}'
    )
    with pytest.raises(PayloadError, match="source"):
        compose(source="a b", kind="grade", values={"A": 1.0}, type_="rating", issued_at=AT)


def test_the_schema_is_of_the_form_that_says_so():
    found = schema()
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["title"] == "trader signal message"
    assert set(found["properties"]) == {"version", "id", "source", "type", "issued_at", "ttl", "batch", "signals"}
    parts = parts_of_schema()
    assert set(parts) == {"SaidModel", "BatchModel", "Message"}
    assert parts["Message"]["properties"]["signals"]["items"] == {"$ref": "#/components/schemas/SaidModel"}
    assert "$defs" not in parts["Message"]
