"""The map from our assets to a vendor's tokens, checked: the same name, the same price, and a market that can be traded.

A ticker names several coins. What is mapped wrongly would be bought on another coin's grade, so every doubt is said with what helps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trader.adapters.tokenmetrics import TokenMetrics
from trader.core.instruments import Instrument
from trader.ports import Venue, VenueDownError

AT_ONCE = 50  # tokens of one question


@dataclass(slots=True)
class Mapped:
    """One asset: what the vendor calls its token, what it costs there and at each venue, and what is doubtful."""

    asset: str
    token: int
    name: str = ""
    symbol: str = ""
    price: float | None = None
    venues: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


async def check(
    assets: Mapping[str, int], client: TokenMetrics, venues: Mapping[str, Venue], *, within: float,
    renamed: Mapping[str, str] | None = None,
) -> list[Mapped]:  # fmt: skip
    """Compare every asset with the vendor and the venues; raises VendorError and VenueDownError where one cannot be asked.

    within: the largest share by which prices may differ. renamed: the vendor's symbol of assets that it calls otherwise.
    """
    found = {token: Mapped(asset, token) for asset, token in assets.items()}
    ids = list(found)
    for n in range(0, len(ids), AT_ONCE):
        part = ",".join(map(str, ids[n : n + AT_ONCE]))
        for row in (await client.latest("tokens", token_id=part)).rows:
            if (one := found.get(row.token_id or 0)) is not None:  # else the vendor says more than was asked for
                one.name, one.symbol = str(row.values.get("TOKEN_NAME") or ""), row.symbol
        for row in (await client.latest("price", token_id=part)).rows:
            price = row.values.get("CURRENT_PRICE")
            if (one := found.get(row.token_id or 0)) is not None:
                one.price = float(price) if isinstance(price, int | float) else None
    rows = list(found.values())
    for one in rows:
        _judge_name(one, (renamed or {}).get(one.asset, one.asset.partition("/")[0]))
    for name, venue in venues.items():
        await _at_venue(rows, name, venue, within)
    for one in rows:
        if not one.venues and venues:
            one.problems.append(
                f"no market at {' or '.join(venues)} that can be traded through the API: take it out, or name another market"
            )
    return rows


def _judge_name(one: Mapped, symbol: str) -> None:
    if not one.symbol:
        one.problems.append(f"the vendor knows no token {one.token}: look it up by its name and put its id here")
    elif one.symbol.upper() != symbol.upper():
        one.problems.append(
            f"the vendor calls token {one.token} {one.symbol} ({one.name}): put the right id, or say under renamed: that it is meant"
        )
    if one.symbol and one.price is None:
        one.problems.append("the vendor gives no price for it, so it cannot be compared: watch it by hand")


async def _at_venue(rows: Sequence[Mapped], name: str, venue: Venue, within: float) -> None:
    markets: dict[str, Instrument] = {one.asset: one for one in await venue.instruments([row.asset for row in rows])}
    for one in rows:
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
