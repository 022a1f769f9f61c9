"""The layout of what runs, on paper or with money: one mount, its account, its limits, checked as a whole.

Paper is the default; money needs `live: true` here and a flag at the command line.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import SettingsConfigDict

from strategies.loading import StrategyLoadError, largest_size
from strategies.loading import load as load_strategy
from trader import setting_values as read
from trader.core.risk import Limits, never_fits
from trader.core.view import Strategy
from trader.settings import Layout, LimitsChoice, Money, Names, SettingsError, StrategyChoice, load
from trader.yaml_source import Document

VENUES = ("paper", "gate", "mexc")


class Run(Layout):
    """A run: a strategy set to work on an account with a capital."""

    model_config = SettingsConfigDict(title="trader run")

    version: Annotated[Literal[1], BeforeValidator(read.version)] = Field(description="version of this layout: 1")
    name: Annotated[str, BeforeValidator(read.word("a stable name of the mount"))] = Field(
        description="a stable name: orders and holdings belong to it"
    )
    live: bool = Field(False, description="true = real money, together with the flag --live")
    venue: Annotated[Literal["paper", "gate", "mexc"], BeforeValidator(read.one_of(*VENUES))] = Field(
        "paper", description="where orders go"
    )
    capital: Money = Field(description="quote money of this mount")
    assets: Names = Field(description="the universe")
    strategy: StrategyChoice
    limits: LimitsChoice = Field(description="what no order may exceed; at least one is needed")


def load_run(path: Path) -> tuple[Run, Strategy]:
    """Read and check the YAML file of a run; raises SettingsError with every problem found."""
    settings, document = load(Run, path)
    if settings.live and settings.venue == "paper":
        raise SettingsError(
            f"{document.where(('live',))} live = True with venue = 'paper': paper has no money; name gate or mexc, or drop live"
        )
    try:
        strategy = load_strategy(settings.strategy.name, settings.strategy.parameters)
    except StrategyLoadError as error:
        raise SettingsError(f"{document.where(('strategy',))} {error}") from error
    _check_limits(settings, strategy, document)
    return settings, strategy


def _check_limits(settings: Run, strategy: Strategy, document: Document) -> None:
    limits = Limits(**settings.limits.model_dump())
    if not limits.given():
        raise SettingsError(
            f"{document.where(('limits',))} limits: none is given; a run needs at least one, such as weight_per_asset: 25%"
        )
    size = largest_size(strategy)
    reason = None if size is None else never_fits(size, limits, settings.capital)
    if reason is not None:
        raise SettingsError(
            f"{document.where(('limits',))} limits: {reason}; raise the limit or make {type(strategy).__name__} smaller"
        )
