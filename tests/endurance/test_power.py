"""Loss of power on the real journal: what a process asked of the disk is recorded, and at each moment the disk forgets what it may.

Each image must open, its chain be whole, hold everything that was promised before, hold nothing half, and go on. One recorded run
gives hundreds of images; then whole bots lose their power at random instants while an exchange goes on without them.
"""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from tests.crash.rig import ROOT, check, rig
from tests.endurance.disk import MODES, Disk, File, laid, notes, replayed
from tests.endurance.shims import built
from tests.endurance.writer import facts_of
from tests.services.parts import full
from tests.simulation.disk import gone, room
from trader.adapters.clock import SystemClock
from trader.adapters.fact_codec import decode
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.paper_venue import PaperVenue
from trader.core.costs import Costs
from trader.core.facts import Filled, OrderPlaced
from trader.key_binding import bound

IS_FULL = os.environ.get("MATRIX") == "full"
IMAGES = int(os.environ.get("IMAGES", "1500" if IS_FULL else "150"))
LIVES = (("closed", 40), ("killed", 30), ("closed", 20), ("killed", 10)) if IS_FULL else (("killed", 16), ("closed", 8))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def space():
    """A folder in memory, where there is one: thousands of syncs are made on images that nobody needs to keep."""
    folder = Path(tempfile.mkdtemp(prefix="power-", dir=room()))
    yield folder
    gone(folder)


def recording(root, folder):
    """The environment of a process whose use of the disk below a root is noted."""
    return {"LD_PRELOAD": str(built("records", folder)), "RECORD_ROOT": str(root), "RECORD_LOG": str(folder / "notes")}


@pytest.fixture
def recorded(tmp_path):
    """What lives of a writer asked of the disk, and every row that they wrote."""
    root = tmp_path / "root"
    root.mkdir()
    environment, begin = {**os.environ, "PYTHONPATH": str(ROOT), **recording(root, tmp_path)}, 1
    for end, commits in LIVES:
        words = [sys.executable, "-m", "tests.endurance.writer", str(root), str(begin), str(commits), end]
        subprocess.run(words, check=True, env=environment, cwd=ROOT)
        begin += commits
    with closing(sqlite3.connect(root / "state" / "rig" / "journal.db")) as database:
        bodies = [body for (body,) in database.execute("SELECT body FROM journal ORDER BY seq")]
    return notes(tmp_path / "notes"), bodies


async def test_whatever_the_disk_forgets_what_was_promised_is_there_and_nothing_is_half(recorded, space):
    asked, bodies = recorded
    disk, lot, met = Disk(), Random(1), Counter()
    promised, ends = (0, 0), {0}
    every = max(len(asked) * 2 // IMAGES, 1)
    per = max(IMAGES // len(asked), 1)
    for number, note in enumerate(asked):
        disk.follow(note)
        met[note.kind] += 1
        if note.path == "promised" and note.kind == "write":
            promised = tuple(map(int, note.data.split()))
            ends.add(promised[0])
        if disk.is_settled or number % every:
            continue
        for _ in range(per * 2):
            mode = lot.choice(MODES)
            image = {path: data for path, data in disk.lose(lot, mode).items() if path != "promised"}
            met[mode] += 1
            folder = laid(image, space / f"{number}-{met[mode]}-{mode}")
            await judge(
                folder, promised, bodies, ends, f"note {number} of {len(asked)}: {note.kind} {note.path}, {mode}"
            )
            shutil.rmtree(folder)
    assert sum(met[mode] for mode in set(MODES)) > IMAGES / 2, met
    assert min(met["syncdir"], met["unlink"]), f"the recorder saw too little: {met}"
    print(dict(met))


async def judge(folder, promised, bodies, ends, where):
    """An image as the next life meets it. promised: the last row and the epoch that were acknowledged before."""
    path = folder / "state" / "rig" / "journal.db"
    assert path.exists() or not promised[0], f"{where}: the journal is gone, {promised} was promised"
    journal = SqliteJournal(path)
    try:
        database = journal._database
        kept = [body for (body,) in database.execute("SELECT body FROM journal ORDER BY seq")]
        assert len(kept) >= promised[0], f"{where}: row {promised[0]} was promised, {len(kept)} are there"
        assert kept == bodies[: len(kept)], f"{where}: other rows than were written"
        assert len(kept) in ends or len(kept) > max(ends), f"{where}: {len(kept)} rows are no whole commit of {ends}"
        assert journal.verify() is None, f"{where}: {journal.verify()}"
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], where
        facts = Counter(type(decode(body)) for body in kept)
        for table, kind in (("fills", Filled), ("orders", OrderPlaced)):
            (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert count == facts[kind], f"{where}: {count} {table}, {facts[kind]} facts"
        epoch = await journal.take("next", seconds=60) if not promised[1] else await taken_over(journal)
        assert epoch > promised[1], f"{where}: epoch {epoch} after {promised[1]}"
        await journal.append(facts_of(1_000_000))
        assert journal.verify() is None, where
    finally:
        await journal.close()


async def taken_over(journal):
    """The next life takes the lease of the one that died under the same name."""
    return await journal.take("writer", seconds=60)


def test_a_disk_forgets_only_what_it_may():
    """The model itself: synced bytes stay, the rest may be old, new, or torn between sectors, and names need their folder's sync."""
    lot = Random(3)
    file = File(b"a" * 1_024)
    file.since.append((256, b"b" * 1_024))
    disk = Disk()
    disk.names["f"] = disk._safe["f"] = file
    sectors = Counter()
    for _ in range(200):
        data = disk.lose(lot, lot.choice(MODES))["f"]
        sectors[data[:512] == b"a" * 512, data[512:1_024] == b"a" * 512, len(data)] += 1
    assert len({key[:2] for key in sectors}) == 4
    file.sync()
    assert {disk.lose(lot, mode)["f"] for mode in MODES} == {b"a" * 256 + b"b" * 1_024}


@full
@pytest.mark.parametrize("venue", ["gate", "mexc"])
async def test_whole_bots_that_lose_their_power(tmp_path, venue):
    """The exchange remembers what the disk forgets, so an order that left before it was safe is seen."""
    rounds, lot, met = int(os.environ.get("ROUNDS", "20")) if IS_FULL else 3, Random(5), Counter()
    async with rig(tmp_path, venue=venue) as it:
        root, place = tmp_path / "state", tmp_path / "notes"
        root.mkdir()
        it.environment = recording(root, tmp_path)
        for number in range(rounds):
            begin, mode = Disk(root), lot.choice(MODES)
            await it.start()
            if number % 3 == 2:
                await asyncio.sleep(lot.uniform(0.5, 3.0))  # amid its start
            else:
                await it.started(90)
            for turn in range(3):
                await it.send(number * 3 + turn + 1)
                await asyncio.sleep(lot.uniform(0.05, 0.5))
            await it.kill()
            met["forgot"] += await lose_power(it, begin, place, lot, mode)
            place.unlink()
        it.environment = {}
        await it.start()
        await it.started(90)
        await it.healed()
        await it.stop()
        await check(it)
        assert it.exchange.orders
        assert met["forgot"], met


async def lose_power(it, disk, place, lot, mode):
    """Put what the disk kept in the place of what the dead process wrote; whether that is less."""
    for note in notes(place):
        disk.follow(note)
    image, root = disk.lose(lot, mode), it.folder / "state"
    forgot = any(file is not None and file.since for file in disk.names.values())
    shutil.rmtree(root)
    laid(image, root)
    # Taken messages are moved without a sync: any of the last of them may lie where they came.
    inbox = it.folder / "inbox"
    for path in sorted((inbox / "done").glob("*.json"))[-3:] if (inbox / "done").exists() else []:
        if lot.random() < 0.5:
            path.rename(inbox / path.name)
    return forgot


def test_the_recorder_tells_what_was_asked(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    program = """
import os, pathlib, sys
root = pathlib.Path(sys.argv[1])
(root / "a").mkdir()
file = os.open(root / "a" / "one", os.O_RDWR | os.O_CREAT)
os.write(file, b"hello"); os.pwrite(file, b"J", 0); os.ftruncate(file, 4); os.fsync(file)
(root / "a" / "one").rename(root / "a" / "two")
folder = os.open(root / "a", os.O_RDONLY); os.fsync(folder)
os.pwrite(file, b"!", 4)
"""
    environment = {**os.environ, **recording(root, tmp_path)}
    subprocess.run([sys.executable, "-c", program, str(root)], check=True, env=environment)
    kinds = [(note.kind, note.path) for note in notes(tmp_path / "notes")]
    assert kinds == [
        ("mkdir", "a"), ("create", "a/one"), ("write", "a/one"), ("write", "a/one"), ("cut", "a/one"), ("sync", "a/one"),
        ("rename", "a/one"), ("syncdir", "a"), ("write", "a/two"),
    ]  # fmt: skip
    disk = replayed(tmp_path / "notes")
    assert disk.lose(Random(1), "all") == {"a": None, "a/two": b"Jell!"}
    assert disk.lose(Random(1), "none") == {}, "nobody synced the folder above"
    disk._sync("")
    assert disk.lose(Random(1), "none") == {"a": None, "a/two": b"Jell"}


SMALL = """
import asyncio, os, sys
from decimal import Decimal as D
from pathlib import Path
from trader.adapters.clock import SystemClock
from trader.adapters.lock import FolderLock
from trader.adapters.paper_venue import PaperVenue
from trader.core.costs import Costs
from trader.key_binding import Binding, bind
from trader.opening import owner_of

root = Path(sys.argv[1])
promised = os.open(root / "promised", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def promise(what): os.write(promised, what.encode() + b"\\n")
folder = root / "state" / "run"
FolderLock(folder).take()
promise("owner " + owner_of(folder).rpartition(":")[2])
for number in range(3):
    bind(folder, Binding("gate", f"f{number}", False))
    promise(f"binding f{number}")
venue = PaperVenue(None, SystemClock(), costs=Costs(), path=folder / "account.jsonl", deposit={"USDT": D(100)})
for number in range(1, 12):
    venue._keep({"deposit": {"BTC": "1", "note" + "x" * 90 * number: "0"}})
    promise(f"account {number}")
"""


def test_the_small_files_of_a_run_are_there_and_whole(tmp_path, space):
    """The key binding, the lease's owner and the account on paper, whatever the disk forgets of what was not promised."""
    root, promised, lot = tmp_path / "root", {"owner": "", "binding": "", "account": "0"}, Random(7)
    root.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **recording(root, tmp_path)}
    subprocess.run([sys.executable, "-c", SMALL, str(root)], check=True, env=environment, cwd=ROOT)
    disk, images = Disk(), 0
    for note in notes(tmp_path / "notes"):
        disk.follow(note)
        if note.path == "promised" and note.kind == "write":
            name, value = note.data.decode().split()
            promised[name] = value
        for mode in () if disk.is_settled else set(MODES):
            images += 1
            folder = laid(disk.lose(lot, mode), space / str(images)) / "state" / "run"
            before = bound(folder)
            had = "" if before is None else before.fingerprint
            assert had >= promised["binding"], f"{note}, {mode}: bound to {before}, {promised}"
            owner = folder / "owner"
            assert not promised["owner"] or owner.read_text() == promised["owner"], f"{note}: another owner"
            assert not owner.exists() or owner.read_text(), "an owner without a name is everybody's"
            account = PaperVenue(
                None, SystemClock(), costs=Costs(), path=folder / "account.jsonl", deposit={"USDT": Decimal(100)}
            )
            assert account.balances_by_asset.get("BTC", 0) >= int(promised["account"]), f"{note}, {mode}"
            account._keep({"deposit": {"BTC": "1"}})
            PaperVenue(None, SystemClock(), costs=Costs(), path=folder / "account.jsonl", deposit={})
    assert images > 50


def test_a_paper_account_with_a_bad_row_in_its_middle_is_refused_with_its_place(tmp_path):
    path = tmp_path / "account.jsonl"
    path.write_text('{"deposit": {"USDT": "5"}}\n{"dep\n{"deposit": {"USDT": "1"}}\n')
    with pytest.raises(ValueError, match=r"account\.jsonl:2: is no row"):
        PaperVenue(None, SystemClock(), costs=Costs(), path=path, deposit={})
