"""Sources without a broker: nothing is taken away before it is kept."""

import asyncio
import os
import subprocess
import sys

import pytest

from trader.adapters.payloads import LARGEST
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


async def test_a_file_that_takes_the_name_of_one_under_way_is_read_before_it_moves(tmp_path):
    stream = Directory(tmp_path, every=0.02).messages()
    (tmp_path / "x.json").write_bytes(b"one")
    async with asyncio.timeout(5):
        first = await anext(stream)
        (tmp_path / "new").write_bytes(b"two")
        (tmp_path / "new").rename(tmp_path / "x.json")
        await first.acknowledge()
        second = await anext(stream)
        await second.acknowledge()
    assert (first.body, second.body) == (b"one", b"two")
    assert (tmp_path / "done" / "x.json").read_bytes() == b"two"
    await stream.aclose()


async def test_a_file_that_was_taken_away_before_it_was_kept_is_no_error(tmp_path):
    stream = Directory(tmp_path, every=0.02).messages()
    (tmp_path / "x.json").write_bytes(b"one")
    async with asyncio.timeout(5):
        message = await anext(stream)
    (tmp_path / "x.json").unlink()
    await message.acknowledge()
    await stream.aclose()


async def test_what_cannot_be_read_is_told_once_and_holds_up_no_other(tmp_path):
    told = []
    stream = Directory(tmp_path, every=0.02, warn=told.append).messages()
    (tmp_path / "1.json").mkdir()
    for name in ("2", "3"):
        (tmp_path / f"{name}.json").write_bytes(name.encode())
        async with asyncio.timeout(5):
            assert (await anext(stream)).body == name.encode()
    assert [one.split(": ")[:2] for one in told] == [[str(tmp_path / "1.json"), "cannot be read"]]
    await stream.aclose()


async def test_of_a_file_that_is_too_large_no_more_is_read_than_shows_it(tmp_path):
    (tmp_path / "x.json").write_bytes(b" " * (LARGEST * 4))
    (message,) = await take(Directory(tmp_path, every=0.02), 1)
    assert len(message.body) == LARGEST + 1


READER = """
import asyncio
from trader.adapters.sources import StandardInput

async def main():
    async for one in StandardInput().messages():
        print(len(one.body), flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("is_file", [True, False])
def test_standard_input_may_be_a_file_or_a_pipe_and_a_line_that_is_too_long_hides_no_other(tmp_path, is_file):
    lines = b"one\n\n" + b"x" * (2**21) + b"\nlast"
    (tmp_path / "lines").write_bytes(lines)
    with (tmp_path / "lines").open("rb") as file:
        given = {"stdin": file} if is_file else {"input": lines}
        done = subprocess.run(
            [sys.executable, "-c", READER], capture_output=True, timeout=60, check=False, env=os.environ, **given
        )
    assert done.stdout.split() == [b"3", str(LARGEST + 1).encode(), b"4"]
