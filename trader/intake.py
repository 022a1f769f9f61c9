"""What comes in: the sources of a run's messages, what may pass its door, and every secret that is read on the way."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trader.adapters.mqtt import PAUSES, TOPIC, Broker, MqttDownError, MqttSource, publish
from trader.adapters.payloads import Payloads, signed
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.sources import Directory, StandardInput
from trader.adapters.tokenmetrics import VendorError
from trader.adapters.tokenmetrics_feed import TokenMetricsFeed
from trader.adapters.tokenmetrics_signals import SOURCE
from trader.asset_map import check
from trader.core.instants import duration
from trader.ports import Source, Venue, VenueDownError
from trader.ratings import fed, feed_of
from trader.run_settings import Run, secret_of
from trader.runtime.inbox import Rules
from trader.settings import SettingsError
from trader.vendor_settings import Vendor

VOUCH_SECONDS = 120.0


def sources_of(
    settings: Run, home: Path, tell: Callable[[str, bool, str], None], folder: Path, *, is_shadow: bool = False,
    warn: Callable[[str], None] = lambda _what: None, alert: Callable[[str], None] = lambda _what: None,
    may: Callable[[], Awaitable[None]] | None = None,
) -> list[Source]:  # fmt: skip
    """Where messages come from. A shadow takes nothing from the bot beside it: its session is its own, it only looks into a folder, and
    asks a vendor for itself. may: raises where another process leads by now, see `MqttSource`.
    """
    intake, found = settings.intake, list[Source]()
    if intake.directory is not None:
        found.append(Directory(home / intake.directory, takes=not is_shadow, warn=warn))
    if intake.stdin:
        found.append(StandardInput())
    if intake.mqtt is not None:
        broker = broker_of(settings, home)
        broker = replace(broker, client_id=f"{broker.client_id}-shadow") if is_shadow else broker
        leads = {} if may is None else {"may": may}
        found.append(MqttSource(broker, tell=lambda is_up, why: tell("mqtt", is_up, why), **leads))
    if intake.ratings is not None:
        path = (home / intake.ratings).resolve()
        vendor = fed(path)
        store = RatingsStore(folder / "ratings.db" if is_shadow else (path.parent / vendor.store).resolve())
        told = lambda is_up, why: tell(SOURCE, is_up, why)  # noqa: E731 - a name for what fits no line
        found.append(feed_of(vendor, path.parent, store, tell=told, warn=warn, alert=alert))
    return found


def vouch(settings: Run, home: Path, sources: Sequence[Source], venue: Venue, alert: Callable[[str], None]) -> None:
    """Let every vendor's feed compare itself with the venue before it asks for ratings; nothing else waits for that."""
    for feed in sources:
        if settings.intake.ratings is not None and isinstance(feed, TokenMetricsFeed):
            vendor = fed((home / settings.intake.ratings).resolve())
            feed.compares = partial(compare, feed, vendor, settings.assets, venue, alert)


async def compare(
    feed: TokenMetricsFeed, vendor: Vendor, assets: Sequence[str], venue: Venue, alert: Callable[[str], None]
) -> None:  # fmt: skip
    """Compare what a vendor's tokens cost with the venue, once a day while all is well: one that is doubtful is left out by name.

    Where the vendor cannot be asked, that is said, and its ratings are taken: `trader assets check` is the same by hand.
    """
    today, tokens = feed.clock.now().date(), {one: vendor.assets[one] for one in assets if one in vendor.ids}
    for asset in sorted(set(assets) & set(vendor.nameless)):
        alert(f"{asset} has no id of the vendor yet, so it has no ratings: `trader assets find` looks it up")
    job = f"vouched {venue.name} {sha256(repr((sorted(tokens.items()), vendor.within)).encode()).hexdigest()[:16]}"
    if not tokens or feed.store.is_done(job, today, ()):
        return
    try:
        async with asyncio.timeout(VOUCH_SECONDS):
            rows = await check(tokens, feed.client, {venue.name: venue}, within=vendor.within)
    except (VendorError, VenueDownError, TimeoutError) as error:
        alert(f"the vendor's prices were not compared with {venue.name}: {type(error).__name__} {error}")
        return
    doubtful = {one.asset: one.problems for one in rows if one.problems}
    for asset, problems in doubtful.items():
        alert(f"the ratings of {asset} are left out until this is mended: {'; '.join(problems)}")
    if not doubtful:
        feed.store.note_done(job, today, ())
    left = {asset: token for asset, token in feed.feeding.assets.items() if asset not in doubtful}
    feed.feeding = replace(feed.feeding, assets=left)


def broker_of(settings: Run, home: Path) -> Broker:
    """The broker of a run; raises SettingsError where it has none."""
    mqtt = settings.intake.mqtt
    if mqtt is None:
        raise SettingsError("intake.mqtt: not given")
    password = None
    if mqtt.password is not None or mqtt.password_file is not None:
        password = secret_of(mqtt.password, mqtt.password_file, home, "intake.mqtt.password")
    return Broker(
        host=mqtt.host, port=mqtt.port, topic=mqtt.topic, client_id=mqtt.client_id or f"trader-{settings.name}",
        username=mqtt.username, password=password, ca=None if mqtt.ca is None else home / mqtt.ca,
    )  # fmt: skip


async def forward(feed: Source, broker: Broker, keys: Mapping[str, str], tell: Callable[[str], None]) -> None:
    """Publish what a feed says at a broker, signed with the first of the keys, for ever: what the broker has is not said again after a restart."""
    async for message in feed.messages():
        body = next((signed(message.body, name, secret) for name, secret in keys.items()), message.body)
        for failures in count():
            try:
                await publish(replace(broker, client_id=""), body, f"{TOPIC}/{message.source}")
                break
            except MqttDownError as error:
                tell(f"{error}; it is tried again")
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
        await message.acknowledge()
        notice = Payloads().read(message.body)
        tell(f"published {notice.id}: {len(notice.said)} assets")


def rules_of(settings: Run) -> Rules:
    """What may pass the door."""
    intake = settings.intake
    spans = {
        name: timedelta(microseconds=duration(text) / 1_000)
        for name, text in (("ttl", intake.ttl), ("gather", intake.gather), ("max_age", intake.max_age))
        if text is not None
    }
    return replace(Rules(), drift=intake.drift, trust=tuple(intake.trust or ()), **spans)


def keys_of(settings: Run, home: Path) -> dict[str, str]:
    """The keys that messages are signed with."""
    return {name: secret_of(None, path, home, f"intake.keys.{name}") for name, path in settings.intake.keys.items()}


def secrets_of(settings: Run, home: Path, *, is_shadow: bool = False) -> list[str]:
    """Every secret of a run, so that none of them is ever written. A shadow trades without the account's: their files may be elsewhere."""
    found = [secret_of(None, path, home, f"intake.keys.{name}") for name, path in settings.intake.keys.items()]
    for value, file in (
        (settings.account.key, settings.account.key_file),
        (settings.account.secret, settings.account.secret_file),
    ):
        is_elsewhere = is_shadow and file is not None and not (home / file).exists()
        if value is not None or (file is not None and not is_elsewhere):
            found.append(secret_of(value, file, home, "account"))
    mqtt = settings.intake.mqtt
    if mqtt is not None and (mqtt.password is not None or mqtt.password_file is not None):
        found.append(secret_of(mqtt.password, mqtt.password_file, home, "intake.mqtt.password"))
    for url in filter(None, (settings.journal, settings.telemetry.otlp, settings.account.url)):
        if password := urlsplit(url).password:
            found += sorted({password, unquote(password)})
    if settings.intake.ratings is not None:
        path = (home / settings.intake.ratings).resolve()
        vendor = fed(path)
        found.append(secret_of(vendor.key, vendor.key_file, path.parent, "key"))
    return found
