"""A validated sweep in words and as one self-contained page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from backtests import page, sweep_page
from backtests.sweep_page import number

if TYPE_CHECKING:
    from backtests.chance import Order, Spread
    from backtests.crossval import CrossValidation


class Found(Protocol):
    """What is read of a validated sweep."""

    swept: Any
    check: Any
    walks: list[Any]
    purged: CrossValidation | None
    combinatorial: CrossValidation | None
    order: Order | None
    fills: list[Spread]
    missing: list[str]


def lines(found: Found) -> list[str]:
    """What validation found, a line each."""
    told = []
    for one in found.walks:
        how = "anchored" if one.anchored else "rolling"
        told.append(
            f"walk-forward, {how}, {len(one.steps)} folds: tested Sharpe {number(one.sharpe)}, return {one.total_return:.1%}, drawdown"
            f" {one.max_drawdown:.1%}; {one.kept:.0%} of the {one.objective} chosen by is kept"
        )
    for name, crossed in (("purged cross-validation", found.purged), ("combinatorial, purged", found.combinatorial)):
        if crossed is not None:
            told.append(
                f"{name}, {len(crossed.choices)} folds: Sharpe {number(crossed.inside)} where chosen, {number(crossed.outside)} where tested;"
                f" at or under the median of all in {crossed.probability:.0%}"
            )
    if found.combinatorial is not None and len(found.combinatorial.paths) > 1:
        low, high = min(found.combinatorial.paths), max(found.combinatorial.paths)
        told.append(
            f"  its {len(found.combinatorial.paths)} whole histories have Sharpe ratios from {number(low)} to {number(high)}"
        )
    if found.order is not None:
        falls = found.order.drawdown.quantiles
        told.append(
            f"order of {found.order.trades} trades: drawdown {found.order.drawdown.replayed:.1%} as it was, {falls[2]:.1%} in the median"
            f" order, {falls[0]:.1%} in the worst twentieth; drawn with return, {found.order.loss:.1%} of the draws lose"
        )
    told += [
        f"other fills: {one.figure} {number(one.replayed)} as replayed, {number(one.quantiles[0])} to {number(one.quantiles[-1])}"
        for one in found.fills
    ]
    return told + [f"not asked: {one}" for one in found.missing]


def render(found: Found) -> str:
    """The page: the sweep's own parts, and after its head what validation found."""
    parts = [page.section("Validation", page.bullets(lines(found))), *map(_walk, found.walks)]
    if found.combinatorial is not None:
        parts.append(_crossed(found.combinatorial))
    parts.append(_chance(found))
    return page.page("Validated sweep", [*sweep_page.head(found.swept), *parts, *sweep_page.body(found.swept)])


def _walk(one: Any) -> str:  # noqa: ANN401 - a Walk; the page must not import who imports it
    rows = [
        (
            f"{step.chosen_on[0]} … {step.chosen_on[1]}", f"{step.tested_on[0]} … {step.tested_on[1]}",
            step.error or ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in step.parameters.items()),
            number(step.inside), number(step.outside), f"{step.total_return:.1%}",
        )
        for step in one.steps
    ]  # fmt: skip
    head = ["chosen on", "tested on", "chosen", f"{one.objective} there", f"{one.objective} tested", "return tested"]
    return page.section(
        f"Walk-forward, {'anchored' if one.anchored else 'rolling'}", page.table(head, rows, numbers_from=3)
    )


def _crossed(one: CrossValidation) -> str:
    rows = [
        (", ".join(str(group + 1) for group in choice.groups), f"{choice.trial}", number(choice.inside), number(choice.outside), f"{choice.rank:g}")
        for choice in one.choices
    ]  # fmt: skip
    head = ["groups tested", "trial (of those that ended)", "Sharpe where chosen", "Sharpe where tested", "rank there"]
    return page.section("Combinatorial purged cross-validation", page.table(head, rows, numbers_from=1))


def _chance(found: Found) -> str:
    spreads = [*([found.order.drawdown, found.order.growth] if found.order is not None else []), *found.fills]
    rows = [
        (one.figure, number(one.replayed), *map(number, one.quantiles), f"{one.share_under:.0%}") for one in spreads
    ]
    head = ["figure", "replayed", "5 %", "25 %", "50 %", "75 %", "95 %", "draws under it"]
    return (
        page.section("Monte-Carlo: order of trades, then other fills", page.table(head, rows, numbers_from=1))
        if rows
        else ""
    )
