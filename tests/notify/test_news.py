"""Which facts are told, and how loudly; texts of others are harmless."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trader.adapters.venue_codes import DEAD_KEY, DIALECTS
from trader.core import facts as f
from trader.core import records as r
from trader.notify.event import CRITICAL, INFO, LEVELS, WARNING, harmless
from trader.notify.news import Teller

AT = datetime(2024, 3, 1, tzinfo=UTC)
D = Decimal
FILL = f.Filled(AT, "m", 7, "BTC/USDT", "gate", "buy", D("0.010"), D(61000), D("0.1"), "quote", "target", "t1")


@pytest.mark.parametrize(
    ("fact", "level", "title", "says"),
    [
        (FILL, INFO, "fill", "buy 0.010 BTC/USDT at 61000 on gate"),
        (f.Filled(AT, "m", None, "X", "gate", "sell", D(1), D(0), D(0), "quote", "delisted"), WARNING, "written off", "X"),
        (f.OrderStuck(AT, "m", 3, "no proof"), CRITICAL, "order stuck", "order 3: no proof"),
        (f.ZombieSeen(AT, "m", 3, "c", "v9"), CRITICAL, "zombie order", "v9"),
        (f.OrderClosed(AT, "m", 3, "BTC/USDT", "refused BALANCE_NOT_ENOUGH"), WARNING, "order refused", "BALANCE_NOT_ENOUGH"),
        (f.AttemptEnded(AT, "m", 3, 1, D(0), "refused AMOUNT_TOO_LITTLE"), WARNING, "order refused", "tried again"),
        (f.OrderClosed(AT, "m", 3, "BTC/USDT", "refused INVALID_KEY"), CRITICAL, "the key is refused", "INVALID_KEY"),
        (f.AttemptEnded(AT, "m", 3, 1, D(0), "refused IP_FORBIDDEN"), CRITICAL, "the key is refused", "IP_FORBIDDEN"),
        (f.OrderUnknown(AT, "m", 3, "HTTP 401 INVALID_KEY: no"), CRITICAL, "the key is refused", "INVALID_KEY"),
        (f.Halted(AT, "m", "operator"), WARNING, "halted", "operator"),
        (f.Halted(AT, "m", "drawdown"), CRITICAL, "halted", "drawdown"),
        (f.Halted(AT, "m", "strategy"), CRITICAL, "halted", "strategy"),
        (f.Resumed(AT, "m", "operator"), INFO, "resumed", "operator"),
        (r.StateChanged(AT, "", "killed", "panic"), CRITICAL, "state killed", "panic"),
        (r.StateChanged(AT, "", "reducing", "an order is unknown"), WARNING, "state reducing", "unknown"),
        (r.StateChanged(AT, "", "active", "reconciled"), INFO, "state active", "reconciled"),
        (r.CommandTaken(AT, "k1", "flatten", ""), INFO, "command", "flatten (k1)"),
        (r.DiscrepancySeen(AT, "gate", "BTC", D(2), D(1)), CRITICAL, "discrepancy", "expected 2, seen 1"),
        (r.DiscrepancySeen(AT, "gate", "BTC", D(1), D(2)), WARNING, "discrepancy", "expected 1, seen 2"),
        (r.DiscrepancySeen(AT, "gate", "BTC", D(1), D(1)), INFO, "account agrees again", "BTC"),
        (r.ForeignSeen(AT, "gate", "BTC/USDT", "v1", "", "open"), WARNING, "foreign order", "not ours"),
        (r.ForeignSeen(AT, "gate", "BTC/USDT", "v1", "t-x", "ours"), CRITICAL, "foreign order", "no fact knows"),
        (f.Refused(AT, "m", "BTC/USDT", "loss_per_day", 1.0, 0.0), CRITICAL, "loss per day", "loss_per_day"),
        (f.StrategyFailed(AT, "m", "ZeroDivisionError: x"), WARNING, "strategy failed", "ZeroDivisionError"),
        (r.SignalClosed(AT, "mine/1", "m", "failed"), WARNING, "signal failed", "mine/1"),
        (r.BaselineSet(AT, "gate", "BTC", D(1), "adopted"), INFO, "baseline", "adopted"),
    ],
)  # fmt: skip
def test_what_is_told(fact, level, title, says):
    event = Teller(DEAD_KEY["gate"]).told(fact)
    assert (event.level, event.title, event.at) == (level, title, AT)
    assert says in event.text


@pytest.mark.parametrize(
    "fact",
    [
        f.BarClosed(AT, "BTC/USDT", 1.0, 1.0, 1.0, 1.0, 1.0),
        f.Refused(AT, "m", "BTC/USDT", "weight_per_asset", 1.0, 0.5),
        f.OrderClosed(AT, "m", 3, "BTC/USDT", "filled"),
        f.OrderUnknown(AT, "m", 3, "no answer within 5 s"),
        r.CommandTaken(AT, "flatten-1", "flatten", "again"),
        r.ForeignSeen(AT, "gate", "BTC/USDT", "v1", "", "finished"),
        r.SignalClosed(AT, "mine/1", "m", "traded"),
    ],
)
def test_what_is_told_to_nobody(fact):
    assert Teller(DEAD_KEY["gate"]).told(fact) is None


def test_another_owner_of_the_journal_is_told_louder_than_a_restart():
    teller = Teller()
    events = [teller.told(r.EpochTaken(AT, n, owner)) for n, owner in enumerate(["a:x", "a:x", "b:y"])]
    assert [one.level for one in events] == [INFO, INFO, WARNING]
    assert "b:y took the journal from a:x" in events[2].text


def test_codes_of_a_dead_key_are_codes_that_a_venue_says():
    assert DEAD_KEY["gate"] <= DIALECTS["gate"].refusals
    assert DEAD_KEY["mexc"] - {"10072"} <= DIALECTS["mexc"].refusals  # 10072 is none that refuses for sure


@given(st.text(max_size=600))
def test_a_text_of_others_cannot_link_mention_or_hide(text):
    told = harmless(text)
    assert len(told) <= 300
    assert not set(told) & set("<>@`[]\\&|*~\n\r\t\u202e\u200b\x00\x1b")
    assert "://" not in told
    assert told == " ".join(told.split())


@given(st.sampled_from(["@everyone", "<!channel>", "[x](http://evil)", "<b>x</b>", "a\nb"]))
def test_hostile_facts_are_told_harmlessly(text):
    for fact in (
        f.StrategyFailed(AT, text, text),
        r.CommandTaken(AT, text, text, text),
        r.StateChanged(AT, text, text, text),
        r.ForeignSeen(AT, text, text, text, text, text),
        f.OrderClosed(AT, text, 1, text, f"refused {text}"),
        r.EpochTaken(AT, 1, text),
    ):
        event = Teller().told(fact)
        assert event.level in LEVELS
        assert not set(event.title + event.text) & set("<>@[]\n")
