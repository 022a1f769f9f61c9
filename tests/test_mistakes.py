"""What people get wrong in YAML: each mistake is refused with the place it stands at and with what to write instead.

The files are good as they stand; each row changes one place of one of them. `at` is what a person would point to.
"""

import pytest

from trader.cli import main

RUN = """\
version: 1
name: mistaken
venue: paper
capital: 10000 USDT
assets: [BTC/USDT, ETH/USDT]
timeframe: 1h
strategy:
  name: TopRated
  parameters:
    top: 2
    exits:
      - fall_by: 15%
limits:
  weight_per_asset: 60%
  order_notional: 6000
account:
  name: main
intake:
  max_age: 3d
"""
BACKTEST = """\
version: 1
data:
  sample: 1d
strategy:
  name: TopRated
  parameters:
    top: 4
cash: 10000
costs:
  fee: 0.2%
"""
VENDOR = """\
version: 1
key: k
endpoints: [trading_signals]
assets:
  BTC/USDT: 3375
  ETH/USDT: 3306
credits: 10000
"""
GOOD = {"run": RUN, "backtest": BACKTEST, "vendor": VENDOR}

MISTAKES = [
    # which file, what stands there, what is written instead, where it is told, what is told with it
    ("run", "capital:", "captial:", "4:1", ["captial: unknown key", "did you mean capital?"]),
    ("run", "10000 USDT", "10000 EUR", "4:1", ["EUR is another money", "write 250 USDT"]),
    ("run", "10000 USDT", "-5", "4:1", ["capital = -5", "over 0, such as 250 or 250 USDT"]),
    ("run", "1h", "1 hour", "6:1", ["timeframe = '1 hour'", "did you mean 1h?"]),
    ("run", "1h", "60", "6:1", ["timeframe = 60", "such as 0s, 90s, 15m"]),
    ("run", "1h", "7m", "6:1", ["timeframe = '7m'", "candles of gate are 1m, 5m"]),
    ("run", "timeframe: 1h", "timeframe 1h", "6:1", ["expected ':'", "check indentation, colons"]),
    ("run", "venue: paper", "venue: gaet", "3:1", ["did you mean gate?", "paper, gate, mexc"]),
    ("run", "venue: paper", "live: yes\nvenue: paper", "3:1", ["live = 'yes'", "allowed are true and false"]),
    ("run", "venue: paper", "live: true\nvenue: paper", "3:1", ["paper has no money", "name gate or mexc, or drop live"]),
    ("run", "[BTC/USDT, ETH/USDT]", "BTC/USDT", "5:1", ["a list of asset names, such as [BTC/USDT]"]),
    ("run", "[BTC/USDT, ETH/USDT]", "[BTC/USDT, BTC/USDT]", "5:1", ["BTC/USDT stands twice"]),
    ("run", "name: mistaken\n", "", "1:1", ["name is missing; write name: a stable name"]),
    ("run", "TopRated", "TopRatd", "8:3", ["'TopRatd' is unknown", "did you mean TopRated?"]),
    ("run", "top: 2", "tpo: 2", "10:5", ["'tpo' is unknown", "did you mean top?"]),
    ("run", "top: 2", "top: two", "10:5", ["top = 'two'", "allowed is a whole number"]),
    ("run", "fall_by: 15%", "fal_by: 15%", "11:5", ["exits[0]", "did you mean fall_by?"]),
    ("run", "fall_by: 15%", "fall_by: 150%", "11:5", ["FallBy(1.5) is out of range", "0.1 is ten percent"]),
    ("run", "60%", "60", "14:3", ["weight_per_asset = 60", "did you mean 60%?"]),
    ("run", "60%", "20%", "14:3", ["0.49 of the equity is over weight_per_asset = 0.2", "raise the limit"]),
    ("run", "6000", "600 USDT", "15:3", ["4,900", "over order_notional = 600", "raise the limit"]),
    ("run", "  max_age: 3d", "\tmax_age: 3d", "19:1", ["indent with spaces, not with tabs"]),
    ("run", "max_age: 3d", "max_age: 3d\n  max_age: 2d", "20:3", ["duplicate key", "write each key once"]),
    ("run", "max_age: 3d", "ratings: nowhere.yaml", "19:3", ["intake.ratings", "no such file", "relative paths"]),
    ("run", "max_age: 3d", "mqtt: {port: mqtt}", "19:10", ["intake.mqtt.port = 'mqtt'", "whole number from 1"]),
    ("run", "max_age: 3d", "trust: mine", "19:3", ["a list of sources, such as [mine]"]),
    ("run", "name: main", "name: main\n  key_flie: k", "18:3", ["account.key_flie", "did you mean key_file?"]),
    ("run", "name: main", "namespace: Bot1", "17:3", ["4 characters of a-z and 2-7"]),
    ("run", "name: mistaken", "name: /etc", "2:1", ["name = '/etc'", "without a leading / and without .."]),
    ("run", "name: mistaken", "name: a/../../b", "2:1", ["which names a folder"]),
    ("run", "name: main", "name: main\n  key: 0123", "18:3", ["account.key: allowed is a text", "in quotes"]),
    ("run", "name: main", "name: main\n  secret: true", "18:3", ["account.secret: allowed is a text"]),
    ("run", "max_age: 3d", "ttl: 0s", "19:3", ["intake.ttl = '0s'", "a duration over 0"]),
    ("run", "account:", "execution: {fence: 0s}\naccount:", "16:13", ["execution.fence = '0s'", "a duration over 0"]),
    ("run", "account:", "execution: {validity: 0s}\naccount:", "16:13", ["execution.validity = '0s'"]),
    ("run", "account:", "notify: {heartbeat: {url: 'http://h', every: 0s}}\naccount:", "16:39", ["every = '0s'"]),
    ("run", "venue: paper", "venue: mexc\nexecution: {fence: 2m}", "4:13", ["fence = '2m'", "write 60s or less"]),
    ("run", "timeframe: 1h", "journal: postgres://bot:can@canary@db/x", "6:1", ["'postgres://***@db/x'", "postgresql://"]),
    ("run", "timeframe: 1h", "journal: postgresql://bot:can/canary@db/x", "6:1", ["%2F for /", "PGPASSFILE"]),
    ("run", "timeframe: 1h", "journal: postgresql://db/x?user=u&password=canary", "6:1", ["password=***", "PGPASSFILE"]),
    ("run", "timeframe: 1h", "journal: mysql://bot:canary@db/x", "6:1", ["postgresql://USER@HOST/NAME"]),
    ("backtest", "1d", "2d", "3:3", ["data.sample = '2d'", "allowed are 1d, 1h"]),
    ("backtest", "sample: 1d", "bars: bras.csv", "3:3", ["no such file or folder", "did you mean bars.csv?"]),
    ("backtest", "sample: 1d", "sample: 1d\n  since: 31.01.2024", "4:3", ["such as 2024-01-31"]),
    ("backtest", "sample: 1d", "sample: 1d\n  delay: 1d", "2:1", ["remove delay, or give bars: instead"]),
    ("backtest", "cash:", "cahs:", "8:1", ["did you mean cash?"]),
    ("backtest", "cash: 10000", "cash: ten", "8:1", ["cash = 'ten'", "such as 250 or 250 USDT"]),
    ("backtest", "fee: 0.2%", "fee: 20", "10:3", ["did you mean 20%?", "such as 0.002 or 0.2%"]),
    ("backtest", "top: 4", "top: 0", "7:5", ["top = 0 is out of range", "from 1 to"]),
    ("backtest", "costs:", "exits: restign\ncosts:", "9:1", ["did you mean resting?", "next_open"]),
    ("vendor", "key: k", "kye: k", "2:1", ["did you mean key?"]),
    ("vendor", "trading_signals", "trading_signal", "3:13", ["did you mean trading_signals?"]),
    ("vendor", "3306", "ethereum", "6:3", ["the vendor's token id, such as 3375"]),
    ("vendor", "3306", "3375", "6:3", ["token 3375 is given to BTC/USDT and ETH/USDT", "trader assets find"]),
    ("vendor", "credits: 10000", "credits: 10", "7:1", ["30 credits a month and the plan includes 10", "Map fewer assets"]),
    ("vendor", "credits: 10000", "polls: {trading_signals: 5s}", "7:9", ["too often", "each poll costs a credit"]),
    ("vendor", "credits: 10000", "polls: {moonshots: 1h}", "7:9", ["not asked for", "put it under endpoints:"]),
    ("vendor", "credits: 10000", "limit: 1", "7:1", ["limit = 1", "write 2 or more"]),
    ("vendor", "key: k", "key: 0123", "2:1", ["key: allowed is a text"]),
    ("vendor", "credits: 10000", "api: v4", "7:1", ["allowed are v2, v3"]),
]  # fmt: skip


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """Check a file; its exit code, and what was said without the name of the folder."""
    (tmp_path / "bars.csv").write_text("ts\n")
    monkeypatch.chdir(tmp_path)

    def check(kind, text):
        file = tmp_path / f"{kind}.yaml"
        file.write_text(text)
        try:
            main(["config", "check", file.name])
        except SystemExit as ended:
            return ended.code, capsys.readouterr().err
        return 0, capsys.readouterr().err

    return check


@pytest.mark.parametrize("kind", GOOD)
def test_the_files_are_good_before_the_mistake(checked, kind):
    assert checked(kind, GOOD[kind]) == (0, "")


@pytest.mark.parametrize(("kind", "old", "new", "at", "says"), MISTAKES, ids=[f"{one[0]}-{one[2]}" for one in MISTAKES])
def test_a_mistake_is_refused_with_its_place_and_a_remedy(checked, kind, old, new, at, says):
    assert GOOD[kind].count(old) >= 1
    code, said = checked(kind, GOOD[kind].replace(old, new, 1))
    assert code == 2
    assert said.startswith(f"error: {kind}.yaml:{at}"), said
    assert not said.removeprefix(f"error: {kind}.yaml:{at}")[0].isdigit()
    for one in says:
        assert one in said
    assert len(said.splitlines()) == 1
    assert "canary" not in said


def test_two_mistakes_are_told_at_once_each_with_its_line(checked):
    _, said = checked("run", RUN.replace("10000 USDT", "ten").replace("name: main", "nmae: main"))
    assert [line.split(" ")[1] for line in said.splitlines()] == ["run.yaml:4:1", "run.yaml:17:3"]
