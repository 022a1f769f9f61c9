"""Strategies by name, with parameters as YAML gives them."""

import pytest

from strategies import FollowSignal, RatingBand, RegimeGate, Rules, StrategyLoadError, TopRated, load, registry
from trader import After, Below, FallBy, Quote, Units

OWN = '''
from dataclasses import dataclass
from trader import Decision, View, Wants


@dataclass(frozen=True, slots=True)
class Sleepy:
    """Does nothing."""

    level: float = 1.0

    @property
    def wants(self) -> Wants:
        return Wants(bars=1)

    def decide(self, view: View) -> Decision:
        return Decision.hold()
'''


def test_all_bundled_strategies_are_listed() -> None:
    assert list(registry()) == sorted(registry())
    assert len(registry()) == 9


def test_parameters_as_yaml_gives_them() -> None:
    exits = [{"fall_by": 0.1}, {"after": "5d", "share": 0.5}, {"below": 40, "kind": "g"}]
    assert load("TopRated", {"top": 3, "enter": 60, "exits": exits, "every": None}) == TopRated(
        3, 60.0, exits=(FallBy(0.1), After("5d", 0.5), Below(40.0, "g"))
    )
    assert load("RatingBand", {"size": {"quote": 250}, "assets": ["BTC"]}) == RatingBand(
        size=Quote(250.0), assets=("BTC",)
    )
    assert load("FollowSignal", {"size": {"units": 10}, "mode": "flip"}) == FollowSignal(size=Units(10.0), mode="flip")
    assert load("Rules", {"enter": "close > 5", "size": 0.5}) == Rules("close > 5", size=0.5)
    inner = {"name": "TopRated", "parameters": {"top": 2}}
    assert load("RegimeGate", {"inner": inner}) == RegimeGate(TopRated(2))


def test_a_class_from_a_file_and_from_a_module(tmp_path) -> None:
    path = tmp_path / "my strategy.py"
    path.write_text(OWN)
    assert load(f"{path}:Sleepy", {"level": 2}).level == 2.0
    assert load("strategies.top_rated:TopRated", {"top": 2}) == TopRated(2)
    for name, said in ((f"{path}:Sleepi", "did you mean Sleepy?"), (f"{path}:Wants", "is no strategy dataclass")):
        with pytest.raises(StrategyLoadError) as error:
            load(name)
        assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("import nothing_like_it\n", "nothing_like_it"), ("def\n", "SyntaxError"), ("1 / 0\n", "ZeroDivision")],
)
def test_a_file_that_fails_says_how(tmp_path, text, said) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(StrategyLoadError) as error:
        load(f"{path}:Any")
    assert said in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("TopRatd", {}, "did you mean TopRated?"),
        ("nowhere.py:Any", {}, "cannot be loaded"),
        ("no.such.module:Any", {}, "cannot be loaded"),
        (5, {}, "is no name"),
        ("TopRated", {"entr": 5}, "did you mean enter?"),
        ("TopRated", {"top": "ten"}, "allowed is a whole number"),
        ("TopRated", {"enter": True}, "allowed is a number"),
        ("TopRated", {"enter": float("nan")}, "allowed is a number"),
        ("TopRated", {"weights": "cap"}, "equal or rating"),
        ("TopRated", {"stop": 2.0}, "FallBy(2.0)"),
        ("TopRated", {"exits": {"fall_by": 0.1}}, "a list"),
        ("TopRated", {"exits": [{"fal_by": 0.1}]}, "did you mean fall_by?"),
        ("TopRated", {"exits": [{"fall_by": "10%"}]}, "exits[0].fall_by"),
        ("TopRated", {"exits": [{"fall_by": 0.1, "share": 2.0}]}, "share = 2.0"),
        ("TopRated", {"exits": [{"fall_by": 0.1, "kind": "g"}]}, "kind"),
        ("TopRated", {"exits": ["fall_by 10%"]}, "exits[0]"),
        ("RatingBand", {"size": {"qoute": 5}}, "did you mean quote?"),
        ("RatingBand", {"size": "all"}, "quote: 250"),
        ("RegimeGate", {"inner": {"nam": "TopRated"}}, "write name: and parameters:"),
        ("RegimeGate", {"inner": {"name": "TopRatd"}}, "did you mean TopRated?"),
        ("RegimeGate", {}, "inner"),
        ("Rules", {"enter": "clsoe > 5"}, "did you mean close?"),
        ("SmaCross", {"lead": 1}, "unknown"),
        ("SmaCross", [1], "must be a mapping"),
    ],
)
def test_what_is_wrong_is_named(name, parameters, said) -> None:
    with pytest.raises(StrategyLoadError) as error:
        load(name, parameters)
    assert said in str(error.value)
