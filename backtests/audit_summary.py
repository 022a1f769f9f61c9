"""An audit on a terminal: the verdict, the three numbers that matter, then the tables; the long ones only when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backtests.information import METHODS, strongest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backtests.audited import Audited, Run
    from backtests.information import Information


def summary(found: Audited, *, full: bool = False) -> str:
    """All of it as text."""
    parts = [
        _head(found), _runs("known", found.delays), _runs("costs", [*found.costs, *(found.apart if full else ())], _assumed(found)),
        _information(found, full=full), _behind(found), *(_long(found) if full else ()), _chances(found), _old(found), found.warnings,
    ]  # fmt: skip
    return "\n\n".join("\n".join(part) for part in parts if part)


def _head(found: Audited) -> list[str]:
    same, given = found.delays[0], found.delays[1]
    best = strongest(found.information)
    told = "-"
    if best is not None:
        told = f"{best.correlation:+.3f} ({best.low:+.3f} to {best.high:+.3f}; {best.kind}, {_days(best.days)})"
    luck = "-"
    if found.chance is not None:
        ways = " and ".join(one.how.removeprefix("ratings ") for one in found.luck)
        luck = f"p = {found.chance:.3f} ({found.luck[0].trials} replays each, ratings {ways})"
    return [
        f"VERDICT: {found.verdict}", *(f"  - {one}" for one in found.reasons), "",
        f"  growth known on its own day / as given   {same.growth:,.2f}x / {given.growth:,.2f}x",
        f"  rank correlation with what follows       {told}",
        f"  as good by luck                          {luck}",
        "", f"{found.strategy}", *([f"ratings: {found.label}"] if found.label else []), f"assumed: {found.assumed}",
    ]  # fmt: skip


def _runs(what: str, runs: Sequence[Run], note: str = "") -> list[str]:
    return [
        f"{what:20}     growth    sharpe   round trips",
        *(f"  {one.name:20} {one.growth:10,.3f} {one.sharpe:9.2f} {one.trades:8,}" for one in runs),
        *([note] if note else []),
    ]


def _assumed(found: Audited) -> str:
    shown = [f"{name} {share:.2%}" if share else f"{name} none" for name, share in found.assumed_costs.items()]
    return f"  x1 is: {', '.join(shown)} (spread: half of it; impact: per whole volume of a bar)"


def _row(name: str, one: Information) -> str:
    return f"  {name:20} {one.days:5} {one.correlation:+12.3f}   {one.low:+.3f} to {one.high:+.3f} {one.t:+8.2f} {one.dates:7,}"


def _information(found: Audited, *, full: bool) -> list[str]:
    if not found.information:
        return ["information: too few dates to tell"]
    kinds = dict.fromkeys(one.kind for one in found.information)
    shown = found.information if full else [strongest(found.information, kind) for kind in kinds]
    return [
        _title("information" if full else "information, at its best"),
        *(_row(one.kind, one) for one in shown if one is not None),
        *(f"  {METHODS[way]}" for way in dict.fromkeys(one.way for one in found.information)),
    ]


def _title(what: str) -> str:
    return f"{what:24}  days   correlation   95 % interval            t   dates"


def _behind(found: Audited) -> list[str]:
    """What stands behind each kind at its best, in a line each."""
    lines = []
    for kind in dict.fromkeys(one.kind for one in found.information):
        best = strongest(found.information, kind)
        lines += [
            f"{kind}: top less bottom of {len(one.buckets)} buckets {one.spread:+.2%} in {_days(one.days)} (t = {one.t:+.1f}, {one.dates} dates)"
            for one in found.spreads
            if best is not None and (one.kind, one.days) == (kind, best.days)
        ]
        for same in found.turnovers:
            if same.kind == kind:
                changed = "" if same.changed is None else f"{same.changed:.0%} of the top bucket is new, "
                lines.append(
                    f"{kind}: from one publication to the next {changed}rank autocorrelation {same.autocorrelation:+.2f}"
                )
        lines += [f"{kind}: decay: {one.words}" for one in found.decays if one.kind == kind]
    return lines


def _long(found: Audited) -> Iterable[list[str]]:
    if found.spreads:
        yield [
            "mean return by bucket, worst-rated first",
            *(
                f"  {one.kind:20} {one.days:5}   {' '.join(f'{share:+8.2%}' for share in one.buckets)}   spread {one.spread:+.2%} (t = {one.t:+.2f})"
                for one in found.spreads
            ),
        ]
    if found.decays:
        yield [
            _title("used so many days later"),
            *(_row(f"{one.kind} +{lag}", point) for one in found.decays for lag, point in one.points),
        ]
    if found.years:
        yield [_title("by year"), *(_row(str(year), one) for year, one in found.years)]
    if found.assets:
        yield [_title("by asset, over time"), *(_row(name, one) for name, one in found.assets)]


def _chances(found: Audited) -> list[str]:
    lines = []
    drawn = found.bootstrap
    if drawn is not None:
        lines.append(
            f"{drawn.resamples:,} histories drawn from its own days (blocks of {drawn.block:g} days): growth {drawn.growth_low:,.2f}x to"
            f" {drawn.growth_high:,.2f}x, Sharpe ratio {drawn.sharpe_low:+.2f} to {drawn.sharpe_high:+.2f} (95 %); {drawn.loses:.1%} lose money"
        )
    around = found.neighbours
    if around is not None:
        refused = f", {around.refused} refused" if around.refused else ""
        head = f"{around.strategies} strategies ({around.grid}{refused})"
        one = around.overfitting
        lines.append(
            f"{head}: {around.why_not}" if one is None else f"{head}: probability of backtest overfitting {one.probability:.1%}"
            f" ({len(one.logits):,} splits); the chosen one lost money in the other half in {one.loss:.1%}"
        )  # fmt: skip
    if found.deflated is not None:
        trials = "1 trial" if found.trials == 1 else f"{found.trials:,} trials"
        lines.append(
            f"probability that the Sharpe ratio is over what {trials} would give by luck: {found.deflated:.1%}"
        )
    return lines


def _old(found: Audited) -> list[str]:
    lines = []
    if found.missing:
        told = ", ".join(f"{kind} {count} (longest {longest})" for kind, count, longest in found.missing)
        lines.append(f"days without a rating: {told}")
    lines += [
        f"held on {one.kind} {one.limit}: {one.days:,} of {one.held:,} days (longest {one.longest}), {one.orders:,} orders on them, {one.growth - 1:+.1%}"
        for one in found.stale
    ]
    return lines


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
