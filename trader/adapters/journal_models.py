"""The read models of the journal, one small step per kind of fact; `trader journal rebuild` takes the same steps anew."""

from typing import Protocol

from trader.adapters.journal_tables import utc_text
from trader.core.facts import (
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

Value = str | int | float | None
AGAIN = (
    "duplicate",
    "conflict",
)  # a key that came before: the chain keeps that it came, the receipt is the first one's
STATES = {OrderUnknown: UNKNOWN, OrderAbsent: ABSENT, OrderStuck: STUCK}


class Executes(Protocol):
    """What a step asks of a database inside the transaction of its fact."""

    def execute(self, statement: str, values: tuple[Value, ...], /) -> object: ...


def project(database: Executes, seq: int, fact: Fact) -> None:
    """Bring the read models in line with a fact; a broken unique key raises the driver's integrity error."""
    match fact:
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
