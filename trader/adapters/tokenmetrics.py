"""Token Metrics' REST API, v2 and v3 behind one face: typed rows or a typed error, never "no data" by accident.

Each request costs one credit of a monthly budget, whatever it brings. Ranges are asked for in windows of thirty days, one group of tokens
at a time, so that an answer cannot be full: paging is not to be relied upon there. What may be tried again is, with growing pauses.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from urllib.parse import urlencode

from trader.adapters.http import Answer, HttpTransport, NoAnswerError, Transport
from trader.adapters.tokenmetrics_fields import ENDPOINTS, Aside, Page, Row, day, page_of
from trader.ports import Clock

BASE = "https://api.tokenmetrics.com"
LIMIT = 100  # rows of one answer, as documented
SPAN_DAYS = 30  # a window's days, both ends counted
PAGES_MOST = 200


class VendorError(Exception):
    """The vendor did not answer with data. `status` is that of HTTP, 0 where there was none."""

    is_passing = False  # whether trying again may help

    def __init__(self, endpoint: str, status: int, said: str) -> None:
        super().__init__(f"tokenmetrics {endpoint}: {said}" + (f" (HTTP {status})" if status else ""))
        self.endpoint, self.status, self.said = endpoint, status, said


class WrongKeyError(VendorError):
    """401: the key is missing or wrong; nothing will come until it is replaced."""


class PaymentError(VendorError):
    """402: the vendor wants to be paid for this call."""


class NotInPlanError(VendorError):
    """403: the plan does not include this endpoint."""


class NotThereError(VendorError):
    """404: no such path, or no such token."""


class BadQuestionError(VendorError):
    """400 or 422: a parameter is wrong."""


class QuotaError(VendorError):
    """429: too many requests, by the minute or by the month. `after` is how long the vendor asks to wait, in seconds."""

    is_passing = True

    def __init__(self, endpoint: str, said: str, after: float | None) -> None:
        super().__init__(endpoint, 429, said)
        self.after = after


class VendorDownError(VendorError):
    """No answer, an answer of a server in trouble, or one that is cut or no JSON."""

    is_passing = True


class SaidNoError(VendorError):
    """`success` is false, whatever the status of HTTP."""


class FullPageError(VendorError):
    """An answer with as many rows as it may hold: there may be more that nobody shows."""


class OutOfCreditsError(VendorError):
    """The budget of the month is spent; nothing was asked."""


REFUSALS: Mapping[int, type[VendorError]] = {
    400: BadQuestionError, 401: WrongKeyError, 402: PaymentError, 403: NotInPlanError, 404: NotThereError, 422: BadQuestionError,
}  # fmt: skip


@dataclass(slots=True)
class Budget:
    """Credits of a month. `spent` by month; `keep` is told of each credit, so that it can be kept over restarts, and answers how many
    are spent with those of other processes.
    """

    credits: int
    spent: dict[str, int] = field(default_factory=dict)
    keep: Callable[[str, int], int] = lambda _month, spent: spent

    def left(self, at: datetime) -> int:
        """Credits that are left in the month of an instant."""
        return self.credits - self.spent.get(f"{at:%Y-%m}", 0)

    def spend(self, at: datetime) -> None:
        """Count one request."""
        month = f"{at:%Y-%m}"
        self.spent[month] = self.keep(month, self.spent.get(month, 0) + 1)


@dataclass(frozen=True, slots=True)
class Manner:
    """How the vendor is asked."""

    version: str = "v2"
    base: str = BASE
    header: str = "x-api-key"
    limit: int = LIMIT
    seconds: float = 15.0
    at_once: int = 2
    apart_seconds: float = 2.0  # between two requests; no limit per minute is published
    tries: int = 4
    pause_seconds: float = 2.0  # before the second try; it doubles
    pause_most: float = 60.0
    allow: tuple[str, ...] = ()  # fields that are unknown and may be left out


class TokenMetrics:
    """The client. `lot` draws the jitter of pauses."""

    def __init__(
        self, key: str, clock: Clock, budget: Budget, manner: Manner | None = None, wire: Transport | None = None, lot: Random | None = None
    ) -> None:  # fmt: skip
        self._key, self._clock, self.budget, self.manner = key, clock, budget, manner or Manner()
        self._wire = wire or HttpTransport(repeats=False)  # each question costs a credit
        self._lot = lot or Random()  # noqa: S311 - pauses need no secret
        self._gate = asyncio.Semaphore(self.manner.at_once)
        self._next = 0.0

    async def close(self) -> None:
        """Close connections."""
        await self._wire.close()

    # Questions

    async def latest(self, endpoint: str, **selects: str | int) -> Page:
        """The newest rows; raises a VendorError, and FullPageError where there may be more."""
        return self._whole(endpoint, await self._ask(endpoint, {name: str(value) for name, value in selects.items()}))

    async def recent(self, endpoint: str, **selects: str | int) -> Page:
        """The newest rows of a list that goes back for long, newest first: as many as an answer holds, and no error where it is full."""
        return await self._ask(endpoint, {name: str(value) for name, value in selects.items()})

    async def listed(self, endpoint: str, **selects: str | int) -> Page:
        """Every page of a list that is longer than an answer; raises SaidNoError where pages repeat instead of going on."""
        asked = {name: str(value) for name, value in selects.items()}
        rows, aside, seen = list[Row](), list[Aside](), set[object]()
        for number in range(1, PAGES_MOST + 1):
            page = await self._ask(endpoint, {**asked, "page": str(number)})
            new = [row for row in page.rows if row.key not in seen]
            if page.rows and not new and number > 1:
                raise SaidNoError(endpoint, 200, f"page {number} repeats what was there before: paging does not work")
            seen |= {row.key for row in new}
            rows += new
            aside += page.aside
            if page.length < self.manner.limit:
                return Page(tuple(rows), tuple(aside), len(rows) + len(aside))
        raise FullPageError(endpoint, 200, f"more than {PAGES_MOST} pages")

    async def history(
        self, endpoint: str, ids: Collection[int], since: date, until: date, *, selector: str = "token_id"
    ) -> AsyncIterator[tuple["Window", Page]]:
        """Rows of days, both ends counted, window by window, oldest first; raises a VendorError at the first that fails."""
        for window in windows(ids, since, until, limit=self.manner.limit):
            yield window, await self.window(endpoint, window, selector=selector)

    async def window(self, endpoint: str, window: "Window", *, selector: str = "token_id") -> Page:
        """The rows of one window."""
        begin, end = ("startDate", "endDate") if self.manner.version == "v2" else ("start_date", "end_date")
        asked = {begin: day(window.since), end: day(window.until)}
        if window.ids:
            asked[selector] = ",".join(map(str, window.ids))
        return self._whole(endpoint, await self._ask(endpoint, asked))

    def _whole(self, endpoint: str, page: Page) -> Page:
        if page.length >= self.manner.limit:
            raise FullPageError(endpoint, 200, f"{page.length} rows, as many as an answer holds: there may be more")
        return page

    # One question

    async def _ask(self, endpoint: str, asked: Mapping[str, str]) -> Page:
        spec = ENDPOINTS[endpoint]
        if spec.needs and spec.needs not in asked:
            raise ValueError(f"{endpoint} needs {spec.needs}")
        try:
            path = spec.path_in(self.manner.version)
        except KeyError as error:
            raise NotThereError(endpoint, 0, str(error.args[0])) from error
        url = f"{self.manner.base}/{self.manner.version}{path}"
        params = {**asked, "limit": str(self.manner.limit)}
        async with self._gate:
            for number in range(1, self.manner.tries + 1):
                try:
                    return page_of(endpoint, await self._once(endpoint, url, params), allow=self.manner.allow)
                except VendorError as error:
                    if not error.is_passing or number == self.manner.tries:
                        raise
                    await self._clock.sleep(self._pause(number, error))
        raise AssertionError("unreachable: the last try returns or raises")

    def _pause(self, number: int, error: VendorError) -> float:
        """Seconds before the next try: what the vendor asks for, or growing ones, with jitter."""
        asked: float | None = error.after if isinstance(error, QuotaError) else None
        if asked is not None:
            return float(min(asked, self.manner.pause_most) * self._lot.uniform(1.0, 1.1))
        longest = min(self.manner.pause_seconds * 2.0 ** (number - 1), self.manner.pause_most)
        return longest * self._lot.uniform(0.5, 1.0)

    async def _once(self, endpoint: str, url: str, params: Mapping[str, str]) -> Sequence[object]:
        now = self._clock.now()
        if self.budget.left(now) <= 0:
            raise OutOfCreditsError(
                endpoint,
                0,
                f"the {self.budget.credits} credits of {now:%Y-%m} are spent; a larger plan, or fewer polls, would go on",
            )
        begin = max(self._next, self._clock.monotonic())
        self._next = begin + self.manner.apart_seconds
        if begin > self._clock.monotonic():
            await self._clock.sleep(begin - self._clock.monotonic())
        self.budget.spend(now)
        headers = {self.manner.header: self._key, "accept": "application/json"}
        try:
            said = await self._wire.call(
                "GET", f"{url}?{urlencode(params, safe=',')}", headers, None, seconds=self.manner.seconds
            )
        except NoAnswerError as error:
            raise VendorDownError(endpoint, 0, str(error)) from error
        return self._judged(endpoint, said)

    def _judged(self, endpoint: str, said: Answer) -> Sequence[object]:
        """The rows of an answer; raises the error that it is."""
        try:
            found = json.loads(said.body)
        except (ValueError, RecursionError):
            found = None
        text = self._told(found, said.body)
        if said.status == 429:
            raise QuotaError(endpoint, text, _seconds(said.headers))
        if said.status in REFUSALS:
            raise REFUSALS[said.status](endpoint, said.status, text)
        if said.status != 200:
            raise VendorDownError(endpoint, said.status, text)
        if not isinstance(found, dict):
            raise VendorDownError(endpoint, said.status, f"no JSON object: {text}")
        if found.get("success") is not True:
            raise SaidNoError(endpoint, said.status, text)
        rows = found.get("data")
        if not isinstance(rows, list):
            raise VendorDownError(endpoint, said.status, f"data is {type(rows).__name__}, not a list")
        return rows

    def _told(self, found: object, body: str) -> str:
        """What the vendor says, in short and without the key."""
        said = body
        if isinstance(found, dict):
            said = str(found.get("message") or found.get("error") or "no message")
        return said.replace(self._key, "***")[:200] if self._key else said[:200]


@dataclass(frozen=True, slots=True)
class Window:
    """Days, both ends counted, of a group of ids."""

    since: date
    until: date
    ids: tuple[int, ...]

    @property
    def days(self) -> int:
        """How many days."""
        return (self.until - self.since).days + 1


def windows(ids: Collection[int], since: date, until: date, *, limit: int = LIMIT) -> Iterator[Window]:
    """Cut days and ids so that no answer can be full: at most thirty days, and fewer ids x days than `limit`."""
    if until < since:
        raise ValueError(f"until {until} is before since {since}")
    wanted, begin = sorted(set(ids)), since
    longest = max(min(SPAN_DAYS, limit - 1), 1)
    while begin <= until:
        end = min(begin + timedelta(days=longest - 1), until)
        count = (end - begin).days + 1
        size = max((limit - 1) // count, 1)
        groups = [tuple(wanted[n : n + size]) for n in range(0, len(wanted), size)] or [()]
        yield from (Window(begin, end, group) for group in groups)
        begin = end + timedelta(days=1)


def credits_of(ids: Collection[int], since: date, until: date, *, limit: int = LIMIT) -> int:
    """How many requests, hence credits, a history costs."""
    return sum(1 for _ in windows(ids, since, until, limit=limit))


def _seconds(headers: Mapping[str, str]) -> float | None:
    """What Retry-After says, in seconds; its other form, a date, is not waited for exactly."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        found = float(text)
    except ValueError:
        return None
    return found if found >= 0 else None
