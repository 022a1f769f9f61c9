"""What happens, as it happens: one reader of the journal and one asker of the bot, however many look on."""

import asyncio
import json
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from trader.api.house import DarkError, House, Told, UnreadableError

POLL_SECONDS, STATUS_SECONDS = 0.25, 1.0
FRESH_SECONDS = 0.5  # an answer of the bot serves everybody who asks within this time
MOST_AT_ONCE = 500
BEHIND_MOST = 2_000  # events that wait for one who reads slowly; then the stream ends, and it may come again
WATCHERS_MOST = 200
AGAIN_SECONDS = 5.0  # until what ended unexpectedly is begun anew
Failed = Callable[[str, BaseException], None]  # told what ended, and why


class CrowdedError(Exception):
    """As many look on as may."""


def event_text(name: str, data: str, *, seq: int | None = None, retry: int | None = None) -> str:
    """A server-sent event as it goes out; made once for everybody. data: one line. retry: milliseconds until a reader comes again."""
    heads = [
        f"event: {name}",
        *([] if seq is None else [f"id: {seq}"]),
        *([] if retry is None else [f"retry: {retry}"]),
    ]
    return "\n".join([*heads, f"data: {data}", "", ""])


@dataclass(slots=True, eq=False)
class _Watcher:
    waiting: deque[str] = field(default_factory=deque)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    is_lost: bool = False

    def give(self, text: str) -> None:
        if len(self.waiting) >= BEHIND_MOST:
            self.is_lost = True
        else:
            self.waiting.append(text)
        self.woken.set()

    def take(self) -> str:
        """All that waits, as one text: one send, however many events."""
        text = "".join(self.waiting)
        self.waiting.clear()
        return text


class Live:
    """Reads and asks now and then, and tells those who look on."""

    def __init__(self, house: House, monotonic: Callable[[], float]) -> None:
        self._house, self._monotonic = house, monotonic
        self._watchers: set[_Watcher] = set()
        self._asked: dict[str, object] = {}
        self._asked_text = "{}"
        self._asked_at = -1e9
        self._asking = asyncio.Lock()
        self.seq = 0

    async def go_on(self, failed: Failed) -> None:
        """Tell until cancelled; what ends it before is said to everybody who looks on, and it begins anew after a pause."""
        while True:
            task = asyncio.create_task(self.run(), name="what happens")
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
                await asyncio.wait({task})
            error = None if task.cancelled() else task.exception()
            error = error or RuntimeError("it ended, which it never does by itself")
            failed("telling what happens", error)
            said = f"what happens is not told for {AGAIN_SECONDS:g} s: {type(error).__name__}"  # its text may name what is secret
            self._trouble(said, "the log of `trader api` has more")
            await asyncio.sleep(AGAIN_SECONDS)

    async def run(self) -> None:
        """Tell until cancelled."""
        due = 0.0
        while True:
            try:
                await self._tell_facts()
            except UnreadableError as error:
                self._trouble(str(error), error.remedy)
                await asyncio.sleep(STATUS_SECONDS)
            if self._watchers and self._monotonic() >= due:
                due = self._monotonic() + STATUS_SECONDS
                self._give(event_text("status", await self.status_text()))
            await asyncio.sleep(POLL_SECONDS)

    async def _tell_facts(self) -> None:
        if not self._watchers:
            newest = await self._house.pages.last()
            if not self._watchers:  # who came meanwhile is told from where he began
                self.seq = newest
            return
        told = await self._house.pages.facts(self.seq, MOST_AT_ONCE)
        for one in told:
            if one.seq > self.seq:  # all may have left meanwhile, and another come, who began behind it
                self._give(fact_text(one))
                self.seq = one.seq

    def _trouble(self, error: str, remedy: str) -> None:
        self._give(event_text("trouble", json.dumps({"error": error, "remedy": remedy})))

    def _give(self, text: str) -> None:
        for watcher in self._watchers:
            watcher.give(text)

    async def status(self) -> dict[str, object]:
        """What the bot says of itself, with the age of it; `answers` is false where it does not."""
        await self._ask()
        return {**self._asked, "age_seconds": self._age()}

    async def status_text(self) -> str:
        """The same as JSON, which is made once for each time the bot is asked: many may want it at once."""
        await self._ask()
        return f'{self._asked_text[:-1]}, "age_seconds": {self._age()}}}'

    async def _ask(self) -> None:
        async with self._asking:
            if self._monotonic() - self._asked_at > FRESH_SECONDS:
                try:
                    said = {"answers": True, **await self._house.ask("status", "", "", "")}
                except DarkError as error:
                    said = {"answers": False, "error": str(error)}
                self._asked = {**said, "name": self._house.name}
                self._asked_text = json.dumps(plain(self._asked))
                self._asked_at = self._monotonic()

    def _age(self) -> float:
        return round(self._monotonic() - self._asked_at, 3)

    async def events(self, after: int | None) -> AsyncIterator[str]:
        """What happens from now on, or from behind a place of the journal, as texts of one or more events; raises CrowdedError."""
        if not self._watchers:
            newest = await self._house.pages.last()
            if not self._watchers:  # else another came meanwhile, who would miss what is between
                self.seq = max(self.seq, newest)
        if len(self._watchers) >= WATCHERS_MOST:
            raise CrowdedError(f"{WATCHERS_MOST} look on already")
        watcher, begin = _Watcher(), self.seq  # nothing is awaited between the two
        self._watchers.add(watcher)
        try:
            yield event_text("status", await self.status_text())
            if after is not None:
                async for text in self._missed(after, begin):
                    yield text
            while not watcher.is_lost:
                watcher.woken.clear()
                if watcher.waiting:
                    yield watcher.take()
                await watcher.woken.wait()
        finally:
            self._watchers.discard(watcher)

    async def _missed(self, after: int, upto: int) -> AsyncIterator[str]:
        while after < upto:
            told = await self._house.pages.facts(after, MOST_AT_ONCE)
            if not told:
                return
            yield "".join(fact_text(one) for one in told if one.seq <= upto)
            after = told[-1].seq


def fact_row(told: Told) -> dict[str, object]:
    """A fact as plain values."""
    return {"seq": told.seq, "kind": type(told.fact).__name__, **_fields(told.fact)}


def fact_text(told: Told) -> str:
    """A fact as an event."""
    return event_text("fact", json.dumps(fact_row(told)), seq=told.seq)


def _fields(value: object) -> dict[str, object]:
    return {one.name: plain(getattr(value, one.name)) for one in fields(value)}  # type: ignore[arg-type]


def plain(value: object) -> object:
    """A value of a fact as JSON; amounts stay texts, so that no digit is lost."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return str(value)
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case tuple() | list():
            return [plain(one) for one in value]
        case dict():
            return {str(key): plain(one) for key, one in value.items()}
        case _ if is_dataclass(value):
            return {"is": type(value).__name__, **_fields(value)}
        case _:
            return str(value)
