"""How long from a signal to the order on the wire: through MQTT, inbox, engine, two synced commits and ccxt, beside a bare ccxt call.

    python benchmarks/live_latency.py [--orders 200] [--messages 3000] [--json FILE]

It needs Mosquitto. Everything runs on this machine in one run: a broker, a sender and a loopback exchange in processes of their own, the
bot. All orders come at the same pace, 20 ms apart, since what runs in a tight loop is twice as fast. What counts are the ratios; the milliseconds are this machine's. An order is on the wire when the exchange has read its request; clocks
are CLOCK_MONOTONIC, which processes share.
"""

import argparse
import asyncio
import json
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import ccxt.async_support as ccxt

from strategies import load
from tests.services.parts import Mosquitto, until
from trader.adapters.clock import SystemClock
from trader.adapters.gate import gate_venue
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.mqtt import Broker, MqttSource
from trader.adapters.payloads import compose
from trader.app import bench, start
from trader.core.identity import client_core
from trader.demo import KEY, SECRET, markets_of
from trader.loopback.exchange import Exchange
from trader.loopback.gate import GateDialect
from trader.loopback.server import LoopbackServer, VenueClock
from trader.loopback.walk import Walk
from trader.ports import OrderRequest
from trader.runtime.daemon import Daemon
from trader.runtime.desk import Execution
from trader.runtime.logs import Log
from trader.runtime.market import Market
from trader.runtime.recovery import recover

D = Decimal
WARM = 20
PAUSE = 0.02  # between orders of all kinds alike: a signal does not come right behind another


class Stamped(list):
    """A server's log that tells when an order arrived."""

    def __init__(self, pipe):
        super().__init__()
        self.pipe = pipe

    def append(self, row):
        if row[1].startswith("POST"):
            self.pipe.send(time.monotonic_ns())


def serve(pipe):
    """The exchange's process."""

    async def run():
        exchange = Exchange(markets_of(["BTC/USDT"]), fee=D("0.002"), fee_in="received")
        exchange.open_account(KEY, SECRET, {"USDT": D(10**9), "BTC": D(10**6)})
        walk = Walk(exchange, {"BTC/USDT": D(60_000)})
        clock = VenueClock()
        walk.past(clock.now_ms(), 5)
        walk.step(clock.now_ms())
        async with LoopbackServer(GateDialect(exchange), clock) as server:
            server.log = Stamped(pipe)
            pipe.send(server.url)
            await asyncio.Event().wait()

    asyncio.run(run())


def milliseconds(values):
    ordered = sorted(values)
    rank = min(int(len(ordered) * 0.99), len(ordered) - 1)
    return {"median": statistics.median(ordered) / 1e6, "p99": ordered[rank] / 1e6, "n": len(ordered)}


async def bare(url, pipe, count):
    """ccxt's own create_order, and a signed request over a plain session."""
    exchange = ccxt.gate(
        {"apiKey": KEY, "secret": SECRET, "enableRateLimit": False, "options": {"unifiedAccount": False}}
    )
    for access in ("public", "private"):
        for part in exchange.urls["api"][access]:
            exchange.urls["api"][access][part] = f"{url}/api/v4"
    exchange.options["fetchMarkets"] = {"types": ["spot"]}
    await exchange.load_markets()
    found, whole = [], []
    for number in range(count + WARM):
        await asyncio.sleep(PAUSE)
        side = "buy" if number % 2 else "sell"
        begin = time.monotonic_ns()
        await exchange.create_order(
            "BTC/USDT", "limit", side, 0.001, 61_000 if side == "buy" else 59_000, {"timeInForce": "IOC"}
        )
        whole.append(time.monotonic_ns() - begin)
        found.append(pipe.recv() - begin)
    await exchange.close()
    return milliseconds(found[WARM:]), milliseconds(whole[WARM:])


async def raw(url, pipe, count):
    """Our signing and one POST, with nothing before and after."""
    venue = gate_venue(key=KEY, secret=SECRET, url=url, paces=False)
    await venue.prepare()
    found = []
    for number in range(count + WARM):
        request = OrderRequest(
            venue.client_id(client_core("test", f"i{number}", 1)), "BTC/USDT", "buy", D("0.001"), D(61_000)
        )
        now_ms = await venue.now_ms()
        await asyncio.sleep(PAUSE)
        begin = time.monotonic_ns()
        await venue.send(venue.sign(request, signed_ms=now_ms, not_after_ms=now_ms + 5_000))
        found.append(pipe.recv() - begin)
    await venue.close()
    return milliseconds(found[WARM:])


class Bot:
    """The bot at the broker and the exchange, with stamps where decisions are made and messages acknowledged."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self.decided, self.waits = [], []

    async def open(self, url):
        self.journal, self.clock = SqliteJournal(self.folder / "journal.db"), SystemClock()
        await self.journal.take("bench", seconds=3_600)
        self.venue = gate_venue(key=KEY, secret=SECRET, url=url, paces=False)
        instruments = await self.venue.instruments(["BTC/USDT"])
        market = Market(
            self.venue, self.clock, symbols={"BTC/USDT": "BTC/USDT"}, timeframe="1h", keep=5, every_seconds=1.0
        )
        made = bench(
            name="bench", strategy=load("RatingBand", {"kind": "grade", "size": 0.01}), instruments=instruments,
            capital=D(1_000_000), journal=self.journal, venue=self.venue, clock=self.clock, execution=Execution(),
        )  # fmt: skip
        self.desk = made.desk
        source = MqttSource(Broker(port=self.port, client_id="bench"))
        self.daemon = Daemon(made.house, [source], Log())
        await recover(made.house, self.journal)
        await start(made)
        made.desk.heard = market.fresh
        self._stamp(source)
        self.task = asyncio.create_task(self.daemon.run())
        await until(lambda: self.desk.state == "active" and self.desk.engine.market.newest())

    def _stamp(self, source):
        handle, message = self.desk.engine.handle, source._message
        engine, bot = self.desk.engine, self

        def stamped(*facts):
            found = handle(*facts)
            bot.decided.append(time.monotonic_ns())
            return found

        class Engine:  # the engine has slots: a stand-in that only adds the stamp
            def __getattr__(self, name):
                return stamped if name == "handle" else getattr(engine, name)

        self.desk.engine = Engine()

        def with_stamp(client, arrived):
            begin, one = time.monotonic_ns(), message(client, arrived)
            plain = one.acknowledge

            async def acknowledge():
                await plain()
                bot.waits.append(time.monotonic_ns() - begin)

            object.__setattr__(one, "acknowledge", acknowledge)
            return one

        source._message = with_stamp

    async def close(self):
        self.daemon.stop()
        await self.task
        await self.venue.close()
        await self.journal.close()


def message(number, *, kind="grade", value=85.0):
    return compose(
        source="bench", kind=kind, values={"BTC/USDT": value}, type_="rating", issued_at=datetime.now(UTC), id_=str(number)
    )  # fmt: skip


def publish(pipe, port):
    """The sender's process: publishes what it is given, and tells when it did."""

    async def run():
        async with Broker(port=port).client("bench-sender", persistent=False) as client:
            pipe.send("ready")
            while (body := await asyncio.to_thread(pipe.recv)) is not None:
                begin = time.monotonic_ns()
                await client.publish("trader/v1/signals/bench", body, qos=1)
                pipe.send(begin)

    asyncio.run(run())


async def received(pipe):
    """What another process says, without turning this loop round and round meanwhile."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), ready.set)
    try:
        await ready.wait()
        return pipe.recv()
    finally:
        loop.remove_reader(pipe.fileno())


async def through(bot, pipe, sender, count):
    """From publishing a signal to the order on the wire, one after the other."""
    whole, decided = [], []
    for number in range(count + WARM):
        sender.send(message(number, value=85.0 if number % 2 == 0 else 20.0))
        begin, arrived = await received(sender), await received(pipe)
        whole.append(arrived - begin)
        decided.append(arrived - bot.decided[-1])
        await until(lambda: bot.desk.is_quiet)
        await asyncio.sleep(PAUSE)
    sender.send(None)
    return milliseconds(whole[WARM:]), milliseconds(decided[WARM:])


async def intake(bot, count):
    """Durable messages per second, as fast as the broker gives them, and how long each waits for its acknowledgement."""
    bot.waits.clear()
    async with Broker(port=bot.port).client("bench-flood", persistent=False) as client:
        begin = time.monotonic()
        for first in range(0, count, 20):
            await asyncio.gather(
                *(
                    client.publish("trader/v1/signals/bench", message(f"f{n}", kind="other"), qos=1)
                    for n in range(first, min(first + 20, count))
                )
            )
        await until(lambda: len(bot.waits) >= count, 300)
        seconds = time.monotonic() - begin
    return count / seconds, milliseconds(bot.waits)


async def measure(orders, messages):
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    url = pipe.recv()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder / "mosquitto").start()
        bot = Bot(folder, broker.port)
        try:
            found = {"raw signed POST": await raw(url, pipe, orders)}
            found["bare ccxt"], found["bare ccxt, answered"] = await bare(url, pipe, orders)
            await bot.open(url)
            sender, its = context.Pipe()
            publisher = context.Process(target=publish, args=(its, broker.port), daemon=True)
            publisher.start()
            assert await received(sender) == "ready"
            found["signal to wire"], found["decision to wire"] = await through(bot, pipe, sender, orders)
            rate, waits = await intake(bot, messages)
            await bot.close()
        finally:
            broker.stop()
            process.kill()
    found["intake"] = {"per_second": rate, "acknowledged": waits}
    whole = found["signal to wire"]["median"]
    found["ratio"], found["ratio_answered"] = (
        whole / found[name]["median"] for name in ("bare ccxt", "bare ccxt, answered")
    )
    found["machine"] = f"{platform.machine()}, Python {platform.python_version()}, ccxt {ccxt.__version__}"
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--messages", type=int, default=3_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = asyncio.run(measure(options.orders, options.messages))
    for name in ("raw signed POST", "bare ccxt", "bare ccxt, answered", "decision to wire", "signal to wire"):
        one = found[name]
        print(f"{name:20} median {one['median']:7.2f} ms   p99 {one['p99']:7.2f} ms   of {one['n']}")
    rate, waits = found["intake"]["per_second"], found["intake"]["acknowledged"]
    print(f"signal to wire / a bare ccxt.create_order at the median: {found['ratio_answered']:.2f} (goal: at most 3)")
    print(f"signal to wire / its own way to the wire at the median: {found['ratio']:.2f}")
    print(f"decision to wire p99: {found['decision to wire']['p99']:.1f} ms (goal: at most 20)")
    print(f"durable signals: {rate:.0f} per second (goal: 300), acknowledged p99 {waits['p99']:.1f} ms (goal: 25)")
    print(found["machine"])
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
