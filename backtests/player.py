"""The player: drives the engine through a tape, jumping from one instant at which something happens to the next.

At one instant things act in the order of docs/rules.md, 2. The player is the clock and the venue of a replay; it decides
nothing. It may look ahead in its own columns to find the next exit; what it finds is told only when time gets there.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import numpy as np

from backtests.arming import Arming
from backtests.schedule import NEVER, ByCondition, Fixed
from backtests.venue import TapeVenue
from trader.core.book import Mount
from trader.core.engine import Engine
from trader.core.exits import Exit
from trader.core.history import LONG_AGO, History, Panel
from trader.core.instruments import Converter, Number, plainly
from trader.core.matching import Tariff
from trader.core.orders import CLOSED, sells_first
from trader.core.signals import MARKET
from trader.core.strategy import Wake
from trader.core.view import Strategy, View

NOTHING_LATER: Iterator[int] = iter(())


class StrategyError(ValueError):
    """The strategy raised during a replay."""


class Player:
    """One replay under way."""

    def __init__(  # everything a replay assumes
        self, engine: Engine, panel: Panel, history: History, tariff: Tariff, *, latency_ns: int, rests: bool,
        strategy: Strategy, losses: dict[str, float], number: Converter, start_cash: Number,
        progress: Callable[[float], None] | None,
    ) -> None:  # fmt: skip
        self.engine, self.panel, self.history, self.tariff = engine, panel, history, tariff
        self.mount: Mount = engine.mount
        self.latency_ns, self.rests, self.number, self.progress = latency_ns, rests, number, progress
        self.strategy, self.losses = strategy, losses
        self.first_ns, self.last_ns = int(panel.opens_ns[0]), int(panel.opens_ns[-1]) + panel.step_ns
        wants = engine.wants
        self.wants = wants
        self.names = [*panel.names, MARKET]
        self.fixed = Fixed(panel, wants, self.first_ns, self.last_ns, self.names)
        self.conditions = ByCondition(panel, wants, self.first_ns, self.names) if wants.conditions else None
        self.due: dict[int, int] = {}  # order -> bar at whose open it may fill
        self.delistings = sorted((at, name) for name, at in panel.delisted_ns.items() if at <= self.last_ns)
        self.opens = panel.readers["open"]
        self.causes: list[str] = []
        self.pending: dict[int, str] = {}  # instant -> cause of a wake after a fill
        self.venue = TapeVenue(engine, panel, history, tariff, number=number, start_cash=start_cash)
        self.log = self.venue.log
        self.arming = Arming(engine, panel, history, self.log, number)
        self.armed, self.decided = self.arming.armed, self.arming.decided
        self.view = View(history, self.mount, wants, self.first_ns, Wake((), (), ()))
        self.size = len(panel.opens_ns)
        self.quick: Callable[[Player], None] | None = None  # goes ahead where few things can be due
        first, self.last, self.is_dense = panel.spans()
        self.all_listed, self.is_plain, self.may_be_at_once = max(first), number is plainly, not latency_ns
        if self.may_be_at_once and panel.is_regular and self.venue.is_plain:
            engine.dealer = self.venue.deal
            self.venue.on_fill = self._note_deal if wants.on_fill else None

    def run(self) -> None:
        """Play the tape to its end."""
        gc_was_on = gc.isenabled()
        gc.disable()  # rows and orders form no cycles; collecting while they pile up costs a third of the time
        try:
            self._run()
        finally:
            # the only circles: without them a run is given back as soon as nobody holds it
            self.engine.dealer = self.engine.rebalance = None
            if not gc.get_freeze_count():  # what the run made goes to the oldest generation without being searched
                gc.freeze()
                gc.unfreeze()
            if gc_was_on:
                gc.enable()

    def _run(self) -> None:
        fixed, conditions, mount, history = self.fixed, self.conditions, self.mount, self.history
        armed, decided, delistings, pending = self.armed, self.decided, self.delistings, self.pending
        panel, arming, last_ns = self.panel, self.arming, self.last_ns
        orders, timers = mount.orders, mount.timers
        quick, steps = self.quick, 0
        while True:
            if quick is not None:
                quick(self)
            at = fixed.soonest
            if conditions is not None and conditions.soonest < at:
                at = conditions.soonest
            if orders or decided or delistings or timers or pending:
                at = self._sooner(at)
            if armed:
                if arming.searched < at:
                    arming.look(min(last_ns, at))
                at = min(at, arming.soonest)  # min() costs a call, at each step
            if at > last_ns:
                break
            history.seek(at)
            bar = history.bar
            if decided or delistings or (armed and arming.soonest == at):
                self.before_wake(at, bar)
            if fixed.alone is not None and fixed.soonest == at and not (self.causes or timers or pending):
                fixed.pass_by()
                is_quiet = panel.is_regular and bar >= self.all_listed and not (orders or decided or delistings)
                before = min(arming.soonest, arming.searched) if armed else NEVER
                later = self._later(before) if is_quiet else NOTHING_LATER
                self._asked(at, bar, fixed.alone, later)
                at = history.now_ns
                fixed.pass_by(history.bar - bar)
                bar = history.bar
            else:
                self._wake(at, bar)
            self.after_wake(at, bar)
            steps += 1
            if self.progress is not None and steps % 256 == 0:
                self.progress((at - self.first_ns) / (last_ns - self.first_ns))
        self._end()

    @property
    def is_waiting(self) -> bool:
        """Whether anything but conditions, price exits and what is known up front may be due."""
        mount = self.mount
        return bool(mount.orders or self.decided or self.delistings or mount.timers or self.pending or self.causes)

    def after_wake(self, at: int, bar: int) -> None:
        """What follows a wake at its instant: fills where the next bar opens then, and what is searched for anew."""
        mount = self.mount
        placed, orders = mount.placed, mount.orders
        if placed and self.may_be_at_once and self.history.is_close and len(placed) == len(orders):
            self._open_at_once(at, bar + 1)
        if mount.touched or mount.placed:
            self._settle(at, at + 1, bar + 1)
        if orders:
            self._open(at, bar + 1)

    def _sooner(self, at: int) -> int:
        """The next instant of what waits: orders, timers, decided exits, delistings; `at` if none is sooner."""
        for order in self.mount.orders.values():
            bar = self.due[order.number]
            if bar < self.size:
                at = min(at, int(self.panel.opens_ns[bar]))
        if self.mount.timers:
            at = min(at, min(self.mount.timers))
        if self.decided:
            at = min(at, min(self.decided.values()))
        if self.delistings:
            at = min(at, self.delistings[0][0])
        if self.pending:
            at = min(at, min(self.pending))
        return at

    def before_wake(self, at: int, bar: int) -> None:
        """What acts at an instant before the strategy is asked: exits inside the bar, delistings, decided exits."""
        mount = self.mount
        if self.armed and self.arming.soonest == at:
            self._exits_inside(bar, at)
        if self.delistings and self.delistings[0][0] <= at:
            self._delist(at)
        for asset in sorted(asset for asset, due in self.decided.items() if due <= at) if self.decided else ():
            del self.decided[asset]
            if self.engine.decided_exits(asset, at, new=self.arming.new_ratings(asset, at)):
                self._note_cause("exit", self.wants.on_exit)
            mount.touched.append(asset)
        if mount.touched or mount.placed:
            self._settle(at, at, bar + 1)

    def _wake(self, at: int, bar: int) -> None:
        """Ask the strategy if anything wakes it at this instant."""
        conditions = self.conditions
        is_moment = conditions is not None and conditions.soonest == at
        if not (is_moment or self.fixed.soonest == at or self.causes or self.mount.timers or self.pending):
            return
        wake, mine = self._gathered(at, conditions if is_moment else None)
        if wake is not None:
            self._asked(at, bar, wake)
        for asset in mine:
            conditions.aim(asset, at + 1, is_held=self.names[asset] in self.mount.targets)  # type: ignore[union-attr]

    def _later(self, before_ns: int) -> Iterator[int]:
        """The next closes of bars at which nothing but a wake is due, up to an instant; moves history and view along."""
        fixed, history, view = self.fixed, self.history, self.view
        bar = history.bar
        for at in range(fixed.soonest, min(before_ns, self.last_ns + 1), self.panel.step_ns):  # the grid has no gap
            bar += 1
            history.now_ns, history.bar, view.now_ns = at, bar, at
            yield at

    def _asked(self, at: int, bar: int, wake: Wake, later: Iterator[int] = NOTHING_LATER) -> None:
        """Ask the strategy and let the engine carry out what it says."""
        if bar < self.all_listed or self.history.delisted:
            self._count_omitted()
        view = self.view
        view.now_ns, view.wake = at, wake
        if self.engine.decide(view, at, later) is None:
            self.fail(wake)

    def fail(self, wake: Wake) -> NoReturn:
        """Raise what the strategy raised."""
        raise StrategyError(
            f"{type(self.strategy).__name__}.decide failed at {self.view.now:%Y-%m-%d %H:%M} "
            f"(woken by {', '.join(wake.causes)}): {type(self.engine.failure).__name__}: {self.engine.failure}"
        ) from self.engine.failure

    def _gathered(self, at: int, conditions: ByCondition | None) -> tuple[Wake | None, Sequence[int]]:
        """All causes of a wake at an instant, None if there is none, and the assets whose conditions are among them."""
        names, assets = self.causes, list[int]()
        self.causes = []
        if self.fixed.soonest == at:
            self.fixed.take(at, names, assets)
        mine = conditions.take(at, names, assets) if conditions is not None else ()
        if at in self.mount.timers:
            self.mount.timers.discard(at)
            names.append("timer")
        cause = self.pending.pop(at, None)
        if cause is not None and cause not in names:
            names.append(cause)
        wake = Wake(tuple(names), assets, self.names) if names else None
        return wake, mine

    def _count_omitted(self) -> None:
        """Note the assets with a wanted datum that a view leaves out for want of a closed bar."""
        hidden = ~self.history.tradable()
        states = [self.history.rating_state(kind) for kind in self.wants.ratings]
        for _, as_of in states + [self.history.signal_state(kind) for kind in self.wants.signals]:
            self.log.omitted.update(np.flatnonzero((as_of > LONG_AGO) & hidden).tolist())

    def _settle(self, at: int, aim_ns: int, live_bar: int) -> None:
        """Bring the cursors in line with what changed in the book: orders to fill, conditions, exits."""
        mount = self.mount
        if mount.placed:
            for order in mount.placed:
                if order.state != CLOSED:
                    delay = 0 if order.is_exit and not order.waits else self.latency_ns
                    self.due[order.number] = self._tradable(order.asset, self.panel.opening(at + delay))
            mount.placed.clear()
        touched = list(dict.fromkeys(mount.touched))
        mount.touched.clear()
        conditions, targets, armed = self.conditions, mount.targets, self.armed
        for asset in touched:
            target = targets.get(asset)
            if conditions is not None:
                number = self.history.index[asset]
                if (target is not None) != conditions.is_held[number]:
                    conditions.aim(number, aim_ns, is_held=target is not None)
            if (
                (target is not None and target.exits)
                or asset in armed
                or asset in self.decided
                or asset in mount.leaving
            ):
                self.arming.arm(asset, aim_ns, live_bar)

    def _exits_inside(self, bar: int, at: int) -> None:
        due = [asset for asset, armed in self.armed.items() if armed.search.hit == bar]
        for asset in sorted(due) if len(due) > 1 else due:
            armed = self.armed[asset]
            holding = self.mount.held(asset)
            assert holding is not None
            if armed.plan.has_trail:
                self.arming.move_peak(asset, bar)
            found = self.arming.hit(armed, holding, bar)
            for number, exit_, price in found:
                if self.mount.held(asset) is None:
                    break
                self._exit(asset, number, exit_, price, bar, at)
                if exit_.share == 1:
                    break
        if due:
            self._settle(at, at, bar + 1)

    def _exit(self, asset: str, number: int, exit_: Exit, price: Number, bar: int, at: int) -> None:
        """Carry out a price exit: inside the bar, what is left at the following opens; or all at the next open."""
        if self.rests and exit_.share == 1 and self.venue.deal_exit(asset, number, exit_, price, bar, at):
            self.note_exit()
            return
        earlier = self.mount.orders.get(asset)
        earlier = earlier if earlier is not None and earlier.is_exit else None
        order = self.engine.exit_hit(asset, number, exit_, price, at, joins=not self.rests)
        if order is None:
            return
        self._note_cause("exit", self.wants.on_exit)
        if not self.rests:
            return
        fills = len(self.log.fills)
        self.venue.trade(order, price, bar, at)
        if len(self.log.fills) > fills:
            self._note_cause("fill", self.wants.on_fill)
        is_done = order.state == CLOSED
        self.due[order.number] = self._tradable(asset, bar + 1)
        if earlier is not None:
            again = self.engine.rejoin(earlier, order, at)
            if again is not None:
                self.due[again.number] = self.due[earlier.number if is_done else order.number]
        self.mount.placed.clear()

    def note_exit(self) -> None:
        """Note an exit that filled as the cause of the next wake, where somebody wants to be told."""
        self._note_cause("exit", self.wants.on_exit)
        self._note_cause("fill", self.wants.on_fill)

    def _note_cause(self, cause: str, is_wanted: bool) -> None:
        if is_wanted and cause not in self.causes:
            self.causes.append(cause)

    def _delist(self, at: int) -> None:
        while self.delistings and self.delistings[0][0] <= at:
            _, asset = self.delistings.pop(0)
            if not self.history.is_tradable(asset):
                continue
            holding = self.mount.ledger.holdings.get(asset)
            before = holding.quantity if holding is not None else self.mount.ledger.zero
            self.engine.delisted(asset, self.losses.get(asset, 1.0), at)
            self.history.delisted.add(asset)
            self.mount.touched.append(asset)
            if before:
                bar = self.history.bar
                closes_now = bar >= 0 and int(self.panel.opens_ns[bar]) + self.panel.step_ns == at
                self.venue.note(bar if closes_now else bar + 1, asset, -before)

    def _tradable(self, asset: str, bar: int) -> int:
        """The asset's first bar with volume at or after a bar; the length where there is none."""
        if bar >= self.size:
            return self.size
        at = self.history.index[asset]
        first, last, dense = self.panel.spans()
        if dense[at] and first[at] <= bar <= last[at]:
            return bar
        return int(self.panel.next_tradable(at)[bar])

    def _note_deal(self, at: int) -> None:
        self.pending[at + self.panel.step_ns] = "fill"

    def _open_at_once(self, at: int, bar: int) -> None:
        """Fill what was just placed where the next bar opens at the same instant; the rest is left to `_settle`."""
        if bar >= self.size or not (self.panel.is_regular or self.panel.opens_ns.item(bar) == at):
            return
        placed, log, index = self.mount.placed, self.log, self.history.index
        filled, kept = len(log.fills), []
        for order in sells_first(placed) if len(placed) > 1 else placed:
            number = index[order.asset]
            if (self.is_dense[number] and bar <= self.last[number]) or self._tradable(order.asset, bar) == bar:
                log.at_once += 1
                price = self.opens[number](bar)
                self.venue.trade(order, price if self.is_plain else self.number(price), bar, at)
                if order.state != CLOSED:
                    self.due[order.number] = self._tradable(order.asset, bar + 1)
            else:
                kept.append(order)
        self.mount.placed[:] = kept
        if self.wants.on_fill and len(log.fills) > filled:
            self.pending[at + self.panel.step_ns] = "fill"

    def _open(self, at: int, bar: int) -> None:
        """Fill what is due at the bars that open now: sells before buys."""
        if bar >= self.size or self.panel.opens_ns[bar] != at:
            return
        orders = [order for order in self.mount.orders.values() if self.due[order.number] == bar]
        filled = len(self.log.fills)
        for order in sells_first(orders) if len(orders) > 1 else orders:
            self.log.waits.append(at - order.placed_ns)
            self.venue.trade(order, self.number(self.opens[self.history.index[order.asset]](bar)), bar, at)
            if order.state != CLOSED:
                self.due[order.number] = self._tradable(order.asset, bar + 1)
        if self.wants.on_fill and len(self.log.fills) > filled:
            self.pending[at + self.panel.step_ns] = "fill"
        if self.mount.touched:
            self._settle(at, at + 1, bar)

    def _end(self) -> None:
        self.history.seek(self.last_ns)
        for order in list(self.mount.orders.values()):
            waits = order.left == (order.quantity if order.quantity is not None else order.spend)
            self.engine.close(
                order, "no_bar" if waits and self.due.get(order.number, self.size) >= self.size else "end", self.last_ns
            )
        for asset in list(self.armed):
            armed = self.armed.pop(asset)
            if armed.search.trail is not None:
                self.arming.note_trail(armed, self.size)
        for asset in self.mount.ledger.holdings:
            if self.mount.held(asset) is not None:
                self.arming.move_peak(asset, self.size)
