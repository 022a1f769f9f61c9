"""Two mounts on one account, played through the loopback exchange, decide, order and earn what two replays apart from each other do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest

from backtests import Costs, Tape, replay
from strategies import load
from tests.runtime.test_lockstep import plan
from trader.adapters.journal_sqlite import JournalReader, SqliteJournal
from trader.app import rehearse
from trader.core.facts import Filled, OrderPlaced
from trader.core.records import DiscrepancySeen, SignalClosed, SignalReceived
from trader.core.risk import Limits
from trader.demo import FEES, Stage, exchange_of, first_prices, frames_of, instants_of, markets_of, paper_of
from trader.furnishing import Account, Post, furnish, start
from trader.lockstep import LockStep, MarketClock
from trader.runtime.desk import ACTIVE, Execution
from trader.runtime.inbox import Rules
from trader.runtime.recovery import recover

D = Decimal
ALL = ("BNB/USDT", "BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT")
PAIRS = [
    (
        "gate",
        ("TopRated", {"kind": "derived_trader", "top": 2, "enter": 60, "exits": [{"fall_by": 0.03}]}, ALL, 10_000),
        ("SmaCross", {"fast": 12, "slow": 36, "size": 0.19, "exits": [{"fall_by": 0.02}]}, ("BTC/USDT", "ETH/USDT", "SOL/USDT"), 4_000),
    ),
    (
        "paper",
        ("TopRated", {"kind": "derived_trader", "top": 2, "enter": 60, "exits": [{"trail_by": 0.04}]}, ALL, 6_000),
        ("FollowSignal", {"kind": "derived_signal", "size": 0.18}, ("BTC/USDT", "SOL/USDT", "XRP/USDT"), 3_000),
    ),
]  # fmt: skip


async def together(stage, mounts, path):
    """The mounts of one account played in lock-step; the house as it ended, and the facts."""
    instants = instants_of(stage)
    names = sorted({asset for one in instants for asset in one.opens})
    clock, journal = MarketClock(instants[0].at), SqliteJournal(path)
    stage = replace(stage, cash=D(sum(cash for *_, cash in mounts)))
    async with (paper_of if stage.venue == "paper" else exchange_of)(stage, names) as house:
        await journal.take("test", seconds=3_600)
        for asset, price in first_prices(instants).items():
            await house.quote(asset, price)
        execution = Execution(collar=0.0, again_seconds=0.05, fee=float(FEES[stage.venue][1]))
        posts = [
            Post(f"m{n}", load(name, parameters), await house.venue.instruments(assets), D(cash), execution, Limits(gross_exposure=1.0))
            for n, (name, parameters, assets, cash) in enumerate(mounts)
        ]  # fmt: skip
        accounts = [Account("main", "main", house.venue, posts)]
        made = furnish("both", accounts, journal, clock, rules=Rules(max_age=timedelta(days=4)))
        await recover(made.house, journal)
        await made.reconciler.run()
        await start(made)
        for desk in made.house.desks:
            await desk.change(ACTIVE, "reconciled")
        async for _ in LockStep(made.house, clock, house.quote).play(instants):
            pass
        for desk in made.house.desks:
            for track in desk.waiting():
                await desk.outbox.give_up(track, "end")
        await made.reconciler.run()
        facts = [entry.fact async for entry in journal.read()]
        await journal.close()
        return made, facts


def tape_of(stage, assets):
    bars, ratings, signals = (one[one["asset"].isin(assets)].reset_index(drop=True) for one in frames_of(stage))
    rows = [
        {"asset": one.symbol, "tick": float(one.tick), "lot": float(one.lot), "min_notional": float(one.least)}
        for one in markets_of(sorted(assets))
    ]
    return Tape.from_frames(bars, ratings, signals, pd.DataFrame(rows), label="the sample")


@pytest.mark.slow
@pytest.mark.parametrize(("venue", "first", "second"), PAIRS, ids=[one[0] for one in PAIRS])
async def test_two_mounts_on_one_account_are_two_replays(venue, first, second, tmp_path):
    since, until = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 12, tzinfo=UTC)
    stage = Stage(load(first[0], first[1]), venue=venue, since=since, until=until)
    made, facts = await together(stage, (first, second), tmp_path / "j.db")
    fee, takes = {"gate": (0.002, "received"), "paper": (0.001, "quote")}[venue]
    costs = Costs(fee=fee, half_spread=stage.half_spread, fee_on_buy=takes)
    for desk, (name, parameters, assets, cash) in zip(made.house.desks, (first, second), strict=True):
        apart = replay(
            load(name, parameters), tape_of(stage, assets), cash=cash, costs=costs, exact=True, limits=Limits(gross_exposure=1.0)
        )  # fmt: skip
        own = [fact for fact in facts if getattr(fact, "mount", "") == desk.name]
        ours, theirs = plan(own), plan(apart.facts())
        assert len([one for one in ours if one[0] == "order"]) > 5
        for live, back in zip(ours, theirs, strict=True):
            assert live == back
        assert abs(float(desk.engine.mount.ledger.total_cash()) - float(apart.cash)) < 1e-6
        heard = rehearse(facts, load(name, parameters), limits=Limits(gross_exposure=1.0), mount=desk.name)
        assert heard.differences == []
        assert heard.same == heard.decisions > 3
    assert not [fact for fact in facts if isinstance(fact, DiscrepancySeen)]
    _keeps_apart(facts, made)
    _reads_apart(facts, made, tmp_path / "j.db")


def _keeps_apart(facts, made):
    """Every message that was taken has one outcome for each mount, and no fill is on another mount's order."""
    received = {fact.key for fact in facts if isinstance(fact, SignalReceived) and not fact.outcome}
    for desk in made.house.desks:
        assert sorted(
            fact.key for fact in facts if isinstance(fact, SignalClosed) and fact.mount == desk.name
        ) == sorted(received)
    placed = {(fact.mount, fact.order): fact for fact in facts if isinstance(fact, OrderPlaced)}
    for fact in facts:
        if isinstance(fact, Filled):
            assert placed[fact.mount, fact.order].asset == fact.asset


def _reads_apart(facts, made, path):
    """The read models know of each mount what its desk does."""
    reader = JournalReader(path)
    held = {(one.mount, one.asset): one.quantity for one in reader.holdings() if one.quantity}
    curve = reader.equity()
    reader.close()
    for desk in made.house.desks:
        ledger = desk.engine.mount.ledger
        own = {asset: D(str(one.quantity)) for asset, one in ledger.holdings.items() if one.quantity}
        assert {asset: quantity for (mount, asset), quantity in held.items() if mount == desk.name} == own
        last = [one for one in curve if one.mount == desk.name][-1]
        assert last.cash == D(str(ledger.total_cash()))
