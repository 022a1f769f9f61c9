"""The audit as one self-contained page: the verdict first, then a picture and a table for each question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from backtests import page
from backtests.charts import Line, chart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtests.information import Information

LOOKS = {"on its own day": "loss", "as given": "main", "1d later": "plain"}


class Audited(Protocol):
    """What the page reads of an audit."""

    strategy: str
    label: str
    assumed: str
    verdict: str
    reasons: list[str]
    warnings: list[str]
    trials: int
    delays: list[Any]
    costs: list[Any]
    luck: Any
    information: list[Information]
    years: list[tuple[int, Information]]
    curves: list[tuple[str, Any, Any]]
    deflated: float | None
    missing: list[tuple[str, int, int]]


def render(found: Audited) -> str:
    """The page."""
    same, given = found.delays[0], found.delays[1]
    best = max(found.information, key=lambda one: abs(one.t), default=None)
    luck = found.luck
    head = [
        "<h1>Is this result real?</h1>",
        page.words(found.strategy, look="quiet"),
        *([page.words(f"Ratings: {found.label}", look="label")] if found.label else []),
        page.words(found.verdict, look="label"),
        page.bullets(found.reasons),
        page.cards(
            [
                ("known on its own day", f"{same.growth:,.2f}x"), ("as given", f"{given.growth:,.2f}x"),
                ("correlation with what follows", "-" if best is None else f"{best.correlation:+.3f}"),
                ("as good by luck", "-" if luck is None else f"{luck.p:.1%}"),
            ]
        ),
        page.words(f"Assumed: {found.assumed}.", look="quiet"),
    ]  # fmt: skip
    lines = [Line(name, times, values, LOOKS[name]) for name, times, values in found.curves if name in LOOKS]
    delay = page.section(
        "What it owes to the delay",
        page.words("The same strategy, with its ratings known at other instants. Known on their own day they hold what the price did on it."),
        chart("Growth, in doublings", lines), _runs("known", found.delays),
    )  # fmt: skip
    return page.page("Audit", [*head, delay, _information(found), *_luck(found), _costs(found), *_rest(found)])


def _runs(what: str, runs: Sequence[Any]) -> str:
    rows = [(one.name, f"{one.growth:,.3f}x", f"{one.sharpe:.2f}", f"{one.trades:,}") for one in runs]
    return page.table([what, "growth", "Sharpe", "round trips"], rows, numbers_from=1)


def _told(one: Information) -> tuple[str, str, str]:
    return f"{one.correlation:+.3f}", f"{one.t:+.2f}", f"{one.dates:,}"


def _information(found: Audited) -> str:
    said = page.words(
        "Rank correlation of a rating with the return that could be had from the first open at which it was known. Spans do not overlap; a t"
        " of 3 counts, because several kinds and horizons are asked."
    )
    rows = [(one.kind, f"{one.days}", *_told(one)) for one in found.information]
    parts = [page.table(["kind", "days", "correlation", "t", "dates"], rows, numbers_from=1)] if rows else []
    if found.years:
        best = found.years[0][1]
        years = [(f"{year}", *_told(one)) for year, one in found.years]
        parts.append(
            page.table(
                ["year", "correlation", "t", "dates"],
                years,
                numbers_from=1,
                caption=f"{best.kind}, {best.days} days, year by year",
            )
        )
    return page.section(
        "What the ratings say of what follows", said, *(parts or [page.words("Too few dates to tell.")])
    )


def _luck(found: Audited) -> list[str]:
    luck = found.luck
    if luck is None:
        return []
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    rows = [
        (f"{share:.0%} of the replays are at or under", f"{np.quantile(luck.growths, share):,.3f}x") for share in shares
    ]
    rows.append(("the result", f"{found.delays[1].growth:,.3f}x"))
    said = f"{luck.better} of {luck.trials} replays with {luck.how} did as well as the result, or better."
    return [page.section("Luck", page.words(said), page.table(["", "growth"], rows, numbers_from=1))]


def _costs(found: Audited) -> str:
    said = page.words("Fee, half spread and impact, times what was assumed.")
    return page.section("Costs", said, _runs("costs", found.costs))


def _rest(found: Audited) -> list[str]:
    parts = []
    if found.deflated is not None:
        parts.append(
            page.words(
                f"Probability that the Sharpe ratio is over what {found.trials} trials give by luck: {found.deflated:.1%}."
            )
        )
    if found.missing:
        rows = [(kind, f"{count:,}", f"{longest:,}") for kind, count, longest in found.missing]
        parts.append(page.table(["kind", "days without a rating", "longest run"], rows, numbers_from=1))
    parts += [page.words(one, look="label") for one in found.warnings]
    return [page.section("What else to know", *parts)] if parts else []
