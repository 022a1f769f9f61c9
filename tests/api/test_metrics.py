"""A status as Prometheus reads it: parsed again by Prometheus' own parser, figure by figure, and never anything stale."""

import json
import math

from prometheus_client.parser import text_string_to_metric_families as families

from tests.api.watched import watched
from tests.runtime.test_daemon import D, held, rating
from tests.services.parts import until
from trader.api.metrics import exposition

HISTOGRAM = {"bounds": [0.1, 1.0], "counts": [1, 2, 3], "sum": 9.5}


def samples(text):
    """Every sample, by name and labels."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value for family in families(text) for one in family.samples
    }


def of(text, metric, /, **labels):
    return samples(text).get((metric, tuple(sorted(labels.items()))))


def test_where_no_daemon_answers_it_is_down_and_nothing_else_is_said():
    assert samples(exposition(None)) == {("trader_up", ()): 0.0}
    assert samples(exposition(None, mount="one")) == {("trader_up", (("mount", "one"),)): 0.0}


def test_a_histogram_counts_all_that_is_not_over_each_bound():
    text = exposition({"mount": "m", "measures": {"stages": {"kept": HISTOGRAM}}})
    buckets = [of(text, "trader_stage_seconds_bucket", mount="m", stage="kept", le=le) for le in ("0.1", "1.0", "+Inf")]
    assert buckets == [1, 3, 6]
    assert of(text, "trader_stage_seconds_count", mount="m", stage="kept") == 6
    assert of(text, "trader_stage_seconds_sum", mount="m", stage="kept") == 9.5


def test_what_a_status_does_not_say_or_says_strangely_is_left_out():
    strange = {
        "mount": "m", "cash": "a lot", "in_line": None, "orders": "none", "holdings": [], "state": 7, "off": {"BTC": "nan"},
        "measures": {"equity": None, "signals": 3, "stages": {"kept": {"bounds": [1.0], "counts": [1]}}, "drawdown": math.inf},
        "sources": {"v": {"newest": {"grade": "soon"}, "credits": None}},
    }  # fmt: skip
    told = samples(exposition(strange))
    for name in ("trader_cash", "trader_queue_depth", "trader_equity", "trader_drawdown_ratio"):
        assert (name, (("mount", "m"),)) not in told
    assert not [name for name, _ in told if name.startswith(("trader_stage", "trader_source_newest", "trader_signals"))]
    assert told["trader_up", (("mount", "m"),)] == 1


def test_each_mount_is_told_by_its_name_so_that_none_hides_behind_all():
    mounts = {
        "slow": {"state": "active", "cash": "90", "equity": "100", "drawdown": 0.0, "drawdown_limit": None, "holdings": {"BTC": {"quantity": "2"}}},
        "fast": {"state": "halted", "cash": "5", "equity": None, "drawdown": 0.3, "drawdown_limit": 0.25, "holdings": {}},
    }  # fmt: skip
    text = exposition({"mount": "m", "state": "halted", "mounts": mounts})
    assert [of(text, "trader_mount_state", mount="m", name=one, state="active") for one in ("slow", "fast")] == [1, 0]
    assert [of(text, "trader_mount_cash", mount="m", name=one) for one in ("slow", "fast")] == [90, 5]
    assert [of(text, "trader_mount_equity", mount="m", name=one) for one in ("slow", "fast")] == [100, None]
    assert [of(text, "trader_mount_drawdown_ratio", mount="m", name=one) for one in ("slow", "fast")] == [0, 0.3]
    assert [of(text, "trader_mount_drawdown_limit_ratio", mount="m", name=one) for one in ("slow", "fast")] == [
        None,
        0.25,
    ]
    assert of(text, "trader_mount_holding_quantity", mount="m", name="slow", asset="BTC") == 2


def test_an_asset_that_is_not_traded_is_told_by_name():
    text = exposition({"mount": "m", "shut": {"ETH/USDT": "it cannot be traded now"}, "measures": {}})
    assert of(text, "trader_shut", mount="m", asset="ETH/USDT") == 1


def test_a_label_can_hold_whatever_a_name_holds():
    name = 'a "quoted"\nname\\'
    assert of(exposition({"mount": name}), "trader_up", mount=name) == 1


def test_names_and_units_follow_the_conventions():
    status = {"mount": "m", "measures": {"signals": {"traded": 1}}}
    for family in families(exposition(status)):
        assert family.name.startswith("trader_")
        assert family.documentation.endswith("."), family.name
        assert family.type in {"gauge", "counter", "histogram"}
        assert not family.name.endswith(("_ms", "_milliseconds", "_percent"))
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


async def test_a_real_daemon_shows_what_it_does(tmp_path):
    async with watched(tmp_path) as (it, one, bus):
        first = rating(1, BTC=50)
        await bus.publish(first)
        await bus.publish(first)
        await bus.publish(b"no message")
        await until(lambda: held(one) > 2 and one.desk.is_quiet)
        await until(lambda: one.status()["sources"]["tokenmetrics"]["state"] == "answers")
        await until(lambda: sum(one.status()["measures"]["loop_lag"]["counts"]))
        status = json.loads(json.dumps(one.status()))
        text = exposition(status)
        m = {"mount": "m"}
        assert of(text, "trader_state", **m, state="active") == 1
        assert of(text, "trader_state", **m, state="halted") == 0
        assert of(text, "trader_signals_total", **m, outcome="traded") == 1
        assert of(text, "trader_signals_total", **m, outcome="duplicate") == 1
        assert of(text, "trader_signals_total", **m, outcome="malformed") == 1
        assert of(text, "trader_messages_total", **m, source="bus") == 3
        assert of(text, "trader_orders_closed_total", **m, end="filled") == 1
        assert of(text, "trader_order_attempts_total", **m, result="sent") >= 1
        assert of(text, "trader_order_unknown_seconds", **m) == 0
        assert of(text, "trader_signal_to_wire_seconds_count", **m) == 1
        for stage in ("queued", "decided", "kept", "sending", "answered", "filled"):
            assert of(text, "trader_stage_seconds_count", **m, stage=stage) >= 1, stage
        assert of(text, "trader_holding_quantity", **m, asset="BTC/USDT") == float(held(one))
        assert of(text, "trader_equity", **m) == float(status["measures"]["equity"])
        assert 480 < of(text, "trader_equity", **m) < 520
        assert of(text, "trader_drawdown_limit_ratio", **m) == 0.5
        for figure in ("cash", "equity", "drawdown_ratio", "drawdown_limit_ratio"):
            assert of(text, f"trader_mount_{figure}", **m, name="m") == of(text, f"trader_{figure}", **m), figure
        assert of(text, "trader_mount_holding_quantity", **m, name="m", asset="BTC/USDT") == float(held(one))
        assert of(text, "trader_source_credits", **m, source="tokenmetrics") == 50
        assert of(text, "trader_source_credits_left", **m, source="tokenmetrics") < 50
        assert of(text, "trader_source_newest_timestamp_seconds", **m, source="tokenmetrics", kind="tm_grade") > 1.7e9
        assert of(text, "trader_loop_lag_seconds_count", **m) >= 1
        assert 0 <= of(text, "trader_feed_age_seconds", **m) < 10
        assert 0 <= of(text, "trader_reconcile_age_seconds", **m) < 10
        it.server.is_down = True
        await bus.publish(rating(2, BTC=0))
        await until(lambda: of(exposition(one.status()), "trader_reconcile_age_seconds", **m) > 0.9)
        await until(one.desk.waiting)
        open_ = sum(
            of(exposition(one.status()), "trader_orders_open", **m, state=state) for state in ("placed", "unknown")
        )
        it.server.is_down = False
        assert open_ == 1
        await until(lambda: held(one) == D(0) and one.desk.is_quiet)
