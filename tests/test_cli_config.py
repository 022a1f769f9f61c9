"""`trader config`: what counts and where it came from, secrets hidden, two files compared, a first file that works."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.contracts.worlds import loopback
from trader.cli import app, main
from trader.origins import compared, effective
from trader.run_settings import load_run

ROOT = Path(__file__).parents[1]
RUN = """\
version: 1
name: shown
capital: 2_500 USDT
assets: [BTC/USDT]
strategy: {name: RatingBand, parameters: {size: {quote: 250 USDT}}}
limits: {weight_per_asset: 60%, order_notional: "1,000 USDT"}
"""


def invoke(*words, code=0):
    answer = CliRunner().invoke(app, [str(one) for one in words])
    assert answer.exit_code == code, answer.output
    return answer.stdout


def refused(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in words])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.fixture
def run_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    return path


def shown(path):
    return {one.key: one for one in effective(path)}


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("config/*.yaml")) + sorted(ROOT.glob("config/vendor/*.yaml")), ids=lambda one: one.name
)
def test_every_example_is_checked_by_the_same_command(file):
    if file.name == "faults.yaml":
        return  # a script of the loopback, no configuration
    assert str(file) in invoke("config", "check", file)
    assert invoke("check", file) == invoke("config", "check", file)


@pytest.mark.parametrize("kind", ["run", "several", "backtest", "ratings", "import"])
def test_the_schemas_in_config_are_what_the_command_prints(kind):
    assert json.loads((ROOT / f"config/{kind}.schema.json").read_text()) == json.loads(invoke("config", "schema", kind))
    assert invoke("schema", kind) == invoke("config", "schema", kind)


@pytest.mark.parametrize("kind", ["run", "backtest", "ratings", "import"])
def test_a_schema_has_only_words_that_editors_know(kind):
    schema = json.loads((ROOT / f"config/{kind}.schema.json").read_text())
    found = {key for node in nodes(schema) if "type" in node for key in node}
    assert not found & {"ge", "le", "gt", "lt", "max_length", "min_length"}
    ports = [node["port"] for node in nodes(schema) if "port" in node]
    assert all((one["minimum"], one["maximum"]) == (1, 65_535) for one in ports)
    assert len(ports) == (2 if kind == "run" else 0)


def nodes(value):
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(one)


def test_every_example_names_a_schema_that_is_there():
    for file in [*ROOT.glob("config/*.yaml"), *ROOT.glob("config/vendor/*.yaml")]:
        if file.name != "faults.yaml":
            found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text())
            assert found, file
            assert (file.parent / found[1]).is_file(), file


def test_money_may_name_its_currency_and_no_other(run_file):
    settings, strategy = load_run(run_file)
    assert (settings.capital, settings.limits.order_notional) == (2_500.0, 1_000.0)
    assert strategy.size.amount == 250.0


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [("2_500 USDT", "2500 EUR", "run.yaml:3:1 capital"), ("250 USDT", "250 BTC", "run.yaml:5:1 strategy")],
)
def test_another_currency_is_refused_with_its_place(run_file, capsys, old, new, where):
    run_file.write_text(RUN.replace(old, new))
    said = refused(capsys, "config", "check", run_file)
    assert where in said
    assert f"{new[-3:]} is another money; money is counted in USDT here" in said


def test_each_value_is_shown_with_where_it_came_from(run_file, monkeypatch):
    monkeypatch.setenv("TRADER_COSTS__FEE", "0.1%")
    monkeypatch.setenv("TRADER_EXECUTION", "{collar: 2%}")
    rows = shown(run_file)
    found = {key: (rows[key].value, rows[key].origin) for key in (
        "capital", "limits.weight_per_asset", "costs.fee", "costs.half_spread", "execution.collar", "execution.validity",
        "strategy.parameters.size.quote",
    )}  # fmt: skip
    assert found == {
        "capital": (2_500.0, f"{run_file}:3:1"),
        "limits.weight_per_asset": (0.6, f"{run_file}:6:10"),
        "costs.fee": (0.001, "environment TRADER_COSTS__FEE"),
        "costs.half_spread": (0.0005, "default"),
        "execution.collar": (0.02, "environment TRADER_EXECUTION"),
        "execution.validity": ("15m", "default"),
        "strategy.parameters.size.quote": (250.0, f"{run_file}:5:50"),
    }
    assert "costs.fee" in invoke("config", "show", run_file, "--changed")
    assert "costs.half_spread" not in invoke("config", "show", run_file, "--changed")


def test_no_secret_is_shown_wherever_it_comes_from(run_file, tmp_path, monkeypatch):
    (tmp_path / "gate-secret").write_text("canary-secret\n")
    (tmp_path / "mq").write_text("canary-password\n")
    monkeypatch.setenv("TRADER_ACCOUNT__KEY", "canary-key")
    run_file.write_text(
        RUN
        + "account: {secret_file: gate-secret}\nintake: {mqtt: {password_file: mq}}\njournal: postgresql://bot:canary-pg@db/trader\n"
    )
    said = invoke("config", "show", run_file) + invoke("config", "show", run_file, "--json")
    assert "canary" not in said
    rows = shown(run_file)
    mark = sha256(b"canary-key").hexdigest()[:8]
    assert (rows["account.key"].value, rows["account.key"].origin) == (
        f"*** (fingerprint {mark})",
        "environment TRADER_ACCOUNT__KEY",
    )
    assert rows["account.secret"].origin == f"secret file {tmp_path / 'gate-secret'}"
    assert rows["account.secret"].value == f"*** (fingerprint {sha256(b'canary-secret').hexdigest()[:8]})"
    assert rows["intake.mqtt.password"].value == "***"  # a password may be guessed from a fingerprint
    assert rows["journal"].value == "postgresql://bot:***@db/trader"


def test_a_vendors_key_is_hidden_too(tmp_path):
    path = tmp_path / "vendor.yaml"
    path.write_text("version: 1\nkey: canary-vendor\nassets: {BTC/USDT: 3375}\n")
    assert "canary" not in invoke("config", "show", path, "--json")
    assert shown(path)["assets.BTC/USDT.id"].value == 3375


def test_a_file_with_a_secret_that_is_not_there_is_said(run_file):
    run_file.write_text(RUN + "account: {key_file: none}\n")
    assert shown(run_file)["account.key"].value == "cannot be read: No such file or directory"


def test_two_files_are_compared_by_what_counts(run_file, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(
        RUN.replace("2_500 USDT", "3000") + "costs: {fee: 0.002}\naccount: {key: a}\n"
    )  # the fee is the default
    assert [(key, a.value, b.value) for key, a, b in compared(effective(run_file), effective(other))] == [
        ("capital", 2_500.0, 3_000.0),
        ("account.key", None, f"*** (fingerprint {sha256(b'a').hexdigest()[:8]})"),
    ]
    assert "capital: 2500.0 -> 3000.0" in invoke("config", "diff", run_file, other)
    assert (
        json.loads(invoke("config", "diff", run_file, other, "--json"))["differences"][0]["second"]["value"] == 3_000.0
    )
    assert invoke("config", "diff", run_file, run_file) == "no value differs\n"


@pytest.mark.parametrize(
    ("options", "top", "weight"),
    [
        ([], 3, 0.4),
        (["--assets", "BTC/USDT", "--capital", "50"], 1, 1.0),
        (["--assets", "A/USDT,B/USDT,C/USDT,D/USDT,E/USDT", "--venue", "mexc"], 4, 0.3),
    ],
)
def test_a_new_file_passes_its_check_and_has_its_schema(tmp_path, options, top, weight):
    path = tmp_path / "mine.yaml"
    invoke("config", "init", path, *options)
    settings, strategy = load_run(path)
    assert (settings.name, settings.venue, settings.live) == ("mine", "paper", False)
    assert (strategy.top, settings.limits.weight_per_asset) == (top, weight)
    assert (tmp_path / "run.schema.json").read_text() == (ROOT / "config/run.schema.json").read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--assets", "BTC/EUR"], "allowed are markets in USDT"),
        (["--assets", "BTC/USDT,BTC/USDT"], "stands twice"),
        (["--venue", "gaet"], "did you mean gate?"),
        (["--capital", "5 EUR"], "EUR is another money"),
        (["--capital", "-1"], "finite amount over 0"),
    ],
)
def test_a_new_file_is_not_written_from_nonsense(tmp_path, capsys, options, says):
    assert says in refused(capsys, "config", "init", tmp_path / "mine.yaml", *options)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("precious")
    assert "is there already" in refused(capsys, "config", "init", path)
    assert path.read_text() == "precious"


async def test_three_commands_from_nothing_to_a_paper_daemon(tmp_path, monkeypatch):
    async with loopback("gate") as it:
        monkeypatch.setenv("TRADER_ACCOUNT__URL", it.server.url)
        trader = [sys.executable, "-m", "trader.cli"]
        for words in (
            ["config", "init", tmp_path / "bot.yaml", "--assets", "BTC/USDT,ETH/USDT"],
            ["config", "check", tmp_path / "bot.yaml"],
        ):
            subprocess.run([*trader, *words], cwd=ROOT, check=True, capture_output=True)  # noqa: ASYNC221 - nothing else runs yet
        daemon = subprocess.Popen([*trader, "run", tmp_path / "bot.yaml"], cwd=ROOT, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
        try:
            said = ""
            end = time.monotonic() + 90
            while "active" not in said and time.monotonic() < end:
                await asyncio.sleep(0.3)
                asked = await asyncio.create_subprocess_exec(
                    *trader, "status", str(tmp_path / "bot.yaml"), cwd=ROOT, stdout=-1, stderr=-3
                )
                said = (await asked.communicate())[0].decode()
            assert re.search(r"state +active", said), said
        finally:
            daemon.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(daemon.wait, 20) == 0
