"""The engine: from a wake to targets, from targets and exits to orders, from fills to the book.

One engine for live, paper and replay: a driver tells it what happened and carries out the orders it places. It knows
only the instant of what it handles. Each change of the book is written as the row of a fact beside it.
"""

# long: one class around one state; its parts call each other within one decision

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from math import inf

from trader.core.book import (
    Mount,
    book_bar,
    book_close,
    book_cut,
    book_dealt,
    book_dust,
    book_exit,
    book_filled,
    book_lapse,
    book_left,
    book_order,
    book_target,
    book_traded,
)
from trader.core.events import due, fire, handle, learn, rouse
from trader.core.exits import EXIT_WORDS, PRICE_EXITS, Exit, is_due, is_exit_word
from trader.core.facts import (
    SIDES,
    BarClosed,
    Dealt,
    Decided,
    DustLeft,
    ExitHit,
    Fact,
    Filled,
    Halted,
    MemoKept,
    OrderClosed,
    OrderCut,
    OrderPlaced,
    Refused,
    Row,
    Still,
    StrategyFailed,
    TargetSet,
    TimerDue,
    TimerSet,
    Woken,
    fact_of,
    in_full,
)
from trader.core.feed import Feed
from trader.core.instants import from_ns, to_ns
from trader.core.instruments import Converter, Number, Terms
from trader.core.orders import CLOSED, FLYING, PART, Order
from trader.core.records import MountStarted
from trader.core.risk import Denied, Facing, Gate, Limits
from trader.core.routing import buy_at
from trader.core.sizing import Missing, check, missing, spending
from trader.core.strategy import NOTHING, STILL, Decision, Quote, Target, Units, Unknown, Wake
from trader.core.view import Market, Strategy, View

NOBODY = Wake((), (), ())
IN_FLIGHT = "in_flight"

Dealer = Callable[[str, Terms, Missing, str, int], bool]
Rebalancer = Callable[[Sequence[str], Decision, View], bool]


class Engine:
    """Decides for one mount. `record` is what happened, in order, some of it in short rows; `failure` the last exception of the strategy."""

    STATE = ("periods", "noted", "deferred", "exits_seen")
    __slots__ = (
        "dealer", "deferred", "exits_seen", "failure", "gate", "is_alone", "market", "mount", "noted", "number", "periods", "rebalance", "record", "sound", "strategy",
        "unknown_held", "wants",
    )  # fmt: skip

    def __init__(self, strategy: Strategy, mount: Mount, market: Market, number: Converter, gate: Gate | None) -> None:
        self.strategy = strategy
        self.wants = strategy.wants
        self.mount = mount
        self.market = market
        self.number = number
        self.gate = gate
        self.record: list[Row] = []
        self.failure: Exception | None = None
        self.periods: set[int] = set()
        self.unknown_held = 0
        self.exits_seen = False  # whether any target had exits
        self.dealer: Dealer | None = None  # of a driver whose venue may fill at the very instant of a decision
        self.rebalance: Rebalancer | None = None  # the same for decisions about several assets
        self.sound: object = None  # the size that was checked last: frozen, so it need not be checked again
        self.noted: list[str] = []  # causes of the next wake that came between two
        self.deferred: set[str] = set()  # assets whose decision waits until an order of theirs is known
        self.is_alone = False  # whether the decision being carried out is one target, and nothing else is working

    @property
    def rows(self) -> list[Row]:
        """What happened, in order: one row per fact."""
        return list(in_full(self.record))

    def handle(self, *facts: Fact) -> list[Fact]:
        """Let facts from outside act that came at one instant, and return those that followed.

        Bars that close together are told together: one instant, one wake. Raises ValueError over a tape.
        """
        return self._told(handle, facts)

    def fire(self, *facts: Fact) -> list[Fact]:
        """Carry out the price exits that bars and prices hit, before `handle`: for a venue that fills them at once."""
        return self._told(fire, facts)

    def _told(self, means: Callable[["Engine", Feed, Sequence[Fact]], None], facts: Sequence[Fact]) -> list[Fact]:
        if not isinstance(self.market, Feed):
            raise ValueError("this engine reads a tape; an engine that is told facts needs a Feed as its market")
        begin = len(self.record)
        means(self, self.market, self._concerning(self.market, facts))
        return [fact_of(row) for row in in_full(self.record[begin:])]

    def _concerning(self, feed: Feed, facts: Sequence[Fact]) -> list[Fact]:
        """What of the facts concerns this mount: its universe, its market, its timers."""
        of_all = [
            feed.concerning(fact) for fact in facts if not isinstance(fact, TimerDue) or fact.mount == self.mount.name
        ]
        return [fact for fact in of_all if fact is not None]

    def learn(self, *facts: Fact) -> list[Fact]:
        """Take in what a venue or an operator made of orders and states; returns what follows from it at once."""
        begin = len(self.record)
        for fact in facts:
            if isinstance(fact, MountStarted) and isinstance(self.market, Feed) and fact.mount == self.mount.name:
                self.market.shut = {asset for asset, _ in fact.shut}
            learn(self, fact)
        return [fact_of(row) for row in in_full(self.record[begin:])]

    def rehearse(self, at_ns: int) -> list[Fact]:
        """What would follow if all that is known had just become known; for an engine that is thrown away afterwards."""
        return self._told(lambda engine, feed, _: rouse(engine, feed, at_ns), ())

    def reconfigure(self, strategy: Strategy, limits: Limits | None, terms: Mapping[str, Sequence[Terms]]) -> None:
        """Go on with another strategy, other limits and costs: what is held, aimed at, armed, counted and remembered stays."""
        self.strategy, self.wants, self.sound = strategy, strategy.wants, None
        self.mount.terms = dict(terms)
        if limits is None:
            self.gate = None
        elif self.gate is None:
            self.gate = Gate(limits)
        else:
            self.gate.limits = limits

    def restate(self, asset: str, at_ns: int) -> None:
        """Carry out the standing target of an asset anew; without one, leave it."""
        self.state(
            asset,
            self.mount.targets.get(asset, NOTHING),
            at_ns,
            View(self.market, self.mount, self.wants, at_ns, NOBODY),
        )

    def teach(self, *bars: BarClosed) -> list[BarClosed]:
        """Learn closed bars to look back on, which wake nobody; returns those that were new."""
        if not isinstance(self.market, Feed):
            raise ValueError("this engine reads a tape; an engine that is told facts needs a Feed as its market")
        learnt = []
        for bar in bars:
            if self.market.concerning(bar) is not None and self.market.learn_bar(bar):
                self.market.seek(to_ns(bar.at))
                book_bar(self.mount, bar.asset, self.number(bar.high))
                learnt.append(bar)
        return learnt

    def flatten(self, at_ns: int) -> list[Fact]:
        """Aim every asset that is held, aimed at or ordered at nothing; what an exit sells already goes on."""
        begin, mount = len(self.record), self.mount
        held = [asset for asset, holding in mount.ledger.holdings.items() if not holding.is_flat]
        view = View(self.market, mount, self.wants, at_ns, NOBODY)
        for asset in sorted({*held, *mount.targets, *mount.orders} - set(mount.exiting)):
            self.state(asset, NOTHING, at_ns, view)
        return [fact_of(row) for row in in_full(self.record[begin:])]

    def due(self) -> datetime | None:
        """When the engine next wants a TimerDue."""
        shut = self.market.shut if isinstance(self.market, Feed) else ()
        at_ns = due(self.mount, self.wants, self.market.now_ns, self.armed, shut)
        return None if at_ns is None else from_ns(at_ns)

    def decide(self, view: View, at_ns: int, later: Iterator[int] = iter(())) -> Decision | None:  # noqa: B008  # empty
        """Ask the strategy and carry out its decision; None when it raised.

        later: instants at which it is woken next for the same cause, moving the view along; it is asked there too as long
        as it leaves everything as it is.
        """
        decision = self.ask(view, at_ns, later)
        if decision is not None:
            self.carry_out(decision, view)
        return decision

    def ask(self, view: View, at_ns: int, later: Iterator[int] = iter(())) -> Decision | None:  # noqa: B008  # empty
        """Ask the strategy, also `later`, and check what it says; None when it raised. The view says when that was."""
        try:
            decision = self.strategy.decide(view)
            if decision is STILL:
                still, ask = list[int](), self.strategy.decide
                for after in later:
                    still.append(at_ns)
                    at_ns, decision = after, ask(view)
                    if decision is not STILL:
                        break
                if still:
                    self.record.append((Still, still[0], self.mount.name, view.wake, still))
            for asset, wish in decision.targets.items():
                size = wish[0] if wish.__class__ is Target else wish  # quicker than isinstance()
                if size is not self.sound and (size.__class__ is not float or not 0.0 <= size < inf):
                    check(asset, size)  # type: ignore[arg-type]
                    self.sound = size
            for timer in decision.timers:
                if to_ns(timer) <= at_ns:
                    raise ValueError(
                        f"wake_at({timer}): it is {from_ns(at_ns)} already, and such a wake would never end"
                    )
        except Exception as error:  # user code is the world's: what it raises becomes a fact
            self.failure = error
            self.record.append((StrategyFailed, at_ns, self.mount.name, f"{type(error).__name__}: {error}"))
            return None
        return decision

    def carry_out(self, decision: Decision, view: View) -> None:
        """Note a decision that was checked, and place the orders that it calls for."""
        mount, saw, at_ns, targets = self.mount, view.saw, view.now_ns, decision.targets
        row = (Decided, at_ns, mount.name, view.wake.causes, decision.why, saw) if saw else (
            Woken, at_ns, mount.name, view.wake, decision
        )  # fmt: skip
        self.record.append(row)
        if self.gate is not None and self.gate.watch(at_ns, view.equity):
            mount.halted = "drawdown"
            self.record.append((Halted, at_ns, mount.name, "drawdown"))
        if decision.remembers or decision.timers:
            self._keep(decision, at_ns)
        closes_others = decision.closes_others
        leaving = self._others(decision, view) if closes_others else ()
        if self.rebalance is not None and not mount.orders and self.rebalance(leaving, decision, view):
            return
        self.is_alone = len(targets) == 1 and not closes_others and not mount.orders
        for asset in leaving:
            self.state(asset, NOTHING, at_ns, view)
        for asset, wish in targets.items():
            target = wish if isinstance(wish, Target) else Target(wish) if wish else NOTHING
            self.state(asset, target, at_ns, view)

    def _keep(self, decision: Decision, at_ns: int) -> None:
        mount = self.mount
        if decision.remembers:
            mount.memo = decision.memo
            self.record.append((MemoKept, at_ns, mount.name, decision.memo))
        for timer in decision.timers:
            mount.timers.add(to_ns(timer))
            self.record.append((TimerSet, at_ns, mount.name, timer))

    def _others(self, decision: Decision, view: View) -> Sequence[str]:
        """What a decision that closes all others closes; what is unknown stays where it says so."""
        mount = self.mount
        holdings, targets = mount.ledger.holdings, decision.targets
        others = [a for a in mount.ledger.held if a not in targets and not holdings[a].is_flat]
        others += [a for a in mount.orders if a not in decision.targets and mount.held(a) is None]
        if not self.wants.ratings:
            return others
        leaving = []
        for asset in others:
            if not view.knows(asset):
                self.unknown_held += mount.held(asset) is not None
                if decision.unknown is Unknown.HOLD:
                    continue
            leaving.append(asset)
        return leaving

    # long: one order of questions, each of which ends the matter
    def state(self, asset: str, target: Target, at_ns: int, view: View) -> None:
        """Carry out one target: note it, and place the order for what is missing of it."""
        mount = self.mount
        if mount.exiting and asset in mount.exiting:
            self.refuse(asset, "exiting", at_ns)
            return
        mark = self.market.price(asset)
        if mark is None:
            is_shut = isinstance(self.market, Feed) and asset in self.market.shut
            self.refuse(asset, "shut" if is_shut else "no_price", at_ns)
            return
        working, size = mount.orders.get(asset) if mount.orders else None, target.size
        if working is not None and working.state in FLYING:
            self._note_target(asset, target if size else NOTHING, at_ns)
            self.refuse(asset, IN_FLIGHT, at_ns)
            self.deferred.add(asset)
            return
        holding = mount.ledger.holdings.get(asset)
        is_flat = holding is None or holding.is_flat
        spends, by_weight, leaves, why = 0.0, False, target is NOTHING, target.why
        if not leaves:
            kind = size.__class__
            if kind is Units:
                leaves = not size.quantity  # type: ignore[union-attr]
            elif kind is Quote:
                spends = size.amount  # type: ignore[union-attr]
                leaves = not spends
            else:
                by_weight, leaves = True, not size
            if leaves:
                target = NOTHING
        if book_target(mount, asset, target):
            self._set(asset, target, at_ns)
        if spends and (not is_flat or working is not None):
            return
        if leaves and is_flat:
            if working is not None:
                self.close(working, "replaced", at_ns)
            return
        if working is not None:
            self.close(working, "replaced", at_ns, lapses=False)
        every = mount.terms[asset]
        terms = every[0]
        if len(every) > 1:
            terms = buy_at(mount.terms[asset], mount.ledger.cash) if is_flat else mount.terms_of(asset, holding.venue)  # type: ignore[union-attr]
        if spends:
            order = spending(spends, terms=terms, number=self.number)
        else:
            held = mount.ledger.zero if holding is None else holding.quantity
            equity = view.equity if not leaves and (by_weight or target.band) else held
            order = missing(target, held, mark, equity, terms, self.number, is_flat=is_flat)
        if isinstance(order, str):
            if leaves and order in {"lot", "minimum"}:
                self._leave_dust(asset, at_ns)
            elif order in {"lot", "minimum", "cash"}:
                self.refuse(asset, order, at_ns)
            book_lapse(mount, asset)
        elif mount.halted and order.side > 0 and (self.gate is None or not self.gate.latched):
            self.refuse(asset, "halted", at_ns)
            book_lapse(mount, asset)
        elif self.gate is None:
            why = why or ("leave" if leaves else "target")
            if self.dealer is None or not self.is_alone or not self.dealer(asset, terms, order, why, at_ns):
                self._place(asset, terms.venue, order, why, at_ns)
        elif not self._reviewed(asset, order, mark, at_ns, equity=view.equity, why=why):
            book_lapse(mount, asset)

    def _note_target(self, asset: str, target: Target, at_ns: int) -> None:
        if book_target(self.mount, asset, target):
            self._set(asset, target, at_ns)

    def _set(self, asset: str, target: Target, at_ns: int) -> None:
        size, exits, _, why = target
        self.record.append((TargetSet, at_ns, self.mount.name, asset, size, exits, why))
        if exits:
            self.exits_seen = True

    def _reviewed(self, asset: str, order: Missing, mark: Number, at_ns: int, *, equity: Number, why: str) -> bool:
        """Place what the limits leave of an order; reducing orders always pass."""
        mount, gate = self.mount, self.gate
        assert gate is not None
        holding = mount.ledger.holdings.get(asset)
        terms = buy_at(mount.terms[asset], mount.ledger.cash) if holding is None or holding.is_flat else (
            mount.terms_of(asset, holding.venue)
        )  # fmt: skip
        if order.side > 0:
            value = order.spend if order.quantity is None else order.quantity * mark
            held_value = mount.ledger.zero if holding is None else holding.quantity * mark
            gross = equity - mount.ledger.total_cash()
            verdict = gate.review(
                value or mount.ledger.zero,
                Facing(at_ns, equity, held_value, gross, len(mount.orders), self.market.mark_age_ns(asset), mark, None),
            )
            if isinstance(verdict, Denied):
                self.refuse(asset, verdict.rule, at_ns, wanted=value)
                return False
            if verdict.cut_by is not None:
                self.refuse(asset, verdict.cut_by, at_ns, wanted=value, allowed=verdict.amount)
                amount = self.number(verdict.amount)
                quantity = None if order.quantity is None else terms.lots(amount / mark)
                least = mount.ledger.zero if terms.min_notional is None else terms.min_notional
                if quantity == 0 or amount < least:
                    self.refuse(asset, "minimum", at_ns)
                    return False
                order = Missing(1, quantity, None if order.quantity is not None else amount)
        gate.count(at_ns)
        self._place(asset, terms.venue, order, why or ("target" if order.side > 0 else "leave"), at_ns)
        return True

    def _place(self, asset: str, venue: str, order: Missing, why: str, at_ns: int, *, is_exit: bool = False) -> Order:
        mount, (side, quantity, spend) = self.mount, order
        if why and not is_exit and is_exit_word(why):
            why = f"target ({why})"  # else a restart would take it for an exit's
        number = mount.orders_made + 1
        placed = Order(number, asset, venue, side, quantity, spend, why, at_ns, is_exit)
        self.record.append((OrderPlaced, at_ns, mount.name, number, asset, venue, SIDES[side], quantity, spend, why))
        book_order(mount, placed)
        if is_exit:
            mount.exiting[asset] = number
        return placed

    def refuse(
        self, asset: str, rule: str, at_ns: int, *, wanted: Number | None = None, allowed: Number | None = None
    ) -> None:
        """Note that something about an asset is not done, by which rule, and what it let through."""
        zero = self.mount.ledger.zero
        self.record.append((Refused, at_ns, self.mount.name, asset, rule, wanted or zero, allowed or zero))

    def _leave_dust(self, asset: str, at_ns: int) -> None:
        self.record.append((DustLeft, at_ns, self.mount.name, asset))
        book_dust(self.mount, asset)

    def cut(self, order: Order, amount: Number, at_ns: int) -> None:
        """Give up a part of what is left of an order, for want of cash."""
        self.record.append((OrderCut, at_ns, self.mount.name, order.number, order.asset, amount))
        book_cut(order, amount)

    def close(self, order: Order, reason: str, at_ns: int, *, lapses: bool = True) -> None:
        """Close an order; with it lapses a target of which nothing is held."""
        self.record.append((OrderClosed, at_ns, self.mount.name, order.number, order.asset, reason))
        book_close(self.mount, order)
        if lapses:
            book_lapse(self.mount, order.asset)

    def dealt(
        self, asset: str, venue: str, side: int, quantity: Number, price: Number, fee: Number, fee_asset: str, why: str,
        at_ns: int, spend: Number | None,
    ) -> None:  # fmt: skip
        """Book an order that is placed, filled whole and closed at one instant."""
        mount = self.mount
        mount.orders_made = number = mount.orders_made + 1
        self.record.append(
            (Dealt, at_ns, mount.name, number, asset, venue, side, quantity, spend, price, fee, fee_asset, why)
        )
        book_dealt(mount, asset, venue, side, quantity, price, fee, fee_asset, at_ns)

    def exit_dealt(
        self, asset: str, number: int, exit_: Exit, level: Number, at_ns: int, quantity: Number, price: Number, fee: Number
    ) -> None:  # fmt: skip
        """Book a price exit of a whole holding that is filled at one instant: `exit_hit` and the order it places."""
        mount = self.mount
        venue = mount.ledger.holdings[asset].venue
        mount.orders_made = order = mount.orders_made + 1
        why = EXIT_WORDS[type(exit_)]
        self.record += (
            (ExitHit, at_ns, mount.name, asset, number, exit_, level),
            (Dealt, at_ns, mount.name, order, asset, venue, -1, quantity, None, price, fee, "quote", why),
        )
        book_left(mount, asset, quantity, price, fee, at_ns)

    def traded(self, order: Order, quantity: Number, price: Number, fee: Number, fee_asset: str, at_ns: int) -> None:
        """Book a fill that leaves nothing of its order, and close the order."""
        name, number, asset = self.mount.name, order.number, order.asset
        side, venue, why = SIDES[order.side], order.venue, order.why
        self.record.append((Filled, at_ns, name, number, asset, venue, side, quantity, price, fee, fee_asset, why))
        self.record.append((OrderClosed, at_ns, name, number, asset, "filled"))
        book_traded(self.mount, order, quantity, price, fee, fee_asset, at_ns)

    def filled(self, order: Order, quantity: Number, price: Number, at_ns: int, *, fee: Number, fee_asset: str) -> None:
        """Book a fill of an order."""
        self.record.append(
            (
                Filled, at_ns, self.mount.name, order.number, order.asset, order.venue, SIDES[order.side], quantity, price,
                fee, fee_asset, order.why,
            )
        )  # fmt: skip
        book_filled(
            self.mount, order, asset=order.asset, venue=order.venue, side=order.side, quantity=quantity, price=price,
            fee=fee, fee_asset=fee_asset, at_ns=at_ns,
        )  # fmt: skip

    def armed(self, asset: str) -> tuple[tuple[int, Exit], ...]:
        """The exits of a holding that may act, with their numbers.

        While one of all is carried out no other acts, unless that one waits for an open: price exits stay armed then.
        """
        mount = self.mount
        target = mount.targets.get(asset)
        exits = mount.leaving.get(asset, ()) if target is None else target.exits
        if not exits:
            return ()
        working = mount.orders.get(asset)
        if working is not None and working.state in FLYING:
            return ()  # until it is known what is held
        if asset not in mount.exiting:
            working = None
        is_whole = working is not None and working.is_whole
        if is_whole and working is not None and not working.waits:
            return ()
        spent = mount.spent.get(asset, ())
        return tuple(
            [(n, e) for n, e in enumerate(exits) if n not in spent and (not is_whole or isinstance(e, PRICE_EXITS))]
        )

    def exit_hit(
        self, asset: str, number: int, exit_: Exit, price: Number, at_ns: int, *, joins: bool = True
    ) -> Order | None:
        """Carry out an exit at the price of its hit: cancel the asset's order, sell the exit's share; None if too small.

        joins: what an earlier exit still has to sell joins the order; without, the driver asks `rejoin` afterwards.
        """
        mount = self.mount
        holding = mount.held(asset)
        if holding is None:
            return None
        self.record.append((ExitHit, at_ns, mount.name, asset, number, exit_, price))
        book_exit(mount, asset, number, exit_.share)
        earlier = mount.orders.get(asset)
        if earlier is not None and not earlier.is_exit:
            self.close(earlier, "exit", at_ns, lapses=False)
            earlier = None
        terms, is_whole = mount.terms_of(asset, holding.venue), exit_.share == 1
        quantity = terms.lots(holding.quantity if is_whole else holding.quantity * self.number(exit_.share))
        if not quantity or (terms.min_notional is not None and quantity * price < terms.min_notional):
            if is_whole:
                if earlier is not None:
                    self.close(earlier, "minimum", at_ns)
                self._leave_dust(asset, at_ns)
            return None
        if earlier is not None:
            self.close(earlier, "joined", at_ns, lapses=False)
            if joins:
                is_whole = is_whole or earlier.is_whole
                most = terms.lots(holding.quantity)
                quantity = most if is_whole else min(most, quantity + (earlier.left or mount.ledger.zero))
        why = EXIT_WORDS[type(exit_)] + ("" if is_whole else f" {PART} {exit_.share:g})")
        return self._place(asset, holding.venue, Missing(-1, quantity, None), why, at_ns, is_exit=True)

    def rejoin(self, earlier: Order, order: Order, at_ns: int) -> Order | None:
        """One order, under the later's name, for what a price exit and an earlier one have left; None if nothing is held."""
        holding = self.mount.held(earlier.asset)
        if holding is None:
            return None
        terms, zero = self.mount.terms_of(earlier.asset, earlier.venue), self.mount.ledger.zero
        quantity, why, is_whole = earlier.left or zero, earlier.why, earlier.is_whole
        if order.state != CLOSED:
            self.close(order, "joined", at_ns, lapses=False)
            is_whole = is_whole or order.is_whole
            quantity, why = quantity + (order.left or zero), order.why
            why = why.partition(f" {PART}")[0] if is_whole else why
        quantity = terms.lots(holding.quantity if is_whole else min(quantity, holding.quantity))
        if not quantity:
            return None
        return self._place(earlier.asset, earlier.venue, Missing(-1, quantity, None), why, at_ns, is_exit=True)

    def decided_exits(self, asset: str, at_ns: int, *, new: dict[str, float]) -> bool:
        """Fire `After` when its time has come, `Below` and `Above` on the new ratings given by kind; whether any sells."""
        holding = self.mount.held(asset)
        if holding is None:
            return False
        hits = [(n, e) for n, e in self.armed(asset) if is_due(e, holding.opened_ns, at_ns, new=new)]
        sold = False
        for number, exit_ in hits:
            if any(number == one for one, _ in self.armed(asset)):
                sold |= self.exit_hit(asset, number, exit_, self.market.mark(asset), at_ns) is not None
        return sold

    def delisted(self, asset: str, loss: float, at_ns: int) -> None:
        """Cancel the asset's order and write its holding off at the last close less the loss."""
        mount = self.mount
        working = mount.orders.get(asset)
        if working is not None:
            self.close(working, "delisted", at_ns)
        holding = mount.ledger.holdings.get(asset)
        if holding is not None and holding.quantity:
            price = self.market.mark(asset) * (1 - self.number(loss))
            zero, sold = mount.ledger.zero, (asset, holding.venue, "sell", holding.quantity)
            self.record.append((Filled, at_ns, mount.name, None, *sold, price, zero, "quote", "delisted"))
            book_dealt(mount, asset, holding.venue, -1, holding.quantity, price, zero, "quote", at_ns)
        if asset in mount.targets:
            self._note_target(asset, NOTHING, at_ns)
