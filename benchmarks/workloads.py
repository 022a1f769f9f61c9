"""The four workloads: what is traded by which rule, on data made with fixed seeds, and what a plain loop makes of it.

Numpy only, so that every peer's environment can import it. A decision is made at a bar's close and filled at the next open, a fee is
a share of the notional, positions are marked at the last close, fills are counted.
"""

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COLUMNS = ("open", "high", "low", "close", "volume")
START_NS = 1_609_459_200_000_000_000  # 2021-01-01 UTC
HOUR, MINUTE = 3_600_000_000_000, 60_000_000_000
DAY_BARS = 24


@dataclass(frozen=True)
class Work:
    """One workload: its size and its terms."""

    name: str
    bars: int
    step_ns: int
    cash: float
    fee: float
    assets: int = 1
    units: float = 0.0
    flips: int = 0
    top: int = 10
    least: float = 70.0
    invest: float = 0.98
    stop: float = 0.10
    goal: float = 0.25
    grid: int = 50  # thresholds on either side
    fast: int = 20
    slow: int = 50

    def scaled(self, share: float) -> "Work":
        """The same with more or fewer bars."""
        whole = DAY_BARS if self.name in {"W2", "W3"} else 1
        bars = int(self.bars * share) // whole * whole
        return Work(**{**vars(self), "bars": bars, "flips": int(self.flips * share)})

    def thresholds(self) -> tuple[np.ndarray, np.ndarray]:
        """The pairs (enter, leave) of a sweep."""
        enter, leave = np.linspace(50.0, 94.0, self.grid), np.linspace(6.0, 49.0, self.grid)
        return np.repeat(enter, self.grid), np.tile(leave, self.grid)


WORKS = {
    work.name: work
    for work in (
        Work("W1", 1_000_000, MINUTE, 100_000.0, 0.001, units=10.0, flips=1_000),
        Work("W2", 26_280, HOUR, 1_000_000.0, 0.002, assets=200),
        Work("W3", 26_280, HOUR, 100_000_000.0, 0.002),
        Work("W4", 500_000, MINUTE, 100_000.0, 0.001, units=1.0),
    )
}


def walk(rng: np.random.Generator, count: int, spread: float, start: float) -> list[np.ndarray]:
    """Random open, high, low, close and volume, with a small gap between a close and the next open."""
    moves, gaps = rng.normal(0, spread, count), rng.normal(0, spread / 10, count)
    level = np.log(start) + np.cumsum(moves + gaps)
    close, opened = np.exp(level), np.exp(level - moves)
    above, below = (1 + np.abs(rng.normal(0, spread / 2, count)) * sign for sign in (1, -1))
    high, low = np.maximum(opened, close) * above, np.minimum(opened, close) * below
    return [opened, high, low, close, rng.gamma(2.0, 50.0, count) + 1.0]


def slow_noise(rng: np.random.Generator, shape: tuple[int, ...], keep: float) -> np.ndarray:
    """Standard noise of which each row keeps this share of the one before."""
    found = rng.standard_normal(shape)
    for row in range(1, len(found)):
        found[row] = keep * found[row - 1] + np.sqrt(1 - keep**2) * found[row]
    return found


def make(work: Work) -> dict[str, np.ndarray]:
    """The columns of a workload: prices (of W2 [asset, time]), and what it is told."""
    rng = np.random.default_rng(int(work.name[1:]))
    days = work.bars // DAY_BARS
    if work.name == "W2":
        assets = [walk(rng, work.bars, 0.006, float(rng.uniform(1, 400))) for _ in range(work.assets)]
        data = {name: np.stack([one[i] for one in assets]) for i, name in enumerate(COLUMNS)}
        mood, own = slow_noise(rng, (days, 1), 0.97), slow_noise(rng, (days, work.assets), 0.97)
        return {**data, "rating": 100 / (1 + np.exp(2.0 - 1.4 * mood - 1.0 * own))}
    data = dict(zip(COLUMNS, walk(rng, work.bars, 0.009 if work.name == "W3" else 0.0006, 100.0), strict=True))
    if work.name == "W1":
        at = np.sort(rng.choice(np.arange(10, work.bars - 10), work.flips, replace=False))
        changes = np.zeros(work.bars, np.int8)
        changes[at] = np.where(np.arange(work.flips) % 2 == 0, 1, -1)
        data["state"] = np.cumsum(changes, dtype=np.int8)
    if work.name == "W3":
        data["rating"] = 100 / (1 + np.exp(-1.7 * slow_noise(rng, (days, 1), 0.9)[:, 0]))
    return data


def saved(work: Work, folder: Path) -> Path:
    """Write the columns of a workload, unless they are there, for the peers to read."""
    path = folder / f"{work.name}-{work.bars}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, **make(work))
    return path


def average(values: np.ndarray, count: int) -> np.ndarray:
    """The mean of the last `count` values, each window added up by itself."""
    sums = np.lib.stride_tricks.sliding_window_view(values, count).sum(axis=1)
    return np.concatenate((np.full(count - 1, np.nan), sums / count))


def plain(work: Work, data: dict[str, np.ndarray]) -> dict[str, tuple[float, int]]:
    """Final equity and fills by a plain loop, with the variants that the rules of some peers call for."""
    if work.name == "W2":
        return {"": rotate(work, data)}
    if work.name == "W3":
        return {"": sweep(work, data), "no entry on a bar that stopped": sweep(work, data, same_bar=False)}
    if work.name == "W1":
        wanted = data["state"].astype(bool)
    else:
        fast, slow = average(data["close"], work.fast), average(data["close"], work.slow)
        over, under, wanted = (fast > slow).tolist(), (fast < slow).tolist(), []
        is_in = False
        for up, down in zip(over, under, strict=True):  # level on level changes nothing
            is_in = up or (is_in and not down)
            wanted.append(is_in)
    return {"": hold(work, data, wanted, all_in=False), "all in": hold(work, data, wanted, all_in=True)}


def hold(work, data, wanted, *, all_in: bool) -> tuple[float, int]:
    """One asset, held at the open after each bar at whose close it is wanted."""
    cash, held, fills = work.cash, 0.0, 0
    for want, price in zip(list(wanted)[:-1], data["open"][1:].tolist(), strict=True):
        if want and not held:
            held = cash / (price * (1 + work.fee)) if all_in else work.units
            cash, fills = cash - held * price * (1 + work.fee), fills + 1
        elif held and not want:
            cash, held, fills = cash + held * price * (1 - work.fee), 0.0, fills + 1
    return cash + held * float(data["close"][-1]), fills


def rotate(work, data) -> tuple[float, int]:
    """The best-rated few in equal parts, rebalanced at the second open of each day."""
    cash, fills, held = work.cash, 0, {}
    for day, ratings in enumerate(data["rating"]):
        bar = day * DAY_BARS
        closes, opens = data["close"][:, bar], data["open"][:, bar + 1]
        best = sorted(range(work.assets), key=lambda asset: (-ratings[asset], asset))[: work.top]
        equity = cash + sum(held[asset] * closes[asset] for asset in held)
        wanted = {a: work.invest / work.top * equity / closes[a] for a in best if ratings[a] >= work.least}
        changes = {a: wanted.get(a, 0.0) - held.get(a, 0.0) for a in {*held, *wanted}}
        for asset, change in sorted(changes.items(), key=lambda item: item[1]):  # sells first
            cash -= change * opens[asset] + abs(change) * opens[asset] * work.fee
            fills += 1
        held = wanted
    return float(cash + sum(held[asset] * data["close"][asset, -1] for asset in held)), fills


def sweep(work, data, *, same_bar: bool = True) -> tuple[float, int]:
    """All pairs of thresholds, all in: after each entry the first bar at the stop or the goal is looked up in a table."""
    opens, closes = data["open"].tolist(), data["close"]
    ends = [_ends(work, data, day * DAY_BARS + 1) for day in range(len(data["rating"]))]
    total, fills = 0.0, 0
    for enter, leave in zip(*work.thresholds(), strict=True):
        ins, outs = np.flatnonzero(data["rating"] >= enter).tolist(), np.flatnonzero(data["rating"] <= leave).tolist()
        cash, day = work.cash, 0
        while (at := bisect_left(ins, day)) < len(ins):
            day = ins[at]
            held = cash / (opens[day * DAY_BARS + 1] * (1 + work.fee))
            fills += 1
            hit, price = ends[day]
            at = bisect_left(outs, day + 1)
            left = outs[at] * DAY_BARS + 1 if at < len(outs) else work.bars
            if left <= hit and left < work.bars:
                price, day = opens[left], outs[at] + 1
            elif hit < work.bars:
                day = -(-hit // DAY_BARS) if same_bar or hit % DAY_BARS else hit // DAY_BARS + 1
            else:
                cash = held * float(closes[-1])
                break
            cash, fills = held * price * (1 - work.fee), fills + 1
        total += cash
    return total, fills


def _ends(work, data, bar: int) -> tuple[int, float]:
    """The first bar from an entry on that is at the stop or at the goal, and the price there."""
    entry = float(data["open"][bar])
    stop, goal = entry * (1 - work.stop), entry * (1 + work.goal)
    found = (data["low"][bar:] <= stop) | (data["high"][bar:] >= goal)
    at = bar + int(found.argmax())
    if not found[at - bar]:
        return work.bars, 0.0
    opened = float(data["open"][at])
    return at, min(opened, stop) if data["low"][at] <= stop else max(opened, goal)
