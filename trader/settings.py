"""Settings: the only reader of configuration files and of the environment.

A YAML file gives the values, `TRADER_*` variables override single ones (`TRADER_COSTS__FEE=0.001`), and everything is
checked here: what comes out is frozen and needs no second look. Whatever is wrong ends as one SettingsError that names
file, line, key, value, what is allowed and the nearest spelling. It builds nothing and imports no room but the core's values.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, cast, get_args

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from trader import setting_values as read
from trader import yaml_source
from trader.notify_settings import hidden
from trader.setting_types import (
    Columns,
    Cost,
    Count,
    Duration,
    File,
    Files,
    Instant,
    Money,
    Names,
    Part,
    Positive,
    Share,
)
from trader.sweep_settings import SweepChoice
from trader.yaml_source import Document, Place, YamlError

PREFIX = "TRADER_"


class SettingsError(ValueError):
    """A configuration that cannot be used; one line per problem."""


class Data(Part):
    """Where the history comes from: the bundled sample, or files of your own."""

    sample: Annotated[Literal["1d", "1h"] | None, BeforeValidator(read.one_of("1d", "1h"))] = Field(
        None, description="the bundled sample: 1d (many assets, daily) or 1h (five assets, hourly)"
    )
    bars: Files | None = Field(
        None, description="Parquet or CSV file, list of files, or folder; ts is the bar's OPEN in UTC"
    )
    ratings: File | None = Field(None, description="ratings: asset, kind, as_of, known_at, value")
    signals: File | None = Field(None, description="signals: asset, kind, as_of, known_at, value")
    instruments: File | None = Field(None, description="tick, lot, min_notional and delisting per asset")
    delay: Duration | None = Field(None, description="known_at = as_of + delay, for files without a known_at column")
    columns: Columns | None = Field(None, description="our column name: the file's column name")
    since: Instant | None = Field(None, description="the first bar, UTC")
    until: Instant | None = Field(None, description="the end, UTC, excluded")
    assets: Names | None = Field(None, description="only these assets")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.sample is None) == (self.bars is None):
            raise ValueError("allowed is exactly one of sample: and bars:")
        files = [n for n in ("ratings", "signals", "instruments", "delay", "columns") if getattr(self, n) is not None]
        if self.sample is not None and files:
            raise ValueError(
                f"sample: brings its own ratings; remove {', '.join(files)}, or give bars: instead of sample:"
            )
        if self.since is not None and self.until is not None and not self.since < self.until:
            raise ValueError(f"since {self.since:%Y-%m-%d %H:%M} is not before until {self.until:%Y-%m-%d %H:%M}")
        return self


class StrategyChoice(Part):
    """Which strategy, with which parameters."""

    name: Annotated[str, BeforeValidator(read.word("a bundled name, module:Class or path/to/file.py:Class"))] = Field(
        description="a bundled strategy (see: trader strategies), module:Class or path/to/file.py:Class"
    )
    parameters: dict[str, Any] = Field(default_factory=dict, description="parameters by name")

    @model_validator(mode="after")
    def _plain(self) -> Self:
        object.__setattr__(self, "parameters", read.plainly(self.parameters))
        return self


class CostsChoice(Part):
    """What trading costs."""

    fee: Cost = Field(0.002, description="share of the notional, on both sides")
    half_spread: Cost = Field(0.0005, description="share of the price paid away from the mid")
    impact: Cost = Field(0.0, description="share of the price per whole bar volume taken")
    participation: Share | None = Field(
        None, description="largest share of a bar's volume our fills may take; none = unlimited"
    )
    fee_on_buy: Annotated[Literal["quote", "received"], BeforeValidator(read.one_of("quote", "received"))] = Field(
        "quote", description="a buy's fee is taken in money (quote) or out of what is bought (received)"
    )


class LimitsChoice(Part):
    """Limits on what may be ordered; what is left out is off."""

    order_notional: Money | None = Field(None, description="quote money per order (cuts)")
    weight_per_asset: Share | None = Field(None, description="share of equity per asset (cuts)")
    gross_exposure: Positive | None = Field(None, description="share of equity invested in all (cuts)")
    open_orders: Count | None = Field(None, description="working orders at once")
    price_age: Duration | None = Field(None, description="oldest mark to trade on")
    price_collar: Positive | None = Field(
        None, description="largest share by which a fresh price may differ from the mark"
    )
    orders_per_minute: Count | None = Field(None, description="orders within 60 seconds")
    orders_per_day: Count | None = Field(None, description="orders per UTC day")
    loss_per_day: Share | None = Field(None, description="share of equity lost in a day after which nothing is opened")
    drawdown: Share | None = Field(
        None, description="share lost from the highest equity after which nothing is opened any more"
    )


class Environment(PydanticBaseSettingsSource):
    """`TRADER_*` variables as a nested mapping; `__` separates the levels and values are read as YAML."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: variables are read as a whole."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The overrides that are set."""
        nested: dict[str, Any] = {}
        for place, (name, text) in variables().items():
            if place[0] not in self.settings_cls.model_fields or place[0] in _THEIRS.get():
                continue
            level = nested
            for key in place[:-1]:
                level = level.setdefault(str(key), {})
            try:
                is_plain = _is_secret(self.settings_cls, place) and text[:1] not in {"", "'", '"'}
                level[str(place[-1])] = text if is_plain else yaml_source.scalar(text)
            except YamlError as error:
                raise SettingsError(f"environment: {name} = {error}") from error
        return nested


class Layout(BaseSettings):
    """What all files share: no key that nobody reads, and variables of the environment over the file."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment over the file."""
        del env_settings, dotenv_settings, file_secret_settings
        return Environment(settings_cls), init_settings


class Backtest(Layout):
    """A backtest: data, strategy, money and costs."""

    model_config = SettingsConfigDict(title="trader backtest")

    version: Annotated[Literal[1], BeforeValidator(read.version)] = Field(description="version of this layout: 1")
    data: Data
    strategy: StrategyChoice
    cash: Money = Field(100_000.0, description="quote money at the start")
    costs: CostsChoice = Field(default_factory=CostsChoice)
    latency: Duration = Field("0s", description="from decision to order; over 0 costs at least one bar")
    exits: Annotated[Literal["resting", "next_open"], BeforeValidator(read.one_of("resting", "next_open"))] = Field(
        "resting",
        description="price exits act inside the bar (resting), or at the open after it (next_open, the harder assumption)",
    )
    limits: LimitsChoice | None = Field(None, description="off unless given; the summary says so")
    report: File | None = Field(None, description="write the HTML report here")
    sweep: SweepChoice | None = Field(
        None, description="what `trader sweep` searches; `trader backtest` passes it over"
    )


Model = TypeVar("Model", bound=BaseSettings)


_THEIRS: ContextVar[frozenset[str]] = ContextVar("keys that another layout has first", default=frozenset())


def load(
    model: type[Model], path: Path, *, beside: Callable[[Document], Sequence[type[Layout]]] = lambda _: (),
    is_second: bool = False,
) -> tuple[Model, Document]:  # fmt: skip
    """Read and check a YAML file of a layout; raises SettingsError with every problem found.

    beside: layouts whose variables may be set in the same environment, for files that are read beside this one. A name that both know
    is this one's, or theirs where it is read second.
    """
    try:
        document = yaml_source.read(path)
    except YamlError as error:
        raise SettingsError(str(error)) from error
    others = {key for other in beside(document) for key in other.model_fields}
    theirs = frozenset(others if is_second else others - set(model.model_fields))
    token = _THEIRS.set(theirs)
    try:
        _check_variables(model)
        return _checked(model, document), document
    finally:
        _THEIRS.reset(token)


def _checked(model: type[Model], document: Document) -> Model:
    unknown = [_unknown(document, (key,), model) for key in document.values if key not in model.model_fields]
    if unknown:
        raise SettingsError("\n".join(unknown))
    try:
        return model(**cast(dict[str, Any], document.values))
    except ValidationError as error:
        lines = [_problem(document, one, model) for one in error.errors()]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from error


def load_backtest(path: Path) -> tuple[Backtest, Document]:
    """Read and check a backtest's YAML file; raises SettingsError with every problem found."""
    settings, document = load(Backtest, path)
    return _at_home(settings, document, path.parent), document


def schema(model: type[BaseSettings]) -> dict[str, Any]:
    """The JSON Schema of a layout, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def _at_home(settings: Backtest, document: Document, folder: Path) -> Backtest:
    """Relative paths count from the file's folder; data files must exist."""
    data = settings.data
    missing: list[str] = []
    found: dict[str, object] = {}
    for key in ("bars", "ratings", "signals", "instruments"):
        value = getattr(data, key)
        if value is None:
            continue
        paths = [folder / one for one in (value if isinstance(value, tuple) else (value,))]
        for index, one in enumerate(paths):
            if not one.exists():
                place: Place = ("data", key, index) if len(paths) > 1 else ("data", key)
                near = read.near(one.name, [p.name for p in one.parent.iterdir()] if one.parent.is_dir() else ())
                missing.append(
                    f"{_where(document, place)} data.{key} = {str(one)!r}: no such file or folder; {near}"
                    "relative paths count from the folder of the YAML file"
                )
        found[key] = tuple(paths) if isinstance(value, tuple) else paths[0]
    if missing:
        raise SettingsError("\n".join(missing))
    changes: dict[str, object] = {"data": data.model_copy(update=found)}
    if settings.report is not None:
        changes["report"] = folder / settings.report
    if settings.sweep is not None:
        homes = {key: folder / one for key in ("folder", "tally") if (one := getattr(settings.sweep, key)) is not None}
        changes["sweep"] = settings.sweep.model_copy(update=homes)
    file, colon, name = settings.strategy.name.rpartition(":")
    if colon and file.endswith(".py"):
        changes["strategy"] = settings.strategy.model_copy(update={"name": f"{folder / file}:{name}"})
    return settings.model_copy(update=changes)


def _problem(document: Document, details: ErrorDetails, model: type[BaseModel]) -> str:
    """One problem found by pydantic, in our words."""
    place, value = details["loc"], details["input"]
    name = ".".join(map(str, place)) or "the file"
    match details["type"]:
        case "extra_forbidden":
            return _unknown(document, place, model)
        case "missing":
            return f"{document.where(place[:-1])} {name} is missing; {_describe(model, place)}"
        case "value_error":
            allowed = str(details["ctx"]["error"])
        case "model_type" | "model_attributes_type" | "dict_type":
            allowed = "allowed is a mapping of keys to values"
        case _:
            allowed = details["msg"]
    may_show = not isinstance(value, Mapping | Part) and not hidden(place) and not _is_secret(model, place)
    shown = f" = {read.shown(value)}" if may_show else ""
    return f"{_where(document, place)} {name}{shown}: {allowed}"


def _unknown(document: Document, place: Place, model: type[BaseModel]) -> str:
    owner = _model_at(model, place[:-1])
    names = () if owner is None else tuple(owner.model_fields)
    name = ".".join(map(str, place))
    return f"{_where(document, place)} {name}: unknown key; {read.near(str(place[-1]), names)}allowed are {', '.join(names)}"


def _describe(model: type[BaseModel], place: Place) -> str:
    field = _field_at(model, place)
    return f"write {place[-1]}: {(field is not None and field.description) or 'and its keys below'}"


def _field_at(model: type[BaseModel], place: Place) -> FieldInfo | None:
    owner = _model_at(model, place[:-1])
    return None if owner is None else owner.model_fields.get(str(place[-1]))


def _is_secret(model: type[BaseModel], place: Place) -> bool:
    return bool(place) and "SecretStr" in str(getattr(_field_at(model, place), "annotation", ""))


def _where(document: Document, place: Place) -> str:
    """Where the value at this place was written: the variable that set it, or file, line and column."""
    for set_place, (name, _) in _ours().items():
        if set_place[: len(place)] == place or place[: len(set_place)] == set_place:
            return f"environment {name}:"
    return document.where(place)


def _model_at(model: type[BaseModel], place: Place) -> type[BaseModel] | None:
    found: type[BaseModel] | None = model
    is_named = False  # the next key is a name of the user's, of which each has such a model
    for key in place:
        if is_named or isinstance(key, int):
            is_named = False
            continue
        field = None if found is None else found.model_fields.get(str(key))
        found = None if field is None else next(_models(field.annotation), None)
        is_named = field is not None and found is not None and str(field.annotation).startswith("dict[")
    return found


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _names(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    """The variables that this model reads; a name that ends in `__` stands for all that begin with it."""
    for key, field in model.model_fields.items():
        name = prefix + key.upper()
        yield name
        for inner in () if str(field.annotation).startswith("tuple[") else _models(field.annotation):
            yield from _names(inner, name + "__")
        if "dict" in str(field.annotation):
            yield name + "__"


def variables() -> dict[Place, tuple[str, str]]:
    """The variables that are set, by the place of the key they override."""
    return {
        tuple(name[len(PREFIX) :].lower().split("__")): (name, text)
        for name, text in sorted(os.environ.items())
        if name.startswith(PREFIX)
    }


def service_manager() -> tuple[str, float | None]:
    """Where a service manager listens for what a process tells of itself, and within how many seconds it wants to hear that it is well.

    Empty = there is none; None = it does not wait for that, or waits for another process.
    """
    seconds = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return os.environ.get("NOTIFY_SOCKET", ""), int(seconds) / 1e6 if seconds.isdigit() and is_ours else None


def overrides(model: type[BaseSettings]) -> dict[str, Any]:
    """What the environment says, nested as the layout is."""
    return Environment(model)()


def _ours() -> dict[Place, tuple[str, str]]:
    """The variables that are set and belong to the layout that is being read."""
    return {place: one for place, one in variables().items() if place[0] not in _THEIRS.get()}


def _check_variables(model: type[BaseModel]) -> None:
    known = tuple(_names(model))
    open_ended = tuple(name for name in known if name.endswith("__"))
    lines = [
        f"environment: {name} is unknown; {read.near(name, known)}names are TRADER_ and the key, with __ between levels, "
        "such as TRADER_COSTS__FEE; unset it or correct it"
        for name, _ in _ours().values()
        if name not in known and not name.startswith(open_ended)
    ]
    lines += [
        f"environment: {whole} sets all of {'.'.join(map(str, place))}, and {part} a part of it; keep one of the two"
        for place, (whole, _) in _ours().items()
        for below, (part, _) in _ours().items()
        if len(below) > len(place) and below[: len(place)] == place
    ]
    if lines:
        raise SettingsError("\n".join(lines))
