"""One order under whatever a venue may say of it: lists that lag, repeat themselves, come in any order, or not at all.

The real outbox and the real journal; the venue is a list of trades of which each answer shows a part.
"""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import Filled, OrderPlaced, OrderSending
from trader.core.orders import ABSENT, ACCEPTED, CLOSED, PLACED, SENDING, STUCK, UNKNOWN
from trader.ports import (
    Accepted,
    Balance,
    RefusedByVenue,
    Scan,
    Signed,
    Unclear,
    VenueDownError,
    VenueOrder,
    VenueTrade,
)
from trader.runtime.keeper import Keeper
from trader.runtime.outbox import ATTEMPTS, Outbox

SHARED = "/dev/shm" if Path("/dev/shm").is_dir() else None
START = datetime(2024, 1, 1, tzinfo=UTC)
D = Decimal
QUANTITY = D(10)


class Time:
    seconds = 0.0

    def now(self):
        return START + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds

    async def sleep(self, seconds):
        self.seconds += seconds


class Venue:
    """What is true at the venue, and what the next answers show of it."""

    name, settle_seconds = "gate", 3.0

    def __init__(self, time):
        self.time = time
        self.orders = {}  # client id -> venue's id
        self.trades = {}  # venue's id -> trades, in order
        self.finished = set()
        self.plan = "accepted"
        self.is_down = False
        self.shuffle = lambda rows: rows

    def client_id(self, core):
        return "t-" + core

    async def now_ms(self):
        if self.is_down:
            raise VenueDownError("no answer")
        return round(self.time.now().timestamp() * 1_000)

    signing_ms = now_ms

    def sign(self, request, *, signed_ms, not_after_ms):
        return Signed(request.client_id, "POST", "/orders", {}, repr(request), signed_ms, not_after_ms, "digest")

    async def send(self, signed):
        if self.plan in {"accepted", "silent"}:
            assert signed.client_id not in self.orders, "one id was sent twice"
            self.orders[signed.client_id] = f"v{len(self.orders) + 1}"
        if self.plan == "accepted":
            return Accepted(self.orders[signed.client_id])
        return RefusedByVenue("BALANCE_NOT_ENOUGH", "") if self.plan == "refused" else Unclear(self.plan)

    async def find(self, client_id, symbol):
        await self.now_ms()

    def row(self, client_id):
        number = self.orders[client_id]
        filled = sum((one.quantity for one in self.trades.get(number, [])), D(0))
        return VenueOrder(number, client_id, "A/USDT", "buy", QUANTITY, filled, number not in self.finished, "", 0)

    async def order(self, venue_order, symbol):
        await self.now_ms()
        return next(self.row(one) for one, number in self.orders.items() if number == venue_order)

    async def trades_of(self, venue_order, symbol):
        await self.now_ms()
        return self.shuffle(list(self.trades.get(venue_order, [])))

    async def scan(self, symbols, *, since_ms, until_ms):
        await self.now_ms()
        return Scan(since_ms, until_ms, tuple(self.row(one) for one in self.orders), ())

    async def balances(self):
        await self.now_ms()
        return {"A": Balance(self.total(), D(0))}

    def total(self):
        return sum((one.quantity for rows in self.trades.values() for one in rows), D(0))


class OneOrder(RuleBasedStateMachine):
    """Whatever comes in whatever order, each trade is booked once, and the order ends as it must."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="machine-", dir=SHARED, ignore_cleanup_errors=True)
        self.path = Path(self.folder.name) / "j.db"
        self.time = Time()
        self.venue = Venue(self.time)
        self.number = 0

    def run(self, step):
        return self.loop.run_until_complete(step)

    def teardown(self):
        self.journal._database.close()
        self.loop.close()
        self.folder.cleanup()

    @initialize()
    def begins(self):
        self.open()
        self.run(self.keeper.keep(OrderPlaced(START, "m", 1, "A", "gate", "buy", QUANTITY, None, "target", "signal:7")))

    def open(self):
        self.journal = SqliteJournal(self.path)
        self.run(self.journal.take("daemon", seconds=1e6))
        self.keeper = Keeper(self.journal, self.time)
        self.outbox = Outbox(self.keeper, self.venue, self.time, account="main", namespace="test")
        self.outbox.explains = lambda balances: balances["A"].total == self.track.filled
        for fact in self.facts():
            self.outbox.fold(fact)

    def facts(self):
        async def read():
            return [entry.fact async for entry in self.journal.read()]

        return self.run(read())

    @property
    def track(self):
        return self.outbox.tracks["m", 1]

    @rule(plan=st.sampled_from(["accepted", "silent", "lost", "refused"]), is_down=st.booleans())
    def send(self, plan, is_down):
        if self.track.state not in {PLACED, ABSENT} or self.track.attempt >= ATTEMPTS:
            return
        self.venue.plan, self.venue.is_down = plan, is_down
        try:
            self.run(self.outbox.send(self.track, quantity=QUANTITY - self.track.filled, limit=D(5), symbol="A/USDT"))
        except VenueDownError:
            assert is_down
        self.venue.is_down = False

    @rule(quantity=st.integers(1, 4), at=st.integers(0, 3))
    def trade(self, quantity, at):
        """The venue fills a part; instants repeat, ids never."""
        for number in [one for one in self.venue.orders.values() if one not in self.venue.finished]:
            rows = self.venue.trades.setdefault(number, [])
            quantity = min(D(quantity), QUANTITY - self.venue.total())
            if quantity > 0:
                self.number += 1
                rows.append(
                    VenueTrade(f"t{self.number}", number, "", "A/USDT", "buy", quantity, D(5), D("0.01"), "USDT", at)
                )

    @rule()
    def finish(self):
        self.venue.finished |= set(self.venue.orders.values())

    @precondition(lambda self: self.track.state == ACCEPTED)
    @rule(data=st.data())
    def settle(self, data):
        def shuffle(rows):
            kept = data.draw(st.lists(st.sampled_from(rows), max_size=2 * len(rows))) if rows else []
            whole = data.draw(st.booleans())
            return data.draw(st.permutations([*rows, *kept])) if whole else kept

        self.venue.shuffle = shuffle
        is_final = self.run(self.outbox.settle(self.track, "A/USDT"))
        self.venue.shuffle = lambda rows: rows
        if is_final:
            there = {one.trade for one in self.venue.trades.get(self.track.venue_order, [])}
            assert there <= self.track.trades, "it was called final with trades missing"

    @precondition(lambda self: self.track.state in {UNKNOWN, STUCK})
    @rule(is_down=st.booleans())
    def resolve(self, is_down):
        self.venue.is_down = is_down
        self.run(self.outbox.resolve(self.track, "A/USDT"))
        self.venue.is_down = False

    @rule(seconds=st.sampled_from([0.1, 2.0, 9.0, 700.0]))
    def pass_time(self, seconds):
        self.time.seconds += seconds

    @rule()
    def restart(self):
        """The process dies and another folds what was written."""
        before = self.track
        self.journal._database.close()
        self.open()
        assert self.track == before
        self.run(self.outbox.recover())

    @invariant()
    def each_trade_is_booked_once_and_nothing_else(self):
        if not hasattr(self, "outbox"):
            return
        fills = [fact for fact in self.facts() if isinstance(fact, Filled)]
        names = [fact.trade for fact in fills]
        true = {one.trade: one for rows in self.venue.trades.values() for one in rows}
        assert len(names) == len(set(names))
        assert all(
            (fact.quantity, fact.price, fact.fee) == (true[fact.trade].quantity, D(5), D("0.01")) for fact in fills
        )
        assert self.track.filled == sum((fact.quantity for fact in fills), D(0)) <= QUANTITY

    @invariant()
    def no_second_order_while_one_may_be_there(self):
        if not hasattr(self, "outbox"):
            return
        sendings = [fact for fact in self.facts() if isinstance(fact, OrderSending)]
        assert len({fact.client_id for fact in sendings}) == len(sendings)
        assert set(self.venue.orders) <= {fact.client_id for fact in sendings}
        alive = [number for number in self.venue.orders.values() if number not in self.venue.finished]
        assert len(alive) <= 1, "two orders are alive at the venue"
        if self.track.state in {PLACED, ABSENT, CLOSED}:
            assert not alive, "an order that is called gone is alive"
        assert self.track.state != SENDING


TestOneOrder = pytest.mark.slow(OneOrder.TestCase)
TestOneOrder.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_trade_that_one_answer_shows_twice_is_booked_once():
    """What the machine found first: pages that move while they are read repeat a row."""
    one = OneOrder()
    one.begins()
    one.send("accepted", is_down=False)
    one.trade(2, 0)
    one.venue.shuffle = lambda rows: [*rows, *rows]
    one.run(one.outbox.settle(one.track, "A/USDT"))
    one.each_trade_is_booked_once_and_nothing_else()
    assert one.track.filled == 2
    one.teardown()
