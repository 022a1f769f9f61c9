"""What is handed to `replay` by mistake is named, with what to write instead."""

from dataclasses import replace

import pytest

from backtests import Costs, replay, sample
from strategies import SmaCross, TopRated


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strategy": SmaCross}, r"SmaCross is a class; give one of it, such as SmaCross\(\)"),
        ({"strategy": "SmaCross"}, r"'SmaCross' is no strategy; it needs wants and decide"),
        ({"tape": None}, r"None is no tape; make one with Tape\.from_frames"),
        ({"costs": 0.001}, r"costs = 0\.001 are no Costs; write Costs\(fee=0\.001\)"),
        ({"limits": {"order_most": 1}}, r"are no Limits; write Limits"),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
def test_another_kind_of_thing_is_named(change, said):
    given = {"strategy": SmaCross(), "tape": sample("1d"), "costs": Costs()} | change
    with pytest.raises(TypeError, match=said):
        replay(given.pop("strategy"), given.pop("tape"), **given)


def test_orders_that_each_decision_replaces_before_they_fill_are_told():
    tape = sample("1d")
    daily = TopRated(top=3, enter=50.0, kind="derived_trader")
    late = replay(daily, tape, latency="1h")
    assert late.n_fills == 0
    (note,) = [one for one in late.notes if "orders was filled" in one]
    assert "replaced" in note
    assert "with latency 1h a decision at each open" in note
    assert note in late.summary()
    for other in (replay(daily, tape), replay(replace(daily, every="1w"), tape, latency="1h")):
        assert other.n_fills > 0
        assert not any("orders was filled" in one for one in other.notes)
