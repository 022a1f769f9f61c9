"""Commands through a loopback Telegram and a loopback Discord to a real socket of a daemon: who is heard, what is carried out, once."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pyotp
import pytest

from tests.services.inboxes import DISCORD_TOKEN, TOKEN, LoopbackDiscord, LoopbackTelegram
from tests.services.parts import until
from trader.adapters.clock import SystemClock
from trader.adapters.discord import INTENT, Discord
from trader.adapters.http import HttpTransport
from trader.adapters.journal_pages import JournalPages
from trader.adapters.one_time import OneTime
from trader.adapters.telegram import Telegram
from trader.notify.commands import Guard
from trader.notify_commands import Listener, Operator
from trader.notify_place import CODER
from trader.runtime.control import Control, socket_of
from trader.runtime.logs import Log

TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


class Bench:
    """A bot at a service, a listener that can be ended and begun again, and a socket that notes what comes."""

    def __init__(self, folder, name="telegram"):
        self.folder, self.name, self.carried, self.events, self.kept = folder, name, [], [], None
        self.there = LoopbackTelegram() if name == "telegram" else LoopbackDiscord()
        self.key, self.sign = f"{name}-1", "/" if name == "telegram" else "!"
        self.control = Control(socket_of(folder), self.act)

    async def act(self, command):
        if command.name == "status":
            return {"ok": True, "mount": "<b>m</b>", "state": "active", "cash": "1", "orders": [], "holdings": {}}
        is_new = command.key not in [one.key for one in self.carried]
        self.carried.append(command)
        return {"ok": True, "done": command.name if is_new else "already", "state": "halted"}

    def says(self):
        return [text for _, text, _ in self.there.answers]

    @asynccontextmanager
    async def listening(self, *, dies_before_acting=False, **more):
        guard = Guard(frozenset({42}), OneTime(TOTP).matches, self.key, sign=self.sign, **more)
        heard, text = self.kept or (0, None)
        if text is not None:
            CODER.restore(text, {"guard": guard})

        def keep(heard):
            self.kept = heard, CODER.capture({"guard": guard})
            if dies_before_acting and guard.accepted:
                raise ConnectionAbortedError("as kill -9 between the note and the command")

        transport = HttpTransport()
        if self.name == "telegram":
            chat = Telegram(TOKEN, transport, self.there.api)
        else:
            chat = Discord(DISCORD_TOKEN, self.there.channel, transport, SystemClock(), self.there.api, every=0.05)
        operator = Operator(socket_of(self.folder), JournalPages(self.folder / "no", may_begin=True), self.sign)
        listener = Listener(chat, guard, operator, SystemClock(), Log(), keep, self.events.append, heard)
        task = asyncio.create_task(listener.listen())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, ConnectionAbortedError):
                await task
            await transport.close()

    async def ask(self, text, **more):
        """Write a text and return what is answered."""
        count = len(self.says())
        number = self.there.write(self.sign + text[1:], **more)
        await until(lambda: len(self.says()) > count)
        return number, self.says()[-1]


def code():
    return pyotp.TOTP(TOTP).at(time.time())


@pytest.fixture(params=["telegram", "discord"])
async def bench(request, tmp_path):
    one = Bench(tmp_path, request.param)
    await one.control.open()
    yield one
    await one.control.close()
    one.there.close()


telegram_only = pytest.mark.parametrize("bench", ["telegram"], indirect=True)
discord_only = pytest.mark.parametrize("bench", ["discord"], indirect=True)


async def test_a_code_brings_about_one_command(bench):
    async with bench.listening():
        used = code()
        number, answer = await bench.ask(f"/flatten {used}")
        assert answer == "flatten: the state is halted"
        assert "used already" in (await bench.ask(f"/kill {used}"))[1]
        assert "needs the one-time code" in (await bench.ask("/kill"))[1]
    assert [(one.name, one.key) for one in bench.carried] == [("flatten", f"{bench.key}-{number}")]
    assert [(one.level, one.title) for one in bench.events] == [("critical", "a wrong code")]


async def test_a_halt_is_free_unless_it_is_not_to_be(bench):
    async with bench.listening():
        await bench.ask("/halt back @two <b>")
    async with bench.listening(halt_needs_code=True):
        assert "needs the one-time code" in (await bench.ask("/halt"))[1]
    assert [(one.name, one.argument) for one in bench.carried] == [("halt", "back (at)two ‹b›")]


async def test_nobody_else_is_answered_and_all_of_them_are_noted_once(bench):
    async with bench.listening():
        for user in range(100, 110):
            bench.there.write(f"/kill {code()}", user=user)
        if bench.name == "telegram":
            bench.there.write(f"/kill {code()}", chat={"id": -7, "type": "group"})
        assert (await bench.ask("/status"))[1].startswith("‹b›m‹/b›")
    assert bench.carried == []
    assert {chat for chat, *_ in bench.there.answers} == {42 if bench.name == "telegram" else bench.there.channel}
    assert [(one.title, one.level) for one in bench.events] == [("strangers", "warning")]


async def test_a_crash_between_the_note_and_the_command_carries_it_out_once_and_spends_the_code(bench):
    used = code()
    async with bench.listening(dies_before_acting=True) as task:
        number = bench.there.write(f"/flatten {used}")
        await until(task.done)
    assert bench.carried == []
    async with bench.listening():
        await until(bench.says)
        assert "used already" in (await bench.ask(f"/flatten {used}"))[1]
    assert [one.key for one in bench.carried] == [f"{bench.key}-{number}"]


@telegram_only
async def test_what_was_dealt_with_and_comes_again_is_not_dealt_with_again(bench):
    async with bench.listening():
        await bench.ask("/halt one")
        await until(lambda: not bench.there.updates)
    bench.there.number -= 1
    bench.there.write("/halt one")
    async with bench.listening():
        await bench.ask("/status")
    assert len(bench.carried) == 1


@telegram_only
async def test_numbers_that_begin_anew_lower_are_heard(bench):
    async with bench.listening():
        bench.there.number = 900_000_000
        await bench.ask("/halt one")
        await until(lambda: not bench.there.updates)  # confirmed, as whatever is a week old
    bench.there.number = 5_000
    async with bench.listening():
        number, _ = await bench.ask("/halt two")
    assert [one.key for one in bench.carried][-1] == f"{bench.key}-{number}"
    assert len(bench.carried) == 2


async def test_the_service_may_be_away_for_a_while(bench):
    bench.there.is_down = True
    async with bench.listening():
        await until(lambda: True)
        await asyncio.sleep(0.3)
        bench.there.is_down = False
        assert "active" in (await bench.ask("/status"))[1]


async def test_a_daemon_that_does_not_answer_is_said(bench):
    await bench.control.close()
    async with bench.listening():
        assert f"whether it took {bench.sign}resume is not known" in (await bench.ask(f"/resume {code()}"))[1]
        assert "no bar has closed yet" in (await bench.ask("/equity"))[1]
        assert "0 signals have that in their key" in (await bench.ask("/why mine/1"))[1]


async def test_what_was_sent_long_ago_is_not_carried_out(bench):
    async with bench.listening():
        assert "too long ago" in (await bench.ask("/halt", sent=time.time() - 300))[1]
    assert bench.carried == []


@discord_only
async def test_talk_in_the_channel_is_no_command_and_the_bot_does_not_hear_itself(bench):
    async with bench.listening():
        bench.there.write("shall we halt it?")
        bench.there.write("!kill", user=7, type=20)
        bench.there.write(f"!kill {code()}", author={"id": "42", "bot": True})
        assert "!resume CODE" in (await bench.ask("!help"))[1]
        await bench.ask("!status")
    assert len(bench.says()) == 2
    assert (bench.carried, bench.events) == ([], [])


@discord_only
async def test_a_listed_user_whose_text_cannot_be_read_is_told_why_and_nobody_else_is(bench):
    async with bench.listening():
        bench.there.write("", user=7)
        bench.there.write("")
        await until(bench.says)
    assert bench.says() == [INTENT]
