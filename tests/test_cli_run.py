"""The commands around a running bot, as a person types them: a rehearsal from start to end, and what goes wrong."""

import asyncio
import csv
import io
import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.services.parts import Mosquitto, free_port, full, seen_when, wait_for
from trader.adapters.journal_sqlite import JournalReader, SqliteJournal
from trader.cli import app, main
from trader.cli_facts import facts_of
from trader.core.facts import Filled
from trader.core.instruments import Instrument
from trader.intake import secrets_of, sources_of
from trader.opening import NotTradableError, check_universe, open_journal
from trader.rehearsal import script_of
from trader.run_settings import load_run
from trader.runtime.stories import curve
from trader.settings import SettingsError

ROOT = Path(__file__).parents[1]
CONFIG = """\
version: 1
name: rehearsal
venue: gate
live: true
capital: 5000
assets: [BTC/USDT, ETH/USDT]
timeframe: 1m
strategy: {{name: RatingBand, parameters: {{}}}}
limits: {{weight_per_asset: 60%}}
account: {{url: "http://127.0.0.1:{port}", key: loopback-key, secret: loopback-secret}}
state: state
"""


def trader(*words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "trader.cli", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout if not code else done.stderr


@pytest.fixture
def rehearsal(tmp_path):
    port = free_port()
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(port=port))
    start = [sys.executable, "-m", "trader.cli"]
    with (tmp_path / "log").open("w") as log:
        venue = subprocess.Popen(
            [*start, "loopback", "gate", "--port", str(port), "--state", str(tmp_path / "venue.json")],
            stdout=log,
            cwd=ROOT,
        )
        wait_for(port)
        bot = subprocess.Popen([*start, "run", str(path), "--live"], stderr=log, cwd=ROOT)
        try:
            yield path, bot, venue
        finally:
            for process in (bot, venue):
                process.kill()
                process.wait()


def status(path):
    done = subprocess.run(
        [sys.executable, "-m", "trader.cli", "status", str(path), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else {}


@pytest.mark.slow
@full
def test_a_rehearsal_from_start_to_end(rehearsal, tmp_path):
    path, bot, venue = rehearsal
    seen_when(lambda: status(path).get("state") == "active")
    assert "taken" in trader(
        "signal", "send", path, "BTC/USDT=85", "ETH/USDT=20", "--kind", "trader_grade", "--id", "one"
    )
    seen_when(lambda: "BTC/USDT" in status(path)["holdings"])
    assert "works there already" in trader("run", path, "--live", code=4)
    told = trader("explain", path, "cli/one")
    for word in ("cli/one: traded", "received", "decided", "ordered", "filled", "outcome"):
        assert word in told
    assert "halted" in trader("halt", path, "--why", "lunch", "--key", "k1")
    assert "already" in trader("halt", path, "--key", "k1")
    trader("resume", path)
    seen_when(lambda: status(path)["state"] == "active")
    trader("flatten", path, "--yes")
    seen_when(lambda: not status(path)["holdings"] and not status(path)["orders"])
    rows = list(csv.DictReader(io.StringIO(trader("fills", path, "--csv"))))
    assert [row["side"] for row in rows] == ["buy", "sell"]
    assert float(rows[1]["realised"]) < 0
    assert re.search(r"BTC/USDT +buy +", trader("orders", path))
    assert "BTC/USDT" in trader("holdings", path)
    assert "1 of 1 decisions are the same" in trader("replay-journal", path)
    assert "works there already" in trader("journal", "rebuild", path, code=4)
    text = path.read_text()
    path.write_text(
        text.replace("capital: 5000", "capital: 6000").replace("secret: loopback-secret", "secret: another-secret")
    )
    bot.send_signal(signal.SIGHUP)
    changes = seen_when(
        lambda: [
            line for line in (tmp_path / "log").read_text().splitlines() if "configuration was not applied" in line
        ]
    )
    assert "it needs a restart: account.secret, capital" in json.loads(changes[0])["why"]
    path.write_text(text.replace("capital: 5000", "capitol: 5000"))
    bot.send_signal(signal.SIGHUP)
    seen_when(lambda: "did you mean capital" in (tmp_path / "log").read_text())
    path.write_text(text)
    bot.send_signal(signal.SIGTERM)
    assert bot.wait(10) == 0
    assert "each follows from the one before" in trader("journal", "verify", path)
    assert "rebuilt from" in trader("journal", "rebuild", path)
    kinds = [json.loads(line)["is"] for line in trader("journal", "facts", path, "--last", "5").splitlines()]
    assert len(kinds) == 5
    venue.send_signal(signal.SIGTERM)
    assert venue.wait(10) == 0
    there = json.loads((tmp_path / "venue.json").read_text())
    assert [one["side"] for one in there["orders"]] == ["buy", "sell"]
    assert not there["unbalanced"]
    assert "loopback-secret" not in (tmp_path / "log").read_text().replace("secret loopback-secret", "")


@full
@pytest.mark.slow
def test_a_shadow_beside_the_real_bot_hears_the_same_and_touches_nothing(tmp_path):
    port, path, inbox = free_port(), tmp_path / "run.yaml", tmp_path / "inbox"
    path.write_text(CONFIG.format(port=port) + "intake: {directory: inbox}\n")
    start = [sys.executable, "-m", "trader.cli"]
    words = (["loopback", "gate", "--port", str(port)], ["run", str(path), "--live"], ["run", str(path), "--shadow"])
    processes = []
    try:
        with (tmp_path / "log").open("w") as log:
            for one in words:
                processes.append(subprocess.Popen([*start, *one], stdout=log, stderr=log, cwd=ROOT))
                wait_for(port)
        shadow = tmp_path / "state/rehearsal/shadow/journal.db"
        seen_when(lambda: status(path).get("state") == "active" and shadow.exists())
        for number, value in enumerate((85, 20, 90)):
            body = trader(
                "signal", "send", path, f"BTC/USDT={value}", "--kind", "trader_grade", "--id", str(number), "--print"
            )
            (inbox / ".part").write_text(body)
            (inbox / ".part").rename(inbox / f"{number}.json")
            seen_when(
                lambda number=number: f"cli/{number}" in trader("journal", "facts", path, "--kind", "SignalClosed")
            )
        seen_when(lambda: trader("compare", path).startswith("3 of 3 messages"))
        assert len(list((inbox / "done").glob("*.json"))) == 3
        reader = JournalReader(shadow)
        assert {fact.venue for fact in reader.facts() if isinstance(fact, Filled)} == {"paper"}
        reader.close()
        assert len(json.loads(trader("orders", path, "--json"))) == 3
    finally:
        for process in processes[::-1]:
            process.terminate()
            assert process.wait(15) == 0


def test_a_shadow_has_a_journal_and_a_session_of_its_own(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        CONFIG.format(port=1) + "intake: {mqtt: {client_id: me}}\njournal: postgresql://trader@127.0.0.1/trader\n"
    )
    settings, _ = load_run(path)
    real, shadow = (
        sources_of(settings, tmp_path, lambda *_: None, tmp_path, is_shadow=one)[0] for one in (False, True)
    )
    assert (real._broker.client_id, shadow._broker.client_id) == ("me", "me-shadow")
    journal = open_journal(settings, tmp_path / "shadow", is_shadow=True)
    assert isinstance(journal, SqliteJournal)
    asyncio.run(journal.close())


def test_a_shadow_needs_no_key_of_the_account_and_the_real_one_does(tmp_path):
    path = tmp_path / "run.yaml"
    inline = 'url: "http://127.0.0.1:1", key: loopback-key, secret: loopback-secret'
    path.write_text(CONFIG.format(port=1).replace(inline, "key_file: gate-key, secret_file: gate-secret"))
    settings, _ = load_run(path)
    assert secrets_of(settings, tmp_path, is_shadow=True) == []
    with pytest.raises(SettingsError, match="gate-key"):
        secrets_of(settings, tmp_path)
    (tmp_path / "gate-key").write_text("a-key\n")
    assert secrets_of(settings, tmp_path, is_shadow=True) == ["a-key"], "what is there is hidden all the same"


@pytest.mark.slow
@full
def test_the_demo_leaves_a_run_behind_that_the_commands_can_read(tmp_path):
    told = trader("demo", "--days", 12, "--folder", tmp_path)
    words = shlex.split(" ".join(told.split()).rpartition("trader explain ")[2])
    assert "trader_grade" in words[1], "that is what the strategy reads; the others came at the same instant"
    kinds = trader("journal", "facts", words[0], "--kind", "SignalReceived")
    assert all(f"tokenmetrics/{kind}-" in kinds for kind in ("trader_grade", "trend", "regime"))
    explained = trader("explain", *words)
    for word in (": traded", "received", "known", "decided", "target", "ordered", "filled", "outcome"):
        assert word in explained
    config = words[0]
    again = re.match(r"(\d+) of (\d+) decisions are the same", trader("replay-journal", config))
    assert again[1] == again[2] != "0"
    rows = list(csv.DictReader(io.StringIO(trader("equity", config, "--csv"))))
    assert (rows[0]["equity"], len(rows)) == ("10000.0", 12 * 24)
    assert "2024-03-12" in trader("equity", config)
    folded = [(one.at.isoformat(), one.mount, str(one.equity)) for one in curve(facts_of(Path(config)))]
    assert [(row["at"], row["mount"], row["equity"]) for row in rows] == folded, "the table is what the facts fold to"
    assert "each follows from the one before" in trader("journal", "verify", config)


@full
@pytest.mark.slow
def test_the_demo_takes_its_signals_from_a_broker(tmp_path):
    broker = Mosquitto(tmp_path / "mosquitto").start()
    try:
        told = trader("demo", "--days", 5, "--folder", tmp_path / "demo", "--mqtt", f"127.0.0.1:{broker.port}")
    finally:
        broker.stop()
    assert told.count("holds") == 4
    facts = trader("journal", "facts", tmp_path / "demo/run.yaml", "--kind", "SignalReceived").splitlines()
    assert {json.loads(line)["source"] for line in facts} == {"mqtt"}
    said = trader("demo", "--days", 5, "--folder", tmp_path / "demo", "--mqtt", f"127.0.0.1:{broker.port}", code=3)
    assert "is the broker running?" in said


@pytest.fixture
def run(capsys):
    def call(*words):
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, words)))
        return ended.value.code, capsys.readouterr().err

    return call


def test_money_needs_the_file_and_the_flag(tmp_path, run):
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(port=1))
    code, said = run("run", path)
    assert (code, "needs the flag --live" in said) == (2, True)
    code, said = run("run", path, "--live", "--standby")
    assert (code, "needs journal: postgresql://" in said) == (2, True)
    path.write_text(CONFIG.format(port=1).replace("live: true", "live: false"))
    for words in (("run", path), ("run", path, "--live")):
        code, said = run(*words)
        assert (code, "live: true" in said) == (2, True)
    code, said = run("run", path, "--live", "--shadow")
    assert (code, "one of the two" in said) == (2, True)


def test_where_no_bot_runs_the_command_says_how_to_start_it(tmp_path, run):
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(port=1))
    for words in (("status", path), ("halt", path), ("signal", "send", path, "BTC/USDT=1", "--kind", "x")):
        code, said = run(*words)
        assert (code, f"trader run {path}" in said) == (3, True)
    for words in (("orders", path), ("fills", path), ("explain", path, "x"), ("journal", "verify", path)):
        code, said = run(*words)
        assert (code, "nothing was run" in said) == (3, True), said


def test_a_signal_is_printed_and_a_wrong_one_names_the_form(tmp_path):
    path = tmp_path / "run.yaml"
    (tmp_path / "key").write_text("secret\n")
    path.write_text(CONFIG.format(port=1) + "intake: {keys: {k1: key}}\n")
    words = ["signal", "send", str(path), "BTC/USDT=85", "--kind", "grade", "--print"]
    done = CliRunner().invoke(app, words)
    assert json.loads(done.stdout)["key_id"] == "k1"
    with pytest.raises(SystemExit):
        main(["signal", "send", str(path), "BTC", "--kind", "grade", "--print"])


def test_a_missing_secret_is_named_and_never_shown(tmp_path, run):
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(port=1).replace("secret: loopback-secret", "secret_file: nowhere"))
    code, said = run("run", path, "--live")
    assert (code, "nowhere" in said, "loopback-key" in said) == (2, True, False)


def test_each_schema_of_the_repository_is_the_one_that_is_printed():
    for name in ("run", "backtest", "ratings"):
        printed = CliRunner().invoke(app, ["schema", name]).stdout
        assert json.loads((ROOT / f"config/{name}.schema.json").read_text()) == json.loads(printed), name


def test_the_examples_of_a_command_keep_their_lines():
    done = CliRunner().invoke(app, ["run", "--help"])
    assert "\n    trader run config/live.yaml --live\n" in done.stdout


def test_a_script_of_faults_says_what_is_wrong_with_it(tmp_path, run):
    path = tmp_path / "faults.yaml"
    for text, said in (
        ("clock_skw: 1s\n", "clock_skw: unknown; known are faults, seed, clock_skew"),
        ("repeats: maybe\n", "allowed are override, reject, return"),
        ("list_lag: soon\n", "soon"),
        ("faults: [{on: WS /ws, do: vanish}]\n", "silent"),
    ):
        path.write_text(text)
        code, told = run("loopback", "gate", "--faults", path)
        assert (code, said in told, str(path) in told) == (2, True, True), told
    script = script_of(ROOT / "config/faults.yaml")
    assert (script.skew_ms, script.list_lag_ms, script.listen_key_ms) == (1_500, 800, 600_000)


def test_a_perpetual_is_refused_by_name(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(port=1).replace("ETH/USDT]", '"BTC/USDT:USDT"]'))
    settings, _ = load_run(path)
    with pytest.raises(NotTradableError, match="BTC/USDT:USDT: a perpetual or a future; only spot is built"):
        check_universe(settings, [Instrument("BTC/USDT", "gate", "BTC/USDT")])


@full
@pytest.mark.slow
def test_a_deep_folder_and_a_start_that_fails_can_be_commanded_and_ended(tmp_path):
    deep = tmp_path / ("a-folder-with-a-long-name-" * 3) / ("and-another-" * 4)
    deep.mkdir(parents=True)
    port, path = free_port(), deep / "run.yaml"
    path.write_text(CONFIG.format(port=port))
    start = [sys.executable, "-m", "trader.cli"]
    with (tmp_path / "log").open("w") as log:
        bot = subprocess.Popen([*start, "run", str(path), "--live"], stderr=log, cwd=ROOT)
        seen_when(lambda: (tmp_path / "log").read_text().count("restarting") >= 3)  # no exchange is there yet
        venue = subprocess.Popen([*start, "loopback", "gate", "--port", str(port)], stdout=log, cwd=ROOT)
        seen_when(lambda: status(path).get("state") == "active")
        assert len(str(path.parent / "state/rehearsal/control.sock")) > 108
        assert "halted" in trader("halt", path)
        venue.send_signal(signal.SIGTERM)
        assert venue.wait(10) == 0
        bot.send_signal(signal.SIGTERM)
        assert bot.wait(15) == 0
        bot = subprocess.Popen([*start, "run", str(path), "--live"], stderr=log, cwd=ROOT)
        before = (tmp_path / "log").read_text().count("restarting")
        seen_when(lambda: (tmp_path / "log").read_text().count("restarting") >= before + 2)
        bot.send_signal(signal.SIGTERM)
        assert bot.wait(5) == 0, "in the pause between two starts it ends at once"
