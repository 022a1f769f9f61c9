"""History is fetched once, goes on where it ended, and says what is missing."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest

from backtests import Tape
from backtests.catalog import Catalog, Gap
from tests.contracts.worlds import loopback
from trader.cli_data import _download
from trader.output import Failure

D = Decimal
HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)


def at_ms(hours):
    return round((START + hours * HOUR).timestamp() * 1_000)


def rows(*hours):
    return [(at_ms(hour), 100.0 + hour, 101.0 + hour, 99.0 + hour, 100.5 + hour, 1.0) for hour in hours]


def test_bars_are_kept_once_in_order_and_the_newest_reading_counts(tmp_path):
    catalog = Catalog(tmp_path)
    assert catalog.newest("gate", "1h", "BTC/USDT") is None
    assert catalog.add("gate", "1h", "BTC/USDT", rows(2, 1, 0)) == 3
    assert catalog.add("gate", "1h", "BTC/USDT", [(at_ms(2), 1.0, 1.0, 1.0, 1.0, 1.0), *rows(5)]) == 4
    found = catalog.read("gate", "1h", "BTC/USDT")
    assert list(found["open"]) == [100.0, 101.0, 1.0, 105.0]
    assert catalog.newest("gate", "1h", "BTC/USDT") == START + 5 * HOUR
    assert catalog.gaps("gate", "1h", "BTC/USDT", HOUR) == [Gap(START + 3 * HOUR, START + 4 * HOUR, 2)]


def test_a_tape_reads_a_catalog(tmp_path):
    catalog = Catalog(tmp_path)
    for symbol in ("BTC/USDT", "ETH/USDT"):
        catalog.add("gate", "1h", symbol, rows(*range(10)))
    frames = [pd.read_parquet(path) for path in sorted((tmp_path / "gate" / "1h").iterdir())]
    assert Tape.from_frames(pd.concat(frames, ignore_index=True)).assets == ["BTC/USDT", "ETH/USDT"]


@pytest.mark.parametrize("name", ["gate", "mexc"])
async def test_a_download_goes_on_where_it_ended(name, tmp_path):
    catalog = Catalog(tmp_path)
    async with loopback(name) as it:
        for hour in [*range(1_200), *range(1_205, 1_300)]:
            prices = [D(repr(value)) for value in rows(hour)[0][1:]]
            it.exchange.add_candle("BTC/USDT", "1h", (at_ms(hour), *prices))

        async def fetch(hours):
            it.server.log.clear()
            end = START + hours * HOUR
            await _download(catalog, name, ["BTC/USDT"], "1h", START, end, it.server.url)
            return sum("candle" in asked or "kline" in asked for _, asked in it.server.log)

        assert await fetch(700) == 2
        assert len(catalog.read(name, "1h", "BTC/USDT")) == 700
        assert await fetch(1_300) <= 3
        assert len(catalog.read(name, "1h", "BTC/USDT")) == 1_295
        assert await fetch(1_300) <= 1
        with pytest.raises(Failure, match="NONE/USDT"):
            await _download(catalog, name, ["NONE/USDT"], "1h", START, START + HOUR, it.server.url)
        it.server.is_down = True
        with pytest.raises(Failure, match="to go on"):
            await _download(catalog, name, ["BTC/USDT"], "1h", START, START + 2_000 * HOUR, it.server.url)
    assert catalog.gaps(name, "1h", "BTC/USDT", HOUR) == [Gap(START + 1_200 * HOUR, START + 1_204 * HOUR, 5)]
    await asyncio.sleep(0)
