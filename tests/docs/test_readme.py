"""What the documents show works: every Python block runs, every command exists, every link leads somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if blocks(name, "python")])
def test_python_blocks_run_in_order(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    for block in blocks(name, "python"):
        exec(compile(block, name, "exec"), names)


@pytest.mark.parametrize("name", NAMES)
def test_commands_exist(name):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for block in blocks(name, "(?:sh|console)"):
        for line in block.splitlines():
            words = [
                word for word in shlex.split(line.removeprefix("$ "), comments=True) if not word.startswith("TRADER_")
            ]
            if words[:1] == ["make"]:
                assert {word for word in words[1:] if "=" not in word} <= targets, line
            if words[:1] == ["trader"]:
                check_command(words, line)


def check_command(words: list[str], line: str) -> None:
    if words[1].startswith("-"):
        assert words[1] in {"--version", "--help"}, line
        return
    named = words[1:3] if words[1] in {"signal", "journal", "data", "ratings", "assets", "config"} else words[1:2]
    done = subprocess.run(
        [sys.executable, "-m", "trader.cli", *named, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, line
    for word in words[2:]:
        if word.startswith("--"):
            assert word in done.stdout, line
        if word.startswith("config/") and words[words.index(word) - 1] != ">":
            assert (ROOT / word).exists(), line


@pytest.mark.parametrize("name", NAMES)
def test_yaml_blocks_are_good_configurations(name, tmp_path):
    from strategies import load
    from trader.settings import load_backtest

    for number, block in enumerate(blocks(name, "yaml")):
        if not block.startswith("version:"):
            continue
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        for given in re.findall(r"[\w/]+\.(?:csv|parquet)", block):
            (tmp_path / given).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / given).touch()
        settings, _ = load_backtest(file)
        if ":" not in settings.strategy.name:
            load(settings.strategy.name, settings.strategy.parameters)


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


def test_every_bundled_strategy_is_listed():
    from strategies import registry

    page = (ROOT / "docs" / "strategies.md").read_text()
    assert [name for name in registry() if f"| `{name}` |" not in page] == []


def test_every_rule_has_its_number():
    numbers = re.findall(r"^\*\*(\d+)\. ", (ROOT / "docs" / "rules.md").read_text(), flags=re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 39)]
