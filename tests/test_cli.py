"""The command as people and machines meet it: output, exit codes, one clear line for each mistake."""

import errno
import html
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trader import __version__, cli, cli_backtest, output

ROOT = Path(__file__).parents[1]
HEAVY = ("numpy", "pandas", "pydantic", "ruamel", "rich", "plotly", "pyarrow", "ccxt", "backtests", "strategies")
SMALL = """version: 1
data: {sample: 1d, since: 2024-03-01, until: 2024-05-01}
strategy: {name: TopRated, parameters: {kind: derived_trader, top: 3, enter: 60, stop: 15%}}
cash: 10000
"""


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run the command in this process; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


def config(tmp_path: Path, text: str = SMALL) -> str:
    (tmp_path / "backtest.yaml").write_text(text)
    return "backtest.yaml"


def test_version(run):
    assert run("--version") == (0, f"trader {__version__}\n", "")


@pytest.mark.parametrize("arguments", [(), ("backtest",), ("strategies",), ("schema",)])
def test_help_has_examples_and_exit_codes(run, arguments):
    code, out, _ = run(*arguments, "--help")
    assert code == 0
    assert "Example" in out
    assert "trader " in out
    assert "0 done, 2 bad input, 3 not ready, 4 refused, 5 internal" in out


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom trader import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.strip() == "[]"


def test_the_two_outputs_do_not_share_stdout(run, tmp_path):
    code, out, err = run("backtest", config(tmp_path), "--json", "-", "--facts", "-")
    assert (code, out) == (2, "")
    assert "share stdout" in err
    assert "for a browser" in run("backtest", "backtest.yaml", "--report", "-")[2]


def test_backtest_prints_a_summary(run, tmp_path):
    code, out, err = run("backtest", config(tmp_path))
    assert (code, err) == (0, "")
    assert "derived from prices, not a vendor's" in out


def test_backtest_writes_json_report_and_facts(run, tmp_path):
    code, out, _ = run("backtest", config(tmp_path), "--json", "r.json", "--report", "r.html", "--facts", "f.jsonl")
    assert code == 0
    assert [f"wrote {name}" in out for name in ("r.json", "r.html", "f.jsonl")] == [True] * 3
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["version"] == 1
    assert result["strategy"] == {
        "name": "TopRated",
        "parameters": {"kind": "derived_trader", "top": 3, "enter": 60, "stop": 0.15},
    }
    assert result["data"]["label"] == "derived from prices, not a vendor's"
    assert result["equity"][-1][1] == pytest.approx(result["stats"]["final_equity"])
    assert result["stats"]["n_fills"] > 0
    facts = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert sum(fact["is"] == "Filled" for fact in facts) == result["stats"]["n_fills"]
    assert (tmp_path / "r.html").read_text().lstrip().lower().startswith("<!doctype html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["backtest.yaml", "f.jsonl", "r.html", "r.json"]


def test_json_on_stdout_is_nothing_but_json(run, tmp_path):
    code, out, err = run("backtest", config(tmp_path), "--json", "-")
    assert code == 0
    assert json.loads(out)["cash"] >= 0
    assert "not a vendor's" in err


def test_the_same_command_gives_the_same_json(run, tmp_path):
    first = run("backtest", config(tmp_path), "--json", "-")
    assert run("backtest", "backtest.yaml", "--json", "-")[1] == first[1]


def test_an_environment_variable_overrides_one_key(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TRADER_COSTS__FEE", "0%")
    _, out, _ = run("backtest", config(tmp_path), "--json", "-")
    assert json.loads(out)["assumed"]["costs"]["fee"] == 0


def test_a_report_named_in_the_file_lies_beside_it(run, tmp_path):
    code, _, _ = run("backtest", config(tmp_path, SMALL + "report: mine.html\n"))
    assert code == 0
    assert (tmp_path / "mine.html").exists()


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("top: 3", "tpo: 3", ["backtest.yaml:3:63", "parameters.tpo", "did you mean top?"]),
        ("top: 3", "top: 0", ["backtest.yaml:3", "parameters.top", "top = 0", "whole number"]),
        ("top: 3", "top: .nan", ["top = nan"]),
        ("top: 3", "exits: [{fal_by: 0.1}]", ["parameters.exits", "did you mean fall_by?"]),
        ("derived_trader", "derived_tradre", ["backtest.yaml:3", "parameters.kind", "'derived_tradre'", "did you mean derived_trader?"]),
        ("kind: derived_trader, ", "", ["backtest.yaml:3:12", "trader_grade", "there are derived_moonshot"]),
        ("TopRated", "TopRted", ["backtest.yaml:3:12", "strategy.name", "did you mean TopRated?"]),
        ("TopRated", "nowhere:Mine", ["strategy.name", "nowhere", "module:Class"]),
        ("TopRated", "mine.py:Mine", ["strategy.name", "mine.py"]),
        ("cash:", "csah:", ["backtest.yaml:4:1", "did you mean cash?"]),
        ("since: 2024-03-01", "since: 2034-03-01", ["data", "not before until"]),
        ("until: 2024-05-01", "until: 2034-05-01, assets: [BTCC/USDT]", ["backtest.yaml:2", "BTCC/USDT", "did you mean"]),
        ("since: 2024-03-01, until: 2024-05-01", "since: 2030-01-01", ["backtest.yaml:2", "no bar lies between"]),
        ("sample: 1d, since: 2024-03-01, until: 2024-05-01", "bars: none.parquet", ["backtest.yaml:2", "none.parquet", "no such file"]),
        ("sample: 1d, since: 2024-03-01, until: 2024-05-01", "bars: broken.parquet", ["backtest.yaml:2", "broken.parquet", "cannot be read"]),
        ("sample: 1d, since: 2024-03-01, until: 2024-05-01", "bars: empty.csv", ["backtest.yaml:2", "empty.csv"]),
        ("sample: 1d, since: 2024-03-01, until: 2024-05-01", "bars: bars.csv, ratings: ratings.csv", ["known_at", "delay"]),
        ("sample: 1d, since: 2024-03-01, until: 2024-05-01", "bars: twice.csv", ["twice"]),
        ("sample: 1d, since: 2024-03-01, until: 2024-05-01", "bars: bars.csv, columns: {asset: symbl}", ["symbl"]),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, old, new, parts):
    write_frames(tmp_path)
    code, out, err = run("backtest", config(tmp_path, SMALL.replace(old, new)))
    assert (code, out) == (2, ""), err
    assert len(err.splitlines()) == 1, err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for part in parts:
        assert part in err


def write_frames(folder: Path) -> None:
    head, row = "ts,asset,open,high,low,close,volume\n", "2024-01-0{}T00:00:00Z,X,1,2,1,2,5\n"
    (folder / "bars.csv").write_text(head + "".join(row.format(day) for day in range(1, 6)))
    (folder / "twice.csv").write_text(head + row.format(1) * 2)
    (folder / "empty.csv").write_text("")
    (folder / "broken.parquet").write_bytes(b"PAR1 this is none")
    (folder / "ratings.csv").write_text("asset,kind,as_of,value\nX,grade,2024-01-01T00:00:00Z,80\n")


def test_own_files_with_renamed_columns_and_an_own_strategy(run, tmp_path):
    write_frames(tmp_path)
    (tmp_path / "bars.csv").write_text((tmp_path / "bars.csv").read_text().replace("asset", "symbol"))
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from trader import Decision, Wants\n"
        "@dataclass(frozen=True)\n"
        "class Mine:\n"
        "    weight: float = 0.5\n"
        "    @property\n"
        "    def wants(self): return Wants(ratings=('grade',))\n"
        "    def decide(self, view): return Decision.exactly({a: self.weight for a in view.ratings('grade')})\n"
    )
    text = (
        "version: 1\n"
        "data: {bars: bars.csv, ratings: ratings.csv, delay: 1d, columns: {asset: symbol}}\n"
        "strategy: {name: 'mine.py:Mine', parameters: {weight: 40%}}\n"
    )
    code, out, err = run("backtest", config(tmp_path, text), "--json", "-")
    assert code == 0, err
    assert json.loads(out)["stats"]["n_fills"] == 1


def test_a_strategy_that_raises_is_named(run, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from trader import Decision, Wants\n"
        "@dataclass(frozen=True)\n"
        "class Mine:\n"
        "    wants = Wants(ratings=('derived_trader',))\n"
        "    def decide(self, view): return 1 / 0\n"
    )
    text = "version: 1\ndata: {sample: 1d, since: 2024-05-01}\nstrategy: {name: 'mine.py:Mine'}\n"
    code, out, err = run("backtest", config(tmp_path, text))
    assert (code, out) == (2, "")
    assert all(part in err for part in ("backtest.yaml:3:12", "Mine", "division by zero"))
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("none/r.json", ["--json none/r.json", "no folder none", "mkdir -p none"]),
        (".", ["--json .", "is a folder"]),
        ("/dev/null", ["no ordinary file"]),
    ],
)
def test_an_impossible_output_is_told_before_the_work(run, tmp_path, path, parts):
    code, out, err = run("backtest", config(tmp_path), "--json", path)
    assert (code, out) == (2, "")
    assert all(part in err for part in parts), err


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "r.json"
    target.write_text("old")
    monkeypatch.setattr(output.os, "fsync", full)
    with pytest.raises(output.Failure, match="No space left") as failed:
        output.write(target, "new")
    assert failed.value.code == 3
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("bactest",), "backtest"),
        (("backtest",), "config"),
        (("backtest", "none.yaml"), "no such file"),
        (("backtest", "none.yaml", "--jsn", "x"), "--json"),
        (("schema", "live"), "allowed are run, several, backtest, ratings, import and signal"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_with_a_hint(run, arguments, part):
    code, _, err = run(*arguments)
    assert code == 2
    assert part in err
    assert "Traceback" not in err


def test_our_own_mistake_is_exit_code_5_and_one_line(run, monkeypatch):
    def broken() -> list[dict[str, object]]:
        raise RuntimeError("a wheel\ncame off")

    monkeypatch.setattr("trader.bundled.listed", broken)
    code, out, err = run("strategies")
    assert (code, out) == (5, "")
    assert err.startswith("error: internal: RuntimeError: a wheel came off; please report it")
    assert len(err.splitlines()) == 1
    with pytest.raises(RuntimeError, match="a wheel"):
        cli.main(["strategies", "--debug"])


def test_strategies_are_listed_with_thesis_and_parameters(run):
    code, out, _ = run("strategies")
    assert code == 0
    assert all(name in out for name in ("TopRated", "Rules", "enter = 70.0", "module:Class"))
    _, text, _ = run("strategies", "--json")
    listed = {one["name"]: one for one in json.loads(text)["strategies"]}
    assert {
        "FollowSignal",
        "RatingBand",
        "TopRated",
        "RatingCross",
        "RegimeGate",
        "IndexMirror",
        "MoonshotBasket",
        "SmaCross",
        "Rules",
    } <= set(listed)
    assert all(one["does"] and one["thesis"] for one in listed.values())
    assert {"name": "top", "default": 10} in listed["TopRated"]["parameters"]
    assert {"name": "inner", "required": True} in listed["RegimeGate"]["parameters"]


def test_the_committed_schema_is_current(run):
    _, out, _ = run("schema", "backtest")
    assert out == (ROOT / "config" / "backtest.schema.json").read_text(), (
        "run: trader schema backtest > config/backtest.schema.json"
    )


def test_progress_is_silent_when_nobody_watches(run, tmp_path):
    with cli_backtest.progress_on("x") as progress:
        assert progress is None


@pytest.mark.slow
def test_an_audit_answers_in_words_and_as_json(run, tmp_path):
    files = {name: tmp_path / f"audit.{name}" for name in ("json", "html")}
    words = ("audit", str(ROOT / "config/backtest.yaml"), "--permutations", "5", "--sweep", "enter=60:80:10,top=3|5")
    code, out, _ = run(*words, "--json", str(files["json"]), "--report", str(files["html"]))
    assert code == 0
    assert out.startswith("VERDICT: ")
    assert "known on its own day it would have made" in out
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["verdict"] == out.splitlines()[0].removeprefix("VERDICT: ")
    assert [one["trials"] for one in found["luck"]] == [5, 5]
    assert len(found["neighbours"]["overfitting"]["logits"]) == 12_870
    assert found["trials"] == found["neighbours"]["strategies"] == 6
    page = files["html"].read_text()
    assert html.escape(found["verdict"]) in page
    assert page.count("<section>") >= 4
    assert "http" not in page
    years = [year for year, _ in found["years"]]
    assert years == sorted(years) != []
    assert [one["name"] for one in found["delays"]][:2] == ["on its own day", "as given"]
    code, _, said = run(*words[:2], "--sweep", "entr=60:80:10")
    assert (code, "no parameter 'entr'" in said) == (2, True)
    code, _, said = run("audit", str(tmp_path / "nowhere.yaml"))
    assert (code, "nowhere.yaml" in said) == (2, True)


EXAMPLES = sorted((ROOT / "config" / "vendor").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=[one.stem for one in EXAMPLES])
def test_each_example_of_a_vendors_strategy_runs_and_trades(run, path, tmp_path):
    code, out, said = run("backtest", str(path), "--json", str(tmp_path / "out.json"))
    assert code == 0, said
    assert "derived from prices" in out
    assert json.loads((tmp_path / "out.json").read_text())["stats"]["n_trades"] > 20
