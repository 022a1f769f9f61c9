"""The engine told facts one by one decides and fills as the replay that jumps over the same tape does."""

from datetime import UTC, datetime

import pytest

from backtests import Costs, Tape, replay
from backtests.bundled import frames
from strategies import RatingBand, SmaCross, TopRated
from trader import After, Below, FallBy, RiseBy, Signal, TrailBy
from trader.core.book import Mount
from trader.core.engine import Engine
from trader.core.facts import BarClosed, ExitHit, Filled, SignalsKnown, TimerDue
from trader.core.feed import Feed
from trader.core.instants import from_ns
from trader.core.instruments import Instrument, Terms, plainly
from trader.core.orders import sells_first

COSTS = Costs(fee=0.002, half_spread=0.0005)
ASSETS = ["BNB/USDT", "BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT"]


def world():
    bars, ratings, _ = frames("1d")
    bars = bars[bars.asset.isin(ASSETS) & (bars.ts >= "2022-01-01") & (bars.ts < "2022-12-01")]
    ratings = ratings[ratings.asset.isin(ASSETS) & (ratings.kind == "derived_trader")]
    ratings = ratings[(ratings.known_at >= "2022-01-02") & (ratings.known_at < "2022-12-01")]
    return bars, ratings


class Venue:
    """Fills whole orders: what was placed at the next open, price exits at once at their price."""

    def __init__(self, engine):
        self.engine = engine
        self.prices = {}

    def take(self):
        placed, self.engine.mount.placed = self.engine.mount.placed, []
        return placed

    def fill(self, order, mid, at_ns):
        price = mid * (1 + COSTS.half_spread) if order.side > 0 else mid * (1 - COSTS.half_spread)
        quantity = order.quantity
        if order.side > 0:
            quantity = min(quantity, self.engine.mount.ledger.cash["tape"] / (price * (1 + COSTS.fee)))
        self.engine.filled(order, quantity, price, at_ns, fee=quantity * price * COSTS.fee, fee_asset="quote")
        self.engine.close(order, "filled", at_ns)


def step(strategy, bars, ratings):
    feed = Feed(ASSETS, plainly)
    terms = {name: [Terms(Instrument(name), "quote", plainly)] for name in ASSETS}
    engine = Engine(strategy, Mount("replay", terms, {"tape": 100_000.0}, 0.0), feed, plainly, None)
    venue, waiting = Venue(engine), []
    day = 86_400_000_000_000
    for ts, rows in bars.groupby("ts"):
        open_ns = ts.as_unit("ns").value
        opens = dict(zip(rows.asset, rows.open, strict=True))
        for order in sells_first([one for one in waiting if one.state != "closed"]):
            venue.fill(order, opens[order.asset], open_ns)
        waiting = []
        close = from_ns(open_ns + day)
        told = [
            BarClosed(close, row.asset, row.open, row.high, row.low, row.close, row.volume)
            for row in sorted(rows.itertuples(), key=lambda one: one.asset)
        ]
        known = ratings[ratings.known_at == close]
        if len(known):
            said = [Signal(r.asset, r.kind, r.value, r.as_of.to_pydatetime(), close) for r in known.itertuples()]
            told.append(SignalsKnown(close, tuple(said)))
        if engine.due() == close:
            told.append(TimerDue(close, "replay"))
        prices = {fact.asset: fact.price for fact in engine.fire(*told) if isinstance(fact, ExitHit)}
        for order in venue.take():
            venue.fill(order, prices[order.asset], open_ns + day)
        engine.handle(*told)
        waiting += venue.take()
    return [row for row in engine.rows if row[0] is Filled]


STRATEGIES = [
    RatingBand(65, 45, "derived_trader", 0.19, (FallBy(0.1), RiseBy(0.25))),
    RatingBand(60, 30, "derived_trader", 0.19, (TrailBy(0.12), Below(45.0, "derived_trader"))),
    RatingBand(60, 30, "derived_trader", 0.19, (FallBy(0.2), After("5d"))),
    TopRated(top=2, enter=55.0, kind="derived_trader", exits=(TrailBy(0.15),)),
    SmaCross(5, 20, 0.19),
    SmaCross(5, 20, 0.19, (FallBy(0.05), RiseBy(0.2))),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda one: f"{type(one).__name__}-{len(one.exits)}")
def test_told_bar_by_bar_the_engine_does_what_the_replay_does(strategy):
    bars, ratings = world()
    result = replay(strategy, Tape.from_frames(bars, ratings), cash=100_000, costs=COSTS)
    jumped = [row for row in result.engine.rows if row[0] is Filled]
    stepped = step(strategy, bars, ratings)
    assert len(jumped) > 5
    assert [(r[1], r[4], r[6], r[11]) for r in stepped] == [(r[1], r[4], r[6], r[11]) for r in jumped]
    assert [r[7] for r in stepped] == pytest.approx([r[7] for r in jumped], rel=1e-9)
    assert [r[8] for r in stepped] == pytest.approx([r[8] for r in jumped], rel=1e-12)


def test_an_engine_over_a_tape_is_not_told_facts():
    bars, ratings = world()
    result = replay(STRATEGIES[0], Tape.from_frames(bars, ratings))
    with pytest.raises(ValueError, match="needs a Feed"):
        result.engine.handle(TimerDue(datetime(2022, 1, 1, tzinfo=UTC), "replay"))
