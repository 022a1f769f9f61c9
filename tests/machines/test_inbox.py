"""The door under any order of messages, repetitions and restarts: one key, one outcome; one publication, once.

The real inbox and the real journal, beside a model that is a dictionary.
"""

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from trader.adapters.journal_sqlite import SqliteJournal
from trader.adapters.payloads import Payloads, compose
from trader.core.facts import SignalsKnown
from trader.core.records import SignalReceived
from trader.ports import Message
from trader.runtime.inbox import Inbox, Rules

SHARED = "/dev/shm" if Path("/dev/shm").is_dir() else None
START = datetime(2024, 1, 1, tzinfo=UTC)
GATHER = 60.0
ids = st.sampled_from(["1", "2", "3"])
values = st.sampled_from([1.0, 0.0])
sources = st.sampled_from(["tm", "a/b"])
batches = st.sampled_from(["x", "y"])


class Time:
    seconds = 0.0

    def now(self):
        return START + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds


async def nobody():
    pass


class Door(RuleBasedStateMachine):
    """Events: no level rules interfere, so that what is left is who came before."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="machine-", dir=SHARED, ignore_cleanup_errors=True)
        self.time = Time()
        self.said = {}  # key -> content, of what came under it first
        self.parts = {}  # batch -> the parts that wait
        self.closed = set()
        self.published = []

    def run(self, step):
        return self.loop.run_until_complete(step)

    def teardown(self):
        self.journal._database.close()
        self.loop.close()
        self.folder.cleanup()

    @initialize()
    def begins(self):
        self.journal = SqliteJournal(Path(self.folder.name) / "j.db")
        self.run(self.journal.take("test", seconds=1e9))
        self.open()

    def open(self):
        rules = Rules(ttl=timedelta(days=30), gather=timedelta(seconds=GATHER))
        self.inbox = Inbox(
            Payloads().read, self.journal, self.time, assets=frozenset({"A"}), rules=rules, price=lambda _: None
        )

    def keep(self, taken):
        facts = [*taken.receipts, *([taken.publication] if taken.publication else [])]
        self.run(self.journal.append(facts))
        for fact in facts:
            self.inbox.fold(fact)
        self.published += [fact.key for fact in facts if isinstance(fact, SignalsKnown)]
        return next((fact.outcome for fact in facts if isinstance(fact, SignalReceived)), None)

    def deliver(self, source, id_, value, batch=None):
        kind = f"{source[0]}{id_}"  # of its own, so that no two sources speak of the same
        body = compose(
            source=source, kind=kind, values={"A": value}, type_="event", issued_at=START, id_=id_, batch=batch
        )
        outcome = self.keep(self.run(self.inbox.take(Message("test", "", body, nobody))))
        key, content = f"{source.replace('/', '%2F')}/{id_}", (source, value, batch)
        if key in self.said:
            assert outcome == ("duplicate" if self.said[key] == content else "conflict")
            return
        self.said[key] = content
        if batch is None:
            assert outcome == ""
            assert self.published.count(key) == 1
            return
        name = f"{source.replace('/', '%2F')}/batch:{batch[0]}"
        if name in self.closed:
            assert outcome == "late"
            return
        assert outcome == ""
        parts, count = self.parts.setdefault(name, (set(), batch[1]))
        parts.add(key)
        if len(parts) >= count:
            self.close(name)

    def close(self, name):
        del self.parts[name]
        self.closed.add(name)
        assert self.published.count(name) == 1

    @rule(source=sources, id_=ids, value=values)
    def message(self, source, id_, value):
        self.deliver(source, id_, value)

    @rule(source=sources, id_=st.sampled_from("pqrs"), value=values, batch=batches)
    def part(self, source, id_, value, batch):
        self.deliver(source, id_, value, (batch, 3))

    @rule(body=st.sampled_from([b"", b"{", b"[1]", b"\x00"]))
    def rubbish(self, body):
        known = body in self.said
        outcome = self.keep(self.run(self.inbox.take(Message("test", "", body, nobody))))
        assert outcome == ("duplicate" if known else "malformed")
        self.said[body] = None

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def pass_time(self, seconds):
        self.time.seconds += seconds
        for taken in self.inbox.overdue():
            self.keep(taken)
        for name in [one for one in self.parts if one in self.published]:
            self.close(name)

    @rule()
    def restart(self):
        async def read():
            return [entry.fact async for entry in self.journal.read()]

        self.open()
        for fact in self.run(read()):
            self.inbox.fold(fact)

    @rule()
    def nothing_was_published_twice_and_every_receipt_is_there(self):
        assert len(self.published) == len(set(self.published))
        assert set(self.published) <= {key for key in self.said if isinstance(key, str)} | self.closed


TestDoor = pytest.mark.slow(Door.TestCase)
TestDoor.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
