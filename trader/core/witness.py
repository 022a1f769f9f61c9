"""The witness: keeps a hash of all that a strategy was shown at a wake, so that a day told again can tell input, state and code apart."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from trader.core.book import Mount
from trader.core.conditions import Column
from trader.core.history import Floats, Instants
from trader.core.instruments import Number
from trader.core.signals import Signal
from trader.core.strategy import Wake, Wants
from trader.core.view import Bars, Seen, View

LENGTH = 12  # hex digits of each half


class Witness:
    """Serves what the market it stands before serves, and hashes each answer."""

    def __init__(self, seen: Seen) -> None:
        self._seen, self._hash = seen, hashlib.sha256()
        self.names, self.index, self.now_ns = seen.names, seen.index, seen.now_ns

    def digest(self) -> str:
        """The hash of what was served so far."""
        return self._hash.hexdigest()[:LENGTH]

    def _note(self, *said: object) -> None:
        for one in said:
            self._hash.update(one.tobytes() if isinstance(one, np.ndarray) else repr(one).encode())

    def is_tradable(self, asset: str) -> bool:
        """Whether the asset can be traded."""
        found = self._seen.is_tradable(asset)
        self._note("tradable", asset, found)
        return found

    def tradable(self) -> NDArray[np.bool_]:
        """The same for all assets."""
        found = self._seen.tradable()
        self._note("all tradable", found)
        return found

    def shown(self) -> tuple[str, ...]:
        """The names of those that can be traded."""
        found = self._seen.shown()
        self._note("shown", found)
        return found

    def mark(self, asset: str) -> Number:
        """The last closed price."""
        found = self._seen.mark(asset)
        self._note("mark", asset, float(found))
        return found

    def rating_state(self, kind: str) -> tuple[Floats, Instants]:
        """Newest values and their as_of of all assets."""
        values, dates = self._seen.rating_state(kind)
        self._note("ratings", kind, values, dates)
        return values, dates

    def rating(self, kind: str, asset: str) -> tuple[float, int] | None:
        """The newest value of one asset and its as_of."""
        found = self._seen.rating(kind, asset)
        self._note("rating", kind, asset, found)
        return found

    def signal(self, asset: str, kinds: tuple[str, ...]) -> Signal | None:
        """The newest signal of the kinds."""
        found = self._seen.signal(asset, kinds)
        self._note("signal", asset, kinds, found)
        return found

    def bars(self, asset: str, most: int) -> Bars:
        """The last closed bars."""
        found = self._seen.bars(asset, most)
        self._note("bars", asset, *found)
        return found

    def value(self, column: Column, asset: str, max_age_ns: int) -> float:
        """A column's value now."""
        found = self._seen.value(column, asset, max_age_ns)
        self._note("value", column, asset, found)
        return found


class WitnessedView(View):
    """A view whose answers are witnessed. `saw` is two hashes: what the market showed, and how the mount stood."""

    __slots__ = ("_stood", "_witness")

    def __init__(self, seen: Seen, mount: Mount, wants: Wants, now_ns: int, wake: Wake) -> None:
        self._witness = Witness(seen)
        super().__init__(self._witness, mount, wants, now_ns, wake)
        held = [
            (asset, float(one.quantity), float(one.entry))
            for asset, one in sorted(mount.ledger.holdings.items())
            if one.quantity
        ]
        stood = repr((float(mount.ledger.total_cash()), held, mount.memo))
        self._stood = hashlib.sha256(stood.encode()).hexdigest()[:LENGTH]

    @property
    def saw(self) -> str:  # type: ignore[override]  # nothing for a plain view, made when asked for here
        """Hashes of what was shown so far, and of cash, holdings and memo when the wake began."""
        return f"{self._witness.digest()}-{self._stood}"
