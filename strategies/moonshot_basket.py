"""MoonshotBasket: join short-lived picks when they begin, leave when they end."""

from dataclasses import dataclass

from strategies.parameters import Size, check_common, check_count, check_duration, check_share
from trader import After, Decision, Exit, Target, View, Wants, duration


@dataclass(frozen=True, slots=True)
class MoonshotBasket:
    """Hold at most `most` assets whose state `kind` is over 0, each from its begin to its end.

    Thesis: a vendor's short-lived picks rise soon after they are named, so what counts is to be there early and to leave in time.
    Each gets invest / most; one that is older than `join` is not run after, and what came first is served first. It leaves when the
    vendor ends it, or `hold` after its first fill, whichever is earlier; a place is free again when its pick ends, also after a stop.
    It costs one round trip per pick. It should fail when picks are named after the rise, in thin markets whose spread eats
    it, and when the vendor ends a loser later than a winner.
    """

    kind: str = "moonshot"
    most: int = 10
    invest: float = 0.98  # share of equity put to work when all places are taken; the rest pays fees and gaps
    join: str = "1d"  # how long after its begin a pick may still be joined
    hold: str | None = "30d"  # how long at most; none = until the vendor ends it
    exits: tuple[Exit, ...] = ()

    def __post_init__(self) -> None:
        check_count(self, "most")
        check_share(self, "invest")
        check_duration(self, "join")
        if self.hold is not None:
            check_duration(self, "hold")
        check_common(self)

    @property
    def wants(self) -> Wants:
        """Each begin and each end."""
        return Wants(signals=(self.kind,))

    def decide(self, view: View) -> Decision:
        """Leave what ended, and join what began, as far as there is room; `memo` keeps which picks were joined."""
        before = set(view.memo) if isinstance(view.memo, list | tuple) else set[str]()
        told = {asset: one for asset in view.assets if (one := view.signal(asset, self.kind)) is not None}
        on = {asset: one for asset, one in told.items() if one.value > 0}
        joined = {asset for asset in before if asset in on or asset not in told}
        fresh = [
            (one.as_of, asset) for asset, one in on.items()
            if asset not in joined and duration(view.now - one.as_of) <= duration(self.join)
        ]  # fmt: skip
        new = [asset for _, asset in sorted(fresh)[: max(self.most - len(joined), 0)]]
        exits = self.exits if self.hold is None else (*self.exits, After(self.hold))
        ended = [asset for asset in told if asset not in on and (asset in before or view.holding(asset) is not None)]
        targets: dict[str, Target | float | Size] = dict.fromkeys(ended, 0.0)
        targets |= dict.fromkeys(new, Target(self.invest / self.most, exits))
        decision = Decision.change(targets)
        return decision if not new and joined == before else decision.remember(sorted(joined | set(new)))
