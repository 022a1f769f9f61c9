"""One attempt at an order, step by step, fact by fact: over the real journal, at a venue that says what it is told to say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import (
    AttemptEnded,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
)
from trader.core.identity import client_core, intent_id
from trader.ports import (
    Accepted,
    Balance,
    OrderRequest,
    RefusedByVenue,
    Scan,
    Signed,
    Unclear,
    VenueDownError,
    VenueOrder,
    VenueTrade,
)
from trader.runtime.keeper import Keeper
from trader.runtime.outbox import REFUSALS, STUCK_MS, Outbox

START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = 1_704_067_200_000
SYMBOL = "A/USDT"


@dataclass
class Clock:
    seconds: float = 0.0
    slept: list = field(default_factory=list)

    def now(self):
        return START + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.seconds += seconds


class Venue:
    """Says what it was told to; an exception is raised. `calls` is what it was asked."""

    name, settle_seconds = "gate", 3.0

    def __init__(self, clock):
        self.clock, self.calls, self.sent, self.requests = clock, [], [], []
        self.reply, self.found, self.listed, self.traded, self.status = Accepted("v1"), [None], (), (), None
        self.down = set()

    def now_at(self):
        return START_MS + round(self.clock.seconds * 1000)

    def _asked(self, name, *said):
        self.calls.append((name, *said))
        if name in self.down:
            raise VenueDownError("no answer")

    def client_id(self, core):
        return "t-" + core

    async def now_ms(self):
        self._asked("now_ms")
        return self.now_at()

    async def signing_ms(self):
        return self.now_at() + 7

    def sign(self, request, *, signed_ms, not_after_ms):
        self.requests.append(request)
        return Signed(request.client_id, "POST", "/orders", {}, "body", signed_ms, not_after_ms, "digest")

    async def send(self, signed):
        self.sent.append(signed)
        return self.reply

    async def find(self, client_id, symbol):
        self._asked("find", client_id, symbol)
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]

    async def scan(self, symbols: Sequence[str], *, since_ms, until_ms):
        self._asked("scan", tuple(symbols), since_ms, until_ms)
        return Scan(since_ms, until_ms, tuple(self.listed), tuple(self.traded))

    async def balances(self):
        self._asked("balances")
        return {"A": Balance(Decimal(1), Decimal(0))}

    async def order(self, venue_order, symbol):
        self._asked("order", venue_order, symbol)
        return self.status

    async def trades_of(self, venue_order, symbol):
        self._asked("trades_of", venue_order, symbol)
        return list(self.traded)


class House:
    def __init__(self, path):
        self.clock = Clock()
        self.journal, self.venue = SqliteJournal(path), Venue(self.clock)
        self.keeper = Keeper(self.journal, self.clock)
        self.outbox = Outbox(self.keeper, self.venue, self.clock, account="main", namespace="test")

    async def begin(self, side="buy", number=1):
        if not self.journal.epoch:
            await self.journal.take("me", seconds=3600)
        await self.keeper.keep(
            OrderPlaced(START, "m", number, "A", "gate", side, Decimal(2), None, "target", f"signal:{number}")
        )
        return self.outbox.tracks["m", number]

    async def send(self, track, **more):
        await self.outbox.send(track, **({"quantity": Decimal(2), "limit": Decimal(10), "symbol": SYMBOL} | more))

    async def unknown(self):
        track = await self.begin()
        self.venue.reply = Unclear("no reply")
        await self.send(track)
        self.clock.seconds = 100.0
        return track

    async def facts(self):
        return [entry.fact async for entry in self.journal.read()][1:]


@pytest.fixture
def house(tmp_path):
    one = House(tmp_path / "j.db")
    yield one
    one.journal._database.close()


def seen(client_id, venue_order="v7", *, filled=None, is_open=False):
    return VenueOrder(venue_order, client_id, SYMBOL, "buy", Decimal(2), filled, is_open, "closed", 0)


def trade(number, at_ms=0, quantity="1", client_id="c", fee_asset="USDT"):
    return VenueTrade(
        f"t{number}", "v1", client_id, SYMBOL, "buy", Decimal(quantity), Decimal(10), Decimal("0.1"), fee_asset, at_ms
    )


# Sending


async def test_what_is_sent_is_what_was_written_down_before(house):
    track = await house.begin()
    assert (track.state, track.attempt, house.outbox.cause_of("m", 1)) == ("placed", 0, "signal:1")
    assert house.outbox.cause_of("m", 2) == ""
    await house.send(track, spend=Decimal(5))
    client_id = "t-" + client_core("test", intent_id("main", "m", "signal:1", "A", 1), 1)
    assert house.venue.requests == [OrderRequest(client_id, SYMBOL, "buy", Decimal(2), Decimal(10), Decimal(5))]
    (signed,) = house.venue.sent
    assert (signed.signed_ms, signed.not_after_ms) == (START_MS + 7, START_MS + 5_007)
    assert (await house.facts())[1:] == [
        OrderSending(START, "m", 1, client_id, 1, Decimal(2), Decimal(10), START_MS + 7, START_MS + 5_007, "digest", 1, Decimal(5)),
        OrderAccepted(START, "m", 1, "v1"),
    ]  # fmt: skip
    assert (track.state, track.attempt, track.venue_order) == ("accepted", 1, "v1")
    assert house.outbox.attempts == {client_id: ("m", 1, 1)}
    assert (house.outbox.gone, list(house.outbox.live)) == (set(), [("m", 1)])


async def test_another_validity_counts_from_the_next_signature_on(house):
    house.outbox.refence(1_000)
    track = await house.begin()
    await house.send(track)
    assert house.venue.sent[0].not_after_ms - house.venue.sent[0].signed_ms == 1_000


async def test_nothing_leaves_that_a_decision_forbids_in_the_turn_in_which_it_is_written(house):
    track = await house.begin()
    await house.send(track, may=lambda: False)
    assert (house.venue.sent, track.state, len(await house.facts())) == ([], "placed", 1)
    track.state = "accepted"
    await house.send(track)
    assert (house.venue.sent, len(await house.facts())) == ([], 1)


@pytest.mark.parametrize(("seconds", "leaves"), [(2.5, True), (2.6, False)])
async def test_what_took_more_than_half_of_its_validity_to_write_is_not_sent(house, seconds, leaves):
    track, append = await house.begin(), house.journal.append

    async def slow(facts):
        if isinstance(facts[0], OrderSending):
            house.clock.seconds += seconds
        return await append(facts)

    house.journal.append = slow
    await house.send(track)
    assert (len(house.venue.sent), track.state) == ((1, "accepted") if leaves else (0, "unknown"))


async def test_a_refused_buy_is_over(house):
    track = await house.begin()
    house.venue.reply = RefusedByVenue("BALANCE_NOT_ENOUGH", "")
    await house.send(track)
    assert (await house.facts())[-1] == OrderClosed(START, "m", 1, "A", "refused BALANCE_NOT_ENOUGH")
    assert (track.state, house.outbox.live, house.outbox.gone) == ("closed", {}, {("m", 1, 1)})


async def test_a_refused_sale_is_tried_again_so_often_and_no_more(house):
    track = await house.begin("sell")
    house.venue.reply = RefusedByVenue("CLOSED", "")
    for attempt in range(1, REFUSALS):
        await house.send(track)
        assert (track.state, track.refusals, track.attempt) == ("placed", attempt, attempt)
    assert (await house.facts())[-1] == AttemptEnded(START, "m", 1, 19, Decimal(0), "refused CLOSED")
    await house.send(track)
    assert (track.state, (await house.facts())[-1].reason) == ("closed", "refused CLOSED")
    assert house.outbox.gone == {("m", 1, attempt) for attempt in range(1, 21)}
    assert len(set(house.outbox.attempts)) == 20


async def test_a_sale_that_was_taken_counts_its_refusals_anew(house):
    track = await house.begin("sell")
    house.venue.reply = RefusedByVenue("CLOSED", "")
    await house.send(track)
    house.venue.reply = Accepted("v2")
    await house.send(track)
    house.venue.status = seen("c", "v2", filled=Decimal(0))
    assert await house.outbox.settle(track, SYMBOL)
    assert (track.refusals, track.state) == (0, "placed")


async def test_an_answer_that_says_nothing_leaves_it_unknown_with_the_reason(house):
    track = await house.begin()
    house.venue.reply = Unclear("a proxy's page")
    await house.send(track)
    assert (await house.facts())[-1] == OrderUnknown(START, "m", 1, "a proxy's page")


# Finding out


async def test_it_is_not_asked_before_the_validity_and_the_settling_time_are_over(house):
    track = await house.unknown()
    end = (track.sending.not_after_ms - START_MS) / 1000 + 3.0
    house.clock.seconds = end - 0.001
    house.outbox.explains = lambda _: True
    await house.outbox.resolve(track, SYMBOL)
    assert (house.venue.calls, track.state) == ([("now_ms",)], "unknown")
    house.clock.seconds = end
    await house.outbox.resolve(track, SYMBOL)
    assert track.state == "absent"


async def test_two_whole_looks_a_second_apart_and_balances_that_agree_prove_that_it_is_not_there(house):
    track = await house.unknown()
    asked = []
    house.outbox.explains = lambda balances: asked.append(balances) or True
    await house.outbox.resolve(track, SYMBOL)
    sending, ms = track.sending, house.venue.now_at()
    look = [("find", sending.client_id, SYMBOL), ("now_ms",), ("scan", (SYMBOL,), sending.signed_ms - 60_000)]
    told = [call[:3] for call in house.venue.calls]
    assert told == [("now_ms",), *look, *look, ("balances",)]
    assert [call[3] for call in house.venue.calls if call[0] == "scan"] == [ms - 1_000, ms]
    assert house.clock.slept == [1.0]
    assert asked == [{"A": Balance(Decimal(1), Decimal(0))}]
    absent = (await house.facts())[-1]
    assert isinstance(absent, OrderAbsent)
    assert absent.evidence == f"not in two whole scans after {sending.not_after_ms} ms and 3 s"
    assert (track.state, track.absences, house.outbox.gone) == ("absent", 1, {("m", 1, 1)})


@pytest.mark.parametrize("where", ["find", "orders", "trades", "second look"])
async def test_whatever_shows_it_proves_that_it_is_there(house, where):
    track = await house.unknown()
    client_id = track.sending.client_id
    if where == "find":
        house.venue.found = [seen(client_id, "v9")]
    elif where == "orders":
        house.venue.listed, house.venue.traded = [seen(client_id, "v9")], [trade(1, client_id=client_id)]
    elif where == "trades":
        house.venue.listed, house.venue.traded = [seen("other")], [trade(1, client_id=client_id)]
    else:
        house.venue.found = [None, seen(client_id, "v9")]
    await house.outbox.resolve(track, SYMBOL)
    assert (track.state, track.venue_order) == ("accepted", "v1" if where == "trades" else "v9")
    assert ("balances",) not in house.venue.calls


@pytest.mark.parametrize("what", ["now_ms", "find", "scan", "balances"])
async def test_a_question_without_an_answer_proves_nothing(house, what):
    track = await house.unknown()
    house.outbox.explains = lambda _: True
    house.venue.down = {what}
    await house.outbox.resolve(track, SYMBOL)
    assert track.state == "unknown"
    house.venue.down = set()
    await house.outbox.resolve(track, SYMBOL)
    assert track.state == "absent"


async def test_what_no_list_shows_although_the_balances_moved_is_stuck_after_ten_minutes(house):
    track = await house.unknown()
    assert STUCK_MS == 600_000
    late = (track.sending.not_after_ms - START_MS + STUCK_MS) / 1000
    house.clock.seconds = late
    await house.outbox.resolve(track, SYMBOL)
    assert track.state == "unknown"
    house.clock.seconds = late + 0.001
    await house.outbox.resolve(track, SYMBOL)
    assert (await house.facts())[-1] == OrderStuck(
        house.clock.now(), "m", 1, "no list shows it, but the balances moved"
    )
    written = len(await house.facts())
    await house.outbox.resolve(track, SYMBOL)
    assert (track.state, len(await house.facts())) == ("stuck", written), "it is said once"
    house.venue.found = [seen(track.sending.client_id, "v9")]
    await house.outbox.resolve(track, SYMBOL)
    assert track.state == "accepted"


async def test_absences_in_a_row_are_counted_until_the_venue_takes_it(house):
    track = await house.unknown()
    house.outbox.explains = lambda _: True
    await house.outbox.resolve(track, SYMBOL)
    await house.send(track)
    house.clock.seconds += 100
    await house.outbox.resolve(track, SYMBOL)
    assert (track.absences, track.attempt) == (2, 2)
    house.venue.reply = Accepted("v2")
    await house.send(track)
    assert (track.absences, track.attempt, track.state) == (0, 3, "accepted")


async def test_what_an_earlier_process_was_sending_is_unknown_and_nothing_else_is(house, tmp_path):
    first, second = await house.begin(), await house.begin(number=2)
    await house.send(second)
    again = House(tmp_path / "j.db")
    again.journal = house.journal
    again.keeper.journal = house.journal
    for fact in await house.facts():
        again.outbox.fold(fact)
    sending = OrderSending(START, "m", 1, "c", 1)
    await again.keeper.keep(sending)
    await again.outbox.recover()
    assert (await house.facts())[-1] == OrderUnknown(START, "m", 1, "the process that sent it ended")
    assert [one.state for one in again.outbox.tracks.values()] == ["unknown", "accepted"]
    assert (first.state, again.venue.sent) == ("placed", [])
