"""RatingBand: hold an asset while its rating is high, one asset at a time and each by itself."""

from dataclasses import dataclass, field

from strategies.parameters import Size, check_assets, check_common, check_number, check_size
from trader import Decision, Exit, Target, View, Wants
from trader.core.conditions import rating


@dataclass(frozen=True, slots=True)
class RatingBand:
    """Buy when the rating is at or over `enter`, leave when it is at or under `leave`.

    Thesis: a vendor's high rating precedes a rise that lasts until the rating has clearly fallen; the gap between the two
    levels keeps small wobbles from costing fees. It acts on an asset only when a new rating of it becomes known, by level:
    after a stop the next rating at or over `enter` buys again. It costs one round trip per visit over the band.
    It should fail where ratings follow the price (it buys late and leaves late), in markets that fall at once and
    together, and where the rating is stale: a day's delay may cost all of the edge.
    """

    enter: float = 70.0
    leave: float = 50.0
    kind: str = "trader_grade"
    size: Size = 0.1
    exits: tuple[Exit, ...] = ()
    band: float = 0.0
    assets: tuple[str, ...] | None = None  # only these; none = every asset that has a rating
    max_age: str = "3d"
    place: Target = field(init=False, repr=False, compare=False)  # made once: it is hot

    def __post_init__(self) -> None:
        check_number(self, "enter")
        check_number(self, "leave")
        if not self.leave < self.enter:
            raise ValueError(f"RatingBand: leave = {self.leave!r} must be under enter = {self.enter!r}")
        check_size(self)
        check_common(self)
        check_assets(self)
        object.__setattr__(self, "place", Target(self.size, self.exits, self.band))

    @property
    def wants(self) -> Wants:
        """Each new rating at or beyond a level."""
        grade = rating(self.kind)
        return Wants(
            ratings=(self.kind,), max_age=self.max_age, when_flat=grade >= self.enter, when_held=grade <= self.leave
        )

    def decide(self, view: View) -> Decision:
        """Open at or over `enter`, close at or under `leave`, for the assets with a new rating."""
        ratings = view.ratings(self.kind)
        targets: dict[str, Target | float | Size] = {}
        for asset in view.wake.assets:
            grade = ratings.get(asset)
            if grade is None or (self.assets is not None and asset not in self.assets):
                continue
            if grade <= self.leave:
                targets[asset] = 0.0
            elif grade >= self.enter and not view.holds(asset):
                targets[asset] = self.place
        return Decision.change(targets)
