"""The view that the plain reference shows a strategy, built from what is known at one instant and nothing else."""

from dataclasses import dataclass
from datetime import datetime

from tests.reference.news import columns_of
from trader.core.conditions import newest
from trader.core.instants import duration, from_ns
from trader.core.signals import Signal


class PlainRatings:
    """Ratings of one kind, best first, equal ones by name (rule 10)."""

    def __init__(self, rows, now):
        self.rows = sorted(rows, key=lambda row: (-row.value, row.asset))
        self.now = now

    def _kept(self, rows):
        return PlainRatings(rows, self.now)

    def at_least(self, value):
        return self._kept([row for row in self.rows if row.value >= value])

    def at_most(self, value):
        return self._kept([row for row in self.rows if row.value <= value])

    def top(self, count):
        return self._kept(self.rows[:count])

    def fresher_than(self, age):
        return self._kept([row for row in self.rows if self.now - row.as_of <= duration(age)])

    def latest(self):
        last = max((row.as_of for row in self.rows), default=None)
        return self._kept([row for row in self.rows if row.as_of == last])

    def get(self, asset, default=None):
        return next((row.value for row in self.rows if row.asset == asset), default)

    def items(self):
        return [(row.asset, row.value) for row in self.rows]

    def __getitem__(self, asset):
        value = self.get(asset)
        if value is None:
            raise KeyError(asset)
        return value

    def __contains__(self, asset):
        return self.get(asset) is not None

    def __iter__(self):
        return iter([row.asset for row in self.rows])

    def __len__(self):
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class PlainHolding:
    quantity: float
    entry_price: float
    value: float
    weight: float
    profit: float
    since: datetime


class PlainBars:
    def __init__(self, bars):
        columns = columns_of(bars)
        self.close_ns = columns.close_ns
        self.open, self.high, self.low = columns.open, columns.high, columns.low
        self.close, self.volume = columns.close, columns.volume

    def __len__(self):
        return len(self.close)


class PlainView:
    """Duck-typed as the real one: now, wake, equity, cash, memo, assets and six ways to ask."""

    def __init__(self, stepper, at, wake):
        self._stepper = stepper
        self._at = at
        self.wake = wake
        self.now = from_ns(at)
        self.equity = float(stepper.equity())
        self.cash = float(stepper.cash)
        self.memo = stepper.memo
        self.assets = tuple(asset for asset in stepper.assets if stepper.tradable(asset, at))

    def ratings(self, kind):
        stepper = self._stepper
        if kind not in stepper.wants.ratings:
            raise ValueError(f"{kind!r} is not among the wanted ratings {stepper.wants.ratings}")
        limit = duration(stepper.wants.max_age)
        rows = [stepper.news.known("rating", kind, asset) for asset in self.assets]
        return PlainRatings([row for row in rows if row is not None and self._at - row.as_of <= limit], self._at)

    def signal(self, asset, kind=None):
        stepper = self._stepper
        kinds = stepper.wants.signals if kind is None else (kind,)
        if kind is not None and kind not in stepper.wants.signals:
            raise ValueError(f"{kind!r} is not among the wanted signals {stepper.wants.signals}")
        rows = [row for row in (stepper.news.known("signal", one, asset) for one in kinds) if row is not None]
        if not rows:
            return None
        row = max(rows, key=lambda row: (row.as_of, row.known_at))
        return Signal(row.asset, row.kind, row.value, from_ns(row.as_of), from_ns(row.known_at), row.exits)

    def bars(self, asset):
        count = self._stepper.wants.bars
        return PlainBars(self._stepper.closed[asset][-count:] if count else [])

    def value(self, column, asset):
        stepper = self._stepper
        series = stepper.news.series(asset, stepper.closed[asset], column.lookback)
        return newest(column, series, duration(stepper.wants.max_age), self._at)

    def holds(self, asset):
        return self.holding(asset) is not None

    def holding(self, asset):
        stepper = self._stepper
        held = stepper.held.get(asset)
        if held is None or not held.counts:
            return None
        mark = stepper.mark(asset)
        value = float(held.quantity * mark)
        entry = float(held.entry)
        weight = value / self.equity
        return PlainHolding(float(held.quantity), entry, value, weight, float(mark) / entry - 1, from_ns(held.since))
