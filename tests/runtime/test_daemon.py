"""The daemon at a loopback exchange: intake, exits by price, timers, commands, outages, and an end in order."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.contracts.worlds import SkewedClock, loopback
from tests.runtime.test_market import just_before_an_hour
from tests.services.parts import until
from trader import Decision, FallBy, Target, Wants
from trader.adapters.clock import SystemClock
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.payloads import compose
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.sources import Bus
from trader.adapters.tokenmetrics import Budget, Manner, TokenMetrics
from trader.adapters.tokenmetrics_feed import Feeding, TokenMetricsFeed
from trader.app import bench, rehearse, start
from trader.core.facts import Decided, ExitHit, Filled, OrderPlaced, OrderSending
from trader.core.records import CommandTaken, ForeignSeen, LinkChanged, SignalClosed, SignalReceived, StateChanged
from trader.core.risk import Limits
from trader.loopback.server import LoopbackServer
from trader.loopback.vendor import Published, Token, Vendor
from trader.loopback.walk import Walk
from trader.runtime.control import Command
from trader.runtime.daemon import Daemon
from trader.runtime.desk import Execution
from trader.runtime.logs import Log
from trader.runtime.market import Market
from trader.runtime.recovery import recover
from trader.runtime.till import Pace

D = Decimal
ASSETS = ["BTC/USDT", "ETH/USDT"]
FAST = Pace(reconcile_seconds=0.3, stale_seconds=0.9, idle_seconds=0.05, stop_seconds=5.0)  # a hundred times as fast


class Follows:
    """Holds what the newest rating says, in percent, with a stop; may ask to be woken again."""

    def __init__(self, again=None, kind="weight"):
        self.again, self.kind = again, kind

    def __repr__(self):
        return f"Follows({self.again})"

    @property
    def wants(self):
        return Wants(ratings=(self.kind,))

    def decide(self, view):
        weights = view.ratings(self.kind)
        sizes = {asset: weights[asset] / 100 for asset in view.wake.assets}
        found = Decision.change({a: Target(size, (FallBy(0.1),)) if size else 0.0 for a, size in sizes.items()})
        return found.wake_at(view.now + self.again) if self.again and "timer" not in view.wake.causes else found


@asynccontextmanager
async def daemon(
    name, path, *, strategy=None, pace=FAST, market_every=0.05, bus=None, limits=None, clock=None, program="", more=None
):
    async with loopback(name, clock=clock) as it:
        walk = Walk(it.exchange, {"BTC/USDT": D(100), "ETH/USDT": D(10)}, seed=1)
        walk.past(it.clock.now_ms(), 5)
        journal, clock, bus = SqliteJournal(path), SkewedClock(it.clock), bus or Bus()
        await journal.take("test", seconds=60)
        instruments = await it.venue.instruments(ASSETS)
        market = Market(
            it.venue, clock, symbols={one.asset: one.symbol for one in instruments}, timeframe="1h", keep=5,
            every_seconds=market_every,
        )  # fmt: skip
        made = bench(
            name="m", strategy=strategy or Follows(), instruments=instruments, capital=D(500), journal=journal,
            venue=it.venue, clock=clock, namespace="test", market=market, fence_ms=400, limits=limits,
            execution=Execution(collar=0.005, again_seconds=0.05, fee=0.002),
        )  # fmt: skip
        one = Daemon(made.house, [bus], Log(), pace, program=program)
        if more is not None:
            one.sources = [bus, more(one)]
        await recover(made.house, journal)
        await start(made)
        journal.seen = []
        one.desk.keeper.listeners.append(journal.seen.append)
        task = asyncio.create_task(one.run())
        try:
            await until(lambda: task.done() or (made.desk.state == "active" and made.desk.engine.market.newest()))
            yield it, one, bus, journal
        finally:
            one.stop()
            async with asyncio.timeout(10):
                await task
            await journal.close()


def rating(number, **weights):
    values = {f"{asset}/USDT": float(weight) for asset, weight in weights.items()}
    return compose(
        source="test", kind="weight", values=values, type_="rating", issued_at=datetime.now(UTC), id_=f"{number}"
    )


def of(one, *kinds):
    """What was kept since this process began."""
    return [fact for fact in one.desk.keeper.journal.seen if isinstance(fact, kinds)]


async def facts(journal, *kinds):
    found = [entry.fact async for entry in journal.read()]
    return [fact for fact in found if not kinds or isinstance(fact, kinds)]


def held(one, asset="BTC/USDT"):
    holding = one.desk.engine.mount.held(asset)
    return D(0) if holding is None else holding.quantity


@pytest.mark.parametrize("name", ["gate", "mexc"])
async def test_a_message_is_kept_before_it_is_acknowledged_and_becomes_a_holding(name, tmp_path):
    async with daemon(name, tmp_path / "j.db") as (_, one, bus, journal):
        first = rating(1, BTC=50)
        kept = await bus.publish(first)
        async with asyncio.timeout(5):
            await kept.wait()
        assert [fact.key for fact in await facts(journal, SignalReceived)] == ["test/1"]
        await until(lambda: held(one) > 2 and one.desk.is_quiet)
        await bus.publish(first)
        await bus.publish(rating(2, BTC=0))
        await until(lambda: not held(one) and one.desk.is_quiet)
        received = await facts(journal, SignalReceived)
        assert [fact.outcome for fact in received] == ["", "duplicate", ""]
        assert [fact.outcome for fact in await facts(journal, SignalClosed)] == ["traded", "traded"]
        assert rehearse(await facts(journal), Follows()).differences == []


async def test_a_halt_that_comes_while_the_state_is_judged_is_not_undone(tmp_path):
    """Found by the simulation: `active` was written after `killed`, because it was decided before and waited for its turn."""
    async with daemon("gate", tmp_path / "j.db") as (_, one, _bus, journal):
        desk = one.desk
        await desk.change("reducing", "a test")
        async with desk.keeper.turn:
            judged = asyncio.create_task(desk.change("active", "reconciled"))
            await asyncio.sleep(0)
            await desk.keeper.write([StateChanged(desk.keeper.now(), "", "killed", "operator")])
        await judged
        assert desk.state == "killed"
        assert [fact.state for fact in await facts(journal, StateChanged)][-1] == "killed"


async def test_a_message_that_is_not_kept_is_not_acknowledged(tmp_path):
    async with daemon("gate", tmp_path / "j.db") as (_, _one, bus, journal):
        plain, told = journal.append, []

        async def append(written):
            if any(isinstance(fact, SignalReceived) for fact in written):
                told.append(kept.is_set())
            return await plain(written)

        journal.append = append
        kept = asyncio.Event()
        kept = await bus.publish(rating(1, BTC=50))
        await until(kept.is_set)
        assert told == [False]


async def test_a_message_that_waits_when_the_bot_starts_is_traded(tmp_path):
    early = Bus()
    await early.publish(rating(1, BTC=50))
    async with daemon("gate", tmp_path / "j.db", bus=early) as (_, one, _bus, _journal):
        await until(lambda: held(one) > 2)


async def test_a_session_under_a_limit_is_told_again_under_the_same_limit(tmp_path):
    limits = Limits(weight_per_asset=0.3)
    async with daemon("gate", tmp_path / "j.db", limits=limits) as (_, one, bus, journal):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) and one.desk.is_quiet)
        assert held(one) < D("1.6")
        found = await facts(journal)
        again = rehearse(found, Follows(), limits=limits)
        assert (again.differences, again.same > 0) == ([], True)
        assert rehearse(found, Follows()).differences


async def test_killed_sends_nothing_until_a_person_resumes(tmp_path):
    async with daemon("gate", tmp_path / "j.db") as (it, one, bus, journal):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) > 2 and one.desk.is_quiet)
        assert (await one.act(Command("kill", "not ours alone", "k1")))["state"] == "killed"
        it.exchange.set_price("BTC/USDT", D(85), 0, half_spread=D("0.001"))
        await until(one.desk.waiting)
        sent = len(it.exchange.orders)
        await asyncio.sleep(0.5)
        assert (len(it.exchange.orders), held(one) > 2) == (sent, True)
        await one.act(Command("resume", "", "k2"))
        await until(lambda: not held(one) and one.desk.is_quiet)
        assert len(await facts(journal, ExitHit)) == 1


async def test_a_price_that_reaches_the_stop_sells(tmp_path):
    async with daemon("gate", tmp_path / "j.db") as (it, one, bus, journal):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) > 2 and one.desk.is_quiet)
        it.exchange.set_price("BTC/USDT", D(85), 0, half_spread=D("0.001"))
        await until(lambda: not held(one) and one.desk.is_quiet)
        (hit,) = await facts(journal, ExitHit)
        assert hit.price < 90
        assert rehearse(await facts(journal), Follows()).differences == []


async def test_when_the_vendors_key_is_revoked_its_feed_stops_and_what_is_held_stays_protected(tmp_path):
    today = datetime.now(UTC).date()
    api = Vendor("right", [Token(3375, "BTC", "Bitcoin")])
    api.publish(
        Published("tm-grade-history", 3375, today - timedelta(days=n), 0, {"TM_GRADE": 40.0, "QUANT_GRADE": 40.0})
        for n in (1, 2)
    )
    alerts = []

    def feed(one):
        store, clock = RatingsStore(tmp_path / "ratings.db"), SystemClock()
        client = TokenMetrics("right", clock, Budget(50), Manner(base=server.url, apart_seconds=0.0, tries=1))
        feeding = Feeding({"BTC/USDT": 3375}, ("tm_grade_history",), lag=timedelta(0))
        tell = lambda is_up, why: one.link_changed("tokenmetrics", is_up, why)  # noqa: E731
        return TokenMetricsFeed(client, store, clock, feeding, tell, alert=alerts.append)

    async with (
        LoopbackServer(api) as server,
        daemon("gate", tmp_path / "j.db", strategy=Follows(kind="tm_grade"), more=feed) as (it, one, _, _),
    ):
        await until(lambda: held(one) > 0)
        source = one.sources[1]
        assert one.status()["sources"]["tokenmetrics"]["state"] == "answers"
        assert one.status()["sources"]["tokenmetrics"]["credits"]["of_month"] == 50
        api.key = "another"
        source.turns["tm_grade_history"].due = source.clock.now()
        await source.poll()
        standing = one.status()["sources"]["tokenmetrics"]
        assert (standing["state"], "401" in standing["endpoints"]["tm_grade_history"]) == ("stopped", True)
        assert standing["newest"]["tm_grade"] == f"{today - timedelta(days=1)} 00:00"
        assert len(alerts) == 1
        assert "tm_grade_history is not asked any more" in alerts[0]
        it.exchange.set_price("BTC/USDT", D(80), it.clock.now_ms(), half_spread=D("0.001"))
        await until(lambda: of(one, ExitHit) and held(one) == 0)
        assert [fact.is_up for fact in of(one, LinkChanged) if fact.link == "tokenmetrics"] == [True, False]


async def test_a_timer_wakes_when_it_is_due(tmp_path):
    strategy = Follows(timedelta(seconds=0.4))
    async with daemon("gate", tmp_path / "j.db", strategy=strategy) as (_, one, bus, _journal):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: any("timer" in fact.causes for fact in of(one, Decided)))


async def test_commands_are_carried_out_once_per_key_and_survive(tmp_path):
    async with daemon("gate", tmp_path / "j.db") as (_, one, bus, journal):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) > 2 and one.desk.is_quiet)
        assert (await one.act(Command("halt", "lunch", "k1")))["state"] == "halted"
        assert (await one.act(Command("halt", "lunch", "k1")))["done"] == "already"
        await bus.publish(rating(2, ETH=30))
        await asyncio.sleep(0.3)
        assert held(one, "ETH/USDT") == 0
        await one.act(Command("resume", "", "k2"))
        await until(lambda: one.desk.state == "active")
        await bus.publish(rating(3, ETH=30))
        await until(lambda: held(one, "ETH/USDT") > 0 and one.desk.is_quiet)
        assert len(await facts(journal, CommandTaken)) == 2
        status = one.status()
        assert status["state"] == "active"
        assert set(status["holdings"]) == {"BTC/USDT", "ETH/USDT"}
        assert rehearse(await facts(journal), Follows()).differences == []


async def test_flatten_is_a_goal_that_is_pursued_until_nothing_is_held(tmp_path):
    async with daemon("gate", tmp_path / "j.db") as (it, one, bus, journal):
        await bus.publish(rating(1, BTC=40, ETH=40))
        await until(lambda: held(one) > 1 and held(one, "ETH/USDT") > 1 and one.desk.is_quiet)
        it.server.is_down = True
        await one.act(Command("flatten", "", "k1"))
        await asyncio.sleep(1.0)
        assert held(one) > 1
        it.server.is_down = False
        await until(lambda: not held(one) and not held(one, "ETH/USDT") and one.desk.is_quiet)
        assert one.desk.state == "halted"
        assert {fact.side for fact in await facts(journal, Filled)} == {"buy", "sell"}


async def test_an_exchange_that_is_away_for_ten_minutes_a_hundred_times_as_fast(tmp_path):
    async with daemon("gate", tmp_path / "j.db") as (it, one, bus, journal):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) > 2 and one.desk.is_quiet)
        it.server.is_down = True
        kept = await bus.publish(rating(2, BTC=0, ETH=40))
        async with asyncio.timeout(2):
            await kept.wait()
        await until(lambda: one.desk.state == "recovering")
        await asyncio.sleep(5.0)
        it.server.is_down = False
        await until(lambda: one.desk.state == "active" and one.desk.is_quiet)
        assert held(one) == 0
        assert held(one, "ETH/USDT") > 1
        assert len(it.account.orders) == 3
        assert [fact.state for fact in await facts(journal, StateChanged)][-1] == "active"
        market = lambda: [fact.is_up for fact in of(one, LinkChanged) if fact.link == "market"]  # noqa: E731
        await until(lambda: market()[-2:] == [False, True])
        await until(lambda: one.desk.market.is_streaming, seconds=40)


async def test_a_withdrawal_by_hand_stops_opening_until_an_operator_adopts_it(tmp_path):
    async with daemon("gate", tmp_path / "j.db") as (it, one, bus, journal):
        it.exchange.deposit(it.account, "USDT", D(-100))
        await until(lambda: one.desk.state == "reducing")
        await bus.publish(rating(1, BTC=20))
        await asyncio.sleep(0.3)
        assert it.account.orders == []
        await one.act(Command("adopt", "", "k1"))
        await until(lambda: one.desk.state == "active")
        await bus.publish(rating(2, BTC=30))
        await until(lambda: held(one) > 1)
        assert [fact.side for fact in await facts(journal, OrderPlaced)][-1] == "buy"


class OnTheHour:
    """Wakes at each bar and at the next full hour."""

    wants = Wants(bars=1)

    def decide(self, view):
        return Decision.hold().wake_at(view.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))


async def test_a_timer_at_a_bars_end_is_one_wake_with_the_bar_as_in_a_replay(tmp_path):
    clock, hour = just_before_an_hour(3)
    async with daemon("gate", tmp_path / "j.db", strategy=OnTheHour(), clock=clock) as (it, one, bus, journal):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: one.desk.engine.due() == hour)
        await until(lambda: clock.now_ms() > hour.timestamp() * 1_000 + 300)
        opened = round(hour.timestamp() * 1_000) - 3_600_000
        for asset, price in (("BTC/USDT", D(101)), ("ETH/USDT", D(11))):
            it.exchange.add_candle(asset, "1h", (opened, price, price, price, price, D(1)))
        await until(lambda: [fact for fact in of(one, Decided) if "timer" in fact.causes], seconds=8)
        (woken,) = [fact for fact in await facts(journal, Decided) if "timer" in fact.causes]
        assert woken.causes == ("bar", "timer")
        assert hour <= woken.at < hour + timedelta(seconds=8), "it is decided when the bar is there, not before"
        assert one.desk.engine.due() == hour + timedelta(hours=1)
        assert rehearse(await facts(journal), OnTheHour()).differences == []


async def test_a_foreign_order_is_noticed_by_its_stream_long_before_the_next_comparison(tmp_path):
    pace = Pace(reconcile_seconds=60.0, stale_seconds=90.0, stirred_seconds=0.2, idle_seconds=0.05, stop_seconds=5.0)
    async with daemon("gate", tmp_path / "j.db", pace=pace) as (it, one, bus, journal):
        await bus.publish(rating(1, BTC=50))
        await until(lambda: held(one) > 2 and one.desk.is_quiet and one.status()["streams"]["account"])
        it.exchange.place(
            it.account, "ETH/USDT", "buy", quantity=D(1), limit=D(11), spend=None, lasts="ioc", client_id="t-by-hand",
            at_ms=it.clock.now_ms(),
        )  # fmt: skip
        await until(lambda: one.reconciler.off.get("ETH"), seconds=5)
        assert await facts(journal, ForeignSeen)


@pytest.mark.parametrize(("age", "first"), [(72.0, "sent"), (95.0, "compared")])
async def test_what_was_decided_goes_out_before_a_comparison_at_its_usual_time(tmp_path, age, first):
    """A comparison takes several requests; an order waits for one that is long overdue, and not for one that may wait."""
    pace = Pace(reconcile_seconds=60.0, stale_seconds=500.0, idle_seconds=0.05, stop_seconds=5.0)
    async with daemon("gate", tmp_path / "j.db", pace=pace) as (_, one, bus, _journal):
        (till,) = one.house.tills
        await until(lambda: till.good_at is not None)
        compare, happened = till.reconciler.run, []

        async def run():
            happened.append("compared")
            return await compare()

        def hear(fact):
            if isinstance(fact, OrderSending):
                happened.append("sent")

        till.reconciler.run = run
        one.desk.keeper.listeners.append(hear)
        async with till.hands:
            await bus.publish(rating(1, BTC=50))
            await until(lambda: of(one, OrderPlaced))
            till.good_at = till.keeper.clock.monotonic() - age
            till.wants_reconcile = till.stream.is_stirred = False
        await until(lambda: held(one) > 2 and one.desk.is_quiet and len(happened) > 1)
        assert happened[:2] == [first, "compared" if first == "sent" else "sent"]
