"""The kernel of a compiled stretch: one step from a decision to the next wake, on plain numbers.

Written as plain Python over arrays, so that tests run it as it stands; `compiled.py` turns it into machine code where
numba is installed. It is a second telling of sizing, dealing and booking in binary numbers, for one asset; what it
cannot tell it gives back untouched. tests/proofs/test_compiled.py holds it to the engine, row for row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

AHEAD, ONE, TOUCH = 1e-9, 1 + 1e-12, 1e-12  # of Step and exits

# What a step is told: nothing was decided yet, nothing changes, leave, or hold a weight, units, or spend money.
BEGIN, STAY, LEAVE, WEIGHT, UNITS, QUOTE = range(6)
# What a step says where no wake is next: not mine (untouched), an exit that is not mine, nothing more on closes, no room.
OTHER, OTHER_EXIT, OVER, FULL = -1, -2, -3, -4
# Kinds of events.
BUY, SELL, STOP, GOAL = range(4)

# Whole numbers of the state: instant, whether held, from when it looked, cursors, first bar not searched for exits,
# whether exits are armed, since when it is held, counts of wakes, events, deals at opens and doubtful bars; then the grid, and the first instant at which it may wake.
(
    AT, HELD, FROM, FLAT_AT, HELD_AT, CLEAN, ARMED, OPENED, WAKES, EVENTS, DEALS, DOUBTS, START, STEP, SIZE, FIRST, LAST, LAST_NS, BEGINS, ROOM,
) = range(20)  # fmt: skip
# Binary numbers of the state: the ledger, the exits' levels and their shares of the entry; then costs and terms.
(
    CASH, QUANTITY, ENTRY, REALISED, FEES, STOP_AT, GOAL_AT, STOP_SHARE, GOAL_SHARE, UP, DOWN, FEE, SHORT, LOT, LOT_PER, TICK,
    TICK_PER, LEAST,
) = range(18)  # fmt: skip
INTS, FLOATS = 20, 18
INT_COLUMNS, FLOAT_COLUMNS = (
    4,
    5,
)  # of an event: wake, bar, kind, whether a goal was in range too; change of quantity, price, fee, cash, level


def floored(value: float, size: float, per: float) -> float:
    """The largest multiple of a step at or under a value; a step of nothing cuts nothing."""
    if size == 0.0:
        return value
    count = float(math.floor(value / size * ONE + AHEAD))
    return size * count if per == 0.0 else count / per


def ceiled(value: float, size: float, per: float) -> float:
    """The smallest multiple of a step at or over a value."""
    if size == 0.0:
        return value
    parts = value / size
    count = float(math.floor(parts))
    if parts - count > max(AHEAD, parts * (ONE - 1)):
        count += 1.0
    return size * count if per == 0.0 else count / per


def note(
    ints: Ints,
    floats: Floats,
    whole: Ints,
    parts: Floats,
    bar: int,
    kind: int,
    is_both: int,
    change: float,
    price: float,
    fee: float,
    level: float,
) -> None:
    """Write an event down."""
    event = ints[EVENTS]
    whole[event, 0], whole[event, 1], whole[event, 2], whole[event, 3] = ints[WAKES], bar, kind, is_both
    parts[event, 0], parts[event, 1], parts[event, 2] = change, price, fee
    parts[event, 3], parts[event, 4] = floats[CASH], level
    ints[EVENTS] = event + 1
    ints[DOUBTS] += is_both
    if kind <= SELL:
        ints[DEALS] += 1


def buy(
    ints: Ints, floats: Floats, opens: Floats, closes: Floats, whole: Ints, parts: Floats, verb: int, size: float
) -> bool:
    """Enter from nothing at the open of the next bar; False, and nothing has changed, where anything could hold it back."""
    bar = (ints[AT] - ints[START]) // ints[STEP]
    cash, fee_share, least = floats[CASH], floats[FEE], floats[LEAST]
    price = ceiled(opens[bar] * floats[UP], floats[TICK], floats[TICK_PER])
    if verb == QUOTE:
        if size < least:
            return False
        free = cash if cash > 0 else 0.0
        quantity = floored(
            (free if size == math.inf else size) / (price * (1.0 + fee_share)), floats[LOT], floats[LOT_PER]
        )
        if quantity <= 0:
            return False
    else:
        mark = closes[bar - 1]
        wanted = size * cash / mark if verb == WEIGHT else size
        if wanted <= 0.0:
            return False
        quantity = floored(wanted, floats[LOT], floats[LOT_PER])
        if quantity == 0.0 or quantity * mark < least:
            return False
    value = quantity * price
    if value * (1.0 + fee_share) > cash + floats[SHORT]:
        return False
    fee = value * fee_share
    floats[CASH] = cash - value - fee
    floats[REALISED] -= fee
    floats[FEES] += fee
    floats[ENTRY] = price
    floats[QUANTITY] = quantity
    ints[OPENED], ints[HELD] = ints[AT], 1
    ints[ARMED], ints[CLEAN] = 0, bar
    floats[STOP_AT], floats[GOAL_AT] = -math.inf, math.inf
    if floats[STOP_SHARE] > 0.0:
        floats[STOP_AT], ints[ARMED] = price * floats[STOP_SHARE], 1
    if floats[GOAL_SHARE] > 0.0:
        floats[GOAL_AT], ints[ARMED] = price * floats[GOAL_SHARE], 1
    note(ints, floats, whole, parts, bar, BUY, 0, quantity, price, fee, 0.0)
    return True


def sell(
    ints: Ints, floats: Floats, whole: Ints, parts: Floats, bar: int, kind: int, is_both: int, mid: float, level: float
) -> bool:
    """Sell all of the holding at a mid price; False, and nothing has changed, where anything could hold it back.

    level: the price by which the least notional is judged.
    """
    held = floats[QUANTITY]
    quantity = floored(held, floats[LOT], floats[LOT_PER])
    if quantity <= 0.0 or quantity != held or quantity * level < floats[LEAST]:
        return False
    price = floored(mid * floats[DOWN], floats[TICK], floats[TICK_PER])
    value = quantity * price
    fee = value * floats[FEE]
    floats[REALISED] += (price - floats[ENTRY]) * quantity
    floats[REALISED] -= fee
    floats[CASH] = floats[CASH] + value - fee
    floats[FEES] += fee
    floats[QUANTITY] = 0.0
    ints[HELD] = ints[ARMED] = 0
    note(ints, floats, whole, parts, bar, kind, is_both, -quantity, price, fee, level)
    return True


def hit(ints: Ints, floats: Floats, lows: Floats, highs: Floats, upto: int) -> int:
    """The first bar at or before one that hits an armed exit, -1 if none does; bars are looked at once."""
    stop, goal = floats[STOP_AT] * (1 + TOUCH), floats[GOAL_AT] * (1 - TOUCH)
    bar = ints[CLEAN]
    while bar <= upto:
        if lows[bar] <= stop or highs[bar] >= goal:
            ints[CLEAN] = bar
            return int(bar)
        bar += 1
    ints[CLEAN] = bar
    return -1


def leave(
    ints: Ints, floats: Floats, opens: Floats, lows: Floats, highs: Floats, whole: Ints, parts: Floats, bar: int
) -> bool:
    """Sell all at the exit that a bar hits: the stop before the goal, an open beyond the level at the open."""
    is_stop = lows[bar] <= floats[STOP_AT] * (1 + TOUCH)
    is_goal = highs[bar] >= floats[GOAL_AT] * (1 - TOUCH)
    if is_stop:
        level = min(opens[bar], floats[STOP_AT])
    else:
        level = max(opens[bar], floats[GOAL_AT])
    kind = STOP if is_stop else GOAL
    return sell(ints, floats, whole, parts, bar, kind, 1 if is_stop and is_goal else 0, level, level)


def moment(ints: Ints, cursor: int, first: Ints, last: Ints, data: Ints, from_ns: int) -> int:
    """The first instant at or after one at which a condition is true; its cursor only moves forward."""
    at = ints[cursor]
    while last[at] < from_ns:
        at += 1
    ints[cursor] = at
    if first[at] >= from_ns:
        return int(first[at])
    low, high = 0, len(data)
    while low < high:
        middle = (low + high) // 2
        if data[middle] < from_ns:
            low = middle + 1
        else:
            high = middle
    return int(data[low])


# long: one step, whose parts are above
def step(
    ints: Ints,
    floats: Floats,
    opens: Floats,
    lows: Floats,
    highs: Floats,
    closes: Floats,
    flat_first: Ints,
    flat_last: Ints,
    flat_data: Ints,
    held_first: Ints,
    held_last: Ints,
    held_data: Ints,
    whole: Ints,
    parts: Floats,
    verb: int,
    size: float,
) -> int:
    """Carry out what was decided at the last wake, then go to the next one: twice its bar, plus one where it is held.

    Under zero: why there is none, see above.
    """
    if ints[EVENTS] + 2 > ints[ROOM]:
        return FULL
    from_ns = ints[AT]
    if verb != BEGIN:
        ints[WAKES] += 1
        is_done = True
        if verb >= WEIGHT:
            is_done = ints[HELD] == 0 and buy(ints, floats, opens, closes, whole, parts, verb, size)
        elif verb == LEAVE and ints[HELD] == 1:
            bar = (ints[AT] - ints[START]) // ints[STEP]
            is_done = sell(ints, floats, whole, parts, bar, SELL, 0, opens[bar], closes[bar - 1])
        if not is_done:
            ints[WAKES] -= 1
            return OTHER
        from_ns += 1
    while True:
        ints[FROM] = from_ns
        from_ns = max(from_ns, ints[BEGINS])
        if ints[HELD] == 1:
            at = moment(ints, HELD_AT, held_first, held_last, held_data, from_ns)
        else:
            at = moment(ints, FLAT_AT, flat_first, flat_last, flat_data, from_ns)
        if ints[ARMED] == 1:
            upto = min((min(at, ints[LAST_NS]) - ints[START]) // ints[STEP], ints[SIZE]) - 1
            bar = hit(ints, floats, lows, highs, upto)
            if bar >= 0:
                if not leave(ints, floats, opens, lows, highs, whole, parts, bar):
                    return OTHER_EXIT
                from_ns = ints[START] + (bar + 1) * ints[STEP]
                continue
        closed = (at - ints[START]) // ints[STEP]
        if ints[START] + closed * ints[STEP] != at or closed <= ints[FIRST] or closed > ints[LAST]:
            return OVER
        ints[AT] = at
        return int(2 * (closed - 1) + ints[HELD])
