"""Solo: the quick stretch of a replay, in which one asset's conditions alone wake and orders are dealt at once.

The same rules in the same order through the same functions of the engine as the player's step, less what cannot be the case
here. Whatever else is due is the player's: `play` gives back then. tests/backtests/test_solo.py compares both, fact for fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trader.core.facts import Woken
from trader.core.strategy import NOTHING, Target

if TYPE_CHECKING:
    from backtests.player import Player


def fits(player: Player) -> bool:
    """Whether a replay can have such stretches at all."""
    conditions, engine = player.conditions, player.engine
    return (
        conditions is not None
        and bool(conditions.alone)
        and engine.dealer is not None
        and engine.gate is None
        and not player.fixed.times
        and not player.wants.on_fill
        and not player.view.saw
        and player.panel.spans()[2] == [True]
    )


# long: one loop, whose parts would cost a call each
def play(player: Player) -> None:
    """Go on while nothing but a wake by condition or a price exit is due; what else is due is still to be done then."""
    engine, mount, view, history, conditions = (
        player.engine,
        player.mount,
        player.view,
        player.history,
        player.conditions,
    )
    assert conditions is not None
    arming, armed, targets, touched = player.arming, player.armed, mount.targets, mount.touched
    orders, placed, decided, progress = mount.orders, mount.placed, player.decided, player.progress
    name, start_ns, step_ns, last_ns = player.names[0], player.panel.start_ns, player.panel.step_ns, player.last_ns
    first, last = player.all_listed, player.last[0]
    record, mount_name, wakes, is_held = engine.record.append, mount.name, conditions.alone, conditions.is_held
    ask, state, aim, leave, holdings = (
        engine.ask,
        engine.state,
        conditions.aim,
        player.venue.deal_exit,
        mount.ledger.holdings,
    )
    rests, notes = player.rests, player.wants.on_exit
    steps = 0
    while not (steps == 0 and player.is_waiting):
        at = conditions.soonest
        if armed:
            if arming.searched < at:
                arming.look(min(last_ns, at))
            hit = arming.soonest
            if hit <= at:
                if hit > last_ns:
                    return
                bar = (hit - start_ns) // step_ns - 1
                history.now_ns, history.bar, history.is_close = hit, bar, True
                one = armed[name]
                found = one.plan.is_plain and rests and arming.hit(one, holdings[name], bar)
                if found and leave(name, *found[0], bar, hit):
                    touched.clear()
                    arming.disarm(name)
                    aim(0, hit, is_held=False)
                    if notes:
                        player.note_exit()
                        steps = 0
                else:
                    player.before_wake(hit, bar)
                    steps = 0
                continue
        closed, rest = divmod(at - start_ns, step_ns)
        if rest or not first < closed <= last:  # else the next bar opens at this instant
            return
        history.now_ns = view.now_ns = at
        history.bar, history.is_close = closed - 1, True
        view.wake = wake = wakes[is_held[0]]
        decision = ask(view, at)
        if decision is None:
            player.fail(wake)
        said = decision[0]
        if len(said) == 1 and name in said and not (decision[1] or decision[3] or decision[5]):
            record((Woken, at, mount_name, wake, decision))
            engine.is_alone = True
            for wish in said.values():
                state(name, wish if isinstance(wish, Target) else Target(wish) if wish else NOTHING, at, view)
        else:
            engine.carry_out(decision, view)
        aim(0, at + 1, is_held=name in targets)
        if touched and not placed:
            touched.clear()
            if engine.exits_seen:
                arming.arm(name, at + 1, closed)
        steps += 1
        if placed or orders or decided or decision[3]:
            player.after_wake(at, closed - 1)
            steps = 0
        if progress is not None and steps % 256 == 255:
            progress((at - player.first_ns) / (last_ns - player.first_ns))
