"""The house: all that works on one journal. The desks, the tills they trade at, one inbox, one keeper.

What comes in is told to every desk that it concerns, in one turn; most houses have one desk and one till.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trader.core.facts import BarClosed, Fact, PriceSeen
from trader.core.records import CommandTaken
from trader.runtime import telling
from trader.runtime.desk import ACTIVE, HALTED, KILLED, RECOVERING, REDUCING, Desk
from trader.runtime.inbox import Inbox
from trader.runtime.keeper import Keeper
from trader.runtime.market import Market
from trader.runtime.registry import Registry
from trader.runtime.till import Till

GRAVE = (ACTIVE, REDUCING, RECOVERING, HALTED, KILLED)  # the later, the graver


@dataclass(slots=True)
class House:
    """`desks` in the order in which they are told; `tills` are their accounts."""

    name: str
    keeper: Keeper
    inbox: Inbox
    desks: Sequence[Desk]
    tills: Sequence[Till]
    registry: Registry

    @property
    def markets(self) -> list[Market]:
        """What is heard, each market once."""
        return [market for till in self.tills for market in till.markets]

    @property
    def state(self) -> str:
        """The gravest state of any desk."""
        return max((desk.state for desk in self.desks), key=lambda one: GRAVE.index(one) if one in GRAVE else 0)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way and nothing waits to be sent, but for markets that are shut."""
        return all(till.is_quiet for till in self.tills)

    def till_of(self, desk: Desk) -> Till:
        """The account of a desk."""
        return next(till for till in self.tills if desk in till.desks)

    def named(self, mount: str) -> Sequence[Desk]:
        """The desk of a mount, or all of them where none is named; empty where there is none of that name."""
        return [desk for desk in self.desks if mount in {"", desk.name}]

    async def tell(self, *facts: Fact, beside: Sequence[Fact] = (), fires: bool = False) -> list[Fact]:
        """Tell facts of one instant to every desk, see `telling.tell`."""
        return await telling.tell(self.desks, self.keeper, *facts, beside=beside, fires=fires)

    async def teach(self, bars: Sequence[BarClosed]) -> None:
        """Let past bars be known, without a wake."""
        await telling.teach(self.desks, self.keeper, bars)

    async def glance(self, seen: PriceSeen) -> list[Fact]:
        """Let a price act; one that moves nothing leaves no trace."""
        return await telling.glance(self.desks, self.keeper, seen)

    async def flatten(self, desks: Sequence[Desk], command: CommandTaken) -> None:
        """Aim everything at nothing at these desks, in one commit."""
        async with self.keeper.turn:
            followed = [fact for desk in desks for fact in desk.flattened(command)]
            await telling.write(desks, self.keeper, [command], followed)
