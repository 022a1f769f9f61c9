"""Causes: to what each order answers, so that `trader explain` can tell the chain from a signal to its fills."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from trader.core.exits import is_exit_word
from trader.core.expression import Column, Condition
from trader.core.facts import (
    AttemptEnded,
    BarClosed,
    ExitHit,
    Fact,
    OrderClosed,
    OrderPlaced,
    PriceSeen,
    SignalsKnown,
    TimerDue,
)
from trader.core.instants import to_ns
from trader.core.records import CommandTaken
from trader.core.strategy import Wants
from trader.runtime.outcomes import BY_SIGNAL


def kinds_of(wants: Wants) -> set[str]:
    """The kinds of ratings and signals that a strategy reads, by name, in conditions or in columns."""
    parts: tuple[Column | Condition, ...] = (*wants.conditions, *wants.columns)
    read = [source for one in parts for source in one.sources]
    return {*wants.ratings, *wants.signals, *(kind for _, kind in read if kind)}


def caused(told: Sequence[Fact], followed: Sequence[Fact], wanted: Collection[str]) -> list[Fact]:
    """Give each placed order the key of what it answers: an exit's arming, a message, a timer, a bar, a remainder, a command.

    Of several publications told at once, only those of `wanted` kinds can be answered, and first those that speak of the asset.
    """
    heard = [
        fact
        for fact in told
        if isinstance(fact, SignalsKnown) and fact.key and any(one.kind in wanted for one in fact.signals)
    ]
    other, hits = _other(told), dict[str, str]()
    done: list[Fact] = []
    for fact in followed:
        if isinstance(fact, ExitHit):
            hits[fact.asset] = exit_key(fact)
        if isinstance(fact, OrderPlaced):
            key = _message(heard, fact.asset, wanted) or other
            is_exit = is_exit_word(fact.why)
            fact = replace(fact, cause=hits.get(fact.asset, key) if is_exit else key)
        done.append(fact)
    return done


def _message(heard: Sequence[SignalsKnown], asset: str, wanted: Collection[str]) -> str:
    """The publication that an order for an asset answers; empty where none was told."""
    said = [one for one in heard if any(it.asset == asset and it.kind in wanted for it in one.signals)]
    return next((BY_SIGNAL + one.key for one in (*said, *heard)), "")


def _other(told: Sequence[Fact]) -> str:
    for fact in told:
        if isinstance(fact, CommandTaken):
            return f"command:{fact.key}"
    found = next(filter(None, map(told_key, told)), "")
    return found or (f"at:{to_ns(told[0].at)}" if told else "")


def told_key(fact: Fact) -> str:
    """The key of what is no message and may bring about orders; empty for everything else."""
    match fact:
        case CommandTaken(key=key):
            return f"command:{key}"
        case TimerDue(at=at, mount=mount):
            return f"timer:{mount}:{to_ns(at)}"
        case BarClosed(at=at):
            return f"bar:{to_ns(at)}"
        case AttemptEnded(order=order, attempt=attempt):
            return f"remainder:{order}:{attempt}"
        case OrderClosed(order=order):
            return f"after:{order}"
        case PriceSeen(at=at, asset=asset):
            return f"price:{asset}:{to_ns(at)}"
        case _:
            return ""


def exit_key(hit: ExitHit) -> str:
    """The key of an exit's arming, which an order that carries it out answers."""
    return f"exit:{hit.asset}:{hit.number}:{to_ns(hit.at)}"
