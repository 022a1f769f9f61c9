"""A loopback vendor as a process of its own, a file that asks it, and the command line in this process."""

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from tests.services.parts import free_port, wait_for
from trader.cli import main
from trader.demo_vendor import KEY

ROOT = Path(__file__).parents[2]
CONFIG = """\
version: 1
api: {api}
key: {key}
url: "http://127.0.0.1:{port}"
credits: {plan}
apart: 0.001s
assets: {{BTC/USDT: 3375, ETH/USDT: 3306, SOL/USDT: 3988}}
endpoints: [trading_signals, tm_grade_history, market_metrics]
store: ratings.db
"""
RUN = """\
version: 1
name: fed
venue: gate
live: true
capital: 5000
assets: [BTC/USDT, ETH/USDT, SOL/USDT]
timeframe: 1h
strategy: {{name: TopRated, parameters: {{kind: trader_grade, top: 2, enter: 1, max_age: 10d}}}}
limits: {{weight_per_asset: 60%}}
account: {{url: "http://127.0.0.1:{port}", key: loopback-key, secret: loopback-secret}}
intake: {{ratings: vendor.yaml}}
state: state
"""


@contextmanager
def vendor(*words):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "trader.cli", "loopback", "tokenmetrics", "--port", str(port), *words], cwd=ROOT,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(port)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.stdout.close()


def caller(capsys):
    """Calls a command; returns what it says, on stderr where it fails."""

    def call(*words, code=0):
        try:
            main(list(map(str, words)))
        except SystemExit as ended:
            found = ended.code
        said = capsys.readouterr()
        assert found == code, said.err
        return said.err if code else said.out

    return call


def config(path, port, *, api="v2", key=KEY, plan=1_000):
    path.write_text(CONFIG.format(port=port, api=api, key=key, plan=plan))
    return path
