"""A run for `trader doctor` to look at: key and secret as they should be, at a loopback exchange, and what no row may tell."""

import json
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import NamedTuple

from tests.contracts.worlds import KEY, SECRET, loopback
from trader.doctor import examine
from trader.run_settings import load_run

MARK = sha256(KEY.encode()).hexdigest()[:8]
LIVE = """\
version: 1
name: ill
venue: {venue}
live: true
capital: 1000 USDT
assets: [BTC/USDT, ETH/USDT]
strategy: {{name: RatingBand, parameters: {{size: 40%}}}}
limits: {{weight_per_asset: 60%}}
account: {{url: "{url}", key_file: key, secret_file: secret}}
state: state
"""


class Disk(NamedTuple):
    """What is left of a disk."""

    free: int


def healthy(tmp_path):
    """A folder with key and secret as they should be."""
    for name, text in (("key", KEY), ("secret", SECRET)):
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def written(folder, url, venue="gate", *changes, more=""):
    text = LIVE.format(venue=venue, url=url)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "run.yaml"
    path.write_text(text + more)
    return path


async def rows_of(path, **options):
    settings, strategy = load_run(path)
    rows = await examine(settings, strategy, path, **options)
    told = json.dumps([[one.found, one.remedy] for one in rows])
    assert KEY not in told
    assert SECRET not in told
    assert "canary" not in told
    for one in rows:
        assert one.remedy or one.state in {"ok", "skip"}, one
    return {one.name: one for one in rows}


@asynccontextmanager
async def world(folder, venue="gate", *changes, more=""):
    async with loopback(venue) as it:
        yield it, written(folder, it.server.url, venue, *changes, more=more)


def states(rows):
    return {name: one.state for name, one in rows.items()}
