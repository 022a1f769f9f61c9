"""Telegram's bot API over a socket: what counts as a message, and that the token is in no error."""

import traceback

import pytest

from tests.services.inboxes import TOKEN, LoopbackTelegram
from tests.services.parts import free_port
from trader.adapters.http import HttpTransport
from trader.adapters.telegram import LONGEST, Telegram, TelegramDownError


@pytest.fixture
def there():
    one = LoopbackTelegram()
    yield one
    one.close()


@pytest.fixture
async def transport():
    one = HttpTransport()
    yield one
    await one.close()


async def test_messages_come_with_who_wrote_them_and_only_once_when_confirmed(there, transport):
    bot = Telegram(TOKEN, transport, there.api)
    assert bot.bot == "123456789"
    first = there.write("/status", 42, sent=1_700_000_000)
    there.write("/kill", 43, chat={"id": -5, "type": "group"})
    one, two = await bot.updates(0, seconds=1)
    assert (one.number, one.user, one.chat, one.sent, one.text, one.is_private) == (
        first, 42, 42, 1_700_000_000, "/status", True,
    )  # fmt: skip
    assert (two.user, two.is_private) == (43, False)
    assert [it.number for it in await bot.updates(first, seconds=1)] == [two.number]
    assert await bot.updates(two.number, seconds=0) == []


async def test_what_somebody_else_wrote_is_no_text_of_the_sender(there, transport):
    there.write("/kill 123456", forward_origin={"type": "user"})
    there.write("/kill 123456", via_bot={"id": 1})
    there.updates.append({"update_id": there.number + 1, "edited_message": {"text": "/kill"}})
    there.updates.append(
        {"update_id": there.number + 2, "message": {"from": "x", "chat": [], "date": "soon", "text": 5}}
    )
    there.updates.append("nonsense")
    found = await Telegram(TOKEN, transport, there.api).updates(0, seconds=1)
    assert [(one.text, one.is_private) for one in found] == [("", True), ("", True), ("", False), ("", False)]


async def test_answers_are_plain_and_not_too_long(there, transport):
    await Telegram(TOKEN, transport, there.api).say(42, "<b>*x*</b> " + "long " * 2_000)
    ((chat, text, fields),) = there.answers
    assert chat == 42
    assert text.startswith("<b>*x*</b> ")
    assert len(text) <= LONGEST
    assert "parse_mode" not in fields


async def test_no_error_names_the_token(there, transport):
    there.is_down = True
    nowhere = Telegram(TOKEN, transport, f"http://127.0.0.1:{free_port()}")
    wrong = Telegram(TOKEN + "x", transport, there.api)
    for bot in (nowhere, wrong, Telegram(TOKEN, transport, there.api)):
        with pytest.raises(TelegramDownError) as caught:
            await bot.updates(0, seconds=1)
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
        there.is_down = False
        if bot is wrong:
            assert "the token is refused" in str(caught.value)
            there.is_down = True
