"""A secret that was registered never gets out: in no field, in no form, from no exception."""

import base64
import io
import json

import pytest

from trader.core.records import LinkChanged
from trader.runtime.logs import Log, Secrets, set_up

SECRET = "s3cr3t/key+value"
FORMS = [SECRET, SECRET.encode().hex(), base64.b64encode(SECRET.encode()).decode(), "s3cr3t%2Fkey%2Bvalue"]


@pytest.fixture
def written():
    stream = io.StringIO()
    set_up([SECRET, "abc"], stream=stream, level="debug")
    return stream


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_masked_everywhere(written, form):
    from datetime import UTC, datetime

    log = Log()
    log.fact(LinkChanged(datetime(2024, 1, 1, tzinfo=UTC), f"mqtt {form}", True, form))
    log.info("said", why=form, parts=[form, {"x": (form, 1)}], thing=ValueError(form))
    try:
        raise RuntimeError(form)
    except RuntimeError as error:
        log.failed("went wrong", error)
    text = written.getvalue()
    assert form not in text
    assert text.count("***") >= 6
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines] == ["LinkChanged", "said", "went wrong"]


def test_a_short_word_is_no_secret(written):
    assert Secrets(["abc"]).masked("abc") == "abc"
