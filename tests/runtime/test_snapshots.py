"""A snapshot equals the fold, attribute by attribute, wherever it is taken; one that does not fit is passed over."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from strategies import load
from tests.adapters.test_journal_postgres import server, url  # noqa: F401 - fixtures
from tests.runtime.test_daemon import Follows, daemon, facts, held, rating
from tests.services.parts import until
from trader.adapters.clock import SystemClock
from trader.adapters.journal_postgres import PostgresJournal
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.paper_venue import PaperVenue
from trader.app import bench
from trader.core.costs import Costs
from trader.core.facts import Filled, OrderPlaced
from trader.core.instruments import from_terms_row
from trader.core.records import LinkChanged, MountStarted
from trader.core.risk import Limits
from trader.core.states import Coder, StateError
from trader.demo import Stage, TapePrices, play
from trader.runtime.daemon import Pace
from trader.runtime.desk import Execution
from trader.runtime.inbox import Rules
from trader.runtime.recovery import recover, refold
from trader.runtime.snapshots import capture, parts_of, program_of, restore

LIMITS = Limits(weight_per_asset=0.4, drawdown=0.5, orders_per_day=20)
EXITS = [{"trail_by": 0.03}, {"rise_by": 0.05}]
STRATEGY = load("TopRated", {"kind": "derived_trader", "top": 3, "enter": 50, "band": 0.02, "exits": EXITS})


def fresh(session, strategy=STRATEGY, capital=Decimal(10_000), limits=LIMITS, journal=None):
    """A desk with everything around it that has learnt nothing."""
    start = next(fact for fact in session if isinstance(fact, MountStarted))
    instruments = [from_terms_row(row) for row in start.terms]
    venue = PaperVenue(
        TapePrices([one.asset for one in instruments]), SystemClock(), costs=Costs(), path=None, deposit={}
    )
    return bench(
        name=start.mount, strategy=strategy, instruments=instruments, capital=capital, journal=journal, venue=venue,
        clock=SystemClock(), execution=Execution(), limits=limits, rules=Rules(max_age=timedelta(days=4)),
    )  # fmt: skip


def folded(session, made=None):
    made = made or fresh(session)
    refold(session, made.house)
    return made


def state(made):
    return capture(made.house)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    since = datetime(2024, 3, 1, tzinfo=UTC)
    stage = Stage(STRATEGY, since=since, until=since + timedelta(days=25), limits=LIMITS)
    ended = asyncio.run(play(stage, tmp_path_factory.mktemp("session") / "j.db"))
    assert len([fact for fact in ended.facts if isinstance(fact, Filled)]) > 20
    return ended.facts


@pytest.mark.slow
def test_a_snapshot_and_the_rest_of_the_facts_are_the_whole_fold_wherever_it_is_taken(session):
    whole, lot = state(folded(session)), Random(1)
    working = [n for n, fact in enumerate(session, 1) if isinstance(fact, OrderPlaced)][:5]
    for cut in [0, 1, len(session), *working, *(lot.randrange(len(session)) for _ in range(25))]:
        part, made = folded(session[:cut], fresh(session)), fresh(session)
        text = state(part)
        restore(text, made.house)
        assert state(made) == text, cut
        live, tracks = made.desk.outbox.live, made.desk.outbox.tracks
        assert live.keys() == part.desk.outbox.live.keys()
        assert all(live[name] is tracks[name] for name in live)
        refold(session[cut:], made.house)
        assert state(made) == whole, cut


NO_STATE = {  # what is given at construction, what lives only within one call, and what a process finds out anew
    "mount": {"name", "terms", "placed", "touched"},
    "feed": {"names", "index", "number", "market", "_keep"},
    "engine": {
        "dealer", "failure", "gate", "is_alone", "market", "mount", "number", "rebalance", "record", "sound", "strategy", "unknown_held",
        "wants",
    },
    "gate": {"limits"},
    "outbox": {"_keeper", "_venue", "_clock", "_account", "_namespace", "_fence_ms", "_is_ours", "explains", "live"},
    "reconciler": {
        "_keeper", "_venue", "_outbox", "_clock", "_symbols", "_quote", "_dust", "_marker", "off", "_since_ms", "_account", "_scopes", "_is_at",
        "_is_of", "_free",
    },
    "outcomes": {"mount", "wanted"},
    "desk": {
        "engine", "keeper", "outbox", "symbols", "execution", "latched", "venue", "_clock", "heard", "_failures", "_flat_again", "_again",
        "outcomes", "participation", "name", "scope", "market", "spare", "claimed", "is_short",
    },
    "participation": {"_mount", "_share", "_concerns"},
    "registry": {"_places", "_universes", "_first", "_is_one"},
    "inbox": {"_read", "_journal", "_clock", "_assets", "_rules", "_price", "_ranks"},
}  # fmt: skip


def test_every_attribute_is_state_or_known_not_to_be(session):
    made = fresh(session)
    parts = parts_of(made.house)
    assert set(parts) == set(NO_STATE)
    for name, part in parts.items():
        attributes = set(getattr(part, "__slots__", None) or vars(part))
        assert attributes - set(part.STATE) == NO_STATE[name], name
        assert set(part.STATE) <= attributes, name


@pytest.mark.slow
def test_a_text_of_another_shape_is_refused_and_changes_nothing(session):
    text = state(folded(session))
    shapes = [
        "", "{", "[]", text.replace('"feed"', '"food"'), text.replace('"$":"Track"', '"$":"Popen"'),
        text.replace('"placed":', '"place":', 1), text.replace('"decimal","is":"', '"decimal","is":"x', 1),
    ]  # fmt: skip
    for shape in shapes:
        made = fresh(session)
        before = state(made)
        with pytest.raises(StateError):
            restore(shape, made.house)
        assert state(made) == before
    json.loads(text)


def test_a_snapshot_belongs_to_its_program_strategy_capital_and_limits(session):
    programs = {
        program_of(made.desk.engine)
        for made in (
            fresh(session), fresh(session), fresh(session, capital=Decimal(9_999)), fresh(session, limits=None),
            fresh(session, load("TopRated", {"kind": "derived_trader", "top": 2})),
        )
    }  # fmt: skip
    assert len(programs) == 4


async def test_a_value_without_a_form_is_refused():
    class Thing:
        STATE = ("it",)
        it = object()

    with pytest.raises(StateError, match="no form"):
        Coder([]).capture({"thing": Thing()})


async def kept_and_read(journal, again):
    """What any journal must do with snapshots."""
    at = datetime(2024, 1, 1, tzinfo=UTC)
    await journal.take("me", seconds=60)
    assert await journal.snapshot("p") is None
    await journal.append([LinkChanged(at, "one", True, "")])
    await journal.keep_snapshot("p", '{"state": "ü"}')
    found = await journal.snapshot("p")
    assert (found.seq, found.body) == (2, '{"state": "ü"}')
    assert await journal.snapshot("another program") is None
    await journal.append([LinkChanged(at, "two", True, "")])
    await journal.keep_snapshot("p", "newer")
    assert (await journal.snapshot("p")).seq == 3
    await journal.close()
    other = again()
    await other.take("me", seconds=60)
    assert (await other.snapshot("p")).body == "newer"
    return other


async def test_a_file_keeps_the_newest_and_a_changed_one_is_passed_over(tmp_path):
    path = tmp_path / "j.db"
    journal = await kept_and_read(SqliteJournal(path), lambda: SqliteJournal(path))
    assert journal._database.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)
    journal._database.execute("UPDATE snapshots SET body = 'changed'")
    assert await journal.snapshot("p") is None
    await journal.keep_snapshot("p", "again")
    journal._database.execute("UPDATE journal SET hash = 'other' WHERE seq = 4")
    assert await journal.snapshot("p") is None
    await journal.close()


async def test_postgresql_keeps_the_newest(url):  # noqa: F811
    journal = await kept_and_read(PostgresJournal(url), lambda: PostgresJournal(url))
    await journal.close()


async def test_no_snapshot_is_kept_while_a_start_is_not_over(tmp_path):
    """Found by the simulation: it kept `recovering`, and with it forgot that the bot was halted."""
    async with daemon("gate", tmp_path / "j.db") as (_, one, _bus, journal):
        one.program, one.desk.state = "p", "recovering"
        await one._snapshot(1)
        assert await journal.snapshot("p") is None
        one.desk.state = "halted"
        await one._snapshot(1)
        assert await journal.snapshot("p") is not None


async def test_a_running_bot_is_what_its_facts_say_and_starts_from_its_snapshot(tmp_path):
    path = tmp_path / "j.db"
    pace = Pace(reconcile_seconds=0.3, stale_seconds=0.9, idle_seconds=0.05, stop_seconds=5.0, snapshot_facts=20)
    async with daemon("gate", path, pace=pace, program="p") as (_, one, bus, journal):
        for number, weight in enumerate((50, 20, 0, 40), 1):
            await bus.publish(rating(number, BTC=weight))
            await until(lambda number=number: len(of_keys(journal)) == number and one.desk.is_quiet)
        has = held(one)
    journal = SqliteJournal(path)
    found, session = await journal.snapshot("p"), await facts(journal)
    assert found.seq > len(session) - 10
    made = folded(session[: found.seq], fresh(session, Follows(), Decimal(500), None))
    assert json.loads(state(made)) == json.loads(found.body)
    await journal.take("next", seconds=60)
    made = fresh(session, Follows(), Decimal(500), None, journal)
    assert len(await recover(made.house, journal, program="p")) < 12
    assert made.desk.engine.mount.held("BTC/USDT").quantity == has > 1
    assert len(made.desk.outbox.attempts) >= 4
    await journal.close()


class Hanging(SqliteJournal):
    """A journal whose database stops answering."""

    hangs = False

    async def append(self, facts):
        if self.hangs:
            await asyncio.sleep(3_600)
        return await super().append(facts)


async def test_a_bot_that_is_cut_off_while_it_writes_keeps_no_snapshot_of_what_it_decided(tmp_path, monkeypatch):
    path = tmp_path / "j.db"
    monkeypatch.setattr("tests.runtime.test_daemon.SqliteJournal", Hanging)
    pace = Pace(reconcile_seconds=0.3, stale_seconds=0.9, idle_seconds=0.05, stop_seconds=0.5, snapshot_facts=20)
    async with daemon("gate", path, pace=pace, program="p") as (_, one, bus, journal):
        await bus.publish(rating(1, ETH=20))
        await until(lambda: held(one, "ETH/USDT") > 0 and one.desk.is_quiet)
        journal.hangs = True
        await bus.publish(rating(2, BTC=50))
        await until(lambda: "BTC/USDT" in one.desk.engine.mount.orders)
    journal = SqliteJournal(path)
    session = await facts(journal)
    await journal.take("next", seconds=60)
    made = fresh(session, Follows(), Decimal(500), None, journal)
    await recover(made.house, journal, program="p")
    known = {("m", order.number) for order in made.desk.engine.mount.orders.values()}
    assert known <= set(made.desk.outbox.live), "an order that nobody wrote down"
    await journal.close()


def of_keys(journal):
    from trader.core.records import SignalClosed

    return [fact for fact in journal.seen if isinstance(fact, SignalClosed)]
