"""One process per folder: a lock that ends with the process, however that ends."""

import fcntl
import os
from pathlib import Path

from trader.adapters.durable import make_folder


class AlreadyRunningError(Exception):
    """Another process works in the folder."""


class FolderLock:
    """Holds the lock of a folder from `take` until `release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file: int | None = None

    def take(self) -> None:
        """Take the lock; raises AlreadyRunningError with the number of the process that has it."""
        make_folder(self._path.parent)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = os.read(file, 32).decode(errors="replace").strip()
            os.close(file)
            raise AlreadyRunningError(
                f"{self._path.parent}: process {other or 'unknown'} works there already"
            ) from error
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def release(self) -> None:
        """Give it back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
