"""Traces over a real socket: what a collector receives, and that one that fails, hangs or is not there changes nothing."""

import asyncio
import time
from hashlib import sha256

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from tests.runtime.test_daemon import daemon, held, rating
from tests.services.otlp import receiving
from tests.services.parts import free_port, until
from trader.adapters.otlp import Collector, trace_id
from trader.app import collector_of, traced
from trader.core.spans import Span
from trader.run_settings import load_run
from trader.runtime.logs import Log
from trader.settings import SettingsError

TRACE = Span("signal", 1_000, 9_000, {"outcome": "traded"}, inner=(Span("order", 2_000, 1_000, error="refused X"),))


def collector(url, told=None):
    tell = (lambda _is_up: None) if told is None else told.append
    return Collector(url, service={"service.instance.id": "m"}, tell=tell, every_seconds=0.05)


def attributes(span):
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


async def test_a_trace_arrives_with_its_times_its_tree_and_an_id_that_can_be_looked_up():
    told = []
    with receiving() as (receiver, url):
        one = collector(url, told)
        one.take("k/1", TRACE)
        await until(lambda: len(receiver.spans) == 2)
        await one.close()
    inner, outer = sorted(receiver.spans, key=lambda span: span.name)
    assert receiver.paths[0] == "/v1/traces"
    assert receiver.resources[0]["service.name"] == "trader"
    assert receiver.resources[0]["service.instance.id"] == "m"
    assert outer.trace_id.hex() == inner.trace_id.hex() == sha256(b"k/1").hexdigest()[:32] == f"{trace_id('k/1'):032x}"
    assert (outer.parent_span_id, inner.parent_span_id) == (b"", outer.span_id)
    assert (outer.start_time_unix_nano, outer.end_time_unix_nano) == (1_000, 9_000)
    assert inner.end_time_unix_nano == inner.start_time_unix_nano == 2_000
    assert attributes(outer) == {"outcome": "traded"}
    assert (inner.status.message, inner.status.code) == ("refused X", 2)
    assert told == [True]


async def test_a_whole_address_is_taken_as_it_is():
    with receiving() as (receiver, url):
        one = collector(f"{url}/v1/traces")
        one.take("k/1", TRACE)
        await until(lambda: receiver.paths)
        await one.close()
    assert set(receiver.paths) == {"/v1/traces"}


@pytest.mark.parametrize("answer", ["nobody", 500, None])
async def test_a_collector_that_does_not_take_them_costs_nothing_and_is_told_of_once(answer):
    told = []
    with receiving(answer if answer != "nobody" else 200) as (_, url):
        one = collector(url if answer != "nobody" else f"http://127.0.0.1:{free_port()}", told)
        begin = time.perf_counter()
        for number in range(100):
            one.take(f"k/{number}", TRACE)
        assert time.perf_counter() - begin < 1.0
        if answer is not None:
            await until(lambda: told)
        async with asyncio.timeout(5):
            await one.close()
    assert told in ([False], [])


async def test_a_signal_of_a_real_daemon_is_one_trace_from_receipt_to_fill(tmp_path):
    with receiving() as (receiver, url):
        async with daemon("gate", tmp_path / "j.db") as (_, bot, bus, _):
            one = collector(url)
            traced(bot.house, one)
            await bus.publish(rating(1, BTC=50))
            await until(lambda: held(bot) > 2 and bot.desk.is_quiet)
            await until(lambda: "fill" in {span.name for span in receiver.spans})
            await one.close()
    assert {span.trace_id.hex() for span in receiver.spans} == {sha256(b"test/1").hexdigest()[:32]}
    by_id = {span.span_id: span for span in receiver.spans}
    (fill,) = [span for span in receiver.spans if span.name == "fill"]
    chain, here = [], fill
    while here is not None:
        chain.append(here.name)
        here = by_id.get(here.parent_span_id)
    assert chain == ["fill", "attempt", "order", "signal"]
    (root,) = [span for span in receiver.spans if not span.parent_span_id]
    assert attributes(root)["outcome"] == "traded"
    for span in receiver.spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= root.end_time_unix_nano
        assert not span.status.message


async def test_orders_go_out_as_ever_while_a_collector_hangs(tmp_path):
    with receiving(None) as (receiver, url):
        async with daemon("gate", tmp_path / "j.db") as (_, bot, bus, _):
            one = collector(url)
            traced(bot.house, one)
            for number, weight in enumerate((50, 0, 40, 0)):
                await bus.publish(rating(number, BTC=weight))
                await until(lambda weight=weight: (held(bot) > 0) == (weight > 0) and bot.desk.is_quiet, seconds=5)
            assert receiver.paths, "it was asked, and did not answer"
            async with asyncio.timeout(5):
                await one.close()


def settings_of(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(
        "version: 1\nname: one\ncapital: 5\nassets: [BTC/USDT]\nstrategy: {name: RatingBand}\nlimits: {drawdown: 20%}\n"
        + text
    )
    return load_run(path)[0]


async def test_the_configuration_says_where_traces_go(tmp_path):
    assert collector_of(settings_of(tmp_path, ""), Log()) is None
    made = collector_of(settings_of(tmp_path, "telemetry: {otlp: http://127.0.0.1:1}\n"), Log())
    await made.close()
    with pytest.raises(SettingsError, match=r"run.yaml:8:\d+ telemetry.otlp"):
        settings_of(tmp_path, "\ntelemetry: {otlp: 'collector:4318'}\n")


def test_without_the_extra_the_remedy_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "trader.adapters.otlp", None)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(SettingsError, match=r"signal-trader\[otel\]"):
        collector_of(settings_of(tmp_path, "telemetry: {otlp: http://127.0.0.1:1}\n"), Log())
