"""A tape in one file that many processes map: its columns lie in memory once, however many read them.

The file holds the tape without its columns, then the columns as they are in memory. Readers get arrays that point into
the map and cannot be written to. It knows neither strategies nor runs.
"""

from __future__ import annotations

import hashlib
import mmap
import pickle
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backtests.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Iterator


ALIGNED = 64


def write(tape: Tape, path: Path) -> Path:
    """Write a tape for `read`; what it had computed for itself is left out."""
    with path.open("wb") as file:
        file.writelines(_pieces(tape))
    return path


def packed(tape: Tape) -> bytes:
    """The bytes of such a file."""
    return b"".join(_pieces(tape))


def _pieces(tape: Tape) -> Iterator[bytes | memoryview[int]]:
    columns: list[pickle.PickleBuffer] = []
    bare = Tape(
        replace(tape.panel), instruments=tape.instruments, report=tape.report, label=tape.label,
        delay_ns=tape.delay_ns, omitted=tape.omitted_assets, withheld=tape.withheld,
    )  # fmt: skip
    head = pickle.dumps(bare, protocol=5, buffer_callback=columns.append)
    sizes = [column.raw().nbytes for column in columns]
    whole = pickle.dumps((head, sizes))
    yield len(whole).to_bytes(8, "little")
    yield whole
    yield bytes(-(8 + len(whole)) % ALIGNED)
    for column, size in zip(columns, sizes, strict=True):
        yield column.raw()
        yield bytes(-size % ALIGNED)


def read(path: Path) -> Tape:
    """The tape of a file, its columns mapped and read-only. The file must be one of ours: it is unpickled."""
    with path.open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    length = int.from_bytes(mapped[:8], "little")
    head, sizes = pickle.loads(mapped[8 : 8 + length])  # noqa: S301 - written by this program for its own workers
    at = 8 + length + (-(8 + length) % ALIGNED)
    columns = []
    for size in sizes:
        columns.append(mapped[at : at + size])
        at += size + (-size % ALIGNED)
    tape: Tape = pickle.loads(head, buffers=columns)  # noqa: S301 - the same
    return tape


def fingerprint(tape: Tape) -> str:
    """What identifies the content of a tape: equal for equal data, whoever read it."""
    found = hashlib.blake2b(digest_size=16)
    for part in _parts(tape):
        found.update(part)
    return found.hexdigest()


def _parts(tape: Tape) -> Iterator[bytes | memoryview[int]]:
    panel = tape.panel
    yield repr((panel.names, panel.step_ns, sorted(panel.delisted_ns.items()), tape.label, tape.delay_ns)).encode()
    yield repr(sorted((name, repr(one)) for name, one in tape.instruments.items())).encode()
    for column in (panel.opens_ns, panel.open, panel.high, panel.low, panel.close, panel.volume):
        yield repr((column.dtype.str, column.shape)).encode()
        yield np.ascontiguousarray(column).data
    for what in ("ratings", "signals"):
        for kind, rows in sorted(getattr(panel, what).items()):
            yield repr((what, kind, len(rows.value))).encode()
            for name in ("known_ns", "as_of_ns", "asset", "value", "wakes_ns"):
                yield np.ascontiguousarray(getattr(rows, name)).data
