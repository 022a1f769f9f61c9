"""A whole bot at a loopback exchange: the real journal on disk, real ccxt over sockets, one strategy that does what it is told."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from tests.contracts.worlds import loopback
from trader import Decision, FallBy, Signal, Target, Wants
from trader.adapters.clock import SystemClock
from trader.adapters.journal_sqlite import SqliteJournal
from trader.app import bench
from trader.core.facts import BarClosed, SignalsKnown
from trader.runtime import telling
from trader.runtime.desk import Desk, Execution
from trader.runtime.reconcile import Reconciler
from trader.runtime.recovery import recover

D = Decimal
ASSETS = ("BTC/USDT", "ETH/USDT")


class Follows:
    """Holds what the newest rating says, in percent of equity, with a stop."""

    wants = Wants(ratings=("weight",))

    def decide(self, view):
        weights = view.ratings("weight")
        sizes = {asset: weights[asset] / 100 for asset in view.wake.assets}
        return Decision.change({a: Target(size, (FallBy(0.1),)) if size else 0.0 for a, size in sizes.items()})


@dataclass
class House:
    loop: object
    journal: SqliteJournal
    desk: Desk
    reconciler: Reconciler
    clock: SystemClock
    made: object = None
    count: int = 0

    async def bar(self, asset="BTC/USDT", price=100.0, low=None):
        await self.tell(BarClosed(self.clock.now(), asset, price, price, price if low is None else low, price, 1.0))

    async def tell(self, *facts):
        return await telling.tell([self.desk], self.desk.keeper, *facts)

    async def rate(self, **weights):
        """Tell a publication of weights in percent, by base asset."""
        now = self.clock.now()
        self.count += 1
        said = tuple(Signal(f"{base}/USDT", "weight", float(value), now, now) for base, value in weights.items())
        return await self.tell(SignalsKnown(now, said, key=f"test/{self.journal.epoch}-{self.count}"))

    async def work(self, rounds=40):
        """Work until nothing is under way."""
        for _ in range(rounds):
            await self.desk.work()
            if self.desk.is_quiet:
                return
            await self.clock.sleep(0.05)

    async def facts(self):
        return [entry.fact async for entry in self.journal.read()]

    def held(self, asset="BTC/USDT"):
        holding = self.desk.engine.mount.ledger.holdings.get(asset)
        return D(0) if holding is None else holding.quantity

    @property
    def cash(self):
        return self.desk.engine.mount.ledger.total_cash()


async def bot(it, name, path, *, strategy=None, owner="test", execution=None):
    """A bot that has recovered from what the journal at `path` holds."""
    journal, clock = SqliteJournal(path), SystemClock()
    await journal.take(owner, seconds=60)
    instruments = await it.venue.instruments(ASSETS)
    made = bench(
        name="m", strategy=strategy or Follows(), instruments=instruments, capital=D(500), journal=journal,
        venue=it.venue, clock=clock, account="a", namespace="test", fence_ms=500,
        execution=execution or Execution(collar=0.005, again_seconds=0.05, fee=0.002 if name == "gate" else 0.0005),
    )  # fmt: skip
    await recover(made.house, journal)
    return House(it, journal, made.desk, made.reconciler, clock, made)


@asynccontextmanager
async def house(name, path, *rules, lag_ms=0, repeats="override", **more):
    """A loopback exchange and a bot at it."""
    async with loopback(name, *rules, lag_ms=lag_ms, repeats=repeats) as it:
        one = await bot(it, name, path, **more)
        assert await one.reconciler.run()
        await one.desk.change("active", "reconciled")
        yield one
        await one.journal.close()


def instant():
    return datetime.now(UTC)
