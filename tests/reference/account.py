"""Cash, holdings, orders and fills of the plain reference: rules 15 and 21 to 32, in the order of the letter."""

from dataclasses import dataclass, field
from itertools import count

from tests.reference.frames import Instrument


@dataclass
class Held:
    """One asset: what is owned, since when and at what price, and the exits stated for it."""

    quantity: object
    entry: object = None
    peak: object = None
    since: int | None = None
    dust: bool = False
    exits: tuple = ()
    spent: set = field(default_factory=set)

    @property
    def counts(self):
        """Whether strategies see it: neither nothing nor dust."""
        return self.quantity > 0 and not self.dust

    def flatten(self, dust):
        self.dust = dust
        self.entry = self.peak = self.since = None
        self.exits, self.spent = (), set()


@dataclass
class Order:
    asset: str
    side: str
    quantity: object  # of a Quote: None
    amount: object  # of a Quote: what is left to spend
    eligible: int
    seq: int
    why: str
    exit: bool = False
    full: bool = False  # an exit of all that is held
    resting: bool = False  # what a price exit left
    met: bool = False


class Account:
    def __init__(self, number, cash, costs, instruments):
        self.number = number
        self.cash = number.of(cash)
        self.costs = costs
        self.fee = number.of(costs.fee)
        self.half_spread = number.of(costs.half_spread)
        self.impact = number.of(costs.impact)
        self.instruments = instruments
        self.held = {}
        self.orders = {}
        self.fills = []
        self.closed_orders = []
        self.used = {}  # (asset, bar open) -> quantity our fills took of its volume
        self.seq = count()

    def instrument(self, asset):
        return self.instruments.get(asset, Instrument())

    def holding(self, asset):
        return self.held.setdefault(asset, Held(self.number.zero))

    def down_to_lot(self, asset, quantity):
        return self.number.down(quantity, self.instrument(asset).lot)

    def under_minimum(self, asset, notional):
        least = self.instrument(asset).min_notional
        return least is not None and notional < least

    def stands(self, asset):
        """Whether the asset has a standing target: something held (no dust) or an order on its way."""
        return self.holding(asset).counts or asset in self.orders

    # Orders

    def place(self, asset, side, *, quantity=None, amount=None, eligible, why, **exit_marks):
        order = Order(asset, side, quantity, amount, eligible, next(self.seq), why, **exit_marks)
        self.orders[asset] = order
        return order

    def close(self, asset, reason, at):
        order = self.orders.pop(asset, None)
        if order is not None:
            self.closed_orders.append((at, asset, order.side, reason))
        self.lapse(asset)

    def lapse(self, asset):
        held = self.holding(asset)
        if not self.stands(asset):
            held.flatten(dust=held.quantity > 0)

    # Prices

    def room(self, bar):
        """How much of this bar our fills may still take (rule 30)."""
        if self.costs.participation is None or bar.volume is None:
            return self.number.infinite
        most = self.down_to_lot(bar.asset, self.number.of(self.costs.participation) * bar.volume)
        return max(self.number.zero, most - self.used.get((bar.asset, bar.open_ns), self.number.zero))

    def price(self, bar, side, mid, quantity):
        share = self.half_spread
        if bar.volume is not None and self.impact:
            share += self.impact * quantity / bar.volume
        tick = self.instrument(bar.asset).tick
        if side == "buy":
            return self.number.up(mid * (self.number.one + share), tick)
        return self.number.down(mid * (self.number.one - share), tick)

    # Fills

    def fill_at_open(self, order, bar, at):
        """One order at the open of a bar; returns whether anything was filled."""
        order.met = True
        if bar.volume == 0:
            return False
        before = len(self.fills)
        if order.side == "sell":
            held = self.holding(order.asset).quantity
            quantity = self.down_to_lot(order.asset, min(order.quantity, held))
            done = self.sell(bar, bar.open, quantity, at, order.why)
            order.quantity = quantity - done
            if self.is_nothing(order.asset, order.quantity, quantity) or not self.holding(order.asset).counts:
                self.close(order.asset, "filled", at)
        elif order.amount is not None:
            self._buy_for(order, bar, at)
        else:
            self._buy(order, bar, at)
        return len(self.fills) > before

    def is_nothing(self, asset, left, ordered):
        lot = self.instrument(asset).lot
        if lot is None:
            return left <= ordered * self.number.of(1e-9)
        return self.number.down(left, lot) < lot

    def sell(self, bar, mid, quantity, at, why):
        """Sell up to the room of the bar; returns the quantity sold."""
        held = self.holding(bar.asset)
        sold = min(quantity, self.room(bar), held.quantity)
        if self.is_nothing(bar.asset, sold, quantity):
            return self.number.zero
        price = self.price(bar, "sell", mid, sold)
        fee = sold * price * self.fee
        self.cash += sold * price - fee
        self._record(bar, at, "sell", sold, price, fee, why)
        lot = self.instrument(bar.asset).lot
        held.quantity -= sold
        if held.quantity <= (sold if lot is None else lot) * self.number.of(1e-9):
            held.quantity = self.number.zero
        if lot is not None and held.quantity and self.is_nothing(bar.asset, held.quantity, held.quantity):
            held.flatten(dust=True)
        return sold

    def _buy(self, order, bar, at):
        wished = min(order.quantity, self.room(bar))
        if self.is_nothing(order.asset, wished, order.quantity):
            return  # the volume cap leaves no lot: keep working
        price = self.price(bar, "buy", bar.open, wished)
        bought = self._affordable(order.asset, wished, price)
        if bought:
            self._take(bar, at, bought, price, order.why)
        left = order.quantity - wished
        if self.is_nothing(order.asset, left, order.quantity):
            self.close(order.asset, "filled" if bought == wished else "cash", at)
        else:
            order.quantity = left
            self.lapse(order.asset)

    def _buy_for(self, order, bar, at):
        budget = min(order.amount, self.cash)
        room = self.room(bar)
        rate = self.number.one + self._quote_fee(order.asset)
        plain = bar.open * (self.number.one + self.half_spread) * rate
        price = self.price(bar, "buy", bar.open, min(self.down_to_lot(order.asset, budget / plain), room))
        wished = self.down_to_lot(order.asset, budget / (price * rate))
        bought = min(wished, room)
        if wished > room:
            if not self.is_nothing(order.asset, bought, wished):
                self._take(bar, at, bought, price, order.why)
                order.amount -= bought * price * rate
            return
        short = order.amount > budget
        if bought * price <= self.number.slack:
            bought = self.number.zero
        if bought > 0 and not (short and self.under_minimum(order.asset, bought * price)):
            self._take(bar, at, bought, price, order.why)
        self.close(order.asset, "cash" if short else "filled", at)

    def _quote_fee(self, asset):
        return self.fee if self.fee_on_buy(asset) == "quote" else self.number.zero

    def fee_on_buy(self, asset):
        return self.instrument(asset).fee_on_buy or self.costs.fee_on_buy

    def _affordable(self, asset, wished, price):
        """Cut to the free cash, down to lots; under the minimum nothing (rule 23)."""
        each = price * (self.number.one + self._quote_fee(asset))
        if wished * each <= self.cash + self.number.slack:
            return wished
        cut = self.down_to_lot(asset, self.cash / each)
        if self.is_nothing(asset, cut, wished) or self.under_minimum(asset, cut * price):
            return self.number.zero
        return cut

    def _take(self, bar, at, bought, price, why):
        asset = bar.asset
        held = self.holding(asset)
        in_quote = self.fee_on_buy(asset) == "quote"
        fee = bought * price * self.fee if in_quote else bought * self.fee
        received = bought if in_quote else bought - fee
        self.cash = max(self.number.zero, self.cash - bought * price - (fee if in_quote else self.number.zero))
        if held.counts:
            held.entry = (held.quantity * held.entry + received * price) / (held.quantity + received)
            held.quantity += received
        else:
            held.quantity += received
            held.entry = held.peak = price
            held.since, held.spent = at, set()
            held.dust = False
        lot = self.instrument(asset).lot
        if lot is not None and self.is_nothing(asset, held.quantity, held.quantity):
            held.dust = True
        self._record(bar, at, "buy", bought, price, fee, why)

    def _record(self, bar, at, side, quantity, price, fee, why):
        key = (bar.asset, bar.open_ns)
        self.used[key] = self.used.get(key, self.number.zero) + quantity
        self.fills.append((at, bar.asset, side, quantity, price, fee, why))

    def write_off(self, asset, last, at):
        """A declared delisting: last close less the loss, no fee (rule 35)."""
        self.close(asset, "delisted", at)
        held = self.holding(asset)
        if held.quantity > 0:
            price = last * (self.number.one - self.number.of(self.instrument(asset).loss))
            self.cash += held.quantity * price
            self.fills.append((at, asset, "sell", held.quantity, price, self.number.zero, "delisted"))
            held.quantity = self.number.zero
        held.flatten(dust=False)
