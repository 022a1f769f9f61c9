"""A part of a tape's time: what a strategy would have done had it been started at the beginning of a span.

The bars before the span stay as history that may be read, and nothing after it is there. The strategy holds still until
the span begins, so that it starts flat and knows what it would have known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from backtests.checks import TapeError
from backtests.tape import Tape
from trader.core.history import Arrivals
from trader.core.instants import from_ns, to_ns
from trader.core.strategy import Decision

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.core.strategy import Wants
    from trader.core.view import Strategy, View


@dataclass(frozen=True, slots=True)
class Span:
    """From the open of a bar to the close of another, int64 UTC."""

    begin_ns: int
    end_ns: int


@dataclass(frozen=True)
class Still:
    """A strategy that decides nothing before an instant."""

    inner: Strategy
    begin_ns: int

    @property
    def wants(self) -> Wants:
        """What the strategy wants."""
        return self.inner.wants

    @property
    def assets(self) -> tuple[str, ...]:
        """The assets that it names."""
        return tuple(getattr(self.inner, "assets", None) or ())

    def decide(self, view: View) -> Decision:
        """Nothing yet, or what the strategy decides."""
        return self.inner.decide(view) if to_ns(view.now) >= self.begin_ns else Decision.hold()


def cut(tape: Tape, span: Span) -> Tape:
    """The tape up to the end of a span; assets without a bar by then are gone. Its columns are views, not copies."""
    panel = tape.panel
    size = int(np.searchsorted(panel.closes_ns, span.end_ns, side="right"))
    if not size or int(panel.closes_ns[size - 1]) <= span.begin_ns:
        raise TapeError(f"no bar lies between {from_ns(span.begin_ns):%Y-%m-%d} and {from_ns(span.end_ns):%Y-%m-%d}")
    columns = [column[:, :size] for column in (panel.open, panel.high, panel.low, panel.close, panel.volume)]
    there: NDArray[np.bool_] = np.asarray(~np.isnan(columns[3]).all(axis=1))
    names = [name for name, is_there in zip(panel.names, there, strict=True) if is_there]
    if len(names) < len(there):
        columns = [column[there] for column in columns]
    places = np.full(len(there) + 1, -1)
    places[:-1][there] = np.arange(len(names))
    places[-1] = len(names)  # the market as a whole
    end_ns = int(panel.closes_ns[size - 1])
    open_, high, low, close, volume = columns
    found = replace(
        panel, names=names, opens_ns=panel.opens_ns[:size], open=open_, high=high, low=low, close=close, volume=volume,
        ratings={kind: _known(rows, places, end_ns) for kind, rows in panel.ratings.items()},
        signals={kind: _known(rows, places, end_ns) for kind, rows in panel.signals.items()},
        delisted_ns={name: at for name, at in panel.delisted_ns.items() if name in names},
    )  # fmt: skip
    return Tape(
        found, instruments={name: tape.instruments[name] for name in names}, report=tape.report, label=tape.label,
        delay_ns=tape.delay_ns, omitted=tape.omitted_assets, withheld=tape.withheld,
    )  # fmt: skip


def whole(tape: Tape) -> Span:
    """All of a tape's time."""
    return Span(int(tape.opens_ns[0]), int(tape.closes_ns[-1]))


def _known(rows: Arrivals, places: np.ndarray, end_ns: int) -> Arrivals:
    size = int(rows.known_ns.searchsorted(end_ns, side="right"))
    if (places == np.arange(len(places))).all():
        kept: slice | np.ndarray = slice(0, size)
    else:
        kept = np.flatnonzero(places[rows.asset[:size]] >= 0)
    return Arrivals(
        rows.known_ns[kept], rows.as_of_ns[kept], places[rows.asset[kept]], rows.value[kept], rows.wakes_ns[kept]
    )
