"""A short slice of the soak: what a bot holds after the first minutes is what it holds after half an hour of its time."""

import os

import pytest

from tests.endurance.soak import MOST, page, soak
from tests.services.parts import full

HOURS = float(os.environ.get("HOURS", "1.0"))
BLOCKS_PER_HOUR = 12_000  # a compressor of a new stream is a large block, a leak is many
pytestmark = [full, pytest.mark.slow, pytest.mark.timeout(600)]


async def test_what_a_bot_holds_does_not_grow(tmp_path):
    found = await soak(tmp_path, hours=HOURS, speed=40.0, traces=True, every=180.0)
    print(page(found))
    assert not found.wrong, found.wrong
    broken = {name: value for name, value in found.broken().items() if name != "memory_mb_per_hour"}
    assert not broken, f"{broken}, at most {MOST}"  # memory of the system is too coarse for so short a time
    some = [(hours, said["blocks"]) for hours, said in found.told if "blocks" in said and hours > HOURS / 2]
    grown = (some[-1][1] - some[0][1]) / (some[-1][0] - some[0][0])
    assert grown < BLOCKS_PER_HOUR, f"{grown:.0f} blocks an hour: {found.told[-1][1]['grown'][:4]}"
