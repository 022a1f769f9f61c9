"""Each listed code refuses; whatever else a venue or a proxy may answer leaves the outcome open."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from trader.adapters.venue_codes import DIALECTS, GATE_REFUSALS, MEXC_REFUSALS, reply_of
from trader.ports import Accepted, RefusedByVenue, Unclear

# Written out anew from what the venues document, so that a code that slips into the list, or out of it, is noticed.
GATE_LISTED = [
    "INVALID_PARAM_VALUE",
    "INVALID_PRECISION",
    "INVALID_CURRENCY",
    "INVALID_CURRENCY_PAIR",
    "BALANCE_NOT_ENOUGH",
    "QUANTITY_NOT_ENOUGH",
    "AMOUNT_TOO_LITTLE",
    "AMOUNT_TOO_MUCH",
    "POC_FILL_IMMEDIATELY",
    "REQUEST_EXPIRED",
    "INVALID_SIGNATURE",
    "INVALID_KEY",
    "IP_FORBIDDEN",
    "READ_ONLY",
    "FORBIDDEN",
    "ACCOUNT_LOCKED",
    "TRADE_RESTRICTED",
    "TOO_MANY_ORDERS",
    "PRICE_THRESHOLD_EXCEEDED",
]
MEXC_LISTED = [
    "10007",
    "10101",
    "30000",
    "30001",
    "30002",
    "30003",
    "30004",
    "30005",
    "30010",
    "30014",
    "30016",
    "30018",
    "30019",
    "30020",
    "30021",
    "30027",
    "30028",
    "30029",
    "30032",
    "30041",
    "30051",
    "30087",
    "60005",
    "70011",
    "700002",
    "700003",
    "700005",
    "700006",
    "700007",
    "700008",
]


def test_the_lists_are_those_that_the_reference_gives():
    assert (sorted(GATE_REFUSALS), sorted(MEXC_REFUSALS)) == (sorted(GATE_LISTED), sorted(MEXC_LISTED))


def gate(label, message="said by the venue"):
    return json.dumps({"label": label, "message": message})


def mexc(code, message="said by the venue"):
    return json.dumps({"code": code, "msg": message})


@pytest.mark.parametrize("label", GATE_LISTED)
def test_a_listed_label_of_gate_refuses(label):
    for status in (400, 401, 403):
        assert reply_of("gate", status, gate(label)) == RefusedByVenue(label, "said by the venue")


@pytest.mark.parametrize("code", MEXC_LISTED)
def test_a_listed_code_of_mexc_refuses(code):
    assert reply_of("mexc", 400, mexc(int(code))) == RefusedByVenue(code, "said by the venue")


@pytest.mark.parametrize(
    "label",
    ["INTERNAL", "SERVER_ERROR", "TOO_BUSY", "TOO_MANY_REQUESTS", "REPEATED_CREATION", "DUPLICATE_REQUEST", "ORDER_NOT_FOUND",
     "SOMETHING_NEW", ""],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_other_labels_of_gate_prove_nothing(label, status):
    assert isinstance(reply_of("gate", status, gate(label)), Unclear)


@pytest.mark.parametrize("code", [429, 500, 501, 503, 504, 510, 10098, 20002, 730000, -2013, 0])
def test_other_codes_of_mexc_prove_nothing(code):
    for status in (400, 429, 500, 504):
        assert isinstance(reply_of("mexc", status, mexc(code)), Unclear)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_listed_code_under_a_status_of_trouble_proves_nothing(status):
    assert isinstance(reply_of("gate", status, gate("BALANCE_NOT_ENOUGH")), Unclear)
    assert isinstance(reply_of("mexc", status, mexc(30004)), Unclear)


def test_an_id_is_an_order():
    assert reply_of("gate", 201, json.dumps({"id": "123", "text": "t-x", "status": "cancelled"})) == Accepted("123")
    assert reply_of("mexc", 200, json.dumps({"symbol": "BTCUSDT", "orderId": "C02__1"})) == Accepted("C02__1")


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", "null", '{"id": null}', '{"id": ""}', '{"id": true}', '{"id": {}}', '{"id": "1', "<html>502</html>"]
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 403])
def test_an_answer_without_an_id_and_a_cut_body_prove_nothing(body, status):
    assert isinstance(reply_of("gate", status, body), Unclear)


def test_an_exchanges_400_with_an_order_in_it_is_no_order():
    assert isinstance(reply_of("gate", 400, json.dumps({"id": "1"})), Unclear)


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(["id", "label", "code", "orderId", "msg"]), inner),
    max_leaves=8,
)  # fmt: skip


@given(
    some.sampled_from(sorted(DIALECTS)), some.integers(100, 599), json_values.map(json.dumps) | some.text(max_size=40)
)
def test_no_answer_breaks_it_and_only_the_list_refuses(venue, status, body):
    found = reply_of(venue, status, body)
    if isinstance(found, RefusedByVenue):
        assert found.code in DIALECTS[venue].refusals
        assert 400 <= status < 500
        assert status != 429
    if isinstance(found, Accepted):
        assert 200 <= status < 300
        assert found.venue_order
