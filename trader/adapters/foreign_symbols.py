"""Symbols as other services write them, and which asset of a run's universe each is. Exact or not at all: a guess would trade.

`BINANCE:BTCUSDT`, `BTC-USDT`, `btc_usdt` and `BTC/USDT` are one asset; perpetuals and futures are refused by name.
"""

import difflib
import re
from collections.abc import Sequence

from trader.ports import PayloadError

LONGEST = 60
SEPARATORS = re.compile(r"[-_/]")
# TradingView: .P, .PS, 1!; others: PERP, SWAP; ccxt: BTC/USDT:USDT; a date makes a future.
PERPETUAL = re.compile(r"\.PS?$|[-_.]?PERP(ETUAL)?$|[-_]SWAP$|/\w+:\w+$|\d!$|[-_]\d{6,8}$")


def asset_of(symbol: str, universe: Sequence[str], *, quote_first: bool = False) -> tuple[str, str]:
    """The asset that a symbol is, and how it was found; raises PayloadError (unknown_asset) where it is none of the universe.

    quote_first: the service writes USDT_BTC for BTC/USDT, after an exchange code or not.
    """
    text = symbol.strip().upper()
    if not text or len(text) > LONGEST:
        raise PayloadError("malformed", f"symbol: {len(symbol)} characters; a symbol such as BINANCE:BTCUSDT is wanted")
    bare = text.partition(":")[2] if re.match(r"^[A-Z0-9 ._]+:[^:]+$", text) else text
    if PERPETUAL.search(text) or PERPETUAL.search(bare):
        raise PayloadError(
            "unknown_asset", f"{text}: a perpetual or a future; only spot is traded, so send the spot market"
        )
    by_text = {asset.upper(): asset for asset in universe}
    if bare in by_text:
        return by_text[bare], f"{text} is {by_text[bare]}"
    for parts in _readings(bare, quote_first=quote_first):
        found = [asset for asset in universe if _parts(asset) == parts]
        if len(found) == 1:
            return found[0], f"{text} is {found[0]}"
    joined = SEPARATORS.sub("", bare)
    found = [asset for asset in universe if "".join(_parts(asset)) == joined] if joined == bare else []
    if len(found) == 1:
        return found[0], f"{text} is {found[0]}"
    if len(found) > 1:
        raise PayloadError("unknown_asset", f"{text}: may be {' or '.join(found)}; write it with its slash")
    raise PayloadError("unknown_asset", f"{text}: not in the universe{_near(joined, universe)}")


def _readings(bare: str, *, quote_first: bool) -> list[tuple[str, ...]]:
    parts = tuple(SEPARATORS.split(bare))
    if len(parts) == 1:
        return []
    if quote_first:
        return [(parts[-1], parts[-2])] if len(parts) in {2, 3} else []
    return [parts]


def _parts(asset: str) -> tuple[str, ...]:
    return tuple(asset.upper().split("/"))


def _near(joined: str, universe: Sequence[str]) -> str:
    by_joined = {"".join(_parts(asset)): asset for asset in universe}
    near = difflib.get_close_matches(joined, list(by_joined), n=1, cutoff=0.7)
    return f"; the nearest is {by_joined[near[0]]}, which must be named exactly" if near else ""
