"""How publications ended: what is kept of them is bounded, and the same whether it was lived through, folded or restored."""

from datetime import UTC, datetime

from trader.core.facts import BarClosed, Decided, OrderClosed, OrderPlaced, SignalsKnown
from trader.core.signals import Signal
from trader.runtime.outcomes import Outcomes
from trader.runtime.snapshots import CODER

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def made():
    return Outcomes("m", ["trader_grade"])


def known(key, kind="trader_grade"):
    return SignalsKnown(NOW, (Signal("A", kind, 1.0, NOW, NOW),), key=key)


def placed(order, key):
    return OrderPlaced(NOW, "m", order, "A", "v", "buy", 1, None, "", cause=f"signal:{key}")


def state(outcomes):
    return CODER.capture({"outcomes": outcomes})


DECIDED, BAR = Decided(NOW, "m", ("signal",), ""), BarClosed(NOW, "A", 1.0, 1.0, 1.0, 1.0, 1.0)
LIVED = [
    [known("me/1", "other")],
    [known("me/2"), DECIDED, placed(1, "me/2")],
    [known("me/3", "other")],
    [known("batch:4"), placed(2, "batch:4")],
    [known("me/5"), DECIDED],
    [BAR],
    [known("me/6", "other")],
    [OrderClosed(NOW, "m", 1, "A", "lot")],
    [DECIDED],
    [OrderClosed(NOW, "m", 2, "A", "filled")],
    [known("me/7")],
]


def test_a_mount_that_is_never_woken_keeps_nothing_of_what_ended():
    outcomes = made()
    before = state(outcomes)
    for n in range(1_000):
        ended = outcomes.closing([known(f"me/{n}", "other")])
        assert [(one.key, one.outcome) for one in ended] == [(f"me/{n}", "unwanted")]
    assert state(outcomes) == before


def test_one_whose_order_works_on_is_kept_while_others_end():
    outcomes = made()
    outcomes.closing([known("me/1"), placed(1, "me/1")])
    assert [one.key for one in outcomes.closing([known("me/2", "other")])] == ["me/2"]
    assert not outcomes.open["me/1"].woke
    outcomes.closing([DECIDED])
    assert outcomes.open["me/1"].woke, "it was told since the last decision"
    assert [(one.key, one.outcome) for one in outcomes.closing([OrderClosed(NOW, "m", 1, "A", "lot")])] == [
        ("me/1", "lot")
    ]
    assert outcomes.closing([BAR]) == []
    assert state(outcomes) == state(made())


def test_an_end_at_another_mount_ends_nothing_here():
    outcomes, other = made(), Outcomes("o", ["trader_grade"])
    outcomes.closing([known("me/1"), placed(1, "me/1")])
    before = state(outcomes)
    for fact in other.closing([known("me/1")]):
        outcomes.note(fact)
    assert state(outcomes) == before


def test_lived_through_folded_and_restored_it_is_the_same_at_every_place():
    lived, journal = made(), []
    for facts in LIVED:
        journal += [*facts, *lived.closing(facts)]
        folded = made()
        for fact in journal:
            folded.note(fact)
        assert state(folded) == state(lived)
    whole = state(lived)
    for cut in range(len(journal) + 1):
        part, rest = made(), made()
        for fact in journal[:cut]:
            part.note(fact)
        CODER.restore(state(part), {"outcomes": rest})
        for fact in journal[cut:]:
            rest.note(fact)
        assert state(rest) == whole
