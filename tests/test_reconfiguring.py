"""A configuration that changes while a bot runs: real processes, the real commands, a loopback exchange; planned, applied, refused, on record."""

import asyncio
import json
import signal
import subprocess
import sys

import pytest

from tests.crash.rig import ROOT, check, rig
from tests.services.parts import full
from trader.core.facts import OrderPlaced, OrderUnknown
from trader.core.records import ConfigApplied

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def trader(*words, code=0):
    """The command in a process of its own; the exchange is served by this one meanwhile."""

    def call():
        return subprocess.run(
            [sys.executable, "-m", "trader.cli", *map(str, words)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    done = await asyncio.to_thread(call)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def edit(it, old, new):
    text = it.config.read_text()
    assert old in text
    it.config.write_text(text.replace(old, new))


async def plan(it, code=0):
    return json.loads(await trader("config", "plan", it.config, "--json", code=code))


async def applied(it):
    return [fact for fact in await it.facts() if isinstance(fact, ConfigApplied)]


async def logged(it, text, seconds=10):
    async with asyncio.timeout(seconds):
        while text not in (it.folder / "log").read_text():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)


@full
async def test_a_change_is_planned_then_applied_and_is_on_record(tmp_path):
    async with rig(tmp_path) as it:
        await it.start()
        found = await it.started()
        (first,) = await applied(it)
        assert (first.why, first.changes, found["configuration"]) == ("a start", (), first.hash[:12])
        assert "loopback" not in first.values.replace(it.server.url, "")  # neither the key nor its secret
        await it.send(1, {"BTC/USDT": 65.0})  # under the band
        await it.healed()
        edit(it, "size: 0.2,", "size: 0.2, enter: 60,")
        said = await plan(it)
        assert said["changes"] == [
            {"key": "strategy.parameters.enter", "before": None, "after": 60, "effect": "at once"}
        ]
        assert [(one["side"], one["asset"]) for one in said["would"]["orders"]] == [("buy", "BTC/USDT")]
        assert (said["anyway"]["orders"], said["refused"]) == ([], [])
        assert not it.exchange.orders, "a plan carries nothing out"
        assert len(await applied(it)) == 1
        told = await trader("config", "apply", it.config, "--yes")
        assert f"applied: {said['hash'][:12]} counts from now on" in told
        assert "buy  BTC/USDT" in told
        assert "nothing to apply" in await trader("config", "apply", it.config, "--yes")
        assert (await it.status())["configuration"] == said["hash"][:12]
        assert not it.exchange.orders, "applying asks no strategy"
        await it.send(2, {"BTC/USDT": 66.0})
        await it.healed()
        assert len(it.exchange.orders) == 1
        second = (await applied(it))[1]
        assert (second.why, second.changes) == ("an operator", ("strategy.parameters.enter: None -> 60",))
        listed = await trader("config", "versions", it.config)
        assert first.hash[:12] in listed
        assert "strategy.parameters.enter: None -> 60" in listed
        differ = json.loads(
            await trader("config", "diff", f"{it.config}@{first.hash[:6]}", f"{it.config}@{second.hash[:6]}", "--json")
        )["differences"]
        assert [(one["key"], one["first"], one["second"]["value"]) for one in differ] == [
            ("strategy.parameters.enter", None, 60)
        ]
        assert (
            json.loads(await trader("config", "diff", f"{it.config}@{second.hash}", it.config, "--json"))["differences"]
            == []
        )
        told = await trader("config", "diff", f"{it.config}@0000", it.config, code=2)
        assert "no version of" in told
        await it.stop()
        await check(it)  # decided again from the record: each decision under the version that counted
        told = await trader("replay-journal", it.config)
        assert "the configuration changed" in told
        assert second.hash[:12] in told


@full
async def test_what_needs_a_restart_is_refused_as_a_whole_and_a_restart_says_so(tmp_path):
    async with rig(tmp_path) as it:
        await it.start()
        await it.started()
        edit(it, "size: 0.2,", "size: 0.2, enter: 60,")
        edit(it, "capital: 5000", "capital: 6000")
        said = await plan(it, code=4)
        assert said["refused"] == ["it needs a restart: capital"]
        assert said["would"] is None
        assert "needs a restart: capital" in await trader("config", "apply", it.config, "--yes", code=4)
        it.process.send_signal(signal.SIGHUP)
        await logged(it, "the configuration was not applied")
        await it.send(1, {"BTC/USDT": 65.0})
        await it.healed()
        assert not it.exchange.orders, "half of it was applied"
        good = it.config.read_text()
        it.config.write_text(good.replace("capital: 6000", "capitol: 6000"))
        it.process.send_signal(signal.SIGHUP)
        await logged(it, "did you mean capital")
        it.config.write_text(good)
        assert await it.kill()
        await it.start()
        await it.started()
        versions = await applied(it)
        assert [one.why for one in versions] == ["a start", "a start"]
        assert versions[1].changes == ("capital: 5000.0 -> 6000.0", "strategy.parameters.enter: None -> 60")
        await it.send(2, {"BTC/USDT": 66.0})
        await it.healed()
        assert len(it.exchange.orders) == 1
        await it.stop()


@full
async def test_nothing_is_applied_while_an_order_is_unknown(tmp_path):
    lost = {"on": "POST /orders", "do": "lost_reply", "nth": 1, "seconds": 9}
    async with rig(tmp_path, faults=[lost]) as it:
        edit(it, "fence: 400ms", "fence: 25s")
        await it.start()
        await it.started()
        await it.send(1, {"BTC/USDT": 85.0})
        async with asyncio.timeout(20):
            while not [fact for fact in await it.facts() if isinstance(fact, OrderUnknown)]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        edit(it, "weight_per_asset: 60%", "weight_per_asset: 50%")
        before = await applied(it)
        assert (await plan(it, code=4))["refused"] == ["order 1 (buy BTC/USDT) is unknown: wait until it is known"]
        assert "order 1 (buy BTC/USDT) is unknown" in await trader("config", "apply", it.config, "--yes", code=4)
        it.process.send_signal(signal.SIGHUP)
        await logged(it, "the configuration was not applied")
        assert await applied(it) == before
        await it.healed()
        it.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while len(await applied(it)) == len(before):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (await applied(it))[-1].changes == ("limits.weight_per_asset: 0.6 -> 0.5",)
        await it.stop()
        await check(it)


@full
async def test_kills_amid_changes_leave_one_configuration_that_counts(tmp_path):
    """Whatever dies when: after each start the file counts, the record says so, and the session is decided again without a difference."""
    async with rig(tmp_path) as it:
        await it.start()
        await it.started()
        for number in range(1, 9):
            edit(it, *(("size: 0.2,", "size: 0.1,") if number % 2 else ("size: 0.1,", "size: 0.2,")))
            await it.send_flip(number)
            it.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.004 * number)
            assert await it.kill()
            await it.start()
            found = await it.started()
            newest = (await applied(it))[-1]
            assert found["configuration"] == newest.hash[:12]
            assert json.loads(newest.values)["strategy"]["parameters"]["size"] == (0.1 if number % 2 else 0.2)
        await it.healed()
        await it.stop()
        await check(it)
        assert [fact for fact in await it.facts() if isinstance(fact, OrderPlaced)]
