"""Recovery: the only way to start. Everything that was ever kept is folded; nothing is asked of a strategy a second time.

Afterwards nothing is sent until the account was compared with the facts (`reconcile`) and the state says that it may.
"""

from trader.core.facts import Fact
from trader.core.recovery import fold
from trader.ports import Journal
from trader.runtime.desk import RECOVERING, Desk
from trader.runtime.reconcile import Reconciler


async def recover(desk: Desk, reconciler: Reconciler, journal: Journal) -> list[Fact]:
    """Bring a fresh desk to where the journal ends; every order that was being sent is unknown from now on.

    Returns the facts, so that others may fold them too. The lease must be ours already.
    """
    facts = [entry.fact async for entry in journal.read()]
    fold(desk.engine, facts)
    for fact in facts:
        desk.outbox.fold(fact)
        reconciler.fold(fact)
        desk.outcomes.note(fact)
        desk.fold(fact)
    desk.latched, desk.state = desk.state, RECOVERING
    await desk.outbox.recover()
    return facts
