"""A hand-written view: what a strategy can know, said in literals."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from trader import Signal, Wake
from trader.core.conditions import Column

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@dataclass
class FakeRatings:
    values: dict[str, float]
    newest: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.values, key=lambda asset: (-self.values[asset], asset)))

    def __len__(self) -> int:
        return len(self.values)

    def at_least(self, level: float) -> "FakeRatings":
        return FakeRatings({a: v for a, v in self.values.items() if v >= level})

    def top(self, n: int) -> "FakeRatings":
        return FakeRatings({a: self.values[a] for a in list(self)[:n]})

    def latest(self) -> "FakeRatings":
        return FakeRatings({a: v for a, v in self.values.items() if a in self.newest or not self.newest})

    def get(self, asset: str) -> float | None:
        return self.values.get(asset)

    def items(self) -> list[tuple[str, float]]:
        return [(asset, self.values[asset]) for asset in self]


@dataclass
class FakeView:
    graded: Mapping[str, float] = field(default_factory=dict)
    signals: Mapping[str, Signal] = field(default_factory=dict)
    columns: Mapping[tuple[Column, str], float] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    woken: tuple[str, ...] = ()
    newest: frozenset[str] = frozenset()
    now: datetime = NOW
    memo: object = None

    @property
    def wake(self) -> Wake:
        return Wake(("test",), range(len(self.woken)), self.woken)

    @property
    def assets(self) -> tuple[str, ...]:
        return tuple(sorted({*self.graded, *self.signals, *self.held, *self.woken} - {"MARKET"}))

    def ratings(self, kind: str) -> FakeRatings:
        return FakeRatings(dict(self.graded), self.newest)

    def signal(self, asset: str, kind: str | None = None) -> Signal | None:
        return self.signals.get(asset)

    def value(self, column: Column, asset: str) -> float:
        return self.columns.get((column, asset), float("nan"))

    def holding(self, asset: str) -> object | None:
        return asset if asset in self.held else None

    def holds(self, asset: str) -> bool:
        return asset in self.held


@pytest.fixture
def view() -> type[FakeView]:
    return FakeView


@pytest.fixture
def said() -> Callable[..., Signal]:
    def build(asset: str, value: float, *, age: timedelta = timedelta(0), exits: tuple = ()) -> Signal:
        return Signal(asset, "trading_signal", value, NOW - age, NOW - age, exits)

    return build
