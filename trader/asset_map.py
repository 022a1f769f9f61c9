"""The map from our assets to a vendor's tokens, checked: the same name, price and contract, and a market that can be traded.

A ticker names several coins. What is mapped wrongly would be bought on another coin's grade, so every doubt is said with what helps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from trader.adapters.tokenmetrics import TokenMetrics
from trader.adapters.tokenmetrics_fields import Row
from trader.core.instruments import Instrument
from trader.ports import Venue, VenueDownError
from trader.vendor_settings import TokenChoice

if TYPE_CHECKING:
    from trader.adapters.ccxt_venue import Coin

AT_ONCE = 50  # tokens of one question


@runtime_checkable
class Naming(Protocol):
    """A venue that can say what it calls a coin."""

    def coin(self, asset: str) -> "Coin":
        """Its own name of the coin of an asset's market."""


@dataclass(slots=True)
class Mapped:
    """One asset: what the vendor calls its token, what it costs there and at each venue, what is doubtful, and what could not be compared."""

    asset: str
    choice: TokenChoice
    name: str = ""
    symbol: str = ""
    price: float | None = None
    contracts: frozenset[str] = frozenset()
    venues: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        """The coin, without the money that it is counted in."""
        return self.asset.partition("/")[0]


async def check(
    assets: Mapping[str, TokenChoice], client: TokenMetrics, venues: Mapping[str, Venue], *, within: float,
    prices: Mapping[int, float] | None = None,
) -> list[Mapped]:  # fmt: skip
    """Compare every asset with the vendor and the venues; raises VendorError and VenueDownError where one cannot be asked.

    within: the largest share by which prices may differ. prices: in dollars by token id, where they are known already; none = the vendor is asked.
    """
    rows = [Mapped(asset, choice) for asset, choice in assets.items()]
    found = {one.choice.id: one for one in rows if one.choice.id is not None}
    for n in range(0, len(found), AT_ONCE):
        part = ",".join(map(str, list(found)[n : n + AT_ONCE]))
        for row in (await client.latest("tokens", token_id=part)).rows:
            if (one := found.get(row.token_id or 0)) is not None:  # else the vendor says more than was asked for
                one.name, one.symbol, one.contracts = _name(row), row.symbol, contracts_of(row)
        for row in (await client.latest("price", token_id=part)).rows if prices is None else ():
            price = row.values.get("CURRENT_PRICE")
            if (one := found.get(row.token_id or 0)) is not None:
                one.price = float(price) if isinstance(price, int | float) else None
    for token, one in found.items():
        one.price = one.price if prices is None else prices.get(token)
    for one in rows:
        if one.choice.id is None:
            one.problems.append(advice(one.asset, await candidates(one.asset, one.choice, client)))
        else:
            _judge_token(one)
    for name, venue in venues.items():
        await _at_venue(rows, name, venue, within)
    for one in rows:
        if not one.venues and venues:
            one.problems.append(
                f"no market at {' or '.join(venues)} that can be traded through the API: take it out, or name another market"
            )
    return rows


async def candidates(asset: str, choice: TokenChoice, client: TokenMetrics) -> list[Row]:
    """The vendor's tokens that an asset without an id can be: of its symbol, and of the name and contract that are given."""
    symbol = choice.symbol or asset.partition("/")[0]
    given = {one.lower() for one in choice.contract.values()}
    return [
        row
        for row in (await client.listed("tokens", symbol=symbol)).rows
        if row.token_id is not None and row.symbol.upper() == symbol.upper()
        and (choice.name is None or _name(row).casefold() == choice.name.casefold())
        and not (given and contracts_of(row) and not given & contracts_of(row))
    ]  # fmt: skip


def advice(asset: str, found: Sequence[Row]) -> str:
    """What to do about an asset without an id."""
    if not found:
        return f"no id is given, and the vendor knows no such token: correct the symbol and the name of {asset}, or take it out"
    told = "; ".join(
        f"{row.token_id} {_name(row)}{''.join(f' {one}' for one in sorted(contracts_of(row)))}" for row in found[:5]
    )
    if len(found) > 1:
        return f"no id is given, and {len(found)} tokens can be it: {told}: say which one by its name or contract, or put its id"
    return f"no id is given: the vendor has {told}; put id: {found[0].token_id} if that is the one"


def contracts_of(row: Row) -> frozenset[str]:
    """The addresses of a token's contracts, in lower case; empty where the vendor does not say."""
    said = row.values.get("CONTRACT_ADDRESS")
    return frozenset(str(one).lower() for one in said.values() if one) if isinstance(said, dict) else frozenset()


def _name(row: Row) -> str:
    return str(row.values.get("TOKEN_NAME") or "")


def _judge_token(one: Mapped) -> None:
    choice = one.choice
    if not one.symbol:
        one.problems.append(f"the vendor knows no token {choice.id}: look it up by its name and put its id here")
        return
    if one.symbol.upper() != (choice.symbol or one.base).upper():
        one.problems.append(
            f"the vendor calls token {choice.id} {one.symbol} ({one.name}): put the right id, or symbol: {one.symbol} if it is meant"
        )
    if choice.name is not None and choice.name.casefold() != one.name.casefold():
        one.problems.append(f"the vendor calls token {choice.id} {one.name}, not {choice.name}: one of them is wrong")
    given = {address.lower() for address in choice.contract.values()}
    if given and one.contracts and not given & one.contracts:
        one.problems.append(
            f"its contract is {_some(one.contracts)} at the vendor and {_some(given)} here: another coin?"
        )
    if one.price is None:
        one.notes.append("the vendor gives no price for it, so it cannot be compared: watch it by hand")


async def _at_venue(rows: Sequence[Mapped], name: str, venue: Venue, within: float) -> None:
    markets: dict[str, Instrument] = {one.asset: one for one in await venue.instruments([row.asset for row in rows])}
    for one in rows:
        if isinstance(venue, Naming):
            _judge_coin(one, name, venue.coin(one.asset))
        market = markets.get(one.asset)
        if market is None:
            continue
        try:
            touch = await venue.touch(market.symbol)
        except VenueDownError:
            one.problems.append(f"{name} shows no bid and ask for {market.symbol}: nothing can be traded there now")
            continue
        middle = one.venues[name] = float((touch.bid + touch.ask) / 2)
        if one.price and abs(middle / one.price - 1) > within:
            one.problems.append(
                f"costs {one.price:g} at the vendor and {middle:g} at {name} ({middle / one.price - 1:+.1%}): another coin of the same name?"
            )


def _judge_coin(one: Mapped, name: str, coin: "Coin") -> None:
    """Whether the coin of a venue's market is the one that is meant, by the venue's own name and its contract."""
    meant = one.choice.tickers.get(name)
    if coin.ticker is None:
        if coin.namesake:
            money = one.asset.removeprefix(one.base)
            one.problems.append(
                f"the coin that {name} calls {one.base} is another one elsewhere, so it is {coin.namesake} here: if it is meant, name the asset"
                f" {coin.namesake}{money}"
            )
        return
    if coin.ticker != (meant or one.base):
        said = f"not {meant} as tickers: says" if meant else f"as its {one.base} is another coin"
        one.problems.append(
            f"{name} itself calls it {coin.ticker}, {said}: see that it is the vendor's {one.symbol or one.base}, then put tickers:"
            f" {{{name}: {coin.ticker}}}"
        )
    given = {address.lower() for address in one.choice.contract.values()} | one.contracts
    if given and coin.contracts and not given & coin.contracts:
        one.problems.append(
            f"its contract is {_some(coin.contracts)} at {name} and {_some(given)} at the vendor: another coin of the same name?"
        )


def _some(addresses: "frozenset[str] | set[str]") -> str:
    return ", ".join(sorted(addresses)[:2])
