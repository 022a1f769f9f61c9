"""What an audit comes to: one sentence, and the reasons for it with their figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtests.audited import Audited
    from backtests.information import Information

IMPLAUSIBLE = 0.4  # a rank correlation with the next day's return that no honest rating has
SIGNIFICANT = 3.0  # several kinds and horizons are asked, so a t of 2 comes about by itself
LUCKY = 0.05
COLLAPSE = 0.5  # the share of the logarithm of growth that later knowledge may take away before it counts as one
OVERFITTED = 0.5
SURE = 0.95


def judge(found: Audited) -> None:
    """Write the verdict and its reasons."""
    same, given = found.delays[0], found.delays[1]
    wild = [one for one in found.information if one.days == 1 and abs(one.correlation) >= IMPLAUSIBLE]
    informed = [one for one in found.information if abs(one.t) >= SIGNIFICANT and one.correlation > 0]
    is_collapsed = same.growth > 1.0 and math.log(max(given.growth, 1e-9)) < (1 - COLLAPSE) * math.log(same.growth)
    is_lucky = found.chance is not None and found.chance > LUCKY and not _is_undecided(found)
    fitted = None if found.neighbours is None else found.neighbours.overfitting
    is_fitted = fitted is not None and fitted.probability > OVERFITTED
    found.reasons += [*_timing(found, wild, is_collapsed=is_collapsed), *_chances(found), *_frailties(found)]
    if wild:
        found.verdict = "IMPLAUSIBLE: these ratings know the future; do not trust any figure of this data"
    elif given.growth <= 1:
        found.verdict = "NO PROFIT" + (": what there was, was look-ahead" if is_collapsed else " to explain")
    elif is_lucky:
        found.verdict = "NOT REAL: no edge beyond luck" + (", and much of it look-ahead" if is_collapsed else "")
    elif informed:
        best = max(informed, key=lambda one: one.t)
        found.reasons.append(
            f"{best.kind} ranks the returns of the next {best.days} days (correlation {best.correlation:+.3f}, t = {best.t:+.1f})"
        )
        found.verdict = (
            "INFORMATION: the ratings say something of what follows"
            + (", though most of the naive result was look-ahead" if is_collapsed else "")
            + ("; the choice of parameters is overfitted" if is_fitted else "")
        )
    else:
        found.verdict = (
            "UNPROVEN: no edge beyond luck is shown; the ratings do not rank what follows, and a profit may be the market's"
            + (" or the choice of parameters'" if is_fitted else "")
        )


def _timing(found: Audited, wild: Sequence[Information], *, is_collapsed: bool) -> list[str]:
    same, given = found.delays[0], found.delays[1]
    told = []
    if is_collapsed:
        told.append(
            f"known on its own day it would have made {same.growth:,.2f}x; known when it really could be, {given.growth:,.2f}x: most of it was"
            " the day's own price move, not foresight"
        )
    if wild:
        worst = max(wild, key=lambda one: abs(one.correlation))
        told.append(
            f"{worst.kind} ranks the next day's returns with a correlation of {worst.correlation:+.2f}; honest ratings have a few hundredths:"
            " known_at is wrong, or the future is in the data"
        )
    return told


def _chances(found: Audited) -> list[str]:
    told = [
        f"{one.better} of {one.trials} replays with {one.how} did as well ({one.median:,.2f}x at the median)"
        for one in found.luck
    ]
    if _is_undecided(found):
        least = math.ceil(len(found.luck) / LUCKY) - 1
        told.append(f"so few replays cannot tell luck: ask for {least} permutations or more")
    around = found.neighbours
    if around is not None and around.overfitting is not None:
        share = around.overfitting.probability
        told.append(
            f"of {around.strategies} strategies around it this one came {_place(around.rank)}; the best of them in one half of history was at or"
            f" under their median in the other in {share:.0%} of the splits"
            + (": the choice is overfitted" if share > OVERFITTED else "")
        )
    if found.trials > 1 and found.deflated is not None and found.deflated < SURE:
        told.append(
            f"its Sharpe ratio is over the best of {found.trials} trials without skill with a probability of {found.deflated:.0%} only"
        )
    return told


def _is_undecided(found: Audited) -> bool:
    """Whether none of the replays did as well, yet they are too few to say that this is more than luck."""
    return any(not one.better and one.p * len(found.luck) > LUCKY for one in found.luck)


def _frailties(found: Audited) -> list[str]:
    given = found.delays[1]
    if given.growth <= 1:
        return []
    told = []
    drawn = found.bootstrap
    if drawn is not None and drawn.loses > LUCKY:
        told.append(f"{drawn.loses:.0%} of {drawn.resamples:,} histories drawn from its own days lose money")
    if found.costs[2].growth <= 1:
        told.append(f"with twice the costs nothing is left ({found.costs[2].growth:,.2f}x)")
    later = next(one for one in found.delays if one.name == "1d later")
    if later.growth <= 1:
        told.append(f"one more day of delay takes all of it ({later.growth:,.2f}x)")
    return told


def _place(rank: int) -> str:
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"
