"""The face of the bot for those who write strategies: values to state wishes with, and nothing that acts.

Importing this package costs numpy and the standard library only; heavy parts are imported where they are used.
"""

from typing import TYPE_CHECKING

from trader.core.costs import Costs
from trader.core.exits import Above, After, Below, Exit, FallBy, FallTo, RiseBy, RiseTo, TrailBy
from trader.core.instants import duration
from trader.core.instruments import Instrument
from trader.core.risk import Limits
from trader.core.signals import MARKET, Signal
from trader.core.strategy import HOLD, Decision, Quote, Target, Units, Wake, Wants

if TYPE_CHECKING:
    from trader.core.view import Strategy, View

__version__ = "0.1.0"

__all__ = [
    "HOLD",
    "MARKET",
    "Above",
    "After",
    "Below",
    "Costs",
    "Decision",
    "Exit",
    "FallBy",
    "FallTo",
    "Instrument",
    "Limits",
    "Quote",
    "RiseBy",
    "RiseTo",
    "Signal",
    "Strategy",
    "Target",
    "TrailBy",
    "Units",
    "View",
    "Wake",
    "Wants",
    "duration",
]


def __getattr__(name: str) -> object:
    """Import what costs numpy only when it is asked for: `trader --help` must not wait for it."""
    if name in {"Strategy", "View"}:
        from trader.core import view  # noqa: PLC0415

        return getattr(view, name)
    raise AttributeError(f"module 'trader' has no attribute {name!r}")
