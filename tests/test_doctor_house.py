"""`trader doctor` on this machine: secrets, folders, a daemon, and real databases and brokers, each row with its fault planted."""

import asyncio
import json
import os
import shutil
import sqlite3
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from tests.patients import KEY, SECRET, Disk, healthy, rows_of, world, written
from tests.services.parts import Mosquitto, Postgres, free_port
from trader import doctor_house
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.ratings_store import RatingsStore
from trader.cli import app
from trader.doctor_feeds import database_rows, vendor_rows
from trader.finding import code_of
from trader.run_settings import load_run, state_folder
from trader.runtime.control import Control, socket_of


@pytest.fixture
def folder(tmp_path):
    return healthy(tmp_path)


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


@pytest.mark.parametrize(("age", "state"), [("4s", "warn"), ("10s", "ok")])
def test_a_price_that_must_be_fresher_than_it_is_asked_for_is_told(folder, age, state):
    path = written(
        folder, "http://127.0.0.1:9", "gate", ("weight_per_asset: 60%", f"weight_per_asset: 60%, price_age: {age}")
    )
    assert doctor_house.limits_row(load_run(path)[0]).state == state


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
