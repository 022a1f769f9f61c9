"""Commands through Discord and Telegram at once: one secret has one set of codes, over restarts and over versions of the file."""

import json
import signal
import subprocess
import time
from datetime import UTC, datetime

import pyotp
import pytest

from tests.services.inboxes import DISCORD_TOKEN, TOKEN, LoopbackDiscord, LoopbackTelegram
from tests.services.parts import seen_when
from tests.test_cli_notify import ROOT, TOTP, TRADER
from tests.test_notify_commands import code
from trader.adapters.one_time import OneTime
from trader.notify.commands import Asked, Denied, Guard, Said
from trader.notify_loop import Room
from trader.notify_place import CODER, Kept, restored

NOW = datetime(2024, 3, 1, 12, 0, 10, tzinfo=UTC)


def guards():
    one, other = (Guard(frozenset({42}), OneTime(TOTP).matches, name) for name in ("telegram-1", "discord-1"))
    one.peers, other.peers = [other], [one]
    return one, other


def said(name, number=1):
    return Said(number, 42, 42, NOW, f"/{name} {pyotp.TOTP(TOTP).at(NOW)}", True)


@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_code_that_counted_at_one_service_is_spent_at_the_other(is_swapped):
    one, other = reversed(guards()) if is_swapped else guards()
    assert isinstance(one.judge(said("flatten"), NOW), Asked)
    assert isinstance(other.judge(said("kill"), NOW), Denied)
    assert other.tries[42].wrong == 1


def test_services_with_secrets_of_their_own_have_codes_of_their_own():
    one, other = guards()
    one.peers, other.peers = [], []
    assert isinstance(one.judge(said("flatten"), NOW), Asked)
    assert isinstance(other.judge(said("flatten"), NOW), Asked)


def test_what_was_spent_before_there_was_a_second_service_stays_spent():
    one, other = guards()
    one.judge(said("flatten"), NOW)
    kept = Kept(7, 1, CODER.capture({"guard": one}))
    one, other = guards()
    room = Room(other)
    assert restored(kept, {"guard": one, "discord": other, "room": room}) == ""
    assert isinstance(other.judge(said("kill"), NOW), Denied)
    assert room.heard == 0


@pytest.mark.slow
def test_the_process_takes_commands_of_both_spends_a_code_once_and_logs_no_token(tmp_path):
    telegram, discord = LoopbackTelegram(), LoopbackDiscord()
    path, log = tmp_path / "run.yaml", tmp_path / "log"
    for name, text in (("token", TOKEN), ("robot", DISCORD_TOKEN), ("totp", TOTP)):
        (tmp_path / name).write_text(text + "\n")
    path.write_text(
        (ROOT / "config/paper.yaml").read_text() + "\nstate: state\nnotify:\n"
        f"  telegram: {{token_file: token, totp_file: totp, users: [42], api: '{telegram.api}'}}\n"
        f"  discord: {{token_file: robot, totp_file: totp, users: [42], channel: {discord.channel}, api: '{discord.api}'}}\n"
    )

    def start():
        with log.open("a") as out:
            return subprocess.Popen([*TRADER, "notify", str(path)], stdout=out, stderr=out, cwd=ROOT)

    def answer(there, text, **more):
        count = len(there.answers)
        there.write(text, **more)
        return seen_when(lambda: len(there.answers) > count and there.answers[-1][1])

    discord.write(f"!kill {code()}", sent=time.time() - 86_400)  # before there was a bot
    process = start()
    try:
        assert "!resume CODE" in answer(discord, "!help")
        used = code()
        assert "whether it took !flatten is not known" in answer(discord, f"!flatten {used}")
        assert "used already" in answer(telegram, f"/flatten {used}")
        process.kill()
        process.wait()
        process = start()
        assert "used already" in answer(telegram, f"/flatten {used}")
        assert "used already" in answer(discord, f"!kill {used}")
        discord.too_often = 2
        assert "needs the one-time code" in answer(discord, "!flatten")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        telegram.close()
        discord.close()
    assert len(discord.answers) == 4, "what is older than the first start was not heard"
    written = log.read_text() + (tmp_path / "state/weekly-top/notify/place.json").read_text()
    assert '"command": "flatten"' in written
    for secret in (TOKEN, DISCORD_TOKEN, TOTP, used):
        assert secret not in written
    kept = json.loads((tmp_path / "state/weekly-top/notify/place.json").read_text())
    assert json.loads(kept["parts"])["room"]["heard"] > 0
