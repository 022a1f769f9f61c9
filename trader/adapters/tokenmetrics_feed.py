"""The feed: asks Token Metrics once per publication, keeps what it saw, and hands on what is news, until somebody kept it.

A daily row of day D is expected at D+1 00:00 UTC and the vendor's lag. It is asked for then, and again until it is there or the wait is over;
what was missed while nobody asked is made up for. A flip is handed on only while it is news; a missed one is healed by the trend, which is a
state. A day that is not over is kept and not handed on, unless that is wanted.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
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
from trader.adapters.tokenmetrics_fields import Aside, Page, Row
from trader.adapters.tokenmetrics_lists import Names, holdings_of, moonshots_of, names_of
from trader.adapters.tokenmetrics_plan import Feeding
from trader.adapters.tokenmetrics_signals import (
    HOUR,
    MOONSHOT,
    NOW,
    OF_MARKET,
    SAID,
    SOURCE,
    observations_of,
    period_of,
    unread_positions,
)
from trader.core.observations import DAY, EVENT, Observation
from trader.core.signals import MARKET
from trader.ports import Clock, Message

AT_ONCE = 50  # tokens of one question for names


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
    `alert` with what a person must mend; `compares` is done before ratings are asked for.
    """

    client: TokenMetrics
    store: RatingsStore
    clock: Clock
    feeding: Feeding
    tell: Callable[[bool, str], None] = lambda _up, _why: None
    warn: Callable[[str], None] = lambda _what: None
    alert: Callable[[str], None] = lambda _what: None
    compares: Callable[[], Awaitable[None]] | None = None
    name: str = SOURCE
    turns: dict[str, Turn] = field(default_factory=dict)
    _given: set[str] = field(default_factory=set)
    _told: tuple[str, ...] | None = None
    _fresh: dict[str, datetime] | None = None
    _names: tuple[datetime, Names] | None = (
        None  # of the mapped tokens and of those with their symbols, and when it was asked
    )
    _absent: set[str] = field(default_factory=set)  # moonshots that were missed on the list last time

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what is news, for ever; what was not acknowledged comes again after a restart."""
        try:
            if self.compares is not None:
                await self.compares()
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

    async def poll(self) -> datetime:
        """Ask for what is due; returns when something is due next."""
        for endpoint in self.feeding.endpoints:
            turn = self.turns.get(endpoint) or self.turns.setdefault(endpoint, Turn(self._first(endpoint)))
            if not turn.is_stopped and turn.due <= self.clock.now():
                await self._ask(endpoint, turn)
        going = [one.due for one in self.turns.values() if not one.is_stopped]
        return min(going, default=self.clock.now() + DAY)

    async def _ask(self, endpoint: str, turn: Turn) -> None:
        feeding, now = self.feeding, self.clock.now()
        if not feeding.assets and endpoint not in OF_MARKET:
            # without ids the vendor would answer for every token that it has
            turn.due = now + DAY
            return
        expected = feeding.expected(endpoint, now)
        try:
            pages = await self._fetched(endpoint, expected)
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
        turn.due = feeding.next(endpoint, now, is_there=not self._late(endpoint, expected))

    def _first(self, endpoint: str) -> datetime:
        """When it is asked first: at once, unless it only tells how things stand and was asked in this slot before a restart."""
        now, newest = self.clock.now(), self.store.newest(SOURCE)
        kinds = {kind for kind, _ in SAID[endpoint].values()}
        last = max((at for (_, kind), at in newest.items() if kind in kinds), default=None)
        if period_of(endpoint) == NOW and last is not None and last >= self.feeding.slot(endpoint, now):
            return self.feeding.next(endpoint, now, is_there=True)
        return now

    # Asking

    async def _fetched(self, endpoint: str, expected: datetime) -> list[Page]:
        """The answers of one poll. Of tokens that are asked for one by one, what came before an error is kept."""
        pages = list[Page]()
        try:
            async for page in self._answers(endpoint, expected):
                pages.append(page)
        except VendorError:
            if pages and endpoint == "hourly_trading_signals":
                self._take(endpoint, pages, expected)
            raise
        return pages

    async def _answers(self, endpoint: str, expected: datetime) -> AsyncIterator[Page]:
        ids, limit = list(self.feeding.assets.values()), self.client.manner.limit
        if endpoint == "moonshots":
            async for page in self._moonshots():
                yield page
        elif endpoint == "indices_holdings":
            for index in self.feeding.indices.values():
                yield await self.client.latest(endpoint, id=index)
        elif endpoint == "hourly_trading_signals":
            async for page in self._one_by_one(endpoint, expected):
                yield page
        elif endpoint in OF_MARKET and period_of(endpoint) == HOUR:
            yield await self.client.recent(endpoint)
        elif period_of(endpoint) == NOW:
            for n in range(0, len(ids), max(limit - 1, 1)):
                yield await self.client.latest(endpoint, token_id=",".join(map(str, ids[n : n + max(limit - 1, 1)])))
        else:
            since, until = self._since(endpoint, expected), self._until(expected)
            for one in windows(() if endpoint in OF_MARKET else ids, since, until, limit=limit):
                yield await self.client.window(endpoint, one)

    async def _one_by_one(self, endpoint: str, expected: datetime) -> AsyncIterator[Page]:
        """Those tokens whose newest row is not there yet. One that the vendor does not have says nothing; if it has none, it is an error."""
        newest, found, unknown = self._newest(endpoint), 0, None
        late = [asset for asset in self.feeding.assets if (at := newest.get(asset)) is None or at < expected]
        for asset in late:
            try:
                page = await self.client.recent(endpoint, token_id=self.feeding.assets[asset])
            except NotThereError as error:
                unknown = error
                continue
            found += 1
            self._tell_hole(endpoint, asset, newest.get(asset), page)
            yield page
        if unknown is not None and not found and len(late) == len(self.feeding.assets):
            raise unknown

    def _tell_hole(self, endpoint: str, asset: str, last: datetime | None, page: Page) -> None:
        """Say which hours are lost, because an answer does not go back as far as what is known."""
        first = min((row.as_of for row in page.rows if row.as_of is not None), default=None)
        if last is not None and first is not None and first > last + HOUR:
            self.warn(
                f"{endpoint} of {asset}: {last + HOUR:%Y-%m-%d %H:%M} to {first - HOUR:%Y-%m-%d %H:%M} cannot be had any more"
            )

    async def _moonshots(self) -> AsyncIterator[Page]:
        """The active ones, and the past ones where one of ours is no longer active."""
        await self._learn_names()
        active = await self.client.listed(MOONSHOT + "s", type="active")
        yield active
        names, assets = self._names[1] if self._names else {}, self._assets()
        heard = moonshots_of(active, None, names, assets, {}, now=self.clock.now(), absent=set())
        on = {one.asset for one in heard.said}
        if any(one.value and asset not in on for asset, one in self.store.standing(SOURCE, MOONSHOT).items()):
            yield await self.client.recent(MOONSHOT + "s", type="past")

    async def _learn_names(self) -> None:
        """Ask once a day which tokens have the names and symbols of ours; tokens of the same symbol are looked at, too."""
        now, rows = self.clock.now(), list[Row]()
        if self._names is not None and now - self._names[0] < DAY:
            return
        ids = list(self.feeding.assets.values())
        for n in range(0, len(ids), AT_ONCE):
            rows += (await self.client.latest("tokens", token_id=",".join(map(str, ids[n : n + AT_ONCE])))).rows
        symbols = sorted({row.symbol for row in rows if row.token_id in set(ids) and row.symbol})
        if symbols:
            rows += (await self.client.listed("tokens", symbol=",".join(symbols))).rows
        self._names = now, names_of(rows)

    # Keeping

    def _take(self, endpoint: str, pages: Sequence[Page], expected: datetime) -> None:
        """Keep all that came at once, so that one publication is one message."""
        now, only = self.clock.now(), period_of(endpoint) == HOUR
        said, aside = self._heard(endpoint, pages, now)
        known = self._known()
        self.store.take(
            said, lambda news: messages_of(news, expected, provisional=self.feeding.provisional, only_newest=only)
        )
        for one in said:
            if not one.is_provisional:
                known[one.kind] = max(one.as_of, known.get(one.kind, one.as_of))
        aside += [one for page in pages for one in page.aside]
        rows = [(one.endpoint, one.why, json.dumps(one.payload, sort_keys=True, default=str)) for one in aside]
        new = [row for row in rows if self.store.keep_aside(now, SOURCE, [row])]
        if new:
            more = f", and {len(new) - 5} more" if len(new) > 5 else ""
            self.warn(f"{len(new)} rows of {endpoint} were set aside: {'; '.join(why for _, why, _ in new[:5])}{more}")

    def _heard(self, endpoint: str, pages: Sequence[Page], now: datetime) -> tuple[list[Observation], list[Aside]]:
        """What the answers of one poll say, and what is set aside although it could be read."""
        feeding, assets = self.feeding, self._assets()
        if endpoint == "moonshots":
            heard = moonshots_of(
                pages[0], pages[1] if len(pages) > 1 else None, self._names[1] if self._names else {}, assets,
                self.store.standing(SOURCE, MOONSHOT), now=now, absent=self._absent,
            )  # fmt: skip
            return heard.said, heard.aside
        if endpoint == "indices_holdings":
            lists = [
                holdings_of(page, index, kind, assets, self.store.standing(SOURCE, kind), unit=feeding.weight_unit, now=now)
                for (kind, index), page in zip(feeding.indices.items(), pages, strict=True)
            ]  # fmt: skip
            return [one for heard in lists for one in heard.said], [one for heard in lists for one in heard.aside]
        rows, lag = [row for page in pages for row in page.rows], feeding.lag_of(endpoint)
        said = observations_of(rows, assets, observed_at=now, lag=lag, is_history=False, position=feeding.position)
        return said, unread_positions(rows, feeding.position)

    def _assets(self) -> dict[int, str]:
        return {token: asset for asset, token in self.feeding.assets.items()}

    def _late(self, endpoint: str, expected: datetime) -> bool:
        """Whether a row is late that will come: of tokens that are asked for one by one, only those that ever had one."""
        if period_of(endpoint) == NOW:
            return False
        newest, names = self._newest(endpoint), [MARKET] if endpoint in OF_MARKET else list(self.feeding.assets)
        known = [newest.get(one) for one in names]
        if endpoint == "hourly_trading_signals":
            return any(at is not None and at < expected for at in known)
        return any(at is None or at < expected for at in known)

    def _newest(self, endpoint: str) -> dict[str, datetime]:
        """What the newest final row of an endpoint describes, by asset."""
        kinds, found = {kind for kind, type_ in SAID[endpoint].values() if type_ != EVENT}, dict[str, datetime]()
        for (asset, kind), at in self.store.newest(SOURCE).items():
            if kind in kinds:
                found[asset] = max(at, found.get(asset, at))
        return found

    def _since(self, endpoint: str, expected: datetime) -> date:
        """From where to ask: what was missed, within limits, and what may be revised."""
        newest, names = self._newest(endpoint), [MARKET] if endpoint in OF_MARKET else list(self.feeding.assets)
        known = [newest.get(one) for one in names]
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

    def _known(self) -> dict[str, datetime]:
        """The newest as_of of each kind; read once, then kept, since a status is asked for in the loop that trades."""
        if self._fresh is None:
            self._fresh = {}
            for (_, kind), as_of in self.store.newest(SOURCE).items():
                self._fresh[kind] = max(as_of, self._fresh.get(kind, as_of))
        return self._fresh

    def standing(self) -> dict[str, object]:
        """How it stands as a whole, endpoint by endpoint; the credits of the month; the newest day of each kind."""
        turns, now = self.turns, self.clock.now()
        state = "answers" if turns else "not asked yet"
        for name, is_so in (("troubled", "trouble"), ("stale-safe", "is_spent"), ("stopped", "is_stopped")):
            state = name if any(getattr(one, is_so) for one in turns.values()) else state
        budget = self.client.budget
        return {
            "state": state,
            "endpoints": {
                name: one.trouble or f"asked again {one.due:%Y-%m-%d %H:%M}" for name, one in sorted(turns.items())
            },
            "credits": {"of_month": budget.credits, "left": budget.left(now)},
            "newest": {kind: f"{as_of:%Y-%m-%d %H:%M}" for kind, as_of in sorted(self._known().items())},
        }


def messages_of(
    news: Sequence[Observation], expected: datetime, *, provisional: bool, only_newest: bool = False
) -> Iterable[tuple[str, str]]:  # fmt: skip
    """What is handed on of news: one message for each kind and as_of. A flip only while it is the newest day's or hour's.

    only_newest: of each kind about each asset only the newest, so that days of hours that are made up for are not lived through again.
    """
    newest: dict[tuple[str, str], datetime] = {}
    for one in news:
        if not one.is_provisional or provisional:
            newest[one.kind, one.asset] = max(one.as_of, newest.get((one.kind, one.asset), one.as_of))
    groups: dict[tuple[str, str, datetime], dict[str, Observation]] = {}
    for one in news:
        if only_newest and one.as_of < newest.get((one.kind, one.asset), one.as_of):
            continue
        if one.is_provisional and not provisional:
            continue
        if one.type == EVENT and one.as_of < expected:
            continue
        groups.setdefault((one.kind, one.type, one.as_of), {})[one.asset] = one
    for (kind, type_, as_of), said in sorted(groups.items(), key=lambda item: (item[0][2], item[0][0])):
        values = {asset: one.value for asset, one in sorted(said.items())}
        digest = sha256(repr(sorted(values.items())).encode()).hexdigest()[:8]
        seen_at = max(one.observed_at for one in said.values())
        id_ = f"{kind}-{_stamp(as_of)}-{seen_at:%Y%m%dT%H%M%S}-{digest}"  # a value that comes back is news again
        body = compose(source=SOURCE, kind=kind, values=values, type_=type_, issued_at=seen_at, as_of=as_of, id_=id_)
        yield id_, body.decode()


def _stamp(as_of: datetime) -> str:
    """A day, or the instant where it is no midnight."""
    return f"{as_of:%Y%m%d}" if (as_of.hour, as_of.minute, as_of.second) == (0, 0, 0) else f"{as_of:%Y%m%dT%H%M%S}"
