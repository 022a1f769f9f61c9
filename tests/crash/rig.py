"""A rig for killing a bot: a loopback exchange here, the bot in processes of its own, a broker and a database beside it."""

import asyncio
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tests.contracts.worlds import FEES, KEY, MARKETS, SECRET
from trader.adapters.journal_postgres import PostgresJournal
from trader.adapters.journal_sqlite import JournalReader
from trader.adapters.mqtt import Broker, publish
from trader.adapters.payloads import compose
from trader.app import rehearse_run
from trader.core.facts import Filled, OrderPlaced, OrderSending
from trader.core.records import DiscrepancySeen, ForeignSeen, MountStarted, SignalClosed, SignalReceived
from trader.loopback.dialects import DIALECTS
from trader.loopback.exchange import Exchange
from trader.loopback.faults import Fault, Faults
from trader.loopback.server import LoopbackServer, VenueClock
from trader.loopback.walk import Walk
from trader.runtime.control import Command, NoDaemonError, ask, socket_of
from trader.several_settings import load_setup

D = Decimal
ROOT = Path(__file__).parents[2]
VICTIM = Path(__file__).with_name("victim.py")
START = {"USDT": D(10_000), "BTC": D(0), "ETH": D(0)}
CONFIG = """\
version: 1
name: rig
venue: {venue}
live: true
capital: 5000
assets: [BTC/USDT, ETH/USDT]
timeframe: 1h
strategy: {{name: RatingBand, parameters: {{size: 0.2, max_age: 30d}}}}
limits: {{weight_per_asset: 60%}}
execution: {{fence: 400ms, settle: 300ms}}
account: {{url: "{url}", key: {key}, secret: {secret}}}
state: state
"""

SEVERAL = """\
version: 1
name: rig
venue: {venue}
live: true
capital: 5000
assets: [BTC/USDT, ETH/USDT]
timeframe: 1h
mounts:
  - {{name: steady, share: 60%, strategy: {{name: RatingBand, parameters: {{size: 0.2, max_age: 30d}}}}}}
  - {{name: bold, share: 40%, assets: [BTC/USDT], strategy: {{name: RatingBand, parameters: {{size: 0.5, enter: 80, max_age: 30d}}}}}}
limits: {{weight_per_asset: 60%}}
execution: {{fence: 400ms, settle: 300ms}}
account: {{url: "{url}", key: {key}, secret: {secret}}}
state: state
"""


@dataclass
class Rig:
    """Everything of one trial; the exchange is the truth."""

    folder: Path
    exchange: Exchange
    server: LoopbackServer
    config: Path
    broker: object = None
    database: str = ""
    sent: list = field(default_factory=list)
    process: object = None
    kills: int = 0
    names: list = field(default_factory=list)
    flags: tuple = ()
    lease: float = 0.0  # seconds; 0 = as in production
    environment: dict = field(default_factory=dict)  # what the process has besides
    program: Path = VICTIM  # what is started
    now: object = time.time  # the clock of those who send signals

    # The bot

    async def start(self, *, step=0, signal="KILL"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "VICTIM_STEP": str(step), "VICTIM_SIGNAL": signal}
        environment |= {"VICTIM_LEASE": str(self.lease)} if self.lease else {}
        environment |= self.environment
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, str(self.program), "run", str(self.config), "--live", *self.flags, env=environment, cwd=ROOT,
                stdout=asyncio.subprocess.DEVNULL, stderr=log,
            )  # fmt: skip

    async def kill(self):
        """SIGKILL, whatever it does; false where it was dead already."""
        was_alive = self.process.returncode is None
        if was_alive:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        self.kills += was_alive
        return was_alive

    async def stop(self):
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await self.process.wait() == 0, self.log()

    async def status(self):
        try:
            return await ask(socket_of(self.folder / "state" / "rig"), Command("status"), seconds=3)
        except (NoDaemonError, ValueError):
            return None

    async def started(self, seconds=90):
        """Wait until it trades."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    found = await self.status()
                    if found is not None and found["state"] == "active":
                        return found
                    assert self.process.returncode is None, self.log()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not at work: {await self.status()}\n{self.log()}") from None

    async def healed(self, seconds=120):
        """Wait until everything that was sent is received and nothing is under way."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    found = await self.status()
                    if (
                        found is not None
                        and found["state"] == "active"
                        and not found["orders"]
                        and not found["in_line"]
                    ):
                        received = {fact.key for fact in await self.facts() if isinstance(fact, SignalReceived)}
                        if set(self.sent) <= received:
                            return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"not healed: {await self.status()}\n{self.log()}") from None

    def log(self):
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-30:])

    # Signals

    async def send_flip(self, number):
        """Publish the opposite of what the account holds, so that there is something to order."""
        wanted = 85.0 if self.exchange.accounts[KEY].held("BTC").available < 1 else 20.0
        await self.send(number, {"BTC/USDT": wanted, "ETH/USDT": wanted})

    async def send(self, number, values=None):
        """Publish one message; it counts as sent when the broker, or the folder, has it."""
        values = values or {"BTC/USDT": 85.0 if number % 2 else 20.0, "ETH/USDT": 85.0 if number % 3 else 20.0}
        body = compose(
            source="rig", kind="trader_grade", values=values, type_="rating", issued_at=datetime.fromtimestamp(self.now(), UTC),
            id_=str(number),
        )  # fmt: skip
        if self.broker is not None:
            await publish(Broker(port=self.broker.port), body, "trader/v1/signals/rig")
        else:
            inbox = self.folder / "inbox"
            inbox.mkdir(exist_ok=True)
            (inbox / f".{number}").write_bytes(body)
            (inbox / f".{number}").rename(inbox / f"{number:06}.json")
        self.sent.append(f"rig/{number}")

    # What the bot believes

    async def facts(self):
        if self.database:
            journal = PostgresJournal(self.database)
            try:
                return [entry.fact async for entry in journal.read()]
            finally:
                await journal.close()
        path = self.folder / "state" / "rig" / "journal.db"
        if not path.exists():
            return []
        reader = JournalReader(path)
        try:
            return reader.facts()
        finally:
            reader.close()

    async def chain_is_whole(self):
        if self.database:
            journal = PostgresJournal(self.database)
            broken = await journal.verify()
            await journal.close()
            return broken is None
        reader = JournalReader(self.folder / "state" / "rig" / "journal.db")
        broken = reader.verify()
        reader.close()
        return broken is None


async def check(rig):
    """What must hold after healing, whatever happened before; compares the exchange's truth with the bot's facts."""
    facts, account = await rig.facts(), rig.exchange.accounts[KEY]
    assert await rig.chain_is_whole()
    # No signal is lost, and each ends once.
    first = {}
    for fact in facts:
        if isinstance(fact, SignalReceived) and fact.outcome not in {"duplicate", "conflict"}:
            assert fact.key not in first, f"{fact.key} was received twice as new"
            first[fact.key] = fact
    mounts = list(dict.fromkeys(fact.mount for fact in facts if isinstance(fact, MountStarted)))
    closed = [(fact.mount, fact.key) for fact in facts if isinstance(fact, SignalClosed)]
    assert set(rig.sent) <= set(first), f"lost: {sorted(set(rig.sent) - set(first))}"
    for key, receipt in first.items():
        for mount in mounts:
            count = closed.count((mount, key))
            assert bool(receipt.outcome) + count == 1, f"{key} has {count} outcomes for {mount}"
    # No order without a fact, no attempt twice, no intent beyond its quantity.
    attempts = {fact.client_id: fact for fact in facts if isinstance(fact, OrderSending)}
    placed = {(fact.mount, fact.order): fact for fact in facts if isinstance(fact, OrderPlaced)}
    seen = [order.client_id for order in account.orders]
    assert len(seen) == len(set(seen)), "a client id is at the venue twice"
    assert set(seen) <= set(attempts), f"ghosts: {set(seen) - set(attempts)}"
    filled = {}
    for order in account.orders:
        name = attempts[order.client_id].mount, attempts[order.client_id].order
        assert order.market.symbol == placed[name].asset, (
            f"{order.client_id} is of {name}, which trades {placed[name].asset}"
        )
        filled.setdefault(name, []).append(order.filled)
    for name, amounts in filled.items():
        assert sum(amounts) <= placed[name].quantity, (
            f"order {name} was filled {amounts}, {placed[name].quantity} was meant"
        )
        assert len([one for one in amounts if one]) <= 1, f"order {name} was filled by several orders: {amounts}"
        booked_of = [fact.quantity for fact in facts if isinstance(fact, Filled) and (fact.mount, fact.order) == name]
        assert sum(booked_of) == sum(amounts), f"of {name} {booked_of} is booked, {amounts} was filled"
    # Every fill is booked once, and the account moved by nothing else.
    booked = [fact for fact in facts if isinstance(fact, Filled)]
    trades = [trade for order in account.orders for trade in order.trades]
    assert sorted(fact.quantity for fact in booked) == sorted(trade.quantity for trade in trades)
    for asset, begin in START.items():
        moved = account.held(asset).available + account.held(asset).locked - begin
        assert moved == expected(booked, asset), f"{asset} moved by {moved}, the facts say {expected(booked, asset)}"
    assert not [fact for fact in facts if isinstance(fact, DiscrepancySeen | ForeignSeen)]
    assert not rig.exchange.unbalanced()
    # What was decided over all lives is decided again from the record.
    for mount in load_setup(rig.config).mounts:
        heard = rehearse_run(facts, mount.settings, mount.strategy)
        assert not heard.differences, heard.differences[:3]


def expected(fills, asset):
    """By how much fills move an asset of the account; written apart from the bot's own ledger."""
    total = D(0)
    for fill in fills:
        base = fill.asset.split("/")[0]
        sign = 1 if fill.side == "buy" else -1
        if asset == base:
            total += sign * fill.quantity
        if asset == "USDT":
            total -= sign * fill.quantity * fill.price
        if asset == ("USDT" if fill.fee_asset == "quote" else fill.fee_asset.split("/")[0]):
            total -= fill.fee
    return total


@asynccontextmanager
async def rig(folder, *, venue="gate", broker=None, database="", faults=(), config=CONFIG, clock=None):
    """A rig with the bot not started yet."""
    fee_in, fee = FEES[venue]
    exchange = Exchange(MARKETS, fee=D(fee), fee_in=fee_in, forgets=venue == "gate")
    exchange.open_account(KEY, SECRET, START)
    clock = clock or VenueClock()
    walk = Walk(exchange, {"BTC/USDT": D(100), "ETH/USDT": D(10)}, seed=1)
    walk.past(clock.now_ms(), 5)
    walk.step(clock.now_ms())
    async with LoopbackServer(
        DIALECTS[venue](exchange), clock, Faults([Fault(**one) for one in faults], seed=1)
    ) as server:
        text = config.format(venue=venue, url=server.url, key=KEY, secret=SECRET)
        if broker is not None:
            text += f"intake: {{mqtt: {{port: {broker.port}, client_id: rig}}}}\n"
        else:
            text += "intake: {directory: inbox}\n"
        if database:
            text += f"journal: {database}\n"
        config = folder / "run.yaml"
        config.write_text(text)
        one = Rig(folder, exchange, server, config, broker, database, now=clock.wall)
        try:
            yield one
        finally:
            if one.process is not None and one.process.returncode is None:
                one.process.kill()
                await one.process.wait()


def victim_names(folder):
    """At which steps processes killed themselves."""
    text = (folder / "log").read_text(errors="replace")
    return [line.removeprefix("VICTIM ") for line in text.splitlines() if line.startswith("VICTIM ")]
