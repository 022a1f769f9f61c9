"""The door: each message ends in exactly one way, and what waits for others is not lost."""

import json
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.payloads import Payloads, compose, schema, signed
from trader.core.facts import SignalsKnown
from trader.core.records import BatchClosed, SignalReceived
from trader.ports import Message, PayloadError
from trader.runtime.inbox import Inbox, Rules

START = datetime(2024, 1, 1, tzinfo=UTC)


class Clock:
    seconds = 0.0

    def now(self):
        return START + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds


async def nobody():
    pass


class Door:
    def __init__(self, path, keys=None, **rules):
        self.journal, self.clock, self.prices = SqliteJournal(path), Clock(), {}
        self.rules = Rules(**rules)
        self.payloads = Payloads(keys, largest=5_000)
        self.inbox = self.fresh()

    def fresh(self):
        return Inbox(
            self.payloads.read, self.journal, self.clock, assets=frozenset({"A", "B"}), rules=self.rules,
            price=self.prices.get,
        )  # fmt: skip

    async def take(self, body, *, is_retained=False):
        """The outcome at the door and the publication, all of it kept."""
        if not self.journal.epoch:
            await self.journal.take("test", seconds=60)
        return await self.keep(await self.inbox.take(Message("test", "", body, nobody, is_retained)))

    async def keep(self, taken):
        facts = [*taken.receipts, *([taken.publication] if taken.publication else [])]
        await self.journal.append(facts)
        for fact in facts:
            self.inbox.fold(fact)
        outcome = next((fact.outcome for fact in facts if isinstance(fact, SignalReceived)), None)
        return outcome, taken.publication

    async def again(self):
        """A new process at the same journal."""
        self.inbox = self.fresh()
        async for entry in self.journal.read():
            self.inbox.fold(entry.fact)


def said(values=None, *, seconds=0.0, kind="grade", type_="rating", id_=None, source="tm", **more):
    return compose(
        source=source, kind=kind, values=values or {"A": 80.0}, type_=type_, issued_at=START + timedelta(seconds=seconds),
        id_=id_, **more,
    )  # fmt: skip


@pytest.fixture
def door(tmp_path):
    return Door(tmp_path / "j.db", max_age=timedelta(days=3), drift=0.05)


async def test_a_message_becomes_a_publication_known_when_it_came(door):
    door.clock.seconds = 5.0
    outcome, publication = await door.take(said({"A": 80.0, "B": 20.0}, id_="7"))
    assert outcome == ""
    assert (publication.key, publication.is_rating, publication.at) == ("tm/7", True, START + timedelta(seconds=5))
    assert [(one.asset, one.value, one.as_of, one.known_at) for one in publication.signals] == [
        ("A", 80.0, START, START + timedelta(seconds=5)),
        ("B", 20.0, START, START + timedelta(seconds=5)),
    ]


async def test_the_same_again_is_a_duplicate_and_another_text_under_the_id_a_conflict(door):
    assert (await door.take(said(id_="7")))[0] == ""
    assert await door.take(said(id_="7")) == ("duplicate", None)
    assert await door.take(said({"A": 10.0}, id_="7")) == ("conflict", None)
    await door.again()
    assert await door.take(said(id_="7")) == ("duplicate", None)


async def test_of_two_sources_that_disagree_the_one_that_is_trusted_more_decides(tmp_path):
    door = Door(tmp_path / "j.db", trust=("tm", "b/c"))
    assert (await door.take(said({"A": 60.0, "B": 10.0}, source="b/c", id_="1")))[0] == ""
    taken = await door.inbox.take(Message("test", "", said({"A": 80.0}, id_="2"), nobody))
    assert taken.receipts[0].why == "A grade of 2024-01-01 00:00: 80 here, 60 from b%2Fc, which is trusted less"
    assert [one.value for one in (await door.keep(taken))[1].signals] == [80.0]
    outcome, publication = await door.take(said({"A": 61.0}, source="b/c", id_="3"))
    assert (outcome, publication) == ("conflict", None)
    await door.again()
    assert (await door.take(said({"A": 62.0}, source="x", id_="4")))[0] == "conflict"
    taken = await door.inbox.take(Message("test", "", said({"A": 63.0, "B": 11.0}, source="b/c", id_="5"), nobody))
    assert "A grade of 2024-01-01 00:00: 63 here, 80 from tm, which is trusted more" in taken.receipts[0].why
    assert [(one.asset, one.value) for one in taken.publication.signals] == [("B", 11.0)]
    assert (await door.take(said({"A": 81.0}, id_="6")))[0] == ""  # its own word it may change
    assert (await door.take(said({"A": 1.0}, source="x", seconds=60, id_="7")))[0] == ""  # and what is newer is news


async def test_a_part_that_was_overruled_while_it_waited_says_nothing(tmp_path):
    door = Door(tmp_path / "j.db", trust=("tm",))
    await door.take(said({"A": 60.0}, source="x", id_="1", batch=("b", 2)))
    await door.take(said({"A": 80.0, "B": 80.0}, id_="2"))
    outcome, publication = await door.take(said({"B": 80.0}, source="x", id_="3", batch=("b", 2)))
    assert (outcome, [(one.asset, one.value) for one in publication.signals]) == ("", [("B", 80.0)])


@pytest.mark.parametrize("seed", range(8))
async def test_what_stands_in_the_end_is_the_word_of_who_is_trusted_most(tmp_path, seed):
    """Whatever the order in which they speak: of the newest as_of the last word of the first source in the order of trust."""
    lot, door = Random(seed), Door(tmp_path / "j.db", trust=("p", "q"))
    door.clock.seconds = 2 * 86_400.0  # the last of the three days that are spoken of
    words, stands = {}, {}
    for number in range(60):
        source, asset, day, value = lot.choice("pqrs"), lot.choice("AB"), lot.randrange(3), float(lot.randrange(4))
        body = said({asset: value}, source=source, id_=str(number), as_of=START + timedelta(days=day))
        _, publication = await door.take(body)
        words[asset, day, source] = value
        for one in publication.signals if publication else ():
            if asset not in stands or one.as_of >= stands[asset][0]:
                stands[asset] = (one.as_of, one.value)
        if lot.random() < 0.1:
            await door.again()
    for asset, (as_of, value) in stands.items():
        day = max(day for name, day, _ in words if name == asset)
        assert as_of == START + timedelta(days=day)
        assert value == next(words[asset, day, source] for source in "pqrs" if (asset, day, source) in words)


async def test_without_an_id_the_content_is_the_id(door):
    assert (await door.take(said()))[0] == ""
    assert await door.take(said()) == ("duplicate", None)
    assert (await door.take(said({"A": 79.0})))[0] == ""


MALFORMED = [
    b"", b"{", b"[]", b"null", b'{"version":1}', b"\xff\xfe", b'{"a":NaN}', b"[" * 4_000,
    said().replace(b'"version":1', b'"version":2'), said().replace(b"80.0", b'"high"'),
    said().replace(b"80.0", b"1e999"), said().replace(b'"type"', b'"typ"'),
    said().replace(b"+00:00", b""), json.dumps({"payload": 1}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_no_message_is_malformed_once_and_says_why(door, body):
    taken = await door.inbox.take(Message("test", "", body, nobody))
    assert taken.receipts[0].outcome == "malformed"
    assert taken.receipts[0].why
    assert await door.take(body) == ("malformed", None)
    assert await door.take(body) == ("duplicate", None)


async def test_what_is_too_large_is_not_read_and_not_kept_whole(door):
    taken = await door.inbox.take(Message("test", "", b"x" * 9_000, nobody))
    assert (taken.receipts[0].outcome, len(taken.receipts[0].payload)) == ("oversized", 2_000)


async def test_each_way_to_end_at_the_door(door):
    door.clock.seconds = 10 * 86_400
    now = door.clock.seconds
    door.prices["A"] = 100.0
    event = said(seconds=now, type_="event", id_="e9").replace(b'"value":80.0', b'"value":1.0,"price":120.0')
    cases = {
        "future": said(seconds=now + 120),
        "unknown_asset": said({"Z": 1.0}, seconds=now),
        "stale": said(seconds=now - 4 * 86_400),
        "expired": said(seconds=now - 16 * 60, type_="event", id_="e1"),
        "drifted": event,
    }
    for outcome, body in cases.items():
        assert await door.take(body) == (outcome, None)
    endless = {**json.loads(said(seconds=now, id_="e0")), "ttl": f"{'9' * 320}.5s"}
    assert await door.take(json.dumps(endless).encode()) == ("malformed", None)
    assert (await door.take(said(seconds=now - 60, type_="event", ttl=timedelta(seconds=30), id_="e2")))[0] == "expired"
    assert (await door.take(said(seconds=now - 60, type_="event", id_="e3")))[0] == ""
    assert await door.take(said(seconds=now, type_="event", id_="e4"), is_retained=True) == ("retained", None)
    assert (await door.take(said(seconds=now), is_retained=True))[0] == ""


async def test_something_older_than_what_is_known_is_out_of_order(door):
    door.clock.seconds = 100
    assert (await door.take(said(seconds=50)))[0] == ""
    assert await door.take(said(seconds=40)) == ("out_of_order", None)
    await door.again()
    assert await door.take(said(seconds=41)) == ("out_of_order", None)
    assert (await door.take(said({"A": 1.0, "B": 1.0}, seconds=40)))[0] == ""


async def test_a_datum_of_the_far_future_does_not_make_all_that_comes_outdated(door):
    assert (await door.take(said({"A": 1.0}, as_of=START + timedelta(days=20_000))))[0] == "future"
    assert (await door.take(said({"A": 2.0}, as_of=START + timedelta(hours=23))))[0] == ""
    assert (await door.take(said({"B": 2.0})))[0] == ""


async def test_an_asset_that_is_not_ours_is_left_out_of_a_publication(door):
    outcome, publication = await door.take(said({"A": 1.0, "Z": 1.0}))
    assert (outcome, [one.asset for one in publication.signals]) == ("", ["A"])


async def test_parts_are_gathered_and_a_restart_between_them_loses_none(door):
    assert await door.take(said({"A": 1.0}, id_="1", batch=("d", 2))) == ("", None)
    assert await door.take(said({"A": 1.0}, id_="1", batch=("d", 2))) == ("duplicate", None)
    await door.again()
    outcome, publication = await door.take(said({"B": 2.0}, id_="2", batch=("d", 2)))
    assert (outcome, publication.key) == ("", "tm/batch:d")
    assert [(one.asset, one.value) for one in publication.signals] == [("A", 1.0), ("B", 2.0)]
    assert list(door.inbox.overdue()) == []
    assert await door.take(said({"B": 3.0}, id_="3", batch=("d", 2))) == ("late", None)
    await door.again()
    assert list(door.inbox.overdue()) == []
    assert await door.take(said({"B": 3.0}, id_="4", batch=("d", 2))) == ("late", None)


async def test_a_publication_that_stays_incomplete_is_handled_when_its_time_is_over_and_says_so(door):
    await door.take(said({"A": 1.0}, id_="1", batch=("d", 3)))
    assert door.inbox.next_end() == 60.0
    assert list(door.inbox.overdue()) == []
    door.clock.seconds = 60.0
    (taken,) = door.inbox.overdue()
    assert isinstance(taken.publication, SignalsKnown)
    assert taken.receipts == (BatchClosed(door.clock.now(), "tm/batch:d", 1, 3),)


async def test_two_publications_that_are_overdue_at_once_are_of_two_instants(door):
    """Found by the simulation: they were one wake for whoever told the record again, and two when they were handled."""
    await door.take(said({"A": 1.0}, id_="1", batch=("d", 3)))
    await door.take(said({"B": 1.0}, id_="2", batch=("e", 3)))
    door.clock.seconds = 60.0
    overdue = door.inbox.overdue()
    first = next(overdue).publication
    door.clock.seconds = 60.1
    second = next(overdue).publication
    assert (first.key, second.key) == ("tm/batch:d", "tm/batch:e")
    assert first.at < second.at


async def test_only_a_right_signature_passes_where_keys_are_configured(tmp_path):
    door = Door(tmp_path / "j.db", {"k1": "secret"})
    good = signed(said(id_="7"), "k1", "secret")
    bad = [
        said(id_="7"),
        signed(said(id_="7"), "k1", "guess"),
        signed(said(id_="7"), "k2", "secret"),
        good.replace(b"80.0", b"81.0"),
    ]
    for body in bad:
        assert await door.take(body) == ("unauthenticated", None)
    assert (await door.take(good))[0] == ""
    assert await door.take(signed(said(id_="7"), "k1", "secret")) == ("duplicate", None)


def test_an_unsigned_reader_takes_an_envelope_too():
    assert Payloads().read(signed(said(id_="7"), "k1", "secret")).id == "7"


def test_the_schema_names_what_a_message_needs():
    found = schema()
    assert set(found["required"]) == {"version", "source", "type", "issued_at", "signals"}
    assert found["additionalProperties"] is False


def test_one_asset_twice_is_malformed():
    body = json.loads(said())
    body["signals"] *= 2
    with pytest.raises(PayloadError, match="twice"):
        Payloads().read(json.dumps(body).encode())
