"""The player: drives the engine through a tape, jumping from one instant at which something happens to the next.

At one instant things act in the order of docs/rules.md, 2. The player is the clock and the venue of a replay; it decides
nothing. It may look ahead in its own columns to find the next exit; what it finds is told only when time gets there.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import numpy as np

from backtests.schedule import NEVER, ByCondition, Fixed
from backtests.venue import TapeVenue
from trader.core.book import Mount, book_bar
from trader.core.engine import Engine, sells_first
from trader.core.exits import PRICE_EXITS, STOPS, Above, After, Below, Exit, TrailBy
from trader.core.history import LONG_AGO, History, Panel, datums
from trader.core.instants import duration
from trader.core.instruments import Converter, Number
from trader.core.matching import Search, Tariff, hits, level
from trader.core.orders import CLOSED, Order
from trader.core.signals import MARKET
from trader.core.strategy import Decision, Wake
from trader.core.view import Strategy, View


class StrategyError(ValueError):
    """The strategy raised during a replay."""


class Armed:
    """The price exits of one holding, with the search for the first bar that hits them."""

    __slots__ = ("at", "exits", "high", "low", "peak", "search")

    def __init__(
        self, panel: Panel, at: int, exits: Sequence[tuple[int, Exit, Number]], *, first: int, peak: float
    ) -> None:
        self.at = at
        self.exits = exits
        self.peak = peak
        self.low, self.high = panel.searchable(at)
        stops = [float(lv) for _, e, lv in exits if isinstance(e, STOPS) and not isinstance(e, TrailBy)]
        goals = [float(lv) for _, e, lv in exits if not isinstance(e, STOPS)]
        trails = [e.by for _, e, _ in exits if isinstance(e, TrailBy)]
        self.search = Search(
            first, max(stops, default=float("-inf")), min(goals, default=float("inf")), min(trails, default=None), peak
        )


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
        self.fixed = Fixed(panel, wants, self.first_ns, self.last_ns)
        self.conditions = ByCondition(panel, wants, self.first_ns, self.last_ns) if wants.conditions else None
        self.armed: dict[str, Armed] = {}
        self.decided: dict[str, int] = {}  # asset -> when its next `After`, `Below` or `Above` is due
        self.peaks: dict[str, tuple[int, int]] = {}  # asset -> when opened, first bar not yet in its peak
        self.aimed_held: set[str] = set()
        self.due: dict[int, int] = {}  # order -> bar at whose open it may fill
        self.delistings = sorted((at, name) for name, at in panel.delisted_ns.items() if at <= self.last_ns)
        self.names = [*panel.names, MARKET]
        self.opens = [row.item for row in panel.open]
        self.causes: list[str] = []
        self.pending: dict[int, str] = {}  # instant -> cause of a wake after a fill
        self.venue = TapeVenue(engine, panel, history, tariff, number=number, start_cash=start_cash)
        self.log = self.venue.log
        self.decisions: list[tuple[int, Wake, Decision]] = []
        self.size = len(panel.opens_ns)
        self.all_listed = max(panel.spans()[0])

    def run(self) -> None:
        """Play the tape to its end."""
        gc_was_on = gc.isenabled()
        gc.disable()  # rows and orders form no cycles; collecting while they pile up costs a third of the time
        try:
            self._run()
        finally:
            if gc_was_on:
                gc.enable()

    def _run(self) -> None:
        steps = 0
        while True:
            at = self._next()
            if at > self.last_ns:
                break
            self._instant(at)
            steps += 1
            if self.progress is not None and steps % 256 == 0:
                self.progress((at - self.first_ns) / (self.last_ns - self.first_ns))
        self._end()

    def _next(self) -> int:
        at = self.fixed.peek()
        if self.conditions is not None and self.conditions.soonest < at:
            at = self.conditions.soonest
        mount = self.mount
        for number in [order.number for order in mount.orders.values()] if mount.orders else ():
            bar = self.due[number]
            if bar < self.size:
                at = min(at, int(self.panel.opens_ns[bar]))
        if mount.timers:
            at = min(at, min(mount.timers))
        if self.decided:
            at = min(at, min(self.decided.values()))
        if self.delistings:
            at = min(at, self.delistings[0][0])
        if self.pending:
            at = min(at, min(self.pending))
        return min(at, self._next_exit(at)) if self.armed else at

    def _next_exit(self, at: int) -> int:
        upto = self.panel.closed(min(at, self.last_ns)) + 1
        best = self.size
        for armed in self.armed.values():
            search = armed.search
            if search.hit < 0 and search.clean < upto:
                search.look(armed.low, armed.high, min(upto, best + 1))
            if 0 <= search.hit < best:
                best = search.hit
        return int(self.panel.opens_ns[best]) + self.panel.step_ns if best < upto else NEVER

    def _instant(self, at: int) -> None:
        history, mount = self.history, self.mount
        history.seek(at)
        bar = history.bar
        if self.armed:
            self._exits_inside(bar, at)
        if self.delistings and self.delistings[0][0] <= at:
            self._delist(at)
        if self.decided:
            for asset in sorted(asset for asset, due in self.decided.items() if due <= at):
                del self.decided[asset]
                before = len(self.engine.rows)
                self.engine.decided_exits(asset, at, new=self._new_ratings(asset, at))
                if self.wants.on_exit and len(self.engine.rows) > before and "exit" not in self.causes:
                    self.causes.append("exit")
                mount.touched.append(asset)
        if mount.touched or mount.placed:
            self._settle(at, at, bar + 1)
        self._wake(at)
        if mount.touched or mount.placed:
            self._settle(at, at + 1, bar + 1)
        if mount.orders:
            self._open(at, bar + 1)

    def _wake(self, at: int) -> None:
        names = self.causes
        assets: list[int] = []
        self.causes = []
        if self.fixed.peek() == at:
            self.fixed.take(at, names, assets)
        conditions = self.conditions
        mine: list[int] = []
        if conditions is not None and conditions.soonest == at:
            held = {self.history.index[asset] for asset in self.mount.targets}
            mine = conditions.take(at, held, names, assets)
        if at in self.mount.timers:
            self.mount.timers.discard(at)
            names.append("timer")
        if at in self.pending:
            names.append(self.pending.pop(at))
        if names:
            if self.history.bar < self.all_listed or self.history.delisted:
                self._count_omitted()
            wake = Wake(tuple(names), sorted(set(assets)) if len(assets) > 1 else assets, self.names)
            view = View(self.history, self.mount, self.wants, at, wake=wake)
            decision = self.engine.decide(view, at)
            if decision is None:
                raise StrategyError(
                    f"{type(self.strategy).__name__}.decide failed at {view.now:%Y-%m-%d %H:%M} (woken by {', '.join(names)}): "
                    f"{type(self.engine.failure).__name__}: {self.engine.failure}"
                ) from self.engine.failure
            self.decisions.append((at, wake, decision))
        for asset in mine:
            self._aim(self.names[asset], at + 1)

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
        touched, mount.touched = mount.touched, []
        conditions, targets, armed = self.conditions, mount.targets, self.armed
        for asset in dict.fromkeys(touched) if len(touched) > 1 else touched:
            if conditions is not None and (asset in targets) != (asset in self.aimed_held):
                self._aim(asset, aim_ns)
            target = targets.get(asset)
            if (
                asset in armed
                or asset in self.decided
                or asset in mount.leaving
                or (target is not None and target.exits)
            ):
                self._arm(asset, aim_ns, live_bar)

    def _aim(self, asset: str, from_ns: int) -> None:
        assert self.conditions is not None
        is_held = asset in self.mount.targets
        if is_held:
            self.aimed_held.add(asset)
        else:
            self.aimed_held.discard(asset)
        self.conditions.aim(self.history.index.get(asset, len(self.history.names)), from_ns, is_held=is_held)

    def _arm(self, asset: str, from_ns: int, live_bar: int) -> None:
        mount = self.mount
        before = self.armed.pop(asset, None)
        if before is not None and before.search.trail is not None:
            self._note_trail(before, live_bar)
        self.decided.pop(asset, None)
        holding = mount.held(asset)
        if holding is None:
            return
        exits = self.engine.armed(asset)
        waiting = self.engine.armed(asset, decided=True) if asset in mount.targets else exits
        due = [self._due_of(asset, e, from_ns, holding.opened_ns) for _, e in waiting if not isinstance(e, PRICE_EXITS)]
        if due and min(due) < NEVER:
            self.decided[asset] = min(due)
        if not exits:
            return
        if any(isinstance(e, TrailBy) for _, e in exits):
            self._move_peak(asset, live_bar)
        priced = [
            (n, e, level(e, holding.entry, holding.peak, self.number)) for n, e in exits if isinstance(e, PRICE_EXITS)
        ]
        if priced:
            self.armed[asset] = Armed(
                self.panel, self.history.index[asset], priced, first=live_bar, peak=float(holding.peak)
            )

    def _due_of(self, asset: str, exit_: Exit, from_ns: int, opened_ns: int) -> int:
        """When a decided exit is due; an `After` already overdue when stated, at once."""
        if isinstance(exit_, After):
            return max(opened_ns + duration(exit_.time), from_ns)
        assert isinstance(exit_, Above | Below)
        rows = self.panel.ratings.get(exit_.kind)
        if rows is None:
            return NEVER
        known, _, value = datums(rows, self.history.index[asset])
        found = (known >= max(from_ns, opened_ns + 1)) & (
            value <= exit_.level if isinstance(exit_, Below) else value >= exit_.level
        )
        return int(known[found.argmax()]) if found.any() else NEVER

    def _new_ratings(self, asset: str, at: int) -> dict[str, float]:
        new = {}
        for kind, rows in self.panel.ratings.items():
            known, _, value = datums(rows, self.history.index[asset])
            here = int(known.searchsorted(at))
            if here < len(known) and known[here] == at:
                new[kind] = float(value[here])
        return new

    def _move_peak(self, asset: str, before_bar: int) -> None:
        holding = self.mount.ledger.holdings[asset]
        opened, begin = self.peaks.get(asset, (-1, 0))
        if opened != holding.opened_ns:
            begin = self.panel.opening(holding.opened_ns)
        if before_bar > begin:
            highs = self.panel.high[self.history.index[asset], begin:before_bar]
            book_bar(self.mount, asset, self.number(float(np.fmax.reduce(highs))))
            self.peaks[asset] = (holding.opened_ns, before_bar)

    def _note_trail(self, armed: Armed, end: int) -> None:
        by = min(e.by for _, e, _ in armed.exits if isinstance(e, TrailBy))
        first = armed.search.first
        self.log.trails.append((armed.at, first, end, by, armed.peak))

    def _exits_inside(self, bar: int, at: int) -> None:
        due = sorted(asset for asset, armed in self.armed.items() if armed.search.hit == bar)
        for asset in due:
            armed = self.armed[asset]
            holding = self.mount.held(asset)
            assert holding is not None
            if armed.search.trail is not None:
                self._move_peak(asset, bar)
            index = armed.at
            levels = [(n, e, level(e, holding.entry, holding.peak, self.number)) for n, e, _ in armed.exits]
            low, high = (self.number(column[index].item(bar)) for column in (self.panel.low, self.panel.high))
            found = hits(levels, self.number(self.opens[index](bar)), low, high)
            if any(isinstance(e, STOPS) for _, e, _ in found) and not all(isinstance(e, STOPS) for _, e, _ in found):
                self.log.ambiguous += 1
            for number, exit_, price in found:
                if self.mount.held(asset) is None:
                    break
                if self.engine.is_leaving_at_price(asset) and (self.rests or not self.engine.may_exit(asset, exit_)):
                    break
                waiting = self.mount.orders.get(asset) if exit_.share < 1 else None
                if waiting is not None and not waiting.waits:
                    waiting = None
                if waiting is not None and not self.rests:
                    continue  # one of a part does not disturb an exit that waits for the same open
                order = self.engine.exit_hit(asset, number, exit_, price, at)
                if self.wants.on_exit and "exit" not in self.causes:
                    self.causes.append("exit")
                if order is not None and self.rests:
                    self.due[order.number] = bar + 1
                    self.venue.trade(order, price, bar, at)
                    if order.state != CLOSED:
                        self.due[order.number] = self._tradable(asset, bar + 1)
                        self.mount.placed.remove(order)
                    elif waiting is not None:
                        self._resume(waiting, at)
        if due:
            self._settle(at, at, bar + 1)

    def _resume(self, waiting: Order, at: int) -> None:
        """Place anew what is left of a waiting exit that one of a part came before."""
        again = self.engine.resume(waiting, at)
        if again is not None:
            self.mount.placed.remove(again)
            self.due[again.number] = self.due[waiting.number]

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

    def _open(self, at: int, bar: int) -> None:
        """Fill what is due at the bars that open now: sells before buys."""
        if bar >= self.size or self.panel.opens_ns[bar] != at:
            return
        orders = [order for order in self.mount.orders.values() if self.due[order.number] == bar]
        filled = len(self.log.bar)
        for order in sells_first(orders) if len(orders) > 1 else orders:
            self.log.waits.append(at - order.placed_ns)
            self.venue.trade(order, self.number(self.opens[self.history.index[order.asset]](bar)), bar, at)
            if order.state != CLOSED:
                self.due[order.number] = self._tradable(order.asset, bar + 1)
        if self.wants.on_fill and len(self.log.bar) > filled:
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
                self._note_trail(armed, self.size)
        for asset in self.mount.ledger.holdings:
            if self.mount.held(asset) is not None:
                self._move_peak(asset, self.size)
