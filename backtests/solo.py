"""Solo: the quick stretch of a replay, in which one asset's conditions alone wake and orders are dealt at once.

The same rules in the same order through the same functions of the engine as the player's step, less what cannot be the case
here. Whatever else is due is the player's: `play` gives back then. tests/proofs/test_solo.py compares both, fact for fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtests.player import Player
    from trader.core.strategy import Decision, Wake


def fits(player: Player) -> bool:
    """Whether a replay can have such stretches at all."""
    conditions, engine = player.conditions, player.engine
    return (
        conditions is not None
        and bool(conditions.alone)
        and engine.dealer is not None
        and not player.fixed.times
        and not player.wants.on_fill
        and player.panel.spans()[2] == [True]
    )


# long: one loop, whose parts would cost a call each
def play(player: Player, *, until_flat: bool = False) -> None:
    """Go on while nothing but a wake by condition or a price exit is due; what else is due is still to be done then.

    until_flat: or until nothing is aimed at and nothing waits.
    """
    engine, mount, view, history = player.engine, player.mount, player.view, player.history
    conditions, arming, armed, progress = player.conditions, player.arming, player.armed, player.progress
    assert conditions is not None
    targets, touched, holdings = mount.targets, mount.touched, mount.ledger.holdings
    orders, placed, timers, decided = mount.orders, mount.placed, mount.timers, player.decided
    name, start_ns, step_ns, last_ns = player.names[0], player.panel.start_ns, player.panel.step_ns, player.last_ns
    first, last, wakes, is_held = player.all_listed, player.last[0], conditions.alone, conditions.is_held
    decide, aim, leave = engine.decide, conditions.aim, player.venue.deal_exit
    rests, notes = player.rests, player.wants.on_exit
    steps = 0
    while not (steps == 0 and player.is_waiting):
        if until_flat and not (targets or armed or orders or decided or timers):
            return
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
        if decide(view, at) is None:
            player.fail(wake)
        aim(0, at + 1, is_held=name in targets)
        if touched and not placed:
            touched.clear()
            if engine.exits_seen:
                arming.arm(name, at + 1, closed)
        steps += 1
        if placed or orders or decided or timers:
            player.after_wake(at, closed - 1)
            steps = 0
        if progress is not None and steps % 256 == 255:
            progress((at - player.first_ns) / (last_ns - player.first_ns))


def carry_out(player: Player, decision: Decision, wake: Wake, at: int) -> None:
    """Let the engine carry out what was decided at a close, and what follows at that instant."""
    engine, mount, view, name, bar = player.engine, player.mount, player.view, player.names[0], player.history.bar
    assert player.conditions is not None
    view.now_ns, view.wake = at, wake
    engine.carry_out(decision, view)
    player.conditions.aim(0, at + 1, is_held=name in mount.targets)
    if mount.touched and not mount.placed:
        mount.touched.clear()
        if engine.exits_seen:
            player.arming.arm(name, at + 1, bar + 1)
    if mount.placed or mount.orders or player.decided or mount.timers:
        player.after_wake(at, bar)
