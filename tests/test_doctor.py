"""`trader doctor` against loopback exchanges, a real broker and a real PostgreSQL, each row with its fault planted."""

import stat

import pytest

from tests.contracts.worlds import loopback
from tests.patients import KEY, MARK, healthy, rows_of, states, world, written
from tests.services.parts import free_port, full
from trader.finding import code_of
from trader.key_binding import KeyChangedError, bind, binding_of, bound, hold
from trader.run_settings import load_run, state_folder


@pytest.fixture
def folder(tmp_path):
    return healthy(tmp_path)


@pytest.mark.parametrize("venue", ["gate", "mexc"])
async def test_a_healthy_run_is_ready_and_nothing_is_made(folder, venue):
    async with world(folder, venue) as (it, path):
        it.account.addresses = ("203.0.113.7",)
        before = sorted(folder.rglob("*"))
        rows = await rows_of(path)
        assert sorted(folder.rglob("*")) == before
        assert code_of(list(rows.values())) == 0
        assert {name for name, state in states(rows).items() if state == "fail"} == set()
        assert {
            "state folder", "disk", "secret account.key", "secret account.secret", "socket", "daemon", "sqlite", "database",
            "broker", "venue", "clock", "key", "key binding", "key rights", "key addresses", "key expiry", "symbols",
            "minimum size", "limits", "vendor credits", "notify",
        } == set(rows)  # fmt: skip
        assert rows["key"].found == "works; 1,000.00 USDT are free"
        assert not any("POST" in one or "DELETE" in one for _, one in it.server.log), "doctor sends no order"


# The venue


async def test_a_venue_that_is_down_is_told_and_the_rest_is_looked_at(folder):
    path = written(folder, f"http://127.0.0.1:{free_port()}")
    rows = await rows_of(path)
    assert (rows["venue"].state, rows["clock"].state, rows["key rights"].state) == ("fail", "skip", "skip")
    assert rows["database"].state == "ok"
    assert code_of(list(rows.values())) == 3


@pytest.mark.parametrize("venue", ["gate", "mexc"])
@pytest.mark.parametrize(
    ("skew_ms", "state"), [(0, "ok"), (800, "warn"), (-800, "warn"), (5_000, "fail"), (-5_000, "fail")]
)
async def test_the_clock_is_compared_with_the_venues(folder, venue, skew_ms, state):
    async with world(folder, venue) as (it, path):
        it.clock.skew_ms = skew_ms
        rows = await rows_of(path)
        assert rows["clock"].state == state
        assert abs(int(rows["clock"].found.partition(" ms")[0]) - skew_ms) < 200
        assert rows["key"].state == "ok", "what is signed follows the venue's clock"


@full
async def test_a_slow_venue_is_told(folder):
    async with loopback("gate", {"do": "slow", "on": "GET /spot/time", "seconds": 1.2}) as it:
        path = written(folder, it.server.url)
        row = (await rows_of(path))["venue"]
        assert row.state == "warn"
        assert int(row.found.split(" in ")[1].split(" ")[0]) >= 1_200


@pytest.mark.parametrize("venue", ["gate", "mexc"])
async def test_a_wrong_secret_is_told_and_markets_are_looked_at_all_the_same(folder, venue):
    (folder / "secret").write_text("canary-of-a-secret")
    async with world(folder, venue) as (_, path):
        rows = await rows_of(path)
        assert (rows["key"].state, rows["key rights"].state, rows["symbols"].state) == ("fail", "skip", "ok")


async def test_a_missing_key_file_is_told_with_what_to_write(folder):
    (folder / "key").unlink()
    async with world(folder) as (_, path):
        rows = await rows_of(path)
        assert (rows["secret account.key"].state, rows["key"].state) == ("fail", "fail")
        assert "chmod 600" in rows["secret account.key"].remedy


async def test_less_money_than_capital_is_told(folder):
    async with world(folder, "gate", ("capital: 1000", "capital: 4000")) as (_, path):
        row = (await rows_of(path))["key"]
        assert (row.state, row.found) == ("warn", "works; 1,000.00 USDT are free, less than the capital of 4,000")


# The key's rights


async def test_a_key_that_may_withdraw_is_refused_where_that_is_visible(folder):
    async with world(folder) as (it, path):
        it.account.may = frozenset({"read", "trade", "withdraw"})
        rows = await rows_of(path)
        assert rows["key rights"].state == "fail"
        assert "can be taken out" in rows["key rights"].found
        assert code_of(list(rows.values())) == 4


async def test_where_rights_are_not_visible_that_is_said(folder):
    async with world(folder, "mexc") as (it, path):
        it.account.may = frozenset({"read", "trade", "withdraw"})
        row = (await rows_of(path))["key rights"]
        assert row.state == "warn"
        assert "not visible" in row.found
    async with world(folder) as (it, path):
        it.account.is_main = False
        assert (await rows_of(path))["key rights"].state == "warn"


@pytest.mark.parametrize("venue", ["gate", "mexc"])
async def test_a_key_that_may_only_read_is_told(folder, venue):
    async with world(folder, venue) as (it, path):
        it.account.may = frozenset({"read"})
        row = (await rows_of(path))["key rights"]
        assert row.state == "fail"
        assert "may not trade" in row.found


async def test_addresses_and_end_of_a_key(folder):
    async with world(folder) as (it, path):
        rows = await rows_of(path)
        assert (rows["key addresses"].state, rows["key expiry"].state) == ("warn", "warn")
        assert "2023-11-14" in rows["key expiry"].found
        it.account.addresses = ("203.0.113.7",)
        rows = await rows_of(path)
        assert (rows["key addresses"].found, rows["key expiry"].state) == ("bound to 203.0.113.7", "ok")
    async with world(folder, "mexc") as (_, path):
        assert "does not show" in (await rows_of(path))["key addresses"].found


# The key and its folder


async def test_another_key_than_the_bound_one_is_refused_until_it_is_bound(folder):
    async with world(folder) as (_, path):
        settings, _ = load_run(path)
        state = state_folder(settings, path)
        assert (await rows_of(path))["key binding"].state == "warn"
        row = (await rows_of(path, binds=True))["key binding"]
        assert (row.state, row.found.split(",")[0]) == ("ok", f"{MARK} at gate (rehearsal)")
        assert stat.S_IMODE((state / "key-binding.json").stat().st_mode) == 0o600
        assert KEY not in (state / "key-binding.json").read_text()
        (folder / "key").write_text("another-key")
        rows = await rows_of(path)
        assert rows["key binding"].state == "fail"
        assert MARK in rows["key binding"].found
        assert code_of(list(rows.values())) == 4
        with pytest.raises(KeyChangedError, match=MARK):
            hold(settings, folder, state)
        await rows_of(path, binds=True)
        hold(settings, folder, state)


async def test_the_first_start_with_money_binds_and_the_next_holds_to_it(folder):
    path = written(folder, "http://127.0.0.1:9")
    settings, _ = load_run(path)
    state = state_folder(settings, path)
    hold(settings, folder, state)
    assert bound(state) == binding_of(settings, folder)
    hold(settings, folder, state)
    (state / "key-binding.json").write_text("{}")
    with pytest.raises(KeyChangedError, match="cannot be read"):
        hold(settings, folder, state)
    assert not (state / "key-binding.new").exists()


def test_a_start_with_another_key_is_exit_code_4(folder):
    path = written(folder, f"http://127.0.0.1:{free_port()}")
    settings, _ = load_run(path)
    bind(state_folder(settings, path), binding_of(settings, folder))
    (folder / "key").write_text("another-key")
    from tests.test_cli_run import trader

    said = trader("run", path, "--live", code=4)
    assert "is bound to the key" in said
    assert "another-key" not in said


# Markets and sizes


async def test_an_asset_without_a_market_is_told(folder):
    async with world(folder, "gate", ("ETH/USDT]", "OFF/USDT, NONE/USDT]")) as (_, path):
        row = (await rows_of(path))["symbols"]
        assert row.state == "fail"
        assert row.found.startswith("OFF/USDT, NONE/USDT: ")


async def test_a_pair_that_the_key_is_not_bound_to_is_told(folder):
    async with world(folder) as (it, path):
        it.account.pairs = ("BTC/USDT",)
        assert (await rows_of(path))["symbols"].found == "ETH/USDT: the key is bound to other pairs"


async def test_a_market_that_is_shown_but_not_for_the_api_is_told(folder):
    async with world(folder, "mexc") as (it, path):
        from dataclasses import replace

        it.exchange.markets["ETH/USDT"] = replace(it.exchange.markets["ETH/USDT"], by_api=False)
        assert (await rows_of(path))["symbols"].found.startswith("ETH/USDT: no spot market at mexc")


@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        (("size: 40%", "size: 0.2%"), "fail", "BTC/USDT takes 3 USDT at the least, and the strategy's size is 2"),
        (("size: 40%", "size: 0.35%"), "warn", "3.5: after a fall it could not be sold"),
        (("size: 40%", "size: {quote: 2}"), "fail", "the strategy's size is 2"),
        (("size: 40%", "size: {units: 0.01}"), "fail", "BTC/USDT takes 3 USDT"),
        (("weight_per_asset: 60%", "weight_per_asset: 60%, order_notional: 2"), None, "order_notional = 2"),
    ],
)  # fmt: skip
async def test_a_size_below_a_markets_minimum_is_told(folder, change, state, says):
    async with world(folder, "gate", change) as (_, path):
        if state is None:  # limits that can never let the strategy through are refused before anything is asked
            from tests.test_run_settings import problem

            assert says in problem(path)
            return
        row = (await rows_of(path))["minimum size"]
        assert row.state == state
        assert says in row.found


async def test_a_limit_below_a_markets_minimum_is_told(folder):
    change = ("size: 40%", "size: {units: 0.1}"), ("weight_per_asset: 60%", "order_notional: 2")
    async with world(folder, "gate", *change) as (_, path):
        assert "order_notional lets 2 through" in (await rows_of(path))["minimum size"].found
