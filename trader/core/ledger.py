"""The ledger of one mount: cash by venue, holdings by asset, fees in whatever they are taken, realised profit.

Exact with Decimal, fast with float, through the same functions. It knows nothing of orders or targets.
"""

from trader.core.instruments import Number

QUOTE = "quote"


class Holding:
    """What is held of one asset at one venue; `entry` is the average entry price since flat, fees not included."""

    __slots__ = ("asset", "entry", "is_flat", "opened_ns", "peak", "quantity", "venue")

    def __init__(self, asset: str, venue: str, zero: Number) -> None:
        self.asset = asset
        self.venue = venue
        self.quantity = zero
        self.entry = zero
        self.peak = zero
        self.opened_ns = 0
        self.is_flat = True

    def __repr__(self) -> str:
        return f"Holding({self.asset}, {self.quantity}, entry={self.entry}, flat={self.is_flat})"


class Ledger:
    """Cash, holdings, other balances, fees and realised profit of one mount."""

    __slots__ = ("_only", "cash", "fees", "held", "holdings", "others", "realised", "zero")

    def __init__(self, cash: dict[str, Number], zero: Number) -> None:
        self.cash = dict(cash)
        self._only = next(iter(cash)) if len(cash) == 1 else None
        self.zero = zero
        self.holdings: dict[str, Holding] = {}
        self.held: dict[str, bool] = {}  # assets of which there is any quantity, dust included, since when there is
        self.others: dict[tuple[str, str], Number] = {}
        self.fees: dict[str, Number] = {}
        self.realised = zero

    def total_cash(self) -> Number:
        """Cash over all venues."""
        return self.cash[self._only] if self._only is not None else sum(self.cash.values(), self.zero)


def book_fill(
    ledger: Ledger, asset: str, venue: str, side: int, quantity: Number, price: Number, fee: Number, fee_asset: str,
    at_ns: int,
) -> Holding:  # fmt: skip
    """Book one fill; a buy from flat starts the entry price anew, a sell realises profit against it."""
    holding = ledger.holdings.get(asset)
    if holding is None:
        holding = ledger.holdings[asset] = Holding(asset, venue, ledger.zero)
    value, cash = quantity * price, ledger.cash[venue]
    held, in_asset = holding.quantity, fee_asset == asset
    if side > 0:
        cash -= value
        gained = quantity - fee if in_asset else quantity
        if holding.is_flat:
            holding.is_flat = False
            holding.entry = holding.peak = price
            holding.opened_ns = at_ns
        else:
            holding.entry = (holding.entry * held + price * gained) / (held + gained)
        holding.quantity = held + gained
        ledger.held[asset] = True
    else:
        cash += value
        ledger.realised += (price - holding.entry) * quantity
        left = held - (quantity + fee if in_asset else quantity)
        holding.quantity = left
        if not left:
            ledger.held.pop(asset, None)
    if fee:
        if fee_asset == QUOTE:
            cash -= fee
            ledger.realised -= fee
        elif not in_asset:
            key = (venue, fee_asset)
            ledger.others[key] = ledger.others.get(key, ledger.zero) - fee
        fees = ledger.fees
        fees[fee_asset] = fees[fee_asset] + fee if fee_asset in fees else fee
    ledger.cash[venue] = cash
    return holding


def equity(ledger: Ledger, marks: dict[str, Number]) -> Number:
    """Cash plus holdings at the given prices."""
    return sum((ledger.holdings[a].quantity * marks[a] for a in ledger.held), ledger.total_cash())
