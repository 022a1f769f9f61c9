"""MQTT at a real broker: what was not acknowledged comes again, also after the broker was killed."""

import asyncio

import pytest

from tests.services.parts import Mosquitto, free_port, until
from trader.adapters.mqtt import Broker, MqttDownError, MqttSource, publish
from trader.ports import LeaseLostError


@pytest.fixture
def broker(tmp_path):
    one = Mosquitto(tmp_path / "mosquitto").start()
    yield one
    one.stop()


def at(broker, client_id="bot"):
    return Broker(port=broker.port, client_id=client_id)


async def first(source, count, *, acknowledge):
    """The first messages of a session, acknowledged or not; the session ends as if the process was killed."""
    bodies, stream = [], source.messages()
    async with asyncio.timeout(20):
        async for message in stream:
            bodies.append(message.body)
            if acknowledge:
                await message.acknowledge()
            if len(bodies) == count:
                break
    await asyncio.sleep(0.2)
    await stream.aclose()
    return bodies


async def test_only_what_was_acknowledged_does_not_come_again(broker):
    await first_connect(broker)
    for number in range(5):
        await publish(at(broker), b"%d" % number, "trader/v1/signals/test")
    assert await first(MqttSource(at(broker)), 3, acknowledge=False) == [b"0", b"1", b"2"]
    assert await first(MqttSource(at(broker)), 2, acknowledge=True) == [b"0", b"1"]
    assert await first(MqttSource(at(broker)), 3, acknowledge=True) == [b"2", b"3", b"4"]


async def first_connect(broker):
    """Make the session, so that the broker keeps messages for it."""
    await publish(at(broker), b"hello", "trader/v1/signals/test", retain=True)
    assert await first(MqttSource(at(broker)), 1, acknowledge=True) == [b"hello"]
    await publish(at(broker), b"", "trader/v1/signals/test", retain=True)
    assert await first(MqttSource(at(broker)), 1, acknowledge=True) == [b""]


async def test_a_retained_message_says_that_it_is_one(broker):
    await publish(at(broker), b"level", "trader/v1/signals/test", retain=True)
    async with asyncio.timeout(10):
        async for message in MqttSource(at(broker)).messages():
            assert (message.body, message.is_retained, message.topic) == (b"level", True, "trader/v1/signals/test")
            break


async def test_a_broker_that_is_killed_and_comes_back_loses_nothing_and_the_link_says_so(broker):
    links, bodies = [], []
    source = MqttSource(at(broker), tell=lambda is_up, why: links.append(is_up))

    async def consume():
        async for message in source.messages():
            bodies.append(message.body)
            await message.acknowledge()

    task = asyncio.create_task(consume())
    try:
        await until(lambda: links)
        for number in range(10):
            await publish(at(broker), b"%d" % number, "trader/v1/signals/test")
        await asyncio.sleep(0.3)
        broker.kill()
        await until(lambda: not links[-1])
        broker.start()
        for number in range(10, 20):
            await publish(at(broker), b"%d" % number, "trader/v1/signals/test")
        await until(lambda: {b"%d" % number for number in range(20)} <= set(bodies))
    finally:
        task.cancel()
    assert links[:3] == [True, False, True]


async def test_a_broker_that_is_not_there_is_an_error_with_its_address():
    port = free_port()
    with pytest.raises(MqttDownError, match=f"127.0.0.1:{port}"):
        await publish(Broker(port=port), b"x", "trader/v1/signals/test")


async def test_who_was_replaced_does_not_take_the_session_back(broker):
    """A broker ends the older of two sessions of one name: without a look at who leads, both would take it from each other for ever."""
    links, is_replaced = {"old": [], "new": []}, []

    async def may():
        if is_replaced:
            raise LeaseLostError("another leads")

    async def consume(source):
        async for _ in source.messages():
            pass

    def source(name, **more):
        return MqttSource(at(broker), tell=lambda is_up, _why: links[name].append(is_up), **more)

    old = asyncio.create_task(consume(source("old", may=may)))
    await until(lambda: links["old"] == [True])
    is_replaced.append(True)
    new = asyncio.create_task(consume(source("new")))
    await until(lambda: links["new"] == [True])
    with pytest.raises(LeaseLostError):
        async with asyncio.timeout(5):
            await old
    await asyncio.sleep(0.5)
    assert links == {"old": [True, False], "new": [True]}
    new.cancel()


async def test_a_broker_that_does_not_grant_the_topic_as_asked_is_a_link_that_is_down(tmp_path):
    """It takes the connection and says so in its answer to the subscription alone: all would look well, and what it does not hold is lost."""
    broker = Mosquitto(tmp_path / "mosquitto", more="max_qos 0\n").start()
    links = []
    source = MqttSource(at(broker), tell=lambda is_up, why: links.append((is_up, why)))

    async def consume():
        async for _ in source.messages():
            pass

    task = asyncio.create_task(consume())
    try:
        await until(lambda: links)
        is_up, why = links[0]
        assert not is_up
        assert "trader/v1/signals/# is not granted" in why
    finally:
        task.cancel()
        broker.stop()


async def test_an_authority_that_is_not_there_for_a_moment_ends_nothing(tmp_path):
    links, stream = [], None

    async def consume():
        async for _ in stream:
            pass

    stream = MqttSource(Broker(ca=tmp_path / "ca.pem"), tell=lambda is_up, _why: links.append(is_up)).messages()
    task = asyncio.create_task(consume())
    await until(lambda: links)
    assert (links[0], task.done()) == (False, False)
    task.cancel()
