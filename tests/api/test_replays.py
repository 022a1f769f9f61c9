"""What somebody caught on its way and sends again: a signed webhook is named by when it was signed, not by when it comes."""

import hashlib
import hmac
import json
import time

import pytest

from tests.services.parts import full

pytestmark = full  # it takes a house of three processes


def sent(house, body, stamp):
    said = hmac.new(house.hook_secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "text/plain", "X-Timestamp": str(stamp), "X-Signature": said}
    answer = house.ask("POST", "/v1/hooks/signed", body, token=None, headers=headers)
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.parametrize("body", [{"ticker": "BINANCE:ETHUSDT", "action": "buy"}])
def test_a_body_without_a_time_is_the_same_as_long_as_its_signature_is(house, body):
    body, now = json.dumps(body).encode(), int(time.time())
    first = sent(house, body, now - 120)
    second = sent(house, body, now)
    assert first["key"] != second["key"], "another minute is another signal"
    again = sent(house, body, now - 120)
    assert (again["key"], again["outcome"]) == (first["key"], "duplicate")
    assert second["outcome"] != "duplicate"
