"""The commands around a vendor's ratings: fetch them, and ask what was known when."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli_shared import CODES, instant_of, loaded, print_table, progress_of, run_now, run_until_stopped, table_of
from trader.output import NOT_READY, REFUSED, Failure

if TYPE_CHECKING:
    from trader.adapters.ratings_store import Covered, RatingsStore
    from trader.core.observations import Observation
    from trader.vendor_settings import Vendor

ratings = typer.Typer(no_args_is_help=True, help="Fetch a vendor's ratings, and ask what was known when.")
VendorFile = Annotated[Path, typer.Argument(help="The YAML file of the vendor.", show_default=False)]
Asset = Annotated[str, typer.Argument(help="An asset of the file, or MARKET.", show_default=False)]
KindOption = Annotated[str, typer.Option(help="Only of this kind, such as trader_grade.", show_default=False)]
SHOWN = 40


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(ratings, name="ratings")


@ratings.command(epilog=CODES)
def pull(
    config: VendorFile,
    since: Annotated[str, typer.Option(help="The first day, UTC.", show_default=False)],
    until: Annotated[str, typer.Option(help="The last day, included; none = yesterday.", show_default=False)] = "",
    tokens: Annotated[
        str, typer.Option(help="Only these of the file's assets, parted by commas.", show_default=False)
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before credits are spent.")] = False,
) -> None:
    """Fetch a history into the store. It says first what it costs; broken off, it goes on where it was.

    \b
    Examples:
      trader ratings pull config/tokenmetrics.yaml --since 2024-01-01
      trader ratings pull config/tokenmetrics.yaml --since 2024-01-01 --until 2024-06-30 --yes
      trader ratings pull config/tokenmetrics.yaml --since 2024-01-01 --tokens BTC/USDT,ETH/USDT
    """
    from trader.adapters.tokenmetrics import VendorError
    from trader.ratings import pull as fetch
    from trader.ratings import wanted
    from trader.settings import SettingsError

    first = instant_of("--since", since).date()
    last = instant_of("--until", until).date() if until else datetime.now(UTC).date() - timedelta(days=1)
    if last < first:
        raise Failure(f"--until {last} is before --since {first}")
    with opened(config) as (settings, store):
        settings = _only(settings, tokens)
        _tell_passed_over(settings)
        if settings.nameless:
            print(f"left out, no id yet: {', '.join(settings.nameless)}; `trader assets find {config}` looks it up")
        count, spent = len(wanted(settings, store, first, last)), store.spent().get(f"{datetime.now(UTC):%Y-%m}", 0)
        print(
            f"{count} requests, one credit each; {settings.credits - spent} of {settings.credits} are left this month"
        )
        if count > settings.credits - spent:
            raise Failure(
                "that is more than is left: fetch a shorter span, or give the plan's size under credits:", REFUSED
            )
        if count and not yes and not typer.confirm("go on?"):
            raise Failure("nothing was fetched", REFUSED)
        try:
            with progress_of() as note:
                found = run_now(fetch(settings, config.parent, store, first, last, progress=note))
        except SettingsError as error:
            raise Failure(f"{config}: {error}") from error
        except VendorError as error:
            raise Failure(f"{error}; what was fetched is kept, and the same command goes on", NOT_READY) from error
    print(
        f"{found.rows} rows in {found.windows} answers, {found.news} of them news"
        + (f", {found.aside} set aside" if found.aside else "")
    )


@ratings.command("list", epilog=CODES)
def list_(config: VendorFile) -> None:
    """List what there is: of each kind about each asset the dates (days, hours, or when it changed), and what is missing of days or hours.

    \b
    Example:
      trader ratings list config/tokenmetrics.yaml
    """
    table = table_of("asset", "kind", "from", "to", "dates", "missing", "revisions", "source")
    with opened(config) as (_, store):
        for one in store.covered():
            step = _step(one)
            holes = [] if step is None else store.gaps(one.source, one.kind, one.asset, step)
            missing = "-" if step is None else str(sum((b - a) // step + 1 for a, b in holes))
            table.add_row(
                one.asset, one.kind, _said(one.first, step), _said(one.last, step), str(one.days), missing, str(one.rows - one.days), one.source,
            )  # fmt: skip
        aside = store.aside()
    print_table(table)
    if aside:
        print(f"{len(aside)} rows were set aside; the last: {aside[-1].endpoint}: {aside[-1].why}")


@ratings.command(epilog=CODES)
def show(
    config: VendorFile,
    at: Annotated[str, typer.Option(help="An instant, UTC; none = now.", show_default=False)] = "",
    provisional: Annotated[bool, typer.Option("--provisional", help="Days that are not over, too.")] = False,
) -> None:
    """Show what was known at an instant, and nothing that came later.

    \b
    Examples:
      trader ratings show config/tokenmetrics.yaml
      trader ratings show config/tokenmetrics.yaml --at 2024-03-12T06:00
    """
    with opened(config) as (_, store):
        found = store.known(instant_of("--at", at) if at else datetime.now(UTC), provisional=provisional)
    _tell(found)


@ratings.command("revisions", epilog=CODES)
def revisions_(config: VendorFile, asset: Asset, kind: KindOption = "") -> None:
    """Show values that were changed after they were first seen.

    \b
    Example:
      trader ratings revisions config/tokenmetrics.yaml BTC/USDT
    """
    with opened(config) as (_, store):
        rows = store.rows(asset=asset, kind=kind)
    chains: dict[tuple[str, str, datetime], list[Observation]] = {}
    for one in rows:
        chains.setdefault((one.source, one.kind, one.as_of), []).append(one)
    _tell([one for chain in chains.values() if len(chain) > 1 for one in chain])


@ratings.command(epilog=CODES)
def gaps(config: VendorFile, asset: Asset, kind: KindOption = "") -> None:
    """Name the days, or the hours, without a row between the first and the last. What comes when it changes has no gaps.

    \b
    Example:
      trader ratings gaps config/tokenmetrics.yaml BTC/USDT --kind trader_grade
    """
    with opened(config) as (_, store):
        for one in store.covered():
            step = _step(one)
            if one.asset == asset and kind in {"", one.kind} and step is not None:
                unit, form = ("hours", "%Y-%m-%d %H:%M") if step < timedelta(days=1) else ("days", "%Y-%m-%d")
                for first, last in store.gaps(one.source, one.kind, one.asset, step):
                    print(f"{one.kind}: {first:{form}} to {last:{form}} ({(last - first) // step + 1} {unit})")


@ratings.command("feed", epilog=CODES)
def feed_(
    config: VendorFile,
    run: Annotated[
        Path,
        typer.Option("--to", help="The YAML file of a run: its broker, and the key it expects.", show_default=False),
    ],
) -> None:
    """Ask the vendor once per publication and publish what is news at a broker, for ever: one poller and one plan for several bots.

    \b
    Example:
      trader ratings feed config/tokenmetrics.yaml --to config/live.yaml
    """
    from trader.intake import broker_of, forward, keys_of
    from trader.ratings import fed, feed_of
    from trader.settings import SettingsError

    def tell(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    settings, _ = loaded(run)
    with opened(config) as (_, store):
        try:
            vendor, broker, keys = fed(config), broker_of(settings, run.parent), keys_of(settings, run.parent)
            said = lambda is_up, why: tell(f"the vendor {'answers' if is_up else 'does not answer: ' + why}")  # noqa: E731
            made = feed_of(
                vendor, config.parent, store, tell=said, warn=tell, alert=lambda what: tell(f"ALERT: {what}")
            )
        except SettingsError as error:
            raise Failure(str(error)) from error
        run_until_stopped(forward(made, broker, keys, tell))


@ratings.command("import", epilog=CODES)
def import_(
    file: Annotated[Path, typer.Argument(help="A CSV, Parquet or JSON file.", show_default=False)],
    mapping: Annotated[
        Path, typer.Option("--map", help="The YAML file that says what its columns are.", show_default=False)
    ],
) -> None:
    """Take another vendor's ratings into the store. Where the file does not say since when a row was known, a delay must be given.

    \b
    Example:
      trader ratings import scores.csv --map config/import.yaml
    """
    from backtests import TapeError
    from backtests.vendors import now, observations_in
    from trader.adapters.ratings_store import RatingsStore
    from trader.run_settings import Run
    from trader.settings import SettingsError, load
    from trader.several_settings import Several
    from trader.vendor_settings import Import

    try:
        settings, _ = load(Import, mapping, beside=lambda _: (Run, Several), is_second=True)
        found = observations_in(
            file, source=settings.source, type_=settings.type, kind=settings.kind, columns=settings.columns, assets=settings.assets,
            delay=settings.delay, observed_at=now(),
        )  # fmt: skip
    except (SettingsError, TapeError) as error:
        raise Failure(str(error)) from error
    store = RatingsStore((mapping.parent / settings.store).resolve())
    try:
        news = store.append(found.rows)
    finally:
        store.close()
    assumed = (
        f", known {settings.delay} after what they describe"
        if settings.delay and any(one.is_assumed for one in found.rows)
        else ""
    )
    print(f"{len(found.rows)} rows read, {news} of them news{assumed}")
    if found.empty:
        print(f"passed over: {found.empty} rows without a value")
    if found.strangers:
        named = ", ".join(sorted(found.strangers)[:SHOWN])
        print(f"passed over: {sum(found.strangers.values())} rows of assets that {mapping} does not map: {named}")


@ratings.command(epilog=CODES)
def export(
    config: VendorFile,
    file: Annotated[Path, typer.Argument(help="A .parquet or .csv file.", show_default=False)],
    revisions: Annotated[str, typer.Option(help="all, first or last: which values of a day that was revised.")] = "all",
) -> None:
    """Write what was seen as a file for backtests, each row with the instant since when it was known.

    \b
    Examples:
      trader ratings export config/tokenmetrics.yaml ratings.parquet
      trader ratings export config/tokenmetrics.yaml first.csv --revisions first
    """
    from backtests import TapeError
    from backtests.vendors import export as write

    with opened(config) as (_, store):
        try:
            count = write(file, store.rows(), revisions=revisions)
        except TapeError as error:
            raise Failure(str(error)) from error
    print(f"{count} rows in {file}")


def _only(settings: "Vendor", tokens: str) -> "Vendor":
    """The same settings with some of their assets; raises Failure for one that the file does not map."""
    names = [one.strip() for one in tokens.split(",") if one.strip()] or list(settings.assets)
    strange = [one for one in names if one not in settings.assets]
    if strange:
        raise Failure(f"--tokens: {', '.join(strange)}: not among the assets of the file: {', '.join(settings.assets)}")
    return settings.model_copy(update={"assets": {one: settings.assets[one] for one in names}})


def _tell_passed_over(settings: "Vendor") -> None:
    """Say what has no history to be fetched."""
    from trader.adapters.tokenmetrics_signals import PULLED

    without = [one for one in settings.endpoints if one not in PULLED]
    if without and len(without) == len(settings.endpoints):
        raise Failure(
            f"endpoints: {', '.join(without)}: no history there; the bot keeps what it sees. Allowed are {', '.join(PULLED)}"
        )
    if without:
        print(f"passed over, no history there: {', '.join(without)}; the bot keeps what it sees")


def _step(one: "Covered | Observation") -> timedelta | None:
    """How far apart the rows of a kind should be; None where they come when something changes, or when it was asked."""
    from trader.adapters.tokenmetrics_signals import SOURCE, STEPS

    return STEPS.get(one.kind) if one.source == SOURCE else timedelta(days=1)


def _said(at: datetime, step: timedelta | None) -> str:
    """A day, with the hour where rows are not a day apart or it is no midnight."""
    is_day = (at.hour, at.minute, at.second) == (0, 0, 0) and (step is None or step >= timedelta(days=1))
    return f"{at:%Y-%m-%d}" if is_day else f"{at:%Y-%m-%d %H:%M}"


@contextmanager
def opened(config: Path) -> "Iterator[tuple[Vendor, RatingsStore]]":
    """The settings of a vendor's file and its store; raises Failure."""
    from trader.adapters.ratings_store import StoreError
    from trader.adapters.tokenmetrics_signals import FED
    from trader.ratings import store_of
    from trader.run_settings import Run
    from trader.settings import SettingsError
    from trader.several_settings import Several
    from trader.vendor_settings import load_vendor

    try:
        settings, _ = load_vendor(config, FED, (Run, Several))
    except SettingsError as error:
        raise Failure(str(error)) from error
    try:
        with store_of(settings, config.parent) as store:
            yield settings, store
    except StoreError as error:
        raise Failure(str(error), NOT_READY) from error


def _tell(found: "list[Observation]") -> None:
    table = table_of("asset", "kind", "describes", "value", "known since", "seen", "")
    for one in found[:SHOWN]:
        note = "provisional" if one.is_provisional else "known by rule" if one.is_assumed else ""
        table.add_row(
            one.asset, one.kind, _said(one.as_of, _step(one)), f"{one.value:g}", f"{one.known_at:%Y-%m-%d %H:%M}",
            f"{one.observed_at:%Y-%m-%d %H:%M}", note,
        )  # fmt: skip
    print_table(table)
    if len(found) > SHOWN:
        print(f"and {len(found) - SHOWN} more")
