"""Loopback exchanges with money in them, for tests over real sockets."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from trader.adapters.ccxt_venue import CcxtVenue
from trader.adapters.clock import SystemClock
from trader.adapters.paper_venue import PaperVenue
from trader.core.costs import Costs
from trader.core.identity import client_core
from trader.loopback.dialects import DIALECTS
from trader.loopback.exchange import Account, Exchange, Held, Market
from trader.loopback.faults import Fault, Faults
from trader.loopback.server import LoopbackServer, VenueClock
from trader.opening import BUILDERS
from trader.ports import OrderRequest

D = Decimal
KEY, SECRET = "key-of-a-test", "secret-of-a-test"
MARKETS = [
    Market("BTC", "USDT", D("0.01"), D("0.0001"), D(3)),
    Market("ETH", "USDT", D("0.01"), D("0.001"), D(3)),
    Market("OFF", "USDT", D("0.01"), D("0.1"), D(3), status="untradable"),
    Market("TRAC", "USDT", D("0.01"), D("0.1"), D(3), contract="0xAA7A9CA87d3694B5755f213B5D04094b8d0F0A6F"),
    Market("STEPN", "USDT", D("0.01"), D("0.1"), D(3)),
]
FEES = {"gate": ("received", "0.002"), "mexc": ("quote", "0.0005")}


@dataclass
class Loop:
    """An exchange, its server, our account there, and our way to it."""

    exchange: Exchange
    server: LoopbackServer
    account: Account
    venue: CcxtVenue
    clock: VenueClock
    faults: Faults
    numbers: Any

    def request(self, side="buy", quantity="0.1", limit="105", symbol="BTC/USDT", spend=None) -> OrderRequest:
        client_id = self.venue.client_id(client_core("test", f"intent {next(self.numbers)}", 1))
        return OrderRequest(
            client_id, symbol, side, None if spend is not None else D(quantity), None if limit is None else D(limit),
            None if spend is None else D(spend),
        )  # fmt: skip

    async def sign(self, request, *, valid_ms=5_000):
        now_ms = await self.venue.now_ms()
        return self.venue.sign(request, signed_ms=now_ms, not_after_ms=now_ms + valid_ms)


class PaperAccount:
    """The account of a paper venue, seen as one at an exchange."""

    def __init__(self, venue):
        self.venue = venue

    @property
    def orders(self):
        return self.venue.orders

    def held(self, asset):
        return Held(self.venue.balances_by_asset.get(asset, D(0)), D(0))


class SkewedClock(SystemClock):
    """The machine's clock, moved as a test moves the exchange's."""

    def __init__(self, clock):
        self.clock = clock

    def now(self):
        return datetime.fromtimestamp(self.clock.now_ms() / 1_000, UTC)


@asynccontextmanager
async def paper(path=None):
    """A paper venue that takes its prices from a loopback exchange."""
    async with loopback("gate") as it:
        costs = Costs(fee=0.002, half_spread=0.001)
        venue = PaperVenue(it.venue, SkewedClock(it.clock), costs=costs, path=path, deposit={"USDT": D(1_000)})
        await venue.instruments(["BTC/USDT", "ETH/USDT"])
        yield replace(it, venue=venue, account=PaperAccount(venue))


@asynccontextmanager
async def loopback(name, *rules, lag_ms=0, repeats="override", clock=None):
    """A loopback exchange of this name at 100 for a BTC and 10 for an ETH, and a venue that is ready to trade there."""
    fee_in, fee = FEES[name]
    exchange = Exchange(MARKETS, fee=D(fee), fee_in=fee_in, repeats=repeats, forgets=name == "gate", list_lag_ms=lag_ms)
    account = exchange.open_account(KEY, SECRET, {"USDT": D(1_000), "BTC": D(0)})
    clock, faults = clock or VenueClock(), Faults([Fault(**rule) for rule in rules])
    exchange.set_price("BTC/USDT", D(100), clock.now_ms(), half_spread=D("0.001"))
    exchange.set_price("ETH/USDT", D(10), clock.now_ms(), half_spread=D("0.001"))
    async with LoopbackServer(DIALECTS[name](exchange), clock, faults) as server:
        venue = BUILDERS[name](key=KEY, secret=SECRET, url=server.url, paces=False)
        await venue.prepare()
        try:
            yield Loop(exchange, server, account, venue, clock, faults, count(1))
        finally:
            await venue.close()
            assert not exchange.unbalanced(), exchange.unbalanced()
            assert not server.dialect.unknown, server.dialect.unknown


def world(name, *rules, **more):
    """A venue of this name that is ready to trade."""
    return paper() if name == "paper" else loopback(name, *rules, **more)
