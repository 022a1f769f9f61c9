"""SmaCross: two moving averages of the price, the plainest trend following there is."""

from dataclasses import dataclass, field

from strategies.parameters import Size, check_common, check_count, check_size
from trader import Decision, Exit, Target, View, Wants
from trader.core.conditions import Column, close, sma

STAY = Decision.hold()


@dataclass(frozen=True, slots=True)
class SmaCross:
    """Hold an asset while the fast average of its closes is over the slow one.

    Thesis: prices trend; a fast average over a slow one means the trend is up. Long over, flat under, per asset, by level:
    after a stop it buys again at the next close with the fast average still over. It costs one round trip per crossing,
    and the shorter the averages the more of them. It should fail in sideways markets, on short bars with real fees,
    and at turns sharper than the averages.
    """

    fast: int = 20
    slow: int = 50
    size: Size = 0.98
    exits: tuple[Exit, ...] = ()
    band: float = 0.0
    every_bar: bool = (
        False  # asked at every close rather than where the averages say otherwise: slower, the same trades
    )
    lead: Column = field(
        init=False, repr=False, compare=False
    )  # derived from the parameters, kept because they are hot
    place: Target = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_count(self, "fast")
        check_count(self, "slow")
        if not self.fast < self.slow:
            raise ValueError(f"SmaCross: fast = {self.fast!r} must be under slow = {self.slow!r}")
        check_size(self)
        check_common(self)
        object.__setattr__(self, "place", Target(self.size, self.exits, self.band))
        object.__setattr__(self, "lead", sma(close, self.fast) - sma(close, self.slow))

    @property
    def wants(self) -> Wants:
        """Each close at which the averages say otherwise than the holding, or each close."""
        if self.every_bar:
            return Wants(bars=1, columns=(self.lead,))
        return Wants(when_flat=self.lead > 0.0, when_held=self.lead < 0.0, columns=(self.lead,))

    def decide(self, view: View) -> Decision:
        """Long over, flat under; asked at each close, only where the holding says otherwise."""
        targets: dict[str, Target | float | Size] = {}
        lead, value, is_asked_always = self.lead, view.value, self.every_bar
        for asset in view.wake.assets:
            over = value(lead, asset)
            if over > 0.0:
                if not (is_asked_always and view.holds(asset)):
                    targets[asset] = self.place
            elif over < 0.0:
                if not is_asked_always or view.holds(asset):
                    targets[asset] = 0.0
        return Decision.change(targets) if targets else STAY
