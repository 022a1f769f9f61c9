"""Recovery: the only way to start. Everything that was ever kept is folded; nothing is asked of a strategy a second time.

A snapshot that fits shortens it. Afterwards nothing is sent until the account was compared with the facts (`reconcile`) and the state
says that it may.
"""

from trader.core.facts import Fact
from trader.core.recovery import fold
from trader.core.states import StateError
from trader.ports import Journal
from trader.runtime.desk import RECOVERING, Desk
from trader.runtime.inbox import Inbox
from trader.runtime.reconcile import Reconciler
from trader.runtime.snapshots import restore


async def recover(
    desk: Desk, reconciler: Reconciler, inbox: Inbox, journal: Journal, *, program: str = ""
) -> list[Fact]:
    """Bring a fresh desk to where the journal ends; every order that was being sent is unknown from now on.

    program: whose snapshots may be used; empty = none. Returns the facts that were folded. The lease must be ours already.
    """
    seq = await _restored(desk, reconciler, inbox, journal, program)
    facts = [entry.fact async for entry in journal.read(seq)]
    refold(facts, desk, reconciler, inbox)
    desk.latched, desk.state = desk.state, RECOVERING
    await desk.outbox.recover()
    return facts


def refold(facts: list[Fact], desk: Desk, reconciler: Reconciler, inbox: Inbox) -> None:
    """Let every part learn from facts that were kept."""
    fold(desk.engine, facts)
    for fact in facts:
        desk.outbox.fold(fact)
        reconciler.fold(fact)
        desk.outcomes.note(fact)
        desk.fold(fact)
        inbox.fold(fact)


async def _restored(desk: Desk, reconciler: Reconciler, inbox: Inbox, journal: Journal, program: str) -> int:
    """Take the newest snapshot that fits; returns the place in the journal that it stands for, 0 for none."""
    found = await journal.snapshot(program) if program else None
    if found is None:
        return 0
    try:
        restore(found.body, desk, reconciler, inbox)
    except StateError:
        return 0  # of another shape: the facts are the truth
    return found.seq
