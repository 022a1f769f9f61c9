"""Pulling ratings: a vendor's history into the store, window by window, so that a pull that was broken off goes on where it was."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from trader.adapters.clock import SystemClock
from trader.adapters.http import HttpTransport
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.tokenmetrics import BASE, Budget, Manner, TokenMetrics, Window, windows
from trader.adapters.tokenmetrics_feed import TokenMetricsFeed
from trader.adapters.tokenmetrics_plan import Feeding, PlanError, check_plan
from trader.adapters.tokenmetrics_prices import STREAM, streamed
from trader.adapters.tokenmetrics_signals import FED, OF_MARKET, PULLED, SOURCE, observations_of
from trader.core.instants import SECOND, duration
from trader.ports import Clock
from trader.run_settings import Run, secret_of
from trader.settings import SettingsError
from trader.several_settings import Several
from trader.vendor_settings import Vendor, load_vendor


@dataclass(slots=True)
class Pulled:
    """What a pull brought."""

    windows: int = 0
    skipped: int = 0
    rows: int = 0
    news: int = 0
    aside: int = 0


@contextmanager
def store_of(settings: Vendor, home: Path) -> Iterator[RatingsStore]:
    """The store of a vendor's file."""
    store = RatingsStore((home / settings.store).resolve())
    try:
        yield store
    finally:
        store.close()


def client_of(settings: Vendor, home: Path, store: RatingsStore, clock: Clock | None = None) -> TokenMetrics:
    """A client whose credits are counted in the store."""
    manner = Manner(
        version=settings.api, base=settings.url or BASE, header=settings.header, limit=settings.limit,
        apart_seconds=duration(settings.apart) / SECOND, allow=tuple(settings.allow or ()),
    )  # fmt: skip
    budget = Budget(settings.credits, store.spent(), store.keep_spent)
    return TokenMetrics(secret_of(settings.key, settings.key_file, home, "key"), clock or SystemClock(), budget, manner)


def feed_of(
    settings: Vendor, home: Path, store: RatingsStore, *, tell: Callable[[bool, str], None], warn: Callable[[str], None],
    alert: Callable[[str], None],
) -> TokenMetricsFeed:  # fmt: skip
    """The feed of a vendor's file, as a source of messages."""
    clock = SystemClock()
    return TokenMetricsFeed(
        client_of(settings, home, store, clock), store, clock, feeding_of(settings), tell, warn, alert
    )


def fed(path: Path) -> Vendor:
    """The file of a vendor that a run asks; raises SettingsError where it cannot be used, or where the plan does not include what it asks for."""
    settings, document = load_vendor(path, FED, (Run, Several))
    try:
        feeding_of(settings)
    except SettingsError as error:
        raise SettingsError(f"{document.where(('credits',))} {error}") from error
    return settings


def feeding_of(settings: Vendor) -> Feeding:
    """What the feed asks for; raises SettingsError where the plan does not include as much."""
    feeding = Feeding(
        settings.ids, settings.endpoints, lag=_span(settings.lag), hourly_lag=_span(settings.hourly_lag),
        polls={one: _span(each) for one, each in settings.polls.items()}, indices=settings.indices, position=settings.position,
        weight_unit=settings.weight_unit, provisional=settings.provisional,
    )  # fmt: skip
    try:
        check_plan(feeding, settings.credits, settings.limit)
    except PlanError as error:
        raise SettingsError(f"credits: {error}") from error
    return feeding


async def streamed_prices(settings: Vendor, home: Path) -> dict[int, float]:
    """What the tokens with a slug cost in the vendor's stream of prices, by id; raises VendorError."""
    wire = HttpTransport()
    try:
        return await streamed(
            wire, secret_of(settings.key, settings.key_file, home, "key"), [one.slug for one in settings.assets.values() if one.slug],
            url=STREAM if settings.url is None else settings.url.replace("http", "ws", 1), header=settings.header,
        )  # fmt: skip
    finally:
        await wire.close()


def _span(text: str) -> timedelta:
    return timedelta(microseconds=duration(text) / 1_000)


def wanted(settings: Vendor, store: RatingsStore, since: date, until: date) -> list[tuple[str, Window]]:
    """The windows of a pull that are not done yet, by endpoint."""
    found = []
    for endpoint in settings.endpoints:
        if endpoint not in PULLED:  # it has no history: the feed keeps what it sees
            continue
        ids: Sequence[int] = () if endpoint in OF_MARKET else list(settings.ids.values())
        found += [
            (endpoint, one)
            for one in windows(ids, since, until, limit=settings.limit)
            if not store.is_done(_job(settings, endpoint, one), one.since, one.ids)
        ]
    return found


def _job(settings: Vendor, endpoint: str, window: Window) -> str:
    return hashlib.sha256(f"{settings.api}|{endpoint}|{window.until}".encode()).hexdigest()[:16]


async def pull(
    settings: Vendor, home: Path, store: RatingsStore, since: date, until: date, *, clock: Clock | None = None,
    progress: Callable[[str, float], None] = lambda _endpoint, _share: None,
) -> Pulled:  # fmt: skip
    """Fetch the days, both ends counted; raises a VendorError at the first window that fails, and what was fetched is kept."""
    clock = clock or SystemClock()
    todo, found = wanted(settings, store, since, until), Pulled()
    counts, done = Counter(endpoint for endpoint, _ in todo), Counter[str]()
    assets = {token: asset for asset, token in settings.ids.items()}
    lag = _span(settings.lag)
    client = client_of(settings, home, store, clock)
    try:
        for endpoint, window in todo:
            progress(endpoint, done[endpoint] / counts[endpoint])
            page = await client.window(endpoint, window)
            now = clock.now()
            said = observations_of(page.rows, assets, observed_at=now, lag=lag, is_history=True)
            found.news += store.append(said)
            found.aside += store.keep_aside(
                now,
                SOURCE,
                [(one.endpoint, one.why, json.dumps(one.payload, sort_keys=True, default=str)) for one in page.aside],
            )
            found.windows, found.rows = found.windows + 1, found.rows + len(page.rows)
            if window.until < now.date() - timedelta(days=2) and not page.aside:  # what is younger may change still
                store.note_done(_job(settings, endpoint, window), window.since, window.ids)
            done[endpoint] += 1
            progress(endpoint, done[endpoint] / counts[endpoint])
    finally:
        await client.close()
    return found


__all__ = ["Pulled", "client_of", "fed", "feed_of", "feeding_of", "pull", "store_of", "streamed_prices", "wanted"]
