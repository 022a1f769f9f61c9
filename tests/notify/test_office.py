"""The post office over simulated days: nothing is lost, nothing rings at night, nobody is flooded, and a restart changes nothing."""

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from trader.notify.event import CRITICAL, INFO, LEVELS, WARNING, Alarm, Event
from trader.notify.office import HOUR, Letter, Office, Quiet, Rules, written
from trader.notify_place import CODER

START = datetime(2024, 3, 30, 12, tzinfo=UTC)  # the night in which Berlin's clocks go forward follows
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Quiet(time(22), time(7), BERLIN)
TARGETS = {"phone": WARNING, "mail": INFO, "siren": CRITICAL}


def event(level, title="fill", key="k", once=False, at=START):
    return Event(at, level, title, f"{title} happened", key, once)


def restarted(office):
    """The same office in another process: what was written down, and nothing else."""
    again = Office(office.rules)
    CODER.restore(CODER.capture({"office": office}), {"office": again})
    return again


def play(rules, script, *, fails=frozenset(), restarts=frozenset(), drain=True):
    """Posts and passes of time; each letter is answered at once. Targets in `fails` take nothing during the script."""
    office, now, letters = Office(rules), START, []

    def deliver(bad):
        for letter in office.due(now):
            if letter.target in bad:
                office.failed(letter, now)
            else:
                office.done(letter, now)
                letters.append((now, letter))

    for number, (seconds, events) in enumerate(script):
        now += timedelta(seconds=seconds)
        office.post(now, events)
        deliver(fails)
        if number in restarts:
            office = restarted(office)
    while drain and any(box.waiting or box.left for box in office.boxes.values()):
        now += timedelta(minutes=10)
        assert now < START + timedelta(days=60), "it never gets empty"
        deliver(frozenset())
    return letters


posts = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 5, 30, 600, 3_000, 20_000]),
        st.lists(
            st.builds(event, st.sampled_from(LEVELS), st.sampled_from(["fill", "halted", "order stuck"])), max_size=8
        ),
    ),
    max_size=40,
)
rules = st.builds(
    Rules, st.just(TARGETS), gather=st.sampled_from([timedelta(0), timedelta(seconds=10)]), limit=st.integers(1, 4),
    lines=st.integers(1, 6), queue=st.integers(3, 20), quiet=st.sampled_from([None, NIGHT, Quiet(time(9), time(17), UTC)]),
)  # fmt: skip
targets = st.sets(st.sampled_from(sorted(TARGETS)))


def counted(letters, target):
    return sum(len(one.events) + sum(one.more.values()) for _, one in letters if one.target == target)


@settings(max_examples=150, deadline=None)
@given(rules, posts, targets, st.sets(st.integers(0, 39)))
def test_every_event_is_told_or_counted_once_over_failures_and_restarts(rules, script, fails, restarts):
    letters = play(rules, script, fails=fails, restarts=restarts)
    for target, least in TARGETS.items():
        due = [one for _, events in script for one in events if LEVELS.index(one.level) >= LEVELS.index(least)]
        assert counted(letters, target) == len(due)
        titles = Counter(one.title for one in due)
        told = Counter(title for _, one in letters if one.target == target for title in [e.title for e in one.events])
        more = sum((Counter(one.more) for _, one in letters if one.target == target), Counter())
        assert told + more == titles


@settings(max_examples=100, deadline=None)
@given(rules, posts)
@example(Rules(TARGETS, quiet=NIGHT), [(12 * 3_600, [event(INFO)])])
def test_at_quiet_hours_only_what_is_critical_is_told(rules, script):
    for now, letter in play(rules, script):
        if rules.quiet is not None and rules.quiet.holds(now):
            assert {one.level for one in letter.events} == {CRITICAL}


@settings(max_examples=100, deadline=None)
@given(rules, posts, targets)
def test_within_an_hour_no_target_gets_more_letters_than_its_limit(rules, script, fails):
    letters = play(rules, script, fails=fails)
    for target in TARGETS:
        for is_urgent in (True, False):
            times = [at for at, one in letters if one.target == target and one.is_urgent is is_urgent]
            for at in times:
                assert sum(at <= other < at + HOUR for other in times) <= rules.limit


@settings(max_examples=60, deadline=None)
@given(rules, posts, st.sets(st.integers(0, 39)))
def test_a_restart_between_letters_changes_no_letter(rules, script, restarts):
    assert play(rules, script, restarts=restarts) == play(rules, script)


@settings(max_examples=60, deadline=None)
@given(rules, posts, targets)
def test_a_target_that_fails_changes_nothing_for_the_others(rules, script, fails):
    broken, whole = (
        [one for one in play(rules, script, fails=bad, drain=False) if one[1].target not in fails]
        for bad in (fails, ())
    )
    assert broken == whole


RAISED = timedelta(seconds=60)
toggles = st.lists(st.tuples(st.sampled_from([1, 20, 59, 61, 1_000, 3_600, 10_000]), st.booleans()), max_size=40)


def stood(script, *, restarts=frozenset()):
    """What is told of one alarm that comes and goes: (seconds, title)."""
    office, now, told = Office(Rules({"mail": INFO}, gather=timedelta(0), calm=RAISED, limit=1_000)), START, []
    for number, (seconds, is_so) in enumerate([*script, (1, False), (61, False)]):
        now += timedelta(seconds=seconds)
        office.stand(now, {"link:mqtt": Alarm(WARNING, "link is down", "why", now)} if is_so else {})
        for letter in office.due(now):
            office.done(letter, now)
            told += [(now, one.title) for one in letter.events]
        if number in restarts:
            office = restarted(office)
    return told


@settings(max_examples=200, deadline=None)
@given(toggles, st.sets(st.integers(0, 39)))
@example([(1, True), (20, False), (20, True), (20, False), (20, True)], set())
def test_an_alarm_is_told_once_reminded_of_seldom_and_cleared_once(script, restarts):
    told, is_standing, last = stood(script, restarts=restarts), False, None
    for at, title in told:
        if title == "link is down":
            assert not is_standing
            is_standing, last = True, at
        elif title == "still: link is down":
            assert is_standing
            assert at - last >= HOUR
            last = at
        else:
            assert title == "all clear: link is down"
            assert is_standing
            is_standing = False
    assert not is_standing, "whatever was told is cleared in the end"
    assert bool(told) == any(is_so for _, is_so in script)


def test_what_a_look_cannot_decide_keeps_its_alarm():
    office = Office(Rules({"mail": INFO}))
    office.stand(START, {"order:1": Alarm(CRITICAL, "order 1", "unknown", START)})
    for minutes in (1, 5, 60):
        office.stand(START + timedelta(minutes=minutes), {}, frozenset({"daemon"}))
    assert set(office.standing) == {"order:1"}
    office.stand(START + timedelta(minutes=61), {})
    office.stand(START + timedelta(minutes=63), {})
    assert not office.standing


def test_a_worse_alarm_is_told_at_once():
    office = Office(Rules({"siren": CRITICAL}))
    office.stand(START, {"feed": Alarm(WARNING, "feed", "troubled", START)})
    assert office.due(START) == []
    office.stand(START + timedelta(seconds=5), {"feed": Alarm(CRITICAL, "feed", "stopped", START)})
    assert [one.events[0].text for one in office.due(START + timedelta(seconds=5))] == ["stopped"]


def test_the_same_key_is_told_again_only_after_the_time_for_repeats():
    office, told = Office(Rules({"mail": INFO}, gather=timedelta(0))), []
    for minutes in range(0, 130, 10):
        office.post(START + timedelta(minutes=minutes), [event(CRITICAL, "the key is refused", "dead:X", once=True)])
        for letter in office.due(START + timedelta(minutes=minutes)):
            office.done(letter, START)
            told.append(minutes)
    assert told == [0, 60, 120]


def test_what_comes_together_goes_together_and_what_is_critical_goes_at_once():
    office = Office(Rules({"mail": INFO}, lines=2))
    office.post(START, [event(INFO) for _ in range(5)])
    assert office.due(START + timedelta(seconds=9)) == []
    office.post(START + timedelta(seconds=9), [event(CRITICAL, "order stuck")])
    (letter,) = office.due(START + timedelta(seconds=9))
    title, text = written(letter)
    assert title == "order stuck and 5 more"
    assert "and 4 more that are not told one by one: 4 × fill" in text


def test_pauses_grow_and_the_next_letter_says_since_when_nothing_came_through():
    office, now, tries = Office(Rules({"mail": INFO}, gather=timedelta(0))), START, []
    office.post(now, [event(INFO)])
    while now < START + timedelta(seconds=400):
        for letter in office.due(now):
            office.failed(letter, now)
            tries.append((now - START).seconds)
        now += timedelta(seconds=1)
    assert tries == [0, 5, 20, 80, 380]
    (letter,) = office.due(now + HOUR)
    assert "from 2024-03-30 12:00 UTC on nothing could be delivered here" in written(letter)[1]


def test_a_crash_while_a_letter_is_under_way_tells_it_again_and_loses_nothing():
    office = Office(Rules({"mail": INFO}, gather=timedelta(0)))
    office.post(START, [event(INFO), event(WARNING, "halted")])
    (first,) = office.due(START)
    assert office.due(START) == [], "one letter at a time"
    (again,) = restarted(office).due(START)
    assert again == first


def test_a_queue_keeps_what_is_under_way_and_gives_up_what_matters_least():
    office = Office(Rules({"mail": INFO}, gather=timedelta(0), queue=3))
    office.post(START, [event(WARNING, "halted"), event(INFO, "one")])
    (letter,) = office.due(START)
    office.post(START, [event(INFO, "two"), event(INFO, "three"), event(CRITICAL, "stuck"), event(INFO, "four")])
    office.done(letter, START)
    (rest,) = office.due(START)
    assert [one.title for one in rest.events] == ["three", "stuck", "four"]
    assert rest.more == {"two": 1}


def test_quiet_hours_follow_the_zone_over_a_change_of_its_clock():
    at = datetime(2024, 3, 31, 7, tzinfo=BERLIN)
    assert NIGHT.holds(at - timedelta(minutes=1))
    assert not NIGHT.holds(at.astimezone(UTC))
    assert not NIGHT.holds(datetime(2024, 3, 31, 5, tzinfo=UTC)), "07:00 in summer time"
    assert NIGHT.holds(datetime(2024, 3, 30, 5, tzinfo=UTC)), "06:00 in winter time"


def test_a_letter_is_plain():
    letter = Letter("mail", INFO, (event(INFO),), frozenset({1}), {}, {}, is_urgent=False)
    assert written(letter) == ("fill", "03-30 12:00:00 fill: fill happened")
