"""A ledger told fills, dust and new capital in any order: money is where it should be, and profit is what it says.

`Book` and `Accounts` are told the same facts: two folds, one truth. What is realised, what is not and what fees in kind took add up
to the change of what the mount is worth – an identity that the sums of cash and units alone do not hold.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.adapters.roundtrip import through_text
from trader.core.accounts import Accounts
from trader.core.book import Book, Mount
from trader.core.facts import BarClosed, Filled
from trader.core.instruments import Instrument, Terms, exactly, terms_row
from trader.core.records import MountStarted

START = datetime(2024, 1, 1, tzinfo=UTC)
D = Decimal
NAMES = ("A", "B")
INSTRUMENTS = {name: Instrument(name, "gate", f"{name}/USDT", tick=0.01, lot=0.001, min_notional=3) for name in NAMES}
TERMS = {name: Terms(one, "quote", exactly) for name, one in INSTRUMENTS.items()}
CAPITAL = D(10_000)
prices = st.integers(1, 10**6).map(lambda n: D(n).scaleb(-2))
amounts = st.integers(1, 10**6).map(lambda n: D(n).scaleb(-3))
shares = st.integers(1, 1_000)


class Money(RuleBasedStateMachine):
    """The books of one mount, and beside them the same in fractions."""

    def __init__(self):
        super().__init__()
        self.at = 0
        self.book = Book(
            {"m": Mount("m", {name: [one] for name, one in TERMS.items()}, {"gate": CAPITAL}, D(0))}, exactly
        )
        self.accounts = Accounts()
        self.capital = Fraction(0)
        self.cash, self.units = Fraction(CAPITAL), dict.fromkeys(NAMES, Fraction(0))
        self.in_kind = Fraction(0)  # what fees in the asset itself took, at what it had cost
        self.written_off = Fraction(0)  # dust, at what it had cost when its entry starts anew
        self.marks = dict.fromkeys(NAMES, D(1))
        self.start(CAPITAL)

    def now(self):
        self.at += 1
        return START + timedelta(seconds=self.at)

    def tell(self, fact):
        (fact,) = through_text([fact])  # as it comes back from the disk
        self.book.apply(fact)
        self.accounts.learn(fact)

    def start(self, capital):
        rows = tuple(terms_row(one) for one in INSTRUMENTS.values())
        self.accounts.learn(MountStarted(self.now(), "m", "S()", capital, rows))
        self.capital = Fraction(capital)

    @rule(
        name=st.sampled_from(NAMES),
        quantity=amounts,
        price=prices,
        fee=shares,
        way=st.sampled_from(["quote", "own", "other"]),
    )
    def buy(self, name, quantity, price, fee, way):
        fee = (quantity if way == "own" else quantity * price if way == "quote" else D(1)) * fee / 10**5
        before = self.book.mounts["m"].ledger.holdings.get(name)
        if before is not None and before.is_flat and before.quantity:
            self.written_off += Fraction(before.quantity) * (
                Fraction(before.entry) - Fraction(price)
            )  # dust joins at the new price
        self.tell(
            Filled(
                self.now(),
                "m",
                None,
                name,
                "gate",
                "buy",
                quantity,
                price,
                fee,
                {"quote": "quote", "own": name, "other": "GT"}[way],
                "t",
            )
        )
        self.cash -= Fraction(quantity) * Fraction(price) + (Fraction(fee) if way == "quote" else 0)
        self.units[name] += Fraction(quantity) - (Fraction(fee) if way == "own" else 0)
        self.in_kind += Fraction(fee) * Fraction(price) if way == "own" else 0

    @rule(name=st.sampled_from(NAMES), share=shares, price=prices, fee=shares)
    def sell(self, name, share, price, fee):
        held = self.book.mounts["m"].held(name)
        if held is None:
            return
        quantity = (held.quantity * share / 1_000).quantize(D("0.001"))
        if not 0 < quantity <= held.quantity:
            return
        fee = quantity * price * fee / 10**5
        self.tell(Filled(self.now(), "m", None, name, "gate", "sell", quantity, price, fee, "quote", "t"))
        self.cash += Fraction(quantity) * Fraction(price) - Fraction(fee)
        self.units[name] -= Fraction(quantity)
        assert held.is_flat == TERMS[name].is_dust(held.quantity)  # what a sale leaves is dust or goes on

    @rule(name=st.sampled_from(NAMES), price=prices)
    def bar(self, name, price):
        self.marks[name] = price
        self.tell(BarClosed(self.now(), name, float(price), float(price), float(price), float(price), 1.0))

    @rule(capital=st.integers(1, 50_000).map(D))
    def another_capital(self, capital):
        self.cash += Fraction(capital) - self.capital
        self.book.mounts["m"].ledger.cash["gate"] += capital - D(int(self.capital))
        self.start(capital)

    @invariant()
    def both_folds_have_what_is_true(self):
        for ledger in (self.book.mounts["m"].ledger, self.accounts.mounts["m"].ledger):
            assert Fraction(ledger.cash["gate"]) == self.cash
            assert {name: Fraction(one.quantity) for name, one in ledger.holdings.items()} == {
                name: self.units[name] for name in ledger.holdings
            }
            assert all(TERMS[name].is_dust(one.quantity) for name, one in ledger.holdings.items() if one.is_flat)
            assert set(ledger.held) == {name for name, one in ledger.holdings.items() if one.quantity}

    @invariant()
    def profit_is_what_it_says(self):
        ledger = self.book.mounts["m"].ledger
        held = {name: one for name, one in ledger.holdings.items() if one.quantity}
        worth = self.cash + sum((self.units[name] * Fraction(self.marks[name]) for name in held), Fraction(0))
        open_ = sum(
            ((Fraction(self.marks[name]) - Fraction(one.entry)) * self.units[name] for name, one in held.items()),
            Fraction(0),
        )
        said = Fraction(ledger.realised) + open_ - self.in_kind - self.written_off
        assert abs((worth - self.capital) - said) <= Fraction(1, 10**9), "profit appeared or went astray"


TestMoney = pytest.mark.slow(Money.TestCase)
TestMoney.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
