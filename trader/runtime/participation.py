"""Participation: how much of a market our orders may take while a bar forms, so that a thin book is not emptied by us.

The volume of the bar that forms is not known yet: the last closed one stands for it. A replay, which knows the bar's own volume, takes
that; nothing else differs (rule 30). It is folded from facts, so that a restart does not take the same share twice.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from trader.core.facts import BarClosed, Fact, Filled

EPOCH = datetime.fromtimestamp(0, UTC)


class Participation:
    """What is left of each market of a mount. `share`: of the last closed bar's volume; None = unlimited.

    concerns: None for a bar of a market that the mount does not hear.
    """

    STATE = ("_volumes", "_used", "_ends")

    def __init__(self, mount: str, share: float | None, concerns: Callable[[Fact], object]) -> None:
        self._mount, self._share, self._concerns = mount, share, concerns
        self._volumes: dict[str, float] = {}
        self._used: dict[str, Decimal] = {}
        self._ends: dict[str, datetime] = {}  # of the last bars

    def fold(self, fact: Fact) -> None:
        """Learn from a fact that was kept: a bar that closed begins a new share, a fill takes of it."""
        match fact:
            case BarClosed(at=at, asset=asset, volume=volume):
                if self._concerns(fact) is not None and at > self._ends.get(asset, EPOCH):
                    self._volumes[asset], self._ends[asset] = volume, at
                    self._used[asset] = Decimal(0)
            case Filled(mount=self._mount, asset=asset, quantity=quantity):
                self._used[asset] = self._used.get(asset, Decimal(0)) + Decimal(quantity)
            case _:
                pass

    def allow(self, share: float | None) -> None:
        """Let so much be taken from now on; what was taken of the bar stays taken."""
        self._share = share

    def left(self, asset: str) -> Decimal | None:
        """Units that may be bought or sold until the next bar closes; None = any number. Before a bar is known, none."""
        if self._share is None:
            return None
        volume = Decimal(repr(self._volumes.get(asset, 0.0))) * Decimal(repr(self._share))
        return max(volume - self._used.get(asset, Decimal(0)), Decimal(0))
