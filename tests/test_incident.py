"""An incident's archive: what it holds, what it names as missing, and that no secret is in it, wherever one had got to."""

import asyncio
import base64
import json
import re
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import get_args, get_origin
from urllib.parse import quote

import pytest
from pydantic import BaseModel

from tests.services.otlp import receiving
from tests.services.parts import free_port, full, seen_when, wait_for
from tests.test_cli_run import CONFIG, ROOT, trader
from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import Filled, OrderClosed, OrderPlaced, OrderSending
from trader.core.records import EpochTaken, LinkChanged, MountStarted, SignalReceived, StateChanged
from trader.incident import SECRET_FILES, TAIL_BYTES, Mask, slice_of, tail_of
from trader.run_settings import Run

D = Decimal
NOW = datetime.now(UTC)
# One for each place in which a run may have a secret; with characters that JSON, URLs and shells write otherwise.
CANARIES = {
    "key": "canary-key-0001", "secret": 'canary"secret\\0002', "mqtt": "canary/mqtt+0003=", "url": "canary-url-0004",
    "signing": "canary-signing-0005-ü", "token": "canary-token-of-the-api-0013", "hook": "canary-hook-0014", "phone": "canary-bot-0015",
    "totp": "CANARYTOTPCANARY", "environment": "canary-environment-0006", "vendor": "tm-canary-0007", "robot": "MTIz.canary.of-a-bot-0016",
}  # fmt: skip
GUESSED = ("canary-userinfo-0008", "canary-bearer-0009", "canary-api-0010", "canary-signature-0011")


def forms(secret):
    raw = secret.encode()
    return {
        secret, raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode(), quote(secret, safe=""), json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }  # fmt: skip


def parts(path):
    with tarfile.open(path) as archive:
        return {one.name.partition("/")[2]: archive.extractfile(one).read().decode() for one in archive.getmembers()}


def at(minutes):
    return NOW - timedelta(minutes=minutes)


@pytest.fixture
def run(tmp_path):
    """A run whose every secret is a canary, and whose journal and log are full of them."""
    for name in ("secret", "mqtt", "signing", "vendor", "token", "hook", "totp", "robot"):
        (tmp_path / name).write_text(CANARIES[name] + "\n")
    (tmp_path / "phone").write_text(f"tgram://{CANARIES['phone']}/12345678\n")
    (tmp_path / "vendor.yaml").write_text(
        "version: 1\napi: v2\nstore: ratings.db\nkey_file: vendor\nassets: {BTC/USDT: 3375}\nendpoints: [tm_grade_history]\n"
    )
    path = tmp_path / "run.yaml"
    path.write_text(
        "version: 1\nname: canary\nvenue: gate\nlive: true\ncapital: 500\nassets: [BTC/USDT]\nstrategy: {name: RatingBand}\n"
        f"limits: {{drawdown: 20%}}\nstate: state\naccount: {{key: {CANARIES['key']}, secret_file: secret}}\n"
        "intake: {mqtt: {password_file: mqtt}, keys: {k1: signing}}\n"
        "api: {tokens: {me: {scopes: [read], file: token}}, hooks: {one: {secret_file: hook}}}\n"
        f"notify: {{targets: {{phone: {{url_file: phone}}}}, telegram: {{token: {CANARIES['phone']}, totp_file: totp, users: [1]}},"
        f" discord: {{token_file: robot, totp_file: totp, channel: 5, users: [1]}}}}\n"
        f"telemetry: {{otlp: 'http://someone:{CANARIES['url']}@127.0.0.1:1'}}\n"
    )
    return path


def texts():
    """Every canary in every form, as texts that a fact or a log may hold."""
    known = [form for secret in CANARIES.values() for form in sorted(forms(secret))]
    return [
        *known, f"https://user:{GUESSED[0]}@example.org/x", f"Authorization: Bearer {GUESSED[1]}",
        f"GET /v1?api_key={GUESSED[2]}&x=1", json.dumps({"signature": GUESSED[3]}),
    ]  # fmt: skip


def fill_journal(path, facts):
    async def filled():
        journal = SqliteJournal(path)
        await journal.take("test", seconds=60)
        for fact in facts:
            await journal.append([fact])
        await journal.close()

    path.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(filled())


def facts_of_a_bad_day():
    said = [LinkChanged(at(9), f"link {number}", False, text) for number, text in enumerate(texts())]
    received = [
        SignalReceived(at(8), f"tm/{n}", "mqtt", "d", "malformed", text, text) for n, text in enumerate(texts())
    ]  # fmt: skip
    return [
        MountStarted(at(500), "canary", "RatingBand()", D(500), (("BTC/USDT", "gate", "BTC/USDT", "0.1", "0.001", "3", "quote"),)),
        StateChanged(at(490), "", "active", "reconciled"), LinkChanged(at(480), "too old", True, ""),
        OrderPlaced(at(200), "canary", 1, "BTC/USDT", "gate", "buy", D(1), None, "w", "signal:tm/1"),
        OrderSending(at(199), "canary", 1, "t-1"),
        OrderClosed(at(10), "canary", 1, "BTC/USDT", "refused X"), *said, *received,
    ]  # fmt: skip


def canaries_in(text):
    return sorted({form for secret in (*CANARIES.values(), *GUESSED) for form in forms(secret) if form in text})


def test_no_secret_is_in_the_archive_wherever_one_had_got_to(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TRADER_ACCOUNT__SECRET", CANARIES["environment"])
    fill_journal(tmp_path / "state/canary/journal.db", facts_of_a_bad_day())
    log, out = tmp_path / "bot.log", tmp_path / "out.tar.gz"
    log.write_text("\n".join([*texts(), *(json.dumps({"event": "LinkChanged", "why": text}) for text in texts())]))
    known = {name: secret for name, secret in CANARIES.items() if name not in {"secret", "vendor"}}
    assert len(canaries_in(log.read_text())) > 25, "the canaries are there to be found"
    told = trader("incident", "export", run, "--log", log, "--out", out)
    found = parts(out)
    everything = "\n".join([told, *found, *found.values()])
    leaked = [form for secret in (*known.values(), *GUESSED) for form in forms(secret) if form in everything]
    assert leaked == []
    rows = {row["key"]: row for row in json.loads(found["config.json"])}
    assert rows["account.secret"]["value"].startswith("***")
    assert rows["account.secret"]["from"] == "environment TRADER_ACCOUNT__SECRET"
    assert rows["telemetry.otlp"]["value"] == "http://***@127.0.0.1:1"
    facts = [json.loads(line) for line in found["facts.jsonl"].splitlines()]
    assert [fact["key"] for fact in facts if fact["is"] == "SignalReceived"][:2] == ["tm/0", "tm/1"]
    assert len(found["log.txt"].splitlines()) == 2 * len(texts())
    assert out.stat().st_mode & 0o777 == 0o600


def test_a_vendors_key_and_a_secret_from_a_file_are_masked_too(run, tmp_path):
    run.write_text(run.read_text().replace("intake: {", "intake: {ratings: vendor.yaml, "))
    fill_journal(tmp_path / "state/canary/journal.db", facts_of_a_bad_day())
    out = tmp_path / "out.tar.gz"
    trader("incident", "export", run, "--out", out)
    found = parts(out)
    known = [secret for name, secret in CANARIES.items() if name != "environment"]
    everything = "\n".join(found.values())
    assert [form for secret in known for form in forms(secret) if form in everything] == []
    assert "(intake.ratings) key" in found["config.json"]


def test_a_secret_that_cannot_be_read_cannot_be_masked_so_nothing_is_written(run, tmp_path):
    (tmp_path / "mqtt").unlink()
    said = trader("incident", "export", run, "--out", tmp_path / "out.tar.gz", code=3)
    assert "intake.mqtt.password" in said
    assert "cannot be masked" in said
    assert not (tmp_path / "out.tar.gz").exists()


def test_every_key_that_names_a_file_with_a_secret_is_known():
    """A layout that gains one must be known here: whatever holds a secret says so by its type, its name, or in SECRET_FILES."""
    known = re.compile(rf".*_file|{SECRET_FILES.pattern}".replace(".+", r"[\w*]+"))
    files = [place for place in _files(Run) if not re.fullmatch(known, place)]
    assert sorted(files) == [
        "api.certificate", "api.certificate_key", "intake.directory", "intake.mqtt.ca", "intake.ratings", "state",
    ]  # fmt: skip


def _files(model, place=()):
    """Every key of a layout that is a path, as a place; * stands for a name of the user's."""
    for name, field in model.model_fields.items():
        yield from _within(field.annotation, (*place, name))


def _within(annotation, place):
    if annotation is Path:
        yield ".".join(place)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _files(annotation, place)
    elif get_origin(annotation) in {dict, Mapping}:
        yield from _within(get_args(annotation)[1], (*place, "*"))
    elif get_origin(annotation) is not None:
        for one in get_args(annotation):
            yield from _within(one, place)


def test_what_cannot_be_had_is_named_and_the_rest_is_there(run, tmp_path):
    run.write_text(run.read_text() + "journal: postgresql://trader:canary-pg-0012@127.0.0.1:1/none\n")
    out = tmp_path / "out.tar.gz"
    told = trader("incident", "export", run, "--out", out, "--log", tmp_path / "none.log")
    found = parts(out)
    assert set(found) == {"README.txt", "config.json", "manifest.json", "versions.json"}
    missing = json.loads(found["manifest.json"])["missing"]
    assert [line.partition(":")[0] for line in missing] == ["facts.jsonl", "status.json", "log.txt"]
    assert "canary" not in (told + "".join(found.values())).replace("canary.yaml", "").replace('"canary"', "").replace(
        "state/canary", ""
    )
    assert json.loads(found["versions.json"])["packages"]["ccxt"]
    assert "nothing was lost" in trader("journal", "verify", run, code=3)
    assert "is there already" in trader("incident", "export", run, "--out", out, code=4)
    assert "write a day or an instant" in trader("incident", "export", run, "--since", "lately", code=2)
    assert "before the calendar begins" in trader("incident", "export", run, "--since", "9999999d", code=2)


def test_a_journal_that_is_no_database_ends_nothing(run, tmp_path):
    (tmp_path / "state/canary").mkdir(parents=True)
    (tmp_path / "state/canary/journal.db").write_bytes(b"no database " * 1_000)
    trader("incident", "export", run, "--out", tmp_path / "out.tar.gz")
    missing = json.loads(parts(tmp_path / "out.tar.gz")["manifest.json"])["missing"]
    assert "cannot be read: file is not a database" in missing[0]
    assert "cannot be read" in trader("orders", run, code=3)


def test_rows_that_this_version_cannot_read_are_there_as_they_are_kept_and_masked(run, tmp_path):
    path = tmp_path / "state/canary/journal.db"
    fill_journal(path, facts_of_a_bad_day())
    with sqlite3.connect(path) as database:
        database.execute(
            """UPDATE journal SET body = replace(body, '"OrderPlaced"', '"OrderDreamt"') WHERE kind = 'OrderPlaced'"""
        )
    database.close()
    trader("incident", "export", run, "--out", tmp_path / "out.tar.gz")
    found = parts(tmp_path / "out.tar.gz")
    assert "OrderDreamt" in found["rows.jsonl"]
    assert "facts.jsonl" not in found
    manifest = json.loads(found["manifest.json"])
    assert "OrderDreamt" in manifest["missing"][0]
    assert manifest["chain"].startswith("row ")
    known = [secret for name, secret in CANARIES.items() if name not in {"environment", "vendor"}]
    everything = "".join(found.values())
    assert [form for secret in (*known, *GUESSED) for form in forms(secret) if form in everything] == []


def test_a_slice_has_what_it_stands_on_and_whole_stories_of_its_orders():
    facts = [
        MountStarted(at(90), "m", "old", D(1), ()), MountStarted(at(80), "m", "new", D(1), ()), EpochTaken(at(79), 1, "o"),
        OrderPlaced(at(70), "m", 1, "A", "gate", "buy", D(1), None, "w"), OrderPlaced(at(69), "m", 2, "A", "gate", "buy", D(1), None, "w"),
        OrderPlaced(at(68), "other", 1, "A", "gate", "buy", D(1), None, "w"),
        LinkChanged(at(60), "x", True, ""),
        Filled(at(5), "m", 1, "A", "gate", "buy", D(1), D(1), D(0), "quote", "w", "t"),
        Filled(at(4), "m", None, "A", "gate", "sell", D(1), D(1), D(0), "quote", "w"),
    ]  # fmt: skip
    assert slice_of(facts, at(10)) == [facts[one] for one in (1, 2, 3, 7, 8)]
    assert slice_of(facts, at(1_000)) == facts


def test_the_end_of_a_log_begins_with_a_whole_line(tmp_path):
    path = tmp_path / "log"
    path.write_text("".join(f"line {number:07}\n" for number in range(TAIL_BYTES // 10)))
    lines = tail_of(path).splitlines()
    assert lines[-1] == f"line {TAIL_BYTES // 10 - 1:07}"
    assert all(len(line) == 12 for line in lines)
    assert len(tail_of(path)) <= TAIL_BYTES


@pytest.mark.parametrize("before", ["", "x", "xy", "user:"])
def test_a_secret_within_something_in_base64_is_masked(before):
    whole = base64.b64encode(f"{before}{CANARIES['key']}:more".encode()).decode()
    masked = Mask([CANARIES["key"]]).text(f"said {whole} then").split()[1]
    assert "***" in masked
    assert len(masked.replace("***", "")) <= len(whole) - len(CANARIES["key"]) * 4 // 3 + 4


@pytest.mark.parametrize(
    "text",
    [
        "tm/derived_trader-20240312", "signal:tokenmetrics/4711", "the token of BTC is doubtful", "key = tm/1",
        "https://example.org/v1/tm-grade?token_id=3375", "refused BALANCE_NOT_ENOUGH",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text):
    assert Mask(["another"]).text(text) == text
    assert Mask(["another"]).value({"key": text, "n": [1, None, text]}) == {"key": text, "n": [1, None, text]}


@pytest.mark.slow
@full
def test_of_a_bot_that_runs_with_its_status_its_log_and_its_traces(tmp_path):
    pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
    port, path, out = free_port(), tmp_path / "run.yaml", tmp_path / "out.tar.gz"
    start = [sys.executable, "-m", "trader.cli"]
    with receiving() as (receiver, url), (tmp_path / "log").open("w") as log:
        path.write_text(CONFIG.format(port=port) + f"telemetry: {{otlp: '{url}'}}\n")
        venue = subprocess.Popen([*start, "loopback", "gate", "--port", str(port)], stdout=log, cwd=ROOT)
        wait_for(port)
        bot = subprocess.Popen([*start, "run", str(path), "--live"], stderr=log, cwd=ROOT)
        try:
            seen_when(lambda: '"state": "active"' in (tmp_path / "log").read_text())
            trader("signal", "send", path, "BTC/USDT=85", "--kind", "trader_grade", "--id", "one")
            seen_when(lambda: '"SignalClosed"' in (tmp_path / "log").read_text())
            told = trader("incident", "export", path, "--log", tmp_path / "log", "--out", out)
            seen_when(lambda: "fill" in {span.name for span in receiver.spans})
            bot.terminate()
            assert bot.wait(15) == 0
        finally:
            for process in (bot, venue):
                process.kill()
                process.wait()
    assert "complete" in told
    found = parts(out)
    manifest = json.loads(found["manifest.json"])
    assert (manifest["missing"], sorted(found)) == ([], manifest["files"])
    assert manifest["facts"]["here"] == len(found["facts.jsonl"].splitlines()) < manifest["facts"]["in the journal"]
    assert "each follows from the one before" in manifest["chain"]
    assert json.loads(found["status.json"])["measures"]["orders"]["closed"]["filled"] == 1
    assert "loopback-secret" not in "".join(found.values())
    lines = [json.loads(line) for line in found["log.txt"].splitlines() if line.startswith("{")]
    story = {line["event"] for line in lines if line.get("correlation_id") == "cli/one"}
    assert {"SignalReceived", "Decided", "OrderSending", "Filled", "SignalClosed"} <= story
