"""What comes in: the sources of a run's messages, what may pass its door, and every secret that is read on the way."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trader.adapters.mqtt import Broker, MqttSource
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.sources import Directory, StandardInput
from trader.adapters.tokenmetrics_signals import SOURCE
from trader.core.instants import duration
from trader.ports import Source
from trader.ratings import fed, feed_of
from trader.run_settings import Run, secret_of
from trader.runtime.inbox import Rules
from trader.settings import SettingsError


def sources_of(
    settings: Run, home: Path, tell: Callable[[str, bool, str], None], folder: Path, *, is_shadow: bool = False,
    warn: Callable[[str], None] = lambda _what: None, alert: Callable[[str], None] = lambda _what: None,
) -> list[Source]:  # fmt: skip
    """Where messages come from. A shadow takes nothing from the bot beside it: its session is its own, it only looks into a folder, and
    asks a vendor for itself.
    """
    intake, found = settings.intake, list[Source]()
    if intake.directory is not None:
        found.append(Directory(home / intake.directory, takes=not is_shadow))
    if intake.stdin:
        found.append(StandardInput())
    if intake.mqtt is not None:
        broker = broker_of(settings, home)
        broker = replace(broker, client_id=f"{broker.client_id}-shadow") if is_shadow else broker
        found.append(MqttSource(broker, tell=lambda is_up, why: tell("mqtt", is_up, why)))
    if intake.ratings is not None:
        path = (home / intake.ratings).resolve()
        vendor = fed(path)
        store = RatingsStore(folder / "ratings.db" if is_shadow else (path.parent / vendor.store).resolve())
        told = lambda is_up, why: tell(SOURCE, is_up, why)  # noqa: E731 - a name for what fits no line
        found.append(feed_of(vendor, path.parent, store, tell=told, warn=warn, alert=alert))
    return found


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


def secrets_of(settings: Run, home: Path) -> list[str]:
    """Every secret of a run, so that none of them is ever written."""
    found = [secret_of(None, path, home, f"intake.keys.{name}") for name, path in settings.intake.keys.items()]
    for value, file in (
        (settings.account.key, settings.account.key_file),
        (settings.account.secret, settings.account.secret_file),
    ):
        if value is not None or file is not None:
            found.append(secret_of(value, file, home, "account"))
    mqtt = settings.intake.mqtt
    if mqtt is not None and (mqtt.password is not None or mqtt.password_file is not None):
        found.append(secret_of(mqtt.password, mqtt.password_file, home, "intake.mqtt.password"))
    if settings.journal is not None and (password := urlsplit(settings.journal).password):
        found += sorted({password, unquote(password)})
    if settings.intake.ratings is not None:
        path = (home / settings.intake.ratings).resolve()
        vendor = fed(path)
        found.append(secret_of(vendor.key, vendor.key_file, path.parent, "key"))
    return found
