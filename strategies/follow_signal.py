"""FollowSignal: do what the vendor's buy and sell signals say."""

from dataclasses import dataclass
from typing import Literal

from strategies.parameters import Size, check_assets, check_choice, check_common, check_duration, check_size
from trader import Decision, Exit, Target, View, Wants, duration


@dataclass(frozen=True, slots=True)
class FollowSignal:
    """Long while the newest signal is above 0, flat at 0 and below (spot has no short side).

    Thesis: the vendor's signal has the direction right more often than the costs require. A signal older than `ttl` (from
    its issue) no longer opens or increases; a late signal to leave is obeyed. mode="state" re-applies the newest fresh
    state of every asset at each wake, so it buys again what a stop sold; mode="flip" acts once, on the assets whose signal
    just arrived. Exits that come with a signal replace the own ones. It costs one round trip per pair of flips.
    It should fail when signals come late in the move, flip often in sideways markets, or are published after the fact.
    """

    kind: str = "trading_signal"
    mode: Literal["state", "flip"] = "state"
    size: Size = 0.1
    ttl: str | None = None  # how long after its issue a signal may still open; none = for ever
    exits: tuple[Exit, ...] = ()
    band: float = 0.0
    assets: tuple[str, ...] | None = None  # only these; none = every asset that has a signal

    def __post_init__(self) -> None:
        check_choice(self, "mode", ("state", "flip"))
        check_size(self)
        check_common(self)
        check_assets(self)
        if self.ttl is not None:
            check_duration(self, "ttl")

    @property
    def wants(self) -> Wants:
        """Every new signal."""
        return Wants(signals=(self.kind,))

    def decide(self, view: View) -> Decision:
        """Long what is signalled and fresh, flat what is signalled away."""
        ttl = None if self.ttl is None else duration(self.ttl)
        targets: dict[str, Target | float | Size] = {}
        for asset in view.assets if self.mode == "state" else view.wake.assets:
            signal = view.signal(asset, self.kind)
            if signal is None or (self.assets is not None and asset not in self.assets):
                continue
            if signal.value <= 0:
                targets[asset] = 0.0
            elif signal.value > 0 and (ttl is None or duration(view.now - signal.as_of) <= ttl):
                targets[asset] = Target(self.size, signal.exits or self.exits, self.band)
        return Decision.change(targets)
