"""The registry: on which account each mount of a journal works or worked, and what those still have that nobody sets to work any more.

An account's fills and orders are all of them, also those of a mount that was taken out of the configuration since.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from trader.core.facts import DustLeft, Fact, Filled, OrderClosed, OrderPlaced
from trader.core.records import MountStarted

ZERO = Decimal(0)


class LeftBehindError(ValueError):
    """A mount of the journal holds something, or has an order on its way, and the configuration sets it to work there no more."""


class Registry:
    """`places` says on which account each mount is set to work now, `universes` in what; the first place is that of journals that name none."""

    STATE = ("accounts", "held", "lots", "orders")

    def __init__(self, places: Mapping[str, str], universes: Mapping[str, Collection[str]]) -> None:
        self._places, self._universes = dict(places), universes
        self._first = next(iter(self._places.values()))
        self._is_one = len(set(self._places.values())) == 1  # then everything is on it, by whatever name
        self.accounts: dict[str, str] = {}
        self.held: dict[tuple[str, str], Decimal] = {}
        self.lots: dict[str, Decimal] = {}
        self.orders: dict[str, dict[int, str]] = {}  # of each mount, by number, the asset

    def is_at(self, account: str, mount: str) -> bool:
        """Whether a mount's orders are on this account."""
        return self._is_one or self.accounts.get(mount, self._places.get(mount, self._first)) == account

    def is_of(self, account: str, named: str) -> bool:
        """Whether a fact about an account is about this one."""
        return self._is_one or (named or self._first) == account

    def fold(self, fact: Fact) -> None:
        """Learn from a fact that was kept."""
        match fact:
            case MountStarted(mount=mount, terms=terms, market=market):
                self.accounts[mount] = market.rpartition("/")[0] or self._first
                self.lots |= {row[0]: Decimal(row[4] or "1e-8") for row in terms}
            case Filled():
                self._fill(fact)
            case DustLeft(mount=mount, asset=asset):
                self.held.pop((mount, asset), None)
            case OrderPlaced(mount=mount, order=order, asset=asset):
                self.orders.setdefault(mount, {})[order] = asset
            case OrderClosed(mount=mount, order=order):
                self.orders.setdefault(mount, {}).pop(order, None)
            case _:
                pass

    def _fill(self, fact: Filled) -> None:
        name, sign = (fact.mount, fact.asset), 1 if fact.side == "buy" else -1
        fee = Decimal(fact.fee) if fact.fee_asset == fact.asset else ZERO
        left = self.held.get(name, ZERO) + sign * Decimal(fact.quantity) - fee
        if sign < 0 and left < self.lots.get(fact.asset, ZERO):
            self.held.pop(name, None)
        else:
            self.held[name] = left

    def check(self) -> None:
        """Every mount that has something must be at work where it has it, and in it; raises LeftBehindError."""
        names = sorted({mount for mount, _ in self.held} | {mount for mount, open_ in self.orders.items() if open_})
        problems = [why for name in names if (why := self._problem(name))]
        if problems:
            raise LeftBehindError("; ".join(problems))

    def _problem(self, name: str) -> str:
        was, now = self.accounts.get(name, self._first), self._places.get(name)
        if now is not None and (self._is_one or was == now):
            has = ", ".join(self._things(name, self._universes[name]))
            return has and (
                f"assets of {name}: it has {has}, and the configuration names that no more; put it back, `trader flatten` it, and then take it out"
            )
        has = ", ".join(self._things(name))
        if now is None:
            return f"mounts: {name} is not set to work any more and has {has}; put it back, `trader flatten` it, and then take it out"
        return f"mounts: {name} has {has} on the account {was} and is to work on {now}; put it back, `trader flatten` it, and then move it"

    def _things(self, name: str, beside: Collection[str] = ()) -> Iterable[str]:
        """What a mount has, but for some assets."""
        for (mount, asset), quantity in sorted(self.held.items()):
            if mount == name and asset not in beside:
                yield f"{quantity} {asset}"
        orders = [asset for asset in self.orders.get(name, {}).values() if asset not in beside]
        if orders:
            yield f"{len(orders)} orders on their way ({', '.join(sorted(set(orders)))})"
