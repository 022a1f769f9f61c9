"""What happens, as it happens: whoever joins at whichever moment misses nothing and hears nothing twice, and it never ends in silence."""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from tests.services.parts import until
from trader.adapters.fact_codec import CodecError, decode
from trader.api import live as module
from trader.api.app import Rules, application
from trader.api.house import House, Told, UnreadableError
from trader.api.live import Live
from trader.core.facts import TimerDue
from trader.serving import Pages

AT = datetime(2024, 1, 1, tzinfo=UTC)


class Journal:
    """Pages whose answers are as of when they were asked for, and come when the test lets them."""

    def __init__(self):
        self.newest, self.held, self.error = 100, [], None

    def hold(self):
        """Keep the answer of the next question back, until it is set."""
        self.held.append(asyncio.Event())
        return self.held[-1]

    async def _later(self, answer):
        await (self.held.pop(0).wait() if self.held else asyncio.sleep(0))
        return answer

    async def last(self):
        return await self._later(self.newest)

    async def facts(self, after, most):
        if self.error is not None:
            raise self.error
        return await self._later([Told(n, TimerDue(AT, "m")) for n in range(after + 1, self.newest + 1)][:most])


async def ask(*_asked):
    return {"ok": True}


class Bench:
    """Who tells, and who look on."""

    def __init__(self):
        self.journal, self.tasks, self.failed = Journal(), {}, []
        self.house = House("x", "1", "1m", (), ask, self.journal, tuple, tuple, lambda *_: None, lambda _: None)
        self.live = Live(self.house, asyncio.get_running_loop().time)

    def do(self, name, work):
        self.tasks[name] = asyncio.create_task(work)

    def tell(self):
        self.do("tell", self.live._tell_facts())

    async def told(self):
        """Tell once, to the end."""
        self.tell()
        await self.tasks["tell"]

    def go_on(self):
        self.do("go on", self.live.go_on(lambda what, error: self.failed.append((what, error))))

    def join(self, name, after=None):
        heard = []

        async def follow():
            async for text in self.live.events(after):
                heard.append(text)  # noqa: PERF401 - it is heard one by one

        self.do(name, follow())
        return heard

    async def leave(self, name):
        self.tasks[name].cancel()
        with suppress(asyncio.CancelledError):
            await self.tasks[name]
        await settled()


async def settled():
    """Let everything go on that can."""
    for _ in range(50):
        await asyncio.sleep(0)


def places(heard):
    return [int(line[4:]) for text in heard for line in text.split("\n") if line.startswith("id: ")]


def troubles(heard):
    return [json.loads(line[6:]) for text in heard for line in text.split("\n") if line.startswith('data: {"error"')]


@pytest.fixture
async def bench(monkeypatch):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(module, "STATUS_SECONDS", 0.01)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    made = Bench()
    yield made
    for name in list(made.tasks):
        await made.leave(name)


async def test_a_fact_between_the_question_of_who_joins_and_that_of_who_tells_is_not_missed(bench):
    joins, tells = bench.journal.hold(), bench.journal.hold()
    heard = bench.join("one", 95)
    await settled()  # it is told that 100 is the newest, later
    bench.journal.newest = 101
    bench.tell()
    await settled()  # nobody looks on yet: it is told that 101 is, later
    joins.set()
    await settled()
    tells.set()
    await settled()
    bench.journal.newest = 102
    await bench.told()
    await settled()
    assert places(heard) == [96, 97, 98, 99, 100, 101, 102]


async def test_a_late_answer_to_who_tells_makes_nobody_hear_twice(bench):
    tells = bench.journal.hold()
    bench.tell()
    await settled()
    bench.journal.newest = 101
    heard = bench.join("one", 95)
    await settled()
    tells.set()
    await settled()
    await bench.told()
    await settled()
    assert places(heard) == [96, 97, 98, 99, 100, 101]


@pytest.mark.parametrize("is_told", [True, False])
async def test_of_two_who_join_at_once_both_hear_everything_once(bench, is_told):
    """The second one's answer comes when the first one is in, and was told what is new, or was not yet."""
    first, second = bench.journal.hold(), bench.journal.hold()
    one = bench.join("one", 95)
    await settled()
    bench.journal.newest = 100 if is_told else 103
    two = bench.join("two", 95)
    await settled()
    first.set()
    await settled()
    bench.journal.newest = 103
    if is_told:
        await bench.told()
    second.set()
    await settled()
    await bench.told()
    await settled()
    assert places(one) == places(two) == list(range(96, 104))


async def test_who_joins_when_all_others_left_amid_an_answer_hears_nothing_twice(bench):
    bench.join("one")
    await settled()
    bench.journal.newest, tells = 103, bench.journal.hold()
    bench.tell()  # 101 to 103, later
    await settled()
    await bench.leave("one")
    bench.journal.newest = 105
    heard = bench.join("two", 100)
    await settled()
    tells.set()
    await settled()
    bench.journal.newest = 106
    await bench.told()
    await settled()
    assert places(heard) == [101, 102, 103, 104, 105, 106]


async def test_an_answer_older_than_what_others_were_told_meanwhile_loses_nothing(bench):
    joins = bench.journal.hold()
    heard = bench.join("one", 95)
    await settled()  # it is told that 100 is the newest, later
    bench.join("two")
    await settled()
    bench.journal.newest = 103
    await bench.told()
    bench.journal.newest, tells = 104, bench.journal.hold()
    bench.tell()  # 104, later
    await settled()
    await bench.leave("two")
    joins.set()
    await settled()
    tells.set()
    await settled()
    await bench.told()
    await settled()
    assert places(heard) == list(range(96, 105))


async def test_what_ends_unexpectedly_is_said_logged_and_begun_anew(bench):
    heard = bench.join("one")
    await settled()
    bench.go_on()
    error = bench.journal.error = ValueError("postgres://user:hunter2@host")
    await until(lambda: len(troubles(heard)) >= 2)
    assert bench.failed[:2] == [("telling what happens", error)] * 2
    assert troubles(heard)[0]["error"] == "what happens is not told for 0.01 s: ValueError"
    assert "hunter2" not in "".join(heard)
    bench.journal.error, bench.journal.newest = None, 103
    await until(lambda: places(heard))
    assert places(heard) == [101, 102, 103]


async def test_it_is_begun_anew_at_a_bounded_pace(bench, monkeypatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 60.0)
    heard = bench.join("one")
    await settled()
    bench.journal.error = ValueError("broken")
    bench.go_on()
    await until(lambda: bench.failed)
    await settled()
    assert (len(bench.failed), len(troubles(heard))) == (1, 1)


async def test_the_api_says_what_of_it_ended(bench):
    async def broken():
        raise ValueError("broken")

    async def close():
        pass

    bench.journal.last, bench.journal.close = broken, close
    made = application(
        bench.house, Rules((), {}, ()), failed=lambda what, error: bench.failed.append((what, str(error)))
    )
    app = made._inner
    async with app.router.lifespan_context(app):
        await until(lambda: len(bench.failed) >= 2)
    assert bench.failed[:2] == [("telling what happens", "broken")] * 2


async def test_a_stop_ends_it_and_what_it_does(bench):
    bench.go_on()
    await settled()
    await bench.leave("go on")
    assert bench.failed == []
    assert {one.get_name() for one in asyncio.all_tasks()}.isdisjoint({"what happens"})


async def test_a_fact_of_a_newer_bot_is_trouble_each_time_and_the_status_goes_on(bench):
    class Newer:
        async def facts(self, _after, _most):
            return [decode('{"$": "OrderFrozen"}')]

    heard = bench.join("one")
    await settled()
    bench.journal.facts = Pages(Newer()).facts
    bench.go_on()
    await until(lambda: len(troubles(heard)) >= 2 and sum(text.count("event: status") for text in heard) >= 3)
    assert "'OrderFrozen' is unknown here" in troubles(heard)[0]["error"]
    assert "start `trader api` anew" in troubles(heard)[0]["remedy"]
    assert bench.failed == []


@pytest.mark.parametrize(
    ("name", "asked"),
    [("facts", (0, 1)), ("of_kind", ("TimerDue", "A", 1)), ("signals", (None, 1, None)), ("story", ("k",))],
)
async def test_whatever_reads_facts_says_that_it_cannot_read_them(name, asked):
    class Newer:
        def __getattr__(self, _name):
            return self.read

        async def read(self, *_asked):
            raise CodecError("'OrderFrozen' is unknown here")

    with pytest.raises(UnreadableError, match="OrderFrozen") as found:
        await getattr(Pages(Newer()), name)(*asked)
    assert "as the version that the bot is" in found.value.remedy
