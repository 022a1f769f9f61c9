"""Settings: what a file may say, and the one clear error for everything it may not."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trader.core.costs import Costs
from trader.core.risk import Limits
from trader.settings import Backtest, CostsChoice, LimitsChoice, SettingsError, load_backtest

ROOT = Path(__file__).parents[1]
GOOD = "version: 1\ndata: {sample: 1d}\nstrategy: {name: TopRated}\n"


def load(tmp_path: Path, text: str | bytes) -> Backtest:
    file = tmp_path / "backtest.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_backtest(file)[0]


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("name", ["backtest.yaml", "backtest-rules.yaml"])
def test_bundled_files_are_good(name):
    settings, _ = load_backtest(ROOT / "config" / name)
    assert settings.version == 1


def test_defaults_are_those_of_the_core():
    assert Costs(**CostsChoice().model_dump()) == Costs()
    assert Limits(**LimitsChoice().model_dump()) == Limits()
    assert set(CostsChoice.model_fields) == {field.name for field in dataclasses.fields(Costs)}
    assert set(LimitsChoice.model_fields) == {field.name for field in dataclasses.fields(Limits)}


def test_percents_are_shares(tmp_path):
    text = GOOD + "costs: {fee: 0.2%, participation: 10 %}\nlimits: {drawdown: 25%}\n"
    settings = load(tmp_path, text)
    assert (settings.costs.fee, settings.costs.participation) == (0.002, 0.1)
    assert settings.limits is not None
    assert settings.limits.drawdown == 0.25
    nested = load(tmp_path, GOOD.replace("TopRated", "TopRated, parameters: {stop: 10%, exits: [{fall_by: 5%}]}"))
    assert nested.strategy.parameters == {"stop": 0.1, "exits": [{"fall_by": 0.05}]}


def test_instants_are_utc(tmp_path):
    settings = load(tmp_path, GOOD.replace("1d}", "1d, since: 2024-01-31, until: 2024-03-01T06:00:00+02:00}"))
    assert settings.data.since == datetime(2024, 1, 31, tzinfo=UTC)
    assert settings.data.until == datetime(2024, 3, 1, 4, tzinfo=UTC)


def test_yaml_is_1_2_so_a_ticker_named_on_stays_a_name(tmp_path):
    assert load(tmp_path, GOOD.replace("1d}", "1d, assets: [ON, NO]}")).data.assets == ("ON", "NO")


def test_paths_count_from_the_folder_of_the_file(tmp_path):
    (tmp_path / "bars.csv").write_text("ts\n")
    settings = load(
        tmp_path,
        GOOD.replace("sample: 1d", "bars: bars.csv").replace("TopRated", "mine.py:Mine") + "report: out.html\n",
    )
    assert settings.data.bars == (tmp_path / "bars.csv",)
    assert settings.report == tmp_path / "out.html"
    assert settings.strategy.name == f"{tmp_path}/mine.py:Mine"


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("cach: 1", ["backtest.yaml:4:1", "cach", "unknown key", "did you mean cash?"]),
        ("costs: {fe: 1%}", ["backtest.yaml:4:9", "costs.fe", "did you mean fee?", "half_spread"]),
        ("costs: {fee: 20}", ["backtest.yaml:4:9", "costs.fee = 20", "from 0 up to 1"]),
        ("costs: {fee: true}", ["costs.fee = True", "from 0 up to 1"]),
        ("costs: {fee: .nan}", ["costs.fee = nan", "from 0 up to 1"]),
        ("costs: {participation: 0}", ["costs.participation = 0", "over 0 up to 1"]),
        ("costs: {fee_on_buy: qoute}", ["costs.fee_on_buy = 'qoute'", "did you mean quote?", "received"]),
        ("costs: 3", ["backtest.yaml:4:1", "costs = 3", "mapping"]),
        ("costs:", ["costs", "mapping"]),
        ("cash: lots", ["backtest.yaml:4:1", "cash = 'lots'", "finite amount over 0"]),
        ("cash: .nan", ["cash = nan"]),
        ("cash: .inf", ["cash = inf"]),
        ("cash: -1", ["cash = -1"]),
        ("cash: 10%", ["cash = '10%'"]),
        ("latency: soon", ["latency = 'soon'", "duration", "15m"]),
        ("latency: 5", ["latency = 5", "duration"]),
        ("exits: restign", ["exits = 'restign'", "did you mean resting?", "next_open"]),
        ("limits: {open_orders: 1.5}", ["limits.open_orders = 1.5", "whole number"]),
        ("limits: {drawdwon: 10%}", ["limits.drawdwon", "did you mean drawdown?"]),
        ("report: 3", ["report = 3", "path"]),
        ("_env_file: x", ["_env_file", "unknown key"]),
        ("1: 2", ["backtest.yaml:4:1", "key 1 is not a text"]),
        ("cash: 1\ncash: 2", ["backtest.yaml:5:1", "duplicate key"]),
        ("costs: [1, 2", ["backtest.yaml:5", "not valid YAML"]),
        ("cash: !!python/object/apply:os.getcwd []", ["cash", "finite amount"]),
    ],
)
def test_a_wrong_line_is_named_with_what_is_allowed(tmp_path, line, parts):
    said = refusal(tmp_path, GOOD + line + "\n")
    for part in parts:
        assert part in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ("sample: 2d", ["data.sample = '2d'", "1d, 1h"]),
        ("{}", ["exactly one of sample: and bars:"]),
        ("sample: 1d, delay: 1d", ["remove delay"]),
        ("sample: 1d, since: 2024-02-01, until: 2024-01-01", ["2024-02-01", "not before until 2024-01-01"]),
        ("sample: 1d, since: yesterday", ["data.since = 'yesterday'", "2024-01-31"]),
        ("sample: 1d, assets: []", ["list of asset names"]),
        ("sample: 1d, assets: [BTC, BTC]", ["BTC stands twice"]),
        ("bars: bras.csv", ["data.bars", "bras.csv", "did you mean bars.csv?"]),
        ("bars: bars.csv, columns: [ts]", ["data.columns", "mapping"]),
    ],
)
def test_wrong_data_is_named(tmp_path, data, parts):
    (tmp_path / "bars.csv").write_text("ts\n")
    said = refusal(tmp_path, GOOD.replace("{sample: 1d}", data if data == "{}" else f"{{{data}}}"))
    assert all(part in said for part in ["backtest.yaml:2", *parts]), said


def test_missing_keys_are_named_with_what_to_write(tmp_path):
    said = refusal(tmp_path, "version: 1\nstrategy: {parameters: {}}\n")
    assert "data is missing; write data:" in said
    assert "strategy.name is missing" in said
    assert "trader strategies" in said


def test_every_problem_is_told_at_once(tmp_path):
    assert len(refusal(tmp_path, GOOD + "cash: x\nlatency: y\nexits: z\n").splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        ("- 1", "must be a mapping"),
        ("just words", "must be a mapping"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        ("a: \x01", "cannot be read as YAML"),
        ("a: " + "[" * 1500, "nested too deeply"),
        ("version: 1\na: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
        ), "look for an alias"),
        ("a: 2024-13-45", "cannot be read as YAML"),
        (b"a: " + b"x" * 1_000_001, "larger than"),
        ("---\na: 1\n---\nb: 1\n", "another document"),
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_refused_in_one_line(tmp_path, text, part):
    said = refusal(tmp_path, text)
    assert said.startswith("backtest.yaml")
    assert part in said


def test_a_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "other.yaml").write_text(GOOD)
    with pytest.raises(SettingsError, match=r"no such file; there are .*other\.yaml"):
        load_backtest(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_backtest(tmp_path)


def test_the_environment_overrides_single_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("TRADER_COSTS__FEE", "0.1%")
    monkeypatch.setenv("TRADER_CASH", "500")
    monkeypatch.setenv("TRADER_STRATEGY__PARAMETERS__TOP", "3")
    settings = load(
        tmp_path, GOOD.replace("TopRated", "TopRated, parameters: {enter: 60}") + "costs: {half_spread: 1%}\n"
    )
    assert (settings.costs.fee, settings.costs.half_spread, settings.cash) == (0.001, 0.01, 500.0)
    assert settings.strategy.parameters == {"enter": 60, "top": 3}


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("TRADER_COSTS__FEEE", "1", ["TRADER_COSTS__FEEE is unknown", "did you mean TRADER_COSTS__FEE?"]),
        ("TRADER_CSAH", "1", ["did you mean TRADER_CASH?"]),
        ("TRADER_", "1", ["TRADER_ is unknown"]),
        ("TRADER_COSTS__FEE", "20", ["environment TRADER_COSTS__FEE", "costs.fee = 20", "from 0 up to 1"]),
        ("TRADER_CASH", "[", ["environment: TRADER_CASH", "cannot be read"]),
    ],
)
def test_a_wrong_variable_is_named(tmp_path, monkeypatch, name, value, parts):
    monkeypatch.setenv(name, value)
    said = refusal(tmp_path, GOOD)
    assert all(part in said for part in parts), said


def test_a_whole_and_a_part_of_it_are_not_both_overridden(tmp_path, monkeypatch):
    monkeypatch.setenv("TRADER_COSTS", "{fee: 1%}")
    monkeypatch.setenv("TRADER_COSTS__FEE", "2%")
    assert "TRADER_COSTS sets all of costs, and TRADER_COSTS__FEE a part of it" in refusal(tmp_path, GOOD)


def test_examples_name_the_schema_for_editors():
    for name in ("backtest.yaml", "backtest-rules.yaml"):
        first = (ROOT / "config" / name).read_text().splitlines()[0]
        assert first == "# yaml-language-server: $schema=backtest.schema.json"
    assert json.loads((ROOT / "config" / "backtest.schema.json").read_text())["additionalProperties"] is False
