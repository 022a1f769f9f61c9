"""Events: what a fact from outside means for a mount, one small function per kind of fact.

Live, paper and a plain bar-by-bar driver tell the engine facts through here; a replay finds the same moments in columns
and calls the same engine. What wakes a strategy is the letter of docs/rules.md, 3.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from trader.core.book import Book, Mount, book_bar
from trader.core.exits import PRICE_EXITS, After, Exit
from trader.core.expression import Condition
from trader.core.facts import AttemptEnded, BarClosed, Fact, Filled, PriceSeen, Resumed, SignalsKnown, TimerDue
from trader.core.feed import Feed
from trader.core.instants import DAY, clock_time, duration, to_ns
from trader.core.instruments import Converter, Number
from trader.core.matching import hits, level
from trader.core.orders import ABSENT, CLOSED, Order
from trader.core.risk import Gate
from trader.core.strategy import Decision, Wake, Wants
from trader.core.view import View
from trader.core.witness import WitnessedView


class Acts(Protocol):
    """What handling asks of an engine."""

    mount: Mount
    wants: Wants
    number: Converter
    periods: set[int]
    noted: list[str]
    deferred: set[str]
    gate: Gate | None
    record: list[tuple[Any, ...]]

    def decide(self, view: View, at_ns: int) -> Decision | None: ...
    def armed(self, asset: str) -> tuple[tuple[int, Exit], ...]: ...
    def exit_hit(self, asset: str, number: int, exit_: Exit, price: Number, at_ns: int) -> Order | None: ...
    def decided_exits(self, asset: str, at_ns: int, *, new: dict[str, float]) -> bool: ...
    def close(self, order: Order, reason: str, at_ns: int, *, lapses: bool = True) -> None: ...
    def restate(self, asset: str, at_ns: int) -> None: ...
    def refuse(self, asset: str, rule: str, at_ns: int) -> None: ...


def handle(engine: Acts, feed: Feed, facts: Sequence[Fact]) -> None:
    """Let what came at one instant act, as rule 2 has it: exits inside bars, what became known, decided exits, one wake."""
    told = [fact for fact in facts if isinstance(fact, BarClosed | PriceSeen | SignalsKnown | TimerDue)]
    if not told:
        return
    begin, is_glance = len(engine.record), all(isinstance(fact, PriceSeen) for fact in told)
    fire(engine, feed, facts)
    at_ns = max(feed.now_ns, *(to_ns(fact.at) for fact in told))  # what comes late is known now, not then
    if not is_glance:
        feed.seek(at_ns)
    causes: list[str] = []
    assets: set[str] = set()
    closing = [fact.asset for fact in told if isinstance(fact, BarClosed) and feed.learn_bar(fact)]
    for fact in told:
        if isinstance(fact, BarClosed) and fact.asset in closing:
            book_bar(engine.mount, fact.asset, engine.number(fact.high))
    said = [(fact, feed.learn_signals(fact)) for fact in told if isinstance(fact, SignalsKnown)]
    new: dict[str, dict[str, float]] = {}
    for publication, fresh in said:
        for signal in publication.signals if publication.is_rating else ():
            if signal.asset in fresh:
                new.setdefault(signal.asset, {})[signal.kind] = signal.value
    for asset in sorted(engine.mount.ledger.holdings):
        if asset not in feed.shut and engine.decided_exits(asset, at_ns, new=new.get(asset, {})):
            _note(engine, "exit", engine.wants.on_exit)
    causes += engine.noted
    engine.noted.clear()
    if is_glance and not causes and len(engine.record) == begin:
        return  # a price that hits nothing leaves no trace, not even of the time
    feed.seek(at_ns)
    for publication, fresh in said:
        _signals(engine, feed, publication, fresh, causes, assets)
    if closing:
        listed = _listed(engine, at_ns, ["bar"] if engine.wants.bars > 0 else [])
        causes += listed
        assets.update(closing if listed else ())
        causes += _true(engine, feed, closing, assets, "bars")
    for timer in [to_ns(fact.at) for fact in told if isinstance(fact, TimerDue)]:
        causes += ["timer"] if timer in engine.mount.timers else []
        causes += ["every"] if _is_clock(engine.wants, timer) else []
        engine.mount.timers.discard(timer)
    for asset in sorted(assets & feed.shut):
        engine.refuse(asset, "shut", at_ns)  # said of it in vain: nobody is woken about what cannot be traded
    if causes:
        named = sorted((assets - feed.shut) & set(feed.names))
        wake = Wake(tuple(dict.fromkeys(causes)), list(range(len(named))), named)
        engine.decide(WitnessedView(feed, engine.mount, engine.wants, at_ns, wake), at_ns)


def rouse(engine: Acts, feed: Feed, at_ns: int) -> None:
    """Wake the strategy as if all that is known had just become known: for rehearsing, never for trading."""
    feed.seek(at_ns)
    wants, causes, assets = engine.wants, list[str](), set[str]()
    if wants.every is not None or not wants.conditions:
        named = [*(f"rating:{kind}" for kind in wants.ratings), *(f"signal:{kind}" for kind in wants.signals)]
        causes += ["every"] if wants.every is not None else [*named, *(["bar"] if wants.bars else [])]
        assets.update(feed.shown())
    for asset in feed.shown():
        held = asset in engine.mount.targets
        side = ("when_held", wants.when_held) if held else ("when_flat", wants.when_flat)
        for name, condition in (side, ("when", wants.when)):
            if condition is not None and feed.holds(condition, asset, wants.max_age_ns):
                causes += [name] if name not in causes else []
                assets.add(asset)
    if causes:
        wanted = sorted(assets)
        wake = Wake(tuple(causes), list(range(len(wanted))), wanted)
        engine.decide(WitnessedView(feed, engine.mount, wants, at_ns, wake), at_ns)


def fire(engine: Acts, feed: Feed, facts: Sequence[Fact]) -> None:
    """Carry out the price exits that bars and prices hit; a second time nothing is left to hit."""
    for fact in facts:
        if isinstance(fact, BarClosed):
            _exits_inside(engine, feed, fact)
        elif isinstance(fact, PriceSeen):
            _exits_at(engine, fact)


def due(
    mount: Mount, wants: Wants, now_ns: int, armed: Callable[[str], Sequence[tuple[int, Exit]]], shut: Collection[str] = (),
) -> int | None:  # fmt: skip
    """The next instant at which a TimerDue is wanted: timers, and after `now_ns` `every` with `at`, and each `After` that may act.

    One that is spent, or whose asset has an order at the venue, may not: told of in vain, it would be due again at once, for ever.
    """
    times = list(mount.timers)
    if wants.every is not None and wants.at is not None:
        period = duration(wants.every)
        shift = _shift(wants, period)
        times.append(((now_ns - shift) // period + 1) * period + shift)
    for asset in mount.targets:
        holding = mount.held(asset)
        if holding is not None and asset not in shut:
            begin = holding.opened_ns
            times += [max(begin + duration(e.time), now_ns + 1) for _, e in armed(asset) if isinstance(e, After)]
    return min(times, default=None)


def _shift(wants: Wants, period: int) -> int:
    return clock_time(wants.at or "00:00") - (3 * DAY if period % (7 * DAY) == 0 else 0)


def _is_clock(wants: Wants, at_ns: int) -> bool:
    if wants.every is None or wants.at is None:
        return False
    period = duration(wants.every)
    return (at_ns - _shift(wants, period)) % period == 0


def _exits_inside(engine: Acts, feed: Feed, bar: BarClosed) -> None:
    asset, number = bar.asset, engine.number
    if engine.mount.held(asset) is None or bar.volume == 0 or not feed.is_newer(bar):
        return
    _fire(engine, asset, (number(bar.open), number(bar.low), number(bar.high)), to_ns(bar.at))


def _exits_at(engine: Acts, seen: PriceSeen) -> None:
    price = engine.number(seen.price)
    if engine.mount.held(seen.asset) is not None:
        _fire(engine, seen.asset, (price, price, price), to_ns(seen.at))


def _fire(engine: Acts, asset: str, prices: tuple[Number, Number, Number], at_ns: int) -> None:
    """Carry out the price exits that an open, a low and a high hit."""
    holding = engine.mount.held(asset)
    assert holding is not None
    levels: list[tuple[int, Exit, Number]] = [
        (n, e, level(e, holding.entry, holding.peak, engine.number))
        for n, e in engine.armed(asset)
        if isinstance(e, PRICE_EXITS)
    ]
    for n, exit_, price in hits(levels, *prices):
        if engine.mount.held(asset) is not None and any(n == one for one, _ in engine.armed(asset)):
            if engine.exit_hit(asset, n, exit_, price, at_ns) is not None:
                _note(engine, "exit", engine.wants.on_exit)


def _note(engine: Acts, cause: str, is_wanted: bool) -> None:
    if is_wanted and cause not in engine.noted:
        engine.noted.append(cause)


def learn(engine: Acts, fact: Fact) -> None:
    """Let a fact about an order or a state change the book, and close or state anew what it settles."""
    mount = engine.mount
    if getattr(fact, "mount", mount.name) != mount.name:
        return
    order = next((one for one in mount.orders.values() if one.number == getattr(fact, "order", None)), None)
    Book({mount.name: mount}, engine.number).apply(fact)
    at_ns = to_ns(fact.at)
    if isinstance(fact, Filled):
        _note(engine, "fill", engine.wants.on_fill)
    if isinstance(fact, Resumed) and engine.gate is not None:
        engine.gate.resume()
    if isinstance(fact, AttemptEnded) and order is not None:
        is_done = (
            order.left is None
            or order.left <= 0
            or (order.quantity is not None and mount.terms_of(order.asset, order.venue).is_dust(order.left))
        )
        if is_done:
            engine.close(order, "filled", at_ns)
        elif order.asset in engine.deferred:
            engine.close(order, "replaced", at_ns, lapses=False)
    if order is not None and order.state in {CLOSED, ABSENT} and order.asset in engine.deferred:
        engine.deferred.discard(order.asset)
        engine.restate(order.asset, at_ns)


def _signals(
    engine: Acts, feed: Feed, publication: SignalsKnown, fresh: Sequence[str], causes: list[str], assets: set[str]
) -> None:  # fmt: skip
    """Add the causes of a wake that a publication brings, with its assets."""
    at_ns, wants = to_ns(publication.at), engine.wants
    if not fresh:
        return
    group = "rating" if publication.is_rating else "signal"
    kinds = sorted({said.kind for said in publication.signals})
    wanted = wants.ratings if publication.is_rating else wants.signals
    listed = _listed(engine, at_ns, [f"{group}:{kind}" for kind in kinds if kind in wanted])
    causes += listed
    assets.update(fresh if listed else ())
    for kind in kinds:
        causes += _true(engine, feed, fresh, assets, group, kind)


def _listed(engine: Acts, at_ns: int, causes: list[str]) -> list[str]:
    """The causes of an arrival: itself, or `every` for the first of its period, or nothing where conditions wake."""
    wants = engine.wants
    if not causes or (wants.every is None and wants.conditions) or wants.at is not None:
        return []
    if wants.every is None:
        return causes
    period = duration(wants.every)
    number = (at_ns + (3 * DAY if period % (7 * DAY) == 0 else 0)) // period
    if number in engine.periods:
        return []
    engine.periods.clear()
    engine.periods.add(number)
    return ["every"]


def _true(
    engine: Acts, feed: Feed, fresh: Sequence[str], assets: set[str], group: str, kind: str = ""
) -> list[str]:  # fmt: skip
    """The names of the conditions that had a new datum from this source and are true; adds the assets they are true for."""
    wants, names = engine.wants, list[str]()
    for asset in fresh:
        held = asset in engine.mount.targets
        side = ("when_held", wants.when_held) if held else ("when_flat", wants.when_flat)
        for name, condition in (side, ("when", wants.when)):
            if condition is not None and _reads(condition, group, kind):
                if feed.is_tradable(asset) and feed.holds(condition, asset, wants.max_age_ns):
                    names += [name] if name not in names else []
                    assets.add(asset)
    return names


def _reads(condition: Condition, group: str, kind: str) -> bool:
    return any(source == group and (group == "bars" or of == kind) for source, of in condition.sources)
