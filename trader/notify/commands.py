"""Commands from afar: who may give one, what it asks for, and whether its one-time code is right. Nothing is carried out here.

A stranger learns nothing, not even that somebody listens. A code counts once; wrong ones close the door for a while that grows.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

CODE_SECONDS = 30
FRESH = timedelta(minutes=2)
TRIES = 3  # wrong codes in a row before the door closes
CLOSED, CLOSED_MOST = timedelta(minutes=1), timedelta(hours=1)
READS = ("status", "holdings", "orders", "equity", "why", "help")
CHANGES = ("halt", "resume", "flatten", "kill")
HELP = (
    "/status /holdings /orders /equity - how it stands\n/why KEY - what became of a signal\n"
    "/halt [WHY] - open nothing more; exits go on\n/resume CODE - trade again\n/flatten CODE - sell everything and stay out\n"
    "/kill CODE - send nothing at all\nCODE is the one-time code of your authenticator; each counts once"
)


def help_of(sign: str) -> str:
    """What there is to command, each with the sign that begins a command there."""
    return HELP.replace("/", sign)


@dataclass(frozen=True, slots=True)
class Said:
    """A message that came in: its number, who wrote it, when, and whether it stands where commands are taken."""

    number: int
    user: int
    chat: int
    at: datetime
    text: str
    is_private: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that may be carried out, under a key that makes a repetition harmless."""

    name: str
    argument: str
    key: str


@dataclass(frozen=True, slots=True)
class Denied:
    """What is answered instead; `is_wrong` = a code was wrong, which is worth an alarm."""

    answer: str
    is_wrong: bool = False


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who gets no answer."""

    user: int


@dataclass(slots=True)
class Tries:
    """A user's wrong codes in a row, and until when none is looked at."""

    wrong: int = 0
    closed: datetime | None = None


@dataclass(slots=True)
class Guard:
    """Judges what was said. `matches(code, counter)` says whether a code is that of a time step; the rest is state.

    Write the state down before a command is passed on: then a code that was accepted is spent, however the process ends.
    """

    users: Collection[int]
    matches: Callable[[str, int], bool]
    prefix: str
    halt_needs_code: bool = False
    sign: str = "/"  # what begins a command, as answers write it; `/` always does
    peers: list["Guard"] = field(
        default_factory=list, repr=False, compare=False
    )  # those whose codes are of the same secret
    spent: int = 0  # the newest time step whose code was accepted
    tries: dict[int, Tries] = field(default_factory=dict)
    accepted: dict[int, str] = field(default_factory=dict)  # number of a message -> key of the command it became
    STATE: ClassVar[tuple[str, ...]] = ("spent", "tries", "accepted")

    def judge(self, said: Said, now: datetime) -> Asked | Denied | Stranger:
        """What a message means; changes the state where a code was looked at."""
        if said.user not in self.users or not said.is_private:
            return Stranger(said.user)
        name, words = _parsed(said.text)
        if name not in (*READS, *CHANGES):
            return Denied(f"there is no such command\n{help_of(self.sign)}")
        key = f"{self.prefix}-{said.number}"
        if name in READS:
            return Asked(name, " ".join(words), key)
        if not timedelta(0) - FRESH <= now - said.at <= FRESH:
            return Denied(
                f"{self.sign}{name} was sent at {said.at:%Y-%m-%d %H:%M:%S} UTC, which is too long ago: send it again"
            )
        code = words.pop() if words and len(words[-1]) == 6 and words[-1].isascii() and words[-1].isdigit() else ""
        asked = Asked(name, " ".join(words) if name == "halt" else "", key)
        if self.accepted.get(said.number) == key + name:
            return asked  # it came again: the daemon knows the key, and does it once
        if name == "halt" and not self.halt_needs_code:
            return asked
        denied = self._look_at(said.user, code, name, now)
        if denied is not None:
            return denied
        self.accepted = {**dict(list(self.accepted.items())[-99:]), said.number: key + name}
        return asked

    def _look_at(self, user: int, code: str, name: str, now: datetime) -> Denied | None:
        tries = self.tries.setdefault(user, Tries())
        if tries.closed is not None and now < tries.closed:
            return Denied(f"no code is looked at until {tries.closed:%H:%M:%S} UTC: too many were wrong")
        if not code:
            return Denied(f"{self.sign}{name} needs the one-time code of your authenticator: {self.sign}{name} 123456")
        step = int(now.timestamp()) // CODE_SECONDS
        # one step before and after for clocks that differ; never one that is not newer than the last that counted
        spent = max(one.spent for one in (self, *self.peers))
        found = next((one for one in (step, step - 1, step + 1) if one > spent and self.matches(code, one)), None)
        if found is not None:
            self.spent, self.tries[user] = found, Tries()
            return None
        tries.wrong += 1
        if tries.wrong >= TRIES:
            wait = min(CLOSED * 2 ** min(tries.wrong - TRIES, 6), CLOSED_MOST)
            tries.closed = now + wait
        return Denied("the code is wrong, too old or was used already: nothing was done", is_wrong=True)


def _parsed(text: str) -> tuple[str, list[str]]:
    """`/halt@my_bot some words` as halt and its words."""
    words = text.split()
    if not words or not words[0].startswith("/"):
        return "", []
    return words[0][1:].partition("@")[0].lower(), words[1:]
