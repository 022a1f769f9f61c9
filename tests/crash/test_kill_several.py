"""Two mounts on one account, killed with SIGKILL: nothing is sent twice, and no order or fill goes to the other mount."""

import pytest

from tests.crash.rig import SEVERAL, check, rig, victim_names
from tests.crash.test_kill import EDGES, IS_FULL, KILLS, NAMED, at_each_step, at_random
from tests.services.parts import full
from trader.core.facts import OrderPlaced
from trader.core.records import MountStarted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]
BOTH = {"steady", "bold"}


async def test_two_mounts_killed_at_random(tmp_path):
    async with rig(tmp_path, config=SEVERAL) as it:
        await at_random(it, KILLS // 4 if IS_FULL else 3, 5)
        facts = await it.facts()
        assert {fact.mount for fact in facts if isinstance(fact, MountStarted)} == BOTH
        assert {fact.mount for fact in facts if isinstance(fact, OrderPlaced)} == BOTH


@full
async def test_two_mounts_killed_at_each_step(tmp_path):
    async with rig(tmp_path, config=SEVERAL) as it:
        await at_each_step(it, [*range(1, 80), *NAMED])
        assert {fact.mount for fact in await it.facts() if isinstance(fact, OrderPlaced)} == BOTH
    assert set(EDGES) <= set(victim_names(tmp_path))


async def test_a_mount_that_holds_cannot_be_taken_out(tmp_path):
    async with rig(tmp_path, config=SEVERAL) as it:
        await it.start()
        await it.started()
        await it.send(1, {"BTC/USDT": 85.0, "ETH/USDT": 20.0})
        await it.healed()
        await it.stop()
        await check(it)
        whole = it.config.read_text()
        kept = [line for line in whole.splitlines() if "name: bold" not in line]
        it.config.write_text("\n".join(kept))
        await it.start()
        assert await it.process.wait() == 4, it.log()
        assert "bold is not set to work any more and has" in it.log()
        it.config.write_text(whole)
        await it.start()
        await it.started()
        await it.stop()
        await check(it)
