"""The vendor's feed in processes of their own: in a bot that trades on it, and as a poller that publishes for several."""

import asyncio
import json
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from tests.services.parts import Mosquitto, free_port, full, wait_for
from tests.services.vendor import ROOT, RUN, caller, config, vendor
from trader.adapters.mqtt import Broker, MqttSource
from trader.adapters.payloads import Payloads
from trader.adapters.ratings_store import RatingsStore

KINDS = {"trader_grade", "trend", "tm_grade", "regime"}


@pytest.fixture
def run(capsys):
    return caller(capsys)


@pytest.mark.slow
@full
def test_a_bot_trades_on_what_the_vendor_says_while_it_runs(tmp_path, run):
    port, path = free_port(), tmp_path / "run.yaml"
    path.write_text(RUN.format(port=port))
    start = [sys.executable, "-m", "trader.cli"]
    processes = []
    with vendor() as vendor_port, (tmp_path / "log").open("w") as log:
        config(tmp_path / "vendor.yaml", vendor_port)
        try:
            processes.append(subprocess.Popen([*start, "loopback", "gate", "--port", str(port)], stdout=log, cwd=ROOT))
            wait_for(port)
            processes.append(subprocess.Popen([*start, "run", str(path), "--live"], stderr=log, cwd=ROOT))
            end = time.monotonic() + 90
            while time.monotonic() < end and len(json.loads(run_now(run, "orders", path) or "[]")) < 2:
                time.sleep(0.5)
            orders = json.loads(run("orders", path, "--json"))
            assert [one["side"] for one in orders][:2] == ["buy", "buy"], (tmp_path / "log").read_text()[-2000:]
            while time.monotonic() < end and not said(run, path)[0] >= KINDS:  # orders need not wait for every kind
                time.sleep(0.5)
            assert said(run, path)[0] >= KINDS
            assert said(run, path)[1] == {"tokenmetrics"}
            links = [json.loads(line) for line in run("journal", "facts", path, "--kind", "LinkChanged").splitlines()]
            assert ("tokenmetrics", True) in {(fact["link"], fact["is_up"]) for fact in links}
            links = json.loads(run("status", path, "--json"))["links"]
            assert (links["tokenmetrics"]["is_up"], links["market"]["is_up"]) == (True, True)
            store = RatingsStore(tmp_path / "ratings.db")
            assert store.outgoing() == []
            store.close()
        finally:
            for process in processes[::-1]:
                process.terminate()
                assert process.wait(15) == 0


def said(run, path):
    """The kinds of the signals in the journal, and who said them."""
    facts = [json.loads(line) for line in run("journal", "facts", path, "--kind", "SignalReceived").splitlines()]
    return {fact["key"].split("/")[1].split("-")[0] for fact in facts}, {fact["source"] for fact in facts}


def run_now(run, name, path):
    """A command that may not be ready yet."""
    done = subprocess.run(
        [sys.executable, "-m", "trader.cli", name, str(path), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@full
def test_one_poller_publishes_at_a_broker_signed_and_nothing_twice(tmp_path):
    broker, got = Mosquitto(tmp_path / "mosquitto").start(), []
    (tmp_path / "k1").write_text("secret-of-a-test")
    path = tmp_path / "run.yaml"
    more = f"intake: {{mqtt: {{port: {broker.port}}}, keys: {{k1: k1}}}}"
    path.write_text(RUN.format(port=1).replace("intake: {ratings: vendor.yaml}", more))
    words = [sys.executable, "-m", "trader.cli", "ratings", "feed", str(tmp_path / "vendor.yaml"), "--to", str(path)]
    source = MqttSource(Broker(port=broker.port, client_id="bot"))

    async def hear(seconds, until=frozenset({"nothing"})):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for message in source.messages():
                    got.append(Payloads({"k1": "secret-of-a-test"}).read(message.body))
                    await message.acknowledge()
                    if {one.said[0].kind for one in got} >= until:
                        return

    try:
        asyncio.run(hear(1))  # the session is there from now on
        with vendor() as port:
            config(tmp_path / "vendor.yaml", port)
            broker.kill()
            poller = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
            time.sleep(4)
            broker.start()
            asyncio.run(hear(40, KINDS))
            asyncio.run(hear(3))
            poller.terminate()
            assert poller.wait(10) == 0
            said, count = poller.stderr.read(), len(got)
            poller.stderr.close()
            assert {one.said[0].kind for one in got} >= KINDS
            assert "it is tried again" in said
            poller = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
            asyncio.run(hear(6))
            poller.terminate()
            assert (poller.wait(10), poller.stderr.read().count("published")) == (0, 0)
            assert len({one.id for one in got}) == len(got) >= count
            poller.stderr.close()
    finally:
        broker.stop()
