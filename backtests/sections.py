"""The parts of a report, each a function from a result to a piece of HTML.

They read a finished result and nothing else: whatever the report says can be found in the result's columns too.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import SupportsFloat

import numpy as np
import pandas as pd

from backtests import page
from backtests.charts import Line, Mark, chart, number
from backtests.metrics import is_in_kind
from backtests.reported import Reported, closes, held_times, holdings, instants, most_traded

ASSETS_MAX = 5
MARKS_MAX = 300
NAMES_MAX = 12
FIGURES = (
    ("Total return", "total_return", "percent"),
    ("Yearly return (CAGR)", "cagr", "percent"),
    ("Volatility, yearly", "volatility", "percent"),
    ("Sharpe ratio, risk-free 0", "sharpe", "number"),
    ("Sortino ratio", "sortino", "number"),
    ("Calmar ratio", "calmar", "number"),
    ("Deepest drawdown", "max_drawdown", "percent"),
    ("Longest time below a peak, days", "max_drawdown_days", "days"),
    ("Mean exposure", "exposure", "percent"),
    ("Turnover, times equity a year", "turnover", "number"),
    ("Round trips", "n_trades", "count"),
    ("Round trips with a profit", "hit_rate", "percent"),
    ("Profit factor", "profit_factor", "number"),
    ("Fills", "n_fills", "count"),
    ("Fees paid", "fees", "number"),
    ("Equity at the end", "final_equity", "number"),
)
HEADLINE = (
    ("Total return", "total_return", "percent"),
    ("Yearly return", "cagr", "percent"),
    ("Sharpe ratio", "sharpe", "number"),
    ("Deepest drawdown", "max_drawdown", "percent"),
)
CAVEATS = (
    ("ambiguous_bars", "Ambiguous bars", "A stop and a goal lay in one bar, or a trailing level only by its own high."),
    ("trail_at_worst", "Trail at worst", "The pessimistic reading of trailing stops: the bar's own high came first."),
    ("stale_marks", "Stale marks", "A holding was valued at a close older than three bars."),
    ("unknown_held", "Held though unknown", "A rating was missing or too old, and the holding was kept."),
    ("withheld_batches", "Batches withheld", "A batch brought under 80 % of the assets of the one before."),
    ("omitted_assets", "Assets omitted", "Named by signals or ratings, but without an instrument or a closed bar."),
    (
        "ended_assets",
        "Assets that ended",
        "Their bars stopped without a declared delisting; holdings keep the last close.",
    ),
    ("refused", "Targets and orders refused or cut", "By the rule named."),
    ("delisted", "Assets delisted", "Declared; what was held was written off by the declared loss."),
)


def headline(result: Reported) -> str:
    """Say what was replayed, on what, and under which assumptions."""
    tape = result.tape
    first, last = (str(pd.Timestamp(int(tape.closes_ns[at]), unit="ns"))[:16] for at in (0, -1))
    stats = result.stats
    label = f'<p class="label">{page.escaped(tape.label[:1].upper() + tape.label[1:])}</p>' if tape.label else ""
    top = [(name, figure(stats.get(key), unit)) for name, key, unit in HEADLINE]
    assumed = [
        ("Period from (UTC)", first),
        ("Period to (UTC)", last),
        ("Assets, bars", f"{len(tape.assets)}, {len(tape.closes_ns):,}"),
        ("Cash at the start", number(float(result.cash_start))),
        ("Latency asked for", span(result.latency_ns)),
        ("Delay assumed for ratings", span(stats.get("delay_assumed"))),
        ("Delay applied to fills", span(stats.get("delay_applied"))),
        ("Exits", str(result.exits)),
        ("Limits", _settings(result.limits) if result.limits is not None else "none"),
        ("Costs", _settings(result.costs)),
    ]
    name = type(result.strategy).__name__
    return (
        f'<header><p class="quiet">Replay on history</p><h1>{page.escaped(name)}</h1>'
        f"<p><code>{page.escaped(repr(result.strategy))}</code></p>{label}{page.cards(top)}{page.pairs(assumed)}</header>"
    )


def parameters(result: Reported) -> str:
    """List the strategy's parameters."""
    if not dataclasses.is_dataclass(result.strategy):
        return ""
    rows = [(one.name, repr(getattr(result.strategy, one.name))) for one in dataclasses.fields(result.strategy)]
    return page.section("Parameters of the strategy", page.pairs(rows)) if rows else ""


def figures(result: Reported) -> str:
    """List the key figures."""
    rows = [(name, figure(result.stats.get(key), unit)) for name, key, unit in FIGURES]
    return page.section("Key figures", page.pairs(rows))


def equity(result: Reported) -> str:
    """Draw equity and the fall from its peak."""
    times, values = instants(result.equity.index), result.equity.to_numpy(np.float64)
    if not values.size:
        return page.section("Equity", page.words("No bar, no equity."))
    peaks = np.maximum.accumulate(np.maximum(values, float(result.cash_start)))
    falls = values / peaks - 1.0
    return page.section(
        "Equity and drawdown",
        chart("Equity at bar closes", [Line("equity", times, values)]),
        chart("Drawdown", [Line("below the peak", times, falls, "loss", is_area=True)], unit="percent", is_low=True),
    )


def months(result: Reported) -> str:
    """Show the return of each month and year."""
    series = result.equity
    if not len(series):
        return ""
    # A close at midnight belongs to the day that ends.
    keys = (instants(series.index) - 1).astype("M8[ns]").astype("M8[M]").astype(np.int64) + 1970 * 12
    ends = np.append(np.flatnonzero(np.diff(keys)), len(keys) - 1)
    values = series.to_numpy(np.float64)[ends]
    before = np.concatenate(([float(result.cash_start)], values[:-1]))
    returns = dict(zip(keys[ends].tolist(), (values / before - 1.0).tolist(), strict=True))
    rows = []
    for year in range(int(keys[0]) // 12, int(keys[-1]) // 12 + 1):
        shares = [returns.get(year * 12 + month, math.nan) for month in range(12)]
        whole = math.prod(1.0 + share for share in shares if not math.isnan(share)) - 1.0
        rows.append((str(year), [whole, *shares]))
    head = ["", "Year", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    full = max((abs(share) for share in returns.values()), default=0.0)
    return page.section("Monthly returns, %", page.heat_table(head, rows, full=full))


def fills_on_price(result: Reported) -> str:
    """Draw the fills upon the prices of the most traded assets."""
    frame = result.fills
    if not len(frame):
        return page.section("Fills on price", page.words("No fill.", look="quiet"))
    shown = most_traded(frame)[:ASSETS_MAX]
    drawn = []
    for asset in shown:
        mine = frame[frame["asset"] == asset]
        kept = mine.iloc[np.unique(np.linspace(0, len(mine) - 1, min(len(mine), MARKS_MAX)).astype(np.intp))]
        columns = (instants(kept["at"]).tolist(), kept["side"], kept["quantity"], kept["price"], kept["why"])
        marks = [
            Mark(at, float(price), side, f"{stamp(at)} {side} {float(quantity):.6g} at {float(price):.6g} ({why})")
            for at, side, quantity, price, why in zip(*columns, strict=True)
        ]
        count = f"{len(mine):,} fills" if len(kept) == len(mine) else f"{len(kept)} of {len(mine):,} fills"
        drawn.append(
            chart(
                f"{asset}, {count}",
                [Line("close", *closes(result.tape, asset), look="plain")],
                marks=marks,
                reach_ns=_reach(result),
            )
        )
    others = frame["asset"].nunique() - len(shown)
    note = f" {others} more assets were traded less." if others else ""
    told = page.words(f"▲ buy, ▼ sell, at the price paid; the most traded assets first.{note}", look="quiet")
    return page.section("Fills on price", told, *drawn)


def exposure(result: Reported) -> str:
    """Draw the share of equity that is invested."""
    if not len(result.fills) or not len(result.equity):
        return page.section("Exposure", page.words("Nothing was held.", look="quiet"))
    every = result.equity.to_numpy(np.float64)
    times, kept = (
        instants(result.equity.index),
        np.unique(np.linspace(0, len(every) - 1, min(len(every), 1500)).astype(int)),
    )
    times, worth = times[kept], np.zeros(len(kept))
    for asset in most_traded(result.fills):
        at, held = holdings(result.fills, asset)
        quantity = np.concatenate(([0.0], held))[np.searchsorted(at, times, side="right")]
        known, prices = closes(result.tape, asset)
        if known.size:
            worth += quantity * prices[np.maximum(np.searchsorted(known, times, side="right") - 1, 0)]
    share = worth / np.where(every[kept] > 0.0, every[kept], np.nan)
    told = page.words(
        "Holdings at the last close as a share of equity, after the orders of that instant.", look="quiet"
    )
    line = Line("invested", times, share, is_area=True, is_step=True)
    return page.section(
        "Exposure over time", told, chart("Exposure", [line], unit="percent", reach_ns=_reach(result), is_low=True)
    )


def rating_against_position(result: Reported) -> str:
    """Draw the rating of the most traded rated asset, with the times in which it was held."""
    frame = getattr(result.tape, "rating_frame", None)
    frame = frame() if callable(frame) else frame
    if frame is None or not len(frame):
        return ""
    rated = set(frame["asset"].unique())
    ranked = [asset for asset in most_traded(result.fills) if asset in rated] or sorted(rated)
    asset = ranked[0]
    mine = frame[frame["asset"] == asset]
    wanted = getattr(result.strategy, "kind", None)
    kind = wanted if wanted in set(mine["kind"]) else mine["kind"].mode().iloc[0]
    mine = mine[mine["kind"] == kind].sort_values("known_at")
    line = Line(f"{kind} of {asset}", instants(mine["known_at"]), mine["value"].to_numpy(np.float64), is_step=True)
    bands = held_times(result.fills, asset, int(result.tape.closes_ns[-1]))
    told = page.words("The rating when it became known; shaded where the asset was held.", look="quiet")
    return page.section(
        "Rating against position", told, chart(f"{asset}: {kind}", [line], bands_ns=bands, reach_ns=_reach(result))
    )


def costs(result: Reported) -> str:
    """List what the fills cost, asset by asset."""
    frame = result.fills
    told = page.words(f"Assumed: {_settings(result.costs)}. Spread and impact are inside the prices.", look="quiet")
    if not len(frame):
        return page.section("Costs", told)
    notional = frame["quantity"].to_numpy(np.float64) * frame["price"].to_numpy(np.float64)
    in_kind = np.array([is_in_kind(*pair) for pair in zip(frame["asset"], frame["fee_asset"], strict=True)])
    fee = frame["fee"].to_numpy(np.float64) * np.where(in_kind, frame["price"].to_numpy(np.float64), 1.0)
    sums = pd.DataFrame({"asset": frame["asset"].to_numpy(), "notional": notional, "fee": fee}).groupby("asset")
    by_asset = sums.agg(fills=("fee", "size"), notional=("notional", "sum"), fee=("fee", "sum"))
    by_asset = by_asset.sort_values("fee", ascending=False, kind="stable")
    rows = [(str(asset), f"{int(n):,}", number(v), number(f)) for asset, n, v, f in by_asset.head(20).itertuples()]
    rest = by_asset.iloc[20:].sum()
    if len(by_asset) > 20:
        others = f"{len(by_asset) - 20} others"
        rows.append((others, f"{int(rest['fills']):,}", number(rest["notional"]), number(rest["fee"])))
    rows.append(("All", f"{len(frame):,}", number(float(notional.sum())), number(float(fee.sum()))))
    return page.section("Costs", told, page.table(("Asset", "Fills", "Traded", "Fees"), rows, numbers_from=1))


def decisions(result: Reported) -> str:
    """Count the decisions by what woke the strategy."""
    frame = result.decisions
    counted = Counter(_plain(wake) for wake in frame["wake"]).most_common(8) if len(frame) else []
    rows = [(wake or "–", f"{count:,}") for wake, count in counted]
    told = page.words(f"{len(frame):,} decisions, {len(result.fills):,} fills.")
    return page.section("Decisions", told, page.table(("Woken by", "Decisions"), rows, numbers_from=1) if rows else "")


def caveats(result: Reported) -> str:
    """Count everything that makes the result less certain than it looks."""
    rows = [(name, *_count(result.stats.get(key, getattr(result, key, None)), why)) for key, name, why in CAVEATS]
    ahead = (
        "Look-ahead: a rating or signal counts from the instant it was known, never from the day it describes. "
        f"Assumed delay: {span(result.stats.get('delay_assumed'))}. Where that instant is assumed and not recorded, "
        "one day more or less can make or destroy the result: replay with a longer delay before believing it."
    )
    reported = list(result.tape.report)
    more = [page.words("Reported by the tape:"), page.bullets(reported)] if reported else []
    counted = page.counts(rows)
    return page.section("Caveats", page.words(ahead), counted, *more)


def notes(result: Reported) -> str:
    """Repeat the notes laid on the result, such as that of a null test."""
    laid = list(getattr(result, "notes", None) or ())
    return page.section("Notes", page.bullets(str(note) for note in laid)) if laid else ""


def stamp(at_ns: int) -> str:
    """Write an instant to the minute."""
    return str(pd.Timestamp(at_ns, unit="ns"))[:16]


def figure(value: object, unit: str) -> str:
    """Write one of the result's figures; one that is absent or undefined is a dash."""
    if not isinstance(value, SupportsFloat):
        return "–" if value is None else str(value)
    if unit == "days":
        return f"{float(value):.1f}".removesuffix(".0")
    return f"{float(value):,.0f}" if unit == "count" else number(float(value), unit)


def span(value: object) -> str:
    """Write a length of time; a bare number is nanoseconds."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, SupportsFloat):
        seconds = float(value) / 1e9
    else:
        return str(value or "none")
    if seconds == 0.0:
        return "none"
    size, name = next(
        ((s, n) for s, n in ((86_400, "days"), (3600, "hours"), (60, "minutes")) if seconds >= s), (1, "seconds")
    )
    return f"{seconds / size:g} {name.removesuffix('s') if seconds == size else name}"


def _settings(thing: object) -> str:
    """The fields of a setting that say something."""
    if not dataclasses.is_dataclass(thing):
        return str(thing)
    found = {one.name: getattr(thing, one.name) for one in dataclasses.fields(thing)}
    said = {name: value for name, value in found.items() if value is not None}
    return ", ".join(f"{name.replace('_', ' ')} {_setting(value)}" for name, value in said.items()) or "none"


def _setting(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _count(value: object, why: str) -> tuple[str, str]:
    """A count, and its meaning with the names that were counted."""
    if isinstance(value, Mapping):
        by_name = ", ".join(f"{name} {count:,}" for name, count in value.items())
        return f"{sum(value.values()):,}", f"{why} {by_name}".strip()
    if isinstance(value, Collection) and not isinstance(value, str):
        names = [str(name) for name in value]
        more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
        return str(len(names)), f"{why} {', '.join(names[:NAMES_MAX])}{more}".strip()
    return ("not counted" if value is None else figure(value, "count")), why


def _reach(result: Reported) -> tuple[int, int]:
    return int(result.tape.closes_ns[0]), int(result.tape.closes_ns[-1])


def _plain(wake: object) -> str:
    causes = getattr(wake, "causes", wake)
    return ", ".join(map(str, causes)) if isinstance(causes, tuple | list) else str(causes)
