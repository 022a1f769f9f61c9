"""RegimeGate: any strategy, but cash while the market as a whole is called bearish."""

from dataclasses import dataclass, replace

from strategies.parameters import check_common, check_number
from trader import MARKET, Decision, Strategy, View, Wants
from trader.core.conditions import signal


@dataclass(frozen=True, slots=True)
class RegimeGate:
    """Run `inner`, and hold nothing while the market's regime signal is under `bearish_below`.

    Thesis: most coins fall together, so a bearish market outweighs what is said of a single one. While the regime is
    bearish everything goes; no signal yet counts as not bearish. It wakes when `inner` does and when the regime changes
    sides. When the market turns up again, `inner` decides by its own rules: one that acts on new ratings only buys at
    the next of them. It costs a full round trip of all holdings per change of regime. It should fail when the regime
    is called late (selling lows, buying highs) or flips often.
    """

    inner: Strategy
    kind: str = "market_regime"
    bearish_below: float = 0.0

    def __post_init__(self) -> None:
        if not hasattr(self.inner, "wants") or not callable(getattr(self.inner, "decide", None)):
            raise ValueError(f"RegimeGate: inner = {self.inner!r} is no strategy; it needs wants and decide(view)")
        check_number(self, "bearish_below")
        check_common(self)

    @property
    def wants(self) -> Wants:
        """What `inner` wants, and changes of the regime.

        A strategy woken by arrivals is woken by the regime's arrival too; one woken by a period or by conditions gets one
        more condition, on the market's own signal.
        """
        wants = self.inner.wants
        merged = replace(wants, signals=tuple(dict.fromkeys((*wants.signals, self.kind))))
        if wants.every is None and not wants.conditions:
            return merged
        regime = signal(self.kind)
        turn = (regime < self.bearish_below).turns() | (regime >= self.bearish_below).turns()
        return replace(merged, when=turn if wants.when is None else wants.when | turn)

    def decide(self, view: View) -> Decision:
        """Nothing while bearish, otherwise what `inner` decides."""
        regime = view.signal(MARKET, self.kind)
        if regime is not None and regime.value < self.bearish_below:
            return Decision.exactly({}, why="bearish")
        return self.inner.decide(view)
