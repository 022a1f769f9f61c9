"""Files that outlast a loss of power: their bytes, and their names, which are safe only when the folder was synced too."""

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, and let none of their names be lost."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)


def sync_folder(path: Path) -> None:
    """Let the names in a folder be as safe as the files that they name."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(path: Path, text: str) -> None:
    """Write a private file, whole or not at all; when this returns it is there."""
    part = path.with_name(f"{path.name}.new")
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
    sync_folder(path.parent)
