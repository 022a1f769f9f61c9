"""TopRated: rotate into the best-rated few."""

from dataclasses import dataclass
from typing import Literal

from strategies.parameters import check_choice, check_common, check_count, check_duration, check_number, check_share
from trader import HOLD, Decision, Exit, FallBy, Target, View, Wants


@dataclass(frozen=True, slots=True)
class TopRated:
    """Hold the best-rated `top` assets rated at or over `enter`; everything else goes.

    Thesis: assets a vendor ranks highest do better than the rest over the next days, and a few of them spread the risk of
    any single one. Each chosen asset gets invest / top, so fewer than `top` leave cash; with weights="rating" the same
    total is shared in proportion to the ratings. It costs a round trip per change of place, which daily rotation among
    many close ratings makes expensive: use `every` and `band`. It should fail when everything falls together, when ranks
    are noise (fees remain), and among thin assets whose spread eats the edge.
    """

    top: int = 10
    enter: float = 70.0
    kind: str = "trader_grade"
    invest: float = 0.98  # share of equity put to work when all places are taken; the rest pays fees and gaps
    weights: Literal["equal", "rating"] = "equal"
    exits: tuple[Exit, ...] = ()
    stop: float | None = None  # adds FallBy(stop)
    band: float = 0.0
    max_age: str = "3d"
    every: str | None = None  # at most one rotation per UTC period, such as 1d; none = at each arrival of ratings
    unknown: Literal["leave", "hold"] = "leave"  # what happens to a held asset whose rating is missing or too old

    def __post_init__(self) -> None:
        check_count(self, "top")
        check_number(self, "enter")
        check_share(self, "invest")
        check_choice(self, "weights", ("equal", "rating"))
        check_choice(self, "unknown", ("leave", "hold"))
        check_common(self)
        if self.stop is not None:
            FallBy(self.stop)
        if self.every is not None:
            check_duration(self, "every")
        if self.weights == "rating" and self.enter <= 0:
            raise ValueError(f"TopRated: weights = 'rating' needs enter over 0, not {self.enter!r}")

    @property
    def wants(self) -> Wants:
        """New ratings, at most once per period."""
        return Wants(ratings=(self.kind,), max_age=self.max_age, every=self.every)

    def decide(self, view: View) -> Decision:
        """State exactly the best few."""
        best = view.ratings(self.kind).at_least(self.enter).top(self.top)
        exits = self.exits if self.stop is None else (*self.exits, FallBy(self.stop))
        if self.weights == "equal":
            place = Target(self.invest / self.top, exits, self.band)
            targets = dict.fromkeys(best, place)
        else:
            grades = dict(best.items())
            total = sum(grades.values())
            invest = self.invest * len(grades) / self.top
            targets = {a: Target(invest * grade / total, exits, self.band) for a, grade in grades.items()}
        return Decision.exactly(targets, unknown=HOLD) if self.unknown == "hold" else Decision.exactly(targets)
