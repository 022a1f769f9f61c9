"""The commands that read other services' signals: a dry run tells what would become of one, and changes nothing."""

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from trader import cli
from trader.adapters.foreign import Foreign
from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.payloads import Payloads
from trader.cli_shared import state_of
from trader.ports import Message
from trader.runtime.inbox import Inbox, Rules

CONFIG = """\
version: 1
name: paper
capital: 1000
assets: [BTC/USDT, ETH/USDT]
strategy: {name: FollowSignal, parameters: {}}
limits: {weight_per_asset: 60%}
state: state
"""
ALERT = {"ticker": "BINANCE:BTCUSDT", "action": "buy", "time": "2024-03-12T10:15:02Z", "secret": "top-secret-word"}
AT = ("--at", "2024-03-12T10:15:10")


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run `trader signal` in this process; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(CONFIG)
    (tmp_path / "alert.json").write_text(json.dumps(ALERT))

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["signal", *arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


class Clock:
    def now(self):
        return datetime(2024, 3, 12, 10, 15, 5, tzinfo=UTC)

    def monotonic(self):
        return 0.0


async def nobody():
    pass


async def heard(path):
    """The run heard the alert before: its own inbox kept it in its own journal."""
    path.mkdir(parents=True)
    journal = SqliteJournal(path / "journal.db")
    await journal.take("test", seconds=60)
    assets = frozenset({"BTC/USDT", "ETH/USDT"})
    inbox = Inbox(Payloads().read, journal, Clock(), assets=assets, rules=Rules(), price=lambda _asset: None)
    message = (
        Foreign()
        .read(json.dumps(ALERT).encode(), secrets={}, universe=sorted(assets), received_at=Clock().now())
        .message
    )
    taken = await inbox.take(Message("webhook", "", message, nobody))
    await journal.append([*taken.receipts, taken.publication])
    await journal.close()


def test_a_payload_is_explained_from_recognition_to_the_door(run):
    code, out, _ = run("explain-payload", "alert.json", "--config", "run.yaml", *AT)
    assert code == 0
    for part in (
        "recognised as tradingview",
        "BINANCE:BTCUSDT is BTC/USDT",
        '"value": 1.0',
        "key: tradingview/",
        "it would be handled",
    ):
        assert part in out
    assert "top-secret-word" not in out


def test_what_came_before_is_a_duplicate_and_nothing_is_written(run, tmp_path):
    folder = state_of(tmp_path / "run.yaml")
    asyncio.run(heard(folder))
    before = {path: path.read_bytes() for path in folder.iterdir() if path.suffix == ".db"}
    code, out, _ = run("explain-payload", "alert.json", "--config", "run.yaml", *AT)
    assert (code, "at the door: duplicate" in out) == (4, True)
    later = json.dumps({**ALERT, "time": "2024-03-12T10:15:04Z"})
    (tmp_path / "alert.json").write_text(later)
    assert run("explain-payload", "alert.json", "--config", "run.yaml", *AT)[0] == 0
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.suffix == ".db"}


def test_the_rules_of_the_run_decide(run):
    code, out, _ = run("explain-payload", "alert.json", "--config", "run.yaml", "--at", "2024-03-12T10:45", "--json")
    found = json.loads(out)
    assert (code, found["outcome"], found["format"]) == (4, "expired", "tradingview")
    assert found["message"]["signals"] == [{"asset": "BTC/USDT", "kind": "trading_signal", "value": 1.0}]
    assert timedelta(0) == datetime.fromisoformat(found["claimed_at"]) - datetime(2024, 3, 12, 10, 15, 2, tzinfo=UTC)


def test_a_buy_becomes_what_the_strategy_of_the_run_reads(run, tmp_path):
    (tmp_path / "run.yaml").write_text(CONFIG.replace("parameters: {}", "parameters: {kind: my_flip}"))
    arguments = ("explain-payload", "alert.json", "--config", "run.yaml", *AT, "--json")
    assert json.loads(run(*arguments)[1])["message"]["signals"][0]["kind"] == "my_flip"
    assert json.loads(run(*arguments, "--kind", "other")[1])["message"]["signals"][0]["kind"] == "other"


def test_what_is_no_signal_says_what_was_looked_for(run, tmp_path):
    (tmp_path / "alert.json").write_text("hello")
    code, _, err = run("explain-payload", "alert.json")
    assert code == 4
    assert "malformed: no format fits; looked for: trader" in err
    code, out, _ = run("explain-payload", "alert.json", "--json")
    assert (code, json.loads(out)["outcome"]) == (4, "malformed")


def test_a_secret_is_compared_and_never_shown(run, tmp_path):
    (tmp_path / "secret").write_text("top-secret-word\n")
    code, out, _ = run("explain-payload", "alert.json", "--secret-file", "secret", *AT)
    assert (code, "the secret in the body is right" in out, "top-secret-word" in out) == (0, True, False)
    (tmp_path / "secret").write_text("another")
    code, _, err = run("explain-payload", "alert.json", "--secret-file", "secret", *AT)
    assert (code, "unauthenticated" in err, "another" in err.replace("is not one", "")) == (4, True, False)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("missing.json",), "missing.json: No such file"),
        (("alert.json", "--format", "telegram"), "allowed are trader, 3commas"),
        (("alert.json", "--at", "soon"), "--at 'soon'"),
        (("alert.json", "--secret-file", "none"), "--secret-file none"),
        (("alert.json", "--config", "none.yaml"), "none.yaml"),
    ],
)
def test_bad_input_is_one_line_with_a_remedy(run, arguments, part):
    code, _, err = run("explain-payload", *arguments)
    assert (code, part in err) == (2, True)


def test_a_template_can_be_pasted_and_read_back(run, monkeypatch):
    code, out, err = run("template", "tradingview")
    assert code == 0
    assert json.loads(out)["ticker"] == "{{exchange}}:{{ticker}}"
    assert "position" in err
    _, example, _ = run("template", "3commas", "--example")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(example.encode())))
    assert "recognised as 3commas" in run("explain-payload", "-", *AT)[1]
    assert "freqtrade" in run("template")[1]
    assert run("template", "telegram")[0] == 2
