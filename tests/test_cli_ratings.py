"""Fetching ratings from a loopback vendor as a person does, and asking what was known when."""

import re
import subprocess
import sys

import pytest

from tests.services.parts import free_port, full, wait_for
from tests.services.vendor import CONFIG, ROOT, caller, config, vendor
from trader.adapters.ratings_store import RatingsStore
from trader.demo_vendor import KEY

SPAN = ("--since", "2024-01-01", "--until", "2024-05-20")


@pytest.fixture
def run(capsys):
    return caller(capsys)


@pytest.mark.slow
@pytest.mark.parametrize("api", [pytest.param("v2", marks=full), "v3"])
def test_a_history_is_fetched_once_goes_on_where_it_was_and_says_what_was_known(tmp_path, run, api):
    with vendor("--at", "2024-06-10T06:00") as port:
        path = config(tmp_path / "vendor.yaml", port, api=api)
        first = run("ratings", "pull", path, "--since", "2024-01-01", "--until", "2024-02-29", "--yes")
        assert "6 requests, one credit each; 1000 of 1000 are left this month" in first
        rest = run("ratings", "pull", path, *SPAN, "--yes")
        assert rest.startswith("9 requests, one credit each; 994 of 1000")
        assert "0 requests" in run("ratings", "pull", path, *SPAN, "--yes")
        listed = run("ratings", "list", path)
        assert re.search(r"BTC/USDT +trader_grade +2024-01-01 +2024-05-20 +141 +0 +0 +tokenmetrics", listed)
        assert re.search(r"MARKET +regime +2024-01-01", listed)
        shown = run("ratings", "show", path, "--at", "2024-03-12T00:30")
        assert re.search(r"BTC/USDT +trader_grade +2024-03-10 ", shown), (
            "the row of the 11th is known at 01:00 of the 12th"
        )
        assert re.search(
            r"BTC/USDT +trader_grade +2024-03-11 .*known by rule",
            run("ratings", "show", path, "--at", "2024-03-12T01:00"),
        )
        store = RatingsStore(tmp_path / "ratings.db")
        flips = store.rows(asset="BTC/USDT", kind="flip")
        trend = {one.as_of: one.value for one in store.rows(asset="BTC/USDT", kind="trend")}
        assert flips
        assert all(one.value in (-1, 1) and trend[one.as_of] == one.value for one in flips)
        store.close()
        assert run("ratings", "gaps", path, "BTC/USDT") == ""
        assert "2024" not in run("ratings", "revisions", path, "BTC/USDT")


@pytest.mark.slow
@full
def test_what_goes_wrong_is_said_with_what_helps(tmp_path, run):
    with vendor("--at", "2024-06-10T06:00") as port:
        path = config(tmp_path / "vendor.yaml", port)
        told = run("ratings", "pull", path, *SPAN[:2], "--until", "2024-01-02", "--yes", "--tokens", "ETH/USDT")
        assert told.startswith("3 requests")
        assert set(re.findall(r"^ *(\S+/USDT|MARKET) ", run("ratings", "list", path), re.M)) == {"ETH/USDT", "MARKET"}
        said = run("ratings", "pull", path, *SPAN, "--tokens", "ETH/USDT,DOGE/USDT", code=2)
        assert "DOGE/USDT: not among the assets of the file: BTC/USDT, ETH/USDT, SOL/USDT" in said
        path = config(tmp_path / "vendor.yaml", port, plan=3)
        said = run("ratings", "pull", path, *SPAN, "--yes", code=4)
        assert "more than is left" in said
        said = run("ratings", "pull", config(path, port, key="wrong"), *SPAN, "--yes", code=3)
        assert ("Invalid API key (HTTP 401)" in said, "what was fetched is kept" in said) == (True, True)
        said = run("ratings", "pull", config(path, free_port()), *SPAN[:2], "--until", "2024-01-02", "--yes", code=3)
        assert "trading_signals" in said
    path.write_text(path.read_text().replace("market_metrics", "market_metric"))
    said = run("ratings", "list", path, code=2)
    assert ("vendor.yaml:8" in said, "market_metric: unknown; did you mean market_metrics? allowed are" in said) == (
        True,
        True,
    ), said
    path.write_text(CONFIG.format(port=1, api="v2", key=KEY, plan=1).replace("ETH/USDT: 3306", "ETH/USDT: 3375"))
    assert "token 3375 is given to BTC/USDT and ETH/USDT" in run("ratings", "list", path, code=2)
    path.write_text("version: 1\nasets: {}\n")
    assert "did you mean assets" in run("ratings", "list", path, code=2)
    assert "write a day" in run("ratings", "pull", config(path, 1), "--since", "soon", code=2)


MAP = """\
version: 1
source: scores
kind: score
columns: {asset: symbol, as_of: date, value: score}
assets: {BTC: BTC/USDT, ETH: ETH/USDT}
delay: 25h
store: ratings.db
"""
SCORES = """\
symbol,date,score
BTC,2024-01-01,50
ETH,2024-01-01,60.5
BTC,2024-01-02,
DOGE,2024-01-02,1
BTC,2024-01-03,70
"""


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_another_vendors_file_is_imported_once_and_exported_for_a_backtest(tmp_path, run, suffix):
    import pandas as pd

    from backtests.files import read_frame

    plain, file, mapping = tmp_path / "plain.csv", tmp_path / f"scores.{suffix}", tmp_path / "map.yaml"
    plain.write_text(SCORES)
    frame = pd.read_csv(plain)
    if suffix == "csv":
        file.write_text(SCORES)
    elif suffix == "json":
        frame.to_json(file, orient="records")
    else:
        frame.to_parquet(file)
    mapping.write_text(MAP)
    said = run("ratings", "import", file, "--map", mapping)
    assert "3 rows read, 3 of them news, known 25h after what they describe" in said
    assert "passed over: 1 rows without a value" in said
    assert f"passed over: 1 rows of assets that {mapping} does not map: DOGE" in said
    assert "3 rows read, 0 of them news" in run("ratings", "import", file, "--map", mapping)
    vendor_file = tmp_path / "vendor.yaml"
    config(vendor_file, 1)
    shown = run("ratings", "show", vendor_file, "--at", "2024-01-02T01:00")
    assert re.search(r"BTC/USDT +score +2024-01-01 +50 .*known by rule", shown)
    assert "score" not in run("ratings", "show", vendor_file, "--at", "2024-01-02T00:59")
    out = tmp_path / "out.parquet"
    assert "3 rows" in run("ratings", "export", vendor_file, out)
    found = read_frame(out)
    assert list(found.columns) == ["asset", "kind", "as_of", "known_at", "value"]
    assert (found["known_at"] - found["as_of"]).unique().tolist() == [pd.Timedelta("25h")]
    plain.write_text(SCORES.replace("BTC,2024-01-01,50", "BTC,2024-01-01,55"))
    assert "1 of them news" in run("ratings", "import", plain, "--map", mapping)
    counts = [
        run("ratings", "export", vendor_file, tmp_path / "x.csv", "--revisions", which)
        for which in ("all", "first", "last")
    ]
    assert [one.split()[0] for one in counts] == ["4", "3", "3"]
    last = read_frame(tmp_path / "x.csv")
    assert set(last[last["as_of"].str.startswith("2024-01-01") & (last["asset"] == "BTC/USDT")]["value"]) == {55.0}


def test_a_file_that_does_not_say_when_it_was_known_is_refused_without_a_delay(tmp_path, run):
    file, mapping = tmp_path / "scores.csv", tmp_path / "map.yaml"
    file.write_text(SCORES)
    mapping.write_text(MAP.replace("delay: 25h\n", ""))
    assert "decides every result" in run("ratings", "import", file, "--map", mapping, code=2)
    mapping.write_text(MAP.replace("value: score", "value: points"))
    assert "no column 'points' for value; it has symbol, date, score" in run(
        "ratings", "import", file, "--map", mapping, code=2
    )
    mapping.write_text(MAP.replace("as_of: date", "as_of: date, known_at: seen"))
    file.write_text("symbol,date,score,seen\nBTC,2024-01-02,1,2024-01-01\n")
    assert "row 1: BTC is known at" in run("ratings", "import", file, "--map", mapping, code=2)
    file.write_text("symbol,date,score,seen\nBTC,soon,1,2024-01-01\n")
    assert "column 'date'" in run("ratings", "import", file, "--map", mapping, code=2)
    file.write_text("symbol,date,score,seen\nBTC,2024-01-01,1,2024-01-02\nBTC,2024-01-02,n/k,2024-01-03\n")
    assert "row 2: score 'n/k' is no number" in run("ratings", "import", file, "--map", mapping, code=2)
    torn = tmp_path / "scores.json"
    torn.write_text('[{"symbol": "BTC"')
    assert f"{torn}: cannot be read" in run("ratings", "import", torn, "--map", mapping, code=2)
    mapping.write_text(MAP + "colums: {}\n")
    assert "did you mean columns" in run("ratings", "import", file, "--map", mapping, code=2)


@pytest.mark.slow
@full
def test_assets_are_compared_with_the_vendor_and_the_venue(tmp_path, run):
    port = free_port()
    venue = subprocess.Popen(
        [sys.executable, "-m", "trader.cli", "loopback", "gate", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        with vendor("--at", "2024-03-01T01:00") as vendor_port:
            path = config(tmp_path / "vendor.yaml", vendor_port)
            words = (
                "assets",
                "check",
                path,
                "--venue",
                "gate",
                "--url",
                f"http://127.0.0.1:{port}",
                "--within",
                "0.05",
            )
            told = run(*words)
            assert len(re.findall(r"good", told)) == 3, told
            assert re.search(r"BTC/USDT +3375 +BTC Btc +6[0-9]{4}", told)
            text = path.read_text()
            path.write_text(
                text.replace("ETH/USDT: 3306", "ETH/USDT: 17528").replace("SOL/USDT: 3988", "LTC/USDT: 3377")
            )
            said = run(*words, code=4)
            assert "2 of 3 assets are doubtful" in said
            path.write_text(text.replace("SOL/USDT: 3988", "SOL/USDT: 4242"))
            assert "1 of 3" in run(*words, code=4)
            path.write_text(text.replace("ETH/USDT: 3306", "ETH/USDT: {id: 3369, symbol: XRP}"))
            assert "1 of 3" in run(*words, code=4), "the name is meant, the price is another coin's"
            by_stream = text.replace("BTC/USDT: 3375", "BTC/USDT: {id: 3375, slug: btc}")
            path.write_text(by_stream.replace("ETH/USDT: 3306", "ETH/USDT: {symbol: ETH, name: an other ETH}"))
            told = run("ratings", "pull", path, "--since", "2024-01-01", "--until", "2024-01-02", "--yes")
            assert f"left out, no id yet: ETH/USDT; `trader assets find {path}` looks it up" in " ".join(told.split())
            said = run(*words, "--stream", code=4)
            assert "1 of 3" in said, "the second has no id"
            told = run("assets", "find", path)
            assert (
                "ETH/USDT: no id is given: the vendor has 22600 an other ETH; put id: 22600 if that is the one" in told
            )
            path.write_text(text.replace("ETH/USDT: 3306", "ETH/USDT: {symbol: ETH}"))
            assert "1 of 1 assets cannot be told apart: ETH/USDT" in run("assets", "find", path, code=4)
    finally:
        venue.terminate()
        assert venue.wait(10) == 0


def test_a_store_that_is_damaged_is_told_with_what_helps(tmp_path, run):
    (tmp_path / "ratings.db").write_bytes(b"no database" * 1_000)
    (tmp_path / "v.yaml").write_text(
        "version: 1\nkey: k\nendpoints: [trading_signals]\nassets: {BTC/USDT: 3375}\nstore: ratings.db\n"
    )
    wrong = run("ratings", "list", tmp_path / "v.yaml", code=3)
    assert "ratings.db: cannot be read: file is not a database; move it away or restore a backup" in wrong
