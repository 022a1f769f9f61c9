"""A spot exchange in memory: accounts, books, orders, trades; the truth that a bot's beliefs are compared with.

It knows no dialect, no clock and no sockets: instants come in as milliseconds, what is wrong goes out as a `Refusal`.
Everything is a decimal, and after each change no money has come from nowhere (`unbalanced`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from trader.loopback.fees import POINTS, covered

ZERO = Decimal(0)
Level = tuple[Decimal, Decimal]  # price, quantity
Candle = tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]  # opened at ms, open, high, low, close, volume


@dataclass(frozen=True, slots=True)
class Market:
    """One pair and its rules; `status` is tradable, buyable, sellable or untradable. contract: the base's address, on a chain of one name."""

    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    least: Decimal = ZERO
    status: str = "tradable"
    takes_market_orders: bool = True
    by_api: bool = True
    contract: str = ""

    @property
    def symbol(self) -> str:
        """`BTC/USDT`."""
        return f"{self.base}/{self.quote}"


@dataclass(slots=True)
class Held:
    """What an account has of an asset."""

    available: Decimal = ZERO
    locked: Decimal = ZERO


@dataclass(slots=True)
class Trade:
    """One execution of an order."""

    number: int
    order: "VenueSideOrder"
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at_ms: int
    beside: tuple[Decimal, str] = (ZERO, "")  # what was taken of the fee in what the account pays fees in


@dataclass(slots=True)
class VenueSideOrder:
    """An order as the exchange keeps it: `quantity` of the base, or `spend` of the quote where quantity is None."""

    number: int
    account: "Account"
    client_id: str
    market: Market
    side: str
    quantity: Decimal | None
    limit: Decimal | None
    spend: Decimal | None
    lasts: str  # gtc, ioc, fok
    at_ms: int
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    locked: Decimal = ZERO
    ended: str = ""  # empty while open, else filled, ioc, cancelled
    ended_ms: int = 0
    trades: list[Trade] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it rests in the book."""
        return not self.ended


@dataclass(slots=True)
class Account:
    """A customer: keys, balances, orders. addresses, pairs: what the key is bound to, () = to nothing. is_main: whether it may list keys.

    pays_in: what fees are taken in (`fees.py`) as far as there is any; empty = as the market says. points: in no list of balances.
    """

    key: str
    secret: str
    balances: dict[str, Held] = field(default_factory=dict)
    orders: list[VenueSideOrder] = field(default_factory=list)
    may: frozenset[str] = frozenset({"read", "trade"})
    addresses: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    is_main: bool = True
    pays_in: str = ""
    points: Held = field(default_factory=Held)
    made_s: int = 1_700_000_000

    def held(self, asset: str) -> Held:
        """The balance of an asset, or the points."""
        return self.points if asset == POINTS else self.balances.setdefault(asset, Held())


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error of ours
    """The exchange says no; each dialect has its own code for the kind."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


class Exchange:
    """The books of a spot exchange. `fee_in` says whether a buy pays its fee from what it receives or in quote money.

    repeats: what a client id that is still known does: `override` (two orders, the later is found), `reject`, or
    `return` (the first order is answered again). forgets: whether a finished order is no longer found by client id.
    tells_filled: whether an order is shown with its filled amount, which Gate has shown since 4.67 of its API.
    """

    def __init__(
        self, markets: Iterable[Market], *, fee: Decimal, fee_in: str, repeats: str = "override", forgets: bool = True,
        list_lag_ms: int = 0, tells_filled: bool = True,
    ) -> None:  # fmt: skip
        self.markets = {market.symbol: market for market in markets}
        self.fee, self.fee_in, self.tells_filled = fee, fee_in, tells_filled
        self.repeats, self.forgets, self.list_lag_ms = repeats, forgets, list_lag_ms
        self.accounts: dict[str, Account] = {}
        self.books: dict[str, tuple[list[Level], list[Level]]] = {}  # bids and asks, the best first
        self.candles: dict[tuple[str, str], list[Candle]] = {}
        self.forming: dict[tuple[str, str], Candle] = {}
        self.last: dict[str, Decimal] = {}
        self.orders: dict[int, VenueSideOrder] = {}
        self.trades: list[Trade] = []
        self.deposited: dict[str, Decimal] = {}
        self.fees: dict[str, Decimal] = {}
        self.street: dict[str, Decimal] = {}  # what the other side of our trades gained
        self.told: list[Callable[[str, VenueSideOrder, Trade | None], None]] = []
        self._numbers = 0

    # Accounts

    def open_account(self, key: str, secret: str, deposits: dict[str, Decimal]) -> Account:
        """Open an account with money in it."""
        account = self.accounts[key] = Account(key, secret)
        for asset, amount in deposits.items():
            self.deposit(account, asset, amount)
        return account

    def deposit(self, account: Account, asset: str, amount: Decimal) -> None:
        """Pay in, or out where the amount is negative."""
        account.held(asset).available += amount
        self.deposited[asset] = self.deposited.get(asset, ZERO) + amount

    def unbalanced(self) -> dict[str, Decimal]:
        """What does not add up, by asset: empty as long as the exchange is sound."""
        sums: dict[str, Decimal] = {}
        for account in self.accounts.values():
            for asset, held in {**account.balances, POINTS: account.points}.items():
                sums[asset] = sums.get(asset, ZERO) + held.available + held.locked
        for part in (self.fees, self.street):
            for asset, amount in part.items():
                sums[asset] = sums.get(asset, ZERO) + amount
        off = {a: sums.get(a, ZERO) - self.deposited.get(a, ZERO) for a in sorted({*sums, *self.deposited})}
        return {asset: amount for asset, amount in off.items() if amount}

    # Prices

    def set_book(self, symbol: str, bids: Sequence[Level], asks: Sequence[Level], at_ms: int) -> None:
        """Put a book in place; orders of ours that rest and now cross are filled."""
        self.books[symbol] = (list(bids), list(asks))
        if bids and asks:
            self.last[symbol] = (bids[0][0] + asks[0][0]) / 2
        for order in [one for one in self.orders.values() if one.is_open and one.market.symbol == symbol]:
            self._match(order, at_ms)

    def set_price(
        self, symbol: str, price: Decimal, at_ms: int, *, half_spread: Decimal = ZERO, depth: Decimal = Decimal(10**9),
        levels: int = 1,
    ) -> None:  # fmt: skip
        """Put a plain book around a price: `depth` quote money on each of `levels` levels, ticks against the taker."""
        market = self.markets[symbol]
        bids, asks = [], []
        for step in range(levels):
            away = half_spread * (2 * step + 1) if half_spread else market.tick * step / price
            bid = stepped(price * (1 - away), market.tick, ROUND_FLOOR)
            ask = stepped(price * (1 + away), market.tick, ROUND_CEILING)
            bids.append((bid, stepped(depth / price, market.lot, ROUND_CEILING)))
            asks.append((ask, stepped(depth / price, market.lot, ROUND_CEILING)))
        self.set_book(symbol, bids, asks, at_ms)
        self.last[symbol] = price

    def add_candle(self, symbol: str, timeframe: str, candle: Candle) -> None:
        """Let a closed candle be seen."""
        self.candles.setdefault((symbol, timeframe), []).append(candle)
        self.forming.pop((symbol, timeframe), None)

    def shown(self, symbol: str, timeframe: str) -> list[Candle]:
        """All candles as a list shows them: the last one may be forming still."""
        forming = self.forming.get((symbol, timeframe))
        return [*self.candles.get((symbol, timeframe), ()), *([forming] if forming is not None else [])]

    # Orders

    def place(
        self, account: Account, symbol: str, side: str, *, quantity: Decimal | None, limit: Decimal | None,
        spend: Decimal | None, lasts: str, client_id: str, at_ms: int,
    ) -> VenueSideOrder:  # fmt: skip
        """Take an order, and fill what crosses; raises Refusal with the kind of what is wrong."""
        market = self.markets.get(symbol)
        if market is None:
            raise Refusal("market", f"unknown market {symbol}")
        self._check(market, side, quantity, limit, spend)
        if client_id and self.repeats != "override":
            known = next((one for one in account.orders if one.client_id == client_id and one.is_open), None)
            if known is not None and self.repeats == "return":
                return known
            if known is not None:
                raise Refusal("repeated", f"client id {client_id} is in use")
        self._numbers += 1
        order = VenueSideOrder(self._numbers, account, client_id, market, side, quantity, limit, spend, lasts, at_ms)
        self._lock(order)
        self.orders[order.number] = order
        account.orders.append(order)
        self._tell("placed", order, None)
        self._match(order, at_ms)
        return order

    def cancel(self, order: VenueSideOrder, at_ms: int) -> None:
        """Take an open order out of the book."""
        if order.is_open:
            self._end(order, "cancelled", at_ms)

    def find(self, account: Account, number: int | None, client_id: str = "") -> VenueSideOrder | None:
        """An order by its number, or the newest under a client id."""
        if number is not None:
            order = self.orders.get(number)
            return order if order is not None and order.account is account else None
        found = [one for one in account.orders if one.client_id == client_id]
        found = [one for one in found if one.is_open or not self.forgets]
        return found[-1] if found else None

    def listed(self, account: Account, symbol: str | None, now_ms: int) -> list[VenueSideOrder]:
        """All orders that the lists show now: what is younger than the lag is not there yet."""
        return [
            one
            for one in account.orders
            if (symbol is None or one.market.symbol == symbol) and one.at_ms + self.list_lag_ms <= now_ms
        ]

    def traded(self, account: Account, symbol: str | None, now_ms: int) -> list[Trade]:
        """All trades that the lists show now."""
        return [
            one
            for one in self.trades
            if one.order.account is account
            and (symbol is None or one.order.market.symbol == symbol)
            and one.at_ms + self.list_lag_ms <= now_ms
        ]

    def _check(
        self, market: Market, side: str, quantity: Decimal | None, limit: Decimal | None, spend: Decimal | None
    ) -> None:  # fmt: skip
        if not market.by_api:
            raise Refusal("not_by_api", f"{market.symbol} cannot be traded through the API")
        if market.status not in {"tradable", f"{side}able"}:
            raise Refusal("untradable", f"{market.symbol} is {market.status}")
        if limit is None and not market.takes_market_orders:
            raise Refusal("no_market_orders", f"{market.symbol} takes no market orders")
        if quantity is not None and (quantity <= 0 or quantity % market.lot):
            raise Refusal("precision", f"amount {quantity} is not a multiple of {market.lot}")
        if limit is not None and (limit <= 0 or limit % market.tick):
            raise Refusal("precision", f"price {limit} is not a multiple of {market.tick}")
        if quantity is None and (spend is None or spend <= 0):
            raise Refusal("parameter", "neither an amount nor money to spend")
        price = limit if limit is not None else self.last.get(market.symbol)
        value = spend if quantity is None else (price or ZERO) * quantity
        if value is not None and value < market.least:
            raise Refusal("minimum", f"{value} is under the least of {market.least} {market.quote}")

    def _lock(self, order: VenueSideOrder) -> None:
        market, account = order.market, order.account
        if order.side == "sell":
            asset, needed = market.base, order.quantity or ZERO
        elif order.quantity is None:
            asset, needed = market.quote, order.spend or ZERO
        else:
            asks = self.books.get(market.symbol, ([], []))[1]
            price = order.limit if order.limit is not None else (asks[-1][0] if asks else ZERO)
            asset, needed = market.quote, price * order.quantity
        if order.side == "buy" and self.fee_in == "quote":
            needed *= 1 + self.fee
        held = account.held(asset)
        if held.available < needed:
            raise Refusal("balance", f"{held.available} {asset} is free, {needed} is needed")
        held.available -= needed
        held.locked += needed
        order.locked = needed

    def _match(self, order: VenueSideOrder, at_ms: int) -> None:
        bids, asks = self.books.get(order.market.symbol, ([], []))
        levels = asks if order.side == "buy" else bids
        if order.lasts == "fok" and self._reachable(order, levels) < (order.quantity or ZERO):
            self._end(order, "fok", at_ms)
            return
        while levels and order.is_open:
            price, there = levels[0]
            if order.limit is not None and (price > order.limit if order.side == "buy" else price < order.limit):
                break
            quantity = min(there, self._wanted(order, price))
            if quantity <= 0:
                break
            self._trade(order, quantity, price, at_ms)
            if quantity == there:
                levels.pop(0)
            else:
                levels[0] = (price, there - quantity)
            if self._wanted(order, price) <= 0:
                self._end(order, "filled", at_ms)
        if order.is_open and order.lasts != "gtc":
            self._end(order, "ioc", at_ms)

    def _reachable(self, order: VenueSideOrder, levels: Sequence[Level]) -> Decimal:
        fits = [
            quantity
            for price, quantity in levels
            if order.limit is None or (price <= order.limit if order.side == "buy" else price >= order.limit)
        ]
        return sum(fits, ZERO)

    @staticmethod
    def _wanted(order: VenueSideOrder, price: Decimal) -> Decimal:
        if order.quantity is not None:
            return order.quantity - order.filled
        assert order.spend is not None
        return stepped((order.spend - order.cost) / price, order.market.lot, ROUND_FLOOR)

    def _trade(self, order: VenueSideOrder, quantity: Decimal, price: Decimal, at_ms: int) -> None:
        market, account, value = order.market, order.account, quantity * price
        base, quote = account.held(market.base), account.held(market.quote)
        buys = order.side == "buy"
        fee_asset = market.base if buys and self.fee_in == "received" else market.quote
        pays_in = account.pays_in
        paid, share = covered(self.fee * value, pays_in, account.held(pays_in).available if pays_in else ZERO)
        fee = self.fee * (quantity if fee_asset == market.base else value) * share if share else ZERO
        if buys:
            quote.locked -= value
            order.locked -= value
            base.available += quantity
        else:
            base.locked -= quantity
            order.locked -= quantity
            quote.available += value
        if buys and fee_asset == market.quote:
            quote.locked -= fee
            order.locked -= fee
        else:
            account.held(fee_asset).available -= fee
        self.fees[fee_asset] = self.fees.get(fee_asset, ZERO) + fee
        if paid:
            account.held(pays_in).available -= paid
            self.fees[pays_in] = self.fees.get(pays_in, ZERO) + paid
        sign = -1 if buys else 1
        self.street[market.base] = self.street.get(market.base, ZERO) + sign * quantity
        self.street[market.quote] = self.street.get(market.quote, ZERO) - sign * value
        order.filled += quantity
        order.cost += value
        trade = Trade(len(self.trades) + 1, order, quantity, price, fee, fee_asset, at_ms, (paid, pays_in))
        order.trades.append(trade)
        self.trades.append(trade)
        self.last[market.symbol] = price
        self._tell("traded", order, trade)

    def _end(self, order: VenueSideOrder, how: str, at_ms: int) -> None:
        held = order.account.held(order.market.quote if order.side == "buy" else order.market.base)
        held.locked -= order.locked
        held.available += order.locked
        order.locked, order.ended, order.ended_ms = ZERO, how, at_ms
        self._tell("ended", order, None)

    def _tell(self, what: str, order: VenueSideOrder, trade: Trade | None) -> None:
        for listener in self.told:
            listener(what, order, trade)


def stepped(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    """The value in whole steps."""
    return (value / step).to_integral_value(rounding) * step
