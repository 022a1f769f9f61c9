"""The harness: replay history through the engine that trades; also the notebook's face."""

from backtests.audit import Audit, audit
from backtests.checks import TapeError
from backtests.replay import replay
from backtests.result import Result
from backtests.results import Swept
from backtests.sample import sample
from backtests.search import Search
from backtests.space import Range
from backtests.sweep import explore, sweep
from backtests.tape import Tape
from backtests.validation import Check, validate
from backtests.watch import watch
from trader.core.costs import Costs
from trader.core.risk import Limits

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
