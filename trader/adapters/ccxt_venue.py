"""An exchange account through ccxt: its signing, parsing and markets, behind our own way of sending and of judging answers.

What ccxt would do by itself with an order – pick a time, wait for its rate limiter, retry, map an answer to an exception – is not
used: the request is signed at a given time, written once, and judged by `venue_codes`. Two instances share their markets, so that
reading never holds up an order. Clock and transport come from outside.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from ccxt.base.errors import AuthenticationError, BaseError

from trader.adapters.clock import elapsed
from trader.adapters.http import NoAnswerError, Transport
from trader.adapters.venue_codes import reply_of
from trader.core.instruments import Instrument
from trader.ports import (
    Balance,
    Hint,
    KeyView,
    OrderRequest,
    Reply,
    Scan,
    Signed,
    Touch,
    Unclear,
    VenueBar,
    VenueDownError,
    VenueOrder,
    VenueTrade,
)

SEND_SECONDS = 5.0
READ_SECONDS = 10.0
OFFSET_SECONDS = 60.0  # how long a reading of the venue's clock is good for signing
NEAR_SECONDS = 1.0  # how long the question for the venue's clock may take for its answer to be used later on
EARLY_MS = 250  # how far our reading of the venue's clock may be behind it, where its stream says that a candle is over
BARS = 500  # candles asked for at once
T = TypeVar("T")


class Kind(Protocol):
    """What differs between the venues."""

    name: str
    settle_seconds: float

    def client_id(self, core: str) -> str: ...
    def request(self, exchange: Any, request: OrderRequest) -> tuple[str, list[str], dict[str, Any]]: ...  # noqa: ANN401
    def fence(self, exchange: Any, signed: dict[str, Any], not_after_ms: int) -> dict[str, str]: ...  # noqa: ANN401
    async def find(self, exchange: Any, client_id: str, symbol: str) -> Any: ...  # noqa: ANN401
    async def order(self, exchange: Any, venue_order: str, symbol: str) -> Any: ...  # noqa: ANN401
    async def cancel(self, exchange: Any, venue_order: str, symbol: str) -> None: ...  # noqa: ANN401
    async def orders(self, exchange: Any, symbol: str, since_ms: int, until_ms: int) -> list[Any]: ...  # noqa: ANN401
    async def trades(self, exchange: Any, symbol: str, since_ms: int, until_ms: int) -> list[Any]: ...  # noqa: ANN401
    async def trades_of(self, exchange: Any, venue_order: str, symbol: str) -> list[Any]: ...  # noqa: ANN401
    async def touch(self, exchange: Any, symbol: str) -> Touch: ...  # noqa: ANN401
    async def tradable(self, exchange: Any) -> frozenset[str] | None: ...  # noqa: ANN401
    async def key_view(self, exchange: Any) -> KeyView: ...  # noqa: ANN401
    def instrument(self, market: dict[str, Any], asset: str) -> Instrument: ...


@dataclass(frozen=True, slots=True)
class Coin:
    """A coin at a venue. ticker: the venue's own name of it, None where it has no market. namesake: what ccxt calls the coin to which the
    venue gives our name, where that is another one. contracts: addresses of its contracts, in lower case, where the venue shows them.
    """

    ticker: str | None
    namesake: str
    contracts: frozenset[str]


class CcxtVenue:
    """A spot account behind the port. `reads` answers questions, `writes` only signs; both are ccxt's own class."""

    def __init__(
        self, kind: Kind, reads: Any, writes: Any, transport: Transport, *, config: dict[str, Any], url: str,  # noqa: ANN401
        quote: str = "USDT", monotonic: Callable[[], float] = elapsed,  # sim-ok: handed in by who simulates
    ) -> None:  # fmt: skip
        self.name = kind.name
        self.settle_seconds = kind.settle_seconds
        self._kind, self._reads, self._writes, self._transport = kind, reads, writes, transport
        self._quote, self._config, self._url, self._monotonic = quote, config, url, monotonic
        self._offset: tuple[float, float] | None = None  # venue ms less ours, and when it was read

    def client_id(self, core: str) -> str:
        return self._kind.client_id(core)

    async def now_ms(self) -> int:
        begin = self._monotonic()
        found = int(await self._ask(self._reads.fetch_time()))
        end = self._monotonic()
        is_near = (
            end - begin < NEAR_SECONDS
        )  # else nobody knows when in between it was read: good for now, not for what comes
        self._offset = (found - (begin + end) * 500, end) if is_near else None
        self._reads.options["timeDifference"] = self._reads.milliseconds() - found  # our own clock may run away
        return found

    async def signing_ms(self) -> int:
        if self._offset is None or self._monotonic() - self._offset[1] > OFFSET_SECONDS:
            return await self.now_ms()
        return round(self._monotonic() * 1_000 + self._offset[0])

    async def prepare(self) -> None:
        """Learn the difference of the clocks, then load the markets (MEXC signs a question for it); raises VenueDownError."""
        await self._ask(self._reads.load_time_difference())
        if not self._reads.markets:
            await self._ask(self._reads.load_markets())
            self._writes.set_markets_from_exchange(self._reads)

    async def instruments(self, assets: Sequence[str]) -> list[Instrument]:
        await self.prepare()
        allowed = await self._ask(self._kind.tradable(self._reads))
        found = []
        for asset in assets:
            market = self._reads.markets.get(asset if "/" in asset else f"{asset}/{self._quote}")
            if market is None or not market["spot"] or market["active"] is False:
                continue
            if allowed is None or market["id"] in allowed:
                found.append(self._kind.instrument(market, asset))
        return found

    def coin(self, asset: str) -> Coin:
        """What the venue itself calls the coin of an asset's market; `prepare` was called before."""
        reads, symbol = self._reads, asset if "/" in asset else f"{asset}/{self._quote}"
        base = symbol.partition("/")[0]
        market, namesake = reads.markets.get(symbol), reads.commonCurrencies.get(base, base)
        networks = ((reads.currencies or {}).get(base) or {}).get("networks") or {}
        told = [(one.get("info") or {}) for one in networks.values()]
        contracts = {str(one.get("addr") or one.get("contract") or "").lower() for one in told} - {""}
        return Coin(
            None if market is None else market["baseId"], "" if namesake == base else namesake, frozenset(contracts)
        )

    def sign(self, request: OrderRequest, *, signed_ms: int, not_after_ms: int) -> Signed:
        exchange = self._writes
        path, api, params = self._kind.request(exchange, request)
        exchange.pinned_ms = signed_ms
        exchange.options["recvWindow"] = not_after_ms - signed_ms
        signed = exchange.sign(path, api, "POST", params)
        headers = self._kind.fence(exchange, signed, not_after_ms)
        body = signed["body"] or ""
        digest = sha256("\n".join(("POST", signed["url"], body)).encode()).hexdigest()
        return Signed(request.client_id, "POST", signed["url"], headers, body, signed_ms, not_after_ms, digest)

    async def send(self, signed: Signed) -> Reply:
        try:
            answer = await self._transport.call(
                signed.method, signed.url, signed.headers, signed.body or None, seconds=SEND_SECONDS
            )
        except NoAnswerError as error:
            return Unclear(str(error))
        return reply_of(self.name, answer.status, answer.body)

    async def cancel(self, venue_order: str, symbol: str) -> None:
        await self._ask(self._kind.cancel(self._reads, venue_order, symbol))

    async def find(self, client_id: str, symbol: str) -> VenueOrder | None:
        return self._order(await self._ask(self._kind.find(self._reads, client_id, symbol)))

    async def order(self, venue_order: str, symbol: str) -> VenueOrder | None:
        return self._order(await self._ask(self._kind.order(self._reads, venue_order, symbol)))

    async def scan(self, symbols: Sequence[str], *, since_ms: int, until_ms: int) -> Scan:
        orders: list[VenueOrder] = []
        trades: list[VenueTrade] = []
        for symbol in symbols:
            if self._reads.markets and symbol not in self._reads.markets:
                continue  # it was taken off: there is nothing to ask any more, and what it moved shows in the balances
            for row in await self._ask(self._kind.orders(self._reads, symbol, since_ms, until_ms)):
                order = self._order(row)
                assert order is not None
                orders.append(order)
            rows = await self._ask(self._kind.trades(self._reads, symbol, since_ms, until_ms))
            trades += [_trade(row) for row in rows]
        return Scan(since_ms, until_ms, tuple(orders), tuple(trades))

    async def trades_of(self, venue_order: str, symbol: str) -> list[VenueTrade]:
        return [_trade(row) for row in await self._ask(self._kind.trades_of(self._reads, venue_order, symbol))]

    async def balances(self) -> dict[str, Balance]:
        found = await self._ask(self._reads.fetch_balance())
        return {
            asset: Balance(Decimal(str(found["total"][asset] or 0)), Decimal(str(found["free"][asset] or 0)))
            for asset in found["total"]
        }

    async def key_view(self) -> KeyView:
        """What the venue shows of our key; raises VenueDownError."""
        return await self._ask(self._kind.key_view(self._reads))

    async def touch(self, symbol: str) -> Touch:
        return await self._ask(self._kind.touch(self._reads, symbol))

    async def bars(self, symbol: str, timeframe: str, *, since_ms: int) -> list[VenueBar]:
        over_ms = await self.signing_ms() + EARLY_MS - round(self._reads.parse_timeframe(timeframe) * 1_000)
        rows = await self._ask(self._reads.fetch_ohlcv(symbol, timeframe, since_ms, BARS))
        return [VenueBar(int(at), *(float(value or 0.0) for value in rest[:5])) for at, *rest in rows if at <= over_ms]

    async def hear_market(self, symbols: Sequence[str], timeframe: str, tell: Callable[[Hint], None]) -> None:
        from trader.adapters import ccxt_streams  # noqa: PLC0415 - only who listens needs them

        await ccxt_streams.hear_market(self.name, self._listener, symbols, timeframe, tell)

    async def hear_account(self, tell: Callable[[Hint], None]) -> None:
        from trader.adapters import ccxt_streams  # noqa: PLC0415

        await ccxt_streams.hear_account(self.name, self._listener, tell)

    def _listener(self) -> Any:  # noqa: ANN401
        from trader.adapters.ccxt_streams import listener  # noqa: PLC0415

        return listener(self.name, self._reads, self._transport, self._config, self._url)

    async def close(self) -> None:
        await self._transport.close()
        for exchange in (self._reads, self._writes):
            await exchange.close()

    async def _ask(self, question: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await question
        except AuthenticationError as error:
            raise VenueDownError(f"{self.name} refuses the key: {str(error)[:200]}") from error
        except BaseError as error:
            raise VenueDownError(f"{self.name}: {type(error).__name__} {str(error)[:200]}") from error
        except TimeoutError as error:
            raise VenueDownError(f"{self.name}: no answer within {READ_SECONDS:g} s") from error

    def _order(self, row: Any) -> VenueOrder | None:  # noqa: ANN401
        if row is None:
            return None
        return VenueOrder(
            str(row["id"]), row["clientOrderId"] or "", row["symbol"], row["side"],
            None if row["amount"] is None else Decimal(str(row["amount"])),
            None if row["filled"] is None else Decimal(str(row["filled"])), row["status"] == "open",
            str(row["status"]), int(row["timestamp"] or 0),
            None if row.get("spent") is None else Decimal(str(row["spent"])),
        )  # fmt: skip


def _trade(row: Any) -> VenueTrade:  # noqa: ANN401
    info, fee = row["info"], _fee(row)
    return VenueTrade(
        str(row["id"]), str(row["order"]), info.get("text") or info.get("clientOrderId") or "", row["symbol"], row["side"],
        Decimal(str(row["amount"])), Decimal(str(row["price"])), Decimal(str(fee["cost"])), fee["currency"],
        int(row["timestamp"]),
    )  # fmt: skip


def _fee(row: Any) -> dict[str, Any]:  # noqa: ANN401
    """The one fee that is booked: what moved an asset of the pair goes before what was taken in the venue's own token or in points.

    A cost of "0" is no fee; a second one must not make the account unreadable.
    """
    base, _, quote = row["symbol"].partition("/")
    fees = [one for one in (row.get("fees") or [row["fee"]]) if one and Decimal(str(one.get("cost") or 0))]
    own = [one for one in fees if one["currency"] in {base, quote}]
    return next(iter([*own, *fees]), {"cost": 0, "currency": quote})


async def by_pages(page: Callable[[int], Awaitable[list[Any]]], size: int) -> list[Any]:
    """Every page until one is not full: only then the list is whole."""
    rows: list[Any] = []
    number = 1
    while True:
        found = await page(number)
        rows += found
        if len(found) < size:
            return rows
        number += 1


async def by_windows(
    ask: Callable[[int, int], Awaitable[list[Any]]], since_ms: int, until_ms: int, most: int
) -> list[Any]:
    """A list that knows no pages, halved in time until no answer is full: only then it is whole."""
    found = await ask(since_ms, until_ms)
    if len(found) < most:
        return found
    if since_ms >= until_ms:
        raise VenueDownError(f"more than {most} rows in one millisecond: the list cannot be proven whole")
    middle = (since_ms + until_ms) // 2
    return [*await by_windows(ask, since_ms, middle, most), *await by_windows(ask, middle + 1, until_ms, most)]


def code_of(error: BaseException) -> str:
    """The venue's code in what ccxt raised: it puts the body behind its own name."""
    text = str(error).partition(" ")[2]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return str(found.get("label", found.get("code", ""))) if isinstance(found, dict) else ""


def exact_step(value: Any) -> float | None:  # noqa: ANN401
    """A step as ccxt has it, for an instrument."""
    return None if value is None else float(value)
