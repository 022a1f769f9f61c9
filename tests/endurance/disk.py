"""A disk whose power fails: from what a process asked of it (records.c) to what may be there afterwards.

What was synced is there. Of the rest each sector of 512 bytes is as it was or as it was to be, in any order; a file that grew may have
grown without its bytes; what happened to the names in a folder is there up to any moment since that folder was synced.
"""

import struct
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

HEAD = struct.Struct("8s4Q")
SECTOR = 512
MODES = ("none", "all", "first", "any", "any", "torn")


@dataclass(frozen=True)
class Note:
    """One thing that was asked: write, cut, sync, create, rename, unlink, mkdir, syncdir."""

    kind: str
    path: str
    data: bytes
    offset: int
    inode: int


def notes(log):
    """What was asked, in order; the last may be incomplete, where the process was killed."""
    data, at, found = log.read_bytes() if log.exists() else b"", 0, []
    while at + HEAD.size <= len(data):
        kind, path_size, size, offset, inode = HEAD.unpack_from(data, at)
        begin = at + HEAD.size
        at = begin + path_size + size
        if at > len(data):
            break
        path = data[begin : begin + path_size].decode()
        found.append(Note(kind.rstrip(b"\0").decode(), path, data[begin + path_size : at], offset, inode))
    return found


@dataclass(eq=False)
class File:
    """The bytes that are safe, and what was asked since."""

    safe: bytes = b""
    since: list = field(default_factory=list)  # (offset, bytes), or (size, None) where it was cut

    def after(self, count):
        """The bytes after so many of the things that were asked since."""
        found = bytearray(self.safe)
        for offset, data in self.since[:count]:
            if data is None:
                found = found[:offset].ljust(offset, b"\0")
            else:
                found = found.ljust(offset, b"\0")
                found[offset : offset + len(data)] = data
        return bytes(found)

    def sync(self):
        self.safe, self.since = self.after(len(self.since)), []


class Disk:
    """What is safe below a folder, and what is on its way; `follow` notes, then `lose` the power."""

    def __init__(self, begin=None):
        self._files = {}  # by inode: those that can still be written to
        self.names = {"": None}  # path -> file, None for a folder: as it is now
        self._safe = {"": None}
        self._since = defaultdict(list)  # folder -> what happened to its names: {path: file or None, or "gone"}
        if begin is not None:
            for path in sorted(begin.rglob("*")):
                name = str(path.relative_to(begin))
                self.names[name] = self._safe[name] = None if path.is_dir() else self._old(path)

    def _old(self, path):
        self._files[path.stat().st_ino] = found = File(path.read_bytes())
        return found

    def follow(self, note):
        file = self._files.get(note.inode)
        match note.kind:
            case "write":
                file.since.append((note.offset, note.data))
            case "cut":
                file.since.append((note.offset, None))
            case "sync":
                file.sync()
            case "create":
                self._files[note.inode] = made = File()
                self._rename({note.path: made})
            case "mkdir":
                self._rename({note.path: None})
            case "unlink":
                self._rename({note.path: "gone"})
            case "rename":
                to = note.data.decode()
                self._rename({to: self.names[note.path], note.path: "gone"})
            case "syncdir":
                self._sync(note.path)

    def _rename(self, changes):
        _apply(self.names, changes)
        folders = defaultdict(dict)
        for path, file in changes.items():
            folders[_folder(path)][path] = file
        for folder, some in folders.items():  # of a move between folders either half may be there
            self._since[folder].append(some)

    def _sync(self, folder):
        for changes in self._since.pop(folder, ()):
            _apply(self._safe, changes)

    @property
    def is_settled(self):
        """Whether a loss of power would change nothing."""
        return not any(self._since.values()) and not any(
            file is not None and file.since for file in self.names.values()
        )

    def lose(self, lot, mode):
        """What is there when the power is back: {path: bytes, or None for a folder}."""
        names = dict(self._safe)
        for changes in self._since.values():
            for some in changes[: _share(len(changes), lot, mode)]:
                _apply(names, some)
        found = {}
        for path, file in sorted(names.items()):
            if path and _is_reachable(path, names):
                found[path] = None if file is None else _mixed(file, lot, mode)
        return found


def _is_reachable(path, names):
    return all(str(one) in names for one in PurePosixPath(path).parents if str(one) != ".")


def _folder(path):
    found = str(PurePosixPath(path).parent)
    return "" if found == "." else found


def _apply(names, changes):
    for path, file in changes.items():
        if file == "gone":
            names.pop(path, None)
        else:
            names[path] = file


def _share(count, lot, mode):
    return {"none": 0, "all": count}.get(mode, lot.randint(0, count))


def _mixed(file, lot, mode):
    """Bytes of which each sector is old or new."""
    count = len(file.since)
    if mode == "none" or not count:
        return file.safe
    if mode == "all":
        return file.after(count)
    old, new = file.safe, file.after(lot.randint(1, count) if mode == "any" and lot.random() < 0.3 else count)
    changed = [at for at in range(0, max(len(old), len(new)), SECTOR) if old[at : at + SECTOR] != new[at : at + SECTOR]]
    match mode:
        case "first":
            there = changed[: lot.randint(0, len(changed))]
        case "torn":
            there = [at for at in changed if at != changed[-1] and lot.random() < 0.95]
        case _:
            there = [at for at in changed if lot.random() < 0.5]
    size = lot.choice((len(old), len(new)))
    size = max(size, *(min(at + SECTOR, len(new)) for at in there), 0) if there else size
    found = bytearray(old.ljust(size, b"\0")[:size])
    for at in there:
        found[at : at + SECTOR] = new[at : at + SECTOR]
    return bytes(found)


def laid(image, folder):
    """Put what is there after a loss of power into a folder."""
    folder.mkdir(parents=True)
    for path, data in image.items():
        place = folder / path
        if data is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    return folder


def replayed(log, begin=None):
    """The disk after everything that was noted."""
    disk = Disk(begin)
    for note in notes(Path(log)):
        disk.follow(note)
    return disk
