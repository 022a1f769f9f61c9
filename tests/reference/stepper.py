"""A plain reference of the rules: every bar and every instant, one after the other, by the letter of docs/rules.md.

It shares value types with the product and no line of the engine, so that the two can disagree.
"""

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

from tests.reference import exit_rules
from tests.reference.account import Account
from tests.reference.arithmetic import Arithmetic
from tests.reference.frames import bars_of, data_of, instruments_of
from tests.reference.news import News
from tests.reference.plain_view import PlainView
from tests.reference.wakes import Wakes
from trader.core.costs import Costs
from trader.core.instants import duration, to_ns
from trader.core.signals import MARKET
from trader.core.strategy import HOLD, Quote, Target, Units, Wake


@dataclass
class Outcome:
    fills: list = field(default_factory=list)  # (at_ns, asset, side, quantity, price, fee in what it is taken, why)
    equity: list = field(default_factory=list)  # (close_ns, value)
    decisions: list = field(default_factory=list)  # (at_ns, causes)
    cash: object = 0.0
    holdings: dict = field(default_factory=dict)
    counts: dict = field(default_factory=dict)
    trail_ambiguity: int = 0
    orders: list | None = None  # (at_ns, asset, side, reason) of every order that closed
    refused: list | None = None  # (at_ns, asset, reason)


def step(
    strategy, bars, ratings=None, signals=None, instruments=None, *, cash, costs=None, latency="0s", exits="resting",
    delay=None, exact=False,
):  # fmt: skip
    """Replay a strategy in the plainest way; the frames are those of `Tape.from_frames`."""
    stepper = Stepper(strategy, cash=cash, costs=costs or Costs(), latency=latency, exits=exits, exact=exact)
    stepper.load(bars, ratings, signals, instruments, delay=delay)
    return stepper.run()


class Stepper:
    def __init__(self, strategy, *, cash, costs, latency, exits, exact):
        self.strategy = strategy
        self.wants = strategy.wants
        self.number = Arithmetic(exact, cash)
        self.start_cash, self.costs = cash, costs
        self.latency = duration(latency)
        self.next_open = exits == "next_open"
        self.news = News()
        self.wished = set()  # assets whose stated target is over zero and whose exits have not taken it back
        self.wakes = Wakes(self.wants)
        self.memo = None
        self.timers = set()
        self.closed = defaultdict(list)  # asset -> bars that have closed
        self.delisted = set()
        self.omitted = set()
        self.told = 0  # fills that a wake was told of
        self.now = -1
        self.out = Outcome(orders=[], refused=[], counts=defaultdict(int))

    def load(self, bars, ratings, signals, instruments, *, delay):
        given = instruments_of(instruments, self.number.of)
        self.account = Account(self.number, self.start_cash, self.costs, given)
        self.held = self.account.held
        rows, self.step_ns = bars_of(bars, given, self.number.of)
        self.opening, self.closing = defaultdict(list), defaultdict(list)
        for bar in rows:
            self.opening[bar.open_ns].append(bar)
            self.closing[bar.close_ns].append(bar)
        self.assets = sorted({str(asset) for asset in bars["asset"]})
        self.delistings = defaultdict(list)
        for asset in self.assets:
            gone = self.account.instrument(asset).delisted_ns
            if gone is not None:
                self.delistings[gone].append(asset)
        self.ratings, self.signals = data_of(ratings, delay), data_of(signals, delay)
        self.first, self.last = min(self.opening), max(self.closing)
        self.clock = set(self.wakes.clock_instants(self.first, self.last))
        every = [self.opening, self.closing, self.delistings, self.ratings, self.signals, self.clock]
        self.instants = sorted({at for some in every for at in some})

    # What the view asks

    @property
    def cash(self):
        return self.account.cash

    def tradable(self, asset, at):
        return bool(self.closed.get(asset)) and asset not in self.delisted

    def stands(self, asset):
        return asset in self.wished and self.account.stands(asset)

    def mark(self, asset):
        return self.closed[asset][-1].close

    def equity(self):
        total = self.account.cash
        for asset in sorted(self.held):
            if self.held[asset].quantity > 0:
                total += self.held[asset].quantity * self.mark(asset)
        return total

    # The instants

    def run(self):
        heapq.heapify(self.instants)
        while self.instants:
            at = heapq.heappop(self.instants)
            if self.now < at <= self.last:
                self.instant(at)
        return self.outcome()

    def instant(self, at):
        """Rule 2: nothing later in this list acts earlier in it."""
        self.now = at
        for bar in self.closing.get(at, ()):
            self.exits_inside(bar, at)
        for bar in self.closing.get(at, ()):
            self.close_bar(bar)
        for asset in self.delistings.get(at, ()):
            if self.closed.get(asset):
                self.account.write_off(asset, self.mark(asset), at)
            self.delisted.add(asset)
        if self.closing.get(at):
            self.note_fills()
            self.equity_point(at)
        ratings = self.news.arrive("rating", self.ratings.get(at, ()))
        signals = self.news.arrive("signal", self.signals.get(at, ()))
        self.exits_due(at, ratings)
        if at >= self.first:
            self.wake(at, ratings, signals)
        self.orders_at_opens(at)

    def note_fills(self):
        """A fill at an open wakes at the next close of any bar: its own instant has had its decision."""
        if self.wants.on_fill:
            for fill in self.account.fills[self.told :]:
                self.wakes.note("fill", {fill[1]})
        self.told = len(self.account.fills)

    def close_bar(self, bar):
        held = self.account.holding(bar.asset)
        if held.counts:
            held.peak = max(held.peak, bar.high)
        self.closed[bar.asset].append(bar)

    def equity_point(self, at):
        self.out.equity.append((at, self.equity()))
        for asset, held in self.held.items():
            if held.quantity > 0 and at - self.closed[asset][-1].close_ns > 3 * self.step_ns:
                self.out.counts["stale_marks"] += 1

    # Exits

    def exits_inside(self, bar, at):
        held = self.account.holding(bar.asset)
        if not held.counts or not held.exits or bar.volume == 0:
            return
        order = self.account.orders.get(bar.asset)
        if order is not None and order.resting and order.full:
            return
        stops, goals = exit_rules.price_levels(self.number, held)
        touched = exit_rules.hits(self.number, bar, stops, goals)
        kinds = {exit_rules.is_stop(exit_) for _, _, exit_ in touched}
        trail = exit_rules.only_by_own_high(self.number, held, bar, stops)
        self.out.trail_ambiguity += trail
        self.out.counts["ambiguous_bars"] += trail or len(kinds) == 2
        for mid, place, exit_ in touched:
            if not held.counts:
                break
            self.price_exit(bar, at, mid, place, exit_)
            if exit_.share == 1:
                break

    def price_exit(self, bar, at, mid, place, exit_):
        asset, account = bar.asset, self.account
        quantity = self.exit_quantity(asset, place, exit_, mid, at)
        if quantity is None:
            return
        why = type(exit_).__name__
        if not self.next_open:
            quantity -= account.sell(bar, mid, quantity, at, why)
        held = account.holding(asset)
        if not held.counts:
            account.close(asset, "filled", at)
        elif not account.is_nothing(asset, quantity, held.quantity):
            self.exit_order(asset, quantity, at, why, full=exit_.share == 1, resting=True)

    def exit_quantity(self, asset, place, exit_, price, at):
        """What an exit sells, or None; it cancels the asset's other order and spends itself."""
        account = self.account
        held = account.holding(asset)
        full = exit_.share == 1
        order = account.orders.get(asset)
        if order is not None and not order.exit:
            account.close(asset, "exiting", at)
        wished = held.quantity if full else held.quantity * self.number.of(exit_.share)
        quantity = account.down_to_lot(asset, wished)
        if not full:
            held.spent.add(place)
        if account.is_nothing(asset, quantity, wished) or account.under_minimum(asset, quantity * price):
            if full:
                held.flatten(dust=True)
                account.close(asset, "minimum", at)
            return None
        if self.wants.on_exit:
            self.wakes.note("exit", {asset})
        return quantity

    def exit_order(self, asset, quantity, eligible, why, *, full, resting):
        """One exit order per asset: a later exit takes over what an earlier one still has to sell."""
        if full:
            self.wished.discard(asset)
        account = self.account
        held = account.holding(asset)
        order = account.orders.pop(asset, None)
        if order is not None:
            full = full or order.full
            quantity = held.quantity if full else min(held.quantity, order.quantity + quantity)
        quantity = account.down_to_lot(asset, quantity)
        account.place(
            asset, "sell", quantity=quantity, eligible=eligible, why=why, exit=True, full=full, resting=resting
        )

    def exits_due(self, at, ratings):
        for asset in sorted(self.held):
            held = self.held[asset]
            if not held.counts or asset in self.delisted:
                continue
            fresh = {
                kind: self.news.known("rating", kind, asset).value for kind in ratings if asset in ratings[kind][0]
            }
            for place, exit_ in enumerate(held.exits):
                order = self.account.orders.get(asset)
                if place in held.spent or (order is not None and order.exit and order.full):
                    continue
                if held.counts and exit_rules.is_due(exit_, held, at, fresh):
                    quantity = self.exit_quantity(asset, place, exit_, self.mark(asset), at)
                    if quantity is not None:
                        why, full = type(exit_).__name__, exit_.share == 1
                        self.exit_order(asset, quantity, at + self.latency, why, full=full, resting=False)

    # Wakes and decisions

    def wake(self, at, ratings, signals):
        closing = self.closing.get(at, ())
        self.wakes.arrivals(at, ratings, signals, closing)
        self.wakes.conditions(at, self, ratings, signals, closing)
        if at in self.clock:
            self.wakes.note("every", ())
        if at in self.timers:
            self.wakes.note("timer", ())
        causes, assets = self.wakes.take()
        if causes:
            self.decide(at, causes, assets)

    def decide(self, at, causes, assets):
        numbers = [place for place, asset in enumerate(self.assets) if asset in assets and self.tradable(asset, at)]
        for source, kinds in (("rating", self.wants.ratings), ("signal", self.wants.signals)):
            for kind in kinds:
                known = self.news.newest.get((source, kind), {})
                self.omitted |= {name for name in known if name != MARKET and not self.tradable(name, at)}
        view = PlainView(self, at, Wake(causes, numbers, self.assets))
        decision = self.strategy.decide(view)
        self.out.decisions.append((at, causes))
        for timer in decision.timers:
            self.timers.add(to_ns(timer))
            heapq.heappush(self.instants, to_ns(timer))
        if decision.remembers:
            self.memo = decision.memo
        self.obey(at, decision, view.ratings)

    def obey(self, at, decision, ratings):
        equity = self.equity()
        for asset, size in decision.targets.items():
            target = size if isinstance(size, Target) else Target(size)
            self.state(asset, target, at, equity, target.why or decision.why or "target")
        if not decision.closes_others:
            return
        shown = [set(ratings(kind)) for kind in self.wants.ratings]
        for asset in sorted({*self.held, *self.account.orders} - set(decision.targets)):
            if self.account.stands(asset):
                unknown = any(asset not in names for names in shown)
                self.out.counts["unknown_held"] += unknown and self.account.holding(asset).counts
                if not (unknown and decision.unknown is HOLD):
                    self.state(asset, Target(0.0), at, equity, decision.why or "target")

    def state(self, asset, target, at, equity, why):
        """One stated target (rules 20 to 25, 28, 32, 33)."""
        account, size = self.account, target.size
        if not self.tradable(asset, at):
            return self.refuse(at, asset, "no_price")
        held, order = account.holding(asset), account.orders.get(asset)
        if order is not None and order.exit:
            return self.refuse(at, asset, "exiting")
        figure = size.amount if isinstance(size, Quote) else size.quantity if isinstance(size, Units) else size
        leaves = figure <= 0
        (self.wished.discard if leaves else self.wished.add)(asset)
        if isinstance(size, Quote) and not leaves and (held.counts or order is not None):
            return self.restate_exits(held, target)
        account.orders.pop(asset, None)
        if order is not None:
            account.closed_orders.append((at, asset, order.side, "replaced"))
        if leaves:
            self.leave(asset, held, at, why)
        else:
            self.restate_exits(held, target)
            self.approach(asset, held, target, at, equity, why)
        return account.lapse(asset)

    def restate_exits(self, held, target):
        if not held.counts or held.exits != target.exits:
            held.exits, held.spent = target.exits, set()
        if held.counts:
            self.expect(held)

    def expect(self, held):
        for due in exit_rules.due_instants(held):
            heapq.heappush(self.instants, max(due, self.now + 1))  # one that is past fires at once, after this instant

    def leave(self, asset, held, at, why):
        if not held.counts:
            return
        quantity = self.account.down_to_lot(asset, held.quantity)
        small = self.account.is_nothing(asset, quantity, held.quantity)
        if small or self.account.under_minimum(asset, quantity * self.mark(asset)):
            held.flatten(dust=True)
            self.refuse(at, asset, "minimum")
            return
        self.account.place(asset, "sell", quantity=quantity, eligible=at + self.latency, why=why)

    def approach(self, asset, held, target, at, equity, why):
        account, number, mark = self.account, self.number, self.mark(asset)
        eligible = at + self.latency
        if isinstance(target.size, Quote):
            amount = number.of(target.size.amount)
            if account.under_minimum(asset, amount):
                self.refuse(at, asset, "minimum")
                return
            account.place(asset, "buy", amount=amount, eligible=eligible, why=why)
            return
        is_units = isinstance(target.size, Units)
        wanted = number.of(target.size.quantity) if is_units else number.of(target.size) * equity / mark
        gap = abs(wanted - held.quantity)
        if held.counts and gap * mark < number.of(target.band) * equity:
            return
        quantity = account.down_to_lot(asset, gap)
        if account.is_nothing(asset, quantity, max(wanted, held.quantity)):
            return
        if account.under_minimum(asset, quantity * mark):
            self.refuse(at, asset, "minimum")
            return
        if wanted > held.quantity:
            account.place(asset, "buy", quantity=quantity, eligible=eligible, why=why)
        elif held.counts:
            account.place(asset, "sell", quantity=quantity, eligible=eligible, why=why)

    def refuse(self, at, asset, reason):
        self.out.refused.append((at, asset, reason))

    # Orders

    def orders_at_opens(self, at):
        bars = {bar.asset: bar for bar in self.opening.get(at, ())}
        due = [order for order in self.account.orders.values() if order.asset in bars and order.eligible <= at]
        for order in sorted(due, key=lambda order: (order.side != "sell", order.seq)):
            was_flat = not self.account.holding(order.asset).counts
            self.account.fill_at_open(order, bars[order.asset], at)
            held = self.account.holding(order.asset)
            if was_flat and held.counts:
                self.expect(held)

    def outcome(self):
        out, account = self.out, self.account
        for asset in list(account.orders):
            account.close(asset, "end" if account.orders[asset].met else "no_bar", self.last)
        out.fills, out.cash, out.orders = account.fills, account.cash, account.closed_orders
        out.holdings = {asset: held.quantity for asset, held in sorted(account.held.items()) if held.quantity > 0}
        withheld = sum(self.news.gates[kind].count for kind in self.wants.ratings)
        counts = {name: int(out.counts[name]) for name in ("ambiguous_bars", "stale_marks", "unknown_held")}
        out.counts = {**counts, "withheld_batches": withheld, "omitted_assets": len(self.omitted)}
        return out
