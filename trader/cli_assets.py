"""The commands around the map from our assets to a vendor's tokens: check it, and look up the ids that it lacks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli_ratings import VendorFile, opened
from trader.cli_shared import CODES, print_table, run_now, table_of
from trader.output import NOT_READY, REFUSED, Failure

if TYPE_CHECKING:
    from trader.adapters.ratings_store import RatingsStore
    from trader.adapters.tokenmetrics_fields import Row
    from trader.asset_map import Mapped
    from trader.vendor_settings import Vendor

assets = typer.Typer(no_args_is_help=True, help="Check which of a vendor's tokens is which asset.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(assets, name="assets")


@assets.callback()
def _assets() -> None:
    """Check which of a vendor's tokens is which asset."""


@assets.command("check", epilog=CODES)
def check_assets(
    config: VendorFile,
    venue: Annotated[list[str] | None, typer.Option(help="gate or mexc; none = both.", show_default=False)] = None,
    within: Annotated[
        float | None,
        typer.Option(
            min=0.0001,
            max=1.0,
            help="The largest share by which prices may differ; none = within: of the file.",
            show_default=False,
        ),
    ] = None,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream", help="Take the vendor's prices from its stream, by the slugs of the file: no credits."
        ),
    ] = False,
    url: Annotated[str, typer.Option(help="Another address of the venue, for rehearsals.", show_default=False)] = "",
) -> None:
    """Compare each asset of the file with the vendor and the venues: name, price, and whether it can be traded.

    \b
    Examples:
      trader assets check config/tokenmetrics.yaml
      trader assets check config/tokenmetrics.yaml --venue gate --within 0.01
      trader assets check config/tokenmetrics.yaml --stream
    """
    from trader.adapters.tokenmetrics import VendorError
    from trader.ports import VenueDownError
    from trader.settings import SettingsError

    names = venue or ["gate", "mexc"]
    strange = [one for one in names if one not in {"gate", "mexc"}]
    if strange:
        raise Failure(f"--venue {strange[0]!r}: allowed are gate and mexc")
    with opened(config) as (settings, store):
        try:
            rows = run_now(_checked(settings, config, store, names, within, url, stream=stream))
        except SettingsError as error:
            raise Failure(f"{config}: {error}") from error
        except (VendorError, VenueDownError) as error:
            raise Failure(str(error), NOT_READY) from error
    table = table_of("asset", "token", "the vendor says", "price", *names, "")
    for one in rows:
        table.add_row(
            one.asset, str(one.choice.id or "-"), f"{one.symbol} {one.name}".strip(), "-" if one.price is None else f"{one.price:g}",
            *("-" if name not in one.venues else f"{one.venues[name]:g}" for name in names), "DOUBTFUL" if one.problems else "unsure" if one.notes else "good",
        )  # fmt: skip
    print_table(table)
    doubts = [(one.asset, what) for one in rows for what in one.problems]
    for asset, what in [*doubts, *((one.asset, what) for one in rows for what in one.notes)]:
        print(f"{asset}: {what}")
    if doubts:
        raise Failure(f"{len({asset for asset, _ in doubts})} of {len(rows)} assets are doubtful", REFUSED)


async def _checked(
    settings: "Vendor", config: Path, store: "RatingsStore", names: list[str], within: float | None, url: str, *, stream: bool
) -> "list[Mapped]":  # fmt: skip
    from trader.asset_map import check
    from trader.opening import BUILDERS
    from trader.ratings import client_of, streamed_prices

    client = client_of(settings, config.parent, store)
    venues = {name: BUILDERS[name](key="", secret="", url=url, paces=not url) for name in names}
    share = settings.within if within is None else within
    try:
        prices = await streamed_prices(settings, config.parent) if stream else None
        return await check(settings.assets, client, venues, within=share, prices=prices)
    finally:
        await client.close()
        for one in venues.values():
            await one.close()


@assets.command("find", epilog=CODES)
def find_assets(config: VendorFile) -> None:
    """Look up the ids of assets that have none, by their symbol, and by the name and contract that the file gives.

    \b
    Example:
      trader assets find config/tokenmetrics.yaml
    """
    from trader.adapters.tokenmetrics import VendorError
    from trader.asset_map import advice
    from trader.settings import SettingsError

    with opened(config) as (settings, store):
        if not settings.nameless:
            print("every asset has its id")
            return
        try:
            found = run_now(_found(settings, config, store))
        except SettingsError as error:
            raise Failure(f"{config}: {error}") from error
        except VendorError as error:
            raise Failure(str(error), NOT_READY) from error
    for asset, rows in found.items():
        print(f"{asset}: {advice(asset, rows)}")
    open_ = [asset for asset, rows in found.items() if len(rows) != 1]
    if open_:
        raise Failure(f"{len(open_)} of {len(found)} assets cannot be told apart: {', '.join(open_)}", REFUSED)


async def _found(settings: "Vendor", config: Path, store: "RatingsStore") -> "dict[str, list[Row]]":
    from trader.asset_map import candidates
    from trader.ratings import client_of

    client = client_of(settings, config.parent, store)
    try:
        return {one: await candidates(one, settings.assets[one], client) for one in settings.nameless}
    finally:
        await client.close()
