"""Letters through Apprise over real sockets: taken, refused, slow, unreachable; the address is in no log, error or trace."""

import asyncio
import logging
import time
import traceback

import pytest

from tests.services.inboxes import Inbox
from tests.services.parts import free_port
from trader.adapters.apprise_sender import AppriseSender, BadAddressError, NotDeliveredError, hush

SECRET = "xoxb-a-token-that-nobody-may-see"


@pytest.fixture
def inbox():
    one = Inbox()
    yield one
    one.close()


@pytest.fixture(autouse=True)
def _loggers():
    """What the sender silences is as before in the next test."""
    names = ("apprise", "requests", "urllib3", "requests_oauthlib", "oauthlib")
    before = [(one, one.handlers[:], one.propagate, one.level) for one in map(logging.getLogger, names)]
    hush()
    yield
    for one, handlers, propagate, level in before:
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


async def test_a_letter_arrives_as_plain_text(inbox):
    await AppriseSender("hook", inbox.url()).send("fill", "bought <b>1</b> & more\nline", "critical", seconds=10)
    ((path, got),) = inbox.got
    assert path == "/a-secret-path-of-a-hook"
    assert (got["title"], got["message"], got["type"]) == ("fill", "bought <b>1</b> & more\nline", "failure")


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_a_refusal_is_said_with_its_number(inbox, status):
    inbox.status = status
    with pytest.raises(NotDeliveredError, match=f"HTTP {status}"):
        await AppriseSender("hook", inbox.url(SECRET)).send("t", "x", "info", seconds=10)


async def test_a_slow_target_holds_up_nobody(inbox):
    slow = Inbox(slow=3.0)
    try:
        begin = time.monotonic()
        late, fast = AppriseSender("slow", slow.url()), AppriseSender("fast", inbox.url())
        waiting = asyncio.create_task(late.send("t", "x", "info", seconds=0.3))
        for _ in range(5):
            await fast.send("t", "x", "info", seconds=10)
        assert time.monotonic() - begin < 2.5
        assert len(inbox.got) == 5
        with pytest.raises(NotDeliveredError, match="no answer within 0.3 s"):
            await waiting
        with pytest.raises(NotDeliveredError, match="has not ended yet"):
            await late.send("t", "x", "info", seconds=0.3)
    finally:
        await asyncio.sleep(3.0)
        slow.close()
    assert slow.asked == 1, "no second attempt beside the first"


async def test_no_log_error_or_trace_names_the_address(inbox, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    hush()  # here, because pytest listens to loggers that were silent before the test
    inbox.status = 403
    shown = []
    for url in (
        inbox.url(SECRET),
        f"json://user:{SECRET}@127.0.0.1:{free_port()}/{SECRET}",
        f"tgram://{SECRET}",
        f"foo://{SECRET}/x",
        SECRET,
    ):
        try:
            await AppriseSender("hook", url).send("t", "x", "info", seconds=10)
        except (NotDeliveredError, BadAddressError) as error:
            shown.append("".join(traceback.format_exception(error)).replace(repr(url), ""))
    assert len(shown) == 5
    said = capfd.readouterr()
    for text in (*shown, caplog.text, said.out, said.err):
        assert SECRET not in text
    assert "notify.targets.hook" in shown[-1]
    assert "foo://" in shown[-2]
