"""What of bars, prices, publications and timers concerns a mount: its universe, its market, its name."""

from datetime import UTC, datetime, timedelta

from trader import Decision, Signal, Wants
from trader.core.book import Mount
from trader.core.engine import Engine
from trader.core.facts import BarClosed, Decided, PriceSeen, SignalsKnown, TimerDue
from trader.core.feed import Feed
from trader.core.instruments import Instrument, Terms, exactly
from trader.core.recovery import fold
from trader.core.signals import MARKET

AT = datetime(2024, 3, 1, tzinfo=UTC)


class Watches:
    """Wakes at every bar, rating and signal, and says what it was shown."""

    def __init__(self):
        self.seen = []

    wants = Wants(bars=3, ratings=("grade",))

    def decide(self, view):
        self.seen.append((view.wake.causes, sorted(view.ratings("grade")), len(view.bars("A").close)))
        return Decision.hold()


def engine():
    terms = {"A": [Terms(Instrument("A", "gate", symbol="A/USDT"), "quote", exactly)]}
    mount = Mount("m", terms, {"gate": exactly(100)}, exactly(0))
    return Engine(Watches(), mount, Feed(["A"], exactly, market="main/1h"), exactly, None)


def bar(hours, asset="A", market="main/1h"):
    return BarClosed(AT + timedelta(hours=hours), asset, 1.0, 1.0, 1.0, 1.0, 1.0, market)


def said(hours, *assets):
    at = AT + timedelta(hours=hours)
    return SignalsKnown(at, tuple(Signal(one, "grade", 5.0, at, at) for one in assets), key=f"k{hours}")


FACTS = [
    bar(1), bar(2, market="main/4h"), bar(3, market="second/1h"), bar(4, "B"), said(5, "B"), said(6, "A", "B"), said(7, MARKET),
    TimerDue(AT + timedelta(hours=8), "other"), PriceSeen(AT + timedelta(hours=9), "A", 2.0, "second/1h"), bar(10, market=""),
]  # fmt: skip


def test_a_mount_is_told_what_concerns_it_and_nothing_else():
    one = engine()
    decided = [fact for told in FACTS for fact in one.handle(told) if isinstance(fact, Decided)]
    assert [fact.at.hour for fact in decided] == [1, 6, 7, 10]
    assert one.strategy.seen == [
        (("bar",), [], 1),
        (("rating:grade",), ["A"], 1),
        (("rating:grade",), ["A"], 1),
        (("bar",), ["A"], 2),
    ]


def test_what_is_folded_is_what_was_told():
    told, folded = engine(), engine()
    facts = []
    for fact in FACTS:
        facts += [fact, *told.handle(fact)]
    fold(folded, facts)
    for one in (told, folded):
        assert (one.market.now_ns, one.market.newest()) == (told.market.now_ns, {"A": AT + timedelta(hours=10)})
    assert folded.market._data == told.market._data


def test_bars_of_another_market_are_not_learnt():
    one = engine()
    assert [taught.at.hour for taught in one.teach(bar(1), bar(2, market="main/4h"), bar(3))] == [1, 3]
