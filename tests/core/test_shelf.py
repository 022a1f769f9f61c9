"""The shelf: what was put there first goes first, and its bound is one of real memory."""

import tracemalloc

from backtests.arming import SEARCH_BYTES
from trader.core.matching import Search
from trader.core.shelf import Shelf


def test_what_was_put_there_first_goes_first():
    shelf = Shelf(most=30)
    for name in "abc":
        assert shelf.put(name, name.upper(), 10) == name.upper()
    shelf.put("a", "again", 10)  # stays where it was
    shelf.put("d", "D", 10)
    assert [shelf.get(name) for name in "abcd"] == [None, "B", "C", "D"]
    shelf.put("e", "E", 20)
    assert ([shelf.get(name) for name in "abcde"], shelf.size, len(shelf)) == ([None, None, None, "D", "E"], 30, 2)


def test_what_is_larger_than_all_stays_alone():
    shelf = Shelf(most=30)
    shelf.put("a", 1, 10)
    shelf.put("b", 2, 50)
    assert (shelf.get("a"), shelf.get("b"), shelf.size) == (None, 2, 50)
    shelf.clear()
    assert (shelf.get("b"), shelf.size, len(shelf)) == (None, 0, 0)
    shelf.put("c", 3, 10)
    assert (shelf.get("c"), shelf.size) == (3, 10)


def test_as_many_searches_as_fit_take_no_more_memory_than_they_may():
    shelf = Shelf(most=5_000_000)
    tracemalloc.start()
    try:
        for number in range(30_000):
            shelf.put((3, number, 1.5 + number, 2.5), Search(number, 1.5 + number, 2.5, None, 2.0), SEARCH_BYTES)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(shelf) == 5_000_000 // SEARCH_BYTES
    assert held < 1.2 * shelf.most
