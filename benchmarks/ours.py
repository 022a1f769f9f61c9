"""Our replay on one workload: the public interface, a bundled strategy, cold condition columns at each repeat.

python benchmarks/ours.py NAME SHARE FILE REPEATS [STYLE]     (`make bench` calls it; styles: curves, every-bar, and plain: without numba)
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import numpy as np
import pandas as pd
from timing import asked, seconds, tell
from workloads import COLUMNS, DAY_BARS, HOUR, START_NS, Work

from backtests import Costs, Result, Tape, machine, replay
from strategies import FollowSignal, RatingBand, SmaCross, TopRated
from trader import FallBy, Quote, RiseBy, Strategy, Units


def tape_of(work: Work, data: dict[str, np.ndarray]) -> Tape:
    """The checked tape of a workload."""
    names = [f"A{number:03d}" for number in range(work.assets)]
    opens = START_NS + work.step_ns * np.arange(work.bars)
    columns = {name: np.atleast_2d(data[name]).ravel() for name in COLUMNS}
    at = pd.to_datetime(np.tile(opens, work.assets), unit="ns", utc=True)
    bars = pd.DataFrame({"ts": at, "asset": np.repeat(names, work.bars), **columns})
    if "rating" in data:
        days = START_NS + DAY_BARS * work.step_ns * np.arange(len(data["rating"]))
        known = np.repeat(days + HOUR, work.assets)
        said = _said(
            np.tile(names, len(days)), "trader_grade", np.repeat(days, work.assets), known, data["rating"].ravel()
        )
        return Tape.from_frames(bars, said)
    if "state" in data:
        at = np.flatnonzero(np.diff(data["state"])) + 1
        known, value = opens[at] + work.step_ns, data["state"][at].astype(float)
        return Tape.from_frames(bars, signals=_said(["A000"] * len(at), "trading_signal", known, known, value))
    return Tape.from_frames(bars)


def _said(asset, kind, as_of, known, value) -> pd.DataFrame:
    times = {name: pd.to_datetime(ns, unit="ns", utc=True) for name, ns in (("as_of", as_of), ("known_at", known))}
    return pd.DataFrame({"asset": asset, "kind": kind, **times, "value": value})


def strategies_of(work: Work, style: str) -> list[Strategy]:
    """The bundled strategies with the workload's parameters."""
    if work.name == "W1":
        return [FollowSignal(size=Units(work.units))]
    if work.name == "W2":
        return [TopRated(top=work.top, enter=work.least, invest=work.invest)]
    if work.name == "W3":
        exits = FallBy(work.stop), RiseBy(work.goal)
        pairs = zip(*(side.tolist() for side in work.thresholds()), strict=True)
        return [RatingBand(enter, leave, size=Quote(float("inf")), exits=exits) for enter, leave in pairs]
    return [SmaCross(work.fast, work.slow, size=Units(work.units), every_bar="every-bar" in style)]


def once(work: Work, tape: Tape, strategies: list[Strategy], style: str = "") -> tuple[float, int, list[Result]]:
    """All replays of a workload from cold columns; final equity and fills, and where asked (or one run) the curves too."""
    tape.panel.forget()
    equity, fills, last = 0.0, 0, []
    costs = Costs(fee=work.fee, half_spread=0.0)
    for strategy in strategies:
        result = replay(strategy, tape, cash=work.cash, costs=costs, compiled="plain" not in style)
        if len(strategies) == 1 or "curves" in style:
            curve = result.curve
            if "curves" in style:
                _ = float((curve / np.maximum.accumulate(curve)).min())
        equity += result.final_equity
        fills += result.n_fills
        last = [result]
    return equity, fills, last


def main() -> None:
    """Time one workload."""
    work, data, repeats, style = asked()
    tape, strategies = tape_of(work, data), strategies_of(work, style)
    del data
    calls = count_calls(work, tape, strategies)
    if "plain" not in style:
        machine.ready()
    times, (equity, fills, _) = seconds(lambda: once(work, tape, strategies, style), repeats)
    tell("signal-trader", "signal-trader", times, equity, fills, calls=calls, style=style)


def count_calls(work: Work, tape: Tape, strategies: list[Strategy]) -> int:
    """How often `decide` is called in one pass, of all replays together; each wake must be one call."""
    kind = type(strategies[0])
    plain, calls = kind.decide, [0]

    def counted(self, view):
        calls[0] += 1
        return plain(self, view)

    kind.decide = counted
    try:
        wakes = sum(
            len(replay(one, tape, cash=work.cash, costs=Costs(fee=work.fee, half_spread=0.0)).decided)
            for one in strategies
        )
    finally:
        kind.decide = plain
    if calls[0] != wakes:
        raise SystemExit(f"{calls[0]} calls of decide, {wakes} wakes")
    return calls[0]


if __name__ == "__main__":
    main()
