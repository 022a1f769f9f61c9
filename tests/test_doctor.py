"""`trader doctor` against loopback exchanges, a real broker and a real PostgreSQL, each row with its fault planted."""

import asyncio
import json
import os
import shutil
import sqlite3
import stat
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from tests.contracts.worlds import KEY, SECRET, loopback
from tests.services.parts import Mosquitto, Postgres, free_port
from trader import doctor_house
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.ratings_store import RatingsStore
from trader.cli import app
from trader.doctor import examine
from trader.doctor_feeds import database_rows, vendor_rows
from trader.finding import code_of
from trader.key_binding import KeyChangedError, bind, binding_of, bound, hold
from trader.run_settings import load_run, state_folder
from trader.runtime.control import Control, socket_of

MARK = sha256(KEY.encode()).hexdigest()[:8]
LIVE = """\
version: 1
name: ill
venue: {venue}
live: true
capital: 1000 USDT
assets: [BTC/USDT, ETH/USDT]
strategy: {{name: RatingBand, parameters: {{size: 40%}}}}
limits: {{weight_per_asset: 60%}}
account: {{url: "{url}", key_file: key, secret_file: secret}}
state: state
"""


class Disk(NamedTuple):
    """What is left of a disk."""

    free: int


@pytest.fixture
def folder(tmp_path):
    """A folder with key and secret as they should be."""
    for name, text in (("key", KEY), ("secret", SECRET)):
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def written(folder, url, venue="gate", *changes, more=""):
    text = LIVE.format(venue=venue, url=url)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "run.yaml"
    path.write_text(text + more)
    return path


async def rows_of(path, **options):
    settings, strategy = load_run(path)
    rows = await examine(settings, strategy, path, **options)
    told = json.dumps([[one.found, one.remedy] for one in rows])
    assert KEY not in told
    assert SECRET not in told
    assert "canary" not in told
    for one in rows:
        assert one.remedy or one.state in {"ok", "skip"}, one
    return {one.name: one for one in rows}


@asynccontextmanager
async def world(folder, venue="gate", *changes, more=""):
    async with loopback(venue) as it:
        yield it, written(folder, it.server.url, venue, *changes, more=more)


def states(rows):
    return {name: one.state for name, one in rows.items()}


@pytest.mark.parametrize("venue", ["gate", "mexc"])
async def test_a_healthy_run_is_ready_and_nothing_is_made(folder, venue):
    async with world(folder, venue) as (it, path):
        it.account.addresses = ("203.0.113.7",)
        before = sorted(folder.rglob("*"))
        rows = await rows_of(path)
        assert sorted(folder.rglob("*")) == before
        assert code_of(list(rows.values())) == 0
        assert {name for name, state in states(rows).items() if state == "fail"} == set()
        assert {
            "state folder", "disk", "secret account.key", "secret account.secret", "socket", "daemon", "sqlite", "database",
            "broker", "venue", "clock", "key", "key binding", "key rights", "key addresses", "key expiry", "symbols",
            "minimum size", "limits", "vendor credits",
        } == set(rows)  # fmt: skip
        assert rows["key"].found == "works; 1,000.00 USDT are free"
        assert not any("POST" in one or "DELETE" in one for _, one in it.server.log), "doctor sends no order"


# The venue


async def test_a_venue_that_is_down_is_told_and_the_rest_is_looked_at(folder):
    path = written(folder, f"http://127.0.0.1:{free_port()}")
    rows = await rows_of(path)
    assert (rows["venue"].state, rows["clock"].state, rows["key rights"].state) == ("fail", "skip", "skip")
    assert rows["database"].state == "ok"
    assert code_of(list(rows.values())) == 3


@pytest.mark.parametrize("venue", ["gate", "mexc"])
@pytest.mark.parametrize(
    ("skew_ms", "state"), [(0, "ok"), (800, "warn"), (-800, "warn"), (5_000, "fail"), (-5_000, "fail")]
)
async def test_the_clock_is_compared_with_the_venues(folder, venue, skew_ms, state):
    async with world(folder, venue) as (it, path):
        it.clock.skew_ms = skew_ms
        rows = await rows_of(path)
        assert rows["clock"].state == state
        assert abs(int(rows["clock"].found.partition(" ms")[0]) - skew_ms) < 200
        assert rows["key"].state == "ok", "what is signed follows the venue's clock"


async def test_a_slow_venue_is_told(folder):
    async with loopback("gate", {"do": "slow", "on": "GET /spot/time", "seconds": 1.2}) as it:
        path = written(folder, it.server.url)
        row = (await rows_of(path))["venue"]
        assert row.state == "warn"
        assert int(row.found.split(" in ")[1].split(" ")[0]) >= 1_200


@pytest.mark.parametrize("venue", ["gate", "mexc"])
async def test_a_wrong_secret_is_told_and_markets_are_looked_at_all_the_same(folder, venue):
    (folder / "secret").write_text("canary-of-a-secret")
    async with world(folder, venue) as (_, path):
        rows = await rows_of(path)
        assert (rows["key"].state, rows["key rights"].state, rows["symbols"].state) == ("fail", "skip", "ok")


async def test_a_missing_key_file_is_told_with_what_to_write(folder):
    (folder / "key").unlink()
    async with world(folder) as (_, path):
        rows = await rows_of(path)
        assert (rows["secret account.key"].state, rows["key"].state) == ("fail", "fail")
        assert "chmod 600" in rows["secret account.key"].remedy


async def test_less_money_than_capital_is_told(folder):
    async with world(folder, "gate", ("capital: 1000", "capital: 4000")) as (_, path):
        row = (await rows_of(path))["key"]
        assert (row.state, row.found) == ("warn", "works; 1,000.00 USDT are free, less than the capital of 4,000")


# The key's rights


async def test_a_key_that_may_withdraw_is_refused_where_that_is_visible(folder):
    async with world(folder) as (it, path):
        it.account.may = frozenset({"read", "trade", "withdraw"})
        rows = await rows_of(path)
        assert rows["key rights"].state == "fail"
        assert "can be taken out" in rows["key rights"].found
        assert code_of(list(rows.values())) == 4


async def test_where_rights_are_not_visible_that_is_said(folder):
    async with world(folder, "mexc") as (it, path):
        it.account.may = frozenset({"read", "trade", "withdraw"})
        row = (await rows_of(path))["key rights"]
        assert row.state == "warn"
        assert "not visible" in row.found
    async with world(folder) as (it, path):
        it.account.is_main = False
        assert (await rows_of(path))["key rights"].state == "warn"


@pytest.mark.parametrize("venue", ["gate", "mexc"])
async def test_a_key_that_may_only_read_is_told(folder, venue):
    async with world(folder, venue) as (it, path):
        it.account.may = frozenset({"read"})
        row = (await rows_of(path))["key rights"]
        assert row.state == "fail"
        assert "may not trade" in row.found


async def test_addresses_and_end_of_a_key(folder):
    async with world(folder) as (it, path):
        rows = await rows_of(path)
        assert (rows["key addresses"].state, rows["key expiry"].state) == ("warn", "warn")
        assert "2023-11-14" in rows["key expiry"].found
        it.account.addresses = ("203.0.113.7",)
        rows = await rows_of(path)
        assert (rows["key addresses"].found, rows["key expiry"].state) == ("bound to 203.0.113.7", "ok")
    async with world(folder, "mexc") as (_, path):
        assert "does not show" in (await rows_of(path))["key addresses"].found


# The key and its folder


async def test_another_key_than_the_bound_one_is_refused_until_it_is_bound(folder):
    async with world(folder) as (_, path):
        settings, _ = load_run(path)
        state = state_folder(settings, path)
        assert (await rows_of(path))["key binding"].state == "warn"
        row = (await rows_of(path, binds=True))["key binding"]
        assert (row.state, row.found.split(",")[0]) == ("ok", f"{MARK} at gate (rehearsal)")
        assert stat.S_IMODE((state / "key-binding.json").stat().st_mode) == 0o600
        assert KEY not in (state / "key-binding.json").read_text()
        (folder / "key").write_text("another-key")
        rows = await rows_of(path)
        assert rows["key binding"].state == "fail"
        assert MARK in rows["key binding"].found
        assert code_of(list(rows.values())) == 4
        with pytest.raises(KeyChangedError, match=MARK):
            hold(settings, folder, state)
        await rows_of(path, binds=True)
        hold(settings, folder, state)


async def test_the_first_start_with_money_binds_and_the_next_holds_to_it(folder):
    path = written(folder, "http://127.0.0.1:9")
    settings, _ = load_run(path)
    state = state_folder(settings, path)
    hold(settings, folder, state)
    assert bound(state) == binding_of(settings, folder)
    hold(settings, folder, state)
    (state / "key-binding.json").write_text("{}")
    with pytest.raises(KeyChangedError, match="cannot be read"):
        hold(settings, folder, state)
    assert not (state / "key-binding.new").exists()


def test_a_start_with_another_key_is_exit_code_4(folder):
    path = written(folder, f"http://127.0.0.1:{free_port()}")
    settings, _ = load_run(path)
    bind(state_folder(settings, path), binding_of(settings, folder))
    (folder / "key").write_text("another-key")
    from tests.test_cli_run import trader

    said = trader("run", path, "--live", code=4)
    assert "is bound to the key" in said
    assert "another-key" not in said


# Markets and sizes


async def test_an_asset_without_a_market_is_told(folder):
    async with world(folder, "gate", ("ETH/USDT]", "OFF/USDT, NONE/USDT]")) as (_, path):
        row = (await rows_of(path))["symbols"]
        assert row.state == "fail"
        assert row.found.startswith("OFF/USDT, NONE/USDT: ")


async def test_a_pair_that_the_key_is_not_bound_to_is_told(folder):
    async with world(folder) as (it, path):
        it.account.pairs = ("BTC/USDT",)
        assert (await rows_of(path))["symbols"].found == "ETH/USDT: the key is bound to other pairs"


async def test_a_market_that_is_shown_but_not_for_the_api_is_told(folder):
    async with world(folder, "mexc") as (it, path):
        from dataclasses import replace

        it.exchange.markets["ETH/USDT"] = replace(it.exchange.markets["ETH/USDT"], by_api=False)
        assert (await rows_of(path))["symbols"].found.startswith("ETH/USDT: no spot market at mexc")


@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        (("size: 40%", "size: 0.2%"), "fail", "BTC/USDT takes 3 USDT at the least, and the strategy's size is 2"),
        (("size: 40%", "size: 0.35%"), "warn", "3.5: after a fall it could not be sold"),
        (("size: 40%", "size: {quote: 2}"), "fail", "the strategy's size is 2"),
        (("size: 40%", "size: {units: 0.01}"), "fail", "BTC/USDT takes 3 USDT"),
        (("weight_per_asset: 60%", "weight_per_asset: 60%, order_notional: 2"), None, "order_notional = 2"),
    ],
)  # fmt: skip
async def test_a_size_below_a_markets_minimum_is_told(folder, change, state, says):
    async with world(folder, "gate", change) as (_, path):
        if state is None:  # limits that can never let the strategy through are refused before anything is asked
            from tests.test_run_settings import problem

            assert says in problem(path)
            return
        row = (await rows_of(path))["minimum size"]
        assert row.state == state
        assert says in row.found


async def test_a_limit_below_a_markets_minimum_is_told(folder):
    change = ("size: 40%", "size: {units: 0.1}"), ("weight_per_asset: 60%", "order_notional: 2")
    async with world(folder, "gate", *change) as (_, path):
        assert "order_notional lets 2 through" in (await rows_of(path))["minimum size"].found


# This machine


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
async def test_a_secret_that_others_can_read_is_refused(folder, mode):
    (folder / "secret").chmod(mode)
    async with world(folder) as (_, path):
        rows = await rows_of(path)
        assert rows["secret account.secret"].state == "fail"
        assert rows["secret account.secret"].remedy == f"chmod 600 {folder / 'secret'}"
        assert rows["secret account.key"].state == "ok"
        assert code_of(list(rows.values())) == 4


async def test_secrets_in_the_file_or_the_environment_are_told(folder, monkeypatch):
    monkeypatch.setenv("TRADER_ACCOUNT__KEY", KEY)
    async with world(folder, "gate", ("secret_file: secret", f"secret: {SECRET}")) as (_, path):
        path.chmod(0o644)
        rows = await rows_of(path)
        assert (rows["secret account.key"].state, rows["secret account.secret"].state) == ("warn", "fail")
        path.chmod(0o600)
        assert (await rows_of(path))["secret account.secret"].state == "warn"


async def test_the_state_folder_and_the_disk(folder, monkeypatch):
    async with world(folder) as (_, path):
        state = state_folder(load_run(path)[0], path)
        state.mkdir(parents=True)
        for mode, expected in ((0o700, "ok"), (0o755, "warn"), (0o777, "fail")):
            state.chmod(mode)
            assert (await rows_of(path))["state folder"].state == expected
        state.chmod(0o700)
        for free, expected in ((10**11, "ok"), (10**9, "warn"), (10**7, "fail")):
            monkeypatch.setattr(doctor_house.shutil, "disk_usage", lambda _, free=free: Disk(free))
            assert (await rows_of(path))["disk"].state == expected
    (folder / "other").mkdir()
    shutil.rmtree(folder / "state")
    (folder / "state").write_text("in the way")
    assert doctor_house.state_rows(folder / "state" / "ill")[0].state == "fail"


async def test_a_daemon_that_runs_is_told_and_a_long_path_too(folder):
    async with world(folder) as (_, path):
        state = state_folder(load_run(path)[0], path)

        async def act(_command):
            return {"ok": True, "state": "active"}

        control = Control(socket_of(state), act)
        await control.open()
        try:
            row = (await rows_of(path))["daemon"]
            assert (row.state, row.found) == ("warn", "one runs as ill and is active")
        finally:
            await control.close()
        path = written(folder, "http://127.0.0.1:9", "gate", ("state: state", f"state: {'long' * 30}"))
        assert (await rows_of(path))["socket"].state == "warn"


# Database, broker, vendor


async def test_a_journal_is_looked_at_and_not_changed(folder):
    async with world(folder) as (_, path):
        settings, _ = load_run(path)
        state = state_folder(settings, path)
        journal = SqliteJournal(state / "journal.db")
        await journal.close()
        assert (await rows_of(path))["database"].state == "ok"
        with sqlite3.connect(state / "journal.db") as database:
            database.execute("UPDATE meta SET value = 99 WHERE name = 'version'")
        row = (await rows_of(path))["database"]
        assert (row.state, "tables of version 99" in row.found) == ("fail", True)
        (state / "journal.db").write_bytes(b"no database at all" * 500)
        assert (await rows_of(path))["database"].state == "fail"


async def test_a_sqlite_with_the_fault_is_told(folder, monkeypatch):
    monkeypatch.setattr("trader.doctor_feeds.wal_fault", lambda: "this SQLite has the fault")
    async with world(folder) as (_, path):
        assert (await rows_of(path))["sqlite"].found == "this SQLite has the fault"


async def test_postgres_is_asked(folder):
    server = Postgres().start()
    try:
        path = written(folder, "http://127.0.0.1:9", more=f"journal: {server.url}\n")
        settings, _ = load_run(path)
        (row,) = await database_rows(settings, folder)
        assert (row.state, row.found.startswith("PostgreSQL 1"), "no journal in it yet" in row.found) == (
            "ok",
            True,
            True,
        )
        password = server.url.replace("trader@", "nobody:canary-pw@")
        (row,) = await database_rows(settings.model_copy(update={"journal": password}), folder)
        assert (row.state, "canary" in row.found) == ("fail", False)
    finally:
        server.stop()
    (row,) = await database_rows(settings, folder)
    assert row.state == "fail"
    assert "start the server" in row.remedy


async def test_a_real_broker_takes_us_or_is_told(folder, tmp_path):
    broker = Mosquitto(tmp_path / "mosquitto").start()
    more = f"intake: {{mqtt: {{port: {broker.port}}}}}\n"
    try:
        async with world(folder, more=more) as (_, path):
            row = (await rows_of(path))["broker"]
            assert (row.state, row.found) == ("ok", f"127.0.0.1:{broker.port} takes us and grants trader/v1/signals/#")
    finally:
        broker.stop()
    async with world(folder, more=more) as (_, path):
        assert (await rows_of(path))["broker"].state == "fail"


async def test_a_broker_that_refuses_the_password_or_the_topic_is_told(folder, tmp_path):
    home = tmp_path / "guarded"
    home.mkdir()
    broker = Mosquitto(home)
    guarded = f"allow_anonymous false\npassword_file {home}/passwords\nacl_file {home}/acl\n"
    import subprocess

    from tests.services.parts import program, wait_for

    subprocess.run([program("mosquitto_passwd"), "-b", "-c", home / "passwords", "bot", "canary-mq"], check=True)  # noqa: ASYNC221
    (home / "acl").write_text("user bot\ntopic read trader/v1/signals/#\n")
    user = "user root\n" if os.getuid() == 0 else ""
    (home / "mosquitto.conf").write_text(f"listener {broker.port} 127.0.0.1\n{guarded}{user}")
    process = subprocess.Popen([program("mosquitto"), "-c", str(home / "mosquitto.conf")], stdout=-3, stderr=-3)  # noqa: ASYNC220
    try:
        await asyncio.to_thread(wait_for, broker.port)
        for password, expected in (("canary-mq", "ok"), ("canary-wrong", "fail")):
            (folder / "mq").write_text(password)
            (folder / "mq").chmod(0o600)
            more = f"intake: {{mqtt: {{port: {broker.port}, username: bot, password_file: mq}}}}\n"
            async with world(folder, more=more) as (_, path):
                assert (await rows_of(path))["broker"].state == expected
    finally:
        process.kill()
        process.wait()


def vendor(folder, credits_=100):
    path = folder / "vendor.yaml"
    path.write_text(f"version: 1\nkey_file: key\nassets: {{BTC/USDT: 3375}}\ncredits: {credits_}\nstore: ratings.db\n")
    return written(folder, "http://127.0.0.1:9", more="intake: {ratings: vendor.yaml}\n")


def test_credits_that_are_left_are_compared_with_what_is_needed(folder):
    settings, _ = load_run(vendor(folder))
    at = datetime(2026, 6, 16, tzinfo=UTC)  # half of a month of thirty days is left: 15 of 30 credits
    row, store = vendor_rows(settings, folder, at)
    assert (row.state, store.state) == ("ok", "ok")
    assert "100 of 100 credits are left this month, and 15 are needed until its end (30 in 30 days)" in row.found
    assert not (folder / "ratings.db").exists()
    kept = RatingsStore(folder / "ratings.db")
    kept.keep_spent("2026-06", 85)
    assert vendor_rows(settings, folder, at)[0].state == "ok"
    kept.keep_spent("2026-06", 86)
    kept.close()
    row, _ = vendor_rows(settings, folder, at)
    assert (row.state, "14 of 100" in row.found) == ("fail", True)
    (folder / "ratings.db").write_bytes(b"nothing to read" * 500)
    assert vendor_rows(settings, folder, at)[1].state == "fail"


def test_a_vendor_that_cannot_be_used_is_told(folder):
    settings, _ = load_run(vendor(folder, credits_=10))
    row = vendor_rows(settings, folder)[0]
    assert (row.state, "the plan includes 10" in row.found) == ("fail", True)


# The command


def test_the_command_prints_rows_remedies_and_an_exit_code(folder):
    path = written(folder, f"http://127.0.0.1:{free_port()}")
    answer = CliRunner().invoke(app, ["doctor", str(path)])
    assert answer.exit_code == 3
    assert "FAIL  venue" in answer.stdout
    assert "-> look at the network" in answer.stdout
    assert answer.stdout.splitlines()[-1].startswith("not ready: 1 failed")
    (folder / "key").chmod(0o644)
    answer = CliRunner().invoke(app, ["doctor", str(path), "--json"])
    found = json.loads(answer.stdout)
    assert (answer.exit_code, found["exit"], found["version"]) == (4, 4, 1)
    assert {"name", "state", "found", "remedy"} <= set(found["rows"][0])
    assert KEY not in answer.stdout
