"""IndexMirror: hold what a published index holds."""

from dataclasses import dataclass
from typing import Literal

from strategies.parameters import check_choice, check_common, check_share
from trader import Decision, Exit, Target, View, Wants


@dataclass(frozen=True, slots=True)
class IndexMirror:
    """Follow the weights of the latest publication, read as ratings of `kind`; what it no longer lists goes.

    Thesis: the index's makers choose and weigh well, and copying them costs less than their fund. Weights are shares
    (unit="share") or percent; a publication that sums to more than the whole is scaled down to it; assets that cannot be
    traded here stay cash. It costs the turnover of each publication; `band` leaves small differences alone. It should
    fail when others trade the same list before us, when its small members are thin, and when publications stop:
    after `max_age` everything goes.
    """

    kind: str = "index_weight"
    invest: float = 0.98  # share of equity put to work; the rest pays fees and gaps
    band: float = 0.0
    exits: tuple[Exit, ...] = ()
    max_age: str = "35d"
    unit: Literal["share", "percent"] = "share"

    def __post_init__(self) -> None:
        check_share(self, "invest")
        check_choice(self, "unit", ("share", "percent"))
        check_common(self)

    @property
    def wants(self) -> Wants:
        """Each publication."""
        return Wants(ratings=(self.kind,), max_age=self.max_age)

    def decide(self, view: View) -> Decision:
        """State exactly the published weights."""
        whole = 100.0 if self.unit == "percent" else 1.0
        listed = {asset: weight for asset, weight in view.ratings(self.kind).latest().items() if weight > 0.0}
        scale = self.invest / max(whole, sum(listed.values()))
        return Decision.exactly({a: Target(weight * scale, self.exits, self.band) for a, weight in listed.items()})
