"""Traces: each publication from its receipt to its outcome as one tree of spans, made of facts that were kept.

Facts are put aside while the story goes on, which is all that happens in the order's path; the tree is made when it is over, by
whoever is handed the story. A story that began in an earlier process has no trace.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from trader.core.facts import (
    AttemptEnded,
    Decided,
    Fact,
    Filled,
    OrderAbsent,
    OrderAccepted,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderStuck,
    OrderUnknown,
    SignalsKnown,
)
from trader.core.instants import to_ns
from trader.core.records import SignalClosed, SignalReceived
from trader.core.spans import Span
from trader.runtime.correlation import Correlation

STORIES_MOST, FACTS_MOST = 1_000, 1_000
ANSWERS = OrderAccepted, OrderUnknown, OrderClosed, AttemptEnded


@dataclass(frozen=True, slots=True)
class Kept:
    """A fact, and when it was on disk."""

    fact: Fact
    at: datetime

    @property
    def ns(self) -> int:
        """The instant at which it was on disk, Unix ns."""
        return to_ns(self.at)


class Traces:
    """Puts facts aside by story; `fold` is a listener of the keeper, `hand_over` gets each story that is over."""

    def __init__(
        self, now: Callable[[], datetime], cause_of: Callable[[str, int], str], hand_over: Callable[[str, Sequence[Kept]], object]
    ) -> None:  # fmt: skip
        self._now, self._hand_over = now, hand_over
        self._correlation = Correlation()
        self._correlation.cause_of = cause_of
        self._stories: dict[str, list[Kept]] = {}

    def fold(self, fact: Fact) -> None:
        """Put a fact aside, or hand its story over when it is the end of it."""
        key = self._correlation.of(fact)
        begins = isinstance(fact, SignalReceived) or (isinstance(fact, SignalsKnown) and key not in self._stories)
        if not key or not (begins or key in self._stories):
            return
        if begins:
            if len(self._stories) >= STORIES_MOST:
                del self._stories[next(iter(self._stories))]
            self._stories.setdefault(key, [])
        story = self._stories[key]
        if len(story) < FACTS_MOST or isinstance(fact, SignalClosed):
            story.append(Kept(fact, self._now()))
        if isinstance(fact, SignalClosed) or (isinstance(fact, SignalReceived) and fact.outcome):
            self._hand_over(key, self._stories.pop(key))


def trace_of(key: str, story: Sequence[Kept]) -> Span:
    """The tree of a story: the signal, in it the decision and each order, in an order its attempts, in one its request and fills."""
    first, last = story[0], story[-1]
    said: dict[str, str | int] = {"correlation_id": key}
    for kept in story:
        match kept.fact:
            case SignalReceived(source=source, outcome=outcome) if outcome:
                said |= {"source": source, "outcome": outcome}
            case SignalReceived(source=source):
                said["source"] = source
            case SignalsKnown(signals=signals):
                said["signals"] = len(signals)
            case SignalClosed(outcome=outcome, mount=mount):
                said |= {"outcome": outcome, "mount": mount}
            case _:
                pass
    inner = (*_decisions(story), *(_order(one, story) for one in story if isinstance(one.fact, OrderPlaced)))
    return Span("signal", to_ns(first.fact.at), last.ns, said, inner=inner)


def _decisions(story: Sequence[Kept]) -> list[Span]:
    """Each decision, from when it was told what it answers until it was on disk."""
    return [
        Span("decision", to_ns(kept.fact.at), kept.ns, {"causes": ", ".join(kept.fact.causes), "why": kept.fact.why})
        for kept in story
        if isinstance(kept.fact, Decided)
    ]


def _order(placed: Kept, story: Sequence[Kept]) -> Span:
    fact = placed.fact
    assert isinstance(fact, OrderPlaced)
    later = story[next(place for place, one in enumerate(story) if one is placed) + 1 :]
    mine = [one for one in later if getattr(one.fact, "order", None) == fact.order]
    end = next((one for one in mine if isinstance(one.fact, OrderClosed)), None)
    reason = end.fact.reason if end is not None and isinstance(end.fact, OrderClosed) else ""
    said: dict[str, str | int] = {
        "order": fact.order, "asset": fact.asset, "venue": fact.venue, "side": fact.side, "why": fact.why, "end": reason,
    }  # fmt: skip
    begins = [place for place, one in enumerate(mine) if isinstance(one.fact, OrderSending)]
    bounds = zip(begins, [*begins[1:], len(mine)], strict=False)  # an order that was never sent has none
    attempts = [_attempt(mine[begin:until]) for begin, until in bounds]
    last = end or (mine[-1] if mine else placed)
    return Span("order", placed.ns, last.ns, said, error=_refusal(reason), inner=tuple(attempts))


def _attempt(facts: Sequence[Kept]) -> Span:
    """One attempt: its request, what became of it, and its fills."""
    sending = facts[0].fact
    assert isinstance(sending, OrderSending)
    said: dict[str, str | int] = {"attempt": sending.attempt, "client_id": sending.client_id}
    said |= {
        name: str(value) for name in ("quantity", "limit", "spend") if (value := getattr(sending, name)) is not None
    }
    answer = next((one for one in facts if isinstance(one.fact, ANSWERS)), None)
    inner, since, errors = list[Span](), facts[0].ns, [error for one in facts if (error := _trouble(one.fact))]
    if answer is not None:
        result = type(answer.fact).__name__
        inner.append(Span("request", since, to_ns(answer.fact.at), {"answer": result}, error=_trouble(answer.fact)))
        since = to_ns(answer.fact.at)
    for one in facts:
        if isinstance(one.fact, Filled):
            bought: dict[str, str | int] = {
                "quantity": str(one.fact.quantity), "price": str(one.fact.price), "fee": str(one.fact.fee),
                "fee_asset": one.fact.fee_asset, "trade": one.fact.trade,
            }  # fmt: skip
            inner.append(Span("fill", min(since, to_ns(one.fact.at)), to_ns(one.fact.at), bought))
    return Span("attempt", to_ns(sending.at), facts[-1].ns, said, error="; ".join(errors), inner=tuple(inner))


def _trouble(fact: Fact) -> str:
    match fact:
        case OrderUnknown(why=why) | OrderStuck(why=why):
            return f"{type(fact).__name__}: {why}"
        case OrderAbsent(evidence=why):
            return f"OrderAbsent: {why}"
        case OrderClosed(reason=reason):
            return _refusal(reason)
        case AttemptEnded(why=why):
            return _refusal(why)
        case _:
            return ""


def _refusal(said: str) -> str:
    return said if said.startswith("refused") else ""
