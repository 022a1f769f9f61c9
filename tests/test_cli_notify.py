"""`trader notify` beside a real daemon, over real sockets: told once, nothing lost over kill -9, and the daemon trades on."""

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pyotp
import pytest

from tests.services.inboxes import TOKEN, Inbox, LoopbackTelegram
from tests.services.parts import free_port, full, seen_when, wait_for
from trader.adapters.journal_sqlite import JournalReader
from trader.core.facts import Filled
from trader.core.records import CommandTaken

ROOT = Path(__file__).parents[1]
TRADER = [sys.executable, "-m", "trader.cli"]
TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
CONFIG = """\
version: 1
name: told
venue: gate
live: true
capital: 5000
assets: [BTC/USDT, ETH/USDT]
timeframe: 1m
strategy: {{name: RatingBand, parameters: {{}}}}
limits: {{weight_per_asset: 60%}}
account: {{url: "http://127.0.0.1:{port}", key: loopback-key, secret: loopback-secret}}
state: state
notify:
  targets:
    phone: {{url_file: phone, level: critical}}
    mail: {{url_file: mail}}
  gather: 0s
  calm: 1s
  alarms: {{silence: 3s}}
  heartbeat: {{url_file: heart, every: 1s}}
  telegram: {{token_file: token, totp_file: totp, users: [42], api: "{api}"}}
"""


def trader(*words, code=0):
    done = subprocess.run([*TRADER, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout + done.stderr


class House:
    """A loopback exchange, a daemon and a notifier in a folder, each a process that can be killed and started again."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.phone, self.mail, self.heart, self.telegram = Inbox(), Inbox(), Inbox(), LoopbackTelegram()
        self.path, self.processes = folder / "run.yaml", {}
        self.path.write_text(CONFIG.format(port=self.port, api=self.telegram.api))
        secrets = {"phone": self.phone.url(), "mail": self.mail.url(), "token": TOKEN, "totp": TOTP}
        secrets["heart"] = f"http://127.0.0.1:{self.heart.port}/a-ping-of-nobody-else"
        for name, text in secrets.items():
            (folder / name).write_text(text + "\n")
        self.secrets = [*secrets.values(), "a-secret-path-of-a-hook", "a-ping-of-nobody-else"]

    def start(self, name, *words):
        with (self.folder / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen([*TRADER, *map(str, words)], stdout=log, stderr=log, cwd=ROOT)

    def exchange(self):
        self.start("venue", "loopback", "gate", "--port", self.port)
        wait_for(self.port)

    def bot(self):
        before = len(self.log("bot"))
        self.start("bot", "run", self.path, "--live")
        seen_when(lambda: '"state": "active"' in self.log("bot")[before:], lambda: self.log("bot"))

    def notify(self):
        self.start("notify", "notify", self.path)

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def status(self):
        done = subprocess.run(
            [*TRADER, "status", str(self.path), "--json"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def rate(self, number, **values):
        pairs = [f"{name}/USDT={value}" for name, value in values.items()]
        trader("signal", "send", self.path, *pairs, "--kind", "trader_grade", "--id", str(number))

    def facts(self):
        reader = JournalReader(self.folder / "state/told/journal.db")
        try:
            return reader.facts()
        finally:
            reader.close()

    def fills(self):
        return [one for one in self.facts() if isinstance(one, Filled)]

    def log(self, name):
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def told(self, title):
        """Lines of that title in the letters of the mail, in the order in which they came."""
        return [line for text in self.mail.texts for line in text.splitlines()[1:] if f" {title}: " in line]


@contextmanager
def house(folder):
    one = House(folder)
    try:
        yield one
    finally:
        for process in one.processes.values():
            process.kill()
            process.wait()
        for end in (one.phone, one.mail, one.heart, one.telegram):
            end.close()


def line_of(fill):
    return f"fill: {fill.side} {fill.quantity:f} {fill.asset} at {fill.price}"


@full
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_the_bot_does_is_told_once_over_kill_9_and_the_bot_trades_on(tmp_path):
    with house(tmp_path) as it:
        it.exchange()
        it.bot()
        daemon = it.processes["bot"].pid
        it.notify()
        seen_when(lambda: '"event": "begins"' in it.log("notify"))
        it.rate(1, BTC=85)
        seen_when(lambda: it.told("fill"))
        it.kill("notify")
        it.rate(2, ETH=85)
        it.rate(3, BTC=20)
        seen_when(lambda: {one.side for one in it.fills()} == {"buy", "sell"} and not it.status()["orders"])
        it.notify()
        seen_when(lambda: len(it.told("fill")) >= len(it.fills()))
        it.kill("notify")
        it.notify()
        seen_when(lambda: it.log("notify").count('"event": "goes on"') == 2)
        time.sleep(2.0)
        assert [one.split(" ", 2)[2].partition(" on gate")[0] for one in it.told("fill")] == list(
            map(line_of, it.fills())
        )
        assert it.phone.texts == [], "nothing of it is critical"
        assert it.heart.asked, "the heart beats while the daemon is well"

        it.kill("bot")
        (dead,) = seen_when(lambda: it.phone.texts)
        assert "the daemon does not answer" in dead
        beats = it.heart.asked
        time.sleep(3.0)
        assert it.heart.asked == beats, "no beat of a dead bot"
        it.bot()
        seen_when(lambda: any("all clear: the daemon does not answer" in one for one in it.phone.texts))
        seen_when(lambda: it.heart.asked > beats)
        assert it.processes["bot"].pid != daemon
        it.processes["notify"].send_signal(signal.SIGTERM)
        assert it.processes["notify"].wait(15) == 0
        assert len(it.phone.texts) == 2
        for secret in it.secrets:
            for name in ("bot", "notify"):
                assert secret not in it.log(name)
            assert secret not in (tmp_path / "state/told/notify/place.json").read_text()


@full
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_killed_between_a_delivery_and_its_note_one_letter_is_told_twice_and_none_is_lost(tmp_path):
    with house(tmp_path) as it:
        it.exchange()
        it.bot()
        it.notify()
        seen_when(lambda: '"event": "begins"' in it.log("notify"))
        it.mail.slow = 3.0
        it.rate(1, BTC=85)
        seen_when(lambda: it.mail.asked)
        it.kill("notify")  # the letter is there, and nobody has written that down
        it.mail.slow = 0.0
        it.rate(2, BTC=20)
        seen_when(lambda: len(it.fills()) >= 2)
        it.notify()
        seen_when(lambda: any("sell" in one for one in it.told("fill")))
        seen_when(lambda: len(it.mail.got) > 1 and it.told("fill").count(it.told("fill")[0]) == 2)
        lines = list(dict.fromkeys(it.told("fill")))
        assert len(lines) == len(it.fills())


@full
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_target_that_is_down_for_a_while_is_told_everything_later_and_stops_no_other(tmp_path):
    with house(tmp_path) as it:
        it.exchange()
        it.bot()
        it.mail.status = 503
        it.notify()
        seen_when(lambda: '"event": "begins"' in it.log("notify"))
        trader("halt", it.path, "--everything")
        seen_when(lambda: it.phone.texts)
        assert any("state killed" in one for one in it.phone.texts)
        seen_when(lambda: '"error": "HTTP 503"' in it.log("notify"))
        assert it.mail.texts == []
        it.mail.status = 200
        seen_when(lambda: it.told("state killed"))
        assert "nothing could be delivered here" in it.mail.texts[0]
        assert it.told("command")


@full
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_commands_from_a_chat_need_their_user_and_their_code_and_count_once(tmp_path):
    with house(tmp_path) as it:
        it.exchange()
        it.bot()
        it.notify()
        says = lambda: [text for _, text, _ in it.telegram.answers]  # noqa: E731
        code = lambda: pyotp.TOTP(TOTP).at(time.time())  # noqa: E731
        it.rate(1, BTC=85)
        seen_when(lambda: "BTC/USDT" in it.status()["holdings"] and not it.status()["orders"])
        for words, wanted in (
            ("/status", r"told \(RatingBand\): active"),
            ("/holdings", "BTC/USDT: "),
            ("/orders", "no order is under way"),
            ("/equity", "told: |no bar has closed yet"),
            ("/why cli/1", "cli/1: traded"),
            ("/halt back at two", "halt: the state is halted"),
            ("/resume", "needs the one-time code"),
            ("/flatten 000000", "the code is wrong"),
            ("/selfdestruct", "there is no such command"),
        ):
            before = len(says())
            it.telegram.write(words)
            seen_when(lambda before=before: len(says()) > before)
            assert re.search(wanted, says()[-1]), (words, says()[-1])
        assert it.status()["state"] == "halted"
        seen_when(lambda: any("a wrong code" in one for one in it.phone.texts))

        count = len(says())
        it.telegram.write(f"/kill {code()}", user=7)
        it.telegram.write("/status", chat={"id": -1, "type": "group"})
        seen_when(lambda: it.told("strangers"))
        assert len(says()) == count, "a stranger gets no answer"

        used = code()
        number = it.telegram.write(f"/flatten {used}")
        seen_when(lambda: "flatten: the state is halted" in says()[-1])
        it.telegram.write(f"/resume {used}")
        seen_when(lambda: "used already" in says()[-1])
        seen_when(lambda: not it.status()["holdings"])
        it.kill("notify")
        place = tmp_path / "state/told/notify/place.json"
        kept = json.loads(place.read_text())
        place.write_text(json.dumps(kept | {"heard": number - 1}))  # as if it had died before it wrote that down
        it.telegram.updates.insert(0, {"update_id": number, "message": {
            "date": int(time.time()), "text": f"/flatten {used}", "from": {"id": 42}, "chat": {"id": 42, "type": "private"},
        }})  # fmt: skip
        it.notify()
        seen_when(lambda: says()[-1].startswith("already: "))
        keys = [one.key for one in it.facts() if isinstance(one, CommandTaken) and one.argument != "again"]
        assert keys.count(f"telegram-123456789-{number}") == 1
        assert used not in it.log("notify")
