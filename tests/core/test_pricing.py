"""What is sent never costs more than there is, never sells more than is held, and always fits the market's rules."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trader.core.book import Mount
from trader.core.instruments import Instrument, Terms, exactly
from trader.core.orders import Order
from trader.core.pricing import Priced, Unfit, price

D = Decimal
FEE = D("0.002")
amounts = st.decimals(min_value="0.001", max_value="100000", places=3)


def mount(cash, held="0", fee_on_buy="quote"):
    terms = Terms(
        Instrument("A", "gate", "A/USDT", tick=0.01, lot=0.001, min_notional=3, fee_on_buy=fee_on_buy), "quote", exactly
    )
    one = Mount("m", {"A": [terms]}, {"gate": D(cash)}, D(0))
    if D(held):
        from trader.core.ledger import book_fill

        book_fill(one.ledger, "A", "gate", 1, D(held), D(1), D(0), "quote", 0)
        one.ledger.cash["gate"] = D(cash)
    return one


def order(side, quantity=None, spend=None):
    return Order(1, "A", "gate", side, quantity, spend, "test", 0)


def asked(one, what, bid="99", ask="100"):
    return price(what, one, D(bid), D(ask), collar=0.005, fee=float(FEE), number=exactly)


@given(cash=amounts, quantity=amounts, ask=amounts, received=st.booleans())
def test_a_buy_never_costs_more_than_the_cash(cash, quantity, ask, received):
    found = asked(mount(cash, fee_on_buy="received" if received else "quote"), order(1, quantity), str(ask), str(ask))
    if isinstance(found, Priced):
        outlay = found.quantity * found.limit * (1 if received else 1 + FEE)
        assert outlay <= cash
        assert found.limit >= ask or not found.limit % D("0.01")
        assert not found.quantity % D("0.001")
        assert found.quantity * found.limit >= 3
        assert found.quantity + (found.cut or 0) == quantity


@given(cash=amounts, spend=amounts, ask=amounts)
def test_spending_never_spends_more(cash, spend, ask):
    found = asked(mount(cash), order(1, spend=spend), str(ask), str(ask))
    if isinstance(found, Priced):
        assert found.quantity * found.limit * (1 + FEE) <= min(cash, spend)


@given(cash=amounts, spend=amounts, received=st.booleans())
def test_money_that_goes_out_as_such_is_never_more_than_was_meant_or_is_there(cash, spend, received):
    one = mount(cash, fee_on_buy="received" if received else "quote")
    found = price(order(1, spend=spend), one, D(99), D(100), collar=0.0, fee=float(FEE), number=exactly, spends=True)
    outlay_at_most = min(cash, spend) / (1 if received else 1 + FEE)
    if isinstance(found, Priced):
        assert (found.quantity, found.limit) == (None, None)
        assert outlay_at_most - D("0.01") < found.spend <= outlay_at_most
        assert found.spend >= 3
        assert not found.spend % D("0.01")
    else:
        assert outlay_at_most < D("3.01")


@given(held=amounts, quantity=amounts, bid=amounts)
def test_a_sell_never_sells_more_than_is_held(held, quantity, bid):
    found = asked(mount(0, str(held)), order(-1, quantity), str(bid), str(bid))
    if isinstance(found, Priced):
        assert found.quantity <= min(held, quantity)
        assert found.limit <= bid


def test_the_limit_is_inside_the_collar_and_at_least_the_best_price():
    assert asked(mount(1_000), order(1, D(1))) == Priced(D("1.000"), D("100.50"))
    assert asked(mount(0, "5"), order(-1, D(1))) == Priced(D("1.000"), D("98.51"))


def test_why_nothing_can_be_sent():
    assert asked(mount(1), order(1, D(1))) == Unfit("cash")
    assert asked(mount(0), order(-1, D(1))) == Unfit("gone")
    assert asked(mount(1_000), order(1, D("0.01"))) == Unfit("minimum")
    assert asked(mount(0, "0.0005"), order(-1, D(1))) == Unfit("lot")
    assert asked(mount(1_000), order(1, spend=D("0.05"))) == Unfit("lot")
