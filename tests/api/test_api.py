"""The control API over sockets, beside a real bot at a loopback exchange."""

import asyncio
import hashlib
import hmac
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote

import pytest

from tests.api.parts import CANARY, ROOT, SCOPES, call
from tests.services.parts import full
from trader.adapters.journal_sqlite import JournalReader
from trader.run_settings import load_run
from trader.serving import served

pytestmark = full  # it takes a house of three processes
OPEN = {
    ("GET", "/health"),
    ("GET", "/ready"),
    ("POST", "/v1/session"),
    ("DELETE", "/v1/session"),
    ("POST", "/v1/hooks/{name}"),
}
PARTS = {"{key}": "me/x", "{name}": "halt", "{what}": "fills", "{id}": "0123456789abcdef"}


@cache
def document_at(config):
    done = subprocess.run(
        [sys.executable, "-m", "trader.cli", "api", config, "--openapi"], cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    return json.loads(done.stdout)


def routes(house):
    for path, methods in document_at(str(house.config))["paths"].items():
        for method in methods:
            real = path
            for part, value in PARTS.items():
                real = real.replace(part, value)
            yield method.upper(), path, real


def test_it_stands_behind_the_bot_where_both_want_the_processor(house):
    bot, api = (os.getpriority(os.PRIO_PROCESS, house.processes[name].pid) for name in ("bot", "api"))
    assert api - bot == 10


def test_a_signal_is_followed_to_its_fill(house):
    house.active()
    sent = house.rate({"BTC/USDT": 90, "ETH/USDT": 10})
    assert sent.status == 200, sent.body
    key = sent.json["key"]
    house.until(lambda: house.get("/v1/signals")["rows"][0]["outcome"] == "traded")
    row = house.get("/v1/signals?most=1")["rows"][0]
    assert (row["key"], row["said"]) == (key, "BTC/USDT trader_grade 90, ETH/USDT trader_grade 10")
    steps = [one["what"] for one in house.get(f"/v1/signals/{quote(key)}")]
    assert steps[0] == "received"
    assert {"known", "decided", "target", "ordered", "filled", "outcome"} <= set(steps)
    fill = house.get("/v1/fills")["rows"][0]
    assert (fill["asset"], fill["side"]) == ("BTC/USDT", "buy")
    held = {one["asset"]: one for one in house.get("/v1/holdings")}
    assert float(held["BTC/USDT"]["quantity"]) > 0
    chart = house.get("/v1/chart?asset=BTC/USDT&most=20")
    assert len(chart["bars"]) == 20
    assert [one["value"] for one in chart["known"]][-1] == 90
    assert chart["fills"][-1]["seq"] == fill["seq"]
    assert house.rate({"BTC/USDT": 20}).status == 200  # leave again
    house.until(lambda: house.get("/v1/fills")["rows"][0]["side"] == "sell")


def test_what_is_shown_is_what_the_journal_has(house):
    reader = JournalReader(house.folder / "state" / "house" / "journal.db")
    try:
        orders, fills = house.get("/v1/orders?most=1000")["rows"], house.get("/v1/fills?most=1000")["rows"]
        assert [(one["number"], one["state"]) for one in reversed(orders)] == [
            (o.number, o.state) for o in reader.orders()
        ]
        assert [(one["seq"], one["price"]) for one in reversed(fills)] == [
            (f.seq, str(f.price)) for f in reader.fills()
        ]
        told = house.ask("GET", "/v1/export/facts").body.splitlines()
        assert len(told) >= len(fills) + len(orders)
        assert [json.loads(line)["seq"] for line in told] == list(range(1, len(told) + 1))
    finally:
        reader.close()


@pytest.mark.parametrize("what", ["signals", "orders", "fills", "facts"])
def test_lists_are_gone_on_with_and_nothing_is_left_out_or_twice(house, what):
    place = "number" if what == "orders" else "seq"
    whole = [json.loads(line)[place] for line in house.ask("GET", f"/v1/export/{what}").body.splitlines()]
    whole = sorted(whole, reverse=True)[:40]
    found, before = [], f"&before={whole[0] + 1}" if whole else ""
    while len(found) < len(whole):
        part = house.get(f"/v1/{what}?most=3{before}")
        found += [one[place] for one in part["rows"]]
        if part["next"] is None:
            break
        before = f"&before={part['next']}"
    assert found[: len(whole)] == whole


def test_every_route_refuses_who_may_not(house):
    """No token, a wrong one, an expired one, and one of every other scope: the routes are those of the OpenAPI document."""
    checked = 0
    for method, path, real in routes(house):
        if (method, path) in OPEN:
            continue
        headers = {"Idempotency-Key": "refused-1"}
        body = None if method == "GET" else {}
        assert house.ask(method, real, body, token=None, headers=headers).status == 401, (method, path)
        answers = [house.ask(method, real, body, token=scope, headers=headers, reads=False) for scope in SCOPES]
        under = [one for one in answers if one.status == 403]
        assert len(under) >= 3, (method, path, under)
        checked += 1
    assert checked >= 18


@pytest.mark.parametrize("token", ["wrong-token-wrong-token-wrong", "gone", "Bearer", "", "all\x00"])
def test_no_route_takes_a_wrong_or_expired_token(house, token):
    """Over ASGI, each route from an address of its own: over a socket the one address would have to wait."""
    settings, _ = load_run(house.config)
    shown = house.token("gone") if token == "gone" else token

    async def all_of_them():
        application = served(settings, house.config).application
        for number, (method, path, real) in enumerate(routes(house)):
            if (method, path) in OPEN:
                continue
            headers = {"authorization": f"Bearer {shown}", "idempotency-key": "refused-1"}
            body = b"" if method == "GET" else b"{}"
            status, _, said = await call(
                application, method, real, headers=headers, body=body, address=f"10.0.0.{number}"
            )
            assert status == 401, (method, path, status, said)

    asyncio.run(all_of_them())


def test_guessing_is_slowed_and_a_right_token_must_wait_too(house):
    house2 = house  # the address waits afterwards: the API is started anew at the end
    statuses = [house2.ask("GET", "/v1/status", token=f"guess-number-{n}-of-many-guesses").status for n in range(30)]
    assert statuses[:5] == [401] * 5
    assert statuses.count(401) <= 7
    assert statuses[-1] == 429
    late = house2.ask("GET", "/v1/status")
    assert late.status == 429
    assert int(late.headers["retry-after"]) >= 1
    house.processes["api"].kill()
    house.processes["api"].wait()
    house.start("api")
    assert house.ask("GET", "/v1/status").status == 200


def test_commands_are_carried_out_once_and_what_costs_money_is_typed(house):
    house.active()
    first = house.command("halt", key="halt-once-1")
    assert first.json == {"ok": True, "done": "halt", "state": "halted"}
    assert house.command("resume").status == 428
    assert house.command("resume", confirm="resume other").status == 428
    assert house.command("resume", confirm="resume house").status == 200
    house.until(lambda: house.state() == "active")
    assert house.command("halt", key="halt-once-1").json["done"] == "already"
    assert house.state() == "active"
    assert house.ask("POST", "/v1/commands/halt", {}).status == 422
    assert house.ask("POST", "/v1/commands/withdraw", {}, headers={"Idempotency-Key": "withdraw-1"}).status == 422
    assert (
        house.ask("POST", "/v1/commands/halt", {"argument": 5}, headers={"Idempotency-Key": "halt-twice"}).status == 422
    )


def test_halted_nothing_is_opened_and_flatten_sells_all(house):
    house.active()
    house.rate({"ETH/USDT": 95})
    house.until(lambda: any(one["asset"] == "ETH/USDT" for one in house.get("/v1/fills")["rows"]))
    assert house.command("flatten", confirm="flatten house").status == 200
    house.until(lambda: house.get("/v1/fills")["rows"][0]["side"] == "sell")
    house.until(lambda: not house.get("/v1/status")["holdings"])
    count = len(house.get("/v1/fills?most=1000")["rows"])
    house.rate({"ETH/USDT": 96})
    time.sleep(1)
    assert len(house.get("/v1/fills?most=1000")["rows"]) == count
    house.active()


def test_a_session_needs_our_page_for_what_changes_something(house):
    begun = house.ask("POST", "/v1/session", {"token": house.token()}, token=None)
    assert begun.status == 200
    cookie = begun.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    session = {"Cookie": cookie.split(";")[0]}
    assert house.ask("GET", "/v1/status", token=None, headers=session).status == 200
    kinds = ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "application/json"]
    forms = [{"Content-Type": kind, **more} for kind in kinds for more in ({}, {"Origin": "https://evil.example"})]
    forms += [{"X-Trader": "1", "Origin": "https://evil.example"}, {"X-Trader": "1", "Origin": "null"}]
    assert len(forms) == 10
    state = house.state()
    for number, form in enumerate(forms):
        sent = {**session, **form, "Idempotency-Key": f"forged-{number}x"}
        assert house.ask("POST", "/v1/commands/halt", b"{}", token=None, headers=sent).status == 403, form
    assert house.state() == state
    ours = {**session, "X-Trader": "1", "Origin": f"http://127.0.0.1:{house.port}", "Idempotency-Key": "ours-12345"}
    assert house.ask("POST", "/v1/commands/reconcile", {}, token=None, headers=ours).status == 200
    assert house.ask("DELETE", "/v1/session", token=None, headers=session).status == 204
    assert house.ask("GET", "/v1/status", token=None, headers=session).status == 401


def test_bodies_and_names_have_bounds(house):
    assert house.ask("POST", "/v1/signals", b"[" * 100 + b"]" * 100).status == 400
    assert house.ask("POST", "/v1/signals", b'{"a": "' + b"x" * 300_000 + b'"}').status == 413
    assert house.ask("POST", "/v1/signals", b"not json").status == 400
    assert house.ask("GET", "/v1/fills?before=" + "9" * 5_000).status == 414
    assert house.ask("GET", "/health", token=None, headers={"Host": "evil.example"}).status == 421
    assert house.ask("GET", "/health", token=None, headers={"Host": "127.0.0.1.evil.example:80"}).status == 421
    assert house.ask("GET", "/health", token=None).headers["content-security-policy"].startswith("default-src 'none'")


def test_bad_messages_are_told_how_they_ended(house):
    bad = house.ask("POST", "/v1/signals", {"version": 1, "source": "me"})
    assert bad.status == 422
    assert bad.json["outcome"] == "malformed"
    first = house.rate({"BTC/USDT": 60}, id_="twice")
    assert first.json["outcome"] == ""
    again = house.rate({"BTC/USDT": 61}, id_="twice")
    assert again.json["outcome"] == "conflict"
    assert house.rate({"DOGE/USDT": 60}).json["outcome"] == "unknown_asset"


def hook(house, name, body, **headers):
    return house.ask("POST", f"/v1/hooks/{name}", body, token=None, headers={"Content-Type": "text/plain", **headers})


def message(id_, value=55):
    return {
        "version": 1, "id": id_, "source": "hook", "type": "rating", "issued_at": datetime.now(UTC).isoformat(),
        "signals": [{"asset": "BTC/USDT", "kind": "trader_grade", "value": value}],
    }  # fmt: skip


def signature(house, stamp, body):
    return hmac.new(house.hook_secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def test_webhooks_are_proven_or_refused(house):
    body, now = json.dumps(message("hook-1")).encode(), int(time.time())
    good = {"X-Timestamp": str(now), "X-Signature": signature(house, now, body)}
    assert hook(house, "signed", body, **good).json["outcome"] == ""
    assert hook(house, "signed", body, **good).json["outcome"] == "duplicate"  # sent again within the window
    old = now - 3_600
    for wrong in (
        {}, {**good, "X-Signature": "0" * 64}, {**good, "X-Timestamp": str(now + 1)},
        {"X-Timestamp": str(old), "X-Signature": signature(house, old, body)},
    ):  # fmt: skip
        assert hook(house, "signed", body, **wrong).status == 401
    house.processes["api"].kill()
    house.processes["api"].wait()
    house.start("api")
    secret = {**message("hook-2"), "secret": house.hook_secret}
    taken = hook(house, "typed", json.dumps(secret).encode())
    assert taken.status == 200, taken.body
    assert taken.json["outcome"] == ""
    assert hook(house, "typed", json.dumps({**secret, "secret": "no"}).encode()).status == 401
    alert = json.dumps(
        {
            "ticker": "BINANCE:ETHUSDT",
            "action": "buy",
            "price": "3000",
            "time": datetime.now(UTC).isoformat(),
            "secret": house.hook_secret,
        }
    )
    read = hook(house, "typed", alert.encode())
    assert (read.status, read.json["format"]) == (200, "tradingview"), read.body
    assert any("ETH/USDT" in note for note in read.json["notes"])
    assert hook(house, "typed", b"what is this").status == 422
    assert hook(house, "far", json.dumps(secret).encode()).status == 403
    assert hook(house, "none", b"{}").status == 404
    assert house.hook_secret not in house.ask("GET", "/v1/export/facts").body.decode()


def test_events_are_gone_on_with_after_a_break(house):
    house.active()
    first = events(house, None, lambda: house.rate({"BTC/USDT": 65}), seconds=3)
    places = [int(one["id"]) for one in first if one["event"] == "fact"]
    assert places
    assert places == list(range(places[0], places[-1] + 1))
    house.rate({"BTC/USDT": 66})
    time.sleep(0.5)
    after = [int(one["id"]) for one in events(house, places[0], lambda: None, seconds=2) if one["event"] == "fact"]
    assert after[: len(places) - 1] == places[1:]
    assert after == list(range(after[0], after[-1] + 1))
    assert any(one["event"] == "status" for one in first)


def test_who_has_left_is_told_no_more(house):
    for _ in range(220):  # 200 may look on at once; more than that come and go
        with closing(http.client.HTTPConnection("127.0.0.1", house.port, timeout=5)) as connection:
            connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {house.token()}"})
            assert connection.getresponse().readline() == b"event: status\n"


def events(house, after, act, *, seconds):
    """What the stream tells within some seconds, in which something is done."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=seconds)
    headers = {"Authorization": f"Bearer {house.token()}"} | ({} if after is None else {"Last-Event-ID": str(after)})
    connection.request("GET", "/v1/events", headers=headers)
    answer, text, is_done, end = connection.getresponse(), b"", False, time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            text += answer.read1(65_536)
            if not is_done:
                is_done = True
                act()
    except TimeoutError:
        pass
    connection.close()
    blocks = [block for block in text.decode().split("\n\n") if "event:" in block]
    return [dict(line.split(": ", 1) for line in block.splitlines() if ": " in line) for block in blocks]


def test_a_job_runs_beside_and_leaves_a_report(house):
    assert "backtest.yaml" in house.get("/v1/jobs/files")
    asked = house.ask("POST", "/v1/jobs", {"kind": "backtest", "config": "backtest.yaml"})
    assert asked.status == 202, asked.body
    job = house.until(
        lambda: (one := house.get(f"/v1/jobs/{asked.json['id']}"))["state"] in {"done", "failed"} and one, 60
    )
    assert job["state"] == "done", job["said"]
    page = house.ask("GET", f"/v1/jobs/{job['id']}/report")
    assert b"<html" in page.body
    assert page.headers["content-security-policy"].startswith("sandbox")
    for wrong in ("../run.yaml", "/etc/passwd.yaml", "none.yaml", "state/../../x.yaml"):
        assert house.ask("POST", "/v1/jobs", {"kind": "backtest", "config": wrong}).status in {404, 422}
    one = house.ask("POST", "/v1/jobs", {"kind": "audit", "config": "backtest.yaml"}).json
    two = house.ask("POST", "/v1/jobs", {"kind": "backtest", "config": "run.yaml"}).json
    assert house.ask("DELETE", f"/v1/jobs/{two['id']}").json["state"] == "cancelled"
    house.until(lambda: house.get(f"/v1/jobs/{one['id']}")["state"] == "running")
    house.ask("DELETE", f"/v1/jobs/{one['id']}")
    house.until(lambda: house.get(f"/v1/jobs/{one['id']}")["state"] == "cancelled")
    bad = house.ask("POST", "/v1/jobs", {"kind": "backtest", "config": "run.yaml"}).json
    failed = house.until(lambda: (one := house.get(f"/v1/jobs/{bad['id']}"))["state"] == "failed" and one)
    assert "run.yaml:" in failed["said"]  # the file and the line


def test_a_bot_that_is_silent_is_not_shown_as_live(house):
    os.kill(house.processes["bot"].pid, signal.SIGSTOP)
    try:
        found = house.get("/v1/status", seconds=30)
        assert found["answers"] is False
        assert "state" not in found
        assert house.ask("GET", "/ready", token=None, seconds=30).status == 503
        assert house.get("/v1/fills")["rows"]  # what it wrote down stays
    finally:
        os.kill(house.processes["bot"].pid, signal.SIGCONT)
    house.until(lambda: house.get("/v1/status")["answers"])


def test_the_bot_trades_on_when_the_api_is_killed(house):
    house.active()
    before = len(house.get("/v1/fills?most=1000")["rows"])
    house.rate({"ETH/USDT": 5})
    house.processes["api"].kill()
    house.processes["api"].wait()
    assert house.processes["bot"].poll() is None
    done = subprocess.run(
        [sys.executable, "-m", "trader.cli", "signal", "send", str(house.config), "ETH/USDT=92", "--kind", "trader_grade"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    house.start("api")
    house.until(lambda: len(house.get("/v1/fills?most=1000")["rows"]) > before)


def test_no_secret_is_in_any_answer_or_log(house):
    texts = [house.ask("GET", path).body.decode(errors="replace") for path in (
        "/v1/configuration", "/v1/status", "/v1/export/facts", "/openapi.json", "/metrics", "/v1/jobs", "/docs",
    )]  # fmt: skip
    texts += [
        house.ask("POST", "/v1/hooks/typed", f'{{"secret": "{CANARY}-wrong"}}'.encode(), token=None).body.decode()
    ]
    texts += [house.log(name) for name in ("api", "bot")]
    database = (house.folder / "state" / "house" / "journal.db").read_bytes().decode("latin-1")
    tokens = [house.token(name) for name in (*SCOPES, "all", "gone")]
    for text in (*texts, database):
        assert "loopback-secret" not in text
        assert "loopback-key" not in text
        assert CANARY + "-hook" not in text
        assert not any(token in text for token in tokens)
    assert "***" in texts[0]
