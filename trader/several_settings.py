"""The layout of several mounts in one file, on one account or on several, each with a capital of its own.

What is written above the mounts counts for each of them that does not say otherwise. Each mount becomes a `Run`, as if it stood in a
file of its own; what they share is one journal, one door for signals, and one connection and comparison per account.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from trader import setting_values as read
from trader import yaml_source
from trader.api_settings import ApiChoice
from trader.core.view import Strategy
from trader.notify_settings import NotifyChoice
from trader.run_parts import Account, ExecutionChoice, Intake, Journal, Keys, Prices, Telemetry, Truth, Venue
from trader.run_settings import Run, asked, load_run, prepared
from trader.setting_types import Duration, File, Money, Names, Part, Share
from trader.settings import CostsChoice, Layout, LimitsChoice, SettingsError, StrategyChoice, load
from trader.yaml_source import Document, YamlError

NAME = "[A-Za-z0-9][A-Za-z0-9_.-]*"
Name = Annotated[str, BeforeValidator(read.matching(NAME, "letters, digits, and _ . - behind them"))]


class AccountChoice(Keys):
    """One of several accounts; its name is the key that it stands under."""

    venue: Venue | None = Field(None, description="where its orders go; none = the venue above")
    prices: Prices | None = Field(None, description="where paper takes its prices from; none = as above")
    costs: CostsChoice | None = Field(None, description="what paper assumes there; none = the costs above")
    execution: ExecutionChoice | None = Field(None, description="how orders are carried out there; none = as above")


class MountChoice(Part):
    """A strategy set to work on an account with a capital of its own."""

    name: Name = Field(description="a stable name: orders and holdings belong to it")
    strategy: StrategyChoice
    capital: Money | None = Field(None, description="its quote money; or a share:")
    share: Share | None = Field(None, description="its part of the capital above, such as 40%")
    assets: Names | None = Field(None, description="its universe; none = the assets above")
    timeframe: Duration | None = Field(None, description="of the bars that it watches; none = as above")
    limits: LimitsChoice | None = Field(None, description="what none of its orders may exceed; none = the limits above")
    account: str | None = Field(None, description="on which of the accounts it trades; one needs no name")


class Several(Layout):
    """A run of several mounts, on one account or on several."""

    model_config = SettingsConfigDict(title="trader run, several mounts")

    version: Annotated[Literal[1], BeforeValidator(read.version)] = Field(description="version of this layout: 1")
    name: Annotated[str, BeforeValidator(read.folder("a stable name of the run"))] = Field(
        description="a stable name of the run: its folder and its journal"
    )
    live: Truth = Field(False, description="true = real money, together with the flag --live")
    venue: Venue = Field("paper", description="where orders go, of accounts that do not say")
    prices: Prices = Field("gate", description="where paper takes its prices from")
    capital: Money | None = Field(None, description="quote money of all mounts together, of which shares are taken")
    assets: Names | None = Field(None, description="the universe of mounts that name none")
    timeframe: Duration = Field("1h", description="of the bars that are watched")
    limits: LimitsChoice | None = Field(
        None, description="what no order of a mount may exceed that has no limits of its own"
    )
    costs: CostsChoice = Field(default_factory=CostsChoice, description="what paper assumes")
    execution: ExecutionChoice = Field(default_factory=ExecutionChoice)
    account: Account = Field(default_factory=Account, description="the account, where there is one")
    accounts: dict[str, AccountChoice] | None = Field(
        None, description="accounts by their names, where there are several"
    )
    mounts: tuple[MountChoice, ...] = Field(description="what is set to work: name, strategy, and a capital or a share")
    intake: Intake = Field(default_factory=Intake)
    api: ApiChoice = Field(default_factory=ApiChoice, description="the control API and its dashboard (docs/api.md)")
    telemetry: Telemetry = Field(default_factory=Telemetry)
    notify: NotifyChoice | None = Field(
        None, description="who is told what, by `trader notify` (docs/notifications.md)"
    )
    state: File = Field(Path("../state"), description="folder of the journal and the socket, below it one per name")
    journal: Journal | None = Field(None, description="postgresql://... instead of a file in the folder")


@dataclass(frozen=True, slots=True)
class Mounted:
    """A mount, as if it were the only one, and its strategy; `settings.account` is its account."""

    settings: Run
    strategy: Strategy


@dataclass(frozen=True, slots=True)
class Setup:
    """What a file sets to work. `whole` is what all share, with their money and assets together; `accounts` is the same of each account."""

    whole: Run
    accounts: Mapping[str, Run]
    mounts: tuple[Mounted, ...]
    has_accounts: bool = False  # under accounts:, each by its name

    def label_of(self, account: str) -> str:
        """What files of an account are called by: by nothing where it is the one under account:, or is called as that is by default."""
        is_plain = not self.has_accounts or account == Account.model_fields["name"].default
        return "" if is_plain else account

    def earlier_of(self, account: str) -> tuple[str, ...]:
        """By what names earlier starts called an account: by any where there is one; those that named none were on the first."""
        if len(self.accounts) == 1:
            return ()
        return ("", account) if account == next(iter(self.accounts)) else (account,)

    @classmethod
    def of(cls, settings: Run, strategy: Strategy) -> "Setup":
        """One mount."""
        return cls(settings, {settings.account.name: settings}, (Mounted(settings, strategy),))

    @property
    def is_one(self) -> bool:
        """Whether there is one mount, which then is the run itself."""
        return len(self.mounts) == 1 and self.mounts[0].settings == self.whole


def load_setup(path: Path) -> Setup:
    """Read and check the YAML file of a run, with one mount or several; raises SettingsError with every problem found."""
    if is_several(path):
        settings, document = load(Several, path, beside=asked)
        return _setup(settings, document)
    return Setup.of(*load_run(path))


def is_several(path: Path) -> bool:
    """Whether a file has mounts: below, or is one; raises SettingsError where it is no YAML."""
    try:
        return "mounts" in yaml_source.read(path).values
    except YamlError as error:
        raise SettingsError(str(error)) from error


def _setup(settings: Several, document: Document) -> Setup:
    accounts = _accounts(settings, document)
    problems = [*_names(settings, document), *_spaces(settings, document), *_places(settings, accounts, document)]
    capitals = list(_capitals(settings, document, problems))
    if problems:
        raise SettingsError("\n".join(problems))
    mounts = []
    for place, (one, capital) in enumerate(zip(settings.mounts, capitals, strict=True)):
        account = accounts[one.account or next(iter(accounts))]
        run = _run(
            settings, account, name=one.name, capital=capital, assets=one.assets or settings.assets or (),
            timeframe=one.timeframe or settings.timeframe, strategy=one.strategy, limits=one.limits or settings.limits or LimitsChoice(),
        )  # fmt: skip
        venue_at = ("accounts", account.account.name) if settings.accounts else ()
        try:
            mounts.append(Mounted(run, prepared(run, document, ("mounts", place), venue_at=venue_at)))
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("\n".join(dict.fromkeys(problems)))
    used = {
        name: account for name, account in accounts.items() if any(it.settings.account.name == name for it in mounts)
    }
    first = next((one for one in used.values() if one.venue != "paper"), next(iter(used.values())))
    whole = _together(first, mounts, settings.name)
    together = {
        name: _together(one, [it for it in mounts if it.settings.account.name == name], settings.name)
        for name, one in used.items()
    }
    return Setup(whole, together, tuple(mounts), settings.accounts is not None)


def _run(settings: Several, base: Run | None, **own: object) -> Run:
    """A run with what is above, its account's, and its own."""
    shared: dict[str, object] = {name: getattr(settings, name) for name in Run.model_fields if hasattr(settings, name)}
    of_account = (
        {}
        if base is None
        else {name: getattr(base, name) for name in ("account", "venue", "prices", "costs", "execution")}
    )
    return Run.model_construct(**{**shared, **of_account, **own})


def _together(base: Run, mounts: list[Mounted], name: str) -> Run:
    """What several mounts are together: their money, their assets, and of the rest the first one's."""
    runs = [one.settings for one in mounts]
    first, assets = runs[0], tuple(dict.fromkeys(asset for one in runs for asset in one.assets))
    capital = float(sum((Decimal(repr(one.capital)) for one in runs), Decimal(0)))
    given = {"name": name, "capital": capital, "assets": assets}
    return base.model_copy(
        update={"timeframe": first.timeframe, "strategy": first.strategy, "limits": first.limits, **given}
    )


def _accounts(settings: Several, document: Document) -> dict[str, Run]:
    """The accounts by name, as runs without mounts."""
    if settings.accounts is None:
        return {settings.account.name: _run(settings, None)}
    found = {}
    for name, one in settings.accounts.items():
        account = Account.model_construct(**{**{key: getattr(one, key) for key in Keys.model_fields}, "name": name})
        found[name] = _run(
            settings, None, account=account, venue=one.venue or settings.venue, prices=one.prices or settings.prices,
            costs=one.costs or settings.costs, execution=one.execution or settings.execution,
        )  # fmt: skip
    if not found:
        raise SettingsError(f"{document.where(('accounts',))} accounts: none is given; name one, or drop accounts:")
    return found


def _names(settings: Several, document: Document) -> Iterator[str]:
    """What is wrong with names of mounts."""
    seen: dict[str, int] = {}
    if not settings.mounts:
        yield f"{document.where(('mounts',))} mounts: none is given; write - name:, strategy: and capital: of one"
    for place, one in enumerate(settings.mounts):
        if one.name in seen:
            first = document.where(("mounts", seen[one.name], "name")).rstrip(":")
            where = document.where(("mounts", place, "name"))
            yield f"{where} mounts.{place}.name = {one.name!r}: the mount at {first} has it already; orders and holdings belong to a name"
        seen.setdefault(one.name, place)


def _spaces(settings: Several, document: Document) -> Iterator[str]:
    """What is wrong with accounts beside each other: names, namespaces, and keys that are given twice."""
    spaces: dict[str, str] = {}
    keys: dict[object, str] = {}
    for name, one in (settings.accounts or {}).items():
        where = document.where(("accounts", name, "namespace"))
        try:
            read.matching(NAME, "letters, digits, and _ . - behind them")(name)
        except ValueError as error:
            yield f"{document.where(('accounts', name))} accounts.{name}: {error}"
        if one.namespace in spaces:
            yield (
                f"{where} accounts.{name}.namespace = {one.namespace!r}: the account {spaces[one.namespace]} has it already;"
                " write another, such as bot2"
            )
        spaces.setdefault(one.namespace, name)
        key = (
            one.venue or settings.venue,
            one.key.get_secret_value() if isinstance(one.key, SecretStr) else one.key_file,
        )
        if key[0] != "paper" and key[1] is not None and key in keys:
            yield f"{document.where(('accounts', name))} accounts.{name}: it has the key of {keys[key]}; one account is named once, and mounts share it"
        keys.setdefault(key, name)


def _places(settings: Several, accounts: Mapping[str, Run], document: Document) -> Iterator[str]:
    """What is wrong with where mounts trade, and what."""
    known = ", ".join(accounts)
    for place, one in enumerate(settings.mounts):
        at = ("mounts", place)
        if one.account is not None and one.account not in accounts:
            where = document.where((*at, "account"))
            yield f"{where} mounts.{place}.account = {one.account!r}: {read.near(one.account, list(accounts))}there are {known}"
        if one.account is None and len(accounts) > 1:
            yield f"{document.where(at)} mounts.{place}.account is missing; write one of {known}"
        if one.assets is None and settings.assets is None:
            yield f"{document.where(at)} mounts.{place}.assets is missing; write assets: here, or above for all mounts"


def _capitals(settings: Several, document: Document, problems: list[str]) -> Iterator[float]:
    """The money of each mount; adds to the problems."""
    total = None if settings.capital is None else Decimal(repr(settings.capital))
    taken = Decimal(0)
    for place, one in enumerate(settings.mounts):
        at, name = ("mounts", place), f"mounts.{place}"
        if (one.capital is None) == (one.share is None):
            problems.append(f"{document.where(at)} {name}: allowed is exactly one of capital: and share:")
        elif one.share is not None and total is None:
            problems.append(
                f"{document.where((*at, 'share'))} {name}.share = {one.share:.10g}: of what? write capital: above the mounts, or an amount here"
            )
        money = (
            Decimal(repr(one.capital))
            if one.capital is not None
            else (total or Decimal(1)) * Decimal(repr(one.share or 1))
        )
        if total is not None and taken <= total < taken + money:
            key = "share" if one.capital is None else "capital"
            problems.append(
                f"{document.where((*at, key))} {name}.{key}: with {one.name} the mounts have {float(taken + money):,.10g} of a capital of"
                f" {float(total):,.10g}; make shares smaller, or raise capital:"
            )
        taken += money
        yield float(money)
