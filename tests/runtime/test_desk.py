"""A bot at a loopback exchange: a publication becomes orders, orders become fills, and both sides tell the same story."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.runtime.houses import Follows, bot, house
from trader import Decision, Quote, Target, Wants
from trader.core.facts import (
    AttemptEnded,
    BarClosed,
    Filled,
    OrderAbsent,
    OrderClosed,
    OrderPlaced,
    OrderSending,
    OrderUnknown,
)
from trader.core.records import DiscrepancySeen, ForeignSeen, SignalClosed
from trader.runtime import telling
from trader.runtime.desk import Execution

D = Decimal
both = pytest.mark.parametrize("name", ["gate", "mexc"])


def of(facts, *kinds):
    return [fact for fact in facts if isinstance(fact, kinds)]


def outcomes(facts):
    return [(fact.outcome, dict(fact.moved)) for fact in of(facts, SignalClosed)]


def agree(one):
    """The account moved by exactly what the book says."""
    account = one.loop.account
    assert account.held("USDT").available - 1_000 == one.cash - 500
    for asset in ("BTC", "ETH"):
        assert account.held(asset).available == one.held(f"{asset}/USDT")


@both
async def test_a_rating_is_bought_and_sold_again_and_each_publication_has_one_outcome(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        await one.rate(BTC=50)
        await one.work()
        assert one.held() > D("2.4")
        agree(one)
        await one.rate(BTC=50)
        await one.rate(BTC=0)
        await one.work()
        facts = await one.facts()
        assert one.held() < D("0.001")
        agree(one)
        assert await one.reconciler.run()
    assert outcomes(facts) == [
        ("traded", {"BTC/USDT": "traded"}),
        ("refused minimum", {"BTC/USDT": "refused minimum"}),
        ("traded", {"BTC/USDT": "traded"}),
    ]
    assert [fact.side for fact in of(facts, Filled)] == ["buy", "sell"]
    assert len(one.loop.account.orders) == 2
    assert not of(facts, DiscrepancySeen, ForeignSeen)


@both
async def test_sells_are_sent_before_the_buys_that_need_their_money(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        await one.bar("ETH/USDT", 10.0)
        await one.rate(ETH=98)
        await one.work()
        await one.rate(BTC=98, ETH=0)
        await one.work()
        assert [order.side for order in one.loop.account.orders] == ["buy", "sell", "buy"]
        assert one.held() > D("4.5")
        agree(one)


@both
async def test_what_the_book_cannot_fill_at_once_is_pursued(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        exchange = one.loop.exchange
        exchange.set_book("BTC/USDT", [(D(99), D(5))], [(D(100), D(1)), (D(200), D(9))], 0)
        await one.rate(BTC=40)
        await one.desk.work()
        assert not one.desk.is_quiet
        exchange.set_book("BTC/USDT", [(D(99), D(5))], [(D(100), D(9))], 0)
        await one.work()
        facts = await one.facts()
        assert one.held() > D("1.9")
        agree(one)
    assert len(of(facts, AttemptEnded)) >= 2
    assert len({fact.client_id for fact in of(facts, OrderSending)}) == len(of(facts, OrderSending))
    assert outcomes(facts) == [("traded", {"BTC/USDT": "traded"})]


@both
async def test_a_stop_sells_at_the_price_that_was_seen(name, tmp_path):
    from trader.core.facts import PriceSeen

    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        await one.rate(BTC=50)
        await one.work()
        one.loop.exchange.set_price("BTC/USDT", D(85), 0, half_spread=D("0.001"))
        await one.tell(PriceSeen(one.clock.now(), "BTC/USDT", 85.0))
        await one.work()
        facts = await one.facts()
        assert one.held() < D("0.001")
        agree(one)
    assert of(facts, OrderPlaced)[-1].cause.startswith("exit:BTC/USDT:0:")


LOST = [("lost_reply", 1), ("lost_request", 2), ("reset_after", 1), ("status_before", 2), ("truncated", 1)]


@both
@pytest.mark.parametrize(("do", "attempts"), LOST)
async def test_what_is_not_known_is_found_out_and_not_done_twice(name, do, attempts, tmp_path, monkeypatch):
    monkeypatch.setattr("trader.adapters.ccxt_venue.SEND_SECONDS", 0.3)
    path = "POST /order" + ("s" if name == "gate" else "")
    async with house(name, tmp_path / "j.db", {"on": path, "do": do, "nth": 1, "seconds": 9}) as one:
        one.loop.venue.settle_seconds = 0.3
        await one.bar()
        await one.rate(BTC=50)
        await one.work(80)
        facts = await one.facts()
        agree(one)
    assert len(of(facts, OrderUnknown)) == 1
    assert len(of(facts, OrderSending)) == attempts
    assert len(of(facts, OrderAbsent)) == attempts - 1
    assert len(one.loop.account.orders) == 1
    assert outcomes(facts) == [("traded", {"BTC/USDT": "traded"})]


@both
async def test_a_refusal_ends_the_order_with_the_venues_code(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        one.loop.exchange.deposit(one.loop.account, "USDT", D(-900))
        await one.rate(BTC=50)
        await one.work()
        facts = await one.facts()
    code = {"gate": "BALANCE_NOT_ENOUGH", "mexc": "30004"}[name]
    assert [fact.reason for fact in of(facts, OrderClosed)] == [f"refused {code}"]
    assert outcomes(facts) == [(f"refused {code}", {"BTC/USDT": f"refused {code}"})]


@both
async def test_a_decision_that_comes_while_an_order_is_unknown_waits_for_it(name, tmp_path, monkeypatch):
    monkeypatch.setattr("trader.adapters.ccxt_venue.SEND_SECONDS", 0.3)
    path = "POST /order" + ("s" if name == "gate" else "")
    async with house(name, tmp_path / "j.db", {"on": path, "do": "lost_reply", "nth": 1, "seconds": 9}) as one:
        one.loop.venue.settle_seconds = 0.3
        await one.bar()
        await one.rate(BTC=50)
        await one.desk.work()
        await one.rate(BTC=0)
        await one.work(80)
        facts = await one.facts()
        agree(one)
        assert one.held() < D("0.001")
    assert [fact.side for fact in of(facts, Filled)] == ["buy", "sell"]
    assert sorted(one[0] for one in outcomes(facts)) == ["refused in_flight", "traded"]


@both
async def test_a_bot_that_starts_again_goes_on_where_the_last_one_ended(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        await one.rate(BTC=50)  # decided, written, not sent
        await one.journal.close()
        again = await bot(one.loop, name, tmp_path / "j.db")
        assert await again.reconciler.run()
        await again.desk.change("active", "reconciled")
        await again.work()
        agree(again)
        assert again.held() > D("2.4")
        assert len(one.loop.account.orders) == 1
        assert outcomes(await again.facts()) == [("traded", {"BTC/USDT": "traded"})]
        await again.journal.close()


@both
async def test_what_others_do_on_the_account_is_seen_and_left_alone(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        it = one.loop
        it.exchange.place(
            it.account, "ETH/USDT", "buy", quantity=D(1), limit=D(5), spend=None, lasts="gtc",
            client_id="t-hand" if name == "gate" else "hand", at_ms=it.clock.now_ms(),
        )  # fmt: skip
        it.exchange.deposit(it.account, "BTC", D(3))
        assert not await one.reconciler.run()
        await one.rate(BTC=50)
        await one.work()
        await one.rate(BTC=0)
        await one.work()
        facts = await one.facts()
        assert it.account.held("BTC").available >= 3
        assert it.account.orders[0].is_open
    assert [(fact.symbol, fact.kind) for fact in of(facts, ForeignSeen)] == [("ETH/USDT", "open")]
    assert [(fact.asset, fact.seen) for fact in of(facts, DiscrepancySeen)] == [("BTC", D(3))]


@both
async def test_nothing_is_opened_while_halted_and_what_is_held_may_leave(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        await one.bar("ETH/USDT", 10.0)
        await one.rate(BTC=50)
        await one.work()
        await one.desk.change("halted", "by hand")
        await one.rate(ETH=30, BTC=0)
        await one.work()
        assert one.held() < D("0.001")
        assert one.held("ETH/USDT") == 0
        agree(one)
        assert [order.side for order in one.loop.account.orders] == ["buy", "sell"]


def meanwhile(venue, question, happens):
    """Let something happen once while the venue is asked a question."""
    plain, left = getattr(venue, question), [happens]

    async def asked(*args):
        if left:
            await left.pop()()
        return await plain(*args)

    setattr(venue, question, asked)


@both
@pytest.mark.parametrize("question", ["touch", "signing_ms"])
async def test_an_order_that_a_decision_replaces_while_it_is_priced_and_signed_is_not_sent(name, question, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        await one.rate(BTC=50)
        meanwhile(one.desk.venue, question, lambda: one.rate(BTC=20))
        await one.work()
        facts = await one.facts()
        agree(one)
        assert D("0.9") < one.held() < D("1.1")
    assert len(of(facts, OrderSending)) == 1
    assert [fact.reason for fact in of(facts, OrderClosed)] == ["replaced", "filled"]


@both
@pytest.mark.parametrize("state", ["halted", "killed"])
async def test_a_halt_that_comes_while_an_order_is_signed_is_in_time(name, state, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        await one.rate(BTC=50)
        meanwhile(one.desk.venue, "signing_ms", lambda: one.desk.change(state, "by hand"))
        await one.work(4)
        assert one.loop.account.orders == []
        assert not of(await one.facts(), OrderSending)


class Broken:
    """Raises at every second wake."""

    wants = Follows.wants

    def decide(self, view):
        if view.memo != "broken":
            return Follows().decide(view).remember("broken")
        raise ZeroDivisionError("a mistake")


@both
async def test_a_strategy_that_fails_three_times_opens_no_more_and_its_exits_stay_armed(name, tmp_path):
    from trader.core.facts import Halted, PriceSeen, StrategyFailed

    async with house(name, tmp_path / "j.db", strategy=Broken()) as one:
        await one.bar()
        await one.rate(BTC=50)
        await one.work()
        for _ in range(3):
            await one.rate(BTC=60)
        assert [fact.by for fact in of(await one.facts(), Halted)] == ["strategy"]
        assert len(of(await one.facts(), StrategyFailed)) == 3
        one.loop.exchange.set_price("BTC/USDT", D(85), 0, half_spread=D("0.001"))
        await telling.glance([one.desk], one.desk.keeper, PriceSeen(one.clock.now(), "BTC/USDT", 85.0))
        await one.work()
        assert one.held() < D("0.001")
        agree(one)


@both
async def test_a_sale_that_is_refused_is_tried_again_later_and_later(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await one.bar()
        await one.rate(BTC=50)
        await one.work()
        market = one.loop.exchange.markets["BTC/USDT"]
        one.loop.exchange.markets["BTC/USDT"] = replace(market, status="untradable")
        await one.rate(BTC=0)
        await one.work(8)
        ended = of(await one.facts(), AttemptEnded)
        assert 2 <= len([fact for fact in ended if fact.why.startswith("refused")]) < 8
        assert not one.desk.is_quiet
        one.loop.exchange.markets["BTC/USDT"] = market
        await one.work(80)
        assert one.held() < D("0.001")
        agree(one)
        assert await one.reconciler.run()
        assert outcomes(await one.facts())[-1] == ("traded", {"BTC/USDT": "traded"})
        again = await bot(one.loop, name, tmp_path / "j.db")
        assert again.desk.is_quiet
        await again.journal.close()


class Spends:
    """Buys for a fixed amount of money when told to."""

    wants = Wants(ratings=("weight",))

    def decide(self, view):
        return Decision.change({asset: Target(Quote(100)) for asset in view.wake.assets})


@both
@pytest.mark.parametrize("spends", [True, False])
async def test_money_is_spent_as_a_market_order_only_where_that_is_asked_for(name, spends, tmp_path):
    execution = Execution(collar=0.005, again_seconds=0.05, fee=0.002 if name == "gate" else 0.0005, spends=spends)
    async with house(name, tmp_path / "j.db", strategy=Spends(), execution=execution) as one:
        await one.bar()
        await one.rate(BTC=1)
        await one.work()
        (order,) = one.loop.account.orders
        facts = await one.facts()
        agree(one)
        assert D("0.9") < one.held() < D("1.0")
        assert one.cash >= 400
    (sending,) = of(facts, OrderSending)
    assert (order.limit is None, sending.limit is None, order.quantity is None) == (spends, spends, spends)
    assert sending.spend == ((D("100.00") if name == "gate" else D("99.95")) if spends else None)
    assert outcomes(facts) == [("traded", {"BTC/USDT": "traded"})]


@both
async def test_of_a_thin_market_only_a_share_of_each_bars_volume_is_taken_over_restarts_too(name, tmp_path):
    execution = Execution(collar=0.005, again_seconds=0.05, fee=0.002, participation=0.5)
    async with house(name, tmp_path / "j.db", execution=execution) as one:
        await one.bar()  # of one BTC
        await one.rate(BTC=50)
        bought = []
        for turn in range(4):
            if turn:
                await one.bar()
            await one.work(rounds=5)
            bought.append(sum(fact.quantity for fact in of(await one.facts(), Filled)))
        assert bought == [D("0.5"), D(1), D("1.5"), D(2)]
        await one.journal.close()
        one = await bot(one.loop, name, tmp_path / "j.db", execution=execution, owner="again")
        assert await one.reconciler.run()
        await one.desk.change("active", "reconciled")
        await one.work(rounds=5)
        assert sum(fact.quantity for fact in of(await one.facts(), Filled)) == 2
        await one.bar()
        await one.work()
        held = one.held()
        assert held > D("2.4")
        assert not one.desk.outbox.live
        await one.rate(BTC=0)
        for left in (held - D("0.5") - held % D("0.0001"), held - 1 - held % D("0.0001")):
            await one.bar()
            await one.work(rounds=5)
            assert one.held() - held % D("0.0001") == left
        agree(one)
        await one.journal.close()


async def test_a_share_too_small_for_an_order_waits_for_a_busier_bar(tmp_path):
    execution = Execution(collar=0.005, again_seconds=0.05, fee=0.002, participation=0.02)
    async with house("gate", tmp_path / "j.db", execution=execution) as one:
        await one.bar()  # 0.02 of one BTC are two dollars; three are the least
        await one.rate(BTC=50)
        await one.work(rounds=5)
        assert (one.held(), len(one.desk.outbox.live), len(one.loop.account.orders)) == (0, 1, 0)
        await one.tell(BarClosed(one.clock.now(), "BTC/USDT", 100.0, 100.0, 100.0, 100.0, 200.0))
        await one.work()
        assert one.held() > D("2.4")
