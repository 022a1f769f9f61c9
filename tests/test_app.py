"""The process that works: what it sets up around a daemon."""

import gc

import pytest

from tests.runtime.test_shut import bot


@pytest.mark.slow
async def test_what_a_start_leaves_is_out_of_the_collectors_sight(tmp_path):
    """A full collection of it takes 0.15 s, in which no decision is made."""
    gc.unfreeze()
    async with bot(tmp_path) as one, one.life():
        left = gc.get_freeze_count()
        seen = len(gc.get_objects())
    gc.unfreeze()
    assert left > 10 * seen
