"""The part `notify:` of a run's layout: who is told what, when it is quiet, and who may command the bot from afar.

Addresses and tokens are secrets: they have secret types or lie in files, and no error of this part shows a value.
"""

import re
from collections.abc import Mapping
from datetime import time
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from trader import setting_values as read
from trader.setting_types import Count, Duration, File, Lasting, Part, Secret, Share

LEVELS = ("info", "warning", "critical")
QUIET = '{from: "22:00", until: "07:00", zone: Europe/Berlin}'
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def clock(text: str) -> time:
    """`22:00` as a time of day."""
    hours, _, minutes = text.partition(":")
    return time(int(hours), int(minutes))


def _quiet(value: object) -> object:
    if not isinstance(value, Mapping):
        raise ValueError(f"allowed is a mapping such as {QUIET}")
    for key in value:
        if key not in {"from", "until", "zone"}:
            raise ValueError(f"{key}: unknown key; {read.near(str(key), ('from', 'until', 'zone'))}write {QUIET}")
    if missing := [key for key in ("from", "until", "zone") if key not in value]:
        raise ValueError(f"{missing[0]} is missing; write {QUIET}")
    for key in ("from", "until"):
        if not isinstance(value[key], str) or not _CLOCK.fullmatch(value[key]):
            raise ValueError(f'{key} = {value[key]!r}; allowed is a time of day in quotes, such as "22:00"')
    if value["from"] == value["until"]:
        raise ValueError("from and until are the same; leave quiet: out for no quiet hours")
    try:
        ZoneInfo(str(value["zone"]))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"zone = {value['zone']!r}; allowed is a name such as UTC or Europe/Berlin") from error
    return {str(key): str(one) for key, one in value.items()}


def _users(value: object) -> object:
    allowed = "allowed is a list of the service's numbers of users, such as [123456789]"
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(allowed)
    if not all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in value):
        raise ValueError(f"{allowed}; a name is no proof of who it is")
    return tuple(value)


def _channel(value: object) -> object:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(
            "allowed is Discord's number of a channel, such as 123456789012345678: Copy Channel ID, in developer mode"
        )
    return value


def _named(value: object) -> object:
    """Targets by name; what is no mapping, or has an address where its name belongs, may be a secret and is never shown."""
    if not isinstance(value, Mapping):
        raise ValueError("allowed is a mapping of names to targets, such as {phone: {url_file: ../secrets/phone}}")
    if not all(isinstance(name, str) and re.fullmatch(r"[\w-]{1,40}", name) for name in value):
        raise ValueError(
            "a name of a target is a word of letters, digits, - and _; the address goes below it, as url_file:"
        )
    return value


def _mapping(what: str, example: str) -> BeforeValidator:
    """A part that is written as a mapping; a text in its place may be a secret, so it is never shown."""

    def check(value: object) -> object:
        if isinstance(value, Mapping | Part):
            return value
        raise ValueError(f"allowed is {what}, such as {example}")

    return BeforeValidator(check)


Truth = Annotated[bool, BeforeValidator(read.truth)]
Level = Annotated[Literal["info", "warning", "critical"], BeforeValidator(read.one_of(*LEVELS))]
QuietHours = Annotated[
    dict[str, str],
    BeforeValidator(_quiet),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "from": {"type": "string", "pattern": f"^{_CLOCK.pattern}$"},
                "until": {"type": "string", "pattern": f"^{_CLOCK.pattern}$"},
                "zone": {"type": "string", "examples": ["UTC", "Europe/Berlin"]},
            },
            "required": ["from", "until", "zone"],
            "additionalProperties": False,
        }
    ),
]
Users = Annotated[
    tuple[int, ...],
    BeforeValidator(_users),
    WithJsonSchema({"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1}),
]


Channel = Annotated[int, BeforeValidator(_channel), WithJsonSchema({"type": "integer", "minimum": 1})]


class Addressed(Part):
    """Something with an address that is a secret, here or in a file."""

    url: Secret | None = Field(None, description="the address, which is a secret: better in url_file")
    url_file: File | None = Field(None, description="a file with the address and nothing else")

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("allowed is exactly one of url: and url_file:")
        return self


class NotifyTarget(Addressed):
    """Somebody who is told, by an address of Apprise: tgram://, discord://, slack://, mailto://, x://, json:// and so on."""

    level: Level = Field("info", description="the least that is told there: info, warning or critical")


class Heartbeat(Addressed):
    """A dead man's switch outside, such as healthchecks.io: pinged while the daemon is well, it alarms when the pings end."""

    every: Lasting = Field("1m", description="how often it is pinged")


class AlarmsChoice(Part):
    """How long something may be so before it is an alarm."""

    silence: Duration = Field("1m", description="the daemon does not answer")
    unknown: Duration = Field("2m", description="an order is unknown or stuck, or the account was not compared")
    link: Duration = Field("5m", description="a link is down, a feed is not fresh, or no prices come")
    state: Duration = Field("10m", description="the state is not active; the change itself is told at once")
    drawdown: Share | None = Field(None, description="share lost from the highest equity; none = not watched")


class BotChoice(Part):
    """A bot that takes commands."""

    token: Secret | None = Field(None, description="the bot's token; better in token_file")
    token_file: File | None = Field(None, description="a file with the bot's token and nothing else")
    totp: Secret | None = Field(None, description="the secret of the one-time codes, base32; better in totp_file")
    totp_file: File | None = Field(
        None, description="a file with that secret: trader notify CONFIG --new-totp writes it"
    )
    users: Users = Field(description="numbers of the users who may give commands; nobody else gets an answer")
    halt_needs_code: Truth = Field(False, description="a halt asks for a code as well; else stopping is free")

    @model_validator(mode="after")
    def _secrets(self) -> Self:
        for name in ("token", "totp"):
            if (getattr(self, name) is None) == (getattr(self, f"{name}_file") is None):
                raise ValueError(f"allowed is exactly one of {name}: and {name}_file:")
        return self


class TelegramChoice(BotChoice):
    """A bot of Telegram that takes commands."""

    api: str = Field("https://api.telegram.org", description="another address of the bot API")


class DiscordChoice(BotChoice):
    """A bot of Discord that takes commands in one channel."""

    channel: Channel = Field(description="number of the channel where commands are taken and answered")
    api: str = Field("https://discord.com/api/v10", description="another address of the API")


Targets = Annotated[
    dict[str, Annotated[NotifyTarget, _mapping("a mapping", "{url_file: ../secrets/phone, level: warning}")]],
    BeforeValidator(_named),
]


class NotifyChoice(Part):
    """Notifications and commands, by `trader notify` beside the running bot."""

    targets: Targets = Field(default_factory=dict, description="who is told, by a name of yours")
    gather: Duration = Field(
        "10s", description="what comes within this time goes as one letter; what is critical goes at once"
    )
    repeat: Lasting = Field("1h", description="how often is reminded of an alarm that stands")
    calm: Duration = Field("1m", description="how long an alarm must stay away before the all-clear")
    limit: Count = Field(20, description="letters to a target within an hour, and as many critical ones beside them")
    quiet: QuietHours | None = Field(None, description="hours in which only what is critical is told; the rest waits")
    alarms: AlarmsChoice = Field(default_factory=AlarmsChoice)
    heartbeat: Annotated[Heartbeat, _mapping("a mapping", "{url_file: ../secrets/heartbeat, every: 1m}")] | None = (
        Field(None, description="a dead man's switch outside")
    )
    telegram: Annotated[TelegramChoice, _mapping("a mapping", "{token_file: ../secrets/bot, ...}")] | None = Field(
        None, description="commands through a bot of Telegram"
    )
    discord: Annotated[DiscordChoice, _mapping("a mapping", "{token_file: ../secrets/bot, ...}")] | None = Field(
        None, description="commands through a bot of Discord"
    )

    @property
    def bots(self) -> dict[str, BotChoice]:
        """The bots that take commands, by the name of their service."""
        return {name: one for name, one in (("telegram", self.telegram), ("discord", self.discord)) if one is not None}


def hidden(place: tuple[object, ...]) -> bool:
    """Whether a value at this place of a layout may be a secret that stands where it does not belong."""
    inner = place[1:2] in {("targets",), ("heartbeat",), ("telegram",), ("discord",)}
    return place == ("notify",) or (
        place[:1] == ("notify",)
        and inner
        and place[-1] not in {"level", "every", "users", "channel", "halt_needs_code"}
    )
