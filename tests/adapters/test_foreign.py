"""Signals of other services: each documented form becomes the message it should, and nothing hostile becomes anything."""

import json
import re
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trader.adapters.foreign import NAMES, Foreign
from trader.adapters.foreign_formats import FORMATS
from trader.adapters.foreign_symbols import asset_of
from trader.adapters.foreign_templates import SECRET, TEMPLATES
from trader.adapters.payloads import Payloads
from trader.ports import PayloadError

NOW = datetime(2024, 3, 12, 10, 15, 10, tzinfo=UTC)
UNIVERSE = ("BTC/USDT", "ETH/USDT")
PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def read(body, *, secrets=None, universe=UNIVERSE, at=NOW, **more):
    body = json.dumps(body) if isinstance(body, dict) else body
    return Foreign().read(
        body.encode() if isinstance(body, str) else body,
        secrets=secrets or {},
        universe=universe,
        received_at=at,
        **more,
    )


def said(body, **more):
    """What a body says, in the words of docs/webhooks.md."""
    try:
        notice = Payloads().read(read(body, **more).message)
    except PayloadError as error:
        return error.outcome
    one = notice.said[0]
    assert len(notice.said) == 1
    return f"{one.asset} {one.kind} {one.value:g}, {notice.type}"


def refused(body, **more):
    with pytest.raises(PayloadError) as found:
        read(body, **more)
    return found.value


# The page


def test_the_page_has_each_format_in_the_order_in_which_they_are_tried():
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, flags=re.MULTILINE)
    assert rows == [
        (one.name, one.what, one.looks_for, ", ".join(f"`{name}`" for name in one.secrets)) for one in FORMATS
    ]


ROWS = re.findall(r"^\| `(.+)` \| (.+?) \|$", PAGE.partition("## What becomes of it")[2], flags=re.MULTILINE)


@pytest.mark.parametrize(("body", "becomes"), ROWS)
def test_the_page_says_what_becomes_of_a_body(body, becomes):
    assert said(body) == becomes


def test_the_page_has_every_format_and_every_way_to_end():
    assert len(ROWS) > 30
    assert {read(body).format for body, becomes in ROWS if ", " in becomes} == {one.name for one in FORMATS}
    assert {becomes for _, becomes in ROWS if ", " not in becomes} == {"malformed", "unknown_asset"}


# Templates


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_what_is_pasted_arrives_as_its_format(template):
    found = read(template.example, secrets={"hook": SECRET})
    notice = Payloads().read(found.message)
    assert found.format == template.format
    assert notice.said[0].asset == "BTC/USDT"
    assert notice.said[0].value > 0
    if template.name != "cornix":
        assert notice.issued_at == found.claimed_at == datetime(2024, 3, 12, 10, 15, 2, tzinfo=UTC)
    assert SECRET not in f"{found}"


@pytest.mark.parametrize("template", [one for one in TEMPLATES if "{{ticker}}" in one.text], ids=lambda one: one.name)
def test_what_the_sender_did_not_fill_in_is_named(template):
    error = refused(template.text)
    assert (error.outcome, "placeholder was not filled in" in error.why) == ("malformed", True)


# Symbols


@pytest.mark.parametrize(
    "symbol",
    ["BTCUSDT", "BINANCE:BTCUSDT", "btcusdt", "BTC/USDT", "BTC-USDT", "btc_usdt", "GATEIO:BTC_USDT", " BTCUSDT "],
)
def test_a_symbol_is_an_asset(symbol):
    assert asset_of(symbol, UNIVERSE)[0] == "BTC/USDT"


@pytest.mark.parametrize(
    "symbol",
    [
        "BTCUSDT.P",
        "BYBIT:BTCUSDT.P",
        "BTCUSDTPERP",
        "BTC-PERP",
        "BTC-USDT-SWAP",
        "BTC/USDT:USDT",
        "BTC1!",
        "BTCUSDT_240628",
    ],
)
def test_perpetuals_and_futures_are_refused_by_name(symbol):
    with pytest.raises(PayloadError, match="a perpetual or a future") as found:
        asset_of(symbol, UNIVERSE)
    assert found.value.outcome == "unknown_asset"
    assert symbol.strip().upper() in found.value.why


def test_no_symbol_is_guessed():
    for symbol in ("BTC", "BTCUSD", "BTCUSDC", "USDTBTC", "USDT-BTC", "BTCUSDTT", "XBTC/USDT"):
        with pytest.raises(PayloadError, match="not in the universe"):
            asset_of(symbol, UNIVERSE)
    assert asset_of("USDT_BTC", UNIVERSE, quote_first=True)[0] == "BTC/USDT"
    with pytest.raises(PayloadError, match="may be"):
        asset_of("ABCUSDT", ("AB/CUSDT", "ABC/USDT"))
    assert asset_of("ABC-USDT", ("AB/CUSDT", "ABC/USDT"))[0] == "ABC/USDT"


@given(
    st.lists(st.from_regex(r"[A-Z]{2,6}/(USDT|USDC|BTC)", fullmatch=True), min_size=1, max_size=8, unique=True),
    st.data(),
)
def test_every_spelling_of_an_asset_is_that_asset_or_refused(universe, data):
    asset = data.draw(st.sampled_from(universe))
    base, _, quote = asset.partition("/")
    for symbol in (f"{base}/{quote}", f"{base}-{quote}".lower(), f"X:{base}{quote}", f"{base}{quote}"):
        found, why = asset, ""
        try:
            found = asset_of(symbol, universe)[0]
        except PayloadError as error:
            why = error.why
        assert found == asset
        assert not why or re.search("may be|perpetual", why)


# Secrets

CARRIERS = {  # where each format has its secret
    "tradingview": lambda s: json.dumps({"ticker": "BTCUSDT", "action": "buy", "secret": s}),
    "passphrase": lambda s: json.dumps({"ticker": "BTCUSDT", "action": "buy", "passphrase": s}),
    "3commas": lambda s: json.dumps({"bot_uuid": "b", "tv_instrument": "BTCUSDT", "action": "buy", "secret": s}),
    "dca": lambda s: json.dumps({"message_type": "bot", "bot_id": 1, "pair": "USDT_BTC", "email_token": s}),
    "altrady": lambda s: json.dumps({"api_key": "k", "api_secret": s, "symbol": "BTCUSDT", "side": "long"}),
    "freqtrade": lambda s: json.dumps({"type": "entry_fill", "pair": "BTC/USDT", "secret": s}),
    "wunder": lambda s: f"ENTER-LONG_BINANCE_BTCUSDT_bot_{s}",
    "octobot": lambda s: f"SYMBOL=BTCUSDT\nSIGNAL=BUY\nTOKEN={s}",
    "cornix": lambda s: f"BTC/USDT\nBuy 1\nSell 2\nSECRET={s}",
    "trader": lambda s: json.dumps({
        "version": 1, "source": "x", "type": "event", "issued_at": "2024-03-12T10:15:00Z", "secret": s,
        "signals": [{"asset": "BTC/USDT", "kind": "k", "value": 1}],
    }),
}  # fmt: skip
WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=24, max_size=40)


@pytest.mark.parametrize("carrier", CARRIERS)
@settings(max_examples=25)
@given(secret=WORDS, other=WORDS)
def test_only_the_right_secret_passes_and_none_is_ever_shown(carrier, secret, other):
    body = CARRIERS[carrier](secret)
    found = read(body, secrets={"old": "x" * 24, "new": secret})
    assert secret not in f"{found}"
    assert secret not in f"{read(body)}"
    if other != secret:
        error = refused(body, secrets={"new": other})
        assert error.outcome == "unauthenticated"
        assert secret not in f"{error!r} {error.why}"
        assert other not in error.why
    assert refused(CARRIERS[carrier](""), secrets={"new": secret}).outcome == "unauthenticated"


@pytest.mark.parametrize("carrier", CARRIERS)
@settings(max_examples=10)
@given(secret=WORDS, other=WORDS)
def test_another_secret_is_the_same_message(carrier, secret, other):
    one, two = (
        read(CARRIERS[carrier](secret), secrets={"a": secret}),
        read(CARRIERS[carrier](other), secrets={"a": other}),
    )
    assert (one.message, one.key) == (two.message, two.key)


def test_an_empty_secret_lets_nobody_in():
    assert refused(CARRIERS["tradingview"](""), secrets={"a": ""}).outcome == "unauthenticated"
    assert refused(CARRIERS["tradingview"]("x"), secrets={"a": ""}).outcome == "unauthenticated"


# Time and replays


def test_the_same_again_has_the_same_key_and_another_time_another():
    body = {"ticker": "BTCUSDT", "action": "buy", "time": "2024-03-12T10:15:02Z"}
    first, again = read(body), read(body, at=NOW + timedelta(days=400))
    assert (first.key, first.message) == (again.key, again.message)
    assert read({**body, "time": "2024-03-12T10:16:02Z"}).key != first.key
    assert read({**body, "action": "sell"}).key != first.key
    assert read({**body, "order_id": "Long"}).key != first.key


def test_without_a_time_the_minute_tells_repetitions_apart_and_it_is_said():
    body = {"ticker": "BTCUSDT", "action": "buy"}
    first = read(body)
    assert first.claimed_at is None
    assert any("says no time" in note for note in first.notes)
    assert read(body, at=NOW + timedelta(seconds=20)).message == first.message
    assert read(body, at=NOW + timedelta(seconds=60)).key != first.key


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-12T10:15:02Z",
        "2024-03-12T11:15:02+01:00",
        "2024-03-12 10:15:02",
        "1710238502",
        "1710238502000",
        1710238502,
    ],
)
def test_an_instant_in_any_usual_form(text):
    assert read({"ticker": "BTCUSDT", "action": "buy", "time": text}).claimed_at == datetime(
        2024, 3, 12, 10, 15, 2, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "text", ["yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "99999999999999", "9" * 400, "1e9"]
)
def test_what_is_no_instant_is_malformed(text):
    assert refused({"ticker": "BTCUSDT", "action": "buy", "time": text}).outcome == "malformed"


def test_a_lag_is_how_long_it_is_good():
    body = {
        "bot_uuid": "b",
        "tv_instrument": "BTCUSDT",
        "action": "buy",
        "timestamp": "2024-03-12T10:15:02Z",
        "max_lag": "300",
    }
    assert Payloads().read(read(body).message).ttl_seconds == 300
    for lag in ("0", "-5", "NaN", "1e9", "soon", "604801"):
        assert refused({**body, "max_lag": lag}).outcome == "malformed"


# What is left out, and what is not bent


def test_what_is_left_out_is_named_with_the_reason():
    found = read("EXCHANGE=binance\nSYMBOL=BTCUSDT\nSIGNAL=BUY\nVOLUME=10%\nFOO=bar")
    assert "left out VOLUME: sizes, stops and targets are the strategy's" in found.notes
    assert any(note.startswith("left out FOO") for note in found.notes)


def test_a_key_that_is_there_twice_is_refused():
    for body in ('{"ticker": "BTCUSDT", "action": "sell", "action": "buy"}', "SYMBOL=BTCUSDT\nSIGNAL=SELL\nSIGNAL=BUY"):
        assert "twice" in refused(body).why


def test_a_perpetual_in_a_code_is_not_its_spot_market():
    assert said("ENTER-LONG_BYBIT_BTCUSDT_PERP_bot") == "unknown_asset"
    assert said("ENTER-LONG_KuCoin Futures_BTC/USDT_bot") == "unknown_asset"
    assert said("ENTER-LONG_X_BTCUSDT_ETHUSDT") == "unknown_asset"


def test_only_the_format_that_is_wanted_is_taken():
    body = {"ticker": "BTCUSDT", "action": "buy"}
    assert read(body, format="tradingview").format == "tradingview"
    error = refused(body, format="octobot")
    assert (error.outcome, "looked for: octobot" in error.why) == ("malformed", True)
    with pytest.raises(ValueError, match="allowed are trader, 3commas"):
        read(body, format="other")


# Hostile input

ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30),
    st.sampled_from(["buy", "sell", "long", "BTCUSDT", "BTC/USDT", "entry_fill", "ENTER-LONG_BTCUSDT", "2024-03-12T10:15:02Z", "{{x}}", "-0"]),
)  # fmt: skip
KEYS = sorted(
    {"ticker", "action", "position", "value", "kind", "type", "time", "ttl", "price", "secret", "code", "pair", "api_key", "api_secret",
     "symbol", "side", "exchange", "test", "bot_uuid", "message_type", "bot_id", "strategy_info", "market_position", "max_lag", "timestamp",
     "tv_instrument", "open_date", "direction", "clientId", "signal_id", "version", "signals", "delay_seconds", "email_token"}
)  # fmt: skip
OBJECTS = st.dictionaries(
    st.sampled_from(KEYS) | st.text(max_size=8),
    st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3), max_leaves=6),
    max_size=12,
)  # fmt: skip
LINES = st.lists(
    st.tuples(
        st.sampled_from(["SYMBOL", "SIGNAL", "TOKEN", "TIME", "ORDER_TYPE", "x"]),
        st.sampled_from(["=", "", " = "]),
        ATOMS,
    ),
    max_size=8,
).map(lambda rows: "\n".join(f"{a}{b}{c}" for a, b, c in rows))
BODIES = st.one_of(
    st.binary(max_size=300), OBJECTS.map(lambda one: json.dumps(one).encode()), LINES.map(lambda one: one.encode("utf-8", "replace")),
    st.text(max_size=200).map(lambda one: one.encode("utf-8", "replace")),
)  # fmt: skip


@settings(max_examples=400)
@given(body=BODIES, wanted=st.none() | st.sampled_from(NAMES), secrets=st.sampled_from([{}, {"a": "s" * 24}]))
def test_nothing_but_a_payload_error_ever_leaves(body, wanted, secrets):
    found = ended(body, secrets=secrets, format=wanted)
    if isinstance(found, PayloadError):
        assert found.outcome in {"malformed", "unauthenticated", "unknown_asset", "oversized"}
        assert 0 < len(found.why) < 2_000
        assert found.why.isprintable()
    else:
        notice = Payloads().read(found.message)  # it is ours, and of the universe
        assert found.format == "trader" or {one.asset for one in notice.said} <= set(UNIVERSE)
        assert found.format == "trader" or found.key == f"{notice.source}/{notice.id}"
        assert not secrets


def ended(body, **more):
    try:
        return read(body, **more)
    except PayloadError as error:
        return error


HOSTILE = {
    "deep": b'{"a":' + b"[" * 60_000,
    "deep and whole": b'{"a":' + b"[" * 400 + b"]" * 400 + b"}",
    "many keys": json.dumps({f"k{n}": n for n in range(5_000)}).encode(),
    "many lines": b"A=1\n" * 16_000,
    "spaces": b"SYMBOL=a" + b" " * 60_000 + b"b",
    "equals": b"=" * 60_000,
    "form": b"a=" + b"&a=" * 20_000,
    "digits": b'{"ticker":"BTCUSDT","kind":"k","value":' + b"9" * 60_000 + b"}",
    "long symbol": json.dumps({"ticker": "A" * 60_000, "action": "buy"}).encode(),
    "code": b"ENTER-LONG" + b"_" * 60_000,
    "cornix": b"BTC/USDT Buy Sell " + b"1 " * 30_000,
    "pairs": b"Buy Sell " + b"A/BB " * 12_000,
    "half": b'{"ticker":"\\ud800","action":"buy"}',
    "nul": b'{"ticker":"BTC\\u0000","action":"buy"}',
    "large": b"x" * 70_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_take_bounded_time_and_memory(name):
    tracemalloc.start()
    begun = time.perf_counter()
    try:
        if name != "cornix":
            assert refused(HOSTILE[name]).outcome in {"malformed", "oversized", "unknown_asset"}
        else:
            read(HOSTILE[name])
        assert time.perf_counter() - begun < 2.0
        assert tracemalloc.get_traced_memory()[1] < 32_000_000
    finally:
        tracemalloc.stop()
