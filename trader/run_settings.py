"""The layout of what runs, on paper or with money: one mount, its account, its limits, checked as a whole.

Paper is the default; money needs `live: true` here and a flag at the command line.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from strategies.loading import StrategyLoadError, largest_size
from strategies.loading import load as load_strategy
from trader import setting_values as read
from trader.core.risk import Limits, never_fits
from trader.core.view import Strategy
from trader.setting_types import Count, Duration, File, Money, Names, Part, Share
from trader.settings import CostsChoice, Layout, LimitsChoice, SettingsError, StrategyChoice, load
from trader.yaml_source import Document

VENUES = ("paper", "gate", "mexc")
FRAMES = {  # candles that ccxt asks each venue for, of those that a run needs
    "gate": ("1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d"),
    "mexc": ("1m", "5m", "15m", "30m", "1h", "4h", "1d"),
}
Journal = Annotated[
    str,
    BeforeValidator(read.matching("postgresql://.+", "postgresql://USER@HOST/NAME, or nothing for a file in state:")),
]
Truth = Annotated[bool, BeforeValidator(read.truth)]
Sources = Annotated[tuple[str, ...], BeforeValidator(read.names_of("sources", "[tokenmetrics, mine]"))]
Secret = Annotated[SecretStr, BeforeValidator(str)]
Word = Annotated[str, BeforeValidator(read.word("a text"))]


class Mqtt(Part):
    """A broker that signals come from."""

    host: Word = Field("127.0.0.1", description="where the broker is")
    port: Count = Field(1883, description="1883, or 8883 with TLS")
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
    ttl: Duration = Field("15m", description="how old an event may be to act on; a message may say less or more")
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
    validity: Duration = Field("15m", description="how long a buy is pursued after its decision")
    fence: Duration = Field("5s", description="how long a signed request may travel before the venue refuses it")
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


class Account(Part):
    """The account at an exchange. Keys are better in files, or in TRADER_ACCOUNT__KEY and TRADER_ACCOUNT__SECRET."""

    name: Word = Field("main", description="tells accounts apart; it is part of every order's name")
    namespace: Annotated[
        str, BeforeValidator(read.matching("[a-z2-7]{4}", "4 characters of a-z and 2-7, such as main or bot2"))
    ] = Field("main", description="4 characters a-z and 2-7 that begin our client ids; one per deployment")
    key: Secret | None = Field(None, description="the API key")
    secret: Secret | None = Field(None, description="its secret")
    key_file: File | None = Field(None, description="a file with the key and nothing else")
    secret_file: File | None = Field(None, description="a file with the secret and nothing else")
    url: Word | None = Field(None, description="another address, such as that of `trader loopback`")


class Run(Layout):
    """A run: a strategy set to work on an account with a capital."""

    model_config = SettingsConfigDict(title="trader run")

    version: Annotated[Literal[1], BeforeValidator(read.version)] = Field(description="version of this layout: 1")
    name: Annotated[str, BeforeValidator(read.word("a stable name of the mount"))] = Field(
        description="a stable name: orders and holdings belong to it"
    )
    live: Truth = Field(False, description="true = real money, together with the flag --live")
    venue: Annotated[Literal["paper", "gate", "mexc"], BeforeValidator(read.one_of(*VENUES))] = Field(
        "paper", description="where orders go"
    )
    prices: Annotated[Literal["gate", "mexc"], BeforeValidator(read.one_of("gate", "mexc"))] = Field(
        "gate", description="where paper takes its prices from"
    )
    capital: Money = Field(description="quote money of this mount")
    assets: Names = Field(description="the universe")
    timeframe: Duration = Field("1h", description="of the bars that are watched")
    strategy: StrategyChoice
    limits: LimitsChoice = Field(description="what no order may exceed; at least one is needed")
    costs: CostsChoice = Field(default_factory=CostsChoice, description="what paper assumes")
    execution: ExecutionChoice = Field(default_factory=ExecutionChoice)
    account: Account = Field(default_factory=Account)
    intake: Intake = Field(default_factory=Intake)
    state: File = Field(Path("../state"), description="folder of the journal and the socket, below it one per name")
    journal: Journal | None = Field(None, description="postgresql://... instead of a file in the folder")


def load_run(path: Path) -> tuple[Run, Strategy]:
    """Read and check the YAML file of a run; raises SettingsError with every problem found."""
    settings, document = load(Run, path)
    if settings.live and settings.venue == "paper":
        raise SettingsError(
            f"{document.where(('live',))} live = True with venue = 'paper': paper has no money; name gate or mexc, or drop live"
        )
    prices = settings.prices if settings.venue == "paper" else settings.venue
    if settings.timeframe not in FRAMES[prices]:
        raise SettingsError(
            f"{document.where(('timeframe',))} timeframe = {settings.timeframe!r}: {read.near(settings.timeframe, FRAMES[prices])}"
            f"candles of {prices} are {', '.join(FRAMES[prices])}"
        )
    if settings.execution.market_buys and settings.execution.participation is not None:
        raise SettingsError(
            f"{document.where(('execution', 'participation'))} participation = {settings.execution.participation:g} with market_buys = true:"
            " a market order takes whatever is there; drop one of them"
        )
    try:
        strategy = load_strategy(settings.strategy.name, settings.strategy.parameters)
    except StrategyLoadError as error:
        place = strategy_place(str(error), settings.strategy.parameters)
        raise SettingsError(f"{document.where(place)} {'.'.join(place)}: {error}") from error
    _check_limits(settings, strategy, document)
    return settings, strategy


def strategy_place(said: str, parameters: Mapping[str, object]) -> tuple[str, ...]:
    """The key that an error of a strategy is about: the parameter that it names, else the strategy's name."""
    words = [*re.findall(r"parameter '(\w+)'", said), *re.findall(r"^\w+: (\w+)", said)]
    named = next((word for word in words if word in parameters), None)
    return ("strategy", "name") if named is None else ("strategy", "parameters", named)


def differences(before: Run, after: Run) -> list[str]:
    """What another reading of the file would change, key by key; secrets show only that they change."""
    old, new = (_flat(one.model_dump()) for one in (before, after))
    lines = []
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            hidden = isinstance(old.get(key), SecretStr) or isinstance(new.get(key), SecretStr)
            lines.append(f"{key}: changes" if hidden else f"{key}: {old.get(key)} -> {new.get(key)}")
    return lines


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def state_folder(settings: Run, path: Path) -> Path:
    """Where this run keeps what it knows; relative ones count from the folder of the YAML file."""
    return (path.parent / settings.state / settings.name).resolve()


def secret_of(value: SecretStr | None, file: Path | None, home: Path, what: str) -> str:
    """A secret from where it is; raises SettingsError that never shows it."""
    if value is not None:
        return value.get_secret_value()
    if file is None:
        raise SettingsError(f"{what}: neither given nor a file with it; see account: in docs/live.md")
    try:
        return (home / file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{what}: {home / file}: {error.strerror or error}") from error


def _check_limits(settings: Run, strategy: Strategy, document: Document) -> None:
    limits = Limits(**settings.limits.model_dump())
    if not limits.given():
        raise SettingsError(
            f"{document.where(('limits',))} limits: none is given; a run needs at least one, such as weight_per_asset: 25%"
        )
    size = largest_size(strategy)
    reason = None if size is None else never_fits(size, limits, settings.capital)
    if reason is not None:
        named = next((one for one in LimitsChoice.model_fields if one in reason), "")
        raise SettingsError(
            f"{document.where(('limits', named))} limits: {reason}; raise the limit or make {type(strategy).__name__} smaller"
        )
