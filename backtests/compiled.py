"""Compiled: a solo stretch whose plain steps are taken by the kernel, from flat to flat, and told row by row afterwards.

The strategy is asked at every wake, by the engine; what its decision comes to is the kernel's where it is one plain target,
and the engine's else. Ledger and log are as they would be whenever somebody looks. tests/proofs/test_compiled.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backtests import kernel as k
from backtests import machine, solo
from trader.core.exits import EXIT_WORDS
from trader.core.facts import Dealt, ExitHit, Many, TargetSet, Woken
from trader.core.ledger import QUOTE, Holding
from trader.core.strategy import NOTHING, STILL, Quote, Target, Units
from trader.core.view import HoldingView, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from backtests.player import Player
    from trader.core.facts import Row
    from trader.core.history import Floats, Panel
    from trader.core.instruments import Number, Step
    from trader.core.strategy import Decision

ROOM = 256  # events that fit at first
SHORT, SHORTS = 8, 16  # after so many stretches of fewer decisions the kernel is left alone
ONE_VERB = {Units: k.UNITS, Quote: k.QUOTE}


def fits(player: Player) -> bool:
    """Whether a replay can have compiled stretches: binary numbers, one market, no limits, nobody told of fills and exits."""
    engine, mount = player.engine, player.mount
    return (
        solo.fits(player)
        and player.is_plain
        and player.rests
        and engine.gate is None
        and not player.wants.on_exit
        and player.panel.start_ns >= 0
        and len(mount.ledger.cash) == 1
        and all(len(every) == 1 and not every[0].fee_received for every in mount.terms.values())
    )


class Compiled:
    """Plays such stretches for one replay."""

    def __init__(self, step: Callable[[int, int, float], int]) -> None:
        self.step = step
        self.shorts = 0

    def __call__(self, player: Player) -> None:
        """Go on as `solo.play` does."""
        while self.shorts < SHORTS:
            if not _is_flat(player):
                solo.play(player, until_flat=True)
            if not (_is_flat(player) and _is_next(player)):
                break
            stretch = Stretch(player, self.step)
            is_over = stretch.play()
            self.shorts += len(stretch.tale.said) < SHORT
            if is_over:
                break
        solo.play(player)


def _is_flat(player: Player) -> bool:
    mount = player.mount
    holding = mount.ledger.holdings.get(player.names[0])
    return not (
        mount.targets or player.armed or player.is_waiting or mount.placed or mount.touched or mount.halted or mount.leaving
        or mount.exiting or mount.spent or (holding is not None and (holding.quantity or not holding.is_flat))
    )  # fmt: skip


def _is_next(player: Player) -> bool:
    """Whether the next wake is at a close at whose instant a bar opens."""
    assert player.conditions is not None
    closed, rest = divmod(player.conditions.soonest - player.panel.start_ns, player.panel.step_ns)
    return not rest and player.all_listed < closed <= player.last[0]


class Glimpse(View):
    """The view during a stretch: what it reads of the ledger is brought up first."""

    __slots__ = ("place", "stretch")
    stretch: Stretch
    place: int

    @property
    def equity(self) -> Number:
        """Cash plus holdings at the last closed prices, in quote money."""
        self.stretch.bring_ledger()
        return View.equity.fget(self)  # type: ignore[attr-defined,no-any-return]

    @property
    def cash(self) -> float:
        """Free cash in quote money."""
        self.stretch.bring_ledger()
        return View.cash.fget(self)  # type: ignore[attr-defined,no-any-return]

    def holds(self, asset: str) -> bool:
        """Whether anything is held of an asset; dust is nothing."""
        return self.place & 1 == 1 and asset == self.stretch.asset

    def holding(self, asset: str) -> HoldingView | None:
        """What is held of an asset; None when flat or dust."""
        self.stretch.bring_ledger()
        return super().holding(asset)


class Tale:
    """What happened in a stretch: what was said at each wake, twice its last closed bar plus one where it was held, and the events."""

    __slots__ = ("asset", "mount", "orders", "parts", "places", "plans", "said", "span", "venue", "wakes", "whole")

    def __init__(self, player: Player) -> None:
        assert player.conditions is not None
        self.mount, self.asset, self.wakes = player.mount.name, player.names[0], player.conditions.alone
        self.venue, self.orders = player.mount.terms[self.asset][0].venue, player.mount.orders_made
        self.span = player.panel.start_ns + player.panel.step_ns, player.panel.step_ns
        self.plans = player.arming.plans
        self.said: list[Decision] = []
        self.places: list[int] = []
        self.whole, self.parts = np.empty((ROOM, k.INT_COLUMNS), np.int64), np.empty((ROOM, k.FLOAT_COLUMNS))

    # long: one story, told in order
    def rows(self) -> list[Row]:
        """In short rows."""
        mount, asset, venue, wakes, (start_ns, step_ns) = self.mount, self.asset, self.venue, self.wakes, self.span
        events = list(zip(self.whole.tolist(), self.parts.tolist(), strict=True))
        rows: list[Row] = []
        plan, told = None, 0
        for number, (place, decision) in enumerate(zip(self.places, self.said, strict=True), 1):
            at = start_ns + (place >> 1) * step_ns
            rows.append((Woken, at, mount, wakes[place & 1], decision))
            while told < len(events) and events[told][0][0] == number:
                (_, bar, kind, _), (change, price, fee, _, level) = events[told]
                told += 1
                side, spend = (1 if kind == k.BUY else -1), None
                if kind == k.BUY:
                    target = _target(decision.targets[asset])
                    why = target.why or "target"
                    spend = float(target.size.amount) if isinstance(target.size, Quote) else None
                    plan = self.plans[id(target.exits)][1] if target.exits else None
                    rows.append((TargetSet, at, mount, asset, target.size, target.exits, target.why))
                elif kind == k.SELL:
                    why = _target(decision.targets[asset]).why or "leave"
                    rows.append((TargetSet, at, mount, asset, NOTHING.size, NOTHING.exits, NOTHING.why))
                else:
                    at = start_ns + bar * step_ns
                    assert plan is not None
                    hit = plan.stop if kind == k.STOP else plan.goal
                    assert hit is not None
                    why = EXIT_WORDS[type(hit[1])]
                    rows.append((ExitHit, at, mount, asset, hit[0], hit[1], level))
                order = self.orders + told
                rows.append((Dealt, at, mount, order, asset, venue, side, abs(change), spend, price, fee, QUOTE, why))
        return rows


class Stretch:
    """One stretch under way: the kernel's state, and what happened so far."""

    __slots__ = ("asset", "floats", "ints", "player", "step", "table", "tale")

    def __init__(self, player: Player, step: Callable[[int, int, float], int]) -> None:
        panel, conditions = player.panel, player.conditions
        assert conditions is not None
        self.player, self.step, self.asset, self.tale = player, step, player.names[0], Tale(player)
        flat, held = conditions.flat[0], conditions.held[0]
        self.ints = np.zeros(k.INTS, np.int64)
        self.ints[k.AT], self.ints[k.FLAT_AT], self.ints[k.HELD_AT] = conditions.soonest, flat.at, held.at
        self.ints[k.START :] = (
            panel.start_ns, panel.step_ns, panel.size, player.all_listed, player.last[0], player.last_ns, conditions.begins[0], ROOM,
        )  # fmt: skip
        self.floats = _floats(player)
        lanes, places = _lanes(panel)
        tale = self.tale
        own = (self.ints, self.floats), (tale.whole, tale.parts)
        self.table = machine.Table(
            [*map(machine.place, own[0]), *places, *flat.runs.lie, *held.runs.lie, *map(machine.place, own[1])],
            (own, lanes, flat.runs, held.runs),
        )

    # long: one loop, whose parts would cost a call each
    def play(self) -> bool:
        """Play it and leave everything as the player would; whether nothing is left for another stretch now."""
        player, step, address, asset, tale = self.player, self.step, self.table.address, self.asset, self.tale
        engine, history, progress = player.engine, player.history, player.progress
        ask, said, places, wakes, (start_ns, step_ns) = engine.ask, tale.said, tale.places, tale.wakes, tale.span
        view = Glimpse(history, player.mount, player.wants, player.first_ns, wakes[0])
        view.stretch = self
        engine.record.append((Many, tale.rows))
        history.is_close = True
        verb, size, at = k.BEGIN, 0.0, player.first_ns
        decision: Decision | None = STILL
        wake, last, meant = wakes[0], object(), (k.OTHER, 0.0)
        say, stay = said.append, places.append
        place = step(address, verb, size)
        while place >= 0:
            view.place = place
            history.bar = bar = place >> 1
            history.now_ns = view.now_ns = at = start_ns + bar * step_ns
            view.wake = wake = wakes[place & 1]
            decision = ask(view, at)
            if decision is None:
                self._bring(aims=False)
                player.fail(wake)
            say(decision)
            stay(place)
            targets, closes_others, _, timers, _, remembers, _ = decision
            if not targets:
                verb = k.STAY
            else:
                wish = targets.get(asset)
                if wish is last:
                    verb, size = meant
                elif wish.__class__ is float and not wish:
                    verb = k.LEAVE
                elif wish is None:
                    verb = k.OTHER
                else:
                    last = wish
                    meant = verb, size = self._read(wish)
                if len(targets) > 1:
                    verb = k.OTHER
            if verb == k.OTHER or closes_others or timers or remembers:
                place = k.OTHER
            else:
                place = step(address, verb, size)
                if place < 0 and place == k.FULL:
                    self._grow()
                    place = step(address, verb, size)
            if progress is not None and not len(said) & 255:
                progress((at - player.first_ns) / (player.last_ns - player.first_ns))
        if place == k.OTHER and decision is not None:
            said.pop()
            places.pop()
            self._bring(aims=False)
            solo.carry_out(player, decision, wake, at)
            return False
        self._bring(aims=True)
        return place == k.OVER

    def _read(self, wish: object) -> tuple[int, float]:
        """What a wish tells the kernel; exits that it does not know make it another's."""
        target = _target(wish)
        size = target.size
        kind = size.__class__
        verb = ONE_VERB.get(kind, k.WEIGHT)
        amount = float(size.quantity if kind is Units else size.amount if kind is Quote else size)  # type: ignore[union-attr,arg-type]
        if not amount:
            verb = k.LEAVE
        elif target.exits:
            self.player.engine.exits_seen = True
            plan = self.player.arming.plan_of(target.exits)
            if not plan.is_plain or plan.decided or plan.has_trail:
                return k.OTHER, 0.0
            stop, goal = plan.stop, plan.goal
            self.floats[k.STOP_SHARE] = 0.0 if stop is None else stop[3]
            self.floats[k.GOAL_SHARE] = 0.0 if goal is None else goal[3]
        else:
            self.floats[k.STOP_SHARE] = self.floats[k.GOAL_SHARE] = 0.0
        return verb, amount

    def _grow(self) -> None:
        for number, name in ((12, "whole"), (13, "parts")):
            before: NDArray[Any] = getattr(self.tale, name)
            bigger = np.empty((2 * len(before), before.shape[1]), before.dtype)
            bigger[: len(before)] = before
            setattr(self.tale, name, bigger)
            self.table.put(number, bigger)
        self.ints[k.ROOM] = len(self.tale.whole)

    def bring_ledger(self) -> None:
        """Make the ledger say what the kernel has booked."""
        ledger, venue = self.player.mount.ledger, self.player.mount.terms[self.asset][0].venue
        cash, quantity, entry, realised, fees = self.floats[: k.FEES + 1].tolist()
        ledger.cash[venue], ledger.realised = cash, realised
        if fees:
            ledger.fees[QUOTE] = fees
        if self.ints[k.EVENTS]:
            holding = ledger.holdings.get(self.asset)
            if holding is None:
                holding = ledger.holdings[self.asset] = Holding(self.asset, venue, ledger.zero)
            holding.quantity, holding.entry, holding.opened_ns = quantity, entry, int(self.ints[k.OPENED])
            holding.peak, holding.is_flat = entry, not self.ints[k.HELD]
            if quantity:
                ledger.held[self.asset] = True
            else:
                ledger.held.pop(self.asset, None)

    def _bring(self, *, aims: bool) -> None:
        """Make book, log and cursors say what has happened."""
        player, mount, log, tale = self.player, self.player.mount, self.player.log, self.tale
        count = int(self.ints[k.EVENTS])
        tale.whole, tale.parts = tale.whole[:count].copy(), tale.parts[:count].copy()
        self.bring_ledger()
        mount.orders_made += count
        log.fills.add(tale.whole[:, 1], tale.parts[:, 0], tale.parts[:, 3])
        log.at_once += int(self.ints[k.DEALS])
        if self.ints[k.DOUBTS]:
            log.ambiguous.update((0, bar) for bar in tale.whole[tale.whole[:, 3] > 0, 1].tolist())
        player.view.now_ns = player.history.now_ns
        if self.ints[k.HELD]:
            wake, bar = tale.whole[-1, :2].tolist()
            target = mount.targets[self.asset] = _target(tale.said[wake - 1].targets[self.asset])
            if target.exits:
                player.arming.arm(self.asset, int(self.ints[k.OPENED]) + 1, bar)
        if aims:
            assert player.conditions is not None
            player.conditions.aim(0, int(self.ints[k.FROM]), is_held=bool(self.ints[k.HELD]))


def _target(wish: object) -> Target:
    return wish if isinstance(wish, Target) else Target(wish)  # type: ignore[arg-type]


def _lanes(panel: Panel) -> tuple[list[Floats], list[machine.Place]]:
    """The prices of the only asset, each in one piece, and where they lie; made once."""
    found = panel.caches.get("lanes")
    if found is None:
        lows, highs = panel.searchable(0)
        lanes = [np.ascontiguousarray(one) for one in (panel.open[0], lows, highs, panel.close[0])]
        found = panel.caches["lanes"] = lanes, [machine.place(one) for one in lanes]
    return found  # type: ignore[return-value]


def _floats(player: Player) -> NDArray[np.float64]:
    ledger, tariff, terms = player.mount.ledger, player.tariff, player.mount.terms[player.names[0]][0]
    found = np.zeros(k.FLOATS)
    found[k.CASH], found[k.REALISED], found[k.FEES] = ledger.total_cash(), ledger.realised, ledger.fees.get(QUOTE, 0.0)
    found[k.UP], found[k.DOWN], found[k.FEE], found[k.SHORT] = tariff.up, tariff.down, tariff.fee, player.venue.short
    found[k.LOT], found[k.LOT_PER] = _step(terms.lot)
    found[k.TICK], found[k.TICK_PER] = _step(terms.tick)
    found[k.LEAST] = terms.min_notional or 0.0
    return found


def _step(step: Step | None) -> tuple[float, float]:
    return (0.0, 0.0) if step is None else (step.size, step.per or 0.0)
