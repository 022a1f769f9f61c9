"""The door at its borders: to the second, to the share, to the letter."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.runtime.test_inbox import START, Door, nobody, said
from trader.adapters.payloads import compose
from trader.core.records import BatchClosed, SignalReceived
from trader.core.states import Coder
from trader.ports import Message, Notice, Said
from trader.runtime.inbox import KEPT, Batch, Inbox, Rules

DAY = 86_400.0


@pytest.fixture
def door(tmp_path):
    one = Door(tmp_path / "j.db", max_age=timedelta(days=3), drift=0.25)
    one.clock.seconds = 10 * DAY
    yield one
    one.journal._database.close()


async def outcome(door, body, **more):
    return (await door.take(body, **more))[0]


async def judged(door, body):
    """The receipt, which is not kept."""
    return (await door.inbox.take(Message("test", "", body, nobody))).receipts[0]


def test_the_rules_unless_they_are_given():
    assert Rules() == Rules(timedelta(minutes=15), None, timedelta(minutes=1), None, timedelta(minutes=1), ())


@pytest.mark.parametrize(
    ("seconds", "more", "inside"),
    [
        (60.0, {}, True), (60.001, {}, False), (-3 * DAY, {}, True), (-3 * DAY - 0.001, {}, False),
        (-900.0, {"type_": "event"}, True), (-900.001, {"type_": "event"}, False),
        (-30.0, {"type_": "event", "ttl": timedelta(seconds=30)}, True), (-30.001, {"type_": "event", "ttl": timedelta(seconds=30)}, False),
        (0.0, {"as_of": START + timedelta(days=11)}, True), (0.0, {"as_of": START + timedelta(days=11, microseconds=1)}, False),
    ],
)  # fmt: skip
async def test_an_age_on_the_border_is_inside(door, seconds, more, inside):
    assert (await outcome(door, said(seconds=10 * DAY + seconds, **more)) == "") is inside


@pytest.mark.parametrize(("now", "inside"), [(125.0, True), (125.1, False), (75.0, True), (74.9, False), (None, True)])
async def test_a_price_may_have_moved_by_the_share_in_both_directions(door, now, inside):
    door.prices["A"] = now
    body = said(seconds=10 * DAY, type_="event", price=100.0)
    assert (await outcome(door, body) == "") is inside


async def test_without_a_limit_or_a_price_nothing_has_drifted(door, tmp_path):
    door.prices["A"] = 500.0
    assert await outcome(door, said(seconds=10 * DAY, type_="event")) == ""
    door.inbox.follow(Rules())
    assert await outcome(door, said(seconds=10 * DAY, type_="event", price=100.0)) == ""


async def test_what_is_handled_is_kept_whole_and_what_is_not_is_cut(door):
    values = {"A": 1.0, **{f"Z{n}": 1.0 for n in range(60)}}
    handled = said(values, seconds=10 * DAY, id_="1")
    receipt = await judged(door, handled)
    assert (receipt.outcome, receipt.payload.encode()) == ("", handled)
    assert len(handled) > KEPT == 2_000
    late = said(values, seconds=DAY, id_="2")
    receipt = await judged(door, late)
    assert (receipt.outcome, receipt.payload.encode()) == ("stale", late[:KEPT])
    await door.take(handled)
    assert (await judged(door, handled)).payload.encode() == handled[:KEPT]
    assert (await judged(door, b"x" * 3_000)).payload == "x" * KEPT


async def test_which_assets_are_strange_is_said_of_the_first_five(door):
    receipt = await judged(door, said({f"Z{n}": 1.0 for n in range(7)}, seconds=10 * DAY))
    assert (receipt.outcome, receipt.why) == ("unknown_asset", "not in the universe: Z0, Z1, Z2, Z3, Z4")
    receipt = await judged(door, said({"A": 1.0, **{f"Z{n}": 1.0 for n in range(7)}}, seconds=10 * DAY))
    assert (receipt.outcome, receipt.why) == ("", "left out, not in the universe: Z0, Z1, Z2, Z3, Z4")


async def test_what_is_said_of_the_market_is_of_the_universe(door):
    outcome_, publication = await door.take(said({"MARKET": 1.0}, seconds=10 * DAY))
    assert (outcome_, [one.asset for one in publication.signals]) == ("", ["MARKET"])


def rows(*values, source="tm", id_=None):
    """A rating of several kinds about A, all of one instant."""
    message = json.loads(said({"A": 0.0}, seconds=10 * DAY, source=source, id_=id_))
    message["signals"] = [{"asset": "A", "kind": f"k{n}", "value": value} for n, value in enumerate(values)]
    return json.dumps(message).encode()


async def test_a_conflict_names_the_first_five_and_one_that_is_right_somewhere_is_none(door):
    door.inbox.follow(Rules(trust=("tm",)))
    await door.take(rows(*[1.0] * 7, id_="1"))
    receipt = await judged(door, rows(*[2.0] * 7, source="x"))
    assert (receipt.outcome, receipt.why.count("trusted more"), receipt.why.count("k4"), receipt.why.count("k5")) == (
        "conflict",
        5,
        1,
        0,
    )
    receipt = await judged(door, rows(*[2.0] * 6, 1.0, source="x"))
    assert (receipt.outcome, receipt.why.count("trusted more")) == ("", 5)
    receipt = await judged(door, rows(*[1.0] * 7, source="x"))
    assert (receipt.outcome, receipt.why) == ("", "")


async def test_a_message_of_strangers_alone_is_no_conflict(door):
    receipt = await judged(door, said({"A": 1.0, "Z": 2.0}, seconds=10 * DAY))
    assert receipt.outcome == ""


async def test_sources_that_the_trust_does_not_name_come_by_their_names(door):
    await door.take(said({"A": 1.0}, seconds=10 * DAY, source="b"))
    assert await outcome(door, said({"A": 2.0}, seconds=10 * DAY, source="c")) == "conflict"
    receipt = await judged(door, said({"A": 2.0}, seconds=10 * DAY, source="a"))
    assert (receipt.outcome, receipt.why) == (
        "",
        "A grade of 2024-01-11 00:00: 2 here, 1 from b, which is trusted less",
    )


async def test_who_only_agrees_does_not_take_the_place_of_who_is_trusted_more(door):
    await door.take(said({"A": 1.0}, seconds=10 * DAY, source="a"))
    await door.take(said({"A": 1.0}, seconds=10 * DAY, source="b"))
    assert door.inbox._newest[True, "grade", "A"] == (START + timedelta(days=10), "a", 1.0)
    await door.take(said({"A": 1.0}, seconds=10 * DAY + 1, source="b"))
    assert door.inbox._newest[True, "grade", "A"] == (START + timedelta(days=10, seconds=1), "b", 1.0)
    await door.take(said({"A": 1.0}, seconds=10 * DAY + 1, source="a"))
    assert door.inbox._newest[True, "grade", "A"][1] == "a"
    await door.take(said({"A": 3.0}, seconds=10 * DAY + 1, source="a", id_="9"))
    assert door.inbox._newest[True, "grade", "A"][2] == 3.0, "its own word it may change"


async def test_a_state_does_not_stand_beside_a_rating(door):
    await door.take(said({"A": 1.0}, seconds=10 * DAY))
    assert await outcome(door, said({"A": 1.0}, seconds=9 * DAY, type_="state")) == ""
    assert await outcome(door, said({"A": 1.0}, seconds=9 * DAY)) == "out_of_order"


async def test_a_message_is_known_again_by_everything_that_it_says(door):
    base = {"values": {"A": 1.0}, "seconds": 10 * DAY, "id_": "7"}
    await door.take(said(**base))
    others = [
        {"values": {"A": 2.0}}, {"seconds": 10 * DAY + 1}, {"kind": "other"}, {"type_": "state"}, {"batch": ("b", 2)}, {"price": 3.0},
        {"as_of": START}, {"values": {"B": 1.0}},
    ]  # fmt: skip
    for other in others:
        assert await outcome(door, said(**base | other)) == "conflict", other
    assert await outcome(door, said(**base)) == "duplicate"
    assert await outcome(door, said(**base | {"source": "x", "seconds": 10 * DAY + 2})) == "", (
        "an id is its source's own"
    )


async def test_a_key_holds_the_source_without_a_slash_and_the_id_or_the_content(door):
    receipt = await judged(door, said(seconds=10 * DAY, source="a/b%2F", id_="x/y"))
    assert receipt.key == "a%2Fb%252F/x/y"
    receipt = await judged(door, said(seconds=10 * DAY))
    assert (receipt.key, len(receipt.digest)) == (f"tm/{receipt.digest[:32]}", 64)
    receipt = await judged(door, b"{")
    assert receipt.key == f"malformed:{receipt.digest}"


async def test_the_digest_of_a_message_never_changes(door):
    """Written down: a message that comes again after an update is the same message."""
    receipt = await judged(door, said({"A": 1.0}, seconds=10 * DAY, id_="7"))
    assert receipt.digest == "ac916d2e2d4e9084f0ea046cdce70c45952ef7168762741131495e6dbd94198b"


# Publications of several messages


def part(number, *, count=3, batch="d", **values):
    return compose(source="tm", kind="grade", values=values or {"A": 1.0}, type_="rating", issued_at=START + timedelta(days=10), id_=str(number),
                   batch=(batch, count))  # fmt: skip


async def test_parts_wait_no_longer_than_they_may_and_a_snapshot_lets_them_wait_anew(door):
    await door.take(part(1))
    assert door.inbox.next_end() == 10 * DAY + 60
    state = Coder([Batch, Notice, Said])
    text = state.capture({"inbox": door.inbox})
    door.clock.seconds += 100
    again = door.fresh()
    state.restore(text, {"inbox": again})
    again.restored()
    assert again.next_end() == 10 * DAY + 160
    door.inbox = again
    door.clock.seconds += 59.9
    assert list(door.inbox.overdue()) == []
    door.clock.seconds = 10 * DAY + 160
    (taken,) = door.inbox.overdue()
    assert [one.key for one in taken.receipts] == ["tm/batch:d"]
    assert (door.inbox.next_end(), Inbox.STATE) == (None, ("_batches", "_closed", "_newest"))


async def test_a_publication_is_closed_in_the_same_turn_in_which_it_is_complete(door):
    first = await door.inbox.take(Message("test", "", part(1, count=2), nobody))
    last = await door.inbox.take(Message("test", "", part(2, count=2, B=1.0), nobody))
    assert (first.publication, len(last.receipts)) == (None, 2)
    assert last.receipts[1] == BatchClosed(door.clock.now(), "tm/batch:d", 2, 2)
    assert [one.asset for one in last.publication.signals] == ["A", "B"]
    late = await door.inbox.take(Message("test", "", part(3, count=2), nobody))
    assert late.receipts[0].outcome == "late", "nothing of it was folded yet"


async def test_a_publication_that_was_complete_at_the_kill_is_overdue_at_once(door):
    await door.journal.take("test", seconds=60)
    for number in (1, 2):
        taken = await door.inbox.take(Message("test", "", part(number, count=2), nobody))
        await door.keep(replace(taken, receipts=taken.receipts[:1], publication=None))
    await door.again()
    assert len(next(iter(door.inbox._batches.values())).parts) == 2
    (taken,) = door.inbox.overdue()
    assert taken.receipts == (BatchClosed(door.clock.now(), "tm/batch:d", 2, 2),)


async def test_what_cannot_be_read_any_more_or_is_no_part_waits_for_nothing(door):
    """The word `batch` may stand anywhere in a message; and keys may have been changed since it came."""
    at = door.clock.now()
    plain = said({"A": 1.0}, seconds=10 * DAY, kind="batch").decode()
    for payload in (plain, '{"batch"', said({"A": 1.0}).decode()):
        door.inbox.fold(SignalReceived(at, "tm/1", "bus", "d", "", "", payload))
    assert door.inbox._batches == {}
    door.inbox.fold(SignalReceived(at, "tm/1", "bus", "d", "stale", "", part(1).decode()))
    assert door.inbox._batches == {}, "it was not to be handled"
