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
from trader.core.engine import Engine
from trader.core.exits import Exit
from trader.core.feed import Feed
from trader.core.states import Coder, Part
from trader.runtime.house import House
from trader.runtime.inbox import Batch
from trader.runtime.outbox import Track
from trader.runtime.outcomes import Open

CLASSES = (
    *get_args(Exit), ledger.Ledger, ledger.Holding, orders.Order, strategy.Target, strategy.Quote, strategy.Units,
    signals.Signal, facts.OrderPlaced, facts.OrderSending, facts.SignalsKnown, ports.Notice, ports.Said, Track, Open, Batch,
)  # fmt: skip
CODER = Coder(CLASSES, only={Batch: ("count", "parts")})  # when a batch ends is this process's time


def parts_of(house: House) -> Mapping[str, Part]:
    """Everything that facts build. The parts of a desk and of an account bear its name where there are several."""
    parts: dict[str, Part] = {"inbox": house.inbox, "registry": house.registry}
    for desk in house.desks:
        named = f" {desk.name}" if len(house.desks) > 1 else ""
        own: dict[str, Part] = {
            **_engine_parts(desk.engine), "outcomes": desk.outcomes, "desk": desk, "participation": desk.participation
        }  # fmt: skip
        parts |= {f"{name}{named}": one for name, one in own.items()}
    for till in house.tills:
        named = f" {till.name}" if len(house.tills) > 1 else ""
        parts |= {f"outbox{named}": till.outbox, f"reconciler{named}": till.reconciler}
    return parts


def capture(house: House) -> str:
    """The state of everything that facts build; the same state is the same text."""
    return CODER.capture(parts_of(house))


def restore(text: str, house: House) -> None:
    """Bring a fresh house to where it was; raises StateError, and then nothing was changed."""
    CODER.restore(text, parts_of(house))
    for till in house.tills:
        till.outbox.restored()
        till.reconciler.restored()
    house.inbox.restored()


def state_of(engine: Engine) -> str:
    """The state of an engine alone, for another one to go on from."""
    return CODER.capture(_engine_parts(engine))


def give(text: str, engine: Engine) -> None:
    """Bring a fresh engine to where another one was."""
    CODER.restore(text, _engine_parts(engine))


def _engine_parts(engine: Engine) -> Mapping[str, Part]:
    assert isinstance(engine.market, Feed)
    parts: dict[str, Part] = {"mount": engine.mount, "feed": engine.market, "engine": engine}
    return parts if engine.gate is None else {**parts, "gate": engine.gate}


def program_of(*made: Engine) -> str:
    """What a snapshot depends on besides the facts, asked of fresh engines: program, strategy, capital, limits and universe of each."""
    rest = [
        (
            one.mount.name, repr(one.strategy), repr(one.gate.limits if one.gate is not None else None),
            sorted((asset, [(it.venue, *(None if step is None else str(step.size) for step in (it.lot, it.tick))) for it in terms]) for asset, terms in one.mount.terms.items()),
            sorted((venue, str(cash)) for venue, cash in one.mount.ledger.cash.items()), getattr(one.market, "market", ""),
        )
        for one in made
    ]  # fmt: skip
    return hashlib.sha256(repr((_source(), rest)).encode()).hexdigest()


@lru_cache
def _source() -> str:
    """A hash of the code that folds."""
    digest = hashlib.sha256()
    home = Path(book.__file__).parent
    for path in sorted([*home.glob("*.py"), *(home.parent / "runtime").glob("*.py"), home.parent / "ports.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


__all__ = ["capture", "give", "parts_of", "program_of", "restore", "state_of"]
