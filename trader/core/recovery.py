"""Recovery: an engine as it was, from the facts that were kept. A strategy is never asked again for what it decided.

What came from outside and what followed are folded alike, in the order in which they were written.
"""

from collections.abc import Iterable

from trader.core.book import Book
from trader.core.engine import IN_FLIGHT, NOBODY, Engine
from trader.core.exits import is_exit_word
from trader.core.facts import (
    BarClosed,
    Decided,
    ExitHit,
    Fact,
    Filled,
    OrderClosed,
    OrderPlaced,
    PriceSeen,
    Refused,
    Resumed,
    SignalsKnown,
    TimerDue,
)
from trader.core.feed import Feed
from trader.core.instants import DAY, duration, to_ns
from trader.core.instruments import Terms, from_terms_row
from trader.core.records import MountStarted
from trader.core.view import View


def fold(engine: Engine, facts: Iterable[Fact]) -> None:
    """Bring a fresh engine to where the facts end; those of other mounts pass by. Raises ValueError over a tape."""
    feed = engine.market
    if not isinstance(feed, Feed):
        raise ValueError("this engine reads a tape; only one with a Feed can be folded")
    mount = engine.mount
    book = Book({mount.name: mount}, engine.number)
    for told in facts:
        fact = feed.concerning(told) if getattr(told, "mount", mount.name) == mount.name else None
        if fact is None:
            if isinstance(told, BarClosed) and told.asset in mount.terms and told.asset not in feed.index:
                feed.remember(told)
            continue
        if isinstance(fact, BarClosed | SignalsKnown | PriceSeen | TimerDue | Decided):
            feed.seek(to_ns(fact.at))  # as the engine did; what orders and the process say carries other clocks
        match fact:
            case BarClosed():
                if feed.learn_bar(fact):
                    book.apply(fact)
            case SignalsKnown():
                feed.learn_signals(fact)
            case Decided():
                _decided(engine, feed, fact)
                book.apply(fact)
            case OrderPlaced():
                if engine.gate is not None and not is_exit_word(fact.why):
                    engine.gate.count(to_ns(fact.at))
                book.apply(fact)
                engine.exits_seen = True
                engine.deferred.discard(fact.asset)
            case Filled():
                _note(engine, "fill", engine.wants.on_fill)
                book.apply(fact)
            case ExitHit():
                _note(engine, "exit", engine.wants.on_exit)
                book.apply(fact)
            case Refused(asset=asset, rule=rule) if rule == IN_FLIGHT:
                engine.deferred.add(asset)
            case OrderClosed():
                engine.deferred.discard(fact.asset)
                book.apply(fact)
            case MountStarted(shut=shut, terms=terms):
                feed.shut = {asset for asset, _ in shut}
                for row in terms:  # what it traded once, it has to know while it hears of that time
                    mount.terms.setdefault(row[0], [Terms(from_terms_row(row), "quote", engine.number)])
            case Resumed():
                if engine.gate is not None:
                    engine.gate.resume()
                book.apply(fact)
            case _:
                book.apply(fact)
    mount.placed.clear()
    mount.touched.clear()


def _note(engine: Engine, cause: str, is_wanted: bool) -> None:
    if is_wanted and cause not in engine.noted:
        engine.noted.append(cause)


def _decided(engine: Engine, feed: Feed, fact: Decided) -> None:
    """What a wake left behind besides the book: the period that had its wake, and the equity that limits look at."""
    at_ns, wants = to_ns(fact.at), engine.wants
    engine.noted.clear()
    if "every" in fact.causes and wants.every is not None and wants.at is None:
        period = duration(wants.every)
        engine.periods.clear()
        engine.periods.add((at_ns + (3 * DAY if period % (7 * DAY) == 0 else 0)) // period)
    if engine.gate is not None:
        engine.gate.watch(at_ns, View(feed, engine.mount, wants, at_ns, NOBODY).equity)
