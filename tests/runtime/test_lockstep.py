"""The bot at a loopback exchange decides what a replay of the same tape decides, and a recorded session decides it again."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from backtests import Costs, replay
from strategies import load
from tests.services.parts import full
from trader.adapters.journal_sqlite import JournalReader, SqliteJournal
from trader.app import rehearse
from trader.core.facts import BarClosed, Decided, Filled, OrderPlaced, SignalsKnown, TargetSet
from trader.demo import Stage, play, tape_of

CASES = [
    ("gate", "TopRated", {"kind": "derived_trader", "top": 2, "enter": 60, "exits": [{"fall_by": 0.03}]}),
    (
        "mexc",
        "TopRated",
        {"kind": "derived_trader", "top": 3, "enter": 50, "every": "1w", "exits": [{"trail_by": 0.05}]},
    ),
    ("gate", "FollowSignal", {"kind": "derived_signal", "size": 0.18}),
    ("paper", "TopRated", {"kind": "derived_trader", "top": 2, "enter": 60, "exits": [{"fall_by": 0.03}]}),
    ("paper", "FollowSignal", {"kind": "derived_signal", "size": 0.18}),
    ("mexc", "SmaCross", {"fast": 12, "slow": 36, "size": 0.19, "exits": [{"fall_by": 0.02}, {"rise_by": 0.03}]}),
]


def plan(facts):
    """What was decided: decisions, targets and orders, without the key by which an order is named."""
    found = []
    for fact in facts:
        match fact:
            case Decided():
                found.append(("decided", fact.at, fact.causes, fact.why))
            case TargetSet():
                found.append(("target", fact.at, fact.asset, fact.size, fact.exits))
            case OrderPlaced():
                found.append(("order", fact.at, fact.asset, fact.side, fact.quantity, fact.why))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("venue", "name", "parameters"), CASES, ids=[f"{one[0]}-{one[1]}" for one in CASES])
async def test_the_same_tape_gives_the_same_decisions_live_and_in_a_replay(venue, name, parameters, tmp_path):
    strategy = load(name, parameters)
    since, until = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 22, tzinfo=UTC)
    stage = Stage(strategy, venue=venue, since=since, until=until, cash=Decimal(10_000))
    ended = await play(stage, tmp_path / "j.db")
    fee, takes = {"gate": (0.002, "received"), "mexc": (0.0005, "quote"), "paper": (0.001, "quote")}[venue]
    costs = Costs(fee=fee, half_spread=stage.half_spread, fee_on_buy=takes)
    replayed = replay(strategy, tape_of(stage), cash=10_000, costs=costs, exact=True)
    ours, theirs = plan(ended.facts), plan(replayed.facts())
    assert len([one for one in ours if one[0] == "order"]) > 10
    for live, back in zip(ours, theirs, strict=True):
        assert live == back
    assert ended.cash == Decimal(str(replayed.cash)) or abs(float(ended.cash) - float(replayed.cash)) < 1e-6
    assert not ended.discrepancies
    heard = rehearse(ended.facts, strategy)
    assert heard.differences == []
    assert heard.same == heard.decisions == len([one for one in ours if one[0] == "decided"]) > 3


@pytest.mark.slow
async def test_every_message_of_a_session_has_exactly_one_outcome(tmp_path):
    from trader.core.records import SignalClosed, SignalReceived

    strategy = load("TopRated", CASES[0][2])
    since, until = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 10, tzinfo=UTC)
    ended = await play(Stage(strategy, since=since, until=until), tmp_path / "j.db")
    received = [fact for fact in ended.facts if isinstance(fact, SignalReceived)]
    closed = [fact.key for fact in ended.facts if isinstance(fact, SignalClosed)]
    assert len(received) > 20
    reader = JournalReader(tmp_path / "j.db")
    held, curve = reader.holdings(), reader.equity()
    assert {one.asset: one.quantity for one in held if one.quantity} == ended.holdings
    assert (curve[-1].cash, curve[-1].equity) == (ended.cash, ended.equity)
    assert [one.at for one in curve] == sorted({fact.at for fact in ended.facts if isinstance(fact, BarClosed)})
    reader.close()
    again = SqliteJournal(tmp_path / "j.db")
    again.rebuild()
    await again.close()
    reader = JournalReader(tmp_path / "j.db")
    assert (reader.holdings(), reader.equity()) == (held, curve)
    reader.close()
    assert sorted(closed) == sorted(fact.key for fact in received if not fact.outcome)


@pytest.mark.slow
async def test_another_strategy_on_the_record_is_found_and_called_a_change_of_code(tmp_path):
    since, until = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 10, tzinfo=UTC)
    ended = await play(Stage(load("TopRated", CASES[0][2]), since=since, until=until), tmp_path / "j.db")
    heard = rehearse(ended.facts, load("TopRated", {**CASES[0][2], "top": 1}))
    assert heard.notes
    assert {one.reason for one in heard.differences} == {"code"}
    assert heard.same < heard.decisions


@pytest.mark.slow
async def test_what_differs_is_told_apart_into_input_and_state(tmp_path):
    strategy = load("TopRated", CASES[0][2])
    since, until = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 6, tzinfo=UTC)
    ended = await play(Stage(strategy, since=since, until=until), tmp_path / "j.db")
    facts = ended.facts
    assert all(len(fact.saw) == 25 for fact in facts if isinstance(fact, Decided))
    at = next(
        n for n, fact in enumerate(facts) if isinstance(fact, SignalsKnown) and fact.signals[0].kind == "derived_trader"
    )
    said = facts[at].signals
    other = replace(facts[at], signals=(replace(said[0], value=said[0].value + 0.25), *said[1:]))
    heard = rehearse([*facts[:at], other, *facts[at + 1 :]], strategy)
    assert heard.differences[0].reason == "input"
    at = next(n for n, fact in enumerate(facts) if isinstance(fact, Filled))
    other = replace(facts[at], fee=facts[at].fee * 2)
    heard = rehearse([*facts[:at], other, *facts[at + 1 :]], strategy)
    assert heard.differences[0].reason == "state"


FED = [
    (
        "moonshots",
        "MoonshotBasket",
        {"kind": "moonshot", "most": 3, "join": "1d", "hold": "6d", "exits": [{"fall_by": 0.12}]},
    ),
    ("hourly_trading_signals", "FollowSignal", {"kind": "hourly_trend", "size": 0.19}),
    (
        "market_metrics",
        "RegimeGate",
        {
            "kind": "regime",
            "inner": {"name": "TopRated", "parameters": {"kind": "trader_grade", "top": 2, "enter": 50}},
        },
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("endpoint", "name", "parameters"),
    [pytest.param(*one, id=one[0], marks=full) for one in FED],
)
async def test_what_the_vendor_says_over_a_socket_is_decided_as_in_a_replay(endpoint, name, parameters, tmp_path):
    strategy = load(name, parameters)
    since, until = datetime(2024, 2, 20, tzinfo=UTC), datetime(2024, 4, 20, tzinfo=UTC)
    if endpoint == "hourly_trading_signals":
        until = datetime(2024, 2, 24, tzinfo=UTC)
    endpoints = (endpoint, "trading_signals") if name == "RegimeGate" else (endpoint,)
    stage = Stage(strategy, since=since, until=until, cash=Decimal(10_000), feeds=True, endpoints=endpoints)
    ended = await play(stage, tmp_path / "j.db")
    costs = Costs(fee=0.002, half_spread=stage.half_spread, fee_on_buy="received")
    replayed = replay(strategy, tape_of(stage), cash=10_000, costs=costs, exact=True)
    ours, theirs = (
        [row for row in plan(facts) if row[0] == "order" and row[1] > since]
        for facts in (ended.facts, replayed.facts())
    )
    assert len(ours) > 6
    assert ours == theirs
    assert not ended.discrepancies
    heard = {one.kind for fact in ended.facts if isinstance(fact, SignalsKnown) for one in fact.signals}
    assert set(strategy.wants.signals) <= heard
