"""The vendor's stream of prices, over real sockets."""

from datetime import date

import pytest

from trader.adapters import tokenmetrics as api
from trader.adapters.http import HttpTransport
from trader.adapters.tokenmetrics_prices import streamed
from trader.loopback.server import LoopbackServer
from trader.loopback.vendor import Published, Token, Vendor

KEY, FIRST = "tm-00000000-0000-0000-0000-000000000001", date(2024, 1, 1)


async def test_the_stream_of_prices_gives_one_price_for_each_name_and_hangs_up_on_a_wrong_key():
    vendor = Vendor(KEY, [Token(3375, "BTC", "Bitcoin"), Token(3306, "ETH", "Ethereum"), Token(1, "X", "No Price")])
    vendor.publish(
        Published("price", token, FIRST, at_ms, {"CURRENT_PRICE": price})
        for token, at_ms, price in ((3375, 0, 1.0), (3375, 1, 42_000.5), (3306, 0, 2_000.0), (3306, 2**60, 9.0))
    )
    async with LoopbackServer(vendor) as server:
        wire, url = HttpTransport(), server.url.replace("http", "ws")
        try:
            found = await streamed(wire, KEY, ["bitcoin", "no-price"], url=url, seconds=1.0)
            assert found == {3375: 42_000.5}
            assert await streamed(wire, KEY, ["bitcoin", "ethereum"], url=url) == {3375: 42_000.5, 3306: 2_000.0}
            with pytest.raises(api.WrongKeyError):
                await streamed(wire, "tm-wrong", ["bitcoin"], url=url, seconds=3.0)
            with pytest.raises(api.VendorDownError, match="HTTP 404"):
                await streamed(wire, KEY, ["bitcoin"], url=f"{url}/elsewhere")
        finally:
            await wire.close()
    assert vendor.unknown == ["WS /elsewhere"]
    assert vendor.spent == {}
