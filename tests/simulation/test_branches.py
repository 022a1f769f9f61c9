"""Stories that share their beginning: a branch is the story that its plan tells alone, and what a proof tells next leads where little was met."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.simulation import guide
from tests.simulation.branches import AIMED, RARE, Branches, ByChance, EveryEnd
from tests.simulation.plan import Plan, drawn
from tests.simulation.points import STILL, known, wanted
from tests.simulation.reached import MUST_MEET
from tests.simulation.run import told_apart
from tests.simulation.scenarios import canonical
from tests.simulation.tally import Tally


def told(plan, branches):
    return list(told_apart([(plan, branches)], batch=1))


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "venue"), [(2, "gate"), (7, "mexc")])
def test_a_branch_is_the_story_that_its_plan_tells_alone(seed, venue):
    trunk = guide.swarm(seed, venue)
    stories = told(trunk, ByChance(seed=seed, most=5))
    assert len(stories) > 4
    assert not [story["broken"] for story in stories if story["broken"]]
    alone = list(told_apart([Plan.of(story["plan"]) for story in stories]))
    assert [story["digest"] for story in alone] == [story["digest"] for story in stories]
    assert len({story["digest"] for story in stories}) == len(stories)
    (last,) = [story for story in stories if not story["is_branch"]]
    (plain,) = told_apart([trunk])
    assert last["digest"] == plain["digest"]


def test_a_branch_reports_what_happened_after_it_branched_off():
    plan = replace(canonical("gate")[0], kills=[{}])
    stories = told(plan, EveryEnd(most=3, every=15))
    branches = [story for story in stories if story["is_branch"]]
    assert len(branches) == 3
    for story in branches:
        (alone,) = told_apart([Plan.of(story["plan"])])
        assert story["steps"] < alone["steps"]
        assert story["simulated"] < alone["simulated"]
        assert story["kills"] == alone["kills"]
        assert not set(story["visited"]) - set(alone["visited"])


def test_a_life_ends_where_few_ended_before():
    rare, often = "outbox.settle: venue.order", "outbox.send: venue.send"
    ends = dict.fromkeys(wanted(), 500) | {rare: 3, f"{rare} / answered": 3, f"{often} / answered": 900}
    branches = Branches(ends)
    assert branches.wants(f"{rare} / answered", 1, ("desk._settle: outbox.settle", rare)) == RARE
    assert sum(branches.wants(f"{often} / answered", 1, (often,)) for _ in range(1_000)) < 30
    assert branches.wants("daemon._watch_lag: clock.sleep", 1, ("daemon._watch_lag: clock.sleep",)) == 0
    assert Branches(dict.fromkeys(wanted(), 500), aim=rare).wants(rare, 1, (rare,)) == AIMED / 2


@pytest.mark.slow
def test_half_of_the_branches_wait_for_what_their_trunk_is_told_for():
    aim = "reconcile._judge: venue.trades_of"
    stories = told(guide.bent(guide.zombie, 1, "gate"), Branches(seed=1, aim=aim))
    assert not [story["broken"] for story in stories if story["broken"]]
    assert sum(aim in ends for story in stories for ends in story["ends"]) >= AIMED / 2


def test_what_a_proof_tells_next_leads_to_what_was_met_least():
    tally = Tally()
    tally.met = Counter(dict.fromkeys(MUST_MEET, guide.ENOUGH)) - Counter({"a zombie seen": 1})
    tally.ends = Counter(dict.fromkeys(wanted(), guide.ENOUGH))
    assert {guide._needed(tally, number) for number in range(8)} == {(guide.zombie, "")}
    tally.met["a zombie seen"] += 1
    assert guide._needed(tally, 1) == (None, "")
    tally.ends["outbox.cut: keep fact"] = 3
    assert guide._needed(tally, 1) == (guide.short_of_cash, "outbox.cut: keep fact")


def test_a_family_is_the_same_plan_each_time():
    for family in guide.FAMILIES:
        assert guide.bent(family, 5, "mexc") == guide.bent(family, 5, "mexc")
        assert set(guide.FAMILIES[family]) <= set(MUST_MEET)
    assert drawn(5) == drawn(5)


def test_names_without_an_end_are_names_of_the_source():
    assert set(STILL) <= set(known())
    assert all(any(name.startswith(lead) for name in wanted()) for lead in guide.LEADS)
