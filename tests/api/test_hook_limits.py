"""How often a webhook is taken: strangers use up what their address may, never what the real sender may."""

import asyncio
import dataclasses
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from tests.api.parts import call
from tests.api.test_hook_secrets import CONFIG
from trader.api import tokens
from trader.api.acting import Hook
from trader.api.app import Rules, application
from trader.run_settings import load_run
from trader.serving import house_of

SECRET, NOW = "s" * 32, datetime(2026, 1, 1, tzinfo=UTC)
SENDER, STRANGER = "192.0.2.1", "203.0.113.9"


class Bench:
    """The API without a server and without a bot: what is handed to the bot is counted. Its clock stands still."""

    def __init__(self, folder, proof):
        path = folder / "run.yaml"
        path.write_text(CONFIG.format(proof=proof))
        (folder / "hook.secret").write_text(SECRET)
        settings, _ = load_run(path)
        self.proof, self.handed, self.at = proof, 0, 100.0

        async def ask(_command, _argument, _key, _mount):
            self.handed += 1
            return {"ok": True, "key": "k", "outcome": ""}

        rules = Rules((), {"tv": Hook(SECRET, proof, None, (), 300.0)}, ())
        house = dataclasses.replace(house_of(settings, path), ask=ask)
        self.application = application(
            house, rules, now=lambda: NOW, monotonic=lambda: self.at, failed=lambda *_: None
        )  # fmt: skip

    def post(self, body, address, headers=None):
        given = {"content-type": "text/plain", **(headers or {})}
        return asyncio.run(call(self.application, "POST", "/v1/hooks/tv", body=body, address=address, headers=given))[0]

    def signal(self, address=SENDER, action="buy"):
        said, stamp = {"ticker": "BTCUSDT", "action": action}, str(int(NOW.timestamp()))
        if self.proof == "body":
            return self.post(json.dumps(said | {"secret": SECRET}).encode(), address)
        body = json.dumps(said).encode()
        proven = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return self.post(body, address, {"x-timestamp": stamp, "x-signature": proven})


@pytest.fixture(params=["body", "hmac"])
def bench(request, tmp_path):
    return Bench(tmp_path, request.param)


WRONG = {"secret": "another secret!!", "ticker": "BTCUSDT", "action": "buy"}


@pytest.mark.parametrize("body", [b"garbage", b"{}", b'{"secret": ', json.dumps(WRONG).encode()])
def test_a_stranger_uses_up_his_own_share_alone(bench, body):
    answers = [bench.post(body, STRANGER) for _ in range(60)]
    assert set(answers[:5]) <= {401, 422}
    assert set(answers[6:]) == {429}
    assert bench.handed == 0
    assert [bench.signal() for _ in range(6)] == [200] * 5 + [429]
    assert bench.handed == 5
    bench.at += 1.0
    assert bench.signal() == 200


def test_strangers_of_many_addresses_use_up_nothing_of_the_senders(bench):
    for n in range(40):
        assert bench.post(b"garbage", f"203.0.113.{n}") in {401, 422}
    assert bench.signal() == 200


def test_who_proves_himself_has_one_share_however_many_addresses_he_has(bench):
    assert [bench.signal(f"192.0.2.{n}") for n in range(7)] == [200] * 5 + [429] * 2
    assert bench.handed == 5


def test_counts_of_strangers_are_bounded_and_push_out_nobody_elses(bench, monkeypatch):
    monkeypatch.setattr(tokens, "ADDRESSES_MOST", 10)
    door, hooks = bench.application._inner.state.door, bench.application._inner.state.hooks
    while door.commands.take("somebody with a token"):
        pass
    assert [bench.signal() for _ in range(6)] == [200] * 5 + [429]
    for n in range(50):
        bench.post(b"garbage", f"203.0.113.{n}")
    assert len(hooks.unproven._buckets) == 10
    assert not door.commands.take("somebody with a token")
    assert bench.signal("192.0.2.77") == 429, "the share of who proved himself is counted on"
