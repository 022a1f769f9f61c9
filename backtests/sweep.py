"""Many replays over one grid of parameters."""

from __future__ import annotations

import itertools
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from backtests.replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from backtests.tape import Tape
    from trader.core.view import Strategy

_SHARED: dict[str, Any] = {}


def sweep(
    strategy: Callable[..., Any], grid: Mapping[str, Iterable[Any]], tape: Tape, *, workers: int = 1,
    progress: Callable[[float], None] | None = None, **assumed: Any,  # noqa: ANN401  # what replay takes
) -> pd.DataFrame:  # fmt: skip
    """Replay the strategy for every combination of the grid: one row each, its parameters and its stats.

    workers: processes; each gets the tape once. assumed: what `replay` takes (cash, costs, latency, exits, limits).
    """
    import pandas as pd  # noqa: PLC0415

    if not grid or any(not list(values) for values in grid.values()):
        raise ValueError("sweep needs at least one parameter with at least one value, such as {'enter': [60, 70]}")
    combos = [dict(zip(grid, values, strict=True)) for values in itertools.product(*(list(v) for v in grid.values()))]
    strategies = [strategy(**combo) for combo in combos]
    rows: list[dict[str, Any]] = []
    if workers <= 1:
        _share(tape, assumed)
        found = map(_run, strategies)
        for row in found:
            rows.append(row)
            if progress is not None:
                progress(len(rows) / len(combos))
    else:
        with ProcessPoolExecutor(workers, initializer=_share, initargs=(tape, assumed)) as pool:
            chunk = max(1, len(combos) // (workers * 4))
            for row in pool.map(_run, strategies, chunksize=chunk):
                rows.append(row)
                if progress is not None:
                    progress(len(rows) / len(combos))
    return pd.DataFrame([combo | row for combo, row in zip(combos, rows, strict=True)])


def _share(tape: Tape, assumed: dict[str, Any]) -> None:
    _SHARED.update(tape=tape, assumed=assumed)


def _run(strategy: Strategy) -> dict[str, Any]:
    stats: dict[str, Any] = replay(strategy, _SHARED["tape"], **_SHARED["assumed"]).stats
    return stats
