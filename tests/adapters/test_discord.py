"""Discord's HTTP API over a socket: what counts as a command, how often it is asked, and that the token is in no error."""

import json
import time
import traceback

import pytest

from tests.services.inboxes import DISCORD_TOKEN, LoopbackDiscord
from tests.services.parts import free_port
from trader.adapters.discord import INTENT, LONGEST, WAIT_MOST, Discord, DiscordDownError, number_at
from trader.adapters.http import HttpTransport


class Jumping:
    """A clock whose time is what was waited for."""

    def __init__(self):
        self.seconds, self.waited = 0.0, []

    def monotonic(self):
        return self.seconds

    async def sleep(self, seconds):
        self.seconds += seconds
        self.waited += [seconds] if seconds else []


@pytest.fixture
def there():
    one = LoopbackDiscord()
    yield one
    one.close()


@pytest.fixture
async def bot(there):
    transport, clock = HttpTransport(), Jumping()
    yield Discord(DISCORD_TOKEN, there.channel, transport, clock, there.api)
    await transport.close()


async def test_commands_come_oldest_first_with_who_wrote_them_and_when(there, bot):
    first = there.write(" !status", 42, sent=1_700_000_000)
    second = there.write("/kill 123456", 43, type=19, sent=1_700_000_001)
    one, two = await bot.updates(0, seconds=0)
    assert (one.number, one.user, one.chat, one.sent, one.text, one.is_private, one.trouble) == (
        first, 42, there.channel, 1_700_000_000, "/status", True, "",
    )  # fmt: skip
    assert (two.number, two.user, two.text) == (second, 43, "/kill 123456")
    assert [it.number for it in await bot.updates(first, seconds=0)] == [second]
    assert await bot.updates(second, seconds=0) == []


async def test_a_channel_with_much_in_it_is_read_from_where_it_was_left_and_nothing_is_passed_over(there, bot):
    numbers = [there.write(f"!status {number}", sent=1_700_000_000 + number) for number in range(250)]
    found, after = [], 0
    while portion := await bot.updates(after, seconds=0):
        found += [one.number for one in portion]
        after = found[-1]
    assert found == numbers


async def test_what_bots_apps_hooks_and_forwards_say_and_what_people_say_to_each_other_is_nobodys_command(there, bot):
    there.write("!kill 123456", author={"id": "42", "bot": True})
    there.write("!kill 123456", webhook_id="42")
    there.write("!kill 123456", application_id="7")
    there.write("!kill 123456", message_reference={"type": 1}, message_snapshots=[{}])
    there.write("!kill 123456", type=20)
    there.write("shall we /kill it?")
    there.write("", attachments=[{"id": "1"}])
    there.write("!kill 123456", author="me", channel_id="1")
    there.rows += [{"id": str(number_at(time.time() + 60)), "content": 5}]
    found = await bot.updates(0, seconds=0)
    assert [(one.user, one.text) for one in found[:7]] == [(0, "")] * 7
    assert [(one.user, one.is_private) for one in found[7:]] == [(0, False), (0, False)]


@pytest.mark.parametrize("rows", [{"no": "list"}, ["nonsense", {"id": "x"}, {"id": 5}, {"id": "9" * 40}, None]])
async def test_nonsense_is_passed_over(there, bot, rows, monkeypatch):
    monkeypatch.setattr(there, "_rows", lambda _query: rows)
    assert await bot.updates(0, seconds=0) == []


async def test_a_bot_that_may_not_read_texts_says_so(there, bot):
    there.write("")
    (one,) = await bot.updates(0, seconds=0)
    assert (one.user, one.text, one.trouble) == (42, "", INTENT)


async def test_answers_mention_nobody_unfold_nothing_and_are_not_too_long(there, bot):
    await bot.say(1, "@everyone " + "long " * 1_000)
    ((_, text, fields),) = there.answers
    assert text.startswith("@everyone ")
    assert len(text) <= LONGEST
    assert fields["allowed_mentions"] == {"parse": []}
    assert fields["flags"] == 4
    ((_, _, headers),) = there.asked
    assert headers["Content-Type"] == "application/json"


async def test_it_comes_back_when_discord_says_so_and_not_before(there, bot):
    there.too_often, there.retry_after = 2, 7.5
    there.write("!status")
    assert len(await bot.updates(0, seconds=0)) == 1
    assert bot._clock.waited == [7.5, 7.5]
    await bot.say(1, "an answer is not held up by questions")
    assert bot._clock.waited == [7.5, 7.5]


async def test_the_last_question_that_is_left_is_followed_by_a_wait(there, bot):
    there.remaining, there.retry_after = 0, 3.25
    there.write("!status")
    await bot.updates(0, seconds=0)
    await bot.updates(0, seconds=0)
    assert bot._clock.waited == [3.25]


@pytest.mark.parametrize(("times", "after"), [(99, 0.5), (1, WAIT_MOST + 1)])
async def test_asked_too_often_for_long_is_an_error(there, bot, times, after):
    there.too_often, there.retry_after = times, after
    with pytest.raises(DiscordDownError, match="HTTP 429"):
        await bot.updates(0, seconds=0)
    assert len(there.asked) <= 3


async def test_it_waits_between_questions_and_gives_up_when_the_time_is_over(there, bot):
    assert await bot.updates(0, seconds=10) == []
    assert len(there.asked) == 6
    assert bot._clock.waited == [2.0] * 5


@pytest.mark.parametrize(("status", "says"), [(403, "View Channel"), (404, "no such channel"), (500, "HTTP 500")])
async def test_a_refusal_is_said_with_its_remedy(there, bot, status, says):
    there.status = status
    with pytest.raises(DiscordDownError, match=says):
        await bot.say(1, "x")


async def test_no_error_names_the_token(there, bot):
    transport = HttpTransport()
    nowhere = Discord(DISCORD_TOKEN, 1, transport, Jumping(), f"http://127.0.0.1:{free_port()}")
    wrong = Discord(DISCORD_TOKEN + "x", there.channel, transport, Jumping(), there.api)
    for one, says in ((nowhere, "no answer"), (wrong, "the token is refused")):
        with pytest.raises(DiscordDownError, match=says) as caught:
            await one.updates(0, seconds=0)
        assert DISCORD_TOKEN not in "".join(traceback.format_exception(caught.value))
    there.is_down = True
    with pytest.raises(DiscordDownError, match="HTTP 502"):
        await bot.updates(0, seconds=0)
    assert DISCORD_TOKEN not in json.dumps([path for _, path, _ in there.asked])
    await transport.close()
