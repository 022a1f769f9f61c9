"""What a venue's answer to an order proves, as data: only a listed code proves that there is no order.

Everything else leaves the outcome open: silence, a cut body, a page of a proxy, an answer without an id, any 5xx, a rate limit,
and every code that is not listed. What an exchange library makes of an answer decides nothing here.
"""

import json
from dataclasses import dataclass

from trader.ports import Accepted, RefusedByVenue, Reply, Unclear

GATE_REFUSALS = frozenset(
    {
        "INVALID_PARAM_VALUE", "INVALID_PRECISION", "INVALID_CURRENCY", "INVALID_CURRENCY_PAIR", "BALANCE_NOT_ENOUGH",
        "QUANTITY_NOT_ENOUGH", "AMOUNT_TOO_LITTLE", "AMOUNT_TOO_MUCH", "POC_FILL_IMMEDIATELY", "REQUEST_EXPIRED",
        "INVALID_SIGNATURE", "INVALID_KEY", "IP_FORBIDDEN", "READ_ONLY", "FORBIDDEN", "ACCOUNT_LOCKED", "TRADE_RESTRICTED",
        "TOO_MANY_ORDERS", "PRICE_THRESHOLD_EXCEEDED",
    }
)  # fmt: skip
MEXC_REFUSALS = frozenset(
    {
        "10007", "10101", "30000", "30001", "30002", "30003", "30004", "30005", "30010", "30014", "30016", "30018", "30019", "30020",
        "30021", "30027", "30028", "30029", "30032", "30041", "30051", "30087", "60005", "70011", "700002", "700003", "700005",
        "700006", "700007", "700008",
    }
)  # fmt: skip
LOOK_UP = frozenset({"REPEATED_CREATION", "DUPLICATE_REQUEST"})  # an order under this id is there, or was

DEAD_KEY = {  # codes that say that the key does not work any more, or not from here: a person's matter, not the next attempt's
    "gate": frozenset({"INVALID_SIGNATURE", "INVALID_KEY", "IP_FORBIDDEN", "READ_ONLY", "FORBIDDEN", "ACCOUNT_LOCKED"}),
    "mexc": frozenset({"10072", "700002", "700006", "700007"}),
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where a venue's answers say what: the field of an error's code and of a new order's id, and the codes that refuse."""

    code: str
    order: str
    refusals: frozenset[str]


DIALECTS = {
    "gate": Dialect("label", "id", GATE_REFUSALS),
    "mexc": Dialect("code", "orderId", MEXC_REFUSALS),
}


def reply_of(venue: str, status: int, body: str) -> Reply:
    """What the answer to an order proves: that it is there, that it is refused, or nothing."""
    dialect = DIALECTS[venue]
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return Unclear(f"HTTP {status} with a body that is no JSON: {body[:60]!r}")
    if not isinstance(found, dict):
        return Unclear(f"HTTP {status} with {type(found).__name__} where an object belongs")
    code = str(found.get(dialect.code, ""))
    text = str(found.get("message", found.get("msg", "")))
    if status == 429 or status >= 500:
        return Unclear(f"HTTP {status} {code} {text}".rstrip())
    if 400 <= status < 500:
        if code in dialect.refusals:
            return RefusedByVenue(code, text)
        why = "an order with this id may be there: look it up" if code in LOOK_UP else "the code is not known to refuse"
        return Unclear(f"HTTP {status} {code or 'without a code'} {text}: {why}")
    order = found.get(dialect.order)
    if 200 <= status < 300 and isinstance(order, str | int) and not isinstance(order, bool) and str(order):
        return Accepted(str(order))
    return Unclear(f"HTTP {status} without the id of an order")
