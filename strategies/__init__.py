"""Bundled strategies: frozen values that turn ratings, signals and prices into targets.

Each file states its thesis and where it should fail. They know the face of `trader` and its conditions, nothing else.
"""

from strategies.follow_signal import FollowSignal
from strategies.index_mirror import IndexMirror
from strategies.loading import StrategyLoadError, find, load, registry
from strategies.moonshot_basket import MoonshotBasket
from strategies.rating_band import RatingBand
from strategies.rating_cross import RatingCross
from strategies.regime_gate import RegimeGate
from strategies.rules import Rules
from strategies.sma_cross import SmaCross
from strategies.top_rated import TopRated

__all__ = [
    "FollowSignal",
    "IndexMirror",
    "MoonshotBasket",
    "RatingBand",
    "RatingCross",
    "RegimeGate",
    "Rules",
    "SmaCross",
    "StrategyLoadError",
    "TopRated",
    "find",
    "load",
    "registry",
]
