"""Snapshots: the state that all facts so far have built, so that a start need not fold a year of them.

A snapshot is a shortcut and never the truth: it is used only if it was taken by this very program with this configuration, at a place
of the journal whose hash is still the same; otherwise everything is folded. It equals the fold, attribute by attribute.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import get_args

from trader import ports
from trader.core import book, facts, ledger, orders, signals, strategy
from trader.core.exits import Exit
from trader.core.feed import Feed
from trader.core.states import Coder, Part
from trader.runtime.desk import Desk
from trader.runtime.inbox import Batch, Inbox
from trader.runtime.outbox import Track
from trader.runtime.outcomes import Open
from trader.runtime.reconcile import Reconciler

CLASSES = (
    *get_args(Exit), ledger.Ledger, ledger.Holding, orders.Order, strategy.Target, strategy.Quote, strategy.Units,
    signals.Signal, facts.OrderPlaced, facts.OrderSending, facts.SignalsKnown, ports.Notice, ports.Said, Track, Open, Batch,
)  # fmt: skip
CODER = Coder(CLASSES, only={Batch: ("count", "parts")})  # when a batch ends is this process's time


def parts_of(desk: Desk, reconciler: Reconciler, inbox: Inbox) -> Mapping[str, Part]:
    """Everything that facts build."""
    made = desk.engine
    assert isinstance(made.market, Feed)
    parts: dict[str, Part] = {
        "mount": made.mount, "feed": made.market, "engine": made, "outbox": desk.outbox, "reconciler": reconciler,
        "outcomes": desk.outcomes, "desk": desk, "inbox": inbox,
        "participation": desk.participation,
    }  # fmt: skip
    return parts if made.gate is None else {**parts, "gate": made.gate}


def capture(desk: Desk, reconciler: Reconciler, inbox: Inbox) -> str:
    """The state of everything that facts build; the same state is the same text."""
    return CODER.capture(parts_of(desk, reconciler, inbox))


def restore(text: str, desk: Desk, reconciler: Reconciler, inbox: Inbox) -> None:
    """Bring a fresh desk to where it was; raises StateError, and then nothing was changed."""
    CODER.restore(text, parts_of(desk, reconciler, inbox))
    desk.outbox.restored()
    reconciler.restored()
    inbox.restored()


def program_of(desk: Desk) -> str:
    """What a snapshot depends on besides the facts, asked of a fresh desk: program, strategy, capital, limits and universe."""
    made = desk.engine
    rest = (
        made.mount.name, repr(made.strategy), repr(made.gate.limits if made.gate is not None else None),
        sorted((asset, [(one.venue, *(None if step is None else str(step.size) for step in (one.lot, one.tick))) for one in terms]) for asset, terms in made.mount.terms.items()),
        sorted((venue, str(cash)) for venue, cash in made.mount.ledger.cash.items()),
    )  # fmt: skip
    return hashlib.sha256(repr((_source(), rest)).encode()).hexdigest()


@lru_cache
def _source() -> str:
    """A hash of the code that folds."""
    digest = hashlib.sha256()
    home = Path(book.__file__).parent
    for path in sorted([*home.glob("*.py"), *(home.parent / "runtime").glob("*.py"), home.parent / "ports.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


__all__ = ["capture", "parts_of", "program_of", "restore"]
