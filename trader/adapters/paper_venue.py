"""The paper venue: an account that lives in a file, filled at prices from elsewhere by the rules that a replay fills with.

It keeps to the same port as an exchange. A line per change is on disk before the answer is given, so that the account outlives
the process as a real one does.
"""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Protocol, cast

from trader.adapters.durable import make_folder, sync_folder
from trader.core.costs import Costs
from trader.core.instruments import Instrument, Number, Terms, exactly
from trader.core.matching import Tariff
from trader.ports import (
    Accepted,
    Balance,
    Clock,
    Hint,
    OrderRequest,
    RefusedByVenue,
    Reply,
    Scan,
    Signed,
    Touch,
    Touched,
    VenueBar,
    VenueOrder,
    VenueTrade,
)

ZERO = Decimal(0)


class Prices(Protocol):
    """Where prices come from: an exchange's public side, or a tape."""

    async def instruments(self, assets: Sequence[str]) -> list[Instrument]: ...
    async def touch(self, symbol: str) -> Touch: ...
    async def bars(self, symbol: str, timeframe: str, *, since_ms: int) -> list[VenueBar]: ...
    async def hear_market(self, symbols: Sequence[str], timeframe: str, tell: Callable[[Hint], None]) -> None: ...
    async def close(self) -> None: ...


@dataclass(slots=True)
class PaperOrder:
    """An order of the account; it is final as soon as it is taken."""

    number: int
    client_id: str
    symbol: str
    side: str
    quantity: str | None
    limit: str | None
    spend: str | None
    at_ms: int
    trades: list[tuple[str, str, str, str]] = field(default_factory=list)  # quantity, price, fee, fee asset
    prefix: str = ""

    @property
    def name(self) -> str:
        """The venue's id of it."""
        return f"{self.prefix}{self.number}"

    def shown(self) -> VenueOrder:
        """As a venue shows it."""
        filled = sum((Decimal(one[0]) for one in self.trades), ZERO)
        quantity = None if self.quantity is None else Decimal(self.quantity)
        return VenueOrder(
            self.name, self.client_id, self.symbol, self.side, quantity, filled, False, "closed", self.at_ms
        )

    def traded(self) -> list[VenueTrade]:
        """Its trades as a venue shows them."""
        return [
            VenueTrade(
                f"{self.name}-{place}", self.name, self.client_id, self.symbol, self.side, Decimal(quantity),
                Decimal(price), Decimal(fee), fee_asset, self.at_ms,
            )
            for place, (quantity, price, fee, fee_asset) in enumerate(self.trades, 1)
        ]  # fmt: skip


class PaperVenue:
    """An account on paper. `costs` are those of a replay; `path` None keeps the account in memory only.

    deposit: what is paid in by all starts together; a start with more pays the rest in.
    """

    name = "paper"
    settle_seconds = 0.0

    def __init__(
        self, prices: Prices, clock: Clock, *, costs: Costs, path: Path | None, deposit: dict[str, Decimal], prefix: str = "",
    ) -> None:  # fmt: skip
        self._prices, self._clock, self._path = prices, clock, path
        self._costs, self._tariff = costs, Tariff(costs, exactly)
        self._instruments: dict[str, Instrument] = {}
        self._terms: dict[str, Terms] = {}
        self.balances_by_asset: dict[str, Decimal] = {}
        self.orders: list[PaperOrder] = []
        self._deposited: dict[str, Decimal] = {}
        self._prefix = prefix  # of ids, so that two accounts of one journal have none in common
        if path is not None and path.exists():
            for row in _rows(path):
                self._fold(row)
        more = {asset: amount - self._deposited.get(asset, ZERO) for asset, amount in deposit.items()}
        if any(amount > 0 for amount in more.values()):
            self._keep({"deposit": {asset: str(amount) for asset, amount in more.items() if amount > 0}})

    def _keep(self, row: dict[str, object]) -> None:
        """On disk first, then in the account."""
        if self._path is not None:
            make_folder(self._path.parent)
            is_new = not self._path.exists()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                sync_folder(self._path.parent)
        self._fold(row)

    def _fold(self, row: dict[str, object]) -> None:
        deposit, fields = row.get("deposit"), row.get("order")
        if isinstance(deposit, dict):
            for asset, amount in deposit.items():
                self._add(asset, Decimal(amount))
                self._deposited[asset] = self._deposited.get(asset, ZERO) + Decimal(amount)
        if isinstance(fields, dict):
            order = PaperOrder(**{**fields, "trades": [tuple(one) for one in fields["trades"]], "prefix": self._prefix})
            self.orders.append(order)
            base, _, quote = order.symbol.partition("/")
            for quantity, price, fee, fee_asset in order.trades:
                sign = 1 if order.side == "buy" else -1
                self._add(base, sign * Decimal(quantity))
                self._add(quote, -sign * Decimal(quantity) * Decimal(price))
                self._add(fee_asset, -Decimal(fee))

    def _add(self, asset: str, amount: Decimal) -> None:
        self.balances_by_asset[asset] = self.balances_by_asset.get(asset, ZERO) + amount

    # The port

    def client_id(self, core: str) -> str:
        return "p-" + core

    async def now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1_000)

    async def signing_ms(self) -> int:
        return await self.now_ms()

    async def instruments(self, assets: Sequence[str]) -> list[Instrument]:
        found = [replace(one, venue=self.name) for one in await self._prices.instruments(assets)]
        for one in found:
            self._instruments[one.symbol] = one
            self._terms[one.symbol] = Terms(one, self._costs.fee_on_buy, exactly)
        return found

    def charge(self, costs: Costs) -> None:
        """Fill at these costs from now on."""
        self._costs, self._tariff = costs, Tariff(costs, exactly)
        self._terms = {symbol: Terms(one, costs.fee_on_buy, exactly) for symbol, one in self._instruments.items()}

    def sign(self, request: OrderRequest, *, signed_ms: int, not_after_ms: int) -> Signed:
        terms = self._terms.get(request.symbol)
        if terms is None:
            raise ValueError(f"{request.symbol} is no market here")
        quantity, limit = request.quantity, request.limit
        for name, wanted, sent in (
            ("amount", quantity, None if quantity is None else _lots(terms, quantity)),
            ("price", limit, None if limit is None or terms.tick is None else _exact(terms.tick.floor(_number(limit)))),
        ):
            if wanted is not None and sent is not None and sent != wanted:
                raise ValueError(f"{request.symbol}: {name} {wanted} would be sent as {sent}")
        fields = (request.client_id, request.symbol, request.side, request.quantity, request.limit, request.spend)
        body = json.dumps([None if one is None else str(one) for one in fields])
        digest = sha256(f"{body}|{signed_ms}|{not_after_ms}".encode()).hexdigest()
        return Signed(request.client_id, "PAPER", "", {}, body, signed_ms, not_after_ms, digest)

    async def send(self, signed: Signed) -> Reply:
        client_id, symbol, side, quantity, limit, spend = json.loads(signed.body)
        touch = await self.touch(symbol)
        now_ms = await self.now_ms()
        if now_ms > signed.not_after_ms:
            return RefusedByVenue("REQUEST_EXPIRED", "it came after its end")
        terms = self._terms[symbol]
        price = touch.ask if side == "buy" else touch.bid
        reached = limit is None or (price <= Decimal(limit) if side == "buy" else price >= Decimal(limit))
        taken = Decimal(quantity) if quantity is not None else _lots(terms, Decimal(spend) / price)
        base, _, quote = symbol.partition("/")
        fee_in_base = side == "buy" and terms.fee_received
        fee = _exact(self._tariff.fee) * (taken if fee_in_base else taken * price)
        cost = (price if limit is None else Decimal(limit)) * taken + (ZERO if fee_in_base else fee)
        needed, asset = (cost, quote) if side == "buy" else (taken, base)
        if terms.min_notional is not None and taken * price < terms.min_notional:
            return RefusedByVenue("AMOUNT_TOO_LITTLE", f"{taken * price} is under {terms.min_notional}")
        if self.balances_by_asset.get(asset, ZERO) < needed:
            return RefusedByVenue("BALANCE_NOT_ENOUGH", f"{needed} {asset} is needed")
        trades = [(str(taken), str(price), str(fee), base if fee_in_base else quote)] if reached else []
        order = {
            "number": len(self.orders) + 1, "client_id": client_id, "symbol": symbol, "side": side, "quantity": quantity,
            "limit": limit, "spend": spend, "at_ms": now_ms, "trades": trades,
        }  # fmt: skip
        self._keep({"order": order})
        return Accepted(self.orders[-1].name)

    async def cancel(self, venue_order: str, symbol: str) -> None:
        """Every order is final when it is taken."""

    async def find(self, client_id: str, symbol: str) -> VenueOrder | None:
        found = [one.shown() for one in self.orders if one.client_id == client_id and one.symbol == symbol]
        return found[-1] if found else None

    async def order(self, venue_order: str, symbol: str) -> VenueOrder | None:
        found = [one.shown() for one in self.orders if one.name == venue_order and one.symbol == symbol]
        return found[0] if found else None

    async def scan(self, symbols: Sequence[str], *, since_ms: int, until_ms: int) -> Scan:
        orders = [one for one in self.orders if one.symbol in symbols and since_ms <= one.at_ms <= until_ms]
        trades = tuple(trade for one in orders for trade in one.traded())
        return Scan(since_ms, until_ms, tuple(one.shown() for one in orders), trades)

    async def trades_of(self, venue_order: str, symbol: str) -> list[VenueTrade]:
        return [
            trade for one in self.orders if one.name == venue_order and one.symbol == symbol for trade in one.traded()
        ]

    async def balances(self) -> dict[str, Balance]:
        return {asset: Balance(amount, amount) for asset, amount in self.balances_by_asset.items()}

    async def touch(self, symbol: str) -> Touch:
        """The best prices: the real ones, or what the assumed spread makes of their middle where that is worse."""
        return self._worse(symbol, await self._prices.touch(symbol))

    def _worse(self, symbol: str, real: Touch) -> Touch:
        terms = self._terms[symbol]
        mid = _number((real.bid + real.ask) / 2)
        bid, ask = (_exact(self._tariff.price(mid, side, terms)) for side in (-1, 1))
        return Touch(min(real.bid, bid), max(real.ask, ask))

    async def bars(self, symbol: str, timeframe: str, *, since_ms: int) -> list[VenueBar]:
        return await self._prices.bars(symbol, timeframe, since_ms=since_ms)

    async def hear_market(self, symbols: Sequence[str], timeframe: str, tell: Callable[[Hint], None]) -> None:
        def heard(hint: Hint) -> None:
            tell(Touched(hint.symbol, self._worse(hint.symbol, hint.touch)) if isinstance(hint, Touched) else hint)

        await self._prices.hear_market(symbols, timeframe, heard)

    async def hear_account(self, tell: Callable[[Hint], None]) -> None:
        """Nothing happens here that was not answered at once."""
        del tell
        await asyncio.Event().wait()

    async def close(self) -> None:
        await self._prices.close()


def _rows(path: Path) -> list[dict[str, object]]:
    """What was kept. A last line that is no row was being written when the power failed: nobody was told of it, and it is cut off."""
    rows, good, lines = [], 0, path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("it has no end")
            rows.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise ValueError(f"{path}:{number}: is no row of a paper account: {error}") from error
            with path.open("r+b") as file:
                file.truncate(good)
                os.fsync(file.fileno())
        else:
            good += len(line)
    return rows


def _number(value: Decimal) -> Number:
    """A decimal where the core says number: its exact runs pass decimals through the same functions."""
    return cast("Number", value)


def _exact(value: Number) -> Decimal:
    """What an exact run got back."""
    return cast("Decimal", value)


def _lots(terms: Terms, quantity: Decimal) -> Decimal:
    return _exact(terms.lots(_number(quantity)))
