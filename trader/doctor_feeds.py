"""What `trader doctor` finds of the database, the broker and the vendor of ratings."""

from calendar import monthrange
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from sqlite3 import sqlite_version

from trader.adapters import journal_checks
from trader.adapters.journal_sqlite import wal_fault
from trader.adapters.mqtt import MqttDownError, reach
from trader.adapters.ratings_store import StoreError, spent_in
from trader.adapters.tokenmetrics_plan import check_plan
from trader.finding import Finding, fail, ok, skip, warn
from trader.intake import broker_of
from trader.ports import JournalDownError
from trader.ratings import fed, feeding_of
from trader.run_settings import Run
from trader.settings import SettingsError


async def database_rows(settings: Run, folder: Path) -> list[Finding]:
    """The journal's database: this SQLite and its file, or the server."""
    if settings.journal is not None:
        return [await _server(settings.journal)]
    fault = wal_fault()
    program = ok("sqlite", f"version {sqlite_version}")
    if fault is not None:
        program = warn("sqlite", fault, "use a Python with a newer SQLite, or journal: postgresql://...")
    path = folder / "journal.db"
    if not path.exists():
        return [program, ok("database", f"{path} will be made at the first start")]
    try:
        return [program, ok("database", f"{path} is whole, {journal_checks.sqlite_file(path)}")]
    except JournalDownError as error:
        remedy = "keep the file, restore a backup (docs/journal.md), then `trader journal verify`"
        return [program, fail("database", str(error), remedy)]


async def _server(url: str) -> Finding:
    where = url.rpartition("@")[2]
    try:
        version, journal = await journal_checks.postgres(url)
    except ImportError:
        return fail("database", "the driver for PostgreSQL is missing", "pip install 'signal-trader[postgres]'")
    except JournalDownError as error:
        return fail("database", str(error), "start the server, and look at host, name, user and password of journal:")
    return ok("database", f"PostgreSQL {version} at {where}, {journal}")


async def broker_row(settings: Run, home: Path) -> Finding:
    """The broker that signals come from."""
    mqtt = settings.intake.mqtt
    if mqtt is None:
        return skip("broker", "intake.mqtt: is not given")
    try:
        await reach(broker_of(settings, home))
    except (MqttDownError, SettingsError) as error:
        remedy = (
            "start it, and look at host, port, ca, username and password_file of intake.mqtt:, and at its access list"
        )
        return fail("broker", str(error), remedy)
    return ok("broker", f"{mqtt.host}:{mqtt.port} takes us and grants {mqtt.topic}")


def vendor_rows(settings: Run, home: Path, now: datetime | None = None) -> list[Finding]:
    """The vendor's credits that are left beside what the configuration needs, and the store of what it said."""
    if settings.intake.ratings is None:
        return [skip("vendor credits", "intake.ratings: is not given")]
    path, now = (home / settings.intake.ratings).resolve(), now or datetime.now(UTC)
    try:
        vendor = fed(path)
    except SettingsError as error:
        return [fail("vendor credits", str(error), f"mend {path}: trader config check {path}")]
    monthly = check_plan(feeding_of(vendor), vendor.credits, vendor.limit)
    where = (path.parent / vendor.store).resolve()
    spent, store_row = 0, ok("ratings store", f"{where} will be made at the first start")
    if where.exists():
        try:
            spent = spent_in(where).get(f"{now:%Y-%m}", 0)
            store_row = ok("ratings store", f"{where} can be read")
        except StoreError as error:
            store_row = fail(
                "ratings store",
                str(error),
                f"move {where} away or restore a backup; `trader ratings pull` fills a new one",
            )
    days = monthrange(now.year, now.month)[1]
    needs, left = ceil(monthly * (days - now.day + 1) / 30), vendor.credits - spent
    text = f"{left:,} of {vendor.credits:,} credits are left this month, and {needs:,} are needed until its end ({monthly:,} in 30 days)"
    if left < needs:
        return [
            fail("vendor credits", text, "ask less often (polls:), map fewer assets, or wait for the next month"),
            store_row,
        ]
    return [ok("vendor credits", text), store_row]
