"""The figures of a replay, each defined here once by its formula.

Pure functions of columns: an equity curve with the closes of its bars, and the fills. They know no tape, strategy or
frame, so that a sweep can call them thousands of times. What is not defined (a Sharpe ratio without any spread of
returns, a hit rate without trades) is NaN, never a flattering zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Instants = npt.NDArray[np.int64]

DAY_NS = 86_400_000_000_000
YEAR_NS = 365 * DAY_NS
# Below this a spread of returns or a drawdown is the rounding of float64, not a figure.
NOISE = 1e-14
# A holding smaller than this share of the trip's largest is the rounding of float64: flat.
REST = 1e-9
# A trip before its first fill: held, cost, largest held, realised.
FLAT = (0.0, 0.0, 0.0, 0.0)
# Bars worked on at a time: their columns stay in the processor's cache, which is several times faster.
BLOCK = 8_192


def measure(equity: Floats, closes_ns: Instants, step_ns: int, *, cash_start: float | None = None) -> dict[str, float]:
    """Measure an equity curve taken at bar closes.

    With E the equity, r[i] = E[i] / E[i-1] - 1, N the bars per year = 365 days / step, and P[i] = max(E[0..i]):

    - total_return = E[last] / E[0] - 1
    - cagr = (E[last] / E[0]) ** (1 / years) - 1, years by the clock from the first point to the last, of 365 days
      (a run of a few days gives a wild figure: it is a rate, not a forecast); -1 when all is lost
    - volatility = std(r, ddof=1) * sqrt(N)
    - sharpe = mean(r) / std(r, ddof=1) * sqrt(N), risk-free rate 0
    - sortino = mean(r) / sqrt(mean(min(r, 0) ** 2)) * sqrt(N), target 0
    - max_drawdown = min(E / P - 1), zero or negative
    - max_drawdown_days = the longest time from a peak's close until equity is back at it, or until the end
    - calmar = cagr / -max_drawdown

    `cash_start`, when given, is the point before the first bar, one step earlier: then costs and moves of the first
    bar count too. A bar after equity has come to zero or less has the return 0.
    """
    if not equity.size:
        return dict.fromkeys(MEASURES, math.nan)
    first, first_ns = float(equity[0]), int(closes_ns[0])
    if cash_start is not None:
        first, first_ns = float(cash_start), first_ns - step_ns
    years = float(closes_ns[-1] - first_ns) / YEAR_NS
    growth = float(equity[-1]) / first if first > 0.0 else math.nan
    mean, spread, downside = _moments(equity, cash_start)
    per_year = math.sqrt(YEAR_NS / step_ns)
    deepest, longest_ns = _drawdown(equity, closes_ns, first, first_ns=first_ns)
    cagr = _yearly(growth, years)
    return {
        "total_return": growth - 1.0,
        "cagr": cagr,
        "volatility": spread * per_year,
        "sharpe": _ratio(mean, spread) * per_year,
        "sortino": _ratio(mean, downside) * per_year,
        "calmar": _ratio(cagr, -deepest),
        "max_drawdown": deepest,
        "max_drawdown_days": longest_ns / DAY_NS,
    }


MEASURES = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "max_drawdown_days",
)


@dataclass(frozen=True, slots=True)
class FillColumns:
    """Fills in the order in which they happened, one column per field, all of one length."""

    asset: Sequence[str]
    side: Sequence[str]
    quantity: Sequence[float] | Floats
    price: Sequence[float] | Floats
    fee: Sequence[float] | Floats
    fee_asset: Sequence[str]


def trades(
    fills: FillColumns,
    *,
    equity_mean: float,
    years: float,
    lots: Mapping[str, float] | None = None,
    minimums: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Measure the fills as round trips, each from flat to flat in one asset.

    The cost of a holding is an average: a buy adds quantity * price and a fee in quote money; a fee taken in the asset
    itself makes the holding smaller instead. A sell of the share s of the holding realises
    quantity * price - fee - s * cost. A trip's profit is the sum of what it realised; it ends when nothing is left that
    could be sold: less than 1e-9 of its largest holding, less than the asset's lot (`lots`), or worth less than its
    least notional at the fill's price (`minimums`). What is left so stays owned, at its cost, for the next trip. A
    trip still open at the end is not counted.

    - n_trades = closed trips
    - hit_rate = trips with a profit above 0 / n_trades
    - profit_factor = sum of the gains / -sum of the losses, infinite without a loss, NaN without either
    - turnover = sum(quantity * price) / equity_mean / years: how often a year the equity is traded, buys plus sells
    - fees = sum of fees in quote money; one taken in the asset is valued at its fill's price
    - n_fills = the fills
    """
    ends, fees = _round_trips(fills, lots or {}, minimums or {})
    profits = [profit for _, profit in ends]
    gains = math.fsum(profit for profit in profits if profit > 0.0)
    losses = -math.fsum(profit for profit in profits if profit < 0.0)
    notional = float(np.dot(np.asarray(fills.quantity, np.float64), np.asarray(fills.price, np.float64)))
    factor = gains / losses if losses > 0.0 else (math.inf if gains > 0.0 else math.nan)
    return {
        "hit_rate": sum(profit > 0.0 for profit in profits) / len(profits) if profits else math.nan,
        "profit_factor": factor,
        "n_trades": len(profits),
        "turnover": notional / equity_mean / years if equity_mean > 0.0 and years > 0.0 else math.nan,
        "fees": math.fsum(fees),
        "n_fills": len(fills.asset),
    }


def round_trips(
    fills: FillColumns, lots: Mapping[str, float] | None = None, minimums: Mapping[str, float] | None = None
) -> list[tuple[int, float]]:
    """Give the closed trips in the order of their ends, as `trades` counts them: the number of the fill that ends each, and its profit."""
    return _round_trips(fills, lots or {}, minimums or {})[0]


def daily_returns(equity: Floats, closes_ns: Instants, cash_start: float) -> tuple[Instants, Floats]:
    """Give the UTC days of a curve (its own bars where they are longer), as the instants of their last closes, and the return of each.

    A close at midnight ends the day before. The first day begins with `cash_start`; after equity has come to zero a day returns 0.
    """
    day = (closes_ns - 1) // DAY_NS
    ends = np.flatnonzero(np.append(day[1:] != day[:-1], True))
    before = np.concatenate(([cash_start], equity[ends][:-1]))
    return closes_ns[ends], np.where(before > 0.0, equity[ends] / np.where(before > 0.0, before, 1.0) - 1.0, 0.0)


def span_years(closes_ns: Instants, step_ns: int) -> float:
    """Give the years of 365 days from the open of the first bar to the close of the last."""
    return float(closes_ns[-1] - closes_ns[0] + step_ns) / YEAR_NS if closes_ns.size else 0.0


def is_in_kind(asset: str, fee_asset: str) -> bool:
    """Tell whether a fee was taken in the asset itself, which may be named as `VENUE:BASE/QUOTE`."""
    return fee_asset == asset or fee_asset == asset.rpartition(":")[2].partition("/")[0]


def _moments(equity: Floats, cash_start: float | None) -> tuple[float, float, float]:
    """Mean, deviation and downside deviation of the per-bar returns."""
    count, mean, squares, below_squares = 0, 0.0, 0.0, 0.0
    if cash_start is not None and cash_start > 0.0:
        count, mean = 1, float(equity[0]) / cash_start - 1.0
        below_squares = min(mean, 0.0) ** 2
    ends = int(np.argmax(equity <= 0.0)) if float(equity.min()) <= 0.0 else equity.size
    for start in range(0, equity.size - 1, BLOCK):
        returns = _returns(equity[start : start + BLOCK + 1], max(ends - start, 0))
        size = returns.size
        block_mean = float(np.add.reduce(returns)) / size
        below = np.minimum(returns, 0.0)
        below_squares += float(np.dot(below, below))
        returns -= block_mean
        # Means and squares of two parts join exactly (Chan et al. 1979): no second pass, no loss of digits.
        apart = block_mean - mean
        squares += float(np.dot(returns, returns)) + apart * apart * count * size / (count + size)
        count += size
        mean += apart * size / count
    if not count:
        return math.nan, math.nan, math.nan
    return mean, math.sqrt(squares / (count - 1)) if count > 1 else math.nan, math.sqrt(below_squares / count)


def _returns(equity: Floats, ends: int) -> Floats:
    """The returns of one block; those after the bar `ends`, in which equity came to zero, are 0."""
    if ends >= equity.size:
        returns: Floats = equity[1:] / equity[:-1]
        returns -= 1.0
        return returns
    returns = np.zeros(equity.size - 1)
    returns[:ends] = equity[1 : ends + 1] / equity[:ends] - 1.0
    return returns


def _drawdown(equity: Floats, closes_ns: Instants, peak: float, *, first_ns: int) -> tuple[float, float]:
    """The deepest fall from a peak, and the longest time below one in nanoseconds."""
    if not peak > 0.0:
        return math.nan, math.nan
    lowest, longest, since_ns, since = 1.0, 0, first_ns, -1 if first_ns < closes_ns[0] else 0
    for start in range(0, equity.size, BLOCK):
        block = equity[start : start + BLOCK]
        if float(block.max()) < peak:
            lowest = min(lowest, float(block.min()) / peak)
            continue
        peaks = np.maximum.accumulate(block)
        if peak > peaks[0]:
            np.maximum(peaks, peak, out=peaks)
        peak = float(peaks[-1])
        at_peak = np.flatnonzero(block == peaks)
        if at_peak.size < block.size:
            lowest = min(lowest, float((block / peaks).min()))
        if at_peak.size:
            if start + int(at_peak[0]) - since > 1:
                longest = max(longest, int(closes_ns[start + at_peak[0]]) - since_ns)
            longest = max(longest, _longest(closes_ns[start : start + BLOCK], at_peak))
            since = start + int(at_peak[-1])
            since_ns = int(closes_ns[since])
    return lowest - 1.0, max(longest, int(closes_ns[-1]) - since_ns)


def _longest(closes_ns: Instants, at_peak: npt.NDArray[np.intp]) -> int:
    """The longest time between two peaks with a bar below them in between."""
    below = np.flatnonzero(at_peak[1:] - at_peak[:-1] > 1)
    return int((closes_ns[at_peak[below + 1]] - closes_ns[at_peak[below]]).max()) if below.size else 0


def _yearly(growth: float, years: float) -> float:
    if years <= 0.0 or math.isnan(growth):
        return math.nan
    if growth <= 0.0:
        return -1.0
    exponent = math.log(growth) / years
    return math.expm1(exponent) if exponent < 700.0 else math.inf


def _ratio(over: float, under: float) -> float:
    return over / under if under > NOISE else math.nan


def _round_trips(
    fills: FillColumns, lots: Mapping[str, float], minimums: Mapping[str, float]
) -> tuple[list[tuple[int, float]], list[float]]:
    """The closed trips by the number of the fill that ends each, with its profit; and each fill's fee in quote money."""
    in_kind = {pair: is_in_kind(*pair) for pair in set(zip(fills.asset, fills.fee_asset, strict=True))}
    trips: dict[str, tuple[float, float, float, float]] = {}
    ends: list[tuple[int, float]] = []
    fees: list[float] = []
    columns = (
        fills.asset,
        fills.side,
        _floats(fills.quantity),
        _floats(fills.price),
        _floats(fills.fee),
        fills.fee_asset,
    )
    for number, (asset, side, quantity, price, fee, fee_asset) in enumerate(zip(*columns, strict=True)):
        taken = fee if in_kind[asset, fee_asset] else 0.0
        paid = 0.0 if taken else fee
        fees.append(paid + taken * price)
        held, cost, largest, realised = trips.get(asset, FLAT)
        if side == "buy":
            held += quantity - taken
            trips[asset] = held, cost + quantity * price + paid, max(held, largest), realised
            continue
        rest = max(held - quantity - taken, 0.0)
        share = 1.0 - rest / held if held > 0.0 else 1.0
        realised += quantity * price - paid - cost * share
        cost -= cost * share
        if rest <= REST * largest or rest < lots.get(asset, 0.0) or rest * price < minimums.get(asset, 0.0):
            ends.append((number, realised))
            trips[asset] = rest, cost, rest, 0.0
        else:
            trips[asset] = rest, cost, largest, realised
    return ends, fees


def _floats(column: Sequence[float] | Floats) -> list[float]:
    values: list[float] = np.asarray(column, np.float64).tolist()
    return values
