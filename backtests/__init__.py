"""The harness: replay history through the engine that trades; also the notebook's face."""

from importlib import import_module
from typing import TYPE_CHECKING

from backtests.checks import TapeError
from backtests.replay import replay
from backtests.result import Result
from backtests.tape import Tape
from trader.core.costs import Costs
from trader.core.risk import Limits

if TYPE_CHECKING:
    from backtests.auditing import Audit, audit
    from backtests.bundled import sample
    from backtests.results import Swept
    from backtests.search import Search
    from backtests.space import Range
    from backtests.sweeping import explore, sweep
    from backtests.validation import Check, validate
    from backtests.watching import watch

__all__ = [
    "Audit",
    "Check",
    "Costs",
    "Limits",
    "Range",
    "Result",
    "Search",
    "Swept",
    "Tape",
    "TapeError",
    "audit",
    "explore",
    "replay",
    "sample",
    "sweep",
    "validate",
    "watch",
]

# What a first backtest does not need is imported when it is first asked for: it costs as much as the backtest. No room has one of these names.
LATER = {
    "Audit": "auditing", "audit": "auditing", "Check": "validation", "validate": "validation", "Range": "space", "Search": "search",
    "Swept": "results", "explore": "sweeping", "sample": "bundled", "sweep": "sweeping", "watch": "watching",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"backtests.{LATER[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER})
