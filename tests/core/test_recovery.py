"""An engine folded from its facts goes on as the one that wrote them: same decisions, same orders, same book."""

from functools import cache
from random import Random

import pytest

from backtests import Costs
from backtests.bundled import frames
from strategies import RatingBand, RatingCross, SmaCross, TopRated
from tests.adapters.roundtrip import through_text
from trader import After, Below, Decision, FallBy, RiseBy, Signal, TrailBy, Wants
from trader.core.book import Mount
from trader.core.engine import Engine
from trader.core.facts import BarClosed, SignalsKnown, TimerDue
from trader.core.feed import Feed
from trader.core.instants import from_ns, to_ns
from trader.core.instruments import Instrument, Terms, exactly, plainly
from trader.core.orders import sells_first
from trader.core.recovery import fold
from trader.core.risk import Gate, Limits

COSTS = Costs(fee=0.002, half_spread=0.0005)
ASSETS = ["BNB/USDT", "BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT"]
DAY = 86_400_000_000_000
LIMITS = Limits(weight_per_asset=0.15, orders_per_day=3, loss_per_day=0.04, drawdown=0.3)


class Timers:
    """Asks to be woken in two and a half days, and counts its wakes in its memo."""

    wants = Wants(ratings=("derived_trader",), every="1w")

    def decide(self, view):
        best = view.ratings("derived_trader").top(1)
        count = int(view.memo or 0) + 1
        decision = Decision.exactly(dict.fromkeys(best, 0.3)) if count % 3 else Decision.exactly({})
        return decision.remember(count).wake_at(from_ns(to_ns(view.now) + 5 * DAY // 2))


@cache
def days():
    return list(_days())


def _days():
    bars, ratings, _ = frames("1d")
    bars = bars[bars.asset.isin(ASSETS) & (bars.ts >= "2022-01-01") & (bars.ts < "2022-07-01")]
    ratings = ratings[ratings.asset.isin(ASSETS) & (ratings.kind == "derived_trader")]
    for ts, rows in bars.groupby("ts"):
        close = from_ns(ts.as_unit("ns").value + DAY)
        closing = [
            BarClosed(close, row.asset, row.open, row.high, row.low, row.close, row.volume)
            for row in sorted(rows.itertuples(), key=lambda one: one.asset)
        ]
        known = ratings[ratings.known_at == close]
        said = tuple(Signal(r.asset, r.kind, r.value, r.as_of.to_pydatetime(), close) for r in known.itertuples())
        yield closing, [SignalsKnown(close, said)] if said else []


class Session:
    """Days of bars and ratings through an engine, everything kept; orders fill at the next open."""

    def __init__(self, strategy, number, limits):
        self.strategy, self.number, self.limits = strategy, number, limits
        self.kept, self.read = [], []
        self.engine = self.fresh()

    def fresh(self):
        feed = Feed(ASSETS, self.number)
        terms = {name: [Terms(Instrument(name, lot=0.001), "received", self.number)] for name in ASSETS}
        mount = Mount("m", terms, {"tape": self.number(100_000)}, self.number(0))
        return Engine(self.strategy, mount, feed, self.number, Gate(self.limits) if self.limits else None)

    def restart(self):
        self.engine = self.fresh()
        self.read += through_text(self.kept[len(self.read) :])
        fold(self.engine, self.read)

    def tell(self, *facts):
        self.kept += [*facts, *self.engine.handle(*facts)]

    def fill(self, bars):
        engine, number = self.engine, self.number
        prices = {bar.asset: number(bar.open) for bar in bars}
        for order in sells_first([one for one in engine.mount.orders.values() if one.asset in prices]):
            begin, at_ns = len(engine.rows), to_ns(bars[0].at) - DAY
            price = prices[order.asset] * (1 + number(COSTS.half_spread) * order.side)
            engine.filled(
                order, order.left, price, at_ns, fee=order.left * price * number(COSTS.fee), fee_asset="quote"
            )
            engine.close(order, "filled", at_ns)
            self.kept += [self.fact(row) for row in engine.rows[begin:]]

    @staticmethod
    def fact(row):
        cls, at, *rest = row
        return cls(from_ns(at), *rest)

    def day(self, bars, said):
        self.fill(bars)
        due = self.engine.due()
        if due is not None and due < bars[0].at:
            self.tell(TimerDue(due, "m"))
        self.tell(*bars, *said, *([TimerDue(due, "m")] if due == bars[0].at else []))


@pytest.mark.slow
@pytest.mark.parametrize("number", [plainly, exactly], ids=["float", "decimal"])
@pytest.mark.parametrize("limits", [None, LIMITS], ids=["free", "limits"])
@pytest.mark.parametrize(
    "strategy",
    [
        RatingBand(60, 30, "derived_trader", 0.19, (TrailBy(0.12), Below(45.0, "derived_trader"), RiseBy(0.08, 0.5))),
        TopRated(top=2, enter=55.0, kind="derived_trader", exits=(FallBy(0.1), After("9d")), every="1w"),
        SmaCross(5, 20, 0.19, (FallBy(0.05),)), RatingCross(3, 7, kind="derived_trader", size=0.19), Timers(),
    ],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_restarted_again_and_again_it_does_what_it_does_without(strategy, limits, number):
    whole, cut, lot = Session(strategy, number, limits), Session(strategy, number, limits), Random(7)
    for place, (bars, said) in enumerate(days()):
        whole.day(bars, said)
        cut.day(bars, said)
        if place < 25 or lot.random() < 0.15:
            cut.restart()
    assert cut.kept == whole.kept
    assert len([fact for fact in whole.kept if type(fact).__name__ == "Filled"]) > 3
    left, right = whole.engine.mount, cut.engine.mount
    assert left.ledger.cash == right.ledger.cash
    assert {a: (h.quantity, h.entry, h.peak) for a, h in left.ledger.holdings.items() if not h.is_flat} == {
        a: (h.quantity, h.entry, h.peak) for a, h in right.ledger.holdings.items() if not h.is_flat
    }
    assert (left.targets, left.timers, left.memo, left.halted) == (
        right.targets,
        right.timers,
        right.memo,
        right.halted,
    )


def test_facts_of_another_mount_pass_by():
    session = Session(TopRated(top=2, enter=55.0, kind="derived_trader"), plainly, None)
    for bars, said in days()[:30]:
        session.day(bars, said)
    other = session.fresh()
    other.mount.name = "other"
    fold(other, session.kept)
    assert other.mount.targets == {}
    assert other.mount.ledger.total_cash() == 100_000
    assert other.market.mark("BTC/USDT") == session.engine.market.mark("BTC/USDT")
