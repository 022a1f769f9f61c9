"""What the documents show works: every Python block runs, every command exists, every link leads somewhere."""

import io
import re
import shlex
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from tests.services.parts import full
from trader.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LONG = "docs/sweeps.md"
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=full if name == LONG else ()) for name in NAMES if blocks(name, "python")]
)
def test_python_blocks_run_in_order(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    for block in blocks(name, "python"):
        exec(compile(block, name, "exec"), names)


@pytest.mark.parametrize("name", NAMES)
def test_commands_exist(name):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for block in blocks(name, "(?:sh|console)"):
        for line in block.splitlines():
            words = [
                word for word in shlex.split(line.removeprefix("$ "), comments=True) if not word.startswith("TRADER_")
            ]
            if words[:1] == ["make"]:
                assert {word for word in words[1:] if "=" not in word} <= targets, line
            if words[:1] == ["trader"]:
                check_command(words, line)


@cache
def help_of(*words: str) -> str:
    """What a command says of itself."""
    said = io.StringIO()
    with redirect_stdout(said), pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert not ended.value.code, words
    return said.getvalue()


def check_command(words: list[str], line: str) -> None:
    if words[1].startswith("-"):
        assert words[1] in {"--version", "--help"}, line
        return
    named = (
        words[1:3]
        if words[1] in {"signal", "journal", "data", "ratings", "assets", "config", "incident"}
        else words[1:2]
    )
    shown = help_of(*named)
    for word in words[2:]:
        if word.startswith("--"):
            assert word in shown, line
        if word.startswith("config/") and words[words.index(word) - 1] != ">":
            assert (ROOT / word).exists(), line


@pytest.mark.parametrize("name", NAMES)
def test_yaml_blocks_are_good_configurations(name, tmp_path):
    from strategies import load
    from trader.settings import load_backtest
    from trader.several_settings import load_setup

    for number, block in enumerate(blocks(name, "yaml")):
        if not block.startswith("version:"):
            continue
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        for given in re.findall(r"[\w/]+\.(?:csv|parquet)", block):
            (tmp_path / given).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / given).touch()
        chosen = (
            [one.settings.strategy for one in load_setup(file).mounts]
            if "\ncapital:" in block
            else [load_backtest(file)[0].strategy]
        )
        for one in chosen:
            if ":" not in one.name:
                load(one.name, one.parameters)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", (ROOT / name).read_text()):
        if not link.startswith(("http://", "https://")):
            assert ((ROOT / name).parent / link).exists(), f"{name}: {link}"


def test_every_figure_is_defined():
    from backtests import replay, sample
    from strategies import TopRated

    page = (ROOT / "docs" / "backtesting.md").read_text()
    stats = replay(TopRated(kind="derived_trader", every="1w"), sample("1d")).stats
    assert [name for name in stats if f"`{name}`" not in page] == []


def test_every_key_of_a_backtest_is_explained():
    from trader.settings import Backtest, CostsChoice, Data, LimitsChoice

    page = (ROOT / "docs" / "backtesting.md").read_text()
    names = [*Backtest.model_fields, *Data.model_fields, *CostsChoice.model_fields, *LimitsChoice.model_fields]
    assert [name for name in names if not re.search(rf"`(?:\w+\.)?{name}[`.]", page)] == []


def test_every_key_of_a_sweep_is_explained():
    from trader.sweep_settings import SweepChoice, ValidationChoice

    page = (ROOT / "docs" / "sweeps.md").read_text()
    assert [
        name for name in (*SweepChoice.model_fields, *ValidationChoice.model_fields) if f"`{name}`" not in page
    ] == []


def test_every_key_of_notify_is_explained():
    from trader import notify_settings as layout

    page = (ROOT / "docs" / "notifications.md").read_text()
    parts = (
        layout.NotifyChoice,
        layout.AlarmsChoice,
        layout.NotifyTarget,
        layout.Heartbeat,
        layout.TelegramChoice,
        layout.DiscordChoice,
    )
    names = [name for part in parts for name in part.model_fields]
    assert [name for name in names if not re.search(rf"`(?:\w+\.)?{name}[`:]", page)] == []


def test_parts_for_notify_are_good_configurations(tmp_path):
    from trader.run_settings import load_run

    found = [one for one in blocks("docs/notifications.md", "yaml") if one.startswith("notify:")]
    assert len(found) == 3
    for block in found:
        (tmp_path / "run.yaml").write_text((ROOT / "config/paper.yaml").read_text() + "\n" + block)
        assert load_run(tmp_path / "run.yaml")[0].notify is not None


def test_every_bundled_strategy_is_listed():
    from strategies import registry

    page = (ROOT / "docs" / "strategies.md").read_text()
    assert [name for name in registry() if f"| `{name}` |" not in page] == []


def test_every_rule_has_its_number():
    numbers = re.findall(r"^\*\*(\d+)\. ", (ROOT / "docs" / "rules.md").read_text(), flags=re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 39)]
