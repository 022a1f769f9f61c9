"""What trading costs: fee, half spread, impact and how much of a bar's volume we may take."""

from dataclasses import dataclass
from typing import Literal

FeeOnBuy = Literal["quote", "received"]


@dataclass(frozen=True, slots=True)
class Costs:
    """Assumed costs of a replay, as shares of the price or the notional.

    fee: share of the notional, on both sides. half_spread: share of the price paid away from the mid.
    impact: share of the price per whole bar volume taken (an order of 1 % of the volume pays impact / 100).
    participation: the largest share of a bar's volume that all our fills in it may take; None = unlimited.
    fee_on_buy: `quote` takes the fee of a buy in money, `received` out of what is bought.
    """

    fee: float = 0.002
    half_spread: float = 0.0005
    impact: float = 0.0
    participation: float | None = None
    fee_on_buy: FeeOnBuy = "quote"

    def __post_init__(self) -> None:
        for name in ("fee", "half_spread", "impact"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"costs.{name} = {value!r} is out of range; allowed are shares from 0 up to 1")
        if self.participation is not None and not 0 < self.participation <= 1:
            raise ValueError(
                f"costs.participation = {self.participation!r} is out of range; allowed are shares over 0 up to 1, or none"
            )
        if self.fee_on_buy not in ("quote", "received"):
            raise ValueError(f"costs.fee_on_buy = {self.fee_on_buy!r} is unknown; allowed are quote and received")
