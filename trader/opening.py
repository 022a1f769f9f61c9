"""Opening what a run stands on: its journal, its venue, its name as an owner of the lease. `app` puts the rest together."""

import secrets
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from trader.adapters.durable import write_whole
from trader.adapters.gate import gate_venue
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.mexc import mexc_venue
from trader.adapters.paper_venue import PaperVenue
from trader.core.costs import Costs
from trader.core.instruments import Instrument, from_terms_row
from trader.core.records import MountStarted
from trader.ports import Clock, Journal, Venue, VenueDownError
from trader.run_settings import Run, secret_of
from trader.settings import SettingsError

BUILDERS = {"gate": gate_venue, "mexc": mexc_venue}


LOOK_SECONDS = 60.0  # how often is asked whether a market that is shut can be traded again


class NotTradableError(ValueError):
    """An asset of the universe has no market at the venue."""


class ReopenedError(Exception):
    """A market that was shut at the start can be traded again: a start anew takes it up."""


@dataclass(slots=True)
class Access:
    """The venue of an account, opened, with the markets of its universe as they are; `settings` are those of all its mounts together."""

    settings: Run
    home: Path
    folder: Path
    clock: Clock
    is_shadow: bool
    label: str = ""  # what its files are called by, where there are several accounts
    opened: Venue | None = None
    journal: Journal | None = None  # what earlier starts knew of the markets
    earlier: Collection[str] = ()  # by what names earlier starts called the account; none = it is the only one
    instruments: list[Instrument] = field(default_factory=list)
    shut: dict[str, str] = field(default_factory=dict)  # assets whose market cannot be traded now, each with why

    async def open(self) -> None:
        """Open it anew; raises VenueDownError, JournalDownError and NotTradableError."""
        await self.close()
        self.opened = open_venue(
            self.settings, self.home, self.folder, self.clock, is_shadow=self.is_shadow, label=self.label
        )
        there = await self.opened.instruments(self.settings.assets)
        self.instruments, self.shut = await admitted(self.settings.assets, there, self.journal, self.earlier)
        check_universe(self.settings, self.instruments)

    @property
    def symbols(self) -> dict[str, str]:
        """The markets that can be traded now, by asset."""
        return {one.asset: one.symbol for one in self.instruments if one.asset not in self.shut}

    async def look(self) -> None:
        """The same, and ask for the account, so that a key that is refused is known before it is needed."""
        await self.open()
        await self.venue.balances()

    async def reopened(self) -> None:
        """Where a market is shut: wait until it can be traded again, and raise ReopenedError, so that all of it begins anew."""
        if self.shut:
            await until_open(self.shut, self._there, self.clock, seconds=LOOK_SECONDS)

    async def _there(self) -> Sequence[Instrument]:
        """The markets that can be traded now, asked of a connection of its own: an open one keeps what it learnt at first."""
        fresh = open_venue(
            self.settings, self.home, self.folder, self.clock, is_shadow=self.is_shadow, label=self.label
        )
        try:
            return await fresh.instruments(self.settings.assets)
        finally:
            await fresh.close()

    @property
    def venue(self) -> Venue:
        """The open venue."""
        assert self.opened is not None
        return self.opened

    def markets_of(self, assets: Sequence[str]) -> list[Instrument]:
        """The markets of some of its assets, in their order."""
        known = {one.asset: one for one in self.instruments}
        return [known[asset] for asset in assets]

    async def close(self) -> None:
        """Close its connections."""
        if self.opened is not None:
            await self.opened.close()
        self.opened = None


@dataclass(slots=True)
class Accesses:
    """The venues of all accounts of a run."""

    every: Sequence[Access]

    async def open(self) -> None:
        """Open all of them anew; raises VenueDownError and NotTradableError."""
        for one in self.every:
            await one.open()

    async def look(self) -> None:
        """The same, and ask for each account."""
        for one in self.every:
            await one.look()

    async def close(self) -> None:
        """Close all connections."""
        for one in self.every:
            await one.close()


def open_journal(settings: Run, folder: Path, *, is_shadow: bool = False) -> Journal:
    """The journal of a run: a file in its folder, or PostgreSQL; a shadow's is always a file, apart from the real one."""
    if settings.journal is None or is_shadow:
        return SqliteJournal(folder / "journal.db")
    if settings.journal.startswith("postgresql://"):
        from trader.adapters.journal_postgres import PostgresJournal  # noqa: PLC0415 - asyncpg is an extra

        return PostgresJournal(settings.journal)
    raise SettingsError(
        f"journal = {settings.journal!r}: allowed is postgresql://USER@HOST/NAME, or nothing for a file"
    )


def open_venue(settings: Run, home: Path, folder: Path, clock: Clock, *, is_shadow: bool, label: str = "") -> Venue:
    """Where orders go: an exchange account, or paper with the prices of one. label: as in `of_account`."""
    account, url = settings.account, settings.account.url or ""
    if settings.venue == "paper" or is_shadow:
        name = settings.prices if settings.venue == "paper" else settings.venue
        prices = BUILDERS[name](key="", secret="", url=url)
        costs = Costs(**settings.costs.model_dump())
        deposit = {"USDT": Decimal(repr(settings.capital))}
        path, prefix = folder / of_account("account.jsonl", label), f"{label}-" if label else ""
        return PaperVenue(prices, clock, costs=costs, path=path, deposit=deposit, prefix=prefix)
    key = secret_of(account.key, account.key_file, home, "account.key")
    secret = secret_of(account.secret, account.secret_file, home, "account.secret")
    return BUILDERS[settings.venue](key=key, secret=secret, url=url, paces=not url)


def of_account(file: str, label: str) -> str:
    """The name of a file that each account has of its own; one without a label has the plain one."""
    stem, _, suffix = file.rpartition(".")
    return f"{stem}-{label}.{suffix}" if label else file


def check_universe(settings: Run, instruments: Sequence[Instrument]) -> None:
    """Require a market for every asset; raises NotTradableError."""
    there = {one.asset for one in instruments}
    missing = [asset for asset in settings.assets if asset not in there]
    swaps = [asset for asset in missing if ":" in asset]
    if swaps:
        raise NotTradableError(
            f"assets: {', '.join(swaps)}: a perpetual or a future; only spot is built, so name the spot market, such as BTC/USDT"
        )
    if missing:
        raise NotTradableError(
            f"assets: {', '.join(missing)}: no market at {settings.venue} that can be traded through the API; take them out"
        )


async def until_open(
    shut: Collection[str], there: Callable[[], Awaitable[Sequence[Instrument]]], clock: Clock, *,
    seconds: float,
) -> None:  # fmt: skip
    """Ask now and then which markets can be traded; raises ReopenedError once one is among them that was shut."""
    while True:
        await clock.sleep(seconds)
        try:
            found = sorted({one.asset for one in await there()} & set(shut))
        except VenueDownError:
            continue
        if found:
            raise ReopenedError(f"{', '.join(found)} can be traded again: all of it begins anew")


async def admitted(
    assets: Sequence[str], there: Sequence[Instrument], journal: Journal | None, earlier: Collection[str] = ()
) -> tuple[list[Instrument], dict[str, str]]:
    """The instruments of a universe: those that can be traded, and those that cannot be now and an earlier start knew, which are shut.

    An asset that no start knew is left out, as one that is misspelt; so are all that are shut where none can be traded. earlier: only
    starts on an account of such a name count.
    """
    found = {one.asset: one for one in there}
    missing = [asset for asset in assets if asset not in found]
    if not missing or not found or journal is None:
        return list(there), {}
    known: dict[str, tuple[str, ...]] = {}
    async for entry in journal.read():
        if isinstance(entry.fact, MountStarted) and was_at(entry.fact, earlier):
            known |= {row[0]: row for row in entry.fact.terms}
    shut = {asset: from_terms_row(known[asset]) for asset in missing if asset in known}
    rows = [found.get(asset) or shut[asset] for asset in assets if asset in found or asset in shut]
    return rows, {asset: f"{one.symbol} at {one.venue} cannot be traded now" for asset, one in shut.items()}


def was_at(start: MountStarted, accounts: Collection[str]) -> bool:
    """Whether a start was on an account of such a name; where none is given there is but one."""
    return not accounts or start.market.rpartition("/")[0] in accounts


def owner_of(folder: Path) -> str:
    """Who holds the lease: the machine, the folder, and a name that the folder got at its first start, as two machines may share the rest."""
    path = folder / "owner"
    if not path.exists():
        write_whole(path, secrets.token_hex(4))
    return f"{socket.gethostname()}:{folder}:{path.read_text(encoding='utf-8').strip()}"
