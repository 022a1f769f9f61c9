"""Telling: what came at one instant is told to every desk that it concerns, in one turn and one commit.

One publication is one fact, whoever wants it: each mount decides on what concerns its universe, and each says how it ended for it.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import Protocol

from trader.core.engine import Engine
from trader.core.facts import BarClosed, Fact, PriceSeen
from trader.core.records import PastTaught
from trader.runtime.keeper import Keeper
from trader.runtime.outcomes import Outcomes


class Hears(Protocol):
    """A desk, as far as it is told something."""

    engine: Engine
    outcomes: Outcomes

    def decided(self, facts: Sequence[Fact], *, fires: bool = False) -> list[Fact]: ...
    def suspending(self, followed: Sequence[Fact]) -> list[Fact]: ...


async def tell(
    desks: Sequence[Hears], keeper: Keeper, *facts: Fact, beside: Sequence[Fact] = (), fires: bool = False
) -> list[Fact]:
    """Let facts of one instant act and write all of it in one commit; `fires`: price exits only, before the rest.

    beside: receipts and the like, written before in the same commit.
    """
    async with keeper.turn:
        begin = perf_counter()
        followed = [fact for desk in desks for fact in desk.decided(facts, fires=fires)]
        keeper.measures.spent("decided", begin)
        await write(desks, keeper, [*beside, *([] if fires else facts)], followed)
    return followed


async def glance(desks: Sequence[Hears], keeper: Keeper, seen: PriceSeen) -> list[Fact]:
    """Let a price act; one that moves nothing leaves no trace."""
    async with keeper.turn:
        followed = [fact for desk in desks for fact in desk.decided([seen])]
        if followed:
            await write(desks, keeper, [seen], followed)
    return followed


async def teach(desks: Sequence[Hears], keeper: Keeper, bars: Sequence[BarClosed]) -> None:
    """Let past bars be known, without a wake."""
    async with keeper.turn:
        learnt = {bar for desk in desks for bar in desk.engine.teach(*bars)}
        if learnt:
            new = [bar for bar in bars if bar in learnt]
            await keeper.write([PastTaught(keeper.now(), len(new)), *new])


async def write(desks: Sequence[Hears], keeper: Keeper, told: Sequence[Fact], followed: Sequence[Fact]) -> None:
    """Write what was told, what followed, and the outcomes that are final with it, in one commit of our turn."""
    failed = [fact for desk in desks for fact in desk.suspending(followed)]
    whole = [*told, *followed, *failed]
    await keeper.write([*whole, *(fact for desk in desks for fact in desk.outcomes.closing(whole))])
