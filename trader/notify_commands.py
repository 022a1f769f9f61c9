"""What a command from afar brings about: answers out of the daemon's status and the journal, changes through the daemon's socket."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, assert_never

from trader.adapters.chat import Chat, ChatDownError, Update
from trader.core.facts import Fact
from trader.notify.commands import CHANGES, Asked, Denied, Guard, Said, Stranger, help_of
from trader.notify.event import CRITICAL, WARNING, Event, harmless
from trader.ports import Clock, Entry, JournalDownError
from trader.runtime.control import Command, NoDaemonError, ask
from trader.runtime.logs import Log
from trader.runtime.stories import explain, keys_like, outcome_of

PORTION = 5_000
WAIT_SECONDS = 25  # how long a question for messages may wait at Telegram
PAUSES = (1.0, 5.0, 15.0, 60.0)
BATCH = 1_000  # numbers back from the last one that was dealt with, which may be handed out again
ANEW_SECONDS = 5 * 86_400.0  # without a message, after which the numbers of a service may begin anew
NOTED = timedelta(minutes=10)  # strangers are told of at most so often


class Facts(Protocol):
    """The journal, read only."""

    async def facts(self, after: int, most: int) -> list[Entry]:
        """At most so many facts behind a seq."""

    async def last(self) -> int:
        """The last seq."""

    async def worths(self) -> list[tuple[str, float, float]]:
        """What each mount was worth last, and at most."""


@dataclass(slots=True)
class Operator:
    """Carries out what a guard let pass."""

    socket: Path
    facts: Facts
    sign: str = "/"

    async def carry_out(self, asked: Asked) -> str:
        """The answer to a command, plain text."""
        if asked.name == "help":
            return help_of(self.sign)
        try:
            if asked.name == "why":
                return await self._why(asked.argument)
            if asked.name == "equity":
                return await self._equity()
            if asked.name in CHANGES:
                argument = harmless(asked.argument, 200) or f"{asked.name} by {asked.key}"
                found = await ask(self.socket, Command(asked.name, argument, asked.key))
                if not found.get("ok"):
                    return harmless(found.get("error", "the daemon refused it"))
                return f"{harmless(found.get('done'))}: the state is {harmless(found.get('state'))}"
            return _TOLD[asked.name](await ask(self.socket, Command("status")))
        except NoDaemonError:
            return f"the daemon does not answer; whether it took {self.sign}{asked.name} is not known: ask {self.sign}status"
        except JournalDownError as error:
            return f"the journal cannot be read: {harmless(error)}"

    async def _equity(self) -> str:
        rows = [
            f"{harmless(mount)}: {equity:,.2f}, {1 - equity / peak:.1%} under its highest {peak:,.2f}"
            for mount, equity, peak in await self.facts.worths()
            if peak > 0
        ]
        return "\n".join(rows) or "no bar has closed yet"

    async def _why(self, key: str) -> str:
        if not key:
            return f"{self.sign}why needs the key of a message, or a part of it"
        facts: list[Fact] = []
        after = 0
        while portion := await self.facts.facts(after, PORTION):
            facts += [one.fact for one in portion]
            after = portion[-1].seq
            await asyncio.sleep(0)
        keys = keys_like(facts, key)
        if len(keys) != 1:
            shown = "".join(f"\n{harmless(one)} ({harmless(outcome_of(facts, one))})" for one in keys[:10])
            return f"{len(keys)} signals have that in their key{shown}"
        lines = [f"{one.at:%m-%d %H:%M:%S} {one.what}: {harmless(one.text)}" for one in explain(facts, keys[0])]
        return "\n".join([f"{harmless(keys[0])}: {harmless(outcome_of(facts, keys[0]))}", *lines])


def _status(found: Mapping[str, object]) -> str:
    links, sources = _map(found.get("links")), _map(found.get("sources"))
    down = [harmless(name, 40) for name, one in links.items() if _map(one).get("is_up") is False]
    feeds = [f"{harmless(name, 40)} {harmless(_map(one).get('state'))}" for name, one in sources.items()]
    ago = found.get("reconciled_seconds_ago")
    rows = [
        f"{harmless(found.get('mount'))} ({harmless(found.get('strategy'))}): {harmless(found.get('state'))}",
        f"cash {harmless(found.get('cash'))}, {len(_map(found.get('holdings')))} held, {len(_rows(found))} orders under way",
        "the account was not compared yet" if ago is None else f"the account was compared {ago} s ago",
    ]
    rows += [f"down: {', '.join(down)}"] if down else []
    rows += [f"feeds: {', '.join(feeds)}"] if feeds else []
    rows += [f"trouble: {harmless(found['trouble'])}"] if found.get("trouble") else []
    rows += ["everything is being sold"] if found.get("is_flattening") else []
    return "\n".join(rows)


def _holdings(found: Mapping[str, object]) -> str:
    rows = [
        f"{harmless(asset)}: {harmless(_map(one).get('quantity'))} at {harmless(_map(one).get('entry'))}"
        for asset, one in _map(found.get("holdings")).items()
    ]
    return "\n".join(rows) or "nothing is held"


def _orders(found: Mapping[str, object]) -> str:
    rows = [
        f"{harmless(one.get('order'))}: {harmless(one.get('side'))} {harmless(one.get('asset'))}, {harmless(one.get('state'))}"
        for one in _rows(found)
    ]
    return "\n".join(rows) or "no order is under way"


_TOLD: Mapping[str, Callable[[Mapping[str, object]], str]] = {
    "status": _status,
    "holdings": _holdings,
    "orders": _orders,
}


def _map(value: object) -> dict[str, object]:
    return {str(key): one for key, one in value.items()} if isinstance(value, Mapping) else {}


def _rows(found: Mapping[str, object]) -> list[dict[str, object]]:
    orders = found.get("orders")
    return [_map(one) for one in orders] if isinstance(orders, list) else []


@dataclass(slots=True)
class Listener:
    """Takes commands through a bot in a chat. `keep` writes the state down; `tell` hands events to the post office."""

    chat: Chat
    guard: Guard
    operator: Operator
    clock: Clock
    log: Log
    keep: Callable[[int], None]
    tell: Callable[[Event], None]
    heard: int = 0  # the number of the last message that was dealt with
    _noted: datetime | None = None
    _strangers: set[int] = field(default_factory=set)

    async def listen(self) -> None:
        """Deal with one message after the other, for ever."""
        failures, last = 0, float("-inf")
        while True:
            # then the service says itself what was not heard yet
            is_anew = self.chat.is_anew and self.clock.monotonic() - last > ANEW_SECONDS
            try:
                updates = await self.chat.updates(-1 if is_anew else self.heard, seconds=WAIT_SECONDS)
                failures = 0
            except ChatDownError as error:
                if not failures:
                    self.log.warning(self.chat.name, error=str(error))
                await self.clock.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
                continue
            for update in updates:
                last = self.clock.monotonic()
                if not (self.heard - BATCH if self.chat.is_anew else 0) < update.number <= self.heard:
                    await self.deal(update)
                    self.heard = update.number
                    self.keep(self.heard)

    async def deal(self, update: Update) -> None:
        """Judge a message, write down what that changed, and only then act."""
        at = datetime.fromtimestamp(update.sent, UTC)
        if update.trouble and update.is_private and update.user in self.guard.users:
            await self._answer(update, update.trouble)
            return
        said = Said(update.number, update.user, update.chat, at, update.text, update.is_private)
        verdict = self.guard.judge(said, self.clock.now())
        self.keep(self.heard)
        match verdict:
            case Stranger(user=user):
                if user:
                    self._note(user)
                return
            case Denied(answer=answer, is_wrong=is_wrong):
                if is_wrong:
                    text = f"user {update.user} sent one with /{harmless(update.text.split()[0].lstrip('/'), 20)}"
                    self.tell(Event(self.clock.now(), CRITICAL, "a wrong code", text, f"code:{update.user}"))
            case Asked(name=name, key=key):
                if name in CHANGES:
                    self.log.info("command", command=name, key=key, user=update.user)
                answer = await self.operator.carry_out(verdict)
            case _:
                assert_never(verdict)
        await self._answer(update, answer)

    async def _answer(self, update: Update, answer: str) -> None:
        try:
            await self.chat.say(update.chat, answer)
        except ChatDownError as error:
            self.log.warning("not answered", error=str(error), key=f"{self.guard.prefix}-{update.number}")

    def _note(self, user: int) -> None:
        """Strangers are told of, many at once and seldom: whoever finds the bot must not be able to ring our phone."""
        if len(self._strangers) < 1_000:
            self._strangers.add(user)
        now = self.clock.now()
        if self._noted is not None and now - self._noted < NOTED:
            return
        shown = ", ".join(map(str, sorted(self._strangers)[:5]))
        text = f"{len(self._strangers)} of them wrote to the bot and got no answer: user {shown}"
        self.tell(Event(now, WARNING, "strangers", text, "strangers"))
        self.log.warning("strangers", users=sorted(self._strangers)[:20])
        self._noted, self._strangers = now, set()
