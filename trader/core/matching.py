"""Matching: at which price and how much trades, given a bar; used by the replay, the paper venue and the loopback.

Everything is on the pessimistic side: half spread, impact and tick against us, stops before goals.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trader.core.costs import Costs
from trader.core.exits import STOPS, TOUCH, Exit, FallBy, FallTo, RiseBy, RiseTo, TrailBy
from trader.core.instruments import Converter, Number, Terms

Floats = NDArray[np.float64]
NONE: Floats = np.empty(0)


class Tariff:
    """Costs in the numbers of one run."""

    __slots__ = ("down", "fee", "half_spread", "impact", "one", "participation", "up")

    def __init__(self, costs: Costs, number: Converter) -> None:
        self.one = number(1)
        self.fee = number(costs.fee)
        self.half_spread = number(costs.half_spread)
        self.up, self.down = self.one + self.half_spread, self.one - self.half_spread
        self.impact = number(costs.impact) if costs.impact else None
        self.participation = None if costs.participation is None else number(costs.participation)

    def price(self, mid: Number, side: int, terms: Terms, share: Number | None = None) -> Number:
        """The price paid (side 1) or got (side -1) at a mid price, taking this share of the bar's volume."""
        away = self.half_spread
        if self.impact is not None and share is not None:
            away = away + self.impact * share
        if side > 0:
            price = mid * (self.one + away)
            return price if terms.tick is None else terms.tick.ceil(price)
        price = mid * (self.one - away)
        return price if terms.tick is None else terms.tick.floor(price)


def reach(exit_: Exit, number: Converter) -> tuple[str, Number]:
    """What the level of a price exit is a share of (`entry`, `peak`, or nothing: a price), and the share or price."""
    match exit_:
        case FallBy(by):
            return "entry", 1 - number(by)
        case TrailBy(by):
            return "peak", 1 - number(by)
        case RiseBy(by):
            return "entry", 1 + number(by)
        case FallTo(price) | RiseTo(price):
            return "", number(price)
    raise TypeError(f"{exit_!r} has no price level")


def level(exit_: Exit, entry: Number, peak: Number, number: Converter) -> Number:
    """The price of a price exit, for a holding's entry price and peak."""
    of, share = reach(exit_, number)
    return entry * share if of == "entry" else peak * share if of else share


def hits(
    exits: Sequence[tuple[int, Exit, Number]], bar_open: Number, low: Number, high: Number
) -> list[tuple[int, Exit, Number]]:
    """The exits, as (number, exit, level), that a bar hits, each with its price, in the order in which they act.

    Stops come first, the highest first, then goals, the lowest first. An open at or beyond the level is the price.
    """
    bottom, top, stops, goals = float(low), float(high), [], []
    for item in exits:
        at = float(item[2])
        if isinstance(item[1], STOPS):
            if bottom <= at * (1 + TOUCH):
                stops.append(item)
        elif top >= at * (1 - TOUCH):
            goals.append(item)
    if len(stops) > 1:
        stops.sort(key=lambda item: (-item[2], item[0]))
    if len(goals) > 1:
        goals.sort(key=lambda item: (item[2], item[0]))
    return [(n, e, min(bar_open, at)) for n, e, at in stops] + [(n, e, max(bar_open, at)) for n, e, at in goals]


class Search:
    """Finds, bar after bar in bounded windows, the first bar that hits any exit of a holding.

    stop, goal: the nearest fixed levels (-inf, inf = none). trail: the smallest share of the trailing exits (None =
    none); its peak moves on closed bars, and a bar is tested against the peak before it.
    """

    __slots__ = ("at", "chunk", "clean", "first", "goal", "hit", "is_both", "is_stop", "peak", "stop", "trail")

    def __init__(self, first: int, stop: float, goal: float, trail: float | None, peak: float) -> None:
        self.first = self.clean = first
        self.stop = stop * (1 + TOUCH)
        self.goal = goal * (1 - TOUCH)
        self.trail = None if trail is None else (1 - trail) * (1 + TOUCH)
        self.peak = peak
        self.hit = -1
        self.at: Number | None = None  # the price at the hit, once somebody has worked it out
        self.is_stop = self.is_both = False  # whether it is a stop's, and whether a goal was in range too
        self.chunk = 128

    def look(self, low: Floats, high: Floats, tops: Floats, upto: int) -> None:
        """Search bars before `upto`; sets `hit`, or `clean` = the first bar not yet searched.

        low, high: NaN where a bar can hit nothing; its top moves the peak all the same.
        """
        while self.clean < upto and self.hit < 0:
            begin = self.clean
            end = min(begin + self.chunk, upto)
            lows, highs = low[begin:end], high[begin:end]
            peaks = NONE
            found = (lows <= self.stop) | (highs >= self.goal)
            if self.trail is not None:
                peaks = np.fmax.accumulate(np.concatenate(([self.peak], tops[begin:end])))
                found |= lows <= peaks[:-1] * self.trail
            at = int(found.argmax())
            if found[at]:
                self.hit = begin + at
            else:
                self.clean = end
                self.chunk = min(self.chunk * 2, 16_384)
                if self.trail is not None:
                    self.peak = float(peaks[-1])
