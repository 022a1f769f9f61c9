"""Several mounts at work: on one account and on two, halted and flattened apart, each with its own money, and what a restart knows of them."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.contracts.worlds import SkewedClock, loopback
from tests.runtime.test_daemon import ASSETS, FAST, Follows, facts, rating
from tests.services.parts import until
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.sources import Bus
from trader.app import rehearse
from trader.core.facts import Filled, Halted, OrderClosed, OrderPlaced, OrderSending
from trader.core.records import BaselineSet, DiscrepancySeen, MountStarted, SignalClosed, SignalReceived, StateChanged
from trader.furnishing import Account, Post, furnish, market_of, start
from trader.loopback.walk import Walk
from trader.runtime.control import Command
from trader.runtime.daemon import Daemon
from trader.runtime.desk import Execution
from trader.runtime.logs import Log
from trader.runtime.recovery import recover, refold
from trader.runtime.registry import LeftBehindError, Registry
from trader.runtime.snapshots import capture, restore

D = Decimal
EXECUTION = Execution(collar=0.005, again_seconds=0.05, fee=0.002)
BOTH = {"main": {"a": (Follows(), ASSETS, 300), "b": (Follows(kind="other"), ASSETS, 200)}}


class Raises(Follows):
    """Fails whenever it is asked."""

    def decide(self, view):
        raise RuntimeError("not today")


async def furnished(journal, worlds, plan):
    """A house with the mounts of a plan: account -> name -> strategy, assets, capital."""
    accounts = []
    for (name, mounts), it in zip(plan.items(), worlds, strict=True):
        clock, instruments = SkewedClock(it.clock), await it.venue.instruments(ASSETS)
        market = market_of(it.venue, clock, instruments, "1h", [one[0] for one in mounts.values()], name)
        market._every = 0.05
        posts = [
            Post(mount, strategy, [one for one in instruments if one.asset in assets], D(capital), EXECUTION, market=market)
            for mount, (strategy, assets, capital) in mounts.items()
        ]  # fmt: skip
        accounts.append(Account(name, f"{name:a<4}"[:4], it.venue, posts, 400))
    return furnish("several", accounts, journal, SkewedClock(worlds[0].clock))


@asynccontextmanager
async def several(path, plan=None, venues=("gate",)):
    plan = plan or BOTH
    async with AsyncExitStack() as stack:
        worlds = [await stack.enter_async_context(loopback(one)) for one in venues]
        for it in worlds:
            Walk(it.exchange, {"BTC/USDT": D(100), "ETH/USDT": D(10)}, seed=1).past(it.clock.now_ms(), 5)
        async with at_work(path, plan, worlds) as (one, bus, journal):
            yield worlds, one, bus, journal


@asynccontextmanager
async def at_work(path, plan, worlds):
    """The house at worlds that are there, recovered from what the journal has."""
    journal, bus = SqliteJournal(path), Bus()
    await journal.take("test", seconds=60)
    try:
        made = await furnished(journal, worlds, plan)
        one = Daemon(made.house, [bus], Log(), FAST)
        await recover(made.house, journal)
        await start(made)
    except BaseException:
        await journal.close()
        raise
    task = asyncio.create_task(one.run())
    try:
        await until(
            lambda: (
                task.done()
                or (one.house.state == "active" and all(one._is_heard[it].is_set() for it in one.house.markets))
            )
        )
        yield one, bus, journal
    finally:
        one.stop()
        async with asyncio.timeout(10):
            await task
        await journal.close()


def said(number, kind="weight", **weights):
    return rating(number, **weights).replace(b'"weight"', f'"{kind}"'.encode())


def held(one, mount, asset="BTC/USDT"):
    (desk,) = one.house.named(mount)
    holding = desk.engine.mount.held(asset)
    return D(0) if holding is None else holding.quantity


def spent(found, mount):
    """What the fills of a mount cost and brought, fees included; in money and in BTC."""
    money = units = D(0)
    for fact in found:
        if isinstance(fact, Filled) and fact.mount == mount:
            sign = 1 if fact.side == "buy" else -1
            money -= sign * fact.quantity * fact.price + (fact.fee if fact.fee_asset == "quote" else 0)
            units += sign * fact.quantity - (fact.fee if fact.fee_asset != "quote" else 0)
    return money, units


async def test_each_mount_trades_with_its_own_money_on_the_one_account(tmp_path):
    async with several(tmp_path / "j.db") as ((it,), one, bus, journal):
        await bus.publish(said(1, BTC=50))
        await until(lambda: held(one, "a") and one.house.is_quiet)
        assert not held(one, "b")
        await bus.publish(said(2, "other", BTC=90))
        await until(lambda: held(one, "b") and one.house.is_quiet)
        assert D("1.4") < held(one, "a") < D("1.6") < held(one, "b") < D("1.9")
        await bus.publish(said(3, BTC=0))
        await until(lambda: not held(one, "a") and one.house.is_quiet)
        assert held(one, "b") > D("1.7"), "what the other sold is not this one's"
        found = await facts(journal)
        cash = {desk.name: D(str(desk.engine.mount.ledger.total_cash())) for desk in one.house.desks}
        assert cash == {"a": 300 + spent(found, "a")[0], "b": 200 + spent(found, "b")[0]}
        assert it.account.held("USDT").available == 1_000 - 500 + cash["a"] + cash["b"]
        assert it.account.held("BTC").available == spent(found, "a")[1] + spent(found, "b")[1]
        await one.house.tills[0].reconcile()
        assert not await facts(journal, DiscrepancySeen)
        keys = [fact.key for fact in found if isinstance(fact, SignalReceived)]
        ends = {(fact.mount, fact.key): fact.outcome for fact in found if isinstance(fact, SignalClosed)}
        assert ends == {
            ("a", keys[0]): "traded", ("b", keys[0]): "unwanted", ("a", keys[1]): "unwanted", ("b", keys[1]): "traded",
            ("a", keys[2]): "traded", ("b", keys[2]): "unwanted",
        }  # fmt: skip
        sent = {fact.client_id: fact.mount for fact in found if isinstance(fact, OrderSending)}
        assert {sent[order.client_id] for order in it.account.orders} == {"a", "b"}
        for mount, strategy in (("a", Follows()), ("b", Follows(kind="other"))):
            assert rehearse(found, strategy, mount=mount).differences == []
        shown = one.status()
        assert {name: row["cash"] for name, row in shown["mounts"].items()} == {
            name: str(money) for name, money in cash.items()
        }
        assert D(shown["cash"]) == sum(cash.values())


async def test_a_mount_is_halted_resumed_and_flattened_and_the_other_goes_on(tmp_path):
    async with several(tmp_path / "j.db") as (_, one, bus, journal):
        assert (await one.act(Command("halt", "", "k0", "c")))["error"] == "no mount is named 'c'; there are a, b"
        assert (await one.act(Command("halt", "a while", "k1", "a")))["state"] == "halted"
        await bus.publish(said(1, BTC=50))
        await bus.publish(said(2, "other", BTC=50))
        await until(lambda: held(one, "b") and one.house.is_quiet)
        assert (held(one, "a"), one.status()["state"]) == (0, "halted")
        assert {name: row["state"] for name, row in one.status()["mounts"].items()} == {"a": "halted", "b": "active"}
        assert (await one.act(Command("resume", "", "k2", "a")))["done"] == "resume"
        await until(lambda: one.house.state == "active")
        await bus.publish(said(3, BTC=40))
        await until(lambda: held(one, "a") and one.house.is_quiet)
        await one.act(Command("flatten", "", "k3", "b"))
        await until(lambda: not held(one, "b") and one.house.is_quiet)
        assert held(one, "a") > 1
        assert [desk.is_flattening for desk in one.house.desks] == [False, True]
        assert (await one.act(Command("halt", "", "k4")))["state"] == "halted"
        assert {desk.state for desk in one.house.desks} == {"halted"}
        scopes = [(fact.scope, fact.state) for fact in await facts(journal, StateChanged) if fact.state == "halted"]
        assert scopes == [("a", "halted"), ("b", "halted"), ("", "halted")]


async def test_a_strategy_that_fails_stops_its_mount_alone(tmp_path):
    plan = {"main": {"a": (Raises(), ASSETS, 300), "b": (Follows(), ASSETS, 200)}}
    async with several(tmp_path / "j.db", plan) as (_, one, bus, journal):
        for number, weight in enumerate((20, 30, 40), 1):
            await bus.publish(said(number, BTC=weight))
            await until(
                lambda number=number: (
                    len(one.house.desks[1].commands) == 0 and len([1 for _ in range(number)]) == number
                )
            )
        await until(lambda: one.house.desks[0].engine.mount.halted == "strategy")
        await until(lambda: held(one, "b") > D("0.7") and one.house.is_quiet)
        assert [fact.mount for fact in await facts(journal, Halted)] == ["a"]
        assert one.house.desks[1].engine.mount.halted == ""


async def test_what_a_mount_may_spend_is_also_what_the_account_has_free(tmp_path):
    plan = {"main": {"a": (Follows(), ASSETS, 900), "b": (Follows(kind="other"), ASSETS, 900)}}
    async with several(tmp_path / "j.db", plan) as ((it,), one, bus, journal):
        await bus.publish(said(1, BTC=90))
        await until(lambda: held(one, "a") and one.house.is_quiet)
        await bus.publish(said(2, "other", BTC=90))
        await until(lambda: one.house.desks[1].engine.mount.orders_made)
        await until(lambda: one.house.is_quiet)
        closed = {fact.mount: fact.reason for fact in await facts(journal, OrderClosed)}
        assert closed == {"a": "filled", "b": "account_cash"}
        assert len(it.account.orders) == 1, "nothing was sent that the account could not pay"


async def test_each_account_has_its_own_orders_and_its_own_comparison(tmp_path):
    plan = {"main": {"a": (Follows(), ASSETS, 300)}, "second": {"b": (Follows(), ["BTC/USDT"], 200)}}
    async with several(tmp_path / "j.db", plan, venues=("gate", "mexc")) as ((gate, mexc), one, bus, journal):
        await bus.publish(said(1, BTC=50, ETH=30))
        await until(lambda: held(one, "a", "ETH/USDT") and held(one, "a") and held(one, "b") and one.house.is_quiet)
        found = await facts(journal)
        sent = {fact.client_id: fact.mount for fact in found if isinstance(fact, OrderSending)}
        assert {sent[order.client_id] for order in gate.account.orders} == {"a"}
        assert {sent[order.client_id] for order in mexc.account.orders} == {"b"}
        assert {fact.account for fact in found if isinstance(fact, BaselineSet)} == {"main", "second"}
        mexc.exchange.deposit(mexc.account, "USDT", D(-50))
        await until(lambda: one.house.desks[1].state == "reducing")
        assert one.house.desks[0].state == "active", "what is missing there does not concern the other account"
        off = await facts(journal, DiscrepancySeen)
        assert [(fact.account, fact.asset, fact.expected - fact.seen) for fact in off] == [("second", "USDT", 50)]
        assert {name: D(amount) for name, amount in one.status()["off"].items()} == {"second USDT": -50}
        mexc.exchange.deposit(mexc.account, "USDT", D(50))
        await until(lambda: one.house.state == "active")


async def test_a_restart_gives_each_mount_what_is_its_own_and_a_snapshot_is_the_same(tmp_path):
    path = tmp_path / "j.db"
    async with several(path) as (worlds, one, bus, journal):
        await bus.publish(said(1, BTC=50))
        await bus.publish(said(2, "other", ETH=60))
        await until(lambda: held(one, "a") and held(one, "b", "ETH/USDT") and one.house.is_quiet)
        await one.act(Command("halt", "", "k1", "b"))
        kept = {desk.name: dict(desk.engine.mount.ledger.cash) for desk in one.house.desks}
        one.stop()
        await until(one._line.empty)
        found = await facts(journal)
        fresh, restored = [await furnished(journal, worlds, BOTH) for _ in range(2)]
        refold(found, fresh.house)
        restore(capture(fresh.house), restored.house)
        for made in (fresh, restored):
            assert {desk.name: dict(desk.engine.mount.ledger.cash) for desk in made.house.desks} == kept
            assert [desk.engine.mount.held("BTC/USDT") is None for desk in made.house.desks] == [False, True]
            assert [desk.state for desk in made.house.desks][1] == "halted"
            assert (
                len(made.house.tills[0].outbox.tracks)
                == len([fact for fact in found if isinstance(fact, OrderPlaced)])
                == 2
            )
        assert capture(fresh.house) == capture(restored.house)
        plan = {"main": {"a": BOTH["main"]["a"]}}
        alone = await furnished(journal, worlds, plan)
        refold(found, alone.house)
        with pytest.raises(LeftBehindError, match=r"b is not set to work any more and has .* ETH/USDT"):
            alone.house.registry.check()


async def test_a_mount_that_joins_begins_where_it_was_set_to_work(tmp_path):
    path = tmp_path / "j.db"
    first = {"main": {"a": (Follows(), ASSETS, 300)}}
    async with loopback("gate") as it:
        Walk(it.exchange, {"BTC/USDT": D(100), "ETH/USDT": D(10)}, seed=1).past(it.clock.now_ms(), 5)
        async with at_work(path, first, [it]) as (one, bus, journal):
            await bus.publish(said(1, BTC=50))
            await until(lambda: held(one, "a") and one.house.is_quiet)
        both = {"main": {**first["main"], "b": (Follows(again=timedelta(hours=1)), ASSETS, 200)}}
        async with at_work(path, both, [it]) as (one, bus, journal):
            assert (held(one, "a") > 1, held(one, "b")) == (True, 0)
            await bus.publish(said(2, BTC=40))
            await until(lambda: held(one, "b") and one.house.is_quiet)
            found = await facts(journal)
            ends = [(fact.mount, fact.key[-1]) for fact in found if isinstance(fact, SignalClosed)]
            assert sorted(ends) == [("a", "1"), ("a", "2"), ("b", "2")]
            assert rehearse(found, both["main"]["b"][0], mount="b").differences == []
            starts = [fact.mount for fact in found if isinstance(fact, MountStarted)]
            assert starts == ["a", "a", "b"]


def test_a_journal_of_one_account_is_that_of_the_first():
    one, two = Registry({"m": "other"}, {"m": ["A"]}), Registry({"a": "main", "b": "second"}, {"a": ["A"], "b": ["A"]})
    assert one.is_at("other", "gone")
    assert one.is_of("other", "main"), "an account may be called otherwise as long as there is one"
    assert [two.is_at(name, "b") for name in ("main", "second")] == [False, True]
    assert [two.is_of(name, "") for name in ("main", "second")] == [True, False]
    assert [two.is_at(name, "gone") for name in ("main", "second")] == [True, False]


async def test_what_a_person_sold_is_missing_to_one_mount_and_the_others_keep_theirs(tmp_path):
    async with several(tmp_path / "j.db") as ((it,), one, bus, journal):
        await bus.publish(said(1, BTC=50))
        await until(lambda: held(one, "a") and one.house.is_quiet)
        await bus.publish(said(2, "other", BTC=90))
        await until(lambda: held(one, "b") and one.house.is_quiet)
        its = {mount: held(one, mount) for mount in "ab"}
        it.exchange.place(
            it.account, "BTC/USDT", "sell", quantity=D("0.4"), limit=D(90), spend=None, lasts="ioc", client_id="by-hand",
            at_ms=it.clock.now_ms(),
        )  # fmt: skip
        await one.house.tills[0].reconcile()
        await bus.publish(said(3, BTC=0))
        await until(lambda: held(one, "a") < D("0.41"))
        assert D("0.4") <= held(one, "a")
        assert its["b"] <= it.account.held("BTC").available < its["b"] + D("0.0002")
        await bus.publish(said(4, "other", BTC=0))
        await until(lambda: not held(one, "b"))
        assert it.account.held("BTC").available < D("0.0002")
        sold = {
            mount: sum(
                fact.quantity for fact in await facts(journal, Filled) if (fact.mount, fact.side) == (mount, "sell")
            )
            for mount in "ab"
        }
        assert sold["a"] <= its["a"] - D("0.4")
        assert sold["b"] <= its["b"]
