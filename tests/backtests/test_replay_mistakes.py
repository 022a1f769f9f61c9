"""What is handed to `replay` by mistake is named, with what to write instead."""

import pytest

from backtests import Costs, replay, sample
from strategies import SmaCross


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
