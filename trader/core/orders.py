"""Orders and their life cycle, as a table. A fill is booked in every state, also after the order was closed."""

from collections.abc import Sequence

from trader.core.instruments import Number

PLACED, SENDING, ACCEPTED, UNKNOWN, CLOSED = "placed", "sending", "accepted", "unknown", "closed"
ABSENT, STUCK = "absent", "stuck"

LIFE = {
    PLACED: {"OrderSending": SENDING, "OrderClosed": CLOSED},
    SENDING: {"OrderAccepted": ACCEPTED, "OrderUnknown": UNKNOWN, "AttemptEnded": PLACED, "OrderClosed": CLOSED},
    ACCEPTED: {"OrderUnknown": UNKNOWN, "AttemptEnded": PLACED, "OrderClosed": CLOSED},
    UNKNOWN: {"OrderAccepted": ACCEPTED, "OrderAbsent": ABSENT, "OrderStuck": STUCK, "OrderClosed": CLOSED},
    ABSENT: {"OrderSending": SENDING, "OrderClosed": CLOSED},
    STUCK: {"OrderAccepted": ACCEPTED, "OrderAbsent": ABSENT, "OrderClosed": CLOSED},
    CLOSED: {},
}


FLYING = frozenset({SENDING, ACCEPTED, UNKNOWN, STUCK})  # the venue has it, or may have it

WAITING = ("exit After", "exit Below", "exit Above")
PART = "(share"


class LifeCycleError(AssertionError):
    """An order was told something that its state does not allow."""


def next_state(state: str, fact: str) -> str:
    """The state after the named fact; raises LifeCycleError where the table has none."""
    try:
        return LIFE[state][fact]
    except KeyError:
        raise LifeCycleError(f"an order that is {state} cannot become {fact}") from None


class Order:
    """A working order: `quantity` units, or `spend` money where quantity is None; `left` is what is not filled yet."""

    __slots__ = (
        "asset",
        "is_exit",
        "left",
        "number",
        "placed_ns",
        "quantity",
        "side",
        "spend",
        "state",
        "venue",
        "why",
    )

    def __init__(
        self, number: int, asset: str, venue: str, side: int, quantity: Number | None, spend: Number | None,
        why: str, placed_ns: int, is_exit: bool = False,
    ) -> None:  # fmt: skip
        self.number = number
        self.asset = asset
        self.venue = venue
        self.side = side
        self.quantity = quantity
        self.spend = spend
        self.left = quantity if quantity is not None else spend
        self.why = why
        self.placed_ns = placed_ns
        self.is_exit = is_exit
        self.state = PLACED

    @property
    def waits(self) -> bool:
        """Whether it is an exit that the engine decided, which waits the latency for an open."""
        return self.is_exit and self.why.startswith(WAITING)

    @property
    def is_whole(self) -> bool:
        """Whether it is an exit of all that is held, not of a share."""
        return self.is_exit and PART not in self.why


def sells_first(orders: Sequence[Order]) -> list[Order]:
    """All sells before all buys, each in the order of placement."""
    return sorted(orders, key=lambda order: (order.side > 0, order.number))
