"""`trader sweep` and `trader validate` as a user meets them: what they print and write, and errors with file and line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.services.parts import full

ROOT = Path(__file__).parents[1]
GOOD = """\
version: 1
data:
  sample: 1h
strategy:
  name: RatingBand
  parameters: {kind: derived_trader, size: 10%}
sweep:
  method: random
  runs: 12
  seed: 3
  objectives: [sharpe, -turnover]
  space:
    enter: {from: 50, to: 90, step: 5}
    leave: {from: 10, to: 45}
    size: [5%, 10%]
  validation: {folds: 3, groups: 4, tests: 2, fills: 3}
"""


def trader(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "trader.cli", *arguments], cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def write(folder, text=GOOD):
    file = folder / "s.yaml"
    file.write_text(text)
    return file


@pytest.mark.slow
def test_a_sweep_writes_rows_json_and_page_and_goes_on(tmp_path):
    write(tmp_path)
    done = trader("sweep", "s.yaml", "--json", "s.json", "--report", "s.html", "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "s.json").read_text())
    assert (said["fresh"], said["states"]["done"]) == (12, 12)
    assert said["verdict"]["tried"]["here"] == 12
    rows = pd.read_parquet(tmp_path / "studies/s/results.parquet")
    assert len(rows) == 12
    assert set(rows["size"]) <= {0.05, 0.1}
    assert said["finalists"][0]["stats"]["sharpe"] in set(rows["sharpe"])
    page = (tmp_path / "s.html").read_text()
    for part in ("Heat map", "Parallel coordinates", "Stability of the optimum", "Finalists"):
        assert part in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    again = trader("sweep", "s.yaml", "--json", "-", cwd=tmp_path)
    assert json.loads(again.stdout)["fresh"] == 0
    refused = trader("sweep", "s.yaml", "--no-resume", cwd=tmp_path)
    assert refused.returncode == 2
    assert "holds a study already" in refused.stderr
    write(tmp_path, GOOD.replace("sample: 1h", "sample: 1h\n  until: 2023-01-01"))
    other = trader("sweep", "s.yaml", cwd=tmp_path)
    assert other.returncode == 3
    assert "the tape differs" in other.stderr
    assert "name another folder" in other.stderr


@pytest.mark.slow
@full
def test_validate_goes_on_with_the_sweep(tmp_path):
    write(tmp_path)
    assert trader("sweep", "s.yaml", cwd=tmp_path).returncode == 0
    done = trader("validate", "s.yaml", "--json", "v.json", "--report", "v.html", "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "v.json").read_text())
    assert said["fresh"] == 0
    assert [len(one["steps"]) for one in said["validation"]["walk_forward"]] == [3, 3]
    assert len(said["validation"]["combinatorial"]["choices"]) == 6
    assert len(said["validation"]["fills"]) == 3
    for words in (
        "walk-forward, anchored",
        "walk-forward, rolling",
        "combinatorial, purged",
        "order of",
        "other fills",
    ):
        assert words in done.stdout
    assert "Walk-forward, rolling" in (tmp_path / "v.html").read_text()


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("enter: {from: 50, to: 90, step: 5}", "entre: {from: 50, to: 90}", 13, "did you mean enter?"),
        ("{from: 10, to: 45}", "{from: 10, too: 45}", 14, "did you mean to?"),
        ("{from: 10, to: 45}", "{from: 45, to: 10}", 14, "from must be under to"),
        ("{from: 10, to: 45}", "{from: 10, to: 45, step: 90}", 14, "step"),
        ("{from: 10, to: 45}", "[]", 14, "the list is empty"),
        ("{from: 10, to: 45}", "12", 14, "a list of values"),
        ("method: random", "method: randon", 8, "did you mean random?"),
        ("method: random", "method: grid", 7, "runs: is for random and optuna"),
        ("  runs: 12\n", "", 7, "needs runs"),
        ("[sharpe, -turnover]", "[]", 11, "a figure such as sharpe"),
        ("seed: 3", "seed: -3", 10, "a whole number from 0 up"),
        ("tests: 2", "tests: 4", 16, "must be under groups"),
        ("seed: 3", "sead: 3", 10, "did you mean seed?"),
        ("leave: {from: 10, to: 45}", "leave: [95, 96]", 12, "no point of it makes a strategy"),
        ("kind: derived_trader", "kind: derived_trade", 6, "derived_trader"),
        ("[sharpe, -turnover]", "[sharp]", 11, "did you mean sharpe?"),
    ],
)
def test_errors_name_file_and_line(tmp_path, old, new, line, said):
    assert old in GOOD
    write(tmp_path, GOOD.replace(old, new))
    done = trader("sweep", "s.yaml", "--workers", "1", cwd=tmp_path)
    assert done.returncode == 2, done.stderr + done.stdout
    assert f"s.yaml:{line}:" in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_without_a_section_says_what_to_write(tmp_path):
    done = trader("sweep", str(ROOT / "config/backtest.yaml"), cwd=tmp_path)
    assert done.returncode == 2
    assert "sweep: is missing" in done.stderr


def test_a_backtest_passes_the_section_over(tmp_path):
    write(tmp_path, GOOD.replace("size: 10%}", "size: 10%, enter: 70, leave: 40}"))
    done = trader("backtest", "s.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@full
def test_without_a_scheduler_it_ends_with_a_remedy(tmp_path):
    pytest.importorskip("distributed")
    write(tmp_path)
    done = trader("sweep", "s.yaml", "--cluster", "tcp://127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == 3
    assert "start one: dask scheduler" in done.stderr
    assert "Traceback" not in done.stderr
