"""Furnishing a house: engines, desks, tills and an inbox put together, ready to be recovered from its journal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from trader.adapters.payloads import Payloads
from trader.core.costs import Costs
from trader.core.instruments import Instrument, terms_row
from trader.core.records import MountStarted
from trader.core.risk import Limits
from trader.core.view import Strategy
from trader.ports import Clock, Journal, Venue
from trader.runtime.desk import Desk, Execution
from trader.runtime.house import House
from trader.runtime.inbox import Inbox, Rules
from trader.runtime.keeper import Keeper
from trader.runtime.logs import Log
from trader.runtime.market import LEAST_KEPT, Market
from trader.runtime.outbox import FENCE_MS, Outbox
from trader.runtime.reconcile import Reconciler
from trader.runtime.registry import Registry
from trader.runtime.snapshots import program_of
from trader.runtime.till import Till
from trader.version import engine_of

DUST_QUOTE = "0.01"


@dataclass(frozen=True, slots=True)
class Post:
    """A mount to be set to work. market: what it hears; none = what it is told by hand.

    shut: its assets whose market cannot be traded now, each with why.
    """

    name: str
    strategy: Strategy
    instruments: Sequence[Instrument]
    capital: Decimal
    execution: Execution
    limits: Limits | None = None
    costs: Costs | None = None
    market: Market | None = None
    shut: Mapping[str, str] = field(default_factory=dict)

    @property
    def hears(self) -> str:
        """What bars and prices of its market are marked with."""
        return "" if self.market is None else self.market.name


@dataclass(frozen=True, slots=True)
class Account:
    """An account that was opened, and who is to trade on it."""

    name: str
    namespace: str
    venue: Venue
    posts: Sequence[Post]
    fence_ms: int = FENCE_MS
    quote: str = "USDT"


@dataclass(frozen=True, slots=True)
class Bench:
    """A house with all that it was made of, ready to be recovered and to work."""

    house: House
    posts: Sequence[Post]
    journal: Journal
    program: str  # whose snapshots fit

    @property
    def desk(self) -> Desk:
        """The first desk, which in most houses is the only one."""
        return self.house.desks[0]

    @property
    def reconciler(self) -> Reconciler:
        """That of the first account."""
        return self.house.tills[0].reconciler

    @property
    def inbox(self) -> Inbox:
        """What judges messages."""
        return self.house.inbox

    @property
    def venue(self) -> Venue:
        """That of the first account."""
        return self.desk.venue


def bench(
    *, name: str, strategy: Strategy, instruments: Sequence[Instrument], capital: Decimal, journal: Journal, venue: Venue,
    clock: Clock, execution: Execution, limits: Limits | None = None, account: str = "main", namespace: str = "main",
    quote: str = "USDT", read: Payloads | None = None, rules: Rules | None = None, market: Market | None = None,
    log: Log | None = None, costs: Costs | None = None, fence_ms: int = FENCE_MS, shut: Mapping[str, str] | None = None,
) -> Bench:  # fmt: skip
    """Put a house of one desk together; nothing is recovered and nothing is asked yet."""
    post = Post(name, strategy, instruments, capital, execution, limits, costs, market, shut or {})
    return furnish(
        name, [Account(account, namespace, venue, [post], fence_ms, quote)], journal, clock, read=read, rules=rules, log=log
    )  # fmt: skip


def furnish(
    name: str, accounts: Sequence[Account], journal: Journal, clock: Clock, *, read: Payloads | None = None,
    rules: Rules | None = None, log: Log | None = None, order: Sequence[str] = (),
) -> Bench:  # fmt: skip
    """Put a house together; nothing is recovered and nothing is asked yet. order: in which its mounts are told; else as they come."""
    keeper = Keeper(journal, clock)
    posts = [post for account in accounts for post in account.posts]
    registry = Registry(
        {post.name: account.name for account in accounts for post in account.posts},
        {post.name: {one.asset for one in post.instruments} for post in posts},
    )
    keeper.listeners.append(registry.fold)
    tills = [_till(account, keeper, clock, registry, is_alone=len(posts) == 1) for account in accounts]
    desks = {desk.name: desk for till in tills for desk in till.desks}
    markets = list(dict.fromkeys(post.market for post in posts if post.market is not None))
    assets = frozenset(one.asset for post in posts for one in post.instruments)
    inbox = Inbox(
        (read or Payloads()).read, journal, clock, assets=assets, rules=rules or Rules(), price=_price_of(markets)
    )
    keeper.listeners.append(inbox.fold)
    if log is not None:
        log.correlation.cause_of = causes_of(tills)
        keeper.listeners.append(log.fact)
    ordered = [desks[one] for one in order or desks]
    house = House(name, keeper, inbox, ordered, tills, registry)
    by_name = {post.name: post for post in posts}
    return Bench(house, [by_name[one.name] for one in ordered], journal, program_of(*(one.engine for one in ordered)))


def causes_of(tills: Sequence[Till]) -> Callable[[str, int], str]:
    """What an order answers, on whichever account it is; empty for one that nobody knows."""
    return lambda mount, order: next(filter(None, (till.outbox.cause_of(mount, order) for till in tills)), "")


def _till(account: Account, keeper: Keeper, clock: Clock, registry: Registry, *, is_alone: bool) -> Till:
    name, venue, posts = account.name, account.venue, account.posts

    def is_at(mount: str) -> bool:
        return not mount or registry.is_at(name, mount)

    outbox = Outbox(
        keeper, venue, clock, account=name, namespace=account.namespace, fence_ms=account.fence_ms, is_ours=is_at
    )  # fmt: skip
    markets = {one.asset: one for post in posts for one in post.instruments}
    dust = {one.symbol.partition("/")[0]: Decimal(repr(one.lot or 1e-8)) for one in markets.values()}
    reconciler = Reconciler(
        keeper, venue, outbox, clock, symbols={asset: one.symbol for asset, one in markets.items()}, quote=account.quote,
        dust={**dust, account.quote: Decimal(DUST_QUOTE)}, namespace=account.namespace, account=name,
        scopes=("",) if is_alone else tuple(post.name for post in posts), is_at=is_at, is_of=lambda named: registry.is_of(name, named),
    )  # fmt: skip
    outbox.explains = reconciler.explains
    desks = [_desk(post, keeper, outbox, venue, clock, scope="" if is_alone else post.name) for post in posts]
    till = Till(name, keeper, outbox, reconciler, desks)
    for desk in desks:
        desk.is_short = reconciler.is_short
        if len(desks) > 1:
            desk.spare, desk.claimed = reconciler.spare, partial(till.claimed, desk=desk)
    return till


def _desk(post: Post, keeper: Keeper, outbox: Outbox, venue: Venue, clock: Clock, *, scope: str) -> Desk:
    engine = engine_of(
        post.name, post.strategy, post.instruments, post.capital, limits=post.limits, costs=post.costs, market=post.hears
    )  # fmt: skip
    symbols = {one.asset: one.symbol for one in post.instruments}
    desk = Desk(engine, keeper, outbox, venue, clock, symbols=symbols, execution=post.execution, scope=scope)
    desk.market = post.market
    return desk


def _price_of(markets: Sequence[Market]) -> Callable[[str], float | None]:
    """What an asset costs now, at the first market that knows."""
    return lambda asset: next((found for one in markets if (found := one.price(asset)) is not None), None)


def market_of(
    venue: Venue,
    clock: Clock,
    instruments: Sequence[Instrument],
    timeframe: str,
    strategies: Sequence[Strategy],
    account: str,
) -> Market:
    """What desks of an account hear that watch bars of one length."""
    return Market(
        venue, clock, symbols={one.asset: one.symbol for one in instruments}, timeframe=timeframe,
        keep=max(LEAST_KEPT, *(one.wants.bars for one in strategies)), name=f"{account}/{timeframe}",
    )  # fmt: skip


async def start(made: Bench) -> None:
    """Write down what is set to work."""
    at = made.house.keeper.now()
    await made.house.keeper.keep(
        *[
            MountStarted(
                at, post.name, repr(desk.engine.strategy), post.capital,  # type: ignore[arg-type]  # exact runs pass decimals
                tuple(terms_row(one) for one in post.instruments), post.hears, tuple(sorted(post.shut.items())),
            )
            for post, desk in zip(made.posts, made.house.desks, strict=True)
        ]
    )  # fmt: skip
