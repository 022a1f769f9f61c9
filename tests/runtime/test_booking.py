"""What the venue shows of an order is booked once, and every fact is written before anybody learns it."""

# ruff: noqa: F811 - fixtures of another file are arguments here

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.runtime.test_attempts import START, SYMBOL, House, house, seen, trade  # noqa: F401 - fixtures
from trader.core.facts import (
    AttemptEnded,
    Filled,
    OrderClosed,
    OrderCut,
    OrderPlaced,
)
from trader.core.records import LinkChanged
from trader.ports import (
    JournalDownError,
)
from trader.runtime.keeper import KEEPS
from trader.runtime.outbox import ATTEMPTS, Outbox, fee_name

# Booking


async def test_a_trade_is_booked_once_in_the_order_of_time(house):
    track = await house.begin()
    await house.send(track)
    twice = [trade(2, 20), trade(1, 10, "0.5", fee_asset="A"), trade(2, 20), trade(3, 20)]
    assert await house.outbox.book(track, twice) == 3
    assert [fact for fact in await house.facts() if isinstance(fact, Filled)] == [
        Filled(START, "m", 1, "A", "gate", "buy", Decimal("0.5"), Decimal(10), Decimal("0.1"), "A", "target", "t1"),
        Filled(START, "m", 1, "A", "gate", "buy", Decimal(1), Decimal(10), Decimal("0.1"), "quote", "target", "t2"),
        Filled(START, "m", 1, "A", "gate", "buy", Decimal(1), Decimal(10), Decimal("0.1"), "quote", "target", "t3"),
    ]
    written = len(await house.facts())
    assert await house.outbox.book(track, twice) == 0
    assert (track.filled, track.trades, len(await house.facts())) == (Decimal("2.5"), {"t1", "t2", "t3"}, written)


async def test_an_attempt_ends_when_it_is_final_and_all_its_trades_are_booked(house):
    track = await house.begin()
    await house.send(track)
    assert (track.filled, ATTEMPTS) == (0, 3)
    house.venue.down = {"order"}
    assert await house.outbox.settle(track, SYMBOL) is False
    house.venue.down, house.venue.traded = set(), [trade(1)]
    assert await house.outbox.settle(track, SYMBOL) is False, "nobody knows it yet"
    assert track.filled == 1
    for shown in (seen("c", is_open=True, filled=Decimal(1)), seen("c", filled=Decimal(2))):
        house.venue.status = shown
        assert await house.outbox.settle(track, SYMBOL) is False
        assert track.state == "accepted"
    house.venue.status = seen("c", filled=Decimal(1))
    assert await house.outbox.settle(track, SYMBOL)
    assert (await house.facts())[-1] == AttemptEnded(START, "m", 1, 1, Decimal(1))
    assert {("order", "v1", SYMBOL), ("trades_of", "v1", SYMBOL)} <= set(house.venue.calls)
    await house.send(track)
    house.venue.traded, house.venue.status = [trade(2, quantity="0.25")], seen("c", filled=None)
    assert await house.outbox.settle(track, SYMBOL), "a venue that does not say how much"
    assert (await house.facts())[-1] == AttemptEnded(START, "m", 1, 2, Decimal("0.25"))
    assert (track.filled, house.outbox.gone) == (Decimal("1.25"), set())


async def test_an_attempt_ends_although_an_earlier_one_showed_up_and_was_booked_meanwhile(house):
    """Proven to be none, and there after all: its trades are the order's, but say nothing of the attempt that is settled now."""
    track = await house.begin()
    await house.send(track)
    house.venue.traded, house.venue.status = [], seen("c", filled=Decimal(1))
    assert not await house.outbox.settle(track, SYMBOL), "the list of trades lags"
    assert await house.outbox.book(track, [trade(9)]) == 1, "what reconciliation does with a zombie"
    assert not await house.outbox.settle(track, SYMBOL), "as much as was filled, but not of this attempt"
    house.venue.traded = [trade(1)]
    assert await house.outbox.settle(track, SYMBOL)
    assert (await house.facts())[-1] == AttemptEnded(START, "m", 1, 1, Decimal(1))
    assert track.filled == 2


async def test_of_an_order_that_says_only_what_it_spent_trades_that_lag_are_waited_for(house):
    track = await house.begin()
    await house.send(track)
    house.venue.status = replace(seen("c", filled=None), spent=Decimal("12.5"))
    house.venue.traded = [trade(1), trade(1)]  # each is 10 of money; a page that moved shows one twice
    assert await house.outbox.settle(track, SYMBOL) is False
    house.venue.traded = [trade(1), trade(2, quantity="0.25")]
    assert await house.outbox.settle(track, SYMBOL)
    assert (await house.facts())[-1] == AttemptEnded(START, "m", 1, 1, Decimal("1.25"))


async def test_an_order_is_given_up_or_cut_only_while_nothing_of_it_may_be_at_the_venue(house):
    track = await house.begin()
    assert await house.outbox.cut(track, Decimal("0.5"))
    assert (await house.facts())[-1] == OrderCut(START, "m", 1, "A", Decimal("0.5"))
    for state in ("sending", "accepted", "unknown", "stuck", "closed"):
        track.state = state
        assert not await house.outbox.cut(track, Decimal("0.5"))
        await house.outbox.give_up(track, "absent")
    assert len(await house.facts()) == 2
    track.state = "absent"
    assert await house.outbox.cut(track, Decimal("0.5"))
    await house.outbox.give_up(track, "absent")
    assert (await house.facts())[-1] == OrderClosed(START, "m", 1, "A", "absent")
    assert track.state == "closed"


async def test_after_a_snapshot_those_that_are_not_final_are_known_again(house):
    first, second = await house.begin(), await house.begin(number=2)
    await house.outbox.give_up(first, "absent")
    house.outbox.live = {}
    house.outbox.restored()
    assert house.outbox.live == {("m", 2): second}
    assert Outbox.STATE == ("tracks", "attempts", "gone")


def test_a_fee_is_named_in_the_words_of_the_ledger():
    assert [fee_name(trade(1, fee_asset=name), "asset-a") for name in ("USDT", "A", "GT")] == ["quote", "asset-a", "GT"]


def test_a_fill_that_no_trade_stands_for_is_not_counted(tmp_path):
    house = House(tmp_path / "j.db")
    house.outbox.fold(OrderPlaced(START, "m", 1, "A", "gate", "buy", Decimal(2), None, "target"))
    house.outbox.fold(Filled(START, "m", 1, "A", "gate", "buy", Decimal(1), Decimal(1), Decimal(0), "quote", "target"))
    house.outbox.fold(
        Filled(START, "m", None, "A", "gate", "sell", Decimal(1), Decimal(1), Decimal(0), "quote", "x", "t")
    )
    assert house.outbox.tracks["m", 1].filled == 0


# Writing


LINK = LinkChanged(START, "gate", True, "up")


async def test_what_follows_is_written_in_the_same_commit_and_everybody_is_told(tmp_path):
    more = LinkChanged(START, "mexc", True, "up")
    asked = []
    house = House(tmp_path / "j.db")
    house.keeper.followers.append(lambda facts: asked.append(facts) or [more])
    await house.journal.take("me", seconds=60)
    told = []
    house.keeper.listeners.append(told.append)
    assert await house.keeper.keep(LINK)
    assert (told, asked, await house.facts()) == ([LINK, more], [(LINK,)], [LINK, more])
    assert (house.keeper.written, house.keeper.told, house.keeper.epoch) == (2, {LinkChanged: 2}, 1)
    assert house.keeper.now() == START
    assert not await house.keeper.keep(LINK, when=lambda: False)
    assert (len(told), len(asked), house.keeper.written) == (2, 1, 2)


async def test_nothing_is_written_where_there_is_nothing_to_say(house):
    await house.keeper.write([])  # the lease is not taken: an append would raise
    assert house.keeper.written == 0


async def test_a_commit_that_fails_is_repeated_as_it_is_later_and_later_and_then_it_is_the_end(house):
    await house.journal.take("me", seconds=3600)
    tries, append = [], house.journal.append

    async def failing(facts):
        tries.append(list(facts))
        raise JournalDownError("the disk is full")

    house.journal.append = failing
    with pytest.raises(JournalDownError):
        await house.keeper.write([LINK])
    assert (len(tries), tries[0], tries[-1], KEEPS) == (20, [LINK], [LINK], 20)
    assert house.clock.slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[5.0] * 12]
    assert house.keeper.written == 0

    async def failing_once(facts):
        house.journal.append = append
        raise JournalDownError("the disk is full")

    house.journal.append = failing_once
    await house.keeper.write([LINK])
    assert (house.keeper.written, await house.facts()) == (1, [LINK])


async def test_what_was_spent_on_writing_and_on_answers_is_measured(house):
    spent = []
    house.keeper.measures.spent = lambda name, begin: spent.append((name, begin > 0))
    await house.send(await house.begin())
    assert {("kept", True), ("answered", True)} <= set(spent)
