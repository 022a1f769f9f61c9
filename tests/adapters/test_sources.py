"""Sources without a broker: nothing is taken away before it is kept."""

import asyncio

from trader.adapters.sources import Bus, Directory


async def take(source, count):
    found = []
    async with asyncio.timeout(5):
        async for message in source.messages():
            found.append(message)
            if len(found) == count:
                return found
    raise AssertionError


async def test_files_come_in_the_order_of_their_names_and_move_when_they_are_kept(tmp_path):
    for name in ("2.json", "1.json", ".3.json", "4.txt"):
        (tmp_path / name).write_bytes(name.encode())
    first, second = await take(Directory(tmp_path, every=0.02), 2)
    assert [first.body, second.body] == [b"1.json", b"2.json"]
    await first.acknowledge()
    assert (tmp_path / "done" / "1.json").exists()
    (again,) = await take(Directory(tmp_path, every=0.02), 1)
    assert again.body == b"2.json"


async def test_a_file_that_comes_later_is_seen_and_one_name_may_be_used_again(tmp_path):
    source = Directory(tmp_path, every=0.02)
    stream = source.messages()

    async def write(text):
        await asyncio.sleep(0.05)
        (tmp_path / "x").write_text(text)
        (tmp_path / "x").rename(tmp_path / "x.json")

    for text in ("one", "two"):
        task = asyncio.create_task(write(text))
        async with asyncio.timeout(5):
            message = await anext(stream)
        await task
        assert message.body == text.encode()
        await message.acknowledge()
    await stream.aclose()


async def test_the_bus_tells_when_a_message_is_kept():
    bus = Bus()
    kept = await bus.publish(b"x")
    (message,) = await take(bus, 1)
    assert not kept.is_set()
    await message.acknowledge()
    assert kept.is_set()


async def test_who_only_looks_takes_nothing_and_sees_what_another_took(tmp_path):
    looks = Directory(tmp_path, every=0.02, takes=False).messages()
    (tmp_path / "done" / "0.json").write_bytes(b"before")
    (tmp_path / "1.json").write_bytes(b"one")
    async with asyncio.timeout(5):
        message = await anext(looks)
        await message.acknowledge()
        assert (message.body, (tmp_path / "1.json").exists()) == (b"one", True)
        (other,) = await take(Directory(tmp_path, every=0.02), 1)
        await other.acknowledge()
        (tmp_path / "done" / "2.json").write_bytes(b"two")
        message = await anext(looks)
        assert message.body == b"two"
    await looks.aclose()
