"""The chain of the journal: each row's hash covers the row and the hash before it; whoever changes a row breaks the chain."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trader.adapters.fact_codec import CodecError, decode, encode
from trader.adapters.journal_tables import utc_text
from trader.core.facts import Fact

GENESIS = "0" * 64
Link = tuple[int, int, str, str, str, str]  # seq, epoch, kind, body, prev_hash, hash
Row = tuple[int, int, str, str, str, str, str]  # seq, epoch, at, kind, body, prev_hash, hash


class JournalVersionError(Exception):
    """The journal was written by a newer program, or is none."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row at which the chain does not hold, and why."""

    seq: int
    why: str


def chained(prev_hash: str, seq: int, epoch: int, kind: str, body: str) -> str:
    """The hash of a row: over the hash before it and all that the row says."""
    return hashlib.sha256(f"{prev_hash}|{seq}|{epoch}|{kind}|{body}".encode()).hexdigest()


def rows_of(facts: Sequence[Fact], epoch: int, seq: int, before: str) -> list[Row]:
    """The rows of facts that follow the row `seq` with the hash `before`."""
    rows: list[Row] = []
    for fact in facts:
        seq, kind, body = seq + 1, type(fact).__name__, encode(fact)
        after = chained(before, seq, epoch, kind, body)
        rows.append((seq, epoch, utc_text(fact.at), kind, body, before, after))
        before = after
    return rows


def sealed(program: str, head: str, body: str) -> str:
    """The digest of a snapshot, bound to its place in the chain by the hash there."""
    return hashlib.sha256(f"{program}|{head}|{body}".encode()).hexdigest()


def walk(rows: Iterable[Link]) -> Broken | None:
    """Walk the chain; None when every row follows from the one before and is a fact."""
    before = GENESIS
    for place, (seq, epoch, kind, body, prev_hash, found) in enumerate(rows, 1):
        if seq != place:
            return Broken(place, f"row {place} is missing: the next is {seq}")
        if prev_hash != before or found != chained(before, seq, epoch, kind, body):
            return Broken(seq, "the row, or one before it, was changed after it was written")
        try:
            decode(body)
        except CodecError as error:
            return Broken(seq, str(error))
        before = found
    return None
