"""Who may ask: tokens with scopes, sessions of the dashboard, and what slows somebody who guesses.

A token is compared by the digest of it, with every token there is, so that the time it takes tells nothing.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

SHORTEST = 24  # characters of a token
SESSION_SECONDS = 12 * 3600.0
SESSIONS_MOST = 1_000
ADDRESSES_MOST = 10_000
FREE_TRIES = 5  # failures of an address that cost nothing
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0  # seconds; doubled with each failure more
FORGOTTEN_AFTER = 900.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Token:
    """A token, kept as its digest."""

    name: str
    digest: bytes
    scopes: frozenset[str]
    expires: datetime | None = None

    @classmethod
    def of(cls, name: str, text: str, scopes: Iterable[str], expires: datetime | None = None) -> "Token":
        """Keep a token; raises ValueError where it is too short to be one."""
        if len(text) < SHORTEST:
            raise ValueError(
                f"token {name}: {len(text)} characters are too few; at least {SHORTEST}, such as `openssl rand -hex 32` prints"
            )
        return cls(name, sha256(text.encode()).digest(), frozenset(scopes), expires)


class Vault:
    """The tokens."""

    def __init__(self, tokens: Iterable[Token], now: Callable[[], datetime]) -> None:
        self._tokens, self._now = list(tokens), now

    def find(self, text: str) -> Caller | None:
        """Who has this token; None where nobody has, or it is expired."""
        digest, found = sha256(text.encode()).digest(), None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        if found is None or (found.expires is not None and self._now() >= found.expires):
            return None
        return Caller(found.name, found.scopes)


class Sessions:
    """Dashboards that showed a token once; forgotten at the end of the process."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._open: OrderedDict[bytes, tuple[Caller, float, str]] = OrderedDict()

    def begin(self, caller: Caller, token: str) -> str:
        """The cookie of a new session; it ends with its token."""
        cookie = secrets.token_urlsafe(32)
        self._open[sha256(cookie.encode()).digest()] = (caller, self._monotonic() + SESSION_SECONDS, token)
        while len(self._open) > SESSIONS_MOST:
            self._open.popitem(last=False)
        return cookie

    def find(self, cookie: str, vault: Vault) -> Caller | None:
        """Whose session it is; None where there is none any more."""
        key = sha256(cookie.encode()).digest()
        found = self._open.get(key)
        if found is None:
            return None
        _, ends, token = found
        if self._monotonic() >= ends or vault.find(token) is None:
            del self._open[key]
            return None
        return found[0]

    def end(self, cookie: str) -> None:
        """Forget a session."""
        self._open.pop(sha256(cookie.encode()).digest(), None)


class Throttle:
    """Slows an address down that failed often: while it waits, nothing that it shows is looked at."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()  # failures, until when it waits

    def wait(self, address: str) -> float:
        """How many seconds the address still waits."""
        count, until = self._failed.get(address, (0, 0.0))
        left = until - self._monotonic()
        if count and left < -FORGOTTEN_AFTER:
            del self._failed[address]
        return max(left, 0.0)

    def failed(self, address: str) -> None:
        """Note a failure."""
        count = self._failed.pop(address, (0, 0.0))[0] + 1
        wait = min(FIRST_WAIT * 2.0 ** min(count - FREE_TRIES - 1, 20), LONGEST_WAIT) if count > FREE_TRIES else 0.0
        self._failed[address] = (count, self._monotonic() + wait)
        while len(self._failed) > ADDRESSES_MOST:
            self._failed.popitem(last=False)


class Rate:
    """At most so many per second for each name, in bursts of a second's worth."""

    def __init__(self, per_second: float, monotonic: Callable[[], float]) -> None:
        self._per_second, self._monotonic = per_second, monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> bool:
        """Whether one more is within the rate."""
        now = self._monotonic()
        left, at = self._buckets.pop(name, (self._per_second, now))
        left = min(left + (now - at) * self._per_second, self._per_second)
        is_in = left >= 1.0
        self._buckets[name] = (left - 1.0 if is_in else left, now)
        while len(self._buckets) > ADDRESSES_MOST:
            self._buckets.popitem(last=False)
        return is_in
