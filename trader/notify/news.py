"""News: which facts of the journal a person is told, how, and how loudly. What it does not name is told to nobody."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from trader.core.facts import (
    AttemptEnded,
    Fact,
    Filled,
    Halted,
    OrderClosed,
    OrderStuck,
    OrderUnknown,
    Refused,
    Resumed,
    StrategyFailed,
    ZombieSeen,
)
from trader.core.records import (
    BaselineSet,
    CommandTaken,
    DiscrepancySeen,
    EpochTaken,
    ForeignSeen,
    SignalClosed,
    StateChanged,
)
from trader.notify.event import CRITICAL, INFO, WARNING, Event, code_in, harmless

STATES = {"killed": CRITICAL, "halted": WARNING, "reducing": WARNING, "recovering": INFO, "active": INFO}
STOPPED_BY = {"operator": WARNING, "flatten": WARNING}  # a person wanted it; any other hand is a limit or a failure
RULES = ("drawdown", "loss_per_day")


@dataclass(slots=True)
class Teller:
    """Turns facts into events, in the order of the journal. `dead` are a venue's codes for a key that does not work any more.

    owner: who held the journal's lease last; it is state, and kept over a restart.
    """

    dead: Collection[str] = ()
    owner: str = ""
    STATE: ClassVar[tuple[str, ...]] = ("owner",)

    def told(self, fact: Fact) -> Event | None:
        """What is told of a fact; None = nothing."""
        match fact:
            case Filled():
                return _filled(fact)
            case OrderClosed() | AttemptEnded() | OrderUnknown():
                return self._refused(fact)
            case OrderStuck() | ZombieSeen() | ForeignSeen() | DiscrepancySeen() | BaselineSet():
                return _account(fact)
            case Halted() | Resumed() | StateChanged() | CommandTaken() | Refused():
                return _trading(fact)
            case EpochTaken(at=at, epoch=epoch, owner=owner):
                before, self.owner = self.owner, owner
                if before in {"", owner}:
                    return Event(at, INFO, "started", f"a process took the journal, epoch {epoch}", f"epoch:{epoch}")
                text = f"{harmless(owner)} took the journal from {harmless(before)}, epoch {epoch}"
                return Event(at, WARNING, "another process", text, f"epoch:{epoch}")
            case StrategyFailed(at=at, mount=mount, error=error):
                text = f"{harmless(mount)} raised {harmless(error)}; it holds what it holds"
                return Event(at, WARNING, "strategy failed", text, f"strategy:{mount}", once=True)
            case SignalClosed(at=at, key=key, outcome="failed"):
                return Event(at, WARNING, "signal failed", f"{harmless(key)}: could not be handled", f"signal:{key}")
            case _:
                return None

    def _refused(self, fact: OrderClosed | AttemptEnded | OrderUnknown) -> Event | None:
        """An order that the venue refused; a code that says that the key is dead is an alarm of its own."""
        said = fact.reason if isinstance(fact, OrderClosed) else fact.why
        code = code_in(said, self.dead)
        if code is not None:
            text = (
                f"order {fact.order}: the venue answered {harmless(code)}: the key is dead, or may not trade from here"
            )
            return Event(fact.at, CRITICAL, "the key is refused", text, f"dead:{code}", once=True)
        if isinstance(fact, OrderUnknown) or not said.startswith("refused "):
            return None
        again = "" if isinstance(fact, OrderClosed) else "; it is tried again"
        text = f"order {fact.order}: {harmless(said)}{again}"
        return Event(fact.at, WARNING, "order refused", text, f"refused:{fact.mount}:{said}", once=bool(again))


def _filled(fact: Filled) -> Event:
    key = f"fill:{fact.mount}:{fact.order}:{fact.trade}"
    amount = f"{fact.quantity:f}" if hasattr(fact.quantity, "as_tuple") else f"{fact.quantity:g}"
    text = f"{fact.side} {amount} {harmless(fact.asset)} at {fact.price} on {fact.venue} ({harmless(fact.why, 80)})"
    if fact.order is None:
        return Event(fact.at, WARNING, "written off", text, key)
    return Event(fact.at, INFO, "fill", text, key)


def _account(fact: OrderStuck | ZombieSeen | ForeignSeen | DiscrepancySeen | BaselineSet) -> Event | None:
    match fact:
        case OrderStuck(at=at, mount=mount, order=order, why=why):
            text = f"order {order}: {harmless(why)}; a person must look: trader orders, and the venue's own page"
            return Event(at, CRITICAL, "order stuck", text, f"stuck:{mount}:{order}")
        case ZombieSeen(at=at, mount=mount, order=order, venue_order=there):
            text = f"order {order} appeared at the venue as {harmless(there)} although it was proven absent"
            return Event(at, CRITICAL, "zombie order", text, f"zombie:{mount}:{there}")
        case ForeignSeen(at=at, symbol=symbol, venue_order=there, kind=kind):
            if kind == "finished":
                return None
            text = f"{harmless(symbol)} order {harmless(there)}: " + (
                "it bears our name, and no fact knows it" if kind == "ours" else "it is not ours, and is not touched"
            )
            return Event(at, CRITICAL if kind == "ours" else WARNING, "foreign order", text, f"foreign:{there}")
        case DiscrepancySeen(at=at, asset=asset, expected=expected, seen=seen):
            name, key = harmless(asset), f"discrepancy:{asset}"
            if seen == expected:
                return Event(at, INFO, "account agrees again", f"{name}: {seen}", key)
            text = f"{name}: expected {expected}, seen {seen}; if that is right: trader reconcile --adopt"
            return Event(at, CRITICAL if seen < expected else WARNING, "discrepancy", text, key)
        case BaselineSet(at=at, asset=asset, total=total, why=why):
            text = f"{harmless(asset)}: {total} is taken as not ours ({harmless(why)})"
            return Event(at, INFO, "baseline", text, f"baseline:{asset}")


def _trading(fact: Halted | Resumed | StateChanged | CommandTaken | Refused) -> Event | None:
    match fact:
        case Halted(at=at, mount=mount, by=by):
            text = f"{harmless(mount)} opens nothing more, by {harmless(by)}; exits stay armed"
            return Event(at, STOPPED_BY.get(by, CRITICAL), "halted", text, f"halted:{mount}")
        case Resumed(at=at, mount=mount, by=by):
            return Event(at, INFO, "resumed", f"{harmless(mount)} may open again, by {harmless(by)}", f"halted:{mount}")
        case StateChanged(at=at, scope=scope, state=state, why=why):
            text = f"{harmless(scope) + ': ' if scope else ''}{harmless(why)}"
            return Event(at, STATES.get(state, WARNING), f"state {harmless(state, 20)}", text, f"state:{scope}")
        case CommandTaken(at=at, key=key, command=command, argument=argument):
            if argument == "again":
                return None  # a flatten that is pursued, not a person's
            text = f"{harmless(command)} {harmless(argument)}".rstrip() + f" ({harmless(key, 60)})"
            return Event(at, INFO, "command", text, f"command:{key}")
        case Refused(at=at, mount=mount, rule=rule):
            if rule not in RULES:
                return None
            text = f"{harmless(mount)}: {rule} is reached, nothing is opened"
            return Event(at, CRITICAL, rule.replace("_", " "), text, f"rule:{mount}:{rule}", once=True)
