"""Recovery: the only way to start. Everything that was ever kept is folded; nothing is asked of a strategy a second time.

A snapshot that fits shortens it. Afterwards nothing is sent until the account was compared with the facts (`reconcile`) and the state
says that it may. Each mount folds what concerns it, from where it was first set to work.
"""

from collections.abc import Sequence

from trader.core.facts import Fact
from trader.core.records import MountStarted
from trader.core.recovery import fold
from trader.core.states import StateError
from trader.ports import Journal
from trader.runtime.desk import RECOVERING
from trader.runtime.house import House
from trader.runtime.snapshots import restore


async def recover(house: House, journal: Journal, *, program: str = "") -> list[Fact]:
    """Bring a fresh house to where the journal ends; every order that was being sent is unknown from now on.

    program: whose snapshots may be used; empty = none. Returns the facts that were folded. The lease must be ours already.
    Raises LeftBehindError where a mount of the journal has something and is not set to work.
    """
    seq = await _restored(house, journal, program)
    facts = [entry.fact async for entry in journal.read(seq)]
    refold(facts, house, is_whole=not seq)
    house.registry.check()
    for desk in house.desks:
        desk.latched, desk.state = desk.state, RECOVERING
    for till in house.tills:
        await till.outbox.recover()
    return facts


def refold(facts: Sequence[Fact], house: House, *, is_whole: bool = True) -> None:
    """Let every part learn from facts that were kept. is_whole: they are all there are, so that each mount's first start is among them."""
    for fact in facts:
        house.registry.fold(fact)
        for till in house.tills:
            till.outbox.fold(fact)
            till.reconciler.fold(fact)
        house.inbox.fold(fact)
        for desk in house.desks:
            desk.fold(fact)
    begins = _begins(facts) if is_whole else {}
    for desk in house.desks:
        own = facts[begins.get(desk.name, len(facts) if begins else 0) :]
        fold(desk.engine, own)
        for fact in own:
            desk.outcomes.note(fact)


def _begins(facts: Sequence[Fact]) -> dict[str, int]:
    """Where the history of each mount begins: what was before it was set to work concerns it not. The first one's is all there is."""
    found: dict[str, int] = {}
    for place, fact in enumerate(facts):
        if isinstance(fact, MountStarted):
            found.setdefault(fact.mount, place if found else 0)
    return found


async def _restored(house: House, journal: Journal, program: str) -> int:
    """Take the newest snapshot that fits; returns the place in the journal that it stands for, 0 for none."""
    found = await journal.snapshot(program) if program else None
    if found is None:
        return 0
    try:
        restore(found.body, house)
    except StateError:
        return 0  # of another shape: the facts are the truth
    return found.seq
