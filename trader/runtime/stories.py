"""Stories that facts tell people: how a signal ended and why, what was held, what each fill brought."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trader.core.accounts import Accounts, Valued
from trader.core.facts import (
    AttemptEnded,
    BarClosed,
    Decided,
    ExitHit,
    Fact,
    Filled,
    MemoKept,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
    PriceSeen,
    Refused,
    SignalsKnown,
    StrategyFailed,
    TargetSet,
    TimerDue,
    TimerSet,
    ZombieSeen,
)
from trader.core.orders import PLACED, next_state
from trader.core.records import BatchClosed, MountStarted, SignalClosed, SignalReceived
from trader.runtime.outcomes import BY_SIGNAL

ZERO = Decimal(0)
TOLD = SignalsKnown, BarClosed, TimerDue, PriceSeen
OF_WAKE = (*TOLD, OrderPlaced, ExitHit, OrderClosed, SignalReceived, SignalClosed, TimerSet, MemoKept)
OF_ORDER = (
    OrderSending, OrderAccepted, OrderUnknown, OrderAbsent, OrderStuck, AttemptEnded, ZombieSeen, OrderClosed, Filled,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One step of a story."""

    at: datetime
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class FillLine:
    """A fill with what it was worth; `realised` is the profit of a sell against the average entry, fees taken off."""

    at: datetime
    mount: str
    order: int | None
    asset: str
    venue: str
    side: str
    quantity: Decimal
    price: Decimal
    value: Decimal
    fee: Decimal
    fee_asset: str
    realised: Decimal
    trade: str
    why: str


@dataclass(slots=True)
class OrderLine:
    """An order and how it stands."""

    at: datetime
    mount: str
    order: int
    asset: str
    side: str
    quantity: str
    why: str
    state: str = PLACED
    filled: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of an asset after some fills."""

    quantity: Decimal = ZERO
    entry: Decimal = ZERO
    realised: Decimal = ZERO


def outcome_of(facts: Sequence[Fact], key: str) -> str:
    """How a message ended: at the door, or afterwards for each mount that was told it; `open` where it has not ended."""
    at_door = [fact.outcome for fact in facts if isinstance(fact, SignalReceived) and fact.key == key and fact.outcome]
    ends = [(fact.mount, fact.outcome) for fact in facts if isinstance(fact, SignalClosed) and fact.key == key]
    if at_door or len(ends) < 2:
        return [*at_door, *(outcome for _, outcome in ends), "open"][0]
    return ", ".join(f"{outcome} ({mount})" for mount, outcome in ends)


def mounts_of(facts: Iterable[Fact]) -> list[str]:
    """The mounts of a journal, in the order of their first starts."""
    return list(dict.fromkeys(fact.mount for fact in facts if isinstance(fact, MountStarted)))


def of_mount(facts: Iterable[Fact], mount: str) -> list[Fact]:
    """The facts that are not of other mounts; all where none is named."""
    return [fact for fact in facts if not mount or getattr(fact, "mount", mount) == mount]


def keys_like(facts: Iterable[Fact], text: str) -> list[str]:
    """The keys of publications and messages that are this text, else those that hold it."""
    keys = dict.fromkeys(
        fact.key for fact in facts if isinstance(fact, SignalReceived | SignalsKnown | BatchClosed) and fact.key
    )
    return [text] if text in keys else [key for key in keys if text in key]


def explain(facts: Sequence[Fact], key: str) -> list[Line]:
    """The chain of one message: received, decided, ordered, filled, closed; empty where nobody knows it."""
    lines, orders = list[Line](), set[tuple[str, int]]()
    named = _namer(facts)
    is_current, is_telling = False, False  # what is told at once stands together, and is thought about afterwards
    for fact in facts:
        if isinstance(fact, TOLD):
            is_current = is_current and is_telling
            is_telling = True
        elif isinstance(fact, Decided | StrategyFailed):
            is_telling = False
        match fact:
            case SignalReceived(key=name) if name == key:
                lines.append(Line(fact.at, "received", _received(fact)))
            case BatchClosed(key=name) if name == key:
                lines.append(Line(fact.at, "gathered", f"{fact.seen} of {fact.count} messages"))
            case SignalsKnown(key=name) if name == key:
                is_current = True
                said = [f"{one.asset} {one.kind} = {one.value:g}" for one in fact.signals]
                more = f" and {len(said) - 6} more" if len(said) > 6 else ""
                lines.append(Line(fact.at, "known", ", ".join(said[:6]) + more))
            case SignalClosed(key=name) if name == key:
                moved = ", ".join(f"{asset}: {how}" for asset, how in fact.moved)
                lines.append(Line(fact.at, "outcome", named(fact, fact.outcome + (f" ({moved})" if moved else ""))))
            case OrderPlaced(cause=cause) if cause == BY_SIGNAL + key:
                orders.add((fact.mount, fact.order))
                lines.append(Line(fact.at, "ordered", named(fact, _placed(fact))))
            case Decided() | StrategyFailed() | TargetSet() | Refused() if is_current:
                thought = _thought(fact)
                lines.append(Line(thought.at, thought.what, named(fact, thought.text)))
            case Filled(order=int(number)) if (fact.mount, number) in orders:
                lines.append(
                    Line(
                        fact.at,
                        "filled",
                        named(
                            fact, f"order {number}: {fact.quantity} at {fact.price}, fee {fact.fee} {fact.fee_asset}"
                        ),
                    )
                )
            case _ if isinstance(fact, OF_ORDER) and (fact.mount, fact.order) in orders:
                lines.append(Line(fact.at, "order", named(fact, _step(fact))))
            case _:
                is_current = is_current and isinstance(fact, OF_WAKE)
    return lines


def _namer(facts: Sequence[Fact]) -> Callable[[Fact, str], str]:
    """Puts a mount's name before what it did, where there are several."""
    if len({fact.mount for fact in facts if isinstance(fact, MountStarted | Decided | OrderPlaced | SignalClosed)}) < 2:
        return lambda _fact, text: text
    return lambda fact, text: f"{getattr(fact, 'mount', '')}: {text}"


def _received(fact: SignalReceived) -> str:
    ended = f"ended at the door: {fact.outcome}" if fact.outcome else "to be handled"
    return f"from {fact.source}, {ended}" + (f" ({fact.why})" if fact.why else "")


def _placed(fact: OrderPlaced) -> str:
    amount = f"{fact.quantity}" if fact.quantity is not None else f"for {fact.spend} of money"
    return f"order {fact.order}: {fact.side} {amount} {fact.asset} at {fact.venue} ({fact.why})"


def _thought(fact: Decided | StrategyFailed | TargetSet | Refused) -> Line:
    match fact:
        case Decided():
            text = f"woken by {', '.join(fact.causes)}" + (f": {fact.why}" if fact.why else "")
            return Line(fact.at, "decided", text)
        case StrategyFailed():
            return Line(fact.at, "failed", fact.error)
        case TargetSet():
            return Line(fact.at, "target", f"{fact.asset} -> {fact.size}" + (f" ({fact.why})" if fact.why else ""))
        case Refused():
            text = f"{fact.asset} by {fact.rule}" + (
                f": {fact.wanted} wanted, {fact.allowed} allowed" if fact.wanted else ""
            )
            return Line(fact.at, "refused", text)


def _step(fact: Fact) -> str:
    match fact:
        case OrderSending():
            what = f"{fact.quantity} at {fact.limit} or better" if fact.spend is None else f"for {fact.spend} of money"
            return f"order {fact.order}: attempt {fact.attempt} as {fact.client_id}, {what}"
        case OrderAccepted():
            return f"order {fact.order}: at the venue as {fact.venue_order}"
        case OrderUnknown(why=why):
            return f"order {fact.order}: unknown whether it arrived ({why})"
        case OrderAbsent(evidence=evidence):
            return f"order {fact.order}: proven not to be there ({evidence})"
        case OrderStuck(why=why):
            return f"order {fact.order}: stuck, a person must look ({why})"
        case AttemptEnded():
            return f"order {fact.order}: attempt {fact.attempt} is final with {fact.filled} filled"
        case OrderClosed(reason=reason):
            return f"order {fact.order}: closed, {reason}"
        case _:
            return f"{type(fact).__name__}"


def order_lines(facts: Iterable[Fact]) -> list[OrderLine]:
    """Every order with its state, in the order of placement; a closed one says why."""
    found: dict[tuple[str, int], OrderLine] = {}
    for fact in facts:
        match fact:
            case OrderPlaced():
                quantity = f"{fact.quantity}" if fact.quantity is not None else f"for {fact.spend}"
                found[fact.mount, fact.order] = OrderLine(
                    fact.at, fact.mount, fact.order, fact.asset, fact.side, quantity, fact.why
                )
            case OrderClosed(order=number, reason=reason):
                found[fact.mount, number].state = f"closed: {reason}"
            case Filled(order=int(number), quantity=quantity):
                found[fact.mount, number].filled += Decimal(str(quantity))
            case _ if isinstance(fact, OF_ORDER) and not isinstance(fact, ZombieSeen | Filled | OrderClosed):
                line = found[fact.mount, fact.order]
                line.state = next_state(line.state, type(fact).__name__)
            case _:
                pass
    return list(found.values())


def statement(facts: Iterable[Fact]) -> tuple[list[FillLine], dict[tuple[str, str], Held]]:
    """Every fill with its realised profit, and what each mount holds of each asset after all of them."""
    lines, held, accounts = list[FillLine](), dict[tuple[str, str], Held](), Accounts()
    for fact in facts:
        moved = accounts.learn(fact)
        if not isinstance(fact, Filled) or moved is None:
            continue
        quantity, price, fee = (Decimal(str(value)) for value in (fact.quantity, fact.price, fact.fee))
        held[fact.mount, fact.asset] = Held(moved.quantity, moved.entry, moved.total)
        lines.append(
            FillLine(
                fact.at, fact.mount, fact.order, fact.asset, fact.venue, fact.side, quantity, price, quantity * price, fee,
                fact.fee_asset, moved.realised, fact.trade, fact.why,
            )
        )  # fmt: skip
    return lines, held


def by_asset(held: Mapping[tuple[str, str], Held], facts: Iterable[Fact]) -> dict[str, object]:
    """What is held, by asset; of a journal with several mounts by mount and then by asset."""
    if len(mounts_of(facts)) < 2:
        return {asset: one for (_, asset), one in held.items()}
    return {mount: {asset: one for (name, asset), one in held.items() if name == mount} for mount in mounts_of(facts)}


def curve(facts: Iterable[Fact]) -> list[Valued]:
    """What each mount was worth whenever bars closed, in the order of time."""
    found, accounts = dict[tuple[datetime, str], Valued](), Accounts()
    for fact in facts:
        accounts.learn(fact)
        if isinstance(fact, BarClosed):
            found |= {(one.at, one.mount): one for one in accounts.values(fact.at, fact.market)}
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Compared:
    """How a real run and its shadow answered the same message, as texts of the targets that they stated."""

    at: datetime
    key: str
    real: str
    shadow: str

    @property
    def is_same(self) -> bool:
        """Whether both stated the same."""
        return self.real == self.shadow


def compared(real: Sequence[Fact], shadow: Sequence[Fact]) -> list[Compared]:
    """Every message that both heard, with what each made of it."""
    ours, theirs = _answers(real), _answers(shadow)
    return [Compared(at, key, said, theirs[key][1]) for key, (at, said) in ours.items() if key in theirs]


def _answers(facts: Sequence[Fact]) -> dict[str, tuple[datetime, str]]:
    """The targets stated at the wake that each message brought; of messages told at once, each has those of the wake."""
    found: dict[str, tuple[datetime, list[str]]] = {}
    told: list[str] = []
    is_thinking = False
    for fact in facts:
        if isinstance(fact, TOLD):
            told = [] if is_thinking else told
            is_thinking = False
        match fact:
            case SignalsKnown(key=key) if key:
                told.append(key)
                found[key] = (fact.at, [])
            case Decided():
                is_thinking = True
            case TargetSet() if is_thinking:
                for key in told:
                    found[key][1].append(f"{fact.asset} -> {fact.size}")
            case _:
                pass
    return {key: (at, ", ".join(sorted(said))) for key, (at, said) in found.items()}
