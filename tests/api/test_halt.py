"""Halt, from the request to the last order that opens: within a second, a hundred times of a hundred; and it outlives a restart."""

import threading
import time
from datetime import UTC, datetime

import pytest

from tests.services.parts import full
from trader.adapters.journal_sqlite import JournalReader
from trader.core.facts import OrderPlaced, OrderSending
from trader.core.records import StateChanged


class Noise:
    """Ratings that make the bot buy and sell all the time."""

    def __init__(self, house):
        self.house, self.ending, self.sent = house, threading.Event(), 0
        self.thread = threading.Thread(target=self._send)

    def _send(self):
        while not self.ending.is_set():
            up = self.sent % 2 == 0
            self.house.rate({"BTC/USDT": 90 if up else 10, "ETH/USDT": 10 if up else 90}, token="signal")
            self.sent += 1
            time.sleep(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_error):
        self.ending.set()
        self.thread.join()


def facts(house):
    reader = JournalReader(house.folder / "state" / "house" / "journal.db")
    try:
        return reader.facts()
    finally:
        reader.close()


def late_buys(house, clicks):
    """For each click the seconds until the state was written, and until the last order that opens left; facts are in order."""
    told, sides = facts(house), {}
    found = []
    for click, released in clicks:
        halted = [
            one.at
            for one in told
            if isinstance(one, StateChanged) and one.state == "halted" and click <= one.at < released
        ]
        assert halted, "no halt was written"
        last = None
        for one in told:
            if isinstance(one, OrderPlaced):
                sides[one.order] = one.side
            if isinstance(one, OrderSending) and sides.get(one.order) == "buy" and click <= one.at < released:
                last = one.at
        found.append(((halted[0] - click).total_seconds(), 0.0 if last is None else (last - click).total_seconds()))
    return found


@full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [100])
def test_a_halt_is_there_within_a_second_each_time(house, rounds):
    clicks = []
    with Noise(house) as noise:
        for _ in range(rounds):
            house.active()
            before = noise.sent
            house.until(lambda before=before: noise.sent > before + 3)
            click = datetime.now(UTC)
            assert house.command("halt").status == 200
            time.sleep(1.2)
            clicks.append((click, datetime.now(UTC)))
    found = late_buys(house, clicks)
    assert len(found) == rounds
    assert max(seconds for seconds, _ in found) <= 1.0, found
    assert max(seconds for _, seconds in found) <= 1.0, found
    house.active()


@full
def test_a_halt_outlives_the_bot(house):
    house.active()
    assert house.command("halt").status == 200
    house.processes["bot"].kill()
    house.processes["bot"].wait()
    house.start("bot", waits=False)
    house.until(lambda: house.state() == "halted")
    before = len(house.get("/v1/fills?most=1000")["rows"])
    house.rate({"BTC/USDT": 93, "ETH/USDT": 94})
    time.sleep(1.5)
    assert [one["side"] for one in house.get("/v1/fills?most=1000")["rows"][: -before or None]].count("buy") == 0
    house.active()
