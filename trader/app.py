"""The composition root: from settings to adapters to an engine to a daemon. Live, paper and shadow differ by what is plugged in here."""

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from trader.adapters.clock import SystemClock
from trader.adapters.gate import gate_venue
from trader.adapters.journal_sqlite import SqliteJournal, wal_fault
from trader.adapters.lock import FolderLock
from trader.adapters.mexc import mexc_venue
from trader.adapters.paper_venue import PaperVenue
from trader.adapters.payloads import Payloads
from trader.adapters.tokenmetrics_signals import SOURCE
from trader.core.book import Mount
from trader.core.costs import Costs
from trader.core.engine import Engine
from trader.core.facts import Fact
from trader.core.feed import Feed
from trader.core.instants import SECOND, duration, to_ns
from trader.core.instruments import Instrument, Terms, exactly, from_terms_row, terms_row
from trader.core.records import MountStarted
from trader.core.risk import Gate, Limits
from trader.core.view import Strategy
from trader.intake import keys_of, rules_of, secrets_of, sources_of, vouch
from trader.key_binding import hold
from trader.ports import Clock, Journal, Venue
from trader.ratings import fed
from trader.run_settings import Run, differences, load_run, secret_of, state_folder
from trader.runtime.control import Control, socket_of
from trader.runtime.daemon import Daemon, Pace
from trader.runtime.desk import Desk, Execution
from trader.runtime.inbox import Inbox, Rules
from trader.runtime.keeper import Keeper
from trader.runtime.logs import Log, set_up
from trader.runtime.market import Market
from trader.runtime.outbox import FENCE_MS, Outbox
from trader.runtime.reconcile import Reconciler
from trader.runtime.recovery import recover
from trader.runtime.rehearing import Rehearing, rehear
from trader.runtime.snapshots import program_of
from trader.runtime.supervise import supervise
from trader.settings import SettingsError

BUILDERS = {"gate": gate_venue, "mexc": mexc_venue}
LEASE_SECONDS = 30.0
LEAST_BARS = 1_000
DUST_QUOTE = "0.01"


class NotTradableError(ValueError):
    """An asset of the universe has no market at the venue."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One desk with everything around it, recovered from its journal and ready to work."""

    desk: Desk
    reconciler: Reconciler
    inbox: Inbox
    journal: Journal
    venue: Venue
    instruments: Sequence[Instrument]
    capital: Decimal
    program: str  # whose snapshots fit


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


def open_venue(settings: Run, home: Path, folder: Path, clock: Clock, *, is_shadow: bool) -> Venue:
    """Where orders go: an exchange account, or paper with the prices of one."""
    account, url = settings.account, settings.account.url or ""
    if settings.venue == "paper" or is_shadow:
        name = settings.prices if settings.venue == "paper" else settings.venue
        prices = BUILDERS[name](key="", secret="", url=url)
        costs = Costs(**settings.costs.model_dump())
        deposit = {"USDT": Decimal(repr(settings.capital))}
        return PaperVenue(prices, clock, costs=costs, path=folder / "account.jsonl", deposit=deposit)
    key = secret_of(account.key, account.key_file, home, "account.key")
    secret = secret_of(account.secret, account.secret_file, home, "account.secret")
    return BUILDERS[settings.venue](key=key, secret=secret, url=url, paces=not url)


def bench(
    *, name: str, strategy: Strategy, instruments: list[Instrument], capital: Decimal, journal: Journal, venue: Venue,
    clock: Clock, execution: Execution, limits: Limits | None = None, account: str = "main", namespace: str = "main",
    quote: str = "USDT", read: Payloads | None = None, rules: Rules | None = None,
    price: Callable[[str], float | None] = lambda _asset: None, log: Log | None = None, costs: Costs | None = None,
    fence_ms: int = FENCE_MS,
) -> Bench:  # fmt: skip
    """Put a desk together; nothing is recovered and nothing is asked yet."""
    symbols = {one.asset: one.symbol for one in instruments}
    engine = engine_of(name, strategy, instruments, capital, limits=limits, costs=costs)
    keeper = Keeper(journal, clock)
    outbox = Outbox(keeper, venue, clock, account=account, namespace=namespace, fence_ms=fence_ms)
    dust = {one.symbol.partition("/")[0]: Decimal(repr(one.lot or 1e-8)) for one in instruments}
    reconciler = Reconciler(
        keeper, venue, outbox, clock, symbols=symbols, quote=quote, dust={**dust, quote: Decimal(DUST_QUOTE)},
        namespace=namespace,
    )  # fmt: skip
    outbox.explains = reconciler.explains
    desk = Desk(engine, keeper, outbox, venue, clock, symbols=symbols, execution=execution)
    inbox = Inbox(
        (read or Payloads()).read, journal, clock, assets=frozenset(symbols), rules=rules or Rules(), price=price
    )
    keeper.listeners.append(inbox.fold)
    if log is not None:
        keeper.listeners.append(log.fact)
    return Bench(desk, reconciler, inbox, journal, venue, instruments, capital, program_of(desk))


async def start(desk: Desk, instruments: Sequence[Instrument], capital: Decimal) -> None:
    """Write down what is set to work."""
    at, terms = desk.keeper.now(), tuple(terms_row(one) for one in instruments)
    mount, strategy = desk.engine.mount.name, desk.engine.strategy
    await desk.keeper.keep(MountStarted(at, mount, repr(strategy), capital, terms))  # type: ignore[arg-type]


def engine_of(
    name: str, strategy: Strategy, instruments: Sequence[Instrument], capital: Decimal, *,
    limits: Limits | None = None, costs: Costs | None = None,
) -> Engine:  # fmt: skip
    """A fresh engine of one mount: live, and when a journal is told again."""
    fee_on_buy = (costs or Costs()).fee_on_buy
    terms: dict[str, Sequence[Terms]] = {one.asset: [Terms(one, fee_on_buy, exactly)] for one in instruments}
    mount = Mount(name, terms, {instruments[0].venue: exactly(float(capital))}, exactly(0))
    gate = Gate(limits) if limits is not None and limits.given() else None
    keep = max(LEAST_BARS, strategy.wants.bars)
    return Engine(strategy, mount, Feed(list(terms), exactly, keep), exactly, gate)


def rehearse(
    facts: Sequence[Fact], strategy: Strategy, *, limits: Limits | None = None, costs: Costs | None = None
) -> Rehearing:
    """Tell a recorded session to a fresh engine with these limits and costs, and compare decision by decision."""

    def make(start_: MountStarted) -> Engine:
        instruments = [from_terms_row(row) for row in start_.terms]
        capital = Decimal(str(start_.capital))
        return engine_of(start_.mount, strategy, instruments, capital, limits=limits, costs=costs)

    return rehear(facts, make)


def rehearse_run(facts: Sequence[Fact], settings: Run, strategy: Strategy) -> Rehearing:
    """Tell a recorded session again as this configuration would decide it."""
    limits, costs = Limits(**settings.limits.model_dump()), Costs(**settings.costs.model_dump())
    return rehearse(facts, strategy, limits=limits, costs=costs)


async def run_once(
    settings: Run, strategy: Strategy, path: Path, *, is_shadow: bool, log: Log, stopping: asyncio.Event
) -> None:  # fmt: skip
    """Recover and work until `stopping` is set; whatever goes wrong ends it as well."""
    home, clock = path.parent, SystemClock()
    folder = _folder(settings, path, is_shadow=is_shadow)
    journal = open_journal(settings, folder, is_shadow=is_shadow)
    venue: Venue | None = None
    try:
        await journal.take(f"{socket.gethostname()}:{folder}", seconds=LEASE_SECONDS)
        venue = open_venue(settings, home, folder, clock, is_shadow=is_shadow)
        instruments = await venue.instruments(settings.assets)
        check_universe(settings, instruments)
        market = Market(
            venue, clock, symbols={one.asset: one.symbol for one in instruments}, timeframe=settings.timeframe,
            keep=max(strategy.wants.bars, 300),
        )  # fmt: skip
        execution = Execution(
            collar=settings.execution.collar, fee=settings.costs.fee, spends=settings.execution.market_buys,
            participation=settings.execution.participation,
            validity=timedelta(microseconds=duration(settings.execution.validity) / 1_000),
        )  # fmt: skip
        made = bench(
            name=settings.name, strategy=strategy, instruments=instruments, capital=Decimal(repr(settings.capital)),
            journal=journal, venue=venue, clock=clock, execution=execution, limits=Limits(**settings.limits.model_dump()),
            account=settings.account.name, namespace=settings.account.namespace, rules=rules_of(settings),
            read=Payloads(keys_of(settings, home)), price=market.price, log=log, costs=Costs(**settings.costs.model_dump()),
            fence_ms=duration(settings.execution.fence) * 1_000 // SECOND,
        )  # fmt: skip
        if settings.execution.settle is not None:
            venue.settle_seconds = duration(settings.execution.settle) / SECOND
        daemon = Daemon(
            made.desk, made.reconciler, made.inbox, [], market, log, Pace(), LEASE_SECONDS, program=made.program
        )  # fmt: skip
        daemon.sources = sources_of(
            settings, home, daemon.link_changed, folder, is_shadow=is_shadow, warn=lambda what: log.warning("ratings", what=what),
            alert=lambda what: log.alert(what, link=SOURCE),
        )  # fmt: skip
        vouch(settings, home, daemon.sources, venue, lambda what: log.alert(what, link=SOURCE))
        await _work(daemon, made, market, strategy, folder, log, stopping)
    finally:
        if venue is not None:
            await venue.close()
        await journal.close()


async def _work(
    daemon: Daemon, made: Bench, market: Market, strategy: Strategy, folder: Path, log: Log,
    stopping: asyncio.Event,
) -> None:  # fmt: skip
    desk = made.desk
    facts = await recover(desk, made.reconciler, made.inbox, made.journal, program=made.program)
    daemon.folded = len(facts)
    feed = desk.engine.market
    assert isinstance(feed, Feed)
    market.newest.update(feed.newest())
    desk.heard = market.fresh
    await start(desk, made.instruments, made.capital)
    if isinstance(made.journal, SqliteJournal) and (fault := wal_fault()) is not None:
        log.info("sqlite", note=fault)
    if (
        strategy.wants.every is not None and strategy.wants.at is not None
    ):  # of missed turns, only the last is made up for
        feed.seek(to_ns(desk.keeper.now()) - duration(strategy.wants.every))
    stop = asyncio.create_task(_stop_with(daemon, stopping))
    control = Control(socket_of(folder), daemon.act)
    await control.open()
    log.info("started", epoch=desk.keeper.epoch, facts=len(facts), latched=desk.latched)
    try:
        await daemon.run()
    finally:
        stop.cancel()
        await control.close()
        log.info("ended")


async def _stop_with(daemon: Daemon, stopping: asyncio.Event) -> None:
    await stopping.wait()
    daemon.stop()


def _tell_changes(settings: Run, path: Path, log: Log) -> None:
    """SIGHUP: read the file again and say what a restart with it would change; nothing is changed."""
    try:
        after, _ = load_run(path)
    except SettingsError as error:
        log.warning("the configuration is wrong now", problems=str(error).splitlines())
        return
    log.info("a restart would change", changes=differences(settings, after))


def run(settings: Run, strategy: Strategy, path: Path, *, is_shadow: bool, level: str = "info") -> None:
    """Run the daemon under its supervisor until it is told to end; raises SettingsError, AlreadyRunningError, KeyChangedError and LeaseLostError."""
    if settings.intake.ratings is not None:
        fed((path.parent / settings.intake.ratings).resolve())
    folder = _folder(settings, path, is_shadow=is_shadow)
    lock = FolderLock(folder)
    lock.take()
    set_up(secrets_of(settings, path.parent), level=level)
    log = Log()
    try:
        if settings.venue != "paper" and not is_shadow:
            hold(settings, path.parent, folder)
        asyncio.run(_supervised(settings, strategy, path, is_shadow=is_shadow, log=log))
    finally:
        lock.release()


async def _supervised(settings: Run, strategy: Strategy, path: Path, *, is_shadow: bool, log: Log) -> None:
    """Signals are heard from the first moment on, also while a start fails again and again."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: _tell_changes(settings, path, log))

    async def run_it() -> None:
        await run_once(settings, strategy, path, is_shadow=is_shadow, log=log, stopping=stopping)

    await supervise(run_it, SystemClock(), log, stopping=stopping)


def _folder(settings: Run, path: Path, *, is_shadow: bool) -> Path:
    folder = state_folder(settings, path)
    return folder / "shadow" if is_shadow else folder


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
