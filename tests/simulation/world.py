"""The world around the bot: an exchange in its real dialect, prices, people, a broker, a disk, and lives of the real bot.

Nothing of the bot is replaced but what the composition root plugs in anyway: clock, transport, source of messages, and a journal whose
disk may fail. All chance comes from one seed.
"""

import asyncio
import hashlib
import random
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from tests.contracts.worlds import FEES, KEY, MARKETS, SECRET
from tests.simulation import bot, disk
from tests.simulation.broker import Broker
from tests.simulation.loop import Life
from tests.simulation.plan import Chances, Plan
from tests.simulation.points import room_of
from tests.simulation.quick import installed
from tests.simulation.witness import Witness
from trader.loopback.dialects import DIALECTS
from trader.loopback.exchange import Exchange
from trader.loopback.walk import HALF_SPREAD, Walk

D = Decimal
HOUR = datetime(2024, 3, 1, 12, tzinfo=UTC)
FUNDS = {"USDT": D(10_000), "BTC": D(0), "ETH": D(0)}
PRICES = {"BTC/USDT": D(100), "ETH/USDT": D(10)}
COMPARED_SECONDS = 25.0  # within which the bot compares its account, whatever it is busy with
installed()


@dataclass
class World:
    """Everything outside of the bot. `counts` are faults by kind, `met` the states that must be met."""

    loop: object
    plan: Plan
    lot: Random = field(init=False)
    chances: Chances = field(init=False)
    counts: dict = field(default_factory=dict)
    met: dict = field(default_factory=dict)
    lives: list = field(default_factory=list)
    broken: str = ""
    is_hostile: bool = True
    is_dark: bool = False  # nothing reaches the exchange
    wall_off: float = 0.0  # what the machine's clock is off since a jump
    factors: dict = field(default_factory=dict)  # what prices are multiplied with for a moment
    is_frozen: bool = False
    power_losses: int = 0
    taken_at: float = -1_000.0  # when an order last came to the exchange
    lost_orders: set = field(default_factory=set)  # client ids of which a restored backup does not know
    lost_keys: set = field(default_factory=set)
    traded_at: float = -1e9  # when a person traded last
    copy: tuple = ()
    holder: str = ""  # who took the lease last
    names: dict = field(default_factory=dict)  # a message's key at the broker -> the keys that receipts of it may have

    def __post_init__(self):
        plan = self.plan
        random.seed(plan.seed)
        self.lot, self.chances, self.script = Random(plan.seed + 1), Chances(**plan.chances), list(plan.script)
        fee_in, fee = FEES[plan.venue]
        self.exchange = Exchange(
            MARKETS, fee=D(fee), fee_in=fee_in, forgets=plan.venue == "gate", list_lag_ms=plan.lag_ms
        )
        self.account = self.exchange.open_account(KEY, SECRET, FUNDS)
        self.dialect = DIALECTS[plan.venue](self.exchange)
        self.walk = Walk(self.exchange, PRICES, seed=plan.seed)
        self.walk.past(self.now_ms(), 3)
        self.walk.step(self.now_ms())
        self.mounts = [name for name, _ in bot.CAPITALS[: plan.mounts]]
        self.sound = dict(self.exchange.markets)
        self.folder = Path(tempfile.mkdtemp(prefix="sim-", dir=disk.room()))
        self.path = self.folder / "journal.db"
        self.broker, self.witness = Broker(self, plan.broker_holds), Witness(self)
        self.digest = hashlib.blake2b(digest_size=12)
        self.until, self.depth = plan.seconds, plan.depth  # when all heals; of the books until then
        self.branches = None
        self.before = {"orders": 0, "lives": 0, "steps": 0, "seconds": 0.0, "dead": set()}

    def branch_off(self, folder):
        """From here on this is another story than that of the process it branched off from: with its own folder, and its own counts."""
        self.folder = Path(folder)
        if not self.path.exists():
            self.path = self.folder / "journal.db"
        self.before = {
            "orders": len(self.account.orders), "lives": len(self.lives), "steps": sum(life.steps for life in self.lives),
            "seconds": self.loop.time(), "dead": {life.name for life in self.lives if life.is_dead},
        }  # fmt: skip
        self.counts, self.met = {}, {}
        for life in self.lives:
            life.chains = {}

    def close(self):
        disk.gone(self.folder)

    # Time, chance and the record

    def now(self):
        return HOUR + timedelta(seconds=self.plan.minute * 60 + self.loop.now)

    def now_ms(self):
        return round(self.now().timestamp() * 1_000)

    def happens(self, name, weight=1.0):
        """Whether trouble comes now; it is counted."""
        chance = getattr(self.chances, name)
        found = chance > 0 and self.lot.random() < chance * weight
        if found:
            self.count(name)
        return found

    def count(self, name):
        self.counts[name] = self.counts.get(name, 0) + 1
        return True

    def reach(self, name):
        """A state that must be met was met."""
        self.met[name] = self.met.get(name, 0) + 1

    def blame(self, what):
        """Something may not be: the first thing is what the story tells."""
        if not self.broken:
            self.broken = what.replace(f"{self.folder}/", "")
            for life in self.alive():
                life.kill("something may not be")

    def trace(self, *said):
        self.digest.update("|".join(map(str, said)).encode())

    def stepped(self, life, point):
        self.digest.update(f"{life}@{self.loop.now:.6f} {point}\n".encode())

    def names_of(self, key):
        return self.names.get(key, {key})

    def deliver(self, key):
        if self.names_of(key) & self.witness.receipts:
            self.reach("a message delivered again")

    def note_denied(self, facts):
        for fact in facts:
            self.reach(f"a commit of {type(fact).__name__} kept and denied")

    # Prices

    async def market(self, every=2.0):
        """Let prices move, for ever."""
        while True:
            await asyncio.sleep(every)
            if not self.is_frozen:
                self.walk.step(self.now_ms())
                self.set_books()

    def set_books(self):
        """Books of this world's depth, around prices that are wrong for a moment."""
        for symbol, price in self.walk.prices.items():
            factor = self.factors.get(symbol)
            if factor is not None or self.depth:
                depth = D(self.depth or 10**9)
                shown = max(price * D(repr(factor or 1.0)), D(1))
                self.exchange.set_price(symbol, shown, self.now_ms(), half_spread=HALF_SPREAD, depth=depth)

    def move_prices(self, factor):
        """Prices as they are for one moment, at which an order comes that was made for others: up for buys, down for sells."""
        for symbol, price in self.walk.prices.items():
            if factor == 1:
                self.exchange.set_price(symbol, price, self.now_ms(), half_spread=HALF_SPREAD)
            else:
                self.exchange.set_book(symbol, [(price / 2, D(10**6))], [(price * 2, D(10**6))], self.now_ms())

    # Lives

    def begin(self, *, owner="sim", power=False, **dies):
        """A new life beside the others. dies: when, as Life takes it. power: the machine's power goes with it, within a commit."""
        number = len(self.lives)
        if self.lives and not self.alive() and self.path.exists():  # as a new process finds them: nobody has them open
            self.path = disk.laid(self.folder / f"life {number + 1}", disk._files(self.path))
        life = Life(f"life {number + 1}", notes=self.stepped, **dies)
        life.is_busy = lambda: life.daemon is not None and not life.daemon.house.is_quiet
        life.daemon, life.failures, life.owner = None, [], owner
        life.loses_power = power
        life.skew = self.plan.skews[number % len(self.plan.skews)]
        self.lives.append(life)
        self.loop.in_life(life, bot.supervised(self, life))
        return life

    def alive(self):
        return [life for life in self.lives if not life.is_dead]

    @property
    def newest(self):
        return next(iter(self.alive()[::-1]), None)

    def power_fails(self, life, facts):
        """Whether the power fails within this commit: a life that was to end ends here."""
        if life.is_losing and not life.is_dead:
            self.witness.pending = (tuple(facts), self.witness.epoch, life)
            return True
        return False

    def lose_power(self, files):
        """Every process on the machine is gone, and this is what its disk shows afterwards."""
        self.count("power lost")
        self.power_losses += 1
        self.path = disk.laid(self.folder / f"power {self.power_losses}", files)
        for life in self.alive():
            life.kill("within a commit")

    def take_backup(self):
        """Copy the journal, to come back later as an old backup."""
        self.copy = (disk._files(self.path), len(self.witness.facts), self.witness.seq)

    def restore_backup(self):
        """After the end of a life: put the old copy in place."""
        files, count, seq = self.copy
        self.copy = ()
        self.power_losses += 1
        self.path = disk.laid(self.folder / f"backup {self.power_losses}", files)
        self.witness.pending = None
        lost = self.witness.restored(count, seq)
        self.lost_orders |= {fact.client_id for fact in lost if type(fact).__name__ == "OrderSending"}
        self.lost_keys |= {fact.key for fact in lost if type(fact).__name__ == "SignalReceived"}
        self.reach("an old backup restored")

    def is_quiet(self):
        """Whether the newest life has nothing under way, all that was sent is taken, and the venue's lists show what happened."""
        life = self.newest
        if (
            self.plan.lag_ms
            and max((one.at_ms for one in self.account.orders), default=0) + self.plan.lag_ms > self.now_ms()
        ):
            return False
        if self.plan.is_zombies_world and self.taken_at + COMPARED_SECONDS > self.loop.time():
            return False  # nobody waits for an order that was proven to be none: only a comparison shows it
        daemon = None if life is None else life.daemon
        return (
            daemon is not None
            and daemon.house.state == "active"
            and daemon.house.is_quiet
            and not any(desk.is_flattening or desk.shut for desk in daemon.house.desks)
            and not self.broker.sent
            and not daemon.status()["in_line"]
            and daemon.inbox.next_end() is None
        )

    def ended(self, life):
        """Note at which place a life ended."""
        room = room_of(life.ended_at) if life.ended_at != "within a commit" else "within a commit"
        self.reach(f"ended in: {room}")
        if len(self.lives) > 1 and life.daemon is None:
            self.reach("ended within recovery")
        if life.ended_at.startswith("outbox.send: venue.send"):
            after = "connected" in life.ended_at
            self.reach("ended after SENDING, before the bytes" if after else "ended after the bytes, before the answer")
        if life.ended_at.startswith("outbox.send: keep OrderSending") and "after_the_commit" in life.ended_at:
            self.reach("ended right after SENDING was kept")
        if life.ended_at.startswith("outbox.send: keep OrderAccepted"):
            self.reach("ended before the answer was kept")
        if life.ended_at.startswith("daemon._one: thing.acknowledge"):
            self.reach("ended between commit and acknowledgement")
        if life.ended_at.startswith("outbox.settle"):
            self.reach("ended before fills were booked")
