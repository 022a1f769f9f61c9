"""What must hold when a world is at rest, whatever happened before: the exchange's books against the bot's facts, written apart from both."""

from decimal import Decimal

from tests.simulation.world import Follows
from trader.adapters.journal_sqlite import JournalReader
from trader.app import rehearse
from trader.core.facts import Filled, OrderPlaced, OrderSending
from trader.core.records import DiscrepancySeen, ForeignSeen, SignalClosed, SignalReceived

D = Decimal


class BrokenError(AssertionError):
    """An invariant does not hold."""


def must(holds, what):
    if not holds:
        raise BrokenError(what)


def judge(world, funds):
    """Every invariant; raises BrokenError with the first that does not hold."""
    reader = JournalReader(world.folder / "journal.db")
    try:
        must(reader.verify() is None, "the chain of the journal is broken")
        facts = reader.facts()
    finally:
        reader.close()
    _signals(world, facts)
    _orders(world, facts)
    _money(world, facts, funds)
    heard = rehearse(facts, Follows())
    must(not heard.differences, f"the record decides otherwise: {heard.differences[:2]}")
    return facts


def _signals(world, facts):
    first = {}
    for fact in facts:
        if isinstance(fact, SignalReceived) and fact.outcome not in {"duplicate", "conflict"}:
            must(fact.key not in first, f"{fact.key} was taken as new twice")
            first[fact.key] = fact
    closed = [fact.key for fact in facts if isinstance(fact, SignalClosed)]
    must(set(world.keys) == set(first), f"lost or invented: {set(world.keys) ^ set(first)}")
    for key, receipt in first.items():
        ends = bool(receipt.outcome) + closed.count(key)
        must(ends == 1, f"{key} ended {ends} times")


def _orders(world, facts):
    attempts = {fact.client_id: fact for fact in facts if isinstance(fact, OrderSending)}
    placed = {fact.order: fact for fact in facts if isinstance(fact, OrderPlaced)}
    seen = [order.client_id for order in world.account.orders]
    must(len(seen) == len(set(seen)), "a client id is at the venue twice")
    must(set(seen) <= set(attempts), f"ghosts: {set(seen) - set(attempts)}")
    filled = {}
    for order in world.account.orders:
        filled.setdefault(attempts[order.client_id].order, []).append(order.filled)
    for number, amounts in filled.items():
        meant = placed[number].quantity
        must(meant is None or sum(amounts) <= meant, f"order {number} was filled {amounts}, {meant} was meant")


def _money(world, facts, funds):
    booked = [fact for fact in facts if isinstance(fact, Filled)]
    trades = [trade for order in world.account.orders for trade in order.trades]
    must(
        sorted(fact.quantity for fact in booked) == sorted(trade.quantity for trade in trades),
        f"{len(booked)} fills are booked, {len(trades)} happened",
    )
    for asset, begin in funds.items():
        held = world.account.held(asset)
        moved, said = held.available + held.locked - begin, _expected(booked, asset)
        must(moved == said, f"{asset} moved by {moved}, the facts say {said}")
    must(not [one for one in facts if isinstance(one, DiscrepancySeen | ForeignSeen)], "a discrepancy that nobody made")
    must(not world.exchange.unbalanced(), "the exchange does not balance")


def _expected(fills, asset):
    total = D(0)
    for fill in fills:
        base, sign = fill.asset.split("/")[0], 1 if fill.side == "buy" else -1
        total += sign * fill.quantity if asset == base else D(0)
        total -= sign * fill.quantity * fill.price if asset == "USDT" else D(0)
        total -= fill.fee if asset == ("USDT" if fill.fee_asset == "quote" else fill.fee_asset.split("/")[0]) else D(0)
    return total
