"""The composition root: from settings to adapters to an engine to a daemon. Live, paper and shadow differ by what is plugged in here."""

import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from trader.adapters.clock import SystemClock
from trader.adapters.journal_sqlite import SqliteJournal, wal_fault
from trader.adapters.lock import FolderLock
from trader.adapters.payloads import Payloads
from trader.adapters.service_manager import ServiceManager
from trader.adapters.tokenmetrics_signals import SOURCE
from trader.core.costs import Costs
from trader.core.engine import Engine
from trader.core.facts import Fact
from trader.core.feed import Feed
from trader.core.instruments import Instrument, from_terms_row
from trader.core.records import ConfigApplied, MountStarted
from trader.core.risk import Limits
from trader.core.view import Strategy
from trader.furnishing import Account, Bench, Post, bench, causes_of, furnish, market_of, start
from trader.intake import keys_of, rules_of, secrets_of, sources_of, vouch
from trader.key_binding import hold
from trader.opening import Access, Accesses, open_journal, owner_of
from trader.ports import Clock, Journal
from trader.ratings import fed
from trader.reconfiguring import Reconfiguring, changes_of, versions_of
from trader.run_settings import Run, state_folder
from trader.runtime.control import Command, Control, socket_of
from trader.runtime.daemon import Daemon
from trader.runtime.house import House
from trader.runtime.logs import Log, set_up
from trader.runtime.market import Market
from trader.runtime.recovery import recover
from trader.runtime.rehearing import Rehearing, rehear
from trader.runtime.standby import Standby
from trader.runtime.supervise import supervise
from trader.runtime.till import Pace
from trader.runtime.traces import Kept, Traces, trace_of
from trader.runtime.watchdog import Watchdog
from trader.settings import SettingsError, service_manager
from trader.several_settings import Setup, load_setup
from trader.version import RESTART, Version, engine_of, recorded, terms_of

if TYPE_CHECKING:
    from trader.adapters.otlp import Collector

__all__ = ["bench", "rehearse", "rehearse_run", "run", "run_once", "start", "traced"]
LEASE_SECONDS = 9.0  # renewed every third of it: a standby leads within some 11 s of a leader's death


def rehearse(
    facts: Sequence[Fact],
    strategy: Strategy,
    *,
    limits: Limits | None = None,
    costs: Costs | None = None,
    mount: str = "",
) -> Rehearing:
    """Tell a recorded session to a fresh engine with these limits and costs, and compare decision by decision.

    What was decided before the last configuration was applied is decided under the one on record. mount: whose decisions, as in `rehear`.
    """
    instruments: list[Instrument] = []

    def make(start_: MountStarted) -> Engine:
        instruments[:] = [from_terms_row(row) for row in start_.terms]
        capital = Decimal(str(start_.capital))
        return engine_of(start_.mount, strategy, instruments, capital, limits=limits, costs=costs, market=start_.market)

    def adopt(engine: Engine, applied: ConfigApplied | None) -> str:
        given, said = (strategy, limits, costs or Costs()), "from here on with the strategy that is given"
        try:
            if applied is not None:
                given, said = recorded(applied.values), "from here on as it is on record"
        except ValueError as error:
            said = f"the one on record cannot be loaded ({error}), so with the strategy that is given"
        engine.reconfigure(given[0], given[1], terms_of(instruments, given[2]))
        return said

    return rehear(facts, make, adopt, mount)


def rehearse_run(facts: Sequence[Fact], settings: Run, strategy: Strategy) -> Rehearing:
    """Tell a recorded session again as this configuration of a mount would decide it."""
    limits, costs = Limits(**settings.limits.model_dump()), Costs(**settings.costs.model_dump())
    named = any(isinstance(fact, MountStarted) and fact.mount == settings.name for fact in facts)
    return rehearse(facts, strategy, limits=limits, costs=costs, mount=settings.name if named else "")


@dataclass(slots=True)
class Process:
    """What outlasts a life of the daemon. waits: for the lease, while another process holds it."""

    setup: Setup
    path: Path
    is_shadow: bool
    log: Log
    watchdog: Watchdog
    waits: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    reloads: asyncio.Event = field(default_factory=asyncio.Event)

    def adopt(self, setup: Setup) -> None:
        """What the next life of the daemon begins with."""
        self.setup = setup

    def read_again(self) -> None:
        """Before it leads after a wait: the file may have been applied where it led before. All of it, or nothing."""
        try:
            after = load_setup(self.path)
        except SettingsError as error:
            self.log.alert("the configuration is wrong now", problems=str(error).splitlines())
            return
        before, now = (versions_of(one, self.path.parent) for one in (self.setup, after))
        bound = [
            one.key for one in changes_of(before, now, bars=dict.fromkeys(before, sys.maxsize)) if one.effect == RESTART
        ]
        if bound:
            self.log.alert("the configuration needs a restart of this process", keys=bound)
        else:
            self.adopt(after)


async def run_once(process: Process) -> None:
    """Recover and work until it is to stop; whatever goes wrong ends it as well."""
    whole, path, log = process.setup.whole, process.path, process.log
    is_shadow, home, clock = process.is_shadow, path.parent, SystemClock()
    folder = _folder(whole, path, is_shadow=is_shadow)
    journal = open_journal(whole, folder, is_shadow=is_shadow)
    accesses = Accesses(
        [
            Access(
                one, home, folder, clock, is_shadow, process.setup.label_of(name),
                journal=journal, earlier=process.setup.earlier_of(name),
            )
            for name, one in process.setup.accounts.items()
        ]
    )  # fmt: skip
    collector = collector_of(whole, log)
    try:
        if not process.waits:
            await journal.take(owner_of(folder), seconds=LEASE_SECONDS)
            await accesses.open()
        elif not await _waited(accesses, journal, process, folder, clock):
            return
        else:
            process.read_again()
        setup = process.setup
        made = furnished(setup, accesses.every, journal, clock, home, log)
        reconfiguring = Reconfiguring(path.resolve(), setup, made)
        reconfiguring.settle()
        if collector is not None:
            traced(made.house, collector)
        daemon = Daemon(made.house, [], log, Pace(), LEASE_SECONDS, program=made.program)
        daemon.sources = sources_of(
            whole, home, daemon.link_changed, folder, is_shadow=is_shadow, warn=lambda what: log.warning("ratings", what=what),
            alert=lambda what: log.alert(what, link=SOURCE), may=daemon.prove_lease,
        )  # fmt: skip
        vouch(whole, home, daemon.sources, made.venue, lambda what: log.alert(what, link=SOURCE))
        reconfiguring.bind(daemon, process.adopt)
        for access in accesses.every:
            named = {"account": access.settings.account.name} if len(accesses.every) > 1 else {}
            for asset, why in access.shut.items():
                log.alert("not traded until its market is open again", asset=asset, why=why, **named)
        await _work(daemon, made, folder, process, reconfiguring, accesses)
    finally:
        await accesses.close()
        await journal.close()
        if collector is not None:
            await collector.close()


def furnished(
    setup: Setup, accesses: Sequence[Access], journal: Journal, clock: Clock, home: Path, log: Log
) -> Bench:  # fmt: skip
    """The house of a configuration, at accounts that are open."""
    accounts = [_account(setup, access, clock, home) for access in accesses]
    return furnish(
        setup.whole.name, accounts, journal, clock, read=Payloads(keys_of(setup.whole, home)), rules=rules_of(setup.whole), log=log,
        order=[one.settings.name for one in setup.mounts],
    )  # fmt: skip


def _account(setup: Setup, access: Access, clock: Clock, home: Path) -> Account:
    """An open account with its mounts; those that watch bars of one length hear one market."""
    name = access.settings.account.name
    ours = [one for one in setup.mounts if one.settings.account.name == name]
    markets, posts = dict[str, Market](), list[Post]()
    for one in ours:
        frame = one.settings.timeframe
        alike = [it for it in ours if it.settings.timeframe == frame]
        if frame not in markets:
            assets = dict.fromkeys(asset for it in alike for asset in it.settings.assets)
            there = [it for it in access.markets_of(list(assets)) if it.asset not in access.shut]
            markets[frame] = market_of(
                access.venue, clock, there, frame, [it.strategy for it in alike], name
            )  # fmt: skip
        version = Version(one.settings, one.strategy, home)
        posts.append(
            Post(
                one.settings.name, one.strategy, access.markets_of(one.settings.assets), Decimal(repr(one.settings.capital)),
                version.execution, version.limits, version.costs, markets[frame],
                {asset: why for asset, why in access.shut.items() if asset in one.settings.assets},
            )
        )  # fmt: skip
    fence_ms = Version(access.settings, ours[0].strategy, home).fence_ms
    return Account(name, access.settings.account.namespace, access.venue, posts, fence_ms)


def collector_of(settings: Run, log: Log) -> "Collector | None":
    """Where traces go, if anywhere; raises SettingsError where the extra is missing."""
    if settings.telemetry.otlp is None:
        return None
    try:
        from trader.adapters.otlp import Collector  # noqa: PLC0415 - opentelemetry is an extra
    except ImportError as error:
        raise SettingsError(
            f"telemetry.otlp: {error.name} is not installed; it comes with the extra otel: pip install 'signal-trader[otel]'"
        ) from error

    def tell(is_up: bool) -> None:
        if is_up:
            log.info("traces are taken")
        else:
            log.warning("traces are not taken: the collector of telemetry.otlp does not answer; nothing waits for it")

    return Collector(settings.telemetry.otlp, service={"service.instance.id": settings.name}, tell=tell)


def traced(house: House, collector: "Collector") -> None:
    """Hand each story that is over to a collector, after the turn in which it ended."""
    loop = asyncio.get_running_loop()

    def export(key: str, story: Sequence[Kept]) -> None:
        collector.take(key, trace_of(key, story))

    traces = Traces(house.keeper.now, causes_of(house.tills), lambda key, story: loop.call_soon(export, key, story))
    house.keeper.listeners.append(traces.fold)


async def _waited(accesses: Accesses, journal: Journal, process: Process, folder: Path, clock: Clock) -> bool:
    """Wait until we lead, answering at the socket; false where it is to stop before."""
    name = process.setup.whole.name
    standby = Standby(
        name, journal, owner_of(folder), LEASE_SECONDS, clock, process.log, accesses.look, process.stopping
    )  # fmt: skip
    process.watchdog.begin(standby.line)
    control = Control(socket_of(folder), standby.act)
    await control.open()
    try:
        return await standby.wait()
    finally:
        await control.close()


def _settle() -> None:
    """Take what a start left out of the collector's sight: to look at all of it held up a decision by 0.15 s, some times an hour."""
    gc.unfreeze()  # what an earlier life of this process left
    gc.collect()
    gc.freeze()


async def _work(
    daemon: Daemon, made: Bench, folder: Path, process: Process, reconfiguring: Reconfiguring, accesses: Accesses
) -> None:  # fmt: skip
    house, log = made.house, process.log
    facts = await recover(house, made.journal, program=made.program)
    daemon.folded = len(facts)
    hear(house)
    await reconfiguring.note_start()
    await start(made)
    if isinstance(made.journal, SqliteJournal) and (fault := wal_fault()) is not None:
        log.info("sqlite", note=fault)
    reconfiguring.seek()
    stop = asyncio.create_task(_stop_with(daemon, process.stopping))
    reload = asyncio.create_task(_reload_with(daemon, process))
    control = Control(socket_of(folder), daemon.act)
    await control.open()
    process.watchdog.begin(daemon.line, daemon.pulse)
    _settle()
    log.info("started", epoch=house.keeper.epoch, facts=len(facts), latched=house.desks[0].latched)
    try:
        async with asyncio.TaskGroup() as group:
            looking = [group.create_task(one.reopened()) for one in accesses.every]
            await daemon.run()
            for one in looking:
                one.cancel()
    finally:
        stop.cancel()
        reload.cancel()
        await control.close()
        log.info("ended")


def hear(house: House) -> None:
    """After a recovery: go on hearing bars from where the desks know them, and prices from streams."""
    for desk in house.desks:
        feed, market = desk.engine.market, desk.market
        assert isinstance(feed, Feed)
        assert market is not None
        others = [one.engine.market for one in house.desks if one.market is market]
        for asset, at in feed.newest().items():
            if asset not in market.assets:
                continue  # it is shut, and not waited for
            known = [one.newest().get(asset) for one in others if isinstance(one, Feed) and asset in one.index]
            if None not in known:  # who was set to work since needs the bars that the others have
                market.newest[asset] = min(one for one in [at, *known] if one is not None)
        desk.heard = market.fresh


async def _stop_with(daemon: Daemon, stopping: asyncio.Event) -> None:
    await stopping.wait()
    daemon.stop()


async def _reload_with(daemon: Daemon, process: Process) -> None:
    """SIGHUP: apply the file as it is now, or say why not."""
    while True:
        await process.reloads.wait()
        process.reloads.clear()
        found = await daemon.act(Command("apply", key="SIGHUP"))
        if found["ok"]:
            process.log.info("configuration", **{name: one for name, one in found.items() if name != "ok"})
        else:
            process.log.alert("the configuration was not applied", why=found["error"])


def run(setup: Setup, path: Path, *, is_shadow: bool, level: str = "info", waits: bool = False) -> None:
    """Run the daemon under its supervisor until it is told to end; raises SettingsError, AlreadyRunningError, KeyChangedError, LeaseLostError
    and LeftBehindError.

    waits: as a standby while another process leads, and again when another took over.
    """
    settings, home = setup.whole, path.parent
    if waits and (settings.journal is None or settings.venue == "paper" or is_shadow):
        raise SettingsError(
            "a standby shares the journal and the account of the first: it needs journal: postgresql://..., and orders at an exchange;"
            " a file and a paper account are this folder's alone"
        )
    if settings.intake.ratings is not None:
        fed((path.parent / settings.intake.ratings).resolve())
    folder = _folder(settings, path, is_shadow=is_shadow)
    lock = FolderLock(folder)
    lock.take()
    secrets = [secret for one in setup.accounts.values() for secret in secrets_of(one, home, is_shadow=is_shadow)]
    set_up(list(dict.fromkeys(secrets)), level=level)
    log, (address, seconds) = Log(), service_manager()
    manager = ServiceManager(address)
    watchdog = Watchdog(manager, SystemClock(), log, seconds)
    try:
        for name, one in setup.accounts.items():
            if one.venue != "paper" and not is_shadow:
                hold(one, home, folder, setup.label_of(name))
        asyncio.run(_supervised(Process(setup, path, is_shadow, log, watchdog, waits)))
    finally:
        manager.tell("STOPPING=1")
        lock.release()


async def _supervised(process: Process) -> None:
    """Signals are heard from the first moment on, also while a start fails again and again."""
    loop, watchdog = asyncio.get_running_loop(), process.watchdog
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, process.stopping.set)
    loop.add_signal_handler(signal.SIGHUP, process.reloads.set)

    async def run_it() -> None:
        await run_once(process)

    reporting = asyncio.create_task(watchdog.run())
    try:
        await supervise(
            run_it, SystemClock(), process.log, stopping=process.stopping, waits=process.waits, failed=watchdog.failed
        )  # fmt: skip
    finally:
        reporting.cancel()


def _folder(settings: Run, path: Path, *, is_shadow: bool) -> Path:
    folder = state_folder(settings, path)
    return folder / "shadow" if is_shadow else folder
