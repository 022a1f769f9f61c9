"""Rules: a whole strategy written as conditions, for those who write YAML and no Python."""

from dataclasses import dataclass

from strategies.parameters import Size, check_common, check_size
from trader import Decision, Exit, Target, View, Wants
from trader.core.conditions import Column, Condition, parse, truth


@dataclass(frozen=True, slots=True)
class Rules:
    """Buy an asset when `enter` is true, leave it when `leave` is true; where both are, leave wins.

    Thesis: yours; write it beside the rule. Conditions are looked at whenever one of their columns has a new datum and act
    by level (write `turns(...)` for an edge); without `leave` only the exits sell. It costs one round trip per visit.
    It should fail, like every rule found by looking back, on data it was not found on.
    """

    enter: Condition | str
    leave: Condition | str | None = None
    size: Size = 0.1
    exits: tuple[Exit, ...] = ()
    band: float = 0.0
    max_age: str = "3d"

    def __post_init__(self) -> None:
        object.__setattr__(self, "enter", _condition("enter", self.enter))
        if self.leave is not None:
            object.__setattr__(self, "leave", _condition("leave", self.leave))
        check_size(self)
        check_common(self)

    @property
    def wants(self) -> Wants:
        """New data at which `enter` or `leave` is true; the ratings and signals they name may be read."""
        enter, leave = self._conditions
        sources = dict.fromkeys((*enter.sources, *(() if leave is None else leave.sources)))
        signals = tuple(kind for source, kind in sources if source == "signal")
        ratings = dict.fromkeys(kind for source, kind in sources if source in {"rating", "age"})
        return Wants(
            ratings=tuple(kind for kind in ratings if kind not in signals or ("rating", kind) in sources),
            signals=signals,
            max_age=self.max_age,
            when_flat=enter,
            when_held=leave,
            columns=self._columns,
        )

    def decide(self, view: View) -> Decision:
        """Leave or open, for the assets with a new datum."""
        columns = self._columns
        targets: dict[str, Target | float | Size] = {}
        for asset in view.wake.assets:
            if len(columns) == 2 and view.value(columns[1], asset) == 1.0:
                targets[asset] = 0.0
            elif view.value(columns[0], asset) == 1.0 and view.holding(asset) is None:
                targets[asset] = Target(self.size, self.exits, self.band)
        return Decision.change(targets)

    @property
    def _conditions(self) -> tuple[Condition, Condition | None]:
        leave = None if self.leave is None else _condition("leave", self.leave)
        return _condition("enter", self.enter), leave

    @property
    def _columns(self) -> tuple[Column, ...]:
        return tuple(truth(condition) for condition in self._conditions if condition is not None)


def _condition(name: str, given: Condition | str) -> Condition:
    try:
        found = parse(given) if isinstance(given, str) else given
    except ValueError as error:
        raise ValueError(f"Rules: {name}: {error}") from error
    if not isinstance(found, Condition):
        raise ValueError(f"Rules: {name} = {given!r} is no condition; compare it with something, such as {given} > 0")
    return found
