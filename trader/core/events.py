"""Events: what a fact from outside means for a mount, one small function per kind of fact.

Live, paper and a plain bar-by-bar driver tell the engine facts through here; a replay finds the same moments in columns
and calls the same engine. What wakes a strategy is the letter of docs/rules.md, 3.
"""

from collections.abc import Sequence
from typing import Protocol

from trader.core.book import Mount, book_bar
from trader.core.exits import PRICE_EXITS, After, Exit
from trader.core.expression import Condition
from trader.core.facts import BarClosed, Fact, SignalsKnown, TimerDue
from trader.core.feed import Feed
from trader.core.instants import DAY, clock_time, duration, to_ns
from trader.core.instruments import Converter, Number
from trader.core.matching import hits, level
from trader.core.orders import Order
from trader.core.strategy import Decision, Wake, Wants
from trader.core.view import View


class Acts(Protocol):
    """What handling asks of an engine."""

    mount: Mount
    wants: Wants
    number: Converter
    periods: set[int]

    def decide(self, view: View, at_ns: int) -> Decision | None: ...
    def armed(self, asset: str) -> tuple[tuple[int, Exit], ...]: ...
    def exit_hit(self, asset: str, number: int, exit_: Exit, price: Number, at_ns: int) -> Order | None: ...
    def decided_exits(self, asset: str, at_ns: int, *, new: dict[str, float]) -> bool: ...


def handle(engine: Acts, feed: Feed, fact: Fact) -> None:
    """Let one fact from outside act: learn it, fire exits, wake the strategy."""
    match fact:
        case BarClosed():
            _bar(engine, feed, fact)
        case SignalsKnown():
            _signals(engine, feed, fact)
        case TimerDue():
            at_ns = to_ns(fact.at)
            feed.seek(at_ns)
            due = at_ns in engine.mount.timers
            engine.mount.timers.discard(at_ns)
            _decided_exits(engine, at_ns, {})
            causes = (["timer"] if due else []) + (["every"] if _is_clock(engine.wants, at_ns) else [])
            _wake(engine, feed, at_ns, causes, ())
        case _:
            pass


def due(mount: Mount, wants: Wants, now_ns: int) -> int | None:
    """The next instant after `now_ns` at which a TimerDue is wanted: timers, `every` with `at`, `After`."""
    times = [at for at in mount.timers if at > now_ns]
    if wants.every is not None and wants.at is not None:
        period = duration(wants.every)
        shift = _shift(wants, period)
        times.append(((now_ns - shift) // period + 1) * period + shift)
    for asset, target in mount.targets.items():
        holding = mount.held(asset)
        if holding is not None:
            begin = holding.opened_ns
            times += [max(begin + duration(e.time), now_ns + 1) for e in target.exits if isinstance(e, After)]
    return min(times, default=None)


def _shift(wants: Wants, period: int) -> int:
    return clock_time(wants.at or "00:00") - (3 * DAY if period % (7 * DAY) == 0 else 0)


def _is_clock(wants: Wants, at_ns: int) -> bool:
    if wants.every is None or wants.at is None:
        return False
    period = duration(wants.every)
    return (at_ns - _shift(wants, period)) % period == 0


def _bar(engine: Acts, feed: Feed, bar: BarClosed) -> None:
    at_ns, asset, number = to_ns(bar.at), bar.asset, engine.number
    feed.seek(at_ns)
    feed.learn_bar(bar)
    holding = engine.mount.held(asset)
    if holding is not None and bar.volume != 0:
        levels: list[tuple[int, Exit, Number]] = [
            (n, e, level(e, holding.entry, holding.peak, number))
            for n, e in engine.armed(asset)
            if isinstance(e, PRICE_EXITS)
        ]
        for n, exit_, price in hits(levels, number(bar.open), number(bar.low), number(bar.high)):
            if engine.mount.held(asset) is not None and any(n == one for one, _ in engine.armed(asset)):
                engine.exit_hit(asset, n, exit_, price, at_ns)
    book_bar(engine.mount, asset, number(bar.high))
    _decided_exits(engine, at_ns, {})
    causes = _listed(engine, at_ns, ["bar"] if engine.wants.bars > 0 else [])
    true = _true(engine, feed, [asset], "bars")
    _wake(engine, feed, at_ns, [*causes, *true], [asset])


def _signals(engine: Acts, feed: Feed, publication: SignalsKnown) -> None:
    at_ns, wants = to_ns(publication.at), engine.wants
    feed.seek(at_ns)
    fresh = feed.learn_signals(publication)
    group = "rating" if publication.is_rating else "signal"
    kinds = sorted({said.kind for said in publication.signals})
    for said in publication.signals if publication.is_rating else ():
        if said.asset in fresh:
            engine.decided_exits(said.asset, at_ns, new={said.kind: said.value})
    if not fresh:
        return
    wanted = wants.ratings if publication.is_rating else wants.signals
    causes = _listed(engine, at_ns, [f"{group}:{kind}" for kind in kinds if kind in wanted])
    true = [name for kind in kinds for name in _true(engine, feed, fresh, group, kind)]
    _wake(engine, feed, at_ns, [*causes, *dict.fromkeys(true)], fresh)


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


def _true(engine: Acts, feed: Feed, assets: Sequence[str], group: str, kind: str = "") -> list[str]:
    """The names of the conditions that had a new datum from this source and are true for one of the assets."""
    wants, names = engine.wants, []
    for asset in assets:
        held = asset in engine.mount.targets
        side = ("when_held", wants.when_held) if held else ("when_flat", wants.when_flat)
        for name, condition in (side, ("when", wants.when)):
            if condition is not None and _reads(condition, group, kind) and name not in names:
                if feed.holds(condition, asset, duration(wants.max_age)):
                    names.append(name)
    return names


def _reads(condition: Condition, group: str, kind: str) -> bool:
    return any(source == group and (group == "bars" or of == kind) for source, of in condition.sources)


def _decided_exits(engine: Acts, at_ns: int, new: dict[str, float]) -> None:
    for asset in sorted(engine.mount.targets):
        engine.decided_exits(asset, at_ns, new=new)


def _wake(engine: Acts, feed: Feed, at_ns: int, causes: Sequence[str], assets: Sequence[str]) -> None:
    if not causes:
        return
    wake = Wake(tuple(causes), list(range(len(assets))), list(assets))
    engine.decide(View(feed, engine.mount, engine.wants, at_ns, wake=wake), at_ns)
