"""A person sold some of what the bot holds: an exit sells what is there, no more than is ours, and waits for the rest."""

from decimal import Decimal

import pytest

from tests.runtime.houses import house
from trader.core.facts import AttemptEnded, Filled, OrderSending
from trader.ports import Balance

D = Decimal
both = pytest.mark.parametrize("name", ["gate", "mexc"])


def by_hand(one, side, quantity, *, lasts="ioc", limit=None):
    """An order that a person places on the same account."""
    it = one.loop
    it.count = getattr(it, "count", 0) + 1
    return it.exchange.place(
        it.account, "BTC/USDT", side, quantity=D(quantity), limit=D(limit or {"sell": 90, "buy": 110}[side]), spend=None,
        lasts=lasts, client_id=f"by-hand-{it.count}", at_ms=it.clock.now_ms(),
    )  # fmt: skip


async def bought(one):
    await one.bar()
    await one.rate(BTC=20)
    await one.work()
    return one.held()


def sold(facts):
    return sum(fact.quantity for fact in facts if isinstance(fact, Filled) and fact.side == "sell")


def refused(facts):
    return [fact for fact in facts if isinstance(fact, AttemptEnded) and fact.why.startswith("refused")]


@both
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_sale_is_cut_to_what_is_there_and_goes_on_when_the_rest_is_back(name, tmp_path, is_known):
    async with house(name, tmp_path / "j.db") as one:
        held = await bought(one)
        by_hand(one, "sell", "0.4")
        if is_known:
            assert not await one.reconciler.run()
        await one.rate(BTC=0)
        await one.work(20)
        facts = await one.facts()
        left = one.loop.account.held("BTC").available
        assert left < D("0.0001")
        assert held - D("0.4001") <= sold(facts) <= held - D("0.4")
        assert len(refused(facts)) == (0 if is_known else 2)
        sent = len([fact for fact in facts if isinstance(fact, OrderSending)])
        await one.work(20)
        assert not one.desk.is_quiet, "what is missing is wanted still"
        assert len([fact for fact in await one.facts() if isinstance(fact, OrderSending)]) == sent, (
            "and is not asked for in vain"
        )
        by_hand(one, "buy", "0.4010")
        one.desk._again.clear()
        await one.work()
        assert one.desk.is_quiet
        assert one.held() < D("0.0001")
        assert held - D("0.0001") <= sold(await one.facts()) <= held


@both
async def test_what_a_person_had_before_is_never_sold_for_what_he_sold_of_ours(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        one.loop.exchange.deposit(one.loop.account, "BTC", D(7))
        assert not await one.reconciler.run()
        await one.reconciler.adopt()
        held = await bought(one)
        by_hand(one, "sell", "3")
        await one.reconciler.run()
        await one.rate(BTC=0)
        await one.work()
        assert one.desk.is_quiet
        assert held - D("0.0001") <= sold(await one.facts()) <= held
        assert D(4) <= one.loop.account.held("BTC").available < D("4.0001")


@both
async def test_what_a_persons_order_holds_fast_is_waited_for(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        await bought(one)
        resting = by_hand(one, "sell", "0.3", lasts="gtc", limit=500)
        await one.rate(BTC=0)
        await one.work(20)
        assert one.loop.account.held("BTC").locked == D("0.3")
        assert not one.desk.is_quiet
        one.loop.exchange.cancel(resting, one.loop.clock.now_ms())
        one.desk._again.clear()
        await one.work()
        assert one.held() < D("0.0001")


async def test_a_sale_without_a_reason_to_doubt_asks_no_balance(tmp_path):
    async with house("gate", tmp_path / "j.db") as one:
        await bought(one)
        asked = []

        async def balances():
            asked.append(1)
            return {"BTC": Balance(D(0), D(0))}

        one.loop.venue.balances, plain = balances, one.loop.venue.balances
        await one.rate(BTC=0)
        await one.work()
        one.loop.venue.balances = plain
        assert (asked, one.held()) == ([], 0)


@both
async def test_an_adopted_shortfall_still_sells_what_is_there(name, tmp_path):
    async with house(name, tmp_path / "j.db") as one:
        held = await bought(one)
        by_hand(one, "sell", "0.4")
        await one.reconciler.run()
        assert await one.reconciler.adopt()
        await one.rate(BTC=0)
        await one.work(20)
        facts = await one.facts()
        assert held - D("0.4001") <= sold(facts) <= held - D("0.4")
        assert refused(facts) == []
