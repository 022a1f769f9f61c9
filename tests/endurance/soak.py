"""Days of the real daemon in hours: `python -m tests.endurance.soak --hours 72`. Its clocks run faster, and so does the exchange's.

The program is the real one, unchanged, in a process whose clocks and waits are accelerated (clocks.c). Signals come, orders are filled,
streams break off, the exchange is away now and then. What the process holds is sampled all the time, and must not grow.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from tests.crash.rig import check, rig
from tests.endurance.shims import Clocks
from tests.services.parts import until
from trader.loopback.server import VenueClock
from trader.loopback.walk import Walk

WORKER = Path(__file__).with_name("worker.py")
WARM_UP = 0.25  # of the time, in which caches fill
STEP_SECONDS = 15.0  # between two moves of the price
SIGNAL_SECONDS = 600.0
HANG_UP_SECONDS, AWAY_SECONDS, AWAY_FOR_SECONDS = 3_600.0, 10_800.0, 150.0
MOST = {"memory_mb_per_hour": 0.5, "files": 3, "threads": 2, "tasks": 8, "wal_mb": 16.0}


@dataclass
class Sample:
    """What the process held after so many of its hours."""

    hours: float
    memory_mb: float
    files: int
    threads: int
    wal_mb: float
    journal_mb: float
    facts: int
    lag_seconds: float
    state: str


@dataclass
class Soaked:
    """What came of it."""

    hours: float = 0.0
    seconds: float = 0.0
    speed: float = 0.0
    cpu_seconds: float = 0.0
    signals: int = 0
    orders: int = 0
    samples: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    told: list = field(default_factory=list)  # (hours, what the worker says)

    def steady(self):
        """The samples after the warm-up."""
        return [one for one in self.samples if one.hours >= self.hours * WARM_UP]

    def slope(self, name):
        """By how much something grew an hour, after the warm-up: a straight line through all samples."""
        some = self.steady()
        x, y = [one.hours for one in some], [float(getattr(one, name)) for one in some]
        middle, mean = sum(x) / len(x), sum(y) / len(y)
        return sum((a - middle) * (b - mean) for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)

    def figures(self):
        """Growth after the warm-up, and the most of what has a bound. Tasks come and go with connections, by ten at a time: compared is what is usual."""
        some, first = self.steady(), self.steady()[0]
        tasks = [said["tasks"] for _, said in self.told]
        half = len(tasks) // 2
        return {
            "memory_mb_per_hour": self.slope("memory_mb"), "files": max(one.files for one in some) - first.files,
            "threads": max(one.threads for one in some) - first.threads, "tasks": median(tasks[half:]) - median(tasks[:half]),
            "wal_mb": max(one.wal_mb for one in some),
        }  # fmt: skip

    def broken(self):
        """The bounds that do not hold."""
        wrong = {"wrong": self.wrong} if self.wrong else {}
        return {name: value for name, value in self.figures().items() if value > MOST[name]} | wrong


async def soak(folder, *, hours, speed, venue="gate", traces=False, every=600.0, say=lambda _line: None):
    """Let a bot live for so many of its hours. every: seconds of it between two samples."""
    clocks, found, begin, cpu = Clocks(folder, speed), Soaked(speed=speed), time.monotonic(), 0.0
    async with rig(folder, venue=venue, clock=VenueClock(wall=clocks.now)) as it:
        config = it.config.read_text().replace("timeframe: 1h", "timeframe: 5m")
        it.config.write_text(config.replace("{fence: 400ms, settle: 300ms}", "{fence: 5s, settle: 3s}"))
        it.program, told = WORKER, folder / "told"
        it.environment = {**clocks.environment, "WORKER_TOLD": str(told), "WORKER_TRACES": "1" if traces else ""}
        await it.start()
        await it.started(90)
        world = asyncio.create_task(surroundings(it, clocks, hours))
        start = clocks.now()
        ends, next_told = start + hours * 3_600, start
        try:
            while (now := clocks.now()) < ends:
                assert it.process.returncode is None, it.log()
                if now >= next_told:
                    next_told += max(hours * 100.0, 450.0)
                    found.told.append(((now - start) / 3_600, await ask_worker(it, told)))
                    say(f"after {found.told[-1][0]:.1f} h it holds {found.told[-1][1]}")
                found.samples.append(sample(it, await it.status() or {}, (now - start) / 3_600))
                say(f"{found.samples[-1]}")
                await asyncio.sleep(every / speed)
            found.told.append(((clocks.now() - start) / 3_600, await ask_worker(it, told)))
            cpu = cpu_seconds(it.process.pid)
        finally:
            world.cancel()
            await asyncio.wait({world})
        if not world.cancelled():
            world.result()
        found.wrong = await ended(it)
        found.hours, found.seconds, found.cpu_seconds = hours, time.monotonic() - begin, cpu
        found.signals, found.orders = len(it.sent), len(it.exchange.orders)
    return found


async def ended(it):
    """Let it end, and say what does not hold of what it did."""
    lines = (it.folder / "log").read_text(errors="replace").splitlines()
    wrong = [line for line in lines if '"restarting"' in line]
    try:
        await it.healed(120)
        await it.stop()
        await check(it)
    except (AssertionError, TimeoutError) as error:
        wrong.append(repr(error))
    return wrong


async def surroundings(it, clocks, hours):
    """Prices that move, signals that come, streams that break off, and an exchange that is away at times."""
    walk = Walk(it.exchange, {"BTC/USDT": 100, "ETH/USDT": 10}, seed=2)
    walk.prices = {name: it.exchange.markets[name].tick * 0 + price for name, price in walk.prices.items()}
    start, number = clocks.now(), 0
    signals, hang_ups, aways = start, start + HANG_UP_SECONDS, start + AWAY_SECONDS
    quiet_at = start + hours * 3_600 - AWAY_FOR_SECONDS
    while True:
        now = clocks.now()
        walk.step(it.server.clock.now_ms())
        it.server.log.clear()
        if now >= signals:
            number, signals = number + 1, signals + SIGNAL_SECONDS
            await it.send_flip(number)
        if now >= hang_ups:
            hang_ups += HANG_UP_SECONDS
            await it.server.hang_up()
        it.server.is_down = aways <= now < aways + AWAY_FOR_SECONDS and now < quiet_at
        if now >= aways + AWAY_FOR_SECONDS:
            aways += AWAY_SECONDS
        await asyncio.sleep(STEP_SECONDS / clocks.speed)


def sample(it, said, hours):
    pid, folder = it.process.pid, it.folder / "state" / "rig"
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    facts = sum(said.get("measures", {}).get("facts", {}).values())
    size = {
        name: path.stat().st_size if (path := folder / name).exists() else 0
        for name in ("journal.db", "journal.db-wal")
    }
    return Sample(
        round(hours, 3), int(status["VmRSS"].split()[0]) / 1_024, len(list(Path(f"/proc/{pid}/fd").iterdir())),
        int(status["Threads"]), size["journal.db-wal"] / 2**20, size["journal.db"] / 2**20, facts,
        said.get("loop_lag_seconds", 0.0), said.get("state", "?"),
    )  # fmt: skip


async def ask_worker(it, told):
    told.unlink(missing_ok=True)
    it.process.send_signal(signal.SIGUSR1)
    await until(told.exists, 60)
    return json.loads(told.read_text())


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def page(found):
    """The figures, as the lines of a table."""
    first, last, figures = found.steady()[0], found.samples[-1], found.figures()
    objects, tasks = ([said[name] for _, said in found.told] for name in ("objects", "tasks"))
    hours = last.hours - first.hours
    rows = [
        ("hours lived, hours taken", f"{found.hours:g}, {found.seconds / 3_600:.2f} ({found.speed:g} times as fast)"),
        ("signals, orders, facts", f"{found.signals}, {found.orders}, {last.facts}"),
        ("memory after the warm-up, at the end", f"{first.memory_mb:.1f} MB, {last.memory_mb:.1f} MB"),
        ("its growth an hour (a line through all samples)", f"{figures['memory_mb_per_hour'] * 1_024:.0f} KB"),
        ("Python objects at the beginning, after an eighth, at the end", f"{objects[0]:,}, {objects[len(objects) // 8]:,}, {objects[-1]:,}"),
        ("open files, threads: by how many more at most", f"{figures['files']}, {figures['threads']}"),
        ("tasks: least, most, and by how many more are usual in the second half", f"{min(tasks)}, {max(tasks)}, {figures['tasks']:g}"),
        ("write-ahead log at most", f"{figures['wal_mb']:.1f} MB"),
        ("journal: growth an hour, bytes a fact", f"{found.slope('journal_mb') * 1_024:.0f} KB, {(last.journal_mb - first.journal_mb) * 2**20 / max(last.facts - first.facts, 1):.0f}"),
        ("processor: seconds an hour lived", f"{found.cpu_seconds / found.hours:.1f}"),
        ("samples over", f"{hours:.1f} hours, {len(found.steady())} of them"),
    ]  # fmt: skip
    return "\n".join(["| what | figure |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main():
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--hours", type=float, default=72.0)
    asked.add_argument("--speed", type=float, default=40.0)
    asked.add_argument("--venue", default="gate")
    asked.add_argument("--traces", action="store_true", help="trace allocations: slower, and says where memory grows")
    asked.add_argument("--json", type=Path, help="write the samples there")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        found = asyncio.run(
            soak(Path(folder), hours=given.hours, speed=given.speed, venue=given.venue, traces=given.traces, say=print)
        )
    print(page(found))
    for where in found.told[-1][1].get("grown", []):
        print(where)
    if given.json:
        given.json.write_text(json.dumps(asdict(found), indent=1))
    broken = found.broken()
    print("holds" if not broken else f"BROKEN: {broken}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
