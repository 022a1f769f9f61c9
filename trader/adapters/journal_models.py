"""The read models of the journal, one small step per kind of fact; `trader journal rebuild` takes the same steps anew."""

import json
from typing import Protocol

from trader.adapters.journal_tables import utc_text
from trader.core.accounts import Accounts, Moved, Valued
from trader.core.facts import (
    BarClosed,
    Fact,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
)
from trader.core.instruments import Number
from trader.core.orders import ABSENT, ACCEPTED, CLOSED, PLACED, SENDING, STUCK, UNKNOWN
from trader.core.records import SignalClosed, SignalReceived

Value = str | int | float | bool | None
AGAIN = ("duplicate", "conflict")  # a key that came before: the chain keeps that it came, the receipt is the first
ACCOUNTED = (  # what accounts are made of: every start and fill, and the newest closes
    "SELECT body FROM (SELECT seq, body FROM journal WHERE kind IN ('MountStarted', 'Filled', 'DustLeft') AND seq < ?1"
    " UNION ALL SELECT seq, body FROM (SELECT seq, body FROM journal WHERE kind = 'BarClosed' AND seq < ?1"
    " ORDER BY seq DESC LIMIT 1000) AS bars) AS rows ORDER BY seq"
)
LAST_CLOSE = (  # of an asset, whose name must stand in the body; the databases have no other function for it in common
    "SELECT body FROM journal WHERE kind = 'BarClosed' AND seq < ?1 AND replace(body, ?2, '') <> body ORDER BY seq DESC LIMIT 1"
)
SNAPSHOT = (  # only where the chain still has the row that it stands for
    "SELECT s.seq, s.hash, s.body, s.digest FROM snapshots s JOIN journal j ON j.seq = s.seq AND j.hash = s.hash"
    " WHERE s.program = ?1 ORDER BY s.seq DESC LIMIT 1"
)
KEEP_SNAPSHOT = "INSERT INTO snapshots (seq, hash, program, body, digest) VALUES (?1, ?2, ?3, ?4, ?5)"
WORTHS = (  # of each mount: what it was worth last, and at most
    "SELECT e.mount, e.equity, p.peak FROM equity e JOIN (SELECT mount, max(at) AS newest, max(CAST(equity AS double precision)) AS peak"
    " FROM equity GROUP BY mount) p ON p.mount = e.mount AND p.newest = e.at ORDER BY e.mount"
)
STATES = {OrderUnknown: UNKNOWN, OrderAbsent: ABSENT, OrderStuck: STUCK}


class Executes(Protocol):
    """What a step asks of a database inside the transaction of its fact."""

    def execute(self, statement: str, values: tuple[Value, ...], /) -> object: ...


def named(asset: str) -> str:
    """How a fact's body names an asset, for `LAST_CLOSE`."""
    return f'"asset":{json.dumps(asset, ensure_ascii=False)}'


def project(database: Executes, seq: int, fact: Fact, accounts: Accounts) -> None:
    """Bring the read models in line with a fact; a broken unique key raises the driver's integrity error.

    accounts: what the facts before it made of the mounts; it learns this fact here.
    """
    moved = accounts.learn(fact)
    if moved is not None:
        _moved(database, seq, moved)
    match fact:
        case BarClosed(at=at, market=market):
            for one in accounts.values(at, market):
                _valued(database, seq, one)
        case SignalReceived() if fact.outcome not in AGAIN:
            database.execute(
                "INSERT INTO receipts (key, source, digest, outcome, why, seq) VALUES (?, ?, ?, ?, ?, ?)",
                (fact.key, fact.source, fact.digest, fact.outcome, fact.why, seq),
            )
        case SignalClosed():
            database.execute(
                "INSERT INTO outcomes (key, mount, outcome, seq) VALUES (?, ?, ?, ?)",
                (fact.key, fact.mount, fact.outcome, seq),
            )
        case OrderPlaced():
            _placed(database, fact)
        case OrderSending():
            _sending(database, fact)
        case OrderAccepted():
            _state(database, fact.mount, fact.order, ACCEPTED)
            values = (fact.venue_order, fact.mount, fact.order)
            database.execute("UPDATE orders SET venue_order = ? WHERE mount = ? AND number = ?", values)
        case OrderUnknown() | OrderAbsent() | OrderStuck():
            _state(database, fact.mount, fact.order, STATES[type(fact)])
        case OrderClosed():
            _state(database, fact.mount, fact.order, CLOSED)
            values = (fact.reason, fact.mount, fact.order)
            database.execute("UPDATE orders SET reason = ? WHERE mount = ? AND number = ?", values)
        case Filled():
            _filled(database, seq, fact)
        case _:
            pass


def _moved(database: Executes, seq: int, one: Moved) -> None:
    database.execute(
        "INSERT INTO holdings (mount, asset, venue, quantity, entry, realised, is_flat, seq)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (mount, asset) DO UPDATE SET venue = excluded.venue,"
        " quantity = excluded.quantity, entry = excluded.entry, realised = excluded.realised, is_flat = excluded.is_flat,"
        " seq = excluded.seq",
        (one.mount, one.asset, one.venue, str(one.quantity), str(one.entry), str(one.total), one.is_flat, seq),
    )  # fmt: skip


def _valued(database: Executes, seq: int, one: Valued) -> None:
    database.execute(
        "INSERT INTO equity (mount, at, cash, equity, seq) VALUES (?, ?, ?, ?, ?) ON CONFLICT (mount, at) DO UPDATE SET"
        " cash = excluded.cash, equity = excluded.equity, seq = excluded.seq",
        (one.mount, utc_text(one.at), str(one.cash), str(one.equity), seq),
    )


def _text(amount: Number | None) -> str | None:
    return None if amount is None else str(amount)


def _placed(database: Executes, fact: OrderPlaced) -> None:
    database.execute(
        "INSERT INTO orders (mount, number, placed_at, asset, venue, side, quantity, spend, why, state, reason, venue_order)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '')",
        (
            fact.mount, fact.order, utc_text(fact.at), fact.asset, fact.venue, fact.side, _text(fact.quantity),
            _text(fact.spend), fact.why, PLACED,
        ),
    )  # fmt: skip


def _sending(database: Executes, fact: OrderSending) -> None:
    database.execute(
        "INSERT INTO attempts (client_id, mount, number, attempt, signed_ms, not_after_ms, digest, epoch)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            fact.client_id, fact.mount, fact.order, fact.attempt, fact.signed_ms, fact.not_after_ms, fact.digest,
            fact.epoch,
        ),
    )  # fmt: skip
    _state(database, fact.mount, fact.order, SENDING)


def _state(database: Executes, mount: str, number: int, state: str) -> None:
    database.execute("UPDATE orders SET state = ? WHERE mount = ? AND number = ?", (state, mount, number))


def _filled(database: Executes, seq: int, fact: Filled) -> None:
    database.execute(
        "INSERT INTO fills (seq, at, mount, number, asset, venue, side, quantity, price, fee, fee_asset, why, trade)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            seq, utc_text(fact.at), fact.mount, fact.order, fact.asset, fact.venue, fact.side, str(fact.quantity),
            str(fact.price), str(fact.fee), fact.fee_asset, fact.why, fact.trade,
        ),
    )  # fmt: skip
