"""ccxt told to say all it does: what it would print are keys, signatures and listen keys, and none is printed or logged."""

import asyncio
import logging
import re

import pytest

from tests.contracts.test_streams import BOTH, listening
from tests.contracts.worlds import KEY, SECRET, loopback
from tests.services.parts import until
from trader.ports import Accepted, Stirred


@pytest.mark.parametrize("name", BOTH)
async def test_a_verbose_exchange_shows_no_secret(name, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    async with loopback(name) as it:
        it.venue._reads.verbose = it.venue._writes.verbose = it.venue._config["verbose"] = True
        market, account = [], []
        async with (
            listening(it.venue.hear_market(["BTC/USDT"], "1h", market.append)),
            listening(it.venue.hear_account(account.append)),
        ):
            await until(lambda: market and len(it.server.streams) == 2)
            await asyncio.sleep(0.3)
            signed = await it.sign(it.request())
            reply = await it.venue.send(signed)
            assert isinstance(reply, Accepted)
            await until(lambda: Stirred(reply.venue_order) in account)
            await it.venue.balances()
        marks = [KEY, SECRET, *getattr(it.server.dialect, "listen_keys", {})]
        marks += [
            value
            for value in (*signed.headers.values(), *re.findall(r"signature=(\w+)", signed.url + signed.body))
            if len(value) > 20
        ]
    said = capfd.readouterr()
    told = said.out + said.err + caplog.text
    assert len(marks) > 2
    assert [mark for mark in marks if mark in told] == []
