"""`trader metrics` beside a bot that runs as a process, and beside none."""

import signal
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from tests.services.parts import full, seen_when
from tests.test_cli_run import CONFIG, ROOT, rehearsal, status, trader  # noqa: F401 - a fixture among them


def values(text):
    return {one.name: one.value for family in families(text) for one in family.samples}


@pytest.mark.slow
@full
def test_a_running_bot_is_printed_and_a_file_of_it_kept_fresh(rehearsal, tmp_path):  # noqa: F811
    path, bot, _ = rehearsal
    file = tmp_path / "trader.prom"
    words = ["metrics", str(path), "--watch-file", str(file), "--every", "1"]
    watch = subprocess.Popen([sys.executable, "-m", "trader.cli", *words], cwd=ROOT)
    try:
        seen_when(file.exists)
        seen_when(lambda: status(path).get("state") == "active")
        found = values(trader("metrics", path))
        assert (found["trader_up"], found["trader_cash"], found["trader_epoch"]) == (1, 5000, 1)
        seen_when(lambda: values(file.read_text()).get("trader_up") == 1)
        assert file.stat().st_mode & 0o777 == 0o644
        assert [one.name for one in tmp_path.iterdir() if one.suffix == ".prom"] == ["trader.prom"]
        bot.send_signal(signal.SIGTERM)
        assert bot.wait(10) == 0
        seen_when(lambda: values(file.read_text()) == {"trader_up": 0})
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(10) == 0
        assert not file.exists()
    finally:
        watch.kill()
        watch.wait()


def test_where_no_bot_runs_it_says_so_to_machines_and_people(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(port=1))
    done = subprocess.run(
        [sys.executable, "-m", "trader.cli", "metrics", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, values(done.stdout)) == (3, {"trader_up": 0})
    assert f"trader run {path}" in done.stderr
    assert "no folder" in trader("metrics", path, "--watch-file", tmp_path / "none/x.prom", code=2)
