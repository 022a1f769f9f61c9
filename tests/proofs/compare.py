"""One case through the plain stepper and through the replay, and what must be the same in both."""

from collections import defaultdict

import pytest

from backtests import Tape, replay
from tests.reference.stepper import step
from trader.core.book import Book, Mount
from trader.core.facts import BarClosed
from trader.core.instants import from_ns, to_ns
from trader.core.instruments import plainly

COUNTS = ("ambiguous_bars", "stale_marks", "unknown_held", "withheld_batches", "omitted_assets")


def both(strategy, bars, ratings=None, signals=None, instruments=None, **how):
    """The stepper's outcome and the replay's result."""
    expected = step(strategy, bars, ratings, signals, instruments, **how)
    tape = Tape.from_frames(bars, ratings, signals, instruments)
    return expected, replay(strategy, tape, **how)


def stamp(ns):
    return str(from_ns(int(ns)))[:16]


def assert_same(expected, result):
    """Fills, decisions, equity, cash, holdings and counts."""
    rows = sorted(result.fills.to_dict("records"), key=lambda row: place_of(row["at"], row["asset"], row["side"]))
    fills = sorted(expected.fills, key=lambda fill: place_of(*fill[:3]))
    for number, (mine, wanted) in enumerate(zip(rows, fills, strict=False)):
        at, asset, side, quantity, price, fee, why = wanted
        place = f"fill {number}: replay {mine}, stepper {stamp(at)} {wanted[1:]}"
        assert (to_ns(mine["at"].to_pydatetime()), mine["asset"], mine["side"]) == (at, asset, side), place
        assert float(mine["quantity"]) == pytest.approx(float(quantity), rel=1e-9), place
        assert float(mine["price"]) == pytest.approx(float(price), rel=1e-12), place
        assert float(mine["fee"]) == pytest.approx(float(fee), rel=1e-9, abs=1e-12), place
        if plain(mine["why"]) and plain(why):
            assert plain(mine["why"]) == plain(why), place
    longer = [(stamp(one[0]), *one[1:]) for one in fills[len(rows) :]] or rows[len(fills) :]
    assert len(rows) == len(fills), f"only one of both has {longer[:2]}"
    mine = [(at, tuple(sorted(wake.causes))) for at, wake, _ in result.decided]
    wanted = [(at, tuple(sorted(causes))) for at, causes in expected.decisions]
    unlike = [(stamp(at), causes, (at, causes) in mine) for at, causes in sorted({*mine} ^ {*wanted})]
    assert mine == wanted, f"decisions of one only (at, causes, whether the replay's): {unlike[:4]}"
    equity = [(to_ns(at.to_pydatetime()), float(value)) for at, value in result.equity.items()]
    assert [at for at, _ in equity] == [at for at, _ in expected.equity]
    figures = [float(value) for _, value in expected.equity]
    for (at, value), figure in zip(equity, figures, strict=True):
        assert value == pytest.approx(figure, rel=1e-9), f"equity at {stamp(at)}: replay {value}, stepper {figure}"
    start = result.cash_start
    assert result.cash == pytest.approx(float(expected.cash), rel=1e-9, abs=1e-9 * start)
    holdings = {asset: float(quantity) for asset, quantity in expected.holdings.items()}
    found = {**dict.fromkeys(holdings, 0.0), **result.holdings}
    wanted = {**dict.fromkeys(found, 0.0), **holdings}
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9), f"holdings: replay {found}, stepper {wanted}"
    unlike = {n: (int(result.stats[n]), expected.counts[n]) for n in COUNTS if result.stats[n] != expected.counts[n]}
    assert not unlike, f"counts (replay, stepper): {unlike}"


def place_of(at, asset, side):
    """Sells of one instant come before its buys, in whatever order; buys keep theirs, for each leaves less cash."""
    return at, side == "buy", asset if side == "sell" else ""


def plain(why):
    """The exit's name, a strategy's own words, or nothing: the engine says `exit: FallBy`, the stepper `FallBy`."""
    word = why.removeprefix("exit").split("(")[0].strip(" :").lower()
    return "" if word in {"open", "leave", "target", "increase", "reduce", "rebalance"} else word


def fold(result):
    """A fresh mount, built from the facts of a replay and the bars of its tape alone."""
    mount = result.engine.mount
    start = {venue: plainly(result.cash_start if venue == min(mount.ledger.cash) else 0) for venue in mount.ledger.cash}
    fresh = Mount(mount.name, mount.terms, start, mount.ledger.zero)
    book = Book({mount.name: fresh}, plainly)
    closing = defaultdict(list)
    panel = result.tape.panel
    for index, name in enumerate(panel.names):
        columns = (panel.open, panel.high, panel.low, panel.close, panel.volume)
        for at, *prices in zip(panel.closes_ns.tolist(), *(column[index].tolist() for column in columns), strict=True):
            if prices[3] == prices[3]:  # NaN: no bar
                closing[at].append(BarClosed(from_ns(at), name, *prices))
    bars = sorted(closing.items())
    for fact in result.facts():
        while bars and bars[0][0] <= to_ns(fact.at):
            for bar in bars.pop(0)[1]:
                book.apply(bar)
        book.apply(fact)
    for _, rest in bars:
        for bar in rest:
            book.apply(bar)
    return fresh


def assert_folds(result):
    """The book built from facts is the book the engine left."""
    mine, left = fold(result), result.engine.mount
    assert mine.ledger.cash == left.ledger.cash
    assert mine.ledger.fees == left.ledger.fees
    assert mine.ledger.realised == left.ledger.realised
    assert holdings(mine) == holdings(left)
    assert mine.targets.keys() == left.targets.keys()
    for asset, target in left.targets.items():
        assert (mine.targets[asset].size, mine.targets[asset].exits) == (target.size, target.exits), asset
    assert mine.orders.keys() == left.orders.keys()
    assert (mine.exiting, clean(mine.spent), mine.memo) == (left.exiting, clean(left.spent), left.memo)
    assert mine.orders_made == left.orders_made
    assert mine.timers == left.timers


def clean(spent):
    return {asset: numbers for asset, numbers in spent.items() if numbers}


def holdings(mount):
    return {
        asset: (one.quantity, one.is_flat) if one.is_flat else (one.quantity, one.entry, one.peak, one.opened_ns)
        for asset, one in mount.ledger.holdings.items()
    }
