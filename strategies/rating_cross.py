"""RatingCross: follow the direction of a rating rather than its level."""

from dataclasses import dataclass
from typing import Literal

from strategies.parameters import Size, check_choice, check_common, check_count, check_size
from trader import Decision, Exit, Target, View, Wants
from trader.core.conditions import Column, ema, rating, sma


@dataclass(frozen=True, slots=True)
class RatingCross:
    """Hold an asset while the fast average of its rating is at or over the slow one.

    Thesis: a rating that improves says more than one that is high. Long when fast >= slow, flat when fast < slow, per
    asset, at each new rating; after a stop the next rating with fast >= slow buys again. Exponential averages count from
    the first rating on, as if it had stood before (4n ratings are remembered); simple ones wait for their full window.
    It costs one round trip per crossing. It should fail where the rating follows the price, and above all when it is
    known later than assumed: on real grades of 455 days one day's delay turns a growth of 6.5 into 1.4, less than
    buying and holding.
    """

    fast: int = 3
    slow: int = 7
    kind: str = "trader_grade"
    average: Literal["ema", "sma"] = "ema"
    size: Size = 0.98
    exits: tuple[Exit, ...] = ()
    band: float = 0.0
    max_age: str = "3d"

    def __post_init__(self) -> None:
        check_count(self, "fast")
        check_count(self, "slow")
        if not self.fast < self.slow:
            raise ValueError(f"RatingCross: fast = {self.fast!r} must be under slow = {self.slow!r}")
        check_choice(self, "average", ("ema", "sma"))
        check_size(self)
        check_common(self)

    @property
    def lead(self) -> Column:
        """By how much the fast average is over the slow one."""
        grade = rating(self.kind)
        if self.average == "sma":
            return sma(grade, self.fast) - sma(grade, self.slow)
        return ema(grade, self.fast, seeded=True) - ema(grade, self.slow, seeded=True)

    @property
    def wants(self) -> Wants:
        """Each new rating that puts the fast average on the other side."""
        lead = self.lead
        return Wants(
            ratings=(self.kind,), max_age=self.max_age, when_flat=lead >= 0.0, when_held=lead < 0.0, columns=(lead,)
        )

    def decide(self, view: View) -> Decision:
        """Long at or over, flat under, for the assets with a new rating."""
        lead = self.lead
        targets: dict[str, Target | float | Size] = {}
        for asset in view.wake.assets:
            over = view.value(lead, asset)
            if over < 0.0:
                targets[asset] = 0.0
            elif over >= 0.0:
                targets[asset] = Target(self.size, self.exits, self.band)
        return Decision.change(targets)
