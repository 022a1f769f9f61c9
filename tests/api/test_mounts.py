"""Several mounts through the API: which there are, lists of one of them, lists of all gone through whole, and commands to one."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.api.parts import call
from trader.adapters.journal_sqlite import SqliteJournal
from trader.core.facts import BarClosed, Filled, OrderPlaced
from trader.core.records import MountStarted, SignalClosed, SignalReceived
from trader.run_settings import state_folder
from trader.runtime.control import Control, socket_of
from trader.serving import served
from trader.several_settings import load_setup

D = Decimal
AT = datetime(2024, 3, 1, tzinfo=UTC)
TOKEN = "a-token-of-the-tests-a-token-of-the-tests"
TEXT = """\
version: 1
name: both
capital: 1000
assets: [BTC/USDT, ETH/USDT]
limits: {weight_per_asset: 100%}
state: state
mounts:
  - {name: a, share: 60%, strategy: {name: RatingBand, parameters: {size: 20%}}}
  - {name: b, share: 40%, timeframe: 4h, assets: [BTC/USDT], strategy: {name: RatingBand, parameters: {size: 20%}}}
api: {tokens: {all: {scopes: [read, signal, control, config], file: token}}}
"""


def story():
    """Orders of two mounts, some at one instant, with a fill each; bars of two markets."""
    terms = (("BTC/USDT", "paper", "BTC/USDT", "", "", "", "quote"),)
    yield MountStarted(AT, "a", "A()", D(600), terms, "main/1h")
    yield MountStarted(AT, "b", "B()", D(400), terms, "main/4h")
    for n in range(1, 8):
        at = AT + timedelta(hours=n // 2)
        for mount in ("a", "b") if n < 5 else ("a",):
            yield OrderPlaced(at, mount, n, "BTC/USDT", "paper", "buy", D(1), None, "target", f"k{n}")
            yield Filled(
                at, mount, n, "BTC/USDT", "paper", "buy", D(1), D(10), D(0), "quote", "target", f"t-{mount}-{n}"
            )
    for hour, market in ((4, "main/1h"), (4, "main/4h"), (5, "main/1h")):
        price = 10.0 + hour if market == "main/1h" else 20.0
        yield BarClosed(AT + timedelta(hours=hour), "BTC/USDT", price, price, price, price, 1.0, market)
    yield SignalReceived(AT, "s/1", "s", "d", "", "", "{}")
    yield SignalClosed(AT, "s/1", "a", "unwanted")
    yield SignalClosed(AT, "s/1", "b", "no_change")


@pytest.fixture
async def house(tmp_path):
    path = tmp_path / "both.yaml"
    path.write_text(TEXT)
    (tmp_path / "token").write_text(TOKEN)
    setup = load_setup(path)
    folder = state_folder(setup.whole, path)
    folder.mkdir(parents=True)
    journal = SqliteJournal(folder / "journal.db")
    await journal.take("test", seconds=60)
    await journal.append(list(story()))
    await journal.close()
    application = served(setup.whole, path).application

    async def ask(path_, method="GET", **body):
        headers = {
            "authorization": f"Bearer {TOKEN}",
            "idempotency-key": "k-12345678",
            "content-type": "application/json",
        }
        status, _, said = await call(
            application, method, path_, headers=headers, body=json.dumps(body).encode() if body else b""
        )
        return status, json.loads(said)

    ask.socket = socket_of(folder)
    return ask


async def test_the_mounts_are_listed_and_every_list_is_of_one_or_of_all(house):
    status, rows = await house("/v1/mounts")
    assert (status, [(one["name"], one["capital"], one["timeframe"], one["account"]) for one in rows]) == (
        200, [("a", 600.0, "1h", "main"), ("b", 400.0, "4h", "main")]
    )  # fmt: skip
    for what, count in (("orders", (7, 4)), ("fills", (7, 4))):
        for mount, wanted in zip("ab", count, strict=True):
            found = (await house(f"/v1/{what}?mount={mount}"))[1]["rows"]
            assert (len(found), {one["mount"] for one in found}) == (wanted, {mount})
    assert [(one["mount"], one["quantity"]) for one in (await house("/v1/holdings"))[1]] == [("a", "7.0"), ("b", "4.0")]
    assert [one["mount"] for one in (await house("/v1/holdings?mount=b"))[1]] == ["b"]
    curve = [(one["at"][11:13], one["mount"], one["equity"]) for one in (await house("/v1/equity"))[1]]
    assert curve == [("04", "a", "628.00"), ("04", "b", "440.00"), ("05", "a", "635.00")], (
        "each is worth what its own market says"
    )
    assert [one["mount"] for one in (await house("/v1/equity?mount=b"))[1]] == ["b"]
    status, said = await house("/v1/orders?mount=c")
    assert (status, said["error"], said["remedy"]) == (404, "no mount is named 'c'", "there are a, b")
    assert [one["close"] for one in (await house("/v1/chart?asset=BTC/USDT&mount=b"))[1]["bars"]] == [20.0]
    assert [one["close"] for one in (await house("/v1/chart?asset=BTC/USDT"))[1]["bars"]] == [14.0, 15.0]
    assert [one["outcome"] for one in (await house("/v1/signals"))[1]["rows"]] == ["no_change"], "of who wanted it"


@pytest.mark.parametrize("most", [1, 2, 3, 100])
async def test_orders_of_all_are_gone_through_whole_though_each_mount_numbers_its_own(house, most):
    found, before = [], ""
    for _ in range(20):
        part = (await house(f"/v1/orders?most={most}{before}"))[1]
        found += [(one["mount"], one["number"], one["at"]) for one in part["rows"]]
        if part["next"] is None:
            break
        before = f"&before={part['next']}"
    assert len(found) == len(set(found)) == 11
    assert [at for *_, at in found] == sorted((at for *_, at in found), reverse=True)
    found, before = [], ""
    while before is not None:
        part = (await house(f"/v1/orders?most={most}&mount=a{before}"))[1]
        found += [one["number"] for one in part["rows"]]
        before = None if part["next"] is None else f"&before={part['next']}"
    assert found == [7, 6, 5, 4, 3, 2, 1]


async def test_a_command_names_its_mount_and_so_does_what_is_typed(house):
    heard = []

    async def act(command):
        heard.append((command.name, command.mount))
        return {"ok": True, "done": command.name, "state": "halted"}

    control = Control(house.socket, act)
    await control.open()
    try:
        assert (await house("/v1/commands/halt", "POST", mount="b"))[0] == 200
        status, said = await house("/v1/commands/flatten", "POST", mount="b", confirm="flatten both")
        assert (status, said["remedy"]) == (428, 'send "confirm": "flatten b"')
        assert (await house("/v1/commands/flatten", "POST", mount="b", confirm="flatten b"))[0] == 200
        assert (await house("/v1/commands/flatten", "POST", confirm="flatten both"))[0] == 200
    finally:
        await control.close()
        await asyncio.sleep(0)
    assert heard == [("halt", "b"), ("flatten", "b"), ("flatten", "")]
