"""A run as tools of the Model Context Protocol: the library's own client, over a real process, at a bot that really runs."""

import json
import os
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.services.parts import full, seen_when
from tests.test_cli_run import rehearsal, status, trader
from trader import cli

mcp = pytest.importorskip("mcp")
ROOT = Path(__file__).parents[1]
TOKEN = "0123456789abcdef0123456789abcdef"
QUESTIONS = ["status", "why", "orders", "fills", "holdings", "equity", "backtest", "audit"]
COMMANDS = ["halt", "resume", "flatten", "reconcile"]
BACKTEST = """version: 1
data: {sample: 1d, since: 2024-03-01, until: 2024-05-01}
strategy: {name: TopRated, parameters: {kind: derived_trader, top: 3, enter: 60, stop: 15%}}
cash: 10000
"""
PAPER = """version: 1
name: paper
capital: 1000
assets: [BTC/USDT]
strategy: {name: FollowSignal, parameters: {}}
limits: {weight_per_asset: 60%}
state: state
"""
__all__ = ["rehearsal"]  # a fixture


@asynccontextmanager
async def client_of(path, *more):
    server = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "trader.cli", "mcp", str(path), *map(str, more)],
        cwd=str(ROOT),
        env=dict(os.environ),
    )
    async with mcp.Client(server) as client:
        yield client


async def asked(client, name, **arguments):
    """What a tool says, as a value; its text where it is an error."""
    found = await client.call_tool(name, arguments)
    (content,) = found.content
    assert len(content.text) < 30_000
    return content.text if found.is_error else json.loads(content.text)


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "mcp.token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def paper(tmp_path):
    path = tmp_path / "paper.yaml"
    path.write_text(PAPER)
    (tmp_path / "backtest.yaml").write_text(BACKTEST)
    return path


@full
async def test_a_bot_that_runs_is_asked_and_does_nothing_it_was_not_allowed(rehearsal, tmp_path, token):
    path, _, _ = rehearsal
    seen_when(lambda: status(path).get("state") == "active")
    trader("signal", "send", path, "BTC/USDT=85", "ETH/USDT=20", "--kind", "trader_grade", "--id", "one")
    seen_when(lambda: "BTC/USDT" in status(path)["holdings"] and not status(path)["orders"])
    async with client_of(path) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == QUESTIONS
        assert all(tool.annotations.read_only_hint for tool in tools.values())
        assert (await asked(client, "status"))["state"] == "active"
        story = await asked(client, "why", key="one")
        assert (story["key"], story["outcome"]) == ("cli/one", "traded")
        assert [
            word
            for word in ("received", "decided", "ordered", "filled")
            if not any(word in line for line in story["story"])
        ] == []
        assert (await asked(client, "why"))["newest"] == [{"key": "cli/one", "outcome": "traded"}]
        (order,) = (await asked(client, "orders"))["newest"]
        assert (order["asset"], order["side"], order["state"]) == ("BTC/USDT", "buy", "closed: filled")
        (fill,) = (await asked(client, "fills"))["newest"]
        assert fill["order"] == order["order"]
        assert list(await asked(client, "holdings")) == ["BTC/USDT"]
        assert "no signal has" in await asked(client, "why", key="another")
        assert "1 to 200" in await asked(client, "orders", last=1_000)
        assert await is_refused(client, "halt", token=TOKEN, why="lunch")
    assert status(path)["state"] == "active"
    async with client_of(path, "--allow-control", "--token-file", token) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == QUESTIONS + COMMANDS
        assert "nothing was done" in await asked(client, "flatten", token="x" * 32)
        assert status(path)["state"] == "active"
        halted = await asked(client, "halt", token=TOKEN, why="lunch", key="k1")
        assert (halted["done"], status(path)["state"]) == ("halt", "halted")
        assert (await asked(client, "halt", token=TOKEN, why="lunch", key="k1"))["done"] == "already"
        assert (await asked(client, "resume", token=TOKEN))["done"] == "resume"
        assert (await asked(client, "flatten", token=TOKEN))["done"] == "flatten"
        seen_when(lambda: not status(path)["holdings"])
    taken = [json.loads(line) for line in trader("journal", "facts", path, "--kind", "CommandTaken").splitlines()]
    assert [(one["command"], one["argument"]) for one in taken] == [
        ("halt", "mcp: lunch"),
        ("resume", "mcp"),
        ("flatten", "mcp"),
    ]
    assert TOKEN not in (tmp_path / "log").read_text()


async def is_refused(client, name, **arguments):
    """A tool that is not there is an error, in the protocol's words or as the call's."""
    try:
        return (await client.call_tool(name, arguments)).is_error
    except mcp.MCPError:
        return True


@pytest.mark.slow
async def test_without_a_bot_the_questions_say_so_and_backtests_run(paper, tmp_path):
    async with client_of(paper) as client:
        assert "the bot is not running" in await asked(client, "status")
        assert "nothing was run" in await asked(client, "orders")
        found = await asked(client, "backtest", file="backtest.yaml")
        assert found["strategy"]["name"] == "TopRated"
        assert found["stats"]
        assert "equity" not in found
        (tmp_path / "wrong.yaml").write_text(BACKTEST.replace("TopRated", "TopRatted"))
        assert "TopRated" in await asked(client, "backtest", file="wrong.yaml")
        for file in ("../secret.yaml", str(ROOT / "config" / "backtest.yaml"), "none.yaml", "mcp.token"):
            assert "name one that lies beside the configuration: backtest.yaml, paper.yaml" in await asked(
                client, "backtest", file=file
            )


@full
async def test_an_audit_in_short(paper):
    async with client_of(paper) as client:
        found = await asked(client, "audit", file="backtest.yaml")
        assert found["verdict"]
        assert found["reasons"]
        assert [one["name"] for one in found["delays"]][:2] == ["on its own day", "as given"]
        assert not {"assets", "bootstrap", "curves"} & set(found)


@pytest.mark.slow
async def test_commands_are_off_after_some_wrong_tokens(paper, token):
    async with client_of(paper, "--allow-control", "--token-file", token) as client:
        for _ in range(5):
            assert "not that of the token file" in await asked(client, "resume", token="y" * 32)
        assert "switched off after 5 wrong tokens" in await asked(client, "resume", token=TOKEN)


@pytest.fixture
def refused(capsys):
    """Run `trader mcp` in this process, where it must not begin to serve; gives exit code and what it says."""

    def command(*words):
        with pytest.raises(SystemExit) as ended:
            cli.main(["mcp", *map(str, words)])
        return ended.value.code, capsys.readouterr().err

    return command


def test_who_may_act_must_have_a_token_of_its_own(refused, paper, token, tmp_path):
    assert "needs --token-file as well" in refused(paper, "--allow-control")[1]
    assert "needs --allow-control as well" in refused(paper, "--token-file", token)[1]
    assert "openssl rand" in refused(paper, "--allow-control", "--token-file", tmp_path / "none")[1]
    token.chmod(0o644)
    code, error = refused(paper, "--allow-control", "--token-file", token)
    assert (code, "chmod 600" in error) == (4, True)
    token.chmod(0o600)
    token.write_text("short")
    assert "at least 24" in refused(paper, "--allow-control", "--token-file", token)[1]


def test_the_page_has_every_tool():
    from trader.mcp_server import House, tools_of

    page = (ROOT / "docs" / "mcp.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE) == QUESTIONS
    assert [tool.__name__ for tool, is_reading in tools_of(House(Path("run.yaml"))) if is_reading] == QUESTIONS
    assert [
        tool.__name__ for tool, is_reading in tools_of(House(Path("run.yaml"), TOKEN)) if not is_reading
    ] == COMMANDS
    assert all(f"`{name}`" in page for name in COMMANDS)


def test_it_ends_with_its_input_and_says_nothing_else(paper):
    words = [sys.executable, "-m", "trader.cli", "mcp", str(paper)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, input="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_answers_are_bounded():
    from trader.mcp_server import CHARACTERS, _said

    rows = json.loads(_said({"rows": [{"n": n, "text": "x" * 500} for n in range(1_000)]}))
    assert rows["rows"][-1]["n"] == 999
    assert "older rows were left out" in rows["cut"]
    assert len(_said({"one": "x" * 1_000_000})) < CHARACTERS * 1.1
