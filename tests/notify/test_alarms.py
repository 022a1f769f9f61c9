"""Which alarms a status makes, after how long, and what a silent daemon leaves undecided."""

from datetime import UTC, datetime, timedelta

import pytest

from trader.notify.alarms import Patience, Watch, Worth, is_well, judged
from trader.notify.event import CRITICAL, WARNING
from trader.notify_place import CODER

AT = datetime(2024, 3, 1, 12, tzinfo=UTC)
WELL = {
    "ok": True, "state": "active", "orders": [{"order": 1, "asset": "BTC/USDT", "side": "buy", "state": "accepted"}],
    "links": {"market": {"is_up": True, "why": "", "since": "2024-03-01 00:00:00"}}, "trouble": "", "reconciled_seconds_ago": 4.0,
    "sources": {"tokenmetrics": {"state": "answers", "endpoints": {}}}, "market_seconds_ago": 0.5,
}  # fmt: skip


def after(seconds, status, watch=None, **more):
    """The alarms when a status has been the same for so long."""
    watch = watch or Watch()
    watch.look(AT, status, **more)
    return watch.look(AT + timedelta(seconds=seconds), status, **more)


def test_nothing_is_wrong_with_a_daemon_that_is_well():
    assert after(100_000, WELL) == {}
    assert is_well(WELL)


@pytest.mark.parametrize(
    ("change", "key", "level", "seconds"),
    [
        ({"orders": [{"order": 5, "asset": "X", "side": "buy", "state": "unknown"}]}, "order:5", CRITICAL, 120),
        ({"orders": [{"order": 5, "asset": "X", "side": "buy", "state": "stuck"}]}, "order:5", CRITICAL, 120),
        ({"orders": [{"order": 5, "mount": "b", "asset": "X", "side": "buy", "state": "unknown"}]}, "order:b:5", CRITICAL, 120),
        ({"state": "reducing"}, "state", WARNING, 600),
        ({"state": "killed"}, "state", CRITICAL, 600),
        ({"links": {"mqtt": {"is_up": False, "why": "refused", "since": "2024-03-01 12:00:00"}}}, "link:mqtt", WARNING, 300),
        ({"sources": {"tokenmetrics": {"state": "troubled", "endpoints": {"a": "HTTP 500"}}}}, "feed:tokenmetrics", WARNING, 300),
        ({"sources": {"tokenmetrics": {"state": "stopped"}}}, "feed:tokenmetrics", CRITICAL, 300),
        ({"reconciled_seconds_ago": 121.0}, "compared", CRITICAL, 0),
        ({"market_seconds_ago": 301.0}, "market", WARNING, 0),
        ({"shut": {"ETH/USDT": "it cannot be traded now"}}, "shut:ETH/USDT", WARNING, 0),
        ({"trouble": "gate refuses the key: INVALID_KEY"}, "key", CRITICAL, 0),
    ],
)  # fmt: skip
def test_what_is_wrong_is_an_alarm_after_its_time(change, key, level, seconds):
    status = WELL | change
    if seconds:
        assert after(seconds - 1, status) == {}
    found = after(seconds, status)
    assert {name: one.level for name, one in found.items()} == {key: level}
    assert found[key].since == AT


def test_what_was_well_in_between_begins_anew():
    watch, down = Watch(), WELL | {"state": "reducing"}
    watch.look(AT, down)
    watch.look(AT + timedelta(minutes=5), WELL)
    assert watch.look(AT + timedelta(minutes=11), down) == {}
    assert set(watch.look(AT + timedelta(minutes=21), down)) == {"state"}


def test_a_link_was_down_since_the_daemon_says():
    down = WELL | {"links": {"mqtt": {"is_up": False, "why": "x", "since": "2024-03-01 11:00:00"}}}
    assert Watch().look(AT, down)["link:mqtt"].since == AT - timedelta(hours=1)


def test_a_silent_daemon_is_an_alarm_and_decides_nothing_else():
    watch, unknown = Watch(), WELL | {"orders": [{"order": 5, "state": "unknown"}]}
    watch.look(AT, unknown)
    assert watch.look(AT + timedelta(seconds=59), None) == {}
    found = watch.look(AT + timedelta(seconds=120), None)
    assert {key: one.level for key, one in found.items()} == {"daemon": CRITICAL}
    assert judged(None) == {"daemon", "journal"}
    assert judged(WELL) is None
    assert not is_well(None)
    assert set(watch.look(AT + timedelta(seconds=121), unknown)) == {"order:5"}, "the time before the silence counts"


def test_a_journal_that_cannot_be_read_is_an_alarm_beside_a_daemon_that_answers():
    assert set(after(60, WELL, unread="disk I/O error")) == {"journal"}


def test_a_restart_goes_on_counting():
    watch, down = Watch(), WELL | {"state": "reducing"}
    watch.look(AT, down)
    again = Watch()
    CODER.restore(CODER.capture({"watch": watch}), {"watch": again})
    assert set(again.look(AT + timedelta(minutes=10), down)) == {"state"}


def test_a_drawdown_is_watched_where_it_is_wanted():
    worth = (Worth("m", 900.0, 1_000.0), Worth("n", 0.0, 0.0))
    assert after(0, WELL, worth=worth) == {}
    found = after(0, WELL, Watch(Patience(drawdown=0.1)), worth=worth)
    assert "10.0% under its highest equity" in found["drawdown:m"].text
    assert after(0, WELL, Watch(Patience(drawdown=0.11)), worth=worth) == {}


@pytest.mark.parametrize(
    "strange", [{}, {"ok": True}, {"orders": "x", "links": [1], "sources": {"a": 1}, "state": None}]
)
def test_a_status_of_another_version_is_no_alarm(strange):
    assert after(100_000, strange) == {}
