"""What each bundled strategy wants and decides, given a view."""

from datetime import timedelta

import pytest

from strategies import (
    FollowSignal,
    IndexMirror,
    MoonshotBasket,
    RatingBand,
    RatingCross,
    RegimeGate,
    Rules,
    SmaCross,
    TopRated,
    registry,
)
from trader import HOLD, After, Decision, FallBy, Quote, RiseBy, Target, Units
from trader.core.conditions import close, parse, rating, sma, truth


def test_rule_9_rating_band_opens_and_closes_by_level_where_a_rating_is_new(view) -> None:
    band = RatingBand(70.0, 50.0, size=0.2, exits=(FallBy(0.1),), band=0.01)
    seen = view(
        {"A": 70.0, "B": 50.0, "C": 60.0, "D": 90.0, "E": 99.0}, held=("B", "C", "D"), woken=("A", "B", "C", "D", "X")
    )
    assert band.decide(seen) == Decision.change({"A": Target(0.2, (FallBy(0.1),), 0.01), "B": 0.0})


def test_rating_band_acts_on_its_assets_only(view) -> None:
    band = RatingBand(assets=("B",))
    assert list(band.decide(view({"A": 80.0, "B": 80.0}, woken=("A", "B"))).targets) == ["B"]


def test_rating_band_wakes_at_its_levels() -> None:
    wants = RatingBand(80.0, 40.0, "g", max_age="5d").wants
    assert (wants.ratings, wants.max_age) == (("g",), "5d")
    assert wants.when_flat == (rating("g") >= 80.0)
    assert wants.when_held == (rating("g") <= 40.0)


def test_rule_10_top_rated_states_exactly_the_best(view) -> None:
    seen = view({"C": 80.0, "A": 80.0, "B": 90.0, "D": 60.0, "E": 71.0})
    decision = TopRated(top=3, enter=70.0, invest=0.9, stop=0.1, exits=(After("5d"),)).decide(seen)
    place = Target(0.9 / 3, (After("5d"), FallBy(0.1)))
    assert decision == Decision.exactly({"B": place, "A": place, "C": place})
    assert list(decision.targets) == ["B", "A", "C"]


def test_top_rated_leaves_cash_for_places_not_taken(view) -> None:
    decision = TopRated(top=4, enter=70.0, invest=0.8, weights="rating").decide(view({"A": 90.0, "B": 70.0}))
    sizes = {asset: target.size for asset, target in decision.targets.items()}
    assert sizes == pytest.approx({"A": 0.4 * 90 / 160, "B": 0.4 * 70 / 160})


def test_rule_12_top_rated_may_hold_the_unknown(view) -> None:
    assert TopRated(unknown="hold").decide(view()) == Decision.exactly({}, unknown=HOLD)
    assert TopRated(every="1w").wants.every == "1w"


def test_rule_7_a_late_signal_opens_nothing_but_a_late_leave_is_obeyed(view, said) -> None:
    follow = FollowSignal(ttl="2h", size=Units(3.0))
    late = timedelta(hours=2, seconds=1)
    signals = {
        "A": said("A", 1.0, age=timedelta(hours=2)),
        "B": said("B", 1.0, age=late),
        "C": said("C", -1.0, age=late),
        "D": said("D", 0.0, age=late),
    }
    assert follow.decide(view(signals=signals)) == Decision.change({"A": Target(Units(3.0)), "C": 0.0, "D": 0.0})


def test_rule_11_flip_acts_on_what_just_arrived_and_state_on_all(view, said) -> None:
    seen = view(signals={"A": said("A", 1.0), "B": said("B", 1.0)}, woken=("B",))
    assert list(FollowSignal(mode="flip").decide(seen).targets) == ["B"]
    assert list(FollowSignal(mode="state").decide(seen).targets) == ["A", "B"]
    assert list(FollowSignal(assets=("A",)).decide(seen).targets) == ["A"]


def test_exits_of_a_signal_replace_the_own_ones(view, said) -> None:
    seen = view(signals={"A": said("A", 1.0, exits=(RiseBy(0.2),)), "B": said("B", 1.0)})
    decision = FollowSignal(exits=(FallBy(0.1),)).decide(seen)
    assert {asset: target.exits for asset, target in decision.targets.items()} == {
        "A": (RiseBy(0.2),),
        "B": (FallBy(0.1),),
    }


@pytest.mark.parametrize("cross", [RatingCross(3, 7), RatingCross(3, 7, average="sma"), SmaCross(3, 7)])
def test_crosses_are_long_over_and_flat_under(view, cross) -> None:
    (lead,) = cross.wants.columns
    seen = view(columns={(lead, "A"): 1.0, (lead, "B"): -1.0}, woken=("A", "B", "MARKET"))
    assert cross.decide(seen) == Decision.change({"A": Target(0.98), "B": 0.0})


def test_equal_averages_are_long_for_ratings_and_no_change_for_prices(view) -> None:
    grades, prices = RatingCross(), SmaCross()
    assert RatingCross().decide(view(columns={(grades.lead, "A"): 0.0}, woken=("A",))).targets == {"A": Target(0.98)}
    assert SmaCross().decide(view(columns={(prices.lead, "A"): 0.0}, woken=("A",))) == Decision.change({})


def test_regime_gate_holds_nothing_while_bearish(view, said) -> None:
    gate = RegimeGate(TopRated(top=2))
    calm, bearish = view({"A": 90.0}), view({"A": 90.0}, {"MARKET": said("MARKET", -1.0)})
    bullish = view({"A": 90.0}, {"MARKET": said("MARKET", 0.0)})
    assert gate.decide(bearish) == Decision.exactly({}, why="bearish")
    assert gate.decide(calm) == gate.decide(bullish) == TopRated(top=2).decide(calm)


def test_regime_gate_wakes_when_the_regime_changes() -> None:
    assert RegimeGate(TopRated()).wants.when is None
    assert RegimeGate(TopRated()).wants.signals == ("market_regime",)
    turn = parse("turns(signal(market_regime) < 0) or turns(signal(market_regime) >= 0)")
    assert RegimeGate(TopRated(every="1d")).wants.when == turn
    gated = RegimeGate(RatingBand()).wants
    assert (gated.when, gated.when_flat) == (turn, RatingBand().wants.when_flat)


def test_index_mirror_follows_the_latest_weights(view) -> None:
    seen = view({"A": 60.0, "B": 20.0, "C": 5.0, "D": 0.0}, newest=frozenset("ABD"))
    decision = IndexMirror(unit="percent", invest=0.5, band=0.01).decide(seen)
    assert decision == Decision.exactly(
        {"A": Target(60 * 0.5 / 100, band=0.01), "B": Target(20 * 0.5 / 100, band=0.01)}
    )


def test_index_mirror_scales_down_what_is_more_than_the_whole(view) -> None:
    decision = IndexMirror(invest=0.9).decide(view({"A": 1.5, "B": 0.5}))
    assert {asset: target.size for asset, target in decision.targets.items()} == pytest.approx({"A": 0.675, "B": 0.225})


def test_moonshot_basket_joins_the_first_fresh_ones_as_far_as_there_is_room(view, said) -> None:
    ages = {"A": 30, "B": 3, "C": 1, "D": 2, "E": 0}
    signals = {asset: said(asset, 1.0, age=timedelta(hours=age)) for asset, age in ages.items()}
    basket = MoonshotBasket(most=3, invest=0.9, join="1d", hold="20d", exits=(FallBy(0.2),))
    place = Target(0.9 / 3, (FallBy(0.2), After("20d")))
    decision = basket.decide(view(signals=signals, memo=["A"]))
    assert decision == Decision.change({"B": place, "D": place}).remember(["A", "B", "D"])
    assert basket.decide(view(signals=signals, memo=["A", "B", "D"])) == Decision.change({})


def test_moonshot_basket_leaves_what_ended_and_gives_its_place_away(view, said) -> None:
    signals = {"A": said("A", 0.0), "B": said("B", 1.0), "C": said("C", 0.0), "D": said("D", 0.0), "E": said("E", 1.0)}
    basket = MoonshotBasket(most=2, hold=None)
    decision = basket.decide(view(signals=signals, held=("C",), memo=["A", "E"]))
    assert decision == Decision.change({"A": 0.0, "C": 0.0, "B": Target(0.49)}).remember(["B", "E"])
    stopped = view(signals={"B": said("B", 1.0)}, memo=["B"])
    assert basket.decide(stopped) == Decision.change({}), "what a stop sold is not bought again"


def test_rules_enter_and_leave_by_level_and_leave_wins(view) -> None:
    rules = Rules("rating(g) >= 70 and close > sma(close, 50)", "rating(g) < 40", size=Quote(250.0))
    enter, leave = rules.wants.columns
    assert enter == truth((rating("g") >= 70.0) & (close > sma(close, 50)))
    columns = {(enter, "A"): 1.0, (leave, "A"): 0.0, (enter, "B"): 1.0, (leave, "B"): 1.0, (leave, "C"): 1.0}
    assert rules.decide(view(columns=columns, woken=("A", "B", "C", "D"))) == Decision.change(
        {"A": Target(Quote(250.0)), "B": 0.0, "C": 0.0}
    )


def test_rules_want_what_their_conditions_name() -> None:
    wants = Rules("signal(s) > 0 and age(s) < 2 and age(r) < 1", exits=(FallBy(0.1),)).wants
    assert (wants.signals, wants.ratings, wants.when_held) == (("s",), ("r",), None)


@pytest.mark.parametrize(
    ("build", "said_so"),
    [
        (lambda: RatingBand(50.0, 50.0), "leave = 50.0 must be under enter"),
        (lambda: RatingBand(float("nan")), "enter = nan"),
        (lambda: RatingBand(size=1.5), "size = 1.5"),
        (lambda: RatingBand(size=Quote(0.0)), "size = Quote"),
        (lambda: RatingBand(band=-0.1), "band = -0.1"),
        (lambda: RatingBand(assets="BTC"), "assets = 'BTC'"),
        (lambda: RatingBand(max_age="3"), "max_age = '3'"),
        (lambda: RatingBand(exits=[FallBy(0.1)]), "exits"),
        (lambda: RatingBand(kind=""), "kind = ''"),
        (lambda: TopRated(top=0), "top = 0"),
        (lambda: TopRated(top=2.5), "top = 2.5"),
        (lambda: TopRated(invest=1.2), "invest = 1.2"),
        (lambda: TopRated(weights="cap"), "equal or rating"),
        (lambda: TopRated(stop=1.5), "FallBy(1.5)"),
        (lambda: TopRated(every="0d"), "every = '0d'"),
        (lambda: TopRated(weights="rating", enter=-1.0), "enter over 0"),
        (lambda: FollowSignal(mode="flop"), "state or flip"),
        (lambda: FollowSignal(ttl="soon"), "ttl = 'soon'"),
        (lambda: RatingCross(7, 3), "fast = 7 must be under slow = 3"),
        (lambda: SmaCross(50, 20), "fast = 50 must be under slow = 20"),
        (lambda: RegimeGate(5), "is no strategy"),
        (lambda: IndexMirror(unit="bp"), "share or percent"),
        (lambda: MoonshotBasket(most=0), "most = 0"),
        (lambda: MoonshotBasket(join="soon"), "join = 'soon'"),
        (lambda: MoonshotBasket(hold="0d"), "hold = '0d'"),
        (lambda: Rules("close"), "is no condition"),
        (lambda: Rules("clsoe > 1"), "did you mean close?"),
        (lambda: Rules("close > 1", "open"), "leave = 'open'"),
    ],
)
def test_wrong_parameters_name_the_remedy(build, said_so) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        build()
    assert said_so in str(error.value)


def test_every_strategy_states_its_thesis_its_cost_and_where_it_fails() -> None:
    for strategy in registry().values():
        text = strategy.__doc__ or ""
        assert "Thesis" in text
        assert "costs" in text
        assert "should fail" in text or "should\n    fail" in text
