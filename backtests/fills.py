"""The log of fills: one row after the other, and whole blocks of columns from compiled stretches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.core.history import Floats, Instants
    from trader.core.instruments import Number

    Columns = tuple[Instants, Instants, NDArray[Any], Floats]


class Fills:
    """Each fill's bar, asset, change of quantity, and the cash then, in order."""

    __slots__ = ("_before", "_blocks", "append", "rows")

    def __init__(self) -> None:
        self._blocks: list[Columns] = []
        self._before = 0
        self._fresh()

    def _fresh(self) -> None:
        self.rows: list[tuple[int, int, Number, Number]] = []
        self.append = self.rows.append

    def __len__(self) -> int:
        return self._before + len(self.rows)

    def add(self, bars: Instants, changes: Floats, cash: Floats) -> None:
        """Many fills of the only asset at once."""
        if self.rows:
            self._blocks.append(_columns(self.rows))
            self._fresh()
            self._before = sum(len(block[0]) for block in self._blocks)
        self._blocks.append((bars, np.zeros(len(bars), np.int64), changes, cash))
        self._before += len(bars)

    def columns(self) -> Columns:
        """Bars, assets, changes of quantity (objects where they are exact) and cash."""
        if not self._blocks:
            return _columns(self.rows)
        blocks = [*self._blocks, _columns(self.rows)] if self.rows else self._blocks
        if len(blocks) == 1:
            return blocks[0]
        return tuple(np.concatenate(part) for part in zip(*blocks, strict=True))  # type: ignore[return-value]


def _columns(rows: list[tuple[int, int, Number, Number]]) -> Columns:
    bars, assets, changes, cash = zip(*rows, strict=True) if rows else ((), (), (), ())
    is_exact = bool(changes) and not isinstance(changes[0], float)
    return (
        np.array(bars, np.int64), np.array(assets, np.int64), np.array(changes, object if is_exact else np.float64),
        np.array(cash, np.float64),
    )  # fmt: skip
