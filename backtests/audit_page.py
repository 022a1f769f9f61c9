"""The audit as one self-contained page: the verdict first, then a picture and a table for each question."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from backtests import page
from backtests.bars import Bar, bars, histogram
from backtests.charts import Line, chart
from backtests.information import METHODS, strongest
from trader.core.instants import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtests.audited import Audited, Run
    from backtests.information import Information

LOOKS = {"on its own day": "loss", "as given": "main", "1d later": "plain", "2d later": "gain"}
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def render(found: Audited) -> str:
    """The page."""
    parts = (_delay, _information, _fading, _buckets, _assets, _luck, _drawn, _around, _costs, _old)
    return page.page("Audit", [*_head(found), *(text for part in parts if (text := part(found)))])


def _head(found: Audited) -> list[str]:
    same, given = found.delays[0], found.delays[1]
    best = strongest(found.information)
    return [
        "<h1>Is this result real?</h1>",
        page.words(found.strategy, look="quiet"),
        *([page.words(f"Ratings: {found.label}", look="label")] if found.label else []),
        page.words(found.verdict, look="label"),
        page.bullets(found.reasons),
        page.cards(
            [
                ("known on its own day", f"{same.growth:,.2f}x"), ("as given", f"{given.growth:,.2f}x"),
                ("correlation with what follows", "-" if best is None else f"{best.correlation:+.3f}"),
                ("as good by luck", "-" if found.chance is None else f"p = {found.chance:.3f}"),
            ]
        ),
        page.words(f"Assumed: {found.assumed}.", look="quiet"),
        *(page.words(one, look="label") for one in found.warnings),
    ]  # fmt: skip


def _delay(found: Audited) -> str:
    lines = [Line(name, times, values, LOOKS[name]) for name, times, values in found.curves if name in LOOKS]
    return page.section(
        "What it owes to the delay",
        page.words("The same strategy, with its ratings known at other instants. Known on their own day they hold what the price did on it."),
        chart("Growth, in doublings", lines), _runs("known", found.delays),
    )  # fmt: skip


def _runs(what: str, runs: Sequence[Run]) -> str:
    rows = [(one.name, f"{one.growth:,.3f}x", f"{one.sharpe:.2f}", f"{one.trades:,}") for one in runs]
    return page.table([what, "growth", "Sharpe", "round trips"], rows, numbers_from=1)


def _told(one: Information) -> tuple[str, ...]:
    return (
        f"{one.correlation:+.3f}", f"{one.low:+.3f} to {one.high:+.3f}", f"{one.t:+.2f}", f"{one.dates:,}",
    )  # fmt: skip


TOLD = ["correlation", "95 % interval", "t", "dates"]


def _bar(name: str, one: Information) -> Bar:
    return Bar(name, one.correlation, one.low, one.high, f"{one.dates:,} dates")


def _information(found: Audited) -> str:
    if not found.information:
        return page.section("What the ratings say of what follows", page.words("Too few dates to tell."))
    said = (
        "Rank correlation of a rating with the return that could be had from the first open at which it was known. A t of 3 counts, because"
        " several kinds and horizons are asked; the lines are 95 % intervals."
    )
    parts = [page.words(said)]
    for kind in dict.fromkeys(one.kind for one in found.information):
        mine = [one for one in found.information if one.kind == kind]
        parts.append(
            bars(f"{kind}, by horizon", [_bar(_days(one.days), one) for one in mine], note=METHODS[mine[0].way])
        )
    rows = [(one.kind, f"{one.days}", *_told(one)) for one in found.information]
    parts.append(page.table(["kind", "days", *TOLD], rows, numbers_from=1))
    best = strongest(found.information)
    if found.years and best is not None:
        parts.append(
            bars(f"{best.kind}, {_days(best.days)}, year by year", [_bar(f"{year}", one) for year, one in found.years])
        )
    return page.section("What the ratings say of what follows", *parts)


def _fading(found: Audited) -> str:
    if not found.decays:
        return ""
    drawn = [
        bars(f"{one.kind}: {one.words}", [_bar(f"+{_days(lag)}", point) for lag, point in one.points])
        for one in found.decays
    ]
    said = "Rank correlation with the return of one day, used so many days after it was known."
    return page.section("How fast it fades", page.words(said), *drawn)


def _buckets(found: Audited) -> str:
    if not found.spreads and not found.turnovers:
        return ""
    parts = []
    for kind in dict.fromkeys(one.kind for one in found.spreads):
        best = strongest(found.information, kind)
        mine = [one for one in found.spreads if one.kind == kind]
        shown = next((one for one in mine if best is not None and one.days == best.days), mine[0])
        shares = [Bar(f"{n}", share) for n, share in enumerate(shown.buckets, 1)]
        parts.append(
            bars(
                f"{kind}: mean return of {_days(shown.days)} by bucket",
                shares,
                unit="percent",
                note="1 is the worst-rated",
            )
        )
    if found.spreads:
        rows = [
            (one.kind, f"{one.days}", f"{one.spread:+.2%}", f"{one.low:+.2%} to {one.high:+.2%}", f"{one.t:+.2f}", f"{one.dates:,}",
             "  ".join("-" if math.isnan(share) else f"{share:+.2%}" for share in one.buckets))
            for one in found.spreads
        ]  # fmt: skip
        head = ["kind", "days", "top less bottom", "95 % interval", "t", "dates", "buckets, the worst-rated first"]
        parts.append(page.table(head, rows, numbers_from=1))
    if found.turnovers:
        turned = [
            (
                one.kind,
                f"{one.publications:,}",
                "-" if one.changed is None else f"{one.changed:.1%}",
                f"{one.autocorrelation:+.3f}",
            )
            for one in found.turnovers
        ]
        head = ["kind", "publications", "new in the top bucket", "rank autocorrelation"]
        parts.append(page.table(head, turned, numbers_from=1, caption="From one publication to the next"))
    return page.section("Best-rated against worst-rated", *parts)


def _assets(found: Audited) -> str:
    best = strongest(found.information)
    if len(found.assets) < 2 or best is None:
        return ""
    said = page.words(
        "Of each asset alone: whether it did better after its own high ratings than after its low ones. Some differ by chance."
    )
    rows = [_bar(name, one) for name, one in found.assets]
    return page.section(
        "Asset by asset", said, bars(f"{best.kind}, {_days(best.days)}", rows, note=METHODS["over time"])
    )


def _luck(found: Audited) -> str:
    parts = []
    for one in found.luck:
        parts.append(
            page.words(f"{one.better} of {one.trials} replays with {one.how} did as well as the result, or better.")
        )
        given = np.log2(max(found.delays[1].growth, 1e-9))
        drawn = np.log2(np.maximum(one.growths, 1e-9))
        parts.append(
            histogram(f"Growth with {one.how}, in doublings", drawn, marks=[("the result", float(given), "main")])
        )
        rows = [
            (f"{share:.0%} of the replays are at or under", f"{np.quantile(one.growths, share):,.3f}x")
            for share in SHARES
        ]
        parts.append(page.table(["", "growth"], rows, numbers_from=1))
    return page.section("Luck", *parts) if parts else ""


def _drawn(found: Audited) -> str:
    drawn = found.bootstrap
    if drawn is None:
        return ""
    begin = int(found.curves[1][1][0])
    times = begin + np.asarray(drawn.stops, np.int64) * DAY
    names = ("2.5 %", "25 %", "half", "75 %", "97.5 %")
    looks = ("loss", "plain", "main", "plain", "gain")
    lines = [
        Line(name, times, np.log2(np.maximum(row, 1e-9)), look)
        for name, look, row in zip(names, looks, drawn.fan, strict=True)
    ]
    said = (
        f"{drawn.resamples:,} histories of {drawn.days:,} days, put together from blocks of its own days of {drawn.block:g} days on average, the"
        f" blocks drawn by lot. {drawn.loses:.1%} of them lose money. What never happened is in none of them."
    )
    rows = [
        ("growth", f"{drawn.growth:,.3f}x", f"{drawn.growth_low:,.3f}x to {drawn.growth_high:,.3f}x"),
        ("Sharpe ratio", f"{drawn.sharpe:.2f}", f"{drawn.sharpe_low:.2f} to {drawn.sharpe_high:.2f}"),
    ]
    return page.section(
        "Other histories from the same days", page.words(said), chart("Growth up to each day, in doublings, by share of the histories below", lines),
        page.table(["", "as it was", "95 % interval"], rows, numbers_from=1),
    )  # fmt: skip


def _around(found: Audited) -> str:
    parts = []
    around = found.neighbours
    if around is not None:
        parts.append(
            page.words(
                f"{around.strategies} strategies: {around.grid}. {around.refused} more combinations are refused by the strategy."
            )
        )
        grown = np.log2(np.maximum(around.growths, 1e-9))
        parts.append(histogram("Growth of each, in doublings", grown, marks=[("this one", float(grown[0]), "main")]))
        one = around.overfitting
        if one is None:
            parts.append(page.words(around.why_not))
        else:
            said = (
                f"The best of them in one half of history, looked at in the other: at or under the median of all in {one.probability:.1%} of"
                f" {len(one.logits):,} splits (the probability of backtest overfitting), with a loss in {one.loss:.1%}; of its Sharpe ratio"
                f" {one.kept:.0%} was left."
            )
            parts.append(page.words(said))
            parts.append(
                histogram(
                    "Logit of its rank in the other half (under 0: the worse half)",
                    one.logits,
                    marks=[("the median", 0.0, "loss")],
                )
            )
    if found.deflated is not None:
        trials = "one trial" if found.trials == 1 else f"{found.trials:,} trials"
        parts.append(
            page.words(
                f"Probability that the Sharpe ratio is over what {trials} would give by luck: {found.deflated:.1%}."
            )
        )
    return page.section("The choice among trials", *parts) if parts else ""


def _costs(found: Audited) -> str:
    shown = ", ".join(f"{name} {share:.2%}" if share else f"{name} none" for name, share in found.assumed_costs.items())
    said = page.words(
        f"All costs times what was assumed, then each alone. Assumed: {shown} (spread: half of it; impact: per whole volume of a bar)."
    )
    return page.section("Costs", said, _runs("costs", [*found.costs, *found.apart]))


def _old(found: Audited) -> str:
    parts = []
    if found.missing:
        rows = [(kind, f"{count:,}", f"{longest:,}") for kind, count, longest in found.missing]
        parts.append(page.table(["kind", "days without a rating", "longest run"], rows, numbers_from=1))
    if found.stale:
        held = [
            (
                one.kind,
                one.limit,
                f"{one.days:,} of {one.held:,}",
                f"{one.longest:,}",
                f"{one.orders:,}",
                f"{one.growth - 1:+.1%}",
            )
            for one in found.stale
        ]
        head = ["kind", "held on a rating", "days", "longest run", "orders on them", "return on them"]
        parts.append(page.table(head, held, numbers_from=2))
    return page.section("Missing days and old ratings", *parts) if parts else ""


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
