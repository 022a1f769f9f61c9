"""The commands that fetch history."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli_shared import CODES, instant_of, print_table, progress_of, run_now, table_of
from trader.output import NOT_READY, Failure

if TYPE_CHECKING:
    from backtests.catalog import Catalog, Row
    from trader.ports import Venue, VenueBar

TIMEFRAMES = ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
TRIES = 5
PORTION = 50_000  # bars after which a file is written: each time it is written whole

data = typer.Typer(no_args_is_help=True, help="Fetch candles into a catalog of Parquet files.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(data, name="data")


@data.callback()
def _data() -> None:
    """Fetch candles into a catalog of Parquet files."""


@data.command(epilog=CODES)
def download(
    venue: Annotated[str, typer.Argument(help="gate or mexc.", show_default=False)],
    symbols: Annotated[list[str], typer.Argument(help="Markets, such as BTC/USDT.", show_default=False)],
    since: Annotated[str, typer.Option(help="The first day, UTC.", show_default=False)],
    timeframe: Annotated[str, typer.Option(help=f"One of {', '.join(TIMEFRAMES)}.")] = "1h",
    until: Annotated[str, typer.Option(help="The end, excluded; none = now.", show_default=False)] = "",
    folder: Annotated[Path, typer.Option(help="Where the catalog is.")] = Path("data"),
    url: Annotated[
        str, typer.Option(help="Another address, such as that of `trader loopback`.", show_default=False)
    ] = "",
) -> None:
    """Fetch candles through ccxt; what is there already is not fetched again, and what is missing is named.

    \b
    Examples:
      trader data download gate BTC/USDT ETH/USDT --timeframe 1h --since 2024-01-01
      trader data download mexc SOL/USDT --timeframe 1d --since 2023-01-01 --until 2024-01-01
    """
    from backtests.catalog import Catalog

    if venue not in {"gate", "mexc"}:
        raise Failure(f"venue {venue!r}: allowed are gate and mexc")
    if timeframe not in TIMEFRAMES:
        raise Failure(f"--timeframe {timeframe!r}: allowed are {', '.join(TIMEFRAMES)}")
    for symbol in symbols:
        if not re.fullmatch(r"[A-Z0-9]+/[A-Z0-9]+", symbol):
            raise Failure(f"symbol {symbol!r}: write BASE/QUOTE, such as BTC/USDT")
    begin, end = instant_of("--since", since), instant_of("--until", until) if until else datetime.now(UTC)
    if not begin < end:
        raise Failure(f"--since {since} is not before the end {end:%Y-%m-%d %H:%M}")
    catalog = Catalog(folder)
    try:
        run_now(_download(catalog, venue, symbols, timeframe, begin, end, url))
    except ImportError as error:
        raise Failure(
            f"{error}; install what writes Parquet: pip install 'signal-trader[research]'", NOT_READY
        ) from error
    _tell(catalog, venue, symbols, timeframe)


async def _download(
    catalog: "Catalog", name: str, symbols: list[str], timeframe: str, begin: datetime, end: datetime, url: str
) -> None:  # fmt: skip
    from trader.opening import BUILDERS
    from trader.ports import VenueDownError

    venue = BUILDERS[name](key="", secret="", url=url, paces=not url)
    try:
        there = {one.asset for one in await venue.instruments(symbols)}
        missing = [symbol for symbol in symbols if symbol not in there]
        if missing:
            raise Failure(f"{name} has no market {', '.join(missing)} that is traded now")
        with progress_of() as progress:
            for symbol in symbols:
                await _one(catalog, venue, name, symbol, timeframe, begin, end, progress)
    except VenueDownError as error:
        raise Failure(f"{error}; what came is kept, give the same command again to go on", NOT_READY) from error
    finally:
        await venue.close()


async def _one(  # one market's history, in the venue's own portions
    catalog: "Catalog", venue: "Venue", name: str, symbol: str, timeframe: str, begin: datetime, end: datetime,
    progress: Callable[[str, float], None],
) -> None:  # fmt: skip
    step = step_of(timeframe)
    oldest, newest = catalog.oldest(name, timeframe, symbol), catalog.newest(name, timeframe, symbol)
    at = newest + step if newest is not None and oldest is not None and oldest <= begin + step else begin
    came: list[Row] = []
    try:
        while at + step <= end:
            rows = await _asked(venue, symbol, timeframe, at)
            closed = [
                (one.opened_ms, one.open, one.high, one.low, one.close, one.volume)
                for one in rows
                if at.timestamp() * 1_000 <= one.opened_ms <= (end - step).timestamp() * 1_000
            ]
            if not closed:
                break
            came += closed
            if len(came) >= PORTION:
                catalog.add(name, timeframe, symbol, came)
                came = []
            at = datetime.fromtimestamp(closed[-1][0] / 1_000, UTC) + step
            progress(symbol, (at - begin) / (end - begin))
    finally:  # what came is kept, also where the venue goes silent
        if came:
            catalog.add(name, timeframe, symbol, came)
    progress(symbol, 1.0)


async def _asked(venue: "Venue", symbol: str, timeframe: str, at: datetime) -> "list[VenueBar]":
    from trader.ports import VenueDownError

    for attempt in range(TRIES):
        try:
            return await venue.bars(symbol, timeframe, since_ms=round(at.timestamp() * 1_000))
        except VenueDownError:
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(0.5 * 2**attempt)
    raise AssertionError


def step_of(timeframe: str) -> timedelta:
    """How long a bar is."""
    from trader.core.instants import duration

    return timedelta(microseconds=duration(timeframe) / 1_000)


def _tell(catalog: "Catalog", venue: str, symbols: list[str], timeframe: str) -> None:
    table = table_of("market", "bars", "from", "to", "missing", "file")
    gaps = []
    for symbol in symbols:
        found = catalog.read(venue, timeframe, symbol)
        if found.empty:
            table.add_row(symbol, "0", "", "", "", "")
            continue
        holes = catalog.gaps(venue, timeframe, symbol, step_of(timeframe))
        gaps += [(symbol, one) for one in holes]
        first, last = found["ts"].iloc[0], found["ts"].iloc[-1]
        table.add_row(
            symbol, str(len(found)), f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}",
            str(sum(one.count for one in holes)), str(catalog.path(venue, timeframe, symbol)),
        )  # fmt: skip
    print_table(table)
    for symbol, one in gaps[:20]:
        print(f"missing: {symbol} {one.first:%Y-%m-%d %H:%M} to {one.last:%Y-%m-%d %H:%M} ({one.count} bars)")
    if len(gaps) > 20:
        print(f"and {len(gaps) - 20} gaps more")
