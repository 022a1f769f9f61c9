"""A market of the universe that is closed or taken off when the bot starts anew, at a loopback exchange, through the whole of `app`."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal

import pytest

import trader.opening
from tests.contracts.worlds import KEY, SECRET, loopback
from tests.services.parts import full, until
from trader import After, Decision, FallBy, Target, Wants
from trader.adapters.clock import SystemClock
from trader.adapters.journal_pages import JournalPages
from trader.adapters.payloads import compose
from trader.adapters.service_manager import ServiceManager
from trader.app import Process, rehearse, run_once
from trader.core.facts import Filled, OrderClosed, OrderPlaced, Refused, TimerDue
from trader.core.records import CommandTaken, MountStarted, SignalClosed
from trader.doctor_venue import Patient, venue_rows
from trader.loopback.walk import Walk
from trader.opening import NotTradableError, ReopenedError
from trader.run_settings import load_run, state_folder
from trader.runtime.control import Command, NoDaemonError, ask, socket_of
from trader.runtime.logs import Log
from trader.runtime.watchdog import Watchdog
from trader.several_settings import Setup, load_setup

D = Decimal
ETH = "ETH/USDT"
CONFIG = """\
version: 1
name: shut
venue: {name}
live: true
capital: 500
assets: [BTC/USDT, ETH/USDT]
timeframe: 1h
strategy: {{name: RatingBand}}
limits: {{weight_per_asset: 60%}}
account: {{url: "{url}", key: {key}, secret: {secret}}}
execution: {{fence: 500ms, settle: 0s}}
state: state
"""


class Follows:
    """Holds what the newest rating says, in percent of equity, with a stop, and for so long at most."""

    wants = Wants(ratings=("weight",))

    def __init__(self, most="30d"):
        self.most = most

    def __repr__(self):
        return f"Follows({self.most})"

    def decide(self, view):
        weights, exits = view.ratings("weight"), (FallBy(0.1), After(self.most))
        sizes = {asset: weights[asset] / 100 for asset in view.wake.assets}
        return Decision.change({a: Target(size, exits) if size else 0.0 for a, size in sizes.items()})


class Bot:
    """A run at a loopback exchange whose lives end and begin."""

    def __init__(self, it, folder, name):
        self.it, self.count, self.setup = it, 0, None
        self.path = folder / "run.yaml"
        self.path.write_text(CONFIG.format(name=name, url=it.server.url, key=KEY, secret=SECRET))
        self.settings, _ = load_run(self.path)
        self.folder = state_folder(self.settings, self.path)
        self.folder.mkdir(parents=True)

    @asynccontextmanager
    async def life(self, strategy=None):
        log, clock = Log(), SystemClock()
        setup = self.setup or Setup.of(self.settings, strategy or Follows())
        process = Process(setup, self.path, False, log, Watchdog(ServiceManager(""), clock, log, None))
        task = asyncio.create_task(run_once(process))
        try:
            await until(lambda: task.done() or socket_of(self.folder).exists(), seconds=20)
            for _ in range(200):
                if task.done() or (await self.status()).get("state") == "active":
                    break
                await asyncio.sleep(0.05)
            yield task
        finally:
            process.stopping.set()
            with suppress(Exception):
                async with asyncio.timeout(15):
                    await task

    async def status(self):
        try:
            return await ask(socket_of(self.folder), Command("status"))
        except NoDaemonError:
            return {}

    async def rate(self, **weights):
        self.count += 1
        values = {f"{asset}/USDT": float(weight) for asset, weight in weights.items()}
        now = SystemClock().now()
        body = compose(source="test", kind="weight", values=values, type_="rating", issued_at=now, id_=str(self.count))
        return await ask(socket_of(self.folder), Command("signal", body.decode()))

    async def holds(self, *assets):
        """Wait until these are held and nothing that can be sent is under way."""
        for _ in range(200):
            found = await self.status()
            if sorted(found.get("holdings", {})) == sorted(assets) and not found["orders"]:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(found)

    async def facts(self, *kinds):
        pages = JournalPages(self.folder / "journal.db")
        found = [one.fact for one in await pages.facts(0, 10_000)]
        await pages.close()
        return [fact for fact in found if not kinds or isinstance(fact, kinds)]

    def close_market(self, way):
        """The exchange takes no orders there any more, or has no such market."""
        if way == "closed":
            self.it.exchange.markets[ETH] = replace(self.it.exchange.markets[ETH], status="untradable")
        else:
            self.gone = self.it.exchange.markets.pop(ETH)

    def open_market(self, way):
        if way == "closed":
            self.it.exchange.markets[ETH] = replace(self.it.exchange.markets[ETH], status="tradable")
        else:
            self.it.exchange.markets[ETH] = self.gone


@asynccontextmanager
async def bot(tmp_path, name="gate"):
    async with loopback(name) as it:
        walk = Walk(it.exchange, {"BTC/USDT": D(100), ETH: D(10)}, seed=1)
        walk.past(it.clock.now_ms(), 5)
        yield Bot(it, tmp_path, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("gate", "taken off"),
        pytest.param("gate", "closed", marks=full),
        pytest.param("mexc", "closed", marks=full),
    ],
)
async def test_the_others_go_on_and_the_asset_is_taken_up_again_when_its_market_opens(tmp_path, name, way, monkeypatch):
    monkeypatch.setattr(trader.opening, "LOOK_SECONDS", 0.3)
    async with bot(tmp_path, name) as one:
        async with one.life():
            await one.rate(BTC=40, ETH=40)
            await one.holds("BTC/USDT", ETH)
        one.close_market(way)
        async with one.life() as task:
            found = await one.holds("BTC/USDT", ETH)
            assert (found["state"], list(found["shut"])) == ("active", [ETH])
            await one.rate(ETH=0)
            await one.rate(BTC=0)
            found = await one.holds(ETH)
            assert found["off"] == {}
            assert found["links"]["market"]["is_up"], found["links"]
            assert not task.done()
            closed = {fact.key: dict(fact.moved) for fact in await one.facts(SignalClosed)}
            assert [closed["test/2"], closed["test/3"]] == [{ETH: "refused shut"}, {"BTC/USDT": "traded"}]
            row = next(
                one_
                for one_ in await venue_rows(Patient(one.settings, Follows(), tmp_path, one.folder))
                if one_.name == "symbols"
            )
            assert (row.state, ETH in row.found) == ("warn", True)
            one.open_market(way)
            await until(task.done, seconds=20)
            with pytest.raises(ExceptionGroup) as ended:
                await task
            assert isinstance(ended.value.exceptions[0], ReopenedError)
        async with one.life():
            assert (await one.status())["shut"] == {}
            await one.rate(ETH=0)
            await one.holds()
        starts = [[asset for asset, _ in fact.shut] for fact in await one.facts(MountStarted)]
        assert starts == [[], [ETH], []]
        assert rehearse(await one.facts(), Follows()).differences == []


SEVERAL = """\
version: 1
name: shut
venue: gate
live: true
capital: 900
timeframe: 1h
mounts:
  - {{name: wide, share: 50%, assets: [BTC/USDT, ETH/USDT], strategy: {{name: RatingBand}}}}
  - {{name: narrow, share: 30%, assets: [ETH/USDT], strategy: {{name: RatingBand}}}}
limits: {{weight_per_asset: 60%}}
account: {{url: "{url}", key: {key}, secret: {secret}}}
execution: {{fence: 500ms, settle: 0s}}
state: state
"""


class Several(Bot):
    """The same with two mounts, of which one hears of nothing but the market that closes."""

    def __init__(self, it, folder):
        super().__init__(it, folder, "gate")
        self.path.write_text(SEVERAL.format(url=it.server.url, key=KEY, secret=SECRET))
        found = load_setup(self.path)
        self.setup = replace(found, mounts=tuple(replace(one, strategy=Follows()) for one in found.mounts))

    async def own(self, **held):
        """Wait until each mount holds these and nothing that can be sent is under way."""
        for _ in range(200):
            found = await self.status()
            have = {
                name: "+".join(sorted(one["holdings"])).replace("/USDT", "")
                for name, one in found.get("mounts", {}).items()
            }
            if have == held and not found["orders"]:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(found)


@pytest.mark.slow
async def test_of_several_mounts_each_knows_what_is_shut_and_all_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(trader.opening, "LOOK_SECONDS", 0.3)
    async with loopback("gate") as it:
        Walk(it.exchange, {"BTC/USDT": D(100), ETH: D(10)}, seed=1).past(it.clock.now_ms(), 5)
        one = Several(it, tmp_path)
        async with one.life():
            await one.rate(BTC=40, ETH=40)
            await one.own(wide="BTC+ETH", narrow="ETH")
        one.close_market("closed")
        async with one.life() as task:
            found = await one.own(wide="BTC+ETH", narrow="ETH")
            assert {name: list(mount["shut"]) for name, mount in found["mounts"].items()} == {
                "wide": [ETH],
                "narrow": [ETH],
            }
            await one.rate(BTC=0, ETH=0)
            found = await one.own(wide="ETH", narrow="ETH")
            assert (found["state"], found["off"]) == ("active", {})
            assert not task.done()
            one.open_market("closed")
            await until(task.done, seconds=20)
            with pytest.raises(ExceptionGroup):
                await task
        async with one.life():
            await one.rate(ETH=0)
            found = await one.own(wide="", narrow="")
            assert [mount["shut"] for mount in found["mounts"].values()] == [{}, {}]
        starts = [(fact.mount, [asset for asset, _ in fact.shut]) for fact in await one.facts(MountStarted)]
        assert sorted(starts[:2]) + sorted(starts[2:4]) + sorted(starts[4:]) == [
            (name, shut) for shut in ([], [ETH], []) for name in ("narrow", "wide")
        ]
        moved = {fact.mount: dict(fact.moved) for fact in await one.facts(SignalClosed) if fact.key == "test/2"}
        assert moved == {
            "wide": {"BTC/USDT": "traded", ETH: "refused shut"},
            "narrow": {ETH: "refused shut"},
        }


@pytest.mark.slow
@full
async def test_a_flatten_and_an_exit_by_time_of_what_is_shut_wait_and_write_nothing_again_and_again(tmp_path):
    async with bot(tmp_path) as one:
        async with one.life():
            await one.rate(BTC=40, ETH=40)
            await one.holds("BTC/USDT", ETH)
        one.close_market("closed")
        brief = Follows("1s")  # an exit whose time has long come
        async with one.life(brief):
            await ask(socket_of(one.folder), Command("flatten", "", "f-1"))
            await one.holds(ETH)
            before = len(await one.facts())
            await asyncio.sleep(3.0)
            later = (await one.facts())[before:]
            assert not [fact for fact in later if isinstance(fact, CommandTaken | TimerDue | Refused | OrderPlaced)]
        assert {fact.asset for fact in await one.facts(Filled) if fact.side == "sell"} == {"BTC/USDT"}


@pytest.mark.slow
async def test_a_sale_that_waited_goes_on_waiting_and_a_buy_is_given_up(tmp_path):
    async with bot(tmp_path) as one:
        async with one.life():
            await one.rate(ETH=40)
            await one.holds(ETH)
            one.close_market("closed")
            await one.rate(ETH=0)
            await until(lambda: len(one.it.account.orders) >= 1)
            await asyncio.sleep(0.3)
        async with one.life():
            found = await one.status()
            assert [(order["asset"], order["side"]) for order in found["orders"]] == [(ETH, "sell")]
            assert (found["state"], list(found["holdings"])) == ("active", [ETH])
            sent = len(one.it.account.orders)
            await one.rate(BTC=40)
            for _ in range(100):
                if "BTC/USDT" in (await one.status())["holdings"]:
                    break
                await asyncio.sleep(0.05)
            assert len(one.it.account.orders) == sent + 1
        one.open_market("closed")
        async with one.life():
            await one.holds("BTC/USDT")
        assert not [fact for fact in await one.facts(OrderClosed) if fact.reason == "shut"]


@pytest.mark.slow
async def test_what_no_start_ever_knew_is_refused_as_one_that_is_misspelt(tmp_path):
    async with bot(tmp_path) as one:
        async with one.life():
            pass
        one.settings = one.settings.model_copy(update={"assets": ("BTC/USDT", "ETH/USDT", "BTV/USDT")})
        one.close_market("closed")
        async with one.life() as task:
            with pytest.raises(NotTradableError, match="BTV/USDT: no market"):
                await task
        one.settings = one.settings.model_copy(update={"assets": (ETH,)})
        async with one.life() as task:
            with pytest.raises(NotTradableError, match="ETH/USDT: no market"):
                await task
