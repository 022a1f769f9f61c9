"""Several mounts in one file: shares of a capital, accounts by name, and errors with line and remedy."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from strategies import RatingBand, TopRated
from tests.contracts.worlds import KEY, MARKETS, SECRET
from trader.cli import app
from trader.doctor import examine
from trader.intake import secrets_of
from trader.loopback.dialects import DIALECTS
from trader.loopback.exchange import Exchange
from trader.loopback.server import LoopbackServer, VenueClock
from trader.opening import of_account
from trader.reconfiguring import changes_of, versions_of
from trader.run_settings import load_run
from trader.settings import SettingsError
from trader.several_settings import load_setup
from trader.version import RESTART

D = Decimal
ROOT = Path(__file__).parents[1]
TEXT = """\
version: 1
name: both
venue: gate
live: true
capital: 1000 USDT
assets: [BTC/USDT, ETH/USDT]
limits: {weight_per_asset: 60%}
accounts:
  main: {venue: gate, key: k1, secret: s1}
  second: {venue: mexc, namespace: bot2, key: k2, secret: s2, costs: {fee: 0.05%}}
mounts:
  - name: top
    share: 40%
    account: main
    strategy: {name: TopRated, parameters: {kind: trader_grade, top: 2}}
  - name: band
    capital: 600
    account: second
    timeframe: 4h
    assets: [SOL/USDT]
    limits: {drawdown: 10%}
    strategy: {name: RatingBand, parameters: {kind: trader_grade, size: 50%}}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "both.yaml"
    path.write_text(TEXT)
    return path


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_each_mount_is_a_run_with_what_is_above_and_its_own(file):
    setup = load_setup(file)
    top, band = (one.settings for one in setup.mounts)
    assert [type(one.strategy) for one in setup.mounts] == [TopRated, RatingBand]
    assert (top.name, top.capital, top.assets, top.timeframe, top.venue) == (
        "top",
        400.0,
        ("BTC/USDT", "ETH/USDT"),
        "1h",
        "gate",
    )
    assert (band.name, band.capital, band.assets, band.timeframe, band.venue) == (
        "band",
        600.0,
        ("SOL/USDT",),
        "4h",
        "mexc",
    )
    assert (top.limits.weight_per_asset, top.limits.drawdown) == (0.6, None)
    assert (band.limits.weight_per_asset, band.limits.drawdown) == (None, 0.1)
    assert (top.costs.fee, band.costs.fee) == (0.002, 0.0005)
    assert [one.account.name for one in (top, band)] == ["main", "second"]
    whole = setup.whole
    assert (whole.name, whole.capital, whole.assets, whole.venue) == (
        "both",
        1_000.0,
        ("BTC/USDT", "ETH/USDT", "SOL/USDT"),
        "gate",
    )
    assert {name: one.capital for name, one in setup.accounts.items()} == {"main": 400.0, "second": 600.0}
    assert [setup.label_of(name) for name in ("main", "second")] == ["", "second"]
    assert of_account("key-binding.json", "second") == "key-binding-second.json"
    assert sorted(secret for one in setup.accounts.values() for secret in secrets_of(one, file.parent)) == [
        "k1",
        "k2",
        "s1",
        "s2",
    ]


def test_one_mount_given_flat_is_what_it_was():
    setup = load_setup(ROOT / "config/paper.yaml")
    settings, strategy = load_run(ROOT / "config/paper.yaml")
    assert setup.is_one
    assert (setup.whole, setup.mounts[0].strategy, list(setup.accounts)) == (settings, strategy, ["main"])


def test_the_example_has_two_mounts_on_one_paper_account():
    setup = load_setup(ROOT / "config/several.yaml")
    assert [(one.settings.name, one.settings.capital) for one in setup.mounts] == [
        ("weekly", 6_000.0),
        ("majors", 3_000.0),
    ]
    assert list(setup.accounts) == ["main"]
    assert not setup.is_one


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("share: 40%", "share: 50%", "both.yaml:17:5 mounts.1.capital: with band the mounts have 1,100 of a capital of 1,000; make shares smaller"),
        ("name: band", "name: top", "both.yaml:16:5 mounts.1.name = 'top': the mount at"),
        ("namespace: bot2, ", "", "accounts.second.namespace = 'main': the account main has it already; write another"),
        ("account: second", "account: secnd", "both.yaml:18:5 mounts.1.account = 'secnd': did you mean second? there are main, second"),
        ("    account: second\n", "", "mounts.1.account is missing; write one of main, second"),
        ("    capital: 600\n", "", "mounts.1: allowed is exactly one of capital: and share:"),
        ("    capital: 600\n", "    capital: 600\n    share: 10%\n", "allowed is exactly one of capital: and share:"),
        ("capital: 1000 USDT\n", "", "mounts.0.share = 0.4: of what? write capital: above the mounts"),
        ("assets: [BTC/USDT, ETH/USDT]\n", "", "mounts.0.assets is missing; write assets: here, or above"),
        ("size: 50%", "size: 70%", "mounts.1"),
        ("share: 40%", "shar: 40%", "both.yaml:13:5 mounts.0.shar: unknown key; did you mean share?"),
        ("timeframe: 4h", "timeframe: 7h", "both.yaml:19:5 timeframe = '7h'"),
        ("top: 2}", "tops: 2}", "both.yaml:15"),
        ("key: k2", "key: k1", ""),
        ("{venue: mexc, namespace: bot2, key: k2", "{venue: gate, namespace: bot2, key: k1", "accounts.second: it has the key of main"),
        ("venue: mexc, ", "venue: paper, ", "live = True with venue = 'paper'"),
        ("name: band", "name: band one", "mounts.1.name = 'band one': allowed is letters, digits"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line_and_what_to_do(file, old, new, says):
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1))
    if not says or "70%" in new:  # a key at another venue is another key; a drawdown alone cuts no size
        load_setup(file)
        return
    with pytest.raises(SettingsError) as caught:
        load_setup(file)
    assert says in str(caught.value)


def test_every_problem_is_told_at_once(file):
    file.write_text(
        TEXT.replace("account: second", "account: other")
        .replace("share: 40%", "share: 80%")
        .replace("name: band", "name: top")
    )
    with pytest.raises(SettingsError) as caught:
        load_setup(file)
    assert len(str(caught.value).splitlines()) == 3


def test_show_names_values_by_their_mounts_and_hides_secrets(file):
    shown = {one["key"]: one for one in json.loads(invoke("config", "show", file, "--json").stdout)["values"]}
    assert shown["mounts.band.capital"] == {
        "key": "mounts.band.capital",
        "value": 600.0,
        "origin": f"{file}:17:5",
    }
    assert shown["accounts.second.key"]["value"].startswith("*** (fingerprint ")
    assert "k2" not in invoke("config", "show", file).stdout
    other = file.with_name("other.yaml")
    other.write_text(TEXT.replace("capital: 600", "capital: 500"))
    assert invoke("config", "diff", file, other).stdout == "mounts.band.capital: 600.0 -> 500.0\n"


def test_check_tells_each_mount_and_init_writes_a_pair_that_is_right(file, tmp_path, monkeypatch):
    said = invoke("config", "check", file).stdout
    assert "both sets 2 mounts to work (real money), capital 1,000 in all" in said
    assert "band runs RatingBand on mexc (second), 1 assets, capital 600" in said
    monkeypatch.chdir(tmp_path)
    assert invoke("config", "init", "pair.yaml", "--kind", "several").exit_code == 0
    assert json.loads((tmp_path / "several.schema.json").read_text())["title"] == "trader run, several mounts"
    assert [one.settings.capital for one in load_setup(tmp_path / "pair.yaml").mounts] == [6_000.0, 4_000.0]
    assert "did you mean several?" in str(invoke("config", "init", "x.yaml", "--kind", "sevral").exception)


def test_changes_are_told_by_mount_and_what_joins_needs_a_restart(file):
    before = versions_of(load_setup(file), file.parent)
    file.write_text(TEXT.replace("size: 50%", "size: 40%").replace("top: 2", "top: 3"))
    after = versions_of(load_setup(file), file.parent)
    bars = dict.fromkeys(before, 300)
    keys = [one.key for one in changes_of(before, after, bars=bars)]
    assert keys == ["mounts.band.strategy.parameters.size", "mounts.top.strategy.parameters.top"]
    file.write_text(
        TEXT.replace("    account: main\n", "    account: main\n    timeframe: 1d\n") + "intake: {max_age: 3d}\n"
    )
    found = changes_of(before, versions_of(load_setup(file), file.parent), bars=bars)
    assert [one.key for one in found] == ["intake.max_age", "mounts.top.timeframe"]
    file.write_text(TEXT[: TEXT.index("  - name: band")])
    found = changes_of(before, versions_of(load_setup(file), file.parent), bars=bars)
    assert [(one.key, one.effect) for one in found] == [("mounts.band", RESTART)]


def test_doctor_looks_at_each_account_and_each_mount(tmp_path):
    exchange = Exchange(MARKETS, fee=D("0.002"), fee_in="received", forgets=True)
    exchange.open_account(KEY, SECRET, {"USDT": D(700)})
    for symbol, price in (("BTC/USDT", D(100)), ("ETH/USDT", D(10))):
        exchange.set_price(symbol, price, VenueClock().now_ms(), half_spread=D("0.001"))

    async def looked():
        async with LoopbackServer(DIALECTS["gate"](exchange), VenueClock()) as server:
            text = (
                TEXT.replace("venue: mexc, ", "venue: gate, ")
                .replace("[SOL/USDT]", "[BTC/USDT]")
                .replace("timeframe: 4h", "timeframe: 1h")
            )
            text = text.replace("key: k1, secret: s1", f"key: {KEY}, secret: {SECRET}, url: '{server.url}'")
            text = text.replace("key: k2, secret: s2", f"key: other, secret: x, url: '{server.url}'")
            path = tmp_path / "both.yaml"
            path.write_text(text)
            setup = load_setup(path)
            rows = await examine(setup.whole, setup.mounts[0].strategy, path, setup=setup)
            return {one.name: (one.state, one.found) for one in rows}

    rows = asyncio.run(looked())
    assert rows["main: key"][0] == "ok"
    assert rows["second: key"][0] == "fail"
    assert {"main: minimum size top", "second: minimum size band", "limits top", "limits band"} <= set(rows)
