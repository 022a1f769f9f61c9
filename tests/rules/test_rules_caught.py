"""Cases that planted bugs (tests/mutants) had slipped past: holdings that begin anew, exits that are being carried out."""

from tests.rules.world import Script, check, daily, long
from trader.core.costs import Costs
from trader.core.exits import FallBy, TrailBy
from trader.core.strategy import Units


def test_rule_16_from_flat_the_peak_starts_at_the_new_entry_price(run):
    again = long(TrailBy(0.1), size=Units(10))
    bars = daily(A=[100, (100, 200, 100, 190), 190, 100, (100, 100, 95, 95), (95, 95, 89, 92), 92])
    out = run(Script({1: {"A": again}, 2: {"A": 0}, 3: {"A": again}}), bars)
    buy, leave = (1, "A", "buy", 10, 100), (2, "A", "sell", 10, 190)
    check(out, buy, leave, (3, "A", "buy", 10, 100), (6, "A", "sell", 10, 90))


def test_rule_16_after_a_trailing_stop_the_peak_starts_anew(run):
    again = long(TrailBy(0.1), size=Units(10))
    bars = daily(A=[100, (100, 200, 100, 190), (190, 190, 150, 160), 100, (100, 100, 95, 95), (95, 95, 89, 92), 92])
    out = run(Script({1: {"A": again}, 3: {"A": again}}), bars)
    buy, stop = (1, "A", "buy", 10, 100), (3, "A", "sell", 10, 180)
    check(out, buy, stop, (3, "A", "buy", 10, 100), (6, "A", "sell", 10, 90))


def test_rule_33_a_leave_does_not_end_an_exit_that_is_being_carried_out(run):
    buy = long(FallBy(0.1), size=Units(10))
    thin = [(94, 94, 94, 94, 20), (93, 93, 93, 93, 10), (92, 92, 92, 92, 100)]
    bars = daily(A=[100, 100, (100, 100, 85, 95, 40), *thin, 92])
    costs = Costs(fee=0, half_spread=0, participation=0.1)
    out = run(Script({1: {"A": buy}, 3: {"A": 0}, 4: {"A": buy}}), bars, costs=costs)
    sells = [(3, "A", "sell", 4, 90), (3, "A", "sell", 2, 94), (4, "A", "sell", 1, 93), (5, "A", "sell", 3, 92)]
    check(out, (1, "A", "buy", 10, 100), *sells)
    assert all("FallBy" in one[6] for one in out.fills[1:])  # the exit's own order did it
