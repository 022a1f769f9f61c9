"""A bot at a loopback exchange, alone and with the control API under load: the same decisions and orders, and what it costs.

python benchmarks/api_load.py [--seconds 300] [--rate 1000] [--watchers 50]

Needs wrk. What makes the load stands for machines elsewhere, so it runs at the lowest priority of this one. Each run sends the same signals in the same rhythm; compared are targets and orders, in order. Latency is from the decision to
the signed request on disk, behind which it is on the wire, by the bot's facts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.api.parts import WholeHouse
from trader.adapters.journal_sqlite import JournalReader
from trader.core.facts import OrderClosed, OrderPlaced, OrderSending, TargetSet

PAUSE = 1.0
LUA = "function delay() return {milliseconds} end\nwrk.headers['Authorization'] = 'Bearer {token}'\n"
CONNECTIONS = 20


def main() -> None:
    """Both runs, compared."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--watchers", type=int, default=50)
    asked = parser.parse_args()
    alone = run(asked.seconds, load=None)
    beside = run(asked.seconds, load=(asked.rate, asked.watchers))
    for number, (one, other) in enumerate(zip_longest(alone["said"], beside["said"])):
        if one != other:
            raise SystemExit(f"decisions differ from number {number} on: {one} alone, {other} under load")
    print(f"{len(alone['said'])} targets and orders, the same in both runs")
    print("Milliseconds from a decision to its signed request on disk, p50 / p95 / p99 / longest:")
    print(
        "| run | signals | its first order | orders behind it, which wait for what a sale brings | these, from the sale's end on record | bot MB | API MB |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, one in (("alone", alone), ("under load", beside)):
        print(
            f"| {name} | {one['signals']} | {one['first']} | {one['behind']} | {one['freed']} | {one['bot_mb']:.0f} | {one['api_mb']:.0f} |"
        )
    print(beside["wrk"])
    print(f"{asked.watchers} watchers heard {beside['heard']} events, none was cut off: {beside['is_whole']}")


def run(seconds: float, load: tuple[int, int] | None) -> dict:
    """One run; what was decided, and how quickly."""
    house = WholeHouse(Path(tempfile.mkdtemp(prefix="api-load-"))).prepare()
    try:
        house.start("venue", "bot", "api")
        house.active()
        with loaded(house, seconds, load) as heard:
            begin, signals = time.monotonic(), int(seconds / PAUSE)
            for number in range(signals):  # as many in each run, however long one takes
                time.sleep(max(begin + number * PAUSE - time.monotonic(), 0.0))
                up = number % 2 == 0
                assert house.rate({"BTC/USDT": 90 if up else 10, "ETH/USDT": 10 if up else 90}).status == 200
        time.sleep(1.0)
        found = (
            measured(house) | {"signals": signals, "bot_mb": peak(house, "bot"), "api_mb": peak(house, "api")} | heard
        )
    finally:
        house.stop()
    return found


@contextmanager
def loaded(house: WholeHouse, seconds: float, load: tuple[int, int] | None) -> Iterator[dict]:
    """Requests and watchers for as long as the run lasts."""
    heard: dict = {"wrk": "", "heard": 0, "is_whole": True}
    if load is None:
        yield heard
        return
    rate, watchers = load
    script = house.folder / "wrk.lua"
    script.write_text(LUA.format(milliseconds=max(1, 1_000 * CONNECTIONS // rate - 2), token=house.token("read")))
    words = [
        "nice",
        "-n19",
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds:.0f}s",
        "--latency",
        "-s",
        str(script),
        f"http://127.0.0.1:{house.port}/v1/status",
    ]
    threads = [threading.Thread(target=watch, args=(house, seconds, heard), daemon=True) for _ in range(watchers)]
    for thread in threads:
        thread.start()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        yield heard
        out = process.communicate()[0]
    for thread in threads:
        thread.join(timeout=10)
    keep = ("50%", "90%", "99%", "Requests/sec", "Non-2xx", "Socket errors")
    heard["wrk"] = "; ".join(" ".join(line.split()) for line in out.splitlines() if any(word in line for word in keep))


def watch(house: WholeHouse, seconds: float, heard: dict) -> None:
    """One who looks on: each fact once, in order."""
    import http.client

    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)  # of this thread alone, on Linux

    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=5)
    connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {house.token('read')}"})
    answer, last, end = connection.getresponse(), None, time.monotonic() + seconds
    text = b""
    while time.monotonic() < end:
        text += answer.read1(65_536)
        *lines, text = text.split(b"\n")
        for line in lines:
            if line.startswith(b"id: "):
                place = int(line[4:])
                heard["is_whole"] &= last is None or place == last + 1
                last = place
                heard["heard"] += 1
    connection.close()


def measured(house: WholeHouse) -> dict:
    """What was decided, and the milliseconds from a decision to its first request, to those that wait for a sale, and from that sale's end to them."""
    reader = JournalReader(house.folder / "state" / "house" / "journal.db")
    told = reader.facts()
    reader.close()
    placed = {one.order: one.at for one in told if isinstance(one, OrderPlaced)}
    said = [
        ("target", one.asset, str(one.size)) if isinstance(one, TargetSet) else ("order", one.asset, one.side)
        for one in told if isinstance(one, TargetSet | OrderPlaced)
    ]  # fmt: skip
    first, behind, freed, begun, ended = [], [], [], set(), None
    for one in told:
        if isinstance(one, OrderClosed):
            ended = one.at
        if isinstance(one, OrderSending) and one.attempt == 1:
            decided = placed[one.order]
            (behind if decided in begun else first).append((one.at - decided).total_seconds())
            if decided in begun:
                freed.append((one.at - max(decided, ended or decided)).total_seconds())
            begun.add(decided)
    return {"said": said, "first": shares(first), "behind": shares(behind), "freed": shares(freed)}


def shares(seconds: list[float]) -> str:
    """Median and tails in milliseconds."""
    rows = sorted(seconds)
    return " / ".join(
        f"{1_000 * rows[min(int(len(rows) * share), len(rows) - 1)]:.1f}" for share in (0.5, 0.95, 0.99, 1.0)
    )


def peak(house: WholeHouse, name: str) -> float:
    """The most memory a process held, MB."""
    status = Path(f"/proc/{house.processes[name].pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
