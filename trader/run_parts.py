"""The parts of what runs: where signals come from, how orders are carried out, whose account it is. `run_settings.py` puts them together."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from trader import setting_values as read
from trader.setting_types import Duration, File, Lasting, Part, Port, Secret, Share

VENUES = ("paper", "gate", "mexc")
FRAMES = {  # candles that ccxt asks each venue for, of those that a run needs
    "gate": ("1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d"),
    "mexc": ("1m", "5m", "15m", "30m", "1h", "4h", "1d"),
}
Journal = Annotated[
    str,
    BeforeValidator(read.database("postgresql://USER@HOST/NAME, or nothing for a file in state:")),
]
Truth = Annotated[bool, BeforeValidator(read.truth)]
Sources = Annotated[tuple[str, ...], BeforeValidator(read.names_of("sources", "[tokenmetrics, mine]"))]
Venue = Annotated[Literal["paper", "gate", "mexc"], BeforeValidator(read.one_of(*VENUES))]
Prices = Annotated[Literal["gate", "mexc"], BeforeValidator(read.one_of("gate", "mexc"))]
Url = Annotated[str, BeforeValidator(read.matching("https?://.+", "http://HOST:PORT or https://HOST:PORT"))]
Word = Annotated[str, BeforeValidator(read.word("a text"))]


class Mqtt(Part):
    """A broker that signals come from."""

    host: Word = Field("127.0.0.1", description="where the broker is")
    port: Port = Field(1883, description="1883, or 8883 with TLS")
    topic: Word = Field("trader/v1/signals/#", description="what is subscribed, with QoS 1")
    client_id: Word | None = Field(None, description="the name of the session; none = the name of the run")
    username: Word | None = Field(None, description="who we are there")
    password: Secret | None = Field(None, description="better as TRADER_INTAKE__MQTT__PASSWORD or password_file")
    password_file: File | None = Field(None, description="a file with the password and nothing else")
    ca: File | None = Field(None, description="the authority of the broker's certificate; given = TLS")


class Intake(Part):
    """Where signals come from, and what may pass."""

    mqtt: Mqtt | None = Field(None, description="a broker")
    directory: File | None = Field(None, description="a folder in which *.json files appear, one message each")
    stdin: Truth = Field(False, description="one message per line of standard input")
    ratings: File | None = Field(
        None, description="the file of a vendor whose ratings are asked for while the bot runs"
    )
    keys: dict[str, Path] = Field(
        default_factory=dict, description="key id: file with its secret; given = every message must be signed"
    )
    ttl: Lasting = Field("15m", description="how old an event may be to act on; a message may say less or more")
    drift: Share | None = Field(None, description="how far a price may have moved since an event was issued")
    max_age: Duration | None = Field(None, description="how old a rating or state may be when it comes")
    gather: Duration = Field("60s", description="how long the parts of one publication are waited for")
    trust: Sources | None = Field(
        None,
        description="sources in the order of trust, for two that disagree on an asset, a kind and what it describes",
    )


class ExecutionChoice(Part):
    """How orders are carried out."""

    collar: Share = Field(0.005, description="how far from the best price an order may go")
    validity: Lasting = Field("15m", description="how long a buy is pursued after its decision")
    fence: Lasting = Field("5s", description="how long a signed request may travel before the venue refuses it")
    market_buys: Truth = Field(
        False, description="buys for an amount of money go out as market orders for that amount, at whatever price"
    )
    participation: Share | None = Field(
        None,
        description="largest share of a bar's volume that we take while the next one forms; what it holds back waits",
    )
    settle: Duration | None = Field(
        None, description="within what time an order shows up in the venue's lists; none = what is known of the venue"
    )


class Keys(Part):
    """An account at an exchange, without its name. Keys are better in files."""

    namespace: Annotated[
        str, BeforeValidator(read.matching("[a-z2-7]{4}", "4 characters of a-z and 2-7, such as main or bot2"))
    ] = Field("main", description="4 characters a-z and 2-7 that begin our client ids; one per deployment")
    key: Secret | None = Field(None, description="the API key")
    secret: Secret | None = Field(None, description="its secret")
    key_file: File | None = Field(None, description="a file with the key and nothing else")
    secret_file: File | None = Field(None, description="a file with the secret and nothing else")
    url: Word | None = Field(None, description="another address, such as that of `trader loopback`")


class Account(Keys):
    """The account at an exchange. Keys are better in files, or in TRADER_ACCOUNT__KEY and TRADER_ACCOUNT__SECRET."""

    name: Word = Field("main", description="tells accounts apart; it is part of every order's name")


class Telemetry(Part):
    """Where traces go, for those who collect them."""

    otlp: Url | None = Field(
        None,
        description="an OpenTelemetry collector that takes OTLP over HTTP, such as http://127.0.0.1:4318; none = no traces",
    )
