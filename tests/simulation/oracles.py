"""What must hold when a world is at rest, whatever happened before: the exchange's books against the bot's facts, written apart from both."""

from decimal import Decimal

from tests.contracts.worlds import SECRET
from tests.simulation.bot import CAPITALS, Follows
from tests.simulation.deeds import BY_HAND, by_hand
from trader.adapters.journal_sqlite import JournalReader
from trader.app import rehearse
from trader.core.facts import Filled, OrderPlaced, OrderSending
from trader.core.records import BatchClosed, DiscrepancySeen, EpochTaken, ForeignSeen, SignalClosed, SignalReceived

D = Decimal


class BrokenError(AssertionError):
    """An invariant does not hold."""


def must(holds, what):
    if not holds:
        raise BrokenError(what)


def judge(world, funds):
    """Every invariant; raises BrokenError with the first that does not hold."""
    must(not world.broken, world.broken)
    reader = JournalReader(world.path)
    try:
        damage = reader.verify()
        must(damage is None, f"the chain of the journal is broken: {damage}")
        facts = reader.facts()
    finally:
        reader.close()
    must(len(facts) == world.witness.seq, f"{len(facts)} facts are kept, {world.witness.seq} were written")
    epochs = [fact.epoch for fact in facts if isinstance(fact, EpochTaken)]
    must(epochs == sorted(set(epochs)), f"epochs {epochs}")
    must(
        SECRET.encode() not in b"".join(one.read_bytes() for one in world.folder.rglob("journal.db*")),
        "a secret is on the disk",
    )
    _signals(world, facts)
    _orders(world, facts)
    _money(world, facts, funds)
    for mount in _mounts(world):
        heard = rehearse(facts, Follows(world.plan.hold), mount=mount)
        must(not heard.differences, f"the record of {mount} decides otherwise: {heard.differences[:2]}")
    return facts


def _mounts(world):
    return [name for name, _ in CAPITALS[: world.plan.mounts]]


def _signals(world, facts):
    first = {}
    for fact in facts:
        if isinstance(fact, SignalReceived) and fact.outcome not in {"duplicate", "conflict"}:
            must(fact.key not in first, f"{fact.key} was taken as new twice")
            first[fact.key] = fact
    closed = [(fact.mount, fact.key) for fact in facts if isinstance(fact, SignalClosed)]
    batches = [fact.key for fact in facts if isinstance(fact, BatchClosed)]
    may = set().union(*world.names.values())
    optional = set().union(*(world.names[key] for key in world.broker.lost), world.lost_keys)
    must(set(first) <= may, f"invented: {set(first) - may}")
    must(may - optional <= set(first), f"lost: {may - optional - set(first)}")
    for key, receipt in first.items():
        batch = f"sim/batch:b{key.split('/')[1].split('.')[0]}" if "." in key else ""
        for mount in _mounts(world):
            ends = bool(receipt.outcome) + closed.count((mount, batch or key))
            if batch and receipt.outcome:
                ends -= closed.count((mount, batch))
            must(ends == 1, f"{key} ended {ends} times for {mount}")
        must(
            not batch or receipt.outcome or batches.count(batch) == 1,
            f"{batch} was handled {batches.count(batch)} times",
        )


def _orders(world, facts):
    attempts = {fact.client_id: fact for fact in facts if isinstance(fact, OrderSending)}
    placed = {(fact.mount, fact.order): fact for fact in facts if isinstance(fact, OrderPlaced)}
    ours = [one for one in world.account.orders if not one.client_id.startswith(BY_HAND)]
    seen = [order.client_id for order in ours]
    must(len(seen) == len(set(seen)), "a client id is at the venue twice")
    ghosts = set(seen) - set(attempts) - world.lost_orders
    must(not ghosts, f"ghosts: {ghosts}")
    must(set(seen) <= set(world.witness.sends), "an order is at the venue that nobody sent")
    touched = [one.client_id for one in by_hand(world) if one.ended == "cancelled" and one.number not in world.tidied]
    must(not touched, f"a stranger's order was touched: {touched}")
    if world.plan.is_zombies_world:
        return  # the venue broke its word: it is noticed, and the promise is no more than that
    filled = {}
    for order in ours:
        if order.client_id in attempts:
            sent = attempts[order.client_id]
            filled.setdefault((sent.mount, sent.order), []).append(order.filled)
            must(order.market.symbol == placed[sent.mount, sent.order].asset, f"{order.client_id} is another asset's")
    for name, amounts in filled.items():
        meant = placed[name].quantity
        must(meant is None or sum(amounts) <= meant, f"order {name} was filled {amounts}, {meant} was meant")
        booked = [fact.quantity for fact in facts if isinstance(fact, Filled) and (fact.mount, fact.order) == name]
        must(sum(booked) == sum(amounts), f"of order {name} {booked} is booked, {amounts} was filled")


def _money(world, facts, funds):
    booked = [fact for fact in facts if isinstance(fact, Filled)]
    known = {fact.client_id for fact in facts if isinstance(fact, OrderSending)}
    ours = [trade for order in world.account.orders if order.client_id in known for trade in order.trades]
    rest = [trade for order in world.account.orders if order.client_id not in known for trade in order.trades]
    must(
        sorted(fact.quantity for fact in booked) == sorted(trade.quantity for trade in ours),
        f"{len(booked)} fills are booked, {len(ours)} happened",
    )
    for asset, begin in funds.items():
        held = world.account.held(asset)
        moved = held.available + held.locked - begin - sum((_effect(trade, asset) for trade in rest), D(0))
        said = _expected(booked, asset)
        must(moved == said, f"{asset} moved by {moved}, the facts say {said}")
    off = [one for one in facts if isinstance(one, DiscrepancySeen)]
    must(not off or rest or world.plan.is_zombies_world, f"a discrepancy that nobody made: {off[:2]}")
    strangers = {fact.venue_order for fact in facts if isinstance(fact, ForeignSeen)}
    foreign = {str(one.number) for one in world.account.orders if one.client_id not in known}
    seen = {name for name in strangers if _number(name) not in foreign}
    must(not seen, f"strangers that are none: {seen}")
    must(not world.exchange.unbalanced(), "the exchange does not balance")


def _number(venue_order):
    """The exchange's number in a venue's id of an order."""
    return venue_order.rpartition("_")[2]


def _effect(trade, asset):
    """By how much a trade moved an asset."""
    market, sign = trade.order.market, 1 if trade.order.side == "buy" else -1
    total = sign * trade.quantity if asset == market.base else D(0)
    total -= sign * trade.quantity * trade.price if asset == market.quote else D(0)
    return total - (trade.fee if trade.fee_asset == asset else D(0))


def _expected(fills, asset):
    total = D(0)
    for fill in fills:
        base, sign = fill.asset.split("/")[0], 1 if fill.side == "buy" else -1
        total += sign * fill.quantity if asset == base else D(0)
        total -= sign * fill.quantity * fill.price if asset == "USDT" else D(0)
        total -= fill.fee if asset == ("USDT" if fill.fee_asset == "quote" else fill.fee_asset.split("/")[0]) else D(0)
    return total
