"""Changing a configuration in a running daemon at a loopback exchange: what is planned, what is swapped, and what refuses it."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.runtime.test_daemon import ASSETS, D, daemon, facts, held
from tests.services.parts import until
from trader.adapters.payloads import compose
from trader.app import rehearse
from trader.core.facts import OrderPlaced, OrderUnknown
from trader.core.orders import UNKNOWN
from trader.core.records import ConfigApplied
from trader.core.risk import Limits
from trader.furnishing import Bench, Post
from trader.loopback.faults import Fault
from trader.reconfiguring import Reconfiguring, versions_of
from trader.runtime.control import Command
from trader.runtime.snapshots import state_of
from trader.several_settings import load_setup
from trader.version import AT_ONCE, changed, changes, recorded

ROOT = Path(__file__).parents[2]
TEXT = """\
version: 1
name: m
venue: gate
capital: 500
assets: [BTC/USDT, ETH/USDT]
strategy: {name: RatingBand, parameters: {size: 0.2, kind: weight, max_age: 30d}}
limits: {weight_per_asset: 60%}
execution: {fence: 400ms, settle: 300ms}
account: {key: loopback-key, secret: loopback-secret}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(TEXT)
    return path


def read(file):
    """The version of the one mount of a file."""
    (version,) = versions_of(load_setup(file), file.parent).values()
    return version


def edited(file, *pairs):
    text = file.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    return read(file)


def said(number, **values):
    return compose(
        source="test", kind="weight", values={f"{one}/USDT": float(value) for one, value in values.items()}, type_="rating",
        issued_at=datetime.now(UTC), id_=f"{number}",
    )  # fmt: skip


async def working(it, one, file):
    """The daemon with the configuration of the file, as `app` has it."""
    setup = load_setup(file)
    version = read(file)
    desk, instruments = one.desk, await it.venue.instruments(ASSETS)
    post = Post("m", version.strategy, instruments, D(500), desk.execution, version.limits, version.costs, desk.market)
    made = Reconfiguring(file, setup, Bench(one.house, [post], desk.keeper.journal, one.program))
    made.settle()
    made.bind(one, lambda _setup: None)
    await made.note_start()
    return made


def running(file, tmp_path):
    version = read(file)
    return daemon("gate", tmp_path / "j.db", strategy=version.strategy, limits=version.limits)


async def ask(one, name, argument=""):
    async with asyncio.timeout(20):
        return await one.act(Command(name, argument))


async def test_strategy_limits_and_execution_are_swapped_and_what_is_held_stays(file, tmp_path):
    async with running(file, tmp_path) as (it, one, bus, journal):
        made = await working(it, one, file)
        await bus.publish(said(1, BTC=85, ETH=65))
        await until(lambda: held(one) and one.desk.is_quiet)
        before, engine, program = held(one), one.desk.engine, one.program
        after = edited(
            file, ("size: 0.2", "size: 0.1, enter: 60"), ("60%", "50%"), ("fence: 400ms, settle: 300ms", "fence: 900ms"),
            ("account:", "intake: {drift: 3%, trust: [a, b]}\naccount:"),
        )  # fmt: skip
        state = state_of(engine)
        plan = await ask(one, "plan")
        assert (state_of(engine), engine.record) == (state, []), "a plan touched what runs"
        assert {row["effect"] for row in plan["changes"]} == {"at once"}
        assert [(row["side"], row["asset"]) for row in plan["would"]["orders"]] == [("buy", "ETH/USDT")]
        assert (plan["anyway"]["orders"], plan["hash"], plan["refused"]) == ([], after.hash, [])
        assert (one.desk.engine, one.desk.engine.strategy, held(one)) == (
            engine,
            next(iter(made.now.values())).strategy,
            before,
        )
        done = await ask(one, "apply", plan["hash"])
        assert (done["ok"], done["done"], done["hash"]) == (True, "applied", after.hash)
        assert (engine.strategy.enter, engine.gate.limits, held(one)) == (60, Limits(weight_per_asset=0.5), before)
        assert (
            engine.mount.targets["BTC/USDT"].size == 0.2
        )  # what was aimed at stands until the strategy says otherwise
        assert (one.desk.outbox._fence_ms, it.venue.settle_seconds) == (900, 3.0)
        assert (one.inbox._rules.drift, one.inbox._ranks) == (0.03, {"a": 0, "b": 1})
        assert one.program != program
        await bus.publish(said(2, ETH=66))
        await until(lambda: held(one, "ETH/USDT") and one.desk.is_quiet)
        kept = await facts(journal)
        assert [fact.why for fact in kept if isinstance(fact, ConfigApplied)] == ["a start", "an operator"]
        heard = rehearse(kept, after.strategy, limits=after.limits)
        assert (heard.differences, len(heard.changes), heard.decisions) == ([], 2, 2)
        assert "as it is on record" in heard.changes[0]


async def test_a_session_told_again_without_the_record_of_the_change_differs(file, tmp_path):
    """The proof that the record matters: with the newest strategy all along, the decision before the change is another."""
    async with running(file, tmp_path) as (it, one, bus, journal):
        await working(it, one, file)
        await bus.publish(said(1, BTC=65))
        after = edited(file, ("size: 0.2", "size: 0.2, enter: 60"))
        await until(lambda: one.desk.engine.market.rating("weight", "BTC/USDT"))
        assert (await ask(one, "apply"))["done"] == "applied"
        kept = await facts(journal)
        blind = [fact for fact in kept if not isinstance(fact, ConfigApplied)]
        assert rehearse(kept, after.strategy, limits=after.limits).differences == []
        assert rehearse(blind, after.strategy, limits=after.limits).differences
        lost = [
            ConfigApplied(fact.at, "m", fact.hash, fact.values.replace("RatingBand", "gone:Gone"), (), "")
            if isinstance(fact, ConfigApplied) and fact.why == "a start" else fact
            for fact in kept
        ]  # fmt: skip
        heard = rehearse(lost, after.strategy, limits=after.limits)
        assert heard.differences
        assert "cannot be loaded" in heard.changes[0]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("capital: 500", "capital: 600", "capital"),
        ("[BTC/USDT, ETH/USDT]", "[BTC/USDT]", "assets"),
        ("name: m", "name: n", "name"),
        ("key: loopback-key", "key: other-key", "account.key"),
        ("account:", "intake: {directory: in}\naccount:", "intake.directory"),
        ("account:", "timeframe: 4h\naccount:", "timeframe"),
    ],
)
async def test_what_needs_a_restart_changes_nothing(file, tmp_path, old, new, key):
    async with running(file, tmp_path) as (it, one, _, journal):
        made = await working(it, one, file)
        strategy = one.desk.engine.strategy
        edited(file, ("size: 0.2", "size: 0.1"), (old, new))
        assert (await ask(one, "plan"))["refused"] == [f"it needs a restart: {key}"]
        found = await ask(one, "apply")
        assert (found["ok"], f"it needs a restart: {key}" in found["error"]) == (False, True)
        assert one.desk.engine.strategy is strategy
        assert next(iter(made.now.values())).strategy == strategy
        assert len(await facts(journal, ConfigApplied)) == 1


async def test_a_wrong_file_a_stale_plan_and_no_change_leave_all_as_it_is(file, tmp_path):
    async with running(file, tmp_path) as (it, one, _, journal):
        await working(it, one, file)
        assert (await ask(one, "apply"))["done"] == "nothing to apply"
        edited(file, ("size: 0.2", "size: 0.1"))
        plan = await ask(one, "plan")
        edited(file, ("size: 0.1", "size: 0.15"))
        stale = await ask(one, "apply", plan["hash"])
        assert (stale["ok"], "changed after the plan" in stale["error"]) == (False, True)
        file.write_text(TEXT.replace("size: 0.2", "sise: 0.2"))
        for name in ("plan", "apply"):
            found = await ask(one, name)
            assert (found["ok"], "the file is wrong, nothing was changed" in found["error"]) == (False, True)
        assert len(await facts(journal, ConfigApplied)) == 1


async def test_an_order_that_is_unknown_holds_it_up(file, tmp_path):
    async with running(file, tmp_path) as (it, one, bus, journal):
        edited(file, ("settle: 300ms", "settle: 3s"))
        await working(it, one, file)
        it.faults.rules.append(Fault("POST /orders", "reset_after", nth=1))
        await bus.publish(said(1, BTC=85))
        await until(lambda: any(track.state == UNKNOWN for track in one.desk.outbox.live.values()))
        edited(file, ("60%", "50%"))
        found = await ask(one, "apply")
        assert (found["ok"], "order 1 (buy BTC/USDT) is unknown" in found["error"]) == (False, True)
        assert one.desk.engine.gate.limits == Limits(weight_per_asset=0.6)
        await until(lambda: held(one) and one.desk.is_quiet)
        assert (await ask(one, "apply"))["done"] == "applied"
        assert len(await facts(journal, OrderUnknown)) == 1


async def test_it_waits_for_whoever_carries_orders_out(file, tmp_path, monkeypatch):
    monkeypatch.setattr("trader.reconfiguring.WAIT_SECONDS", 0.2)
    async with running(file, tmp_path) as (it, one, _, _journal):
        await working(it, one, file)
        edited(file, ("60%", "50%"))
        async with one.house.tills[0].hands:
            found = await ask(one, "apply")
        assert (found["ok"], "try again" in found["error"]) == (False, True)
        assert (await ask(one, "apply"))["done"] == "applied"


async def test_a_plan_asks_the_new_strategy_and_shows_what_it_raises(file, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom trader import Wants\n\n@dataclass(frozen=True)\nclass Mine:\n"
        "    wants = Wants(ratings=('weight',))\n\n    def decide(self, view):\n        raise RuntimeError('not yet')\n"
    )
    async with running(file, tmp_path) as (it, one, bus, journal):
        await working(it, one, file)
        await bus.publish(said(1, BTC=65))
        await until(lambda: one.desk.engine.market.rating("weight", "BTC/USDT"))
        edited(file, ("RatingBand", f"{tmp_path}/mine.py:Mine"), ("{size: 0.2, kind: weight, max_age: 30d}", "{}"))
        plan = await ask(one, "plan")
        assert "RuntimeError: not yet" in plan["would"]["failed"]
        assert plan["would"]["orders"] == []
        assert not await facts(journal, OrderPlaced)
        assert one.desk.engine.failure is None


def test_a_version_hides_secrets_and_decides_as_it_did(file, tmp_path):
    (tmp_path / "key").write_text("from-a-file")
    version = edited(file, ("key: loopback-key", "key_file: key"))
    assert not [word for word in ("from-a-file", "loopback-secret") if word in version.values]
    assert json.loads(version.values)["account"]["key"].startswith("*** (fingerprint ")
    assert recorded(version.values) == (version.strategy, version.limits, version.costs)
    (tmp_path / "key").write_text("another-one")
    again = read(file)
    assert [str(one).partition(":")[0] for one in changes(version, again, bars=300)] == ["account.key"]
    assert version.hash != again.hash
    assert read(file).hash == again.hash


@pytest.mark.parametrize("name", ["compose", "live", "paper", "thin-book"])
def test_the_examples_come_back_from_what_is_on_record(name):
    version = read(ROOT / "config" / f"{name}.yaml")
    assert recorded(version.values) == (version.strategy, version.limits, version.costs)


def test_a_strategy_that_looks_back_further_than_the_bot_does_needs_a_restart(file):
    before = read(file)
    (file.parent / "far.py").write_text(
        "from dataclasses import dataclass\nfrom trader import Decision, Wants\n\n@dataclass(frozen=True)\nclass Far:\n"
        "    wants = Wants(bars=500)\n\n    def decide(self, view):\n        return Decision.hold()\n"
    )
    after = edited(
        file, ("RatingBand", f"{file.parent}/far.py:Far"), ("{size: 0.2, kind: weight, max_age: 30d}", "{}")
    )  # fmt: skip
    effects = {one.effect for one in changes(before, after, bars=300)}
    assert (effects, {one.effect for one in changes(before, after, bars=1_000)}) == ({"restart"}, {"at once"})


def test_every_key_of_what_takes_effect_at_once_exists(file):
    keys = json.loads(read(file).values)
    for name in AT_ONCE:
        found = keys
        for part in name.split("."):
            found = found[part]
    assert [one.effect for one in changed("{}", '{"limits_of_mine": 1}')] == ["restart"]
