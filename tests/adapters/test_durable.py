"""Files that outlast a loss of power; tests/endurance loses it. And the clock that goes on while a machine sleeps."""

import time

import pytest

from trader.adapters.clock import SystemClock
from trader.adapters.durable import make_folder, write_whole


def test_a_file_is_written_whole_private_and_over_the_old_one(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    path = tmp_path / "a" / "b" / "one"
    for text in ("long " * 100, "short"):
        write_whole(path, text)
        assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["one"]


def test_a_folder_in_the_place_of_a_file_says_so(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "a" / "b")


def test_the_clock_counts_what_a_machine_slept():
    assert abs(SystemClock().monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1.0
