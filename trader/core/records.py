"""Records of a running daemon: facts about messages, accounts, links and states; they move no holding.

They are members of the union in `facts.py`, which the journal keeps.
"""

from dataclasses import dataclass
from datetime import datetime

from trader.core.instruments import Number


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """A message came in; `outcome` is empty when it is to be handled, else how it ended at the door."""

    at: datetime
    key: str
    source: str
    digest: str
    outcome: str
    why: str
    payload: str


@dataclass(frozen=True, slots=True)
class SignalClosed:
    """How a publication ended for a mount, final; `moved` names each asset it moved and how that ended."""

    at: datetime
    key: str
    mount: str
    outcome: str
    moved: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class BatchClosed:
    """A publication of several messages is handled from now on: whole, or because its time was over."""

    at: datetime
    key: str
    seen: int
    count: int


@dataclass(frozen=True, slots=True)
class PastTaught:
    """The next `count` closed bars are past: they were learnt to look back on, and woke nobody."""

    at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class MountStarted:
    """A process set a strategy to work: its text, the capital, and the terms of each market as texts.

    A row of terms is asset, venue, symbol, tick, lot, least notional, how a buy's fee is taken; empty = none. shut: assets whose
    market cannot be traded now, each with why; their terms are those of an earlier start.
    """

    at: datetime
    mount: str
    strategy: str
    capital: Number
    terms: tuple[tuple[str, ...], ...]
    market: str = ""  # whose bars and prices it hears: its account and the length of its bars
    shut: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigApplied:
    """From here on a configuration counts: the hash of its effective values, the values as JSON with secrets masked, how they differ from
    those before, key by key, and what brought it about: a start, or somebody who applied it while the bot ran.
    """

    at: datetime
    mount: str
    hash: str
    values: str
    changes: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class BalanceSeen:
    """A venue said what an account holds of an asset, in all and free."""

    at: datetime
    venue: str
    asset: str
    total: Number
    free: Number


@dataclass(frozen=True, slots=True)
class BaselineSet:
    """What an account held of an asset that no fact of ours explains: it is not ours to sell."""

    at: datetime
    venue: str
    asset: str
    total: Number
    why: str
    account: str = ""  # empty = that of a run with one


@dataclass(frozen=True, slots=True)
class DiscrepancySeen:
    """A balance that our facts do not explain; nothing is invented to make it agree."""

    at: datetime
    venue: str
    asset: str
    expected: Number
    seen: Number
    account: str = ""


@dataclass(frozen=True, slots=True)
class AccountCompared:
    """The account was compared with the facts up to this instant of the venue's clock; kept now and then, not each time."""

    at: datetime
    venue: str
    until_ms: int
    account: str = ""


@dataclass(frozen=True, slots=True)
class ForeignSeen:
    """An order on our account that is not ours: recorded, never touched."""

    at: datetime
    venue: str
    symbol: str
    venue_order: str
    client_id: str
    kind: str
    account: str = ""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A connection came up or went down."""

    at: datetime
    link: str
    is_up: bool
    why: str


@dataclass(frozen=True, slots=True)
class EpochTaken:
    """A process took the lease of the journal; an older epoch may not send any more."""

    at: datetime
    epoch: int
    owner: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The trading state of everything (`scope` empty) or of a mount: active, reducing, halted, recovering, killed."""

    at: datetime
    scope: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class CommandTaken:
    """An operator's command, once per key: to everything (`scope` empty) or to a mount."""

    at: datetime
    key: str
    command: str
    argument: str
    scope: str = ""
