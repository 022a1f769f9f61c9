"""Accounts: what each mount holds, what it gained and what it is worth, from its facts alone – the engine's ledger without plans.

Read models and statements are made of it. Always exact.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import cast

from trader.core.book import Mount, book_dust, book_filled
from trader.core.facts import BarClosed, DustLeft, Fact, Filled
from trader.core.instants import to_ns
from trader.core.instruments import Instrument, Number, Terms, exactly, from_terms_row
from trader.core.records import MountStarted

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Moved:
    """A holding after a fill, or as dust; `realised` is what this fill gained against the average entry, fees taken off,
    and `total` what all fills of the asset gained so far.
    """

    mount: str
    asset: str
    venue: str
    quantity: Decimal
    entry: Decimal
    realised: Decimal
    total: Decimal
    is_flat: bool


@dataclass(frozen=True, slots=True)
class Valued:
    """What a mount is worth at an instant, its holdings at their last closes."""

    at: datetime
    mount: str
    cash: Decimal
    equity: Decimal


def _exact(value: Number) -> Decimal:
    return Decimal(str(value))


class Accounts:
    """All mounts of a journal. `values` is asked for after each closed bar by those who want to know."""

    def __init__(self) -> None:
        self.mounts: dict[str, Mount] = {}
        self._capital: dict[str, Decimal] = {}
        self._since: dict[str, datetime] = {}
        self._markets: dict[str, str] = {}
        self._marks: dict[tuple[str, str], Decimal] = {}  # of a market and an asset
        self._last: dict[str, Decimal] = {}  # of an asset, at whichever market it closed last
        self._totals: dict[tuple[str, str], Decimal] = {}

    def learn(self, fact: Fact) -> Moved | None:
        """Learn from a fact; answers how a holding stands if it moved."""
        match fact:
            case MountStarted():
                self._start(fact)
            case BarClosed(asset=asset, close=close, market=market):
                self._marks[market, asset] = self._last[asset] = _exact(close)
            case Filled():
                return self._fill(fact)
            case DustLeft(mount=name, asset=asset) if name in self.mounts:
                mount = self.mounts[name]
                book_dust(mount, asset)
                return self._moved(mount, asset, ZERO)
            case _:
                pass
        return None

    def unpriced(self) -> list[str]:
        """Assets that were traded and have no close yet."""
        return sorted({asset for one in self.mounts.values() for asset in one.ledger.holdings} - self._last.keys())

    def values(self, at: datetime, market: str = "") -> list[Valued]:
        """What each mount that had started by then is worth; none of one that holds what has no price yet, nor of one of another market."""
        found = []
        for name, mount in self.mounts.items():
            own = self._markets.get(name, "")
            held = {asset: one for asset, one in mount.ledger.holdings.items() if one.quantity}
            hears = not market or not own or own == market
            if hears and at >= self._since[name] and held.keys() <= self._last.keys():
                cash = _exact(mount.ledger.total_cash())
                marks = {asset: self._marks.get((own, asset), self._last[asset]) for asset in held}
                worth = sum((_exact(one.quantity) * marks[asset] for asset, one in held.items()), ZERO)
                found.append(Valued(at, name, cash, cash + worth))
        return found

    def _start(self, fact: MountStarted) -> None:
        """A start with another capital moves the cash by the difference; new markets join."""
        capital, self._markets[fact.mount] = _exact(fact.capital), fact.market
        terms = {row[0]: [Terms(from_terms_row(row), "quote", exactly)] for row in fact.terms}
        mount = self.mounts.get(fact.mount)
        if mount is None:
            mount = self._open(fact.mount, fact.terms[0][1] if fact.terms else "", fact.at)
        mount.terms.update(terms)
        venue = next(iter(mount.ledger.cash))
        mount.ledger.cash[venue] += capital - self._capital[fact.mount]  # type: ignore[operator]
        self._capital[fact.mount] = capital

    def _open(self, name: str, venue: str, at: datetime) -> Mount:
        self.mounts[name] = mount = Mount(name, {}, {venue: exactly(0)}, exactly(0))
        self._capital[name], self._since[name] = ZERO, at
        return mount

    def _fill(self, fact: Filled) -> Moved:
        mount = self.mounts.get(fact.mount) or self._open(fact.mount, fact.venue, fact.at)
        mount.ledger.cash.setdefault(fact.venue, exactly(0))
        if fact.asset not in mount.terms:
            mount.terms[fact.asset] = [Terms(Instrument(fact.asset, fact.venue), "quote", exactly)]
        before = _exact(mount.ledger.realised)
        quantity, price, fee = (cast("Number", _exact(one)) for one in (fact.quantity, fact.price, fact.fee))
        book_filled(
            mount, None, asset=fact.asset, venue=fact.venue, side=1 if fact.side == "buy" else -1, quantity=quantity,
            price=price, fee=fee, fee_asset=fact.fee_asset, at_ns=to_ns(fact.at),
        )  # fmt: skip
        mount.touched.clear()
        return self._moved(mount, fact.asset, _exact(mount.ledger.realised) - before)

    def _moved(self, mount: Mount, asset: str, realised: Decimal) -> Moved:
        one = mount.ledger.holdings[asset]
        total = self._totals[mount.name, asset] = self._totals.get((mount.name, asset), ZERO) + realised
        amounts = _exact(one.quantity), _exact(one.entry)
        return Moved(mount.name, asset, one.venue, *amounts, realised, total, one.is_flat)
