"""The journal on a disk of which the world knows what it can do: refuse, take its time, keep and deny, lose its power.

SQLite promises that a commit under `synchronous=FULL` is there after a loss of power, and that one that did not return is there as a whole or
not at all. What can happen below that promise, and is done here to the real files: of the sectors that a commit wrote and nobody waited for,
some are on the disk and some are not. Where the connection does not ask for FULL, whole commits that were acknowledged are lost too. Damage
beyond that (a sector that changes later) is no torn write; the chain of hashes finds it, tests/adapters hold that.
"""

import asyncio
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from trader.adapters.journal_sqlite import SqliteJournal
from trader.ports import JournalDownError

SECTOR, FULL = 512, 2
UNSYNCED = 3  # commits that a disk forgets which nobody asked to wait for it
EPOCH = datetime.fromtimestamp(0, UTC)
JULIAN_1970, DAY = 2440587.5, 86400.0


def opened(world, life, path):
    """The journal at a path, with the world's time as the database's clock."""
    journal = SqliteJournal(path)
    journal._database.create_function(
        "julianday", 1, lambda _: JULIAN_1970 + (world.now() - EPOCH).total_seconds() / DAY + world.wall_off / DAY
    )
    return Disk(world, life, journal)


class Disk:
    """The journal of one life."""

    def __init__(self, world, life, journal):
        self._world, self._life, self._journal = world, life, journal
        (synchronous,) = journal._database.execute("PRAGMA synchronous").fetchone()
        self._is_full = synchronous >= FULL
        self._before = []  # what the files were before the last commits, while the power may fail

    def __getattr__(self, name):
        return getattr(self._journal, name)

    async def append(self, facts):
        await self._before_the_commit()
        world, inner = self._world, self._journal
        is_failing = world.happens("disk")
        if is_failing and world.lot.random() < 0.5:
            raise JournalDownError("the disk is full")
        loses_power = world.power_fails(self._life, facts)
        if loses_power or not self._is_full:
            self._before = [*self._before[-UNSYNCED:], _files(inner.path)]
        before = inner._seq, inner._hash
        was_kept = inner._in_doubt and inner._head() != before  # by the commit before, which denied it
        found = await inner.append(facts)
        if loses_power:
            world.lose_power(self._torn(inner.path))
        elif not was_kept:
            world.witness.kept(facts, inner.epoch, self._life)
        if is_failing:  # the commit is on disk and its answer is lost: the adapter knows no more than before
            world.count("kept and denied")
            world.note_denied(facts)
            inner._seq, inner._hash, inner._in_doubt, inner._accounts = *before, True, None
            raise JournalDownError("the commit has no answer")
        await self._after_the_commit()
        return found

    async def _before_the_commit(self):
        if self._world.happens("slow"):
            await asyncio.sleep(self._world.lot.uniform(0.1, 3.0))
        else:
            await asyncio.sleep(0)

    async def _after_the_commit(self):
        await asyncio.sleep(0)

    async def renew(self):
        await asyncio.sleep(0)
        await self._journal.renew()

    async def digest_of(self, key):
        await asyncio.sleep(0)
        return await self._journal.digest_of(key)

    async def snapshot(self, program):
        await asyncio.sleep(0)
        return await self._journal.snapshot(program)

    async def keep_snapshot(self, program, body):
        await asyncio.sleep(0)
        await self._journal.keep_snapshot(program, body)

    def _torn(self, path):
        """What the files may be after the power was lost within the last commit."""
        lot, after = self._world.lot, _files(path)
        before = self._before[-1] if self._is_full else self._before[0]
        if after["db"] != before["db"]:  # a checkpoint: the log was synced before it, the main file is what is torn
            return {"db": _mixed(before["db"], after["db"], lot), "wal": after["wal"]}
        return {"db": after["db"], "wal": _mixed(before["wal"], after["wal"], lot)}


def _mixed(before, after, lot):
    """Some sectors as they were, some as they are to be: a beginning of them, all, none, or any."""
    ends = range(0, max(len(after), 1), SECTOR)
    changed = [at for at in ends if before[at : at + SECTOR] != after[at : at + SECTOR]]
    how = lot.choice(("prefix", "prefix", "any", "all", "none"))
    cut = lot.randrange(len(changed) + 1)
    there = {"prefix": changed[:cut], "all": changed, "none": []}.get(how)
    if there is None:
        there = [at for at in changed if lot.random() < 0.5]
    size = (
        len(after)
        if there and there[-1] == changed[-1]
        else min(len(after), max(len(before), (there or [0])[-1] + SECTOR))
    )
    found = bytearray(before[:size].ljust(size, b"\0"))
    for at in there:
        found[at : at + SECTOR] = after[at : at + SECTOR]
    return bytes(found)


def _files(path):
    wal = Path(f"{path}-wal")
    return {"db": path.read_bytes(), "wal": wal.read_bytes() if wal.exists() else b""}


def laid(folder, files):
    """Files as a machine finds them when its power is back, at a new path: the dead process has the old ones open still."""
    path = folder / "journal.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(files["db"])
    Path(f"{path}-wal").write_bytes(files["wal"])
    return path


def room():
    """Where files are kept: in memory where there is such a place."""
    return Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


def gone(folder):
    """Remove a folder."""
    shutil.rmtree(folder, ignore_errors=True)
