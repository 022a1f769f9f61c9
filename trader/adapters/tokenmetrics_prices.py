"""Token Metrics' stream of prices, for comparing and nothing else: they are a blend of exchanges, and nobody can trade at them.

It costs no credits. Tokens are named by their slug there; each message says which exchange it is from.
"""

import asyncio
import json
from collections.abc import Collection

from aiohttp import WSMsgType

from trader.adapters.http import Line, NoAnswerError, Transport
from trader.adapters.tokenmetrics import VendorDownError, WrongKeyError

STREAM = "wss://price.data-service.tokenmetrics.com"
NAME = "prices"
ENDS = {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}


async def streamed(
    wire: Transport, key: str, slugs: Collection[str], *, url: str = STREAM, header: str = "x-api-key", seconds: float = 10.0
) -> dict[int, float]:  # fmt: skip
    """The first price in dollars of each token that comes within the time, by the vendor's id.

    Raises WrongKeyError where the vendor hangs up without a word, and VendorDownError where it does not answer.
    """
    found, wanted = dict[int, float](), set(slugs)
    try:
        async with asyncio.timeout(seconds):
            line = await wire.dial(url, {header: key})
            try:
                await line.send_str(json.dumps({"is_append": 0, "tokens": sorted(wanted)}))
                while wanted:
                    name, token, price = await _next(line, is_first=not found)
                    if name in wanted:
                        wanted.discard(name)
                        found[token] = price
            finally:
                await line.close()
    except TimeoutError:
        return found  # what did not come is not known
    except (NoAnswerError, OSError) as error:
        raise VendorDownError(NAME, 0, str(error)) from error
    return found


async def _next(line: Line, *, is_first: bool) -> tuple[str, int, float]:
    """The next price that can be read: slug, token, dollars."""
    while True:
        frame = await line.receive()
        if frame.type is WSMsgType.PING:
            await line.pong(frame.data)
        elif frame.type in ENDS:
            if is_first:
                raise WrongKeyError(NAME, 0, "the stream was closed before it said anything, as it is for a wrong key")
            raise VendorDownError(NAME, 0, "the stream was closed")
        elif frame.type is WSMsgType.TEXT:
            said = _read(frame.data)
            if said is not None:
                return said


def _read(text: str) -> tuple[str, int, float] | None:
    try:
        said = json.loads(text)
        name, token, price = str(said["cg_id"]), int(said["token_id"]), float(said["price_in_usd"])
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return None  # what nobody can read compares with nothing
    return (name, token, price) if 0 < price < float("inf") else None
