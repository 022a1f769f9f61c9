"""The layout of what runs, on paper or with money: one mount, its account, its limits, checked as a whole.

Several mounts in one file are read by `several_settings.py`, which makes a `Run` of each.

Paper is the default; money needs `live: true` here and a flag at the command line.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from strategies.loading import StrategyLoadError, largest_size
from strategies.loading import load as load_strategy
from trader import setting_values as read
from trader.api_settings import ApiChoice
from trader.core.instants import SECOND, duration
from trader.core.risk import Limits, never_fits
from trader.core.view import Strategy
from trader.notify_settings import NotifyChoice
from trader.run_parts import FRAMES, Account, ExecutionChoice, Intake, Journal, Prices, Telemetry, Truth, Venue
from trader.setting_types import Duration, File, Money, Names
from trader.settings import CostsChoice, Layout, LimitsChoice, SettingsError, StrategyChoice, load, variables
from trader.vendor_settings import Vendor
from trader.yaml_source import Document, Place


class Run(Layout):
    """A run: a strategy set to work on an account with a capital."""

    model_config = SettingsConfigDict(title="trader run")

    version: Annotated[Literal[1], BeforeValidator(read.version)] = Field(description="version of this layout: 1")
    name: Annotated[str, BeforeValidator(read.folder("a stable name of the mount"))] = Field(
        description="a stable name: orders and holdings belong to it"
    )
    live: Truth = Field(False, description="true = real money, together with the flag --live")
    venue: Venue = Field("paper", description="where orders go")
    prices: Prices = Field("gate", description="where paper takes its prices from")
    capital: Money = Field(description="quote money of this mount")
    assets: Names = Field(description="the universe")
    timeframe: Duration = Field("1h", description="of the bars that are watched")
    strategy: StrategyChoice
    limits: LimitsChoice = Field(description="what no order may exceed; at least one is needed")
    costs: CostsChoice = Field(default_factory=CostsChoice, description="what paper assumes")
    execution: ExecutionChoice = Field(default_factory=ExecutionChoice)
    account: Account = Field(default_factory=Account)
    intake: Intake = Field(default_factory=Intake)
    api: ApiChoice = Field(default_factory=ApiChoice, description="the control API and its dashboard (docs/api.md)")
    telemetry: Telemetry = Field(default_factory=Telemetry)
    notify: NotifyChoice | None = Field(
        None, description="who is told what, by `trader notify` (docs/notifications.md)"
    )
    state: File = Field(Path("../state"), description="folder of the journal and the socket, below it one per name")
    journal: Journal | None = Field(None, description="postgresql://... instead of a file in the folder")


def load_run(path: Path) -> tuple[Run, Strategy]:
    """Read and check the YAML file of a run with one mount; raises SettingsError with every problem found."""
    settings, document = load(Run, path, beside=asked)
    return settings, prepared(settings, document)


def prepared(settings: Run, document: Document, place: Place = (), *, venue_at: Place = ()) -> Strategy:
    """The strategy of a mount, whose keys stand at a place of a file, checked with all that it needs; raises SettingsError.

    venue_at: where its venue is written, if not beside the rest.
    """
    if settings.live and settings.venue == "paper":
        raise SettingsError(
            f"{document.where((*venue_at, 'live'))} live = True with venue = 'paper': paper has no money; name gate or mexc, or drop live"
        )
    prices = settings.prices if settings.venue == "paper" else settings.venue
    if settings.timeframe not in FRAMES[prices]:
        raise SettingsError(
            f"{document.where((*place, 'timeframe'))} timeframe = {settings.timeframe!r}: {read.near(settings.timeframe, FRAMES[prices])}"
            f"candles of {prices} are {', '.join(FRAMES[prices])}"
        )
    if settings.venue == "mexc" and duration(settings.execution.fence) > 60 * SECOND:  # API docs, "recvWindow"
        raise SettingsError(
            f"{document.where(('execution', 'fence'))} fence = {settings.execution.fence!r}: MEXC refuses every request that is good for more than 60s; write 60s or less"
        )
    if settings.execution.market_buys and settings.execution.participation is not None:
        raise SettingsError(
            f"{document.where(('execution', 'participation'))} participation = {settings.execution.participation:g} with market_buys = true:"
            " a market order takes whatever is there; drop one of them"
        )
    try:
        strategy = load_strategy(settings.strategy.name, settings.strategy.parameters)
    except StrategyLoadError as error:
        at = (*place, *strategy_place(str(error), settings.strategy.parameters))
        raise SettingsError(f"{document.where(at)} {'.'.join(map(str, at))}: {error}") from error
    _check_limits(settings, strategy, document, place)
    return strategy


def asked(document: Document) -> Sequence[type[Layout]]:
    """The layout of a vendor's file, where a run asks one: its variables, such as TRADER_KEY, stand beside ours."""
    intake = document.values.get("intake")
    is_asked = isinstance(intake, Mapping) and intake.get("ratings") is not None
    return (Vendor,) if is_asked or {("intake",), ("intake", "ratings")} & set(variables()) else ()


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
        found = (home / file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{what}: {home / file}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{what}: {home / file}: is no text; write the secret and nothing else into it") from None
    if not found:  # anybody could sign with it
        raise SettingsError(f"{what}: {home / file}: is empty; write the secret and nothing else into it")
    return found


def _check_limits(settings: Run, strategy: Strategy, document: Document, place: Place) -> None:
    limits = Limits(**settings.limits.model_dump())
    here = (*place, "limits") if (*place, "limits") in document.places else ("limits",)
    if not limits.given():
        raise SettingsError(
            f"{document.where(here)} limits: none is given; a run needs at least one, such as weight_per_asset: 25%"
        )
    size = largest_size(strategy)
    reason = None if size is None else never_fits(size, limits, settings.capital)
    if reason is not None:
        named = next((one for one in LimitsChoice.model_fields if one in reason), "")
        raise SettingsError(
            f"{document.where((*here, named))} limits: {reason}; raise the limit or make {type(strategy).__name__} smaller"
        )
