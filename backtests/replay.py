"""Replay a strategy over a tape through the engine that trades.

The notebook's face: one call, one mount, one result. Nothing here decides or fills; it plugs parts together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from backtests import compiled as quick
from backtests import machine, rebalance, solo
from backtests.player import Player, StrategyError
from backtests.result import Result
from trader.core.book import Mount
from trader.core.costs import Costs
from trader.core.engine import Engine
from trader.core.history import History
from trader.core.instants import duration
from trader.core.instruments import Terms, exactly, plainly
from trader.core.matching import Tariff
from trader.core.risk import Gate, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from backtests.tape import Tape
    from trader.core.view import Strategy

MODES = ("resting", "next_open")


def replay(  # the notebook's face, one argument per assumption
    strategy: Strategy,
    tape: Tape,
    *,
    cash: float = 100_000.0,
    costs: Costs | None = None,
    latency: str | timedelta = "0s",
    exits: Literal["resting", "next_open"] = "resting",
    limits: Limits | None = None,
    exact: bool = False,
    compiled: bool | None = None,
    progress: Callable[[float], None] | None = None,
) -> Result:
    """Replay the strategy and return what it did.

    cash: quote money at the start. latency: from decision to eligibility for a fill. exits: `resting` fills price exits at
    their level inside the bar, `next_open` at the next open. limits: none unless given. exact: keep the ledger in
    Decimal. compiled: take plain steps in machine code (needs numba, the extra `fast`; the same answers), None: where that
    was made ready before, by another replay or a large sweep. progress: called with the share done. Raises ValueError on
    arguments out of range, TypeError on another kind of thing, StrategyError when the strategy raises.
    """
    _check_kinds(strategy, tape, costs, limits)
    if not cash > 0 or cash == float("inf"):
        raise ValueError(f"cash = {cash!r} must be over 0 and finite")
    if exits not in MODES:
        raise ValueError(f"exits = {exits!r} is unknown; allowed are {' and '.join(MODES)}")
    latency_ns = duration(latency)
    if latency_ns < 0:
        raise ValueError(f"latency = {latency!r} must not be negative")
    tape.require(getattr(strategy, "assets", None) or ())
    costs = costs or Costs()
    number = exactly if exact else plainly
    panel = tape.panel
    venues = {one.venue for one in tape.instruments.values()} or {"tape"}
    terms: dict[str, Sequence[Terms]] = {
        name: [Terms(one, costs.fee_on_buy, number)] for name, one in tape.instruments.items()
    }
    start, zero = number(cash), number(0)
    mount = Mount("replay", terms, {venue: start if venue == min(venues) else zero for venue in sorted(venues)}, zero)
    history = History(panel, number, {"ratings": tuple(panel.ratings), "signals": tuple(panel.signals)})
    gate = Gate(limits) if limits is not None and limits.given() else None
    engine = Engine(strategy, mount, history, number, gate)
    player = Player(
        engine, panel, history, Tariff(costs, number), latency_ns=latency_ns, rests=exits == "resting", strategy=strategy,
        losses={name: one.delisting_loss for name, one in tape.instruments.items()}, number=number, start_cash=start,
        progress=progress,
    )  # fmt: skip
    if rebalance.fits(player):
        engine.rebalance = rebalance.Rebalance(player)
    if compiled:
        machine.ready()
    if solo.fits(player):
        player.quick = solo.play
        if compiled is not False and machine.is_ready() and quick.fits(player):
            player.quick = quick.Compiled(machine.ready())
    player.run()
    return Result(
        strategy=strategy, tape=tape, costs=costs, latency_ns=latency_ns, exits=exits, limits=limits, cash_start=float(cash),
        exact=exact, engine=engine, log=player.log,
    )  # fmt: skip


def _check_kinds(strategy: object, tape: object, costs: object, limits: object) -> None:
    """Raise TypeError on what is easily handed over by mistake, with what to write instead."""
    if isinstance(strategy, type):
        raise TypeError(f"strategy = {strategy.__name__} is a class; give one of it, such as {strategy.__name__}()")
    if not hasattr(strategy, "decide"):
        raise TypeError(f"strategy = {strategy!r} is no strategy; it needs wants and decide(view)")
    if not hasattr(tape, "panel"):
        raise TypeError(f"tape = {tape!r} is no tape; make one with Tape.from_frames(bars, ratings) or Tape.read(...)")
    if costs is not None and not isinstance(costs, Costs):
        raise TypeError(f"costs = {costs!r} are no Costs; write Costs(fee=0.001), a share of what is traded")
    if limits is not None and not isinstance(limits, Limits):
        raise TypeError(f"limits = {limits!r} are no Limits; write Limits(...)")


__all__ = ["StrategyError", "replay"]
