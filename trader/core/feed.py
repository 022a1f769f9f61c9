"""The feed: what a live or stepped run has learnt so far, bar by bar and publication by publication.

It answers the same questions as `History` does over a tape, with the same columns and conditions; what it has not been
told it cannot know. It keeps a bounded past: the longest look-back that anybody declared.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from trader.core.conditions import BarColumns, Column, Condition, Series, newest
from trader.core.facts import BarClosed, Fact, PriceSeen, SignalsKnown
from trader.core.history import LONG_AGO, Floats, Instants
from trader.core.instants import from_ns, to_ns
from trader.core.instruments import Converter, Number
from trader.core.signals import MARKET, Signal
from trader.core.view import Bars

Datum = tuple[int, int, float]  # known_at, as_of, value
BarRow = tuple[int, float, float, float, float, float]


class Feed:
    """Everything learnt about the assets of a universe; `keep` is how many bars and data of each are kept.

    market: whose bars and prices concern it; empty = all that are told.
    """

    STATE = ("now_ns", "delisted", "shut", "gone", "_bars", "_data")

    def __init__(self, names: Sequence[str], number: Converter, keep: int = 1_000, market: str = "") -> None:
        self.names = sorted(names)
        self.index = {name: i for i, name in enumerate(self.names)}
        self.number: Callable[[float], Number] = number
        self.now_ns = LONG_AGO
        self.delisted: set[str] = set()
        self.market = market
        self.shut: set[str] = set()  # assets of whose market a start said that it cannot be traded
        self.gone: dict[str, float] = {}  # the last closes of assets that were of the universe once
        self._keep = keep
        self._bars: dict[str, list[BarRow]] = {name: [] for name in self.names}
        self._data: dict[tuple[str, str, str], list[Datum]] = {}  # (group, kind, asset)

    def seek(self, now_ns: int) -> None:
        """Note the instant that is being handled."""
        self.now_ns = max(self.now_ns, now_ns)

    def concerning(self, fact: Fact) -> Fact | None:
        """What of a bar, a price or a publication concerns this universe, None where nothing does; others pass as they are."""
        if isinstance(fact, SignalsKnown):
            ours = tuple([one for one in fact.signals if one.asset in self.index or one.asset == MARKET])
            if len(ours) == len(fact.signals):
                return fact
            return replace(fact, signals=ours) if ours else None
        if isinstance(fact, BarClosed | PriceSeen):
            is_heard = not fact.market or not self.market or fact.market == self.market
            return fact if is_heard and fact.asset in self.index else None
        return fact

    def is_newer(self, bar: BarClosed) -> bool:
        """Whether the bar is of the universe and newer than the last one learnt."""
        rows = self._bars.get(bar.asset)
        return rows is not None and (not rows or rows[-1][0] < to_ns(bar.at))

    def learn_bar(self, bar: BarClosed) -> bool:
        """Take in a closed bar; one that is not newer than the last is dropped, and the answer is False."""
        if not self.is_newer(bar):
            return False
        rows = self._bars[bar.asset]
        rows.append((to_ns(bar.at), bar.open, bar.high, bar.low, bar.close, bar.volume))
        del rows[: -self._keep]
        return True

    def learn_signals(self, publication: SignalsKnown) -> list[str]:
        """Take in a publication; returns the assets of which something newer than before became known."""
        group = "rating" if publication.is_rating else "signal"
        fresh = []
        for said in publication.signals:
            rows = self._data.setdefault((group, said.kind, said.asset), [])
            datum = (to_ns(said.known_at), to_ns(said.as_of), said.value)
            if rows and rows[-1][1] > datum[1]:
                continue  # an outdated arrival
            if rows and rows[-1][0] == datum[0]:
                rows.pop()
            rows.append(datum)
            del rows[: -self._keep]
            fresh.append(said.asset)
        return sorted(set(fresh))

    def remember(self, bar: BarClosed) -> None:
        """Keep the close of an asset that was of the universe once: something of it was held, and dust of it may be."""
        if not bar.market or not self.market or bar.market == self.market:
            self.gone[bar.asset] = bar.close

    def newest(self) -> dict[str, datetime]:
        """When the last bar of each asset closed."""
        return {asset: from_ns(rows[-1][0]) for asset, rows in self._bars.items() if rows}

    def is_tradable(self, asset: str) -> bool:
        """Whether the asset is of the universe, has a closed bar, is not delisted, and its market is not shut."""
        return bool(self._bars.get(asset)) and asset not in self.delisted and asset not in self.shut

    def tradable(self) -> NDArray[np.bool_]:
        """The same for all assets, in the order of names."""
        return np.asarray([self.is_tradable(name) for name in self.names])

    def shown(self) -> tuple[str, ...]:
        """The names of those that can be traded."""
        return tuple([name for name in self.names if self.is_tradable(name)])

    def price(self, asset: str) -> Number | None:
        """The last closed price, None where the asset cannot be traded."""
        return self.mark(asset) if self.is_tradable(asset) else None

    def mark(self, asset: str) -> Number:
        """The last closed price; of an asset that was taken out of the universe, what it was then."""
        rows = self._bars.get(asset)
        return self.number(rows[-1][4] if rows is not None else self.gone.get(asset, 0.0))

    def mark_age_ns(self, asset: str) -> int:
        """How old the last closed price is."""
        return self.now_ns - self._bars[asset][-1][0]

    def rating_state(self, kind: str) -> tuple[Floats, Instants]:
        """Newest values and their as_of of all assets."""
        values, dates = np.full(len(self.names), np.nan), np.full(len(self.names), LONG_AGO)
        for i, name in enumerate(self.names):
            rows = self._data.get(("rating", kind, name))
            if rows:
                dates[i], values[i] = rows[-1][1], rows[-1][2]
        return values, dates

    def rating(self, kind: str, asset: str) -> tuple[float, int] | None:
        """The newest value of one asset and its as_of; None where nothing is known."""
        rows = self._data.get(("rating", kind, asset)) if asset in self.index else None
        return (rows[-1][2], rows[-1][1]) if rows else None

    def signal(self, asset: str, kinds: tuple[str, ...]) -> Signal | None:
        """The newest signal of the kinds about an asset, or about the market as a whole."""
        found = [(rows[-1], kind) for kind in kinds if (rows := self._data.get(("signal", kind, asset)))]
        if not found:
            return None
        (known, as_of, value), kind = max(found, key=lambda item: item[0][1])
        return Signal(asset, kind, value, from_ns(as_of), from_ns(known))

    def bars(self, asset: str, most: int) -> Bars:
        """The last closed bars, as copies."""
        return Bars(*self._columns(asset, most))

    def value(self, column: Column, asset: str, max_age_ns: int) -> float:
        """A column's value now, NaN when unknown."""
        return newest(column, self.series(asset), max_age_ns, self.now_ns)

    def holds(self, condition: Condition, asset: str, max_age_ns: int) -> bool:
        """Whether a condition is true now; unknown is not true."""
        return newest(condition, self.series(asset), max_age_ns, self.now_ns) is True

    def series(self, asset: str) -> Series:
        """What conditions may look at."""
        groups: dict[str, dict[str, tuple[Instants, Instants, Floats]]] = {"rating": {}, "signal": {}}
        for (group, kind, name), rows in self._data.items():
            if name == asset:
                known, as_of, value = zip(*rows, strict=True)
                groups[group][kind] = (
                    np.asarray(known, np.int64),
                    np.asarray(as_of, np.int64),
                    np.asarray(value, float),
                )
        return Series(BarColumns(*self._columns(asset, self._keep)), groups["rating"], groups["signal"])

    def _columns(self, asset: str, most: int) -> tuple[Instants, Floats, Floats, Floats, Floats, Floats]:
        rows = self._bars.get(asset, [])[-most:]
        table = np.asarray([row[1:] for row in rows], np.float64).reshape(len(rows), 5)
        opened, high, low, close, volume = (np.ascontiguousarray(table[:, i]) for i in range(5))
        return np.asarray([row[0] for row in rows], np.int64), opened, high, low, close, volume
