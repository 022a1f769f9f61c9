"""What `trader doctor` finds at the venue: whether it answers and how fast, its clock, our key and its rights, the markets and their minimums.

Public questions are asked without the key, so that a key that is refused does not hide what else is wrong.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from strategies.loading import largest_size
from trader.adapters.ccxt_venue import CcxtVenue
from trader.adapters.journal_pages import JournalPages
from trader.core.instruments import Instrument
from trader.core.records import MountStarted
from trader.core.risk import Limits
from trader.core.strategy import Quote, Units
from trader.core.view import Strategy
from trader.finding import Finding, fail, ok, refuse, skip, warn
from trader.key_binding import KeyChangedError, bind, binding_of, bound
from trader.opening import BUILDERS, was_at
from trader.ports import JournalDownError, KeyView, VenueDownError
from trader.run_settings import Run, secret_of
from trader.settings import SettingsError
from trader.several_settings import Mounted

CLOCK_WARN_MS, CLOCK_FAIL_MS = 500, 1_000
SLOW_SECONDS = 1.0
ROOM = 1.25  # what falls by a fifth is still over the minimum when it should go
KEY_ROWS = ("key", "key binding", "key rights", "key addresses", "key expiry")
KEY_DAYS = 76


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at: a run, its strategy, its folders; where there are several mounts, an account with all of its mounts together.

    label: what files of the account are called by. mounts: each by itself. earlier: as in `Setup.earlier_of`.
    """

    settings: Run
    strategy: Strategy
    home: Path
    folder: Path
    label: str = ""
    mounts: tuple[Mounted, ...] = ()
    earlier: tuple[str, ...] = ()

    @property
    def venue(self) -> str:
        """Whose markets it trades, or takes its prices from."""
        return self.settings.prices if self.settings.venue == "paper" else self.settings.venue


async def venue_rows(
    patient: Patient, *, binds: bool = False, wall: Callable[[], float] = time.time
) -> list[Finding]:  # fmt: skip
    """Everything about the venue, in the order in which one would mend it."""
    url = patient.settings.account.url or ""
    public = BUILDERS[patient.venue](key="", secret="", url=url, paces=not url)
    rows = list[Finding]()
    try:
        rows += await _reached(public, wall)
        is_up = rows[0].state != "fail"
        key_rows, instruments, pairs = await _key(patient, binds=binds, is_up=is_up)
        rows += key_rows
        if not is_up:
            return [*rows, *(skip(name, "the venue is not reached") for name in ("symbols", "minimum size"))]
        await public.prepare()
        if instruments is None:
            instruments = await public.instruments(patient.settings.assets)
        rows.append(await _symbols(patient, instruments, pairs))
        for one in patient.mounts or (Mounted(patient.settings, patient.strategy),):
            ours = [it for it in instruments if it.asset in one.settings.assets]
            found = await _minimums(replace(patient, settings=one.settings, strategy=one.strategy), ours, public)
            rows.append(replace(found, name=f"{found.name} {one.settings.name}") if patient.mounts else found)
    except VenueDownError as error:
        rows.append(fail("symbols", str(error), "try again; the venue broke off"))
    finally:
        await public.close()
    return rows


async def _reached(public: CcxtVenue, wall: Callable[[], float]) -> list[Finding]:
    """Reachability, latency and the clock: of three questions the quickest tells most."""
    best: tuple[float, float] | None = None
    try:
        for _ in range(3):
            begin, ours = time.monotonic(), wall()
            theirs = await public.now_ms()
            took = time.monotonic() - begin
            if best is None or took < best[0]:
                best = took, theirs - (ours + took / 2) * 1_000
    except VenueDownError as error:
        remedy = (
            "look at the network, and at the venue's status page; `account.url` may name a loopback that does not run"
        )
        return [fail("venue", str(error), remedy), skip("clock", "the venue is not reached")]
    assert best is not None
    took, offset = best
    answer = f"{public.name} answers in {took * 1_000:.0f} ms"
    rows = [ok("venue", answer)]
    if took > SLOW_SECONDS:
        rows = [warn("venue", answer, "run nearer to the venue, or expect late orders")]
    found = f"{offset:+.0f} ms from {public.name}'s, give or take {took * 500:.0f} ms"
    sure = abs(offset) - took * 500
    remedy = "set the clock: timedatectl set-ntp true, or start chronyd; the age of every signal is told by it"
    if sure > CLOCK_FAIL_MS:
        rows.append(fail("clock", found, remedy))
    else:
        rows.append(warn("clock", found, remedy) if sure > CLOCK_WARN_MS else ok("clock", found))
    return rows


async def _key(
    patient: Patient, *, binds: bool, is_up: bool
) -> tuple[list[Finding], list[Instrument] | None, tuple[str, ...]]:  # fmt: skip
    """The key: it works, it is the one of this folder, it may trade and nothing more; with the instruments that it may trade."""
    settings, account = patient.settings, patient.settings.account
    if settings.venue == "paper":
        return [skip(name, "paper needs none") for name in KEY_ROWS], None, ()
    try:
        key = secret_of(account.key, account.key_file, patient.home, "account.key")
        secret = secret_of(account.secret, account.secret_file, patient.home, "account.secret")
    except SettingsError as error:
        remedy = "write key and secret into files and name them under account: (docs/live.md)"
        rows = [fail("key", str(error), remedy), *(skip(name, "there is no key") for name in KEY_ROWS[1:])]
        return rows, None, ()
    binding = _binding(patient, binds=binds)
    if not is_up:
        rows = [skip(name, "the venue is not reached") for name in KEY_ROWS]
        return [binding if one.name == binding.name else one for one in rows], None, ()
    url = account.url or ""
    venue = BUILDERS[settings.venue](key=key, secret=secret, url=url, paces=not url)
    try:
        await venue.now_ms()
        balances = await venue.balances()
        free = balances["USDT"].free if "USDT" in balances else Decimal(0)
        view = await venue.key_view()
        rows = [_works(settings, free), binding, *_rights(patient.venue, view)]
        return rows, await venue.instruments(settings.assets), view.pairs
    except VenueDownError as error:
        remedy = "look at the key and its secret, at the addresses it is bound to, and whether it has run out"
        rows = [
            fail("key", str(error), remedy),
            binding,
            *(skip(name, "the key does not work") for name in KEY_ROWS[2:]),
        ]
        return rows, None, ()
    finally:
        await venue.close()


def _works(settings: Run, free: Decimal) -> Finding:
    found = f"works; {free:,.2f} USDT are free"
    if free < Decimal(repr(settings.capital)):
        return warn(
            "key", f"{found}, less than the capital of {settings.capital:,.10g}", "deposit, or give less capital:"
        )
    return ok("key", found)


def _binding(patient: Patient, *, binds: bool) -> Finding:
    now = binding_of(patient.settings, patient.home)
    try:
        before = bound(patient.folder, patient.label)
    except KeyChangedError as error:
        if not binds:
            return refuse("key binding", str(error), "run `trader doctor CONFIG --bind`")
        before = None
    if binds and before != now:
        bind(patient.folder, now, patient.label)
        return ok("key binding", f"{now}, bound now{'' if before is None else f'; it was {before}'}")
    if before is None:
        return warn(
            "key binding",
            f"{now} is not bound to {patient.folder} yet",
            "the first start with money binds it, or --bind",
        )
    if before != now:
        remedy = "give this run another name:, or, where the account is the same and its key is new, --bind"
        return refuse("key binding", f"{patient.folder} is bound to {before}, and this is {now}", remedy)
    return ok("key binding", str(now))


def _rights(venue: str, view: KeyView) -> list[Finding]:
    """What the venue shows: rights, addresses, end."""
    shown = ", ".join(view.rights) or "none shown"
    least = "make a key with the right to trade spot and no other"
    if view.may_withdraw:
        rights = refuse("key rights", f"{shown}: money can be taken out with this key", least)
    elif view.may_trade is False:
        rights = fail("key rights", f"{shown}: this key may not trade", least)
    elif view.may_withdraw is None or view.may_trade is None:
        remedy = f"look at the key's page at {venue}: trade spot and no other, above all not withdraw"
        rights = warn("key rights", f"whether it may withdraw is not visible: {view.note}", remedy)
    else:
        rights = ok("key rights", f"{shown}; it may trade and not withdraw")
    bind_it = f"bind it to this machine's address on the key's page at {venue}"
    if view.addresses is None:
        addresses = warn("key addresses", f"{venue} does not show whether the key is bound to addresses", bind_it)
    elif not view.addresses:
        addresses = warn("key addresses", "bound to none: whoever has the key can use it from anywhere", bind_it)
    else:
        addresses = ok("key addresses", f"bound to {', '.join(view.addresses)}")
    return [rights, addresses, _expiry(venue, view)]


def _expiry(venue: str, view: KeyView) -> Finding:
    made = "" if view.made_at is None else f"; it was made on {view.made_at:%Y-%m-%d}"
    found = f"{venue} does not show when a key ends{made}"
    if view.addresses:
        return ok("key expiry", f"{found}; bound to addresses")
    remedy = (
        f"a key without an address may end after 90 days: bind it, or make a new one {KEY_DAYS} days after it was made"
    )
    return warn("key expiry", found, remedy)


async def _known(patient: Patient, assets: Sequence[str]) -> list[str]:
    """Those of some assets that an earlier start of this run traded on this account."""
    pages = JournalPages(patient.settings.journal or patient.folder / "journal.db")
    try:
        starts = [entry.fact for entry in await pages.newest("MountStarted", 100)]
    except (JournalDownError, ImportError):
        return []  # there is no journal yet, or another row says what is wrong with it
    finally:
        await pages.close()
    ours = [one for one in starts if isinstance(one, MountStarted) and was_at(one, patient.earlier)]
    known = {row[0] for start in ours for row in start.terms}
    return [asset for asset in assets if asset in known]


async def _symbols(patient: Patient, instruments: Sequence[Instrument], pairs: tuple[str, ...]) -> Finding:
    there = {one.asset: one.symbol for one in instruments}
    missing = [one for one in patient.settings.assets if one not in there]
    if missing and there and await _known(patient, missing) == missing:
        found = (
            f"{', '.join(missing)}: no spot market at {patient.venue} that can be traded now; a start goes on without"
        )
        return warn(
            "symbols",
            found,
            "its holding stays as it is: look at the venue's announcements; the bot takes it up again when it is open",
        )
    if missing:
        found = f"{', '.join(missing)}: no spot market at {patient.venue} that can be traded through the API"
        return fail("symbols", found, "take them out of assets:, or look for another spelling: trader assets check")
    barred = [asset for asset, symbol in there.items() if pairs and symbol not in pairs]
    if barred:
        return fail(
            "symbols", f"{', '.join(barred)}: the key is bound to other pairs", "add them to the pairs of the key"
        )
    return ok("symbols", f"all {len(there)} can be traded through the API")


async def _minimums(patient: Patient, instruments: Sequence[Instrument], public: CcxtVenue) -> Finding:
    """The strategy's size beside what each market takes at the least: its minimum, and a lot at today's price."""
    size, settings = largest_size(patient.strategy), patient.settings
    if size is None:
        return skip("minimum size", f"{type(patient.strategy).__name__} does not tell its size beforehand")
    limits = Limits(**settings.limits.model_dump())
    small, tight = list[str](), list[str]()
    for one in instruments:
        price = float((await public.touch(one.symbol)).ask)
        money = size.quantity * price if isinstance(size, Units) else _money(size, settings.capital)
        least = max(one.min_notional or 0.0, (one.lot or 0.0) * price)
        told = f"{one.asset} takes {least:,.4g} USDT at the least"
        if limits.order_notional is not None and limits.order_notional < least:
            small.append(f"{told}, and order_notional lets {limits.order_notional:,.6g} through")
        elif money < least:
            small.append(f"{told}, and the strategy's size is {money:,.6g}")
        elif money < least * ROOM:
            tight.append(f"{told}, and the strategy's size is {money:,.6g}: after a fall it could not be sold")
    if small:
        return fail(
            "minimum size", "; ".join(small), "give more capital:, a larger size, a larger limit, or take the asset out"
        )
    if tight:
        return warn("minimum size", "; ".join(tight), "give more capital: or a larger size")
    return ok("minimum size", f"the strategy's size is over the minimum of all {len(instruments)}")


def _money(size: float | Quote, capital: float) -> float:
    return min(size.amount, capital) if isinstance(size, Quote) else size * capital
