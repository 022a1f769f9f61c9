"""Exits of the plain reference: what fires inside a bar (rules 13 to 18, 38) and at an instant (rule 19)."""

from trader.core.exits import PRICE_EXITS, STOPS, Above, After, Below, FallBy, RiseBy, TrailBy
from trader.core.instants import duration


def level_of(number, held, exit_):
    if isinstance(exit_, FallBy):
        return held.entry * (number.one - number.of(exit_.by))
    if isinstance(exit_, RiseBy):
        return held.entry * (number.one + number.of(exit_.by))
    if isinstance(exit_, TrailBy):
        return held.peak * (number.one - number.of(exit_.by))
    return number.of(exit_.price)


def price_levels(number, held):
    """Unspent price exits as (stops, goals), each a list of (level, place in the tuple, exit)."""
    armed = [
        (level_of(number, held, exit_), place, exit_)
        for place, exit_ in enumerate(held.exits)
        if isinstance(exit_, PRICE_EXITS) and place not in held.spent
    ]
    stops = sorted((one for one in armed if isinstance(one[2], STOPS)), key=lambda one: (-one[0], one[1]))
    goals = sorted((one for one in armed if not isinstance(one[2], STOPS)), key=lambda one: (one[0], one[1]))
    return stops, goals


def hits(number, bar, stops, goals):
    """The exits touched inside the bar, in the order in which they act, each with its price before costs."""
    found = []
    for level, place, exit_ in stops:
        if number.at_or_below(bar.low, level):
            mid = min(bar.open, level) if number.at_or_below(bar.open, level) else level
            found.append((mid, place, exit_))
    for level, place, exit_ in goals:
        if number.at_or_above(bar.high, level):
            mid = max(bar.open, level) if number.at_or_above(bar.open, level) else level
            found.append((mid, place, exit_))
    return found


def only_by_own_high(number, held, bar, stops):
    """Whether a trailing level is in range only when the bar's own high comes first."""
    peak = max(held.peak, bar.high)
    for level, _, exit_ in stops:
        at_worst = peak * (number.one - number.of(exit_.by)) if isinstance(exit_, TrailBy) else level
        if not number.at_or_below(bar.low, level) and number.at_or_below(bar.low, at_worst):
            return True
    return False


def is_due(exit_, held, at, ratings):
    """Whether an exit that is the engine's decision fires now; ratings: kind -> value that became known now."""
    if isinstance(exit_, After):
        return at >= held.since + duration(exit_.time)
    if isinstance(exit_, Below):
        return exit_.kind in ratings and ratings[exit_.kind] <= exit_.level
    if isinstance(exit_, Above):
        return exit_.kind in ratings and ratings[exit_.kind] >= exit_.level
    return False


def due_instants(held):
    return [held.since + duration(exit_.time) for exit_ in held.exits if isinstance(exit_, After)]


def is_stop(exit_):
    return isinstance(exit_, STOPS)
