"""The keeper: the one way by which facts come to be. Written first, then learnt from; a commit that fails is repeated as it is.

Nothing is handled while a commit is open (`turn`), and nothing is taken back: if it cannot be written, the process ends and recovers.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from time import perf_counter

from trader.core.facts import Fact
from trader.ports import Clock, Journal, JournalDownError
from trader.runtime.measures import Measures

KEEPS = 20  # how often a commit that fails is repeated before the process gives up
Learner = Callable[[Fact], None]


class Keeper:
    """Writes facts and tells those who listen. `followers` are asked before the commit what facts bring about at once."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.journal, self.clock = journal, clock
        self.measures = Measures()
        self.listeners: list[Learner] = [self.measures.fold]
        self.followers: list[Callable[[Sequence[Fact]], Sequence[Fact]]] = []
        self.written = 0  # facts since this process began
        self.told: Counter[type[Fact]] = Counter()  # the same by kind
        self.turn = asyncio.Lock()  # what the engine learns and what is written keep one order

    @property
    def epoch(self) -> int:
        """The epoch under which we may write."""
        return self.journal.epoch

    def now(self) -> datetime:
        """The instant that a fact of now carries."""
        return self.clock.now()

    async def keep(self, *facts: Fact, when: Callable[[], bool] = lambda: True) -> bool:
        """Let facts about orders, accounts and states be learnt by the engines, and write them with what follows.

        when: asked once it is our turn; false = nothing is written, because a decision came in between.
        """
        async with self.turn:
            if not when():
                return False
            followed = [fact for follow in self.followers for fact in follow(facts)]
            await self.write([*facts, *followed])
        return True

    async def write(self, facts: Sequence[Fact]) -> None:
        """Write facts in one commit within a turn, then tell the listeners; raises JournalDownError when it stays impossible."""
        if not facts:
            return
        begin = perf_counter()
        for attempt in range(KEEPS):
            try:
                await self.journal.append(facts)
                break
            except JournalDownError:
                if attempt == KEEPS - 1:
                    raise
                await self.clock.sleep(min(0.05 * 2**attempt, 5.0))
        self.measures.spent("kept", begin)
        self.written += len(facts)
        self.told.update(type(fact) for fact in facts)
        for fact in facts:
            for listener in self.listeners:
                listener(fact)
