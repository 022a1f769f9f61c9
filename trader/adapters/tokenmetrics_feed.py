"""The feed: asks Token Metrics once per publication, keeps what it saw, and hands on what is news, until somebody kept it.

A daily row of day D is expected at D+1 00:00 UTC and the vendor's lag. It is asked for then, and again until it is there or the wait is over;
what was missed while nobody asked is made up for. A flip is handed on only while it is news; a missed one is healed by the trend, which is a
state. A day that is not over is kept and not handed on, unless that is wanted.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

from trader.adapters.payloads import compose
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.tokenmetrics import (
    NotInPlanError,
    NotThereError,
    OutOfCreditsError,
    QuotaError,
    TokenMetrics,
    VendorError,
    WrongKeyError,
    windows,
)
from trader.adapters.tokenmetrics_fields import Page
from trader.adapters.tokenmetrics_signals import SAID, SOURCE, observations_of
from trader.core.observations import EVENT, Observation
from trader.core.signals import MARKET
from trader.ports import Clock, Message

DAY = timedelta(days=1)
OF_MARKET = frozenset({"market_metrics"})


@dataclass(frozen=True, slots=True)
class Feeding:
    """What is asked for and how."""

    assets: Mapping[str, int]
    endpoints: Sequence[str]
    lag: timedelta = timedelta(hours=1)
    again: timedelta = timedelta(minutes=15)
    wait: timedelta = timedelta(hours=8)  # how long a late row is asked for
    back_days: int = 7  # how far back what was missed is made up for
    revised_days: int = 2  # how far back a revision is looked for
    provisional: bool = False


@dataclass(slots=True)
class Turn:
    """How one endpoint stands: when it is asked next, what keeps it from answering, and whether it is given up."""

    due: datetime
    trouble: str = ""
    is_stopped: bool = False
    is_spent: bool = False  # no credits, or too many requests: what is known goes stale, nothing is invented


@dataclass(slots=True)
class TokenMetricsFeed:
    """A source of messages. `tell` is called with the state of the link when it changes, `warn` with rows that were set aside,
    `alert` with what a person must mend.
    """

    client: TokenMetrics
    store: RatingsStore
    clock: Clock
    feeding: Feeding
    tell: Callable[[bool, str], None] = lambda _up, _why: None
    warn: Callable[[str], None] = lambda _what: None
    alert: Callable[[str], None] = lambda _what: None
    name: str = SOURCE
    turns: dict[str, Turn] = field(default_factory=dict)
    _given: set[str] = field(default_factory=set)
    _told: tuple[str, ...] | None = None

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what is news, for ever; what was not acknowledged comes again after a restart."""
        try:
            while True:
                for id_, body in self.store.outgoing():
                    if id_ not in self._given:
                        self._given.add(id_)
                        yield Message(SOURCE, "", body.encode(), self._acknowledge(id_))
                due = await self.poll()
                if any(id_ not in self._given for id_, _ in self.store.outgoing()):
                    continue
                await self.clock.sleep(max((due - self.clock.now()).total_seconds(), 1.0))
        finally:
            await self.client.close()

    async def news(self) -> list[Message]:
        """Ask for what is due now, and give what is to be handed on: for who moves the clock himself."""
        await self.poll()
        return [Message(SOURCE, "", body.encode(), self._acknowledge(id_)) for id_, body in self.store.outgoing()]

    def _acknowledge(self, id_: str) -> "Callable[[], Awaitable[None]]":
        async def acknowledge() -> None:
            self.store.note_kept(id_)
            self._given.discard(id_)

        return acknowledge

    def expected(self) -> datetime:
        """The newest day whose row should be there by now."""
        now = self.clock.now().astimezone(UTC) - self.feeding.lag
        return datetime(now.year, now.month, now.day, tzinfo=UTC) - DAY

    async def poll(self) -> datetime:
        """Ask for what is due; returns when something is due next."""
        for endpoint in self.feeding.endpoints:
            turn = self.turns.setdefault(endpoint, Turn(self.clock.now()))
            if not turn.is_stopped and turn.due <= self.clock.now():
                await self._ask(endpoint, turn)
        going = [one.due for one in self.turns.values() if not one.is_stopped]
        return min(going, default=self.clock.now() + DAY)

    async def _ask(self, endpoint: str, turn: Turn) -> None:
        feeding, expected, now = self.feeding, self.expected(), self.clock.now()
        try:
            spans = windows(
                self._ids(endpoint),
                self._since(endpoint, expected),
                self._until(expected),
                limit=self.client.manner.limit,
            )
            pages = [await self.client.window(endpoint, one) for one in spans]
        except (WrongKeyError, NotInPlanError, NotThereError) as error:
            turn.is_stopped = True
            self._troubled(turn, error)
            self.alert(
                f"{endpoint} is not asked any more, mend it and start again; what is held stays protected: {error}"
            )
            return
        except (QuotaError, OutOfCreditsError) as error:
            turn.due = now + max(feeding.again, timedelta(hours=1))
            if not turn.is_spent:
                self.alert(
                    f"{endpoint}: nothing new before {turn.due:%H:%M} at the earliest, ratings go stale: {error}"
                )
            turn.is_spent = True
            self._troubled(turn, error)
            return
        except VendorError as error:
            turn.due = now + feeding.again
            self._troubled(turn, error)
            return
        self._take(endpoint, pages, expected)
        turn.is_spent = False
        self._troubled(turn, None)
        published = expected + DAY + feeding.lag
        is_there = not self._missing(endpoint, expected)
        is_waited_for = now < published + feeding.wait
        turn.due = now + feeding.again if not is_there and is_waited_for else published + DAY

    def _take(self, endpoint: str, pages: Sequence[Page], expected: datetime) -> None:
        """Keep all that came at once, so that one publication is one message."""
        now, assets = self.clock.now(), {token: asset for asset, token in self.feeding.assets.items()}
        rows = [row for page in pages for row in page.rows]
        said = observations_of(rows, assets, observed_at=now, lag=self.feeding.lag, is_history=False)
        self.store.take(said, lambda news: messages_of(news, expected, provisional=self.feeding.provisional))
        aside = [
            (one.endpoint, one.why, json.dumps(one.payload, sort_keys=True, default=str))
            for page in pages
            for one in page.aside
        ]
        if self.store.keep_aside(now, SOURCE, aside):
            self.warn(f"{len(aside)} rows of {endpoint} were set aside: {aside[0][1]}")

    def _ids(self, endpoint: str) -> Sequence[int]:
        return () if endpoint in OF_MARKET else list(self.feeding.assets.values())

    def _missing(self, endpoint: str, expected: datetime) -> list[str]:
        """The assets of which the expected row is not there."""
        newest, names = self.store.newest(SOURCE), [MARKET] if endpoint in OF_MARKET else list(self.feeding.assets)
        kinds = [kind for kind, type_ in SAID[endpoint].values() if type_ != EVENT]
        last = {one: max((newest[one, kind] for kind in kinds if (one, kind) in newest), default=None) for one in names}
        return [one for one, at in last.items() if at is None or at < expected]

    def _since(self, endpoint: str, expected: datetime) -> date:
        """From where to ask: what was missed, within limits, and what may be revised."""
        newest, names = self.store.newest(SOURCE), [MARKET] if endpoint in OF_MARKET else list(self.feeding.assets)
        kinds = [kind for kind, type_ in SAID[endpoint].values() if type_ != EVENT]
        known = [max((newest[one, kind] for kind in kinds if (one, kind) in newest), default=None) for one in names]
        oldest = min((at for at in known if at is not None), default=None)
        begin = expected - self.feeding.back_days * DAY
        if oldest is not None and None not in known:
            begin = max(begin, min(oldest, expected) - (self.feeding.revised_days - 1) * DAY)
        return begin.date()

    def _until(self, expected: datetime) -> date:
        return max(expected, self.clock.now()).date()  # today's row is kept too, as provisional

    def _troubled(self, turn: Turn, error: VendorError | None) -> None:
        """Note what keeps an endpoint, and tell of the link where that changes which are kept."""
        turn.trouble = "" if error is None else str(error)
        troubled = tuple(name for name, one in self.turns.items() if one.trouble)
        if troubled != self._told:
            self._told = troubled
            self.tell(not troubled, "; ".join(self.turns[name].trouble for name in troubled) or "answers")

    def standing(self) -> dict[str, object]:
        """How it stands as a whole, endpoint by endpoint; the credits of the month; the newest day of each kind."""
        turns, now = self.turns, self.clock.now()
        state = "answers" if turns else "not asked yet"
        for name, is_so in (("troubled", "trouble"), ("stale-safe", "is_spent"), ("stopped", "is_stopped")):
            state = name if any(getattr(one, is_so) for one in turns.values()) else state
        newest: dict[str, datetime] = {}
        for (_, kind), as_of in self.store.newest(SOURCE).items():
            newest[kind] = max(as_of, newest.get(kind, as_of))
        budget = self.client.budget
        return {
            "state": state,
            "endpoints": {
                name: one.trouble or f"asked again {one.due:%Y-%m-%d %H:%M}" for name, one in sorted(turns.items())
            },
            "credits": {"of_month": budget.credits, "left": budget.left(now)},
            "newest": {kind: f"{as_of:%Y-%m-%d %H:%M}" for kind, as_of in sorted(newest.items())},
        }


def messages_of(
    news: Sequence[Observation], expected: datetime, *, provisional: bool
) -> Iterable[tuple[str, str]]:  # fmt: skip
    """What is handed on of news: one message for each kind and as_of. A flip only while it is the newest day's."""
    groups: dict[tuple[str, str, datetime], dict[str, Observation]] = {}
    for one in news:
        if one.is_provisional and not provisional:
            continue
        if one.type == EVENT and one.as_of < expected:
            continue
        groups.setdefault((one.kind, one.type, one.as_of), {})[one.asset] = one
    for (kind, type_, as_of), said in sorted(groups.items(), key=lambda item: (item[0][2], item[0][0])):
        values = {asset: one.value for asset, one in sorted(said.items())}
        digest = sha256(repr(sorted(values.items())).encode()).hexdigest()[:8]
        seen_at = max(one.observed_at for one in said.values())
        id_ = f"{kind}-{as_of:%Y%m%d}-{seen_at:%Y%m%dT%H%M%S}-{digest}"  # a value that comes back is news again
        body = compose(source=SOURCE, kind=kind, values=values, type_=type_, issued_at=seen_at, as_of=as_of, id_=id_)
        yield id_, body.decode()
