"""A daemon's status as Prometheus reads it. A pure function: no socket, no clock, no registry that outlives a call.

Whatever a status does not say is left out, so that a daemon of another version is still told of; labels are bounded by the
configuration or by the daemon's own tallies.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("active", "reducing", "halted", "recovering", "killed")
ORDER_STATES = ("placed", "sending", "accepted", "unknown", "absent", "stuck")
SOURCE_STATES = ("answers", "troubled", "stale-safe", "stopped")
Rows = Mapping[str, object]


def exposition(status: Mapping[str, object] | None, *, mount: str = "") -> str:
    """The text format of a daemon's status; None = none answers: then `trader_up 0`, and nothing that was true before.

    mount: the name of the run, so that a daemon that is down keeps its label; a status names its own.
    """
    name = str(status.get("mount", mount)) if status is not None else mount
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(status, {"mount": name} if name else {}))
    return generate_latest(registry).decode()


class _Once(Collector):
    """Collects from one status; every sample carries the labels of its daemon."""

    def __init__(self, status: Rows | None, labels: Mapping[str, str]) -> None:
        self._status, self._labels = status, labels

    def collect(self) -> Iterator[Metric]:
        up = 0 if self._status is None else 1
        yield self._gauge("trader_up", "Whether the daemon answers.", up)
        if self._status is None:
            return
        status, measures = self._status, _rows(self._status.get("measures"))
        yield from (*self._process(status, measures), *self._trading(status, measures))
        yield from (*self._mounts(status), *self._flow(status, measures), *self._sources(status, measures))

    def _process(self, status: Rows, measures: Rows) -> Iterable[Metric]:
        info = {"strategy": status.get("strategy", ""), "version": measures.get("version", "")}
        return (
            self._many("trader_info", "Which strategy and which version of the program works.", tuple(info), [(info, 1)]),
            self._gauge("trader_start_timestamp_seconds", "When the process began, in Unix time.", measures.get("began")),
            self._gauge("trader_epoch", "The epoch of the journal's lease.", status.get("epoch")),
            self._counter("trader_cpu_seconds", "CPU time of the process.", (), [({}, measures.get("cpu_seconds"))]),
            self._gauge("trader_memory_bytes", "Resident memory of the process.", measures.get("memory_bytes") or None),
            self._gauge("trader_loop_lag_last_seconds", "How long the event loop was held up last.", status.get("loop_lag_seconds")),
            self._histogram("trader_loop_lag_seconds", "How long the event loop was held up, looked at four times a second.", (), [({}, measures.get("loop_lag"))]),
        )  # fmt: skip

    def _trading(self, status: Rows, measures: Rows) -> Iterable[Metric]:
        states = [({"state": one}, int(status.get("state") == one)) for one in STATES]
        held = [({"asset": asset}, _rows(one).get("quantity")) for asset, one in _rows(status.get("holdings")).items()]
        shut = [({"asset": asset}, 1) for asset in _rows(status.get("shut"))]
        off = [({"asset": asset}, amount) for asset, amount in _rows(status.get("off")).items()]
        return (
            self._many("trader_state", "1 for the trading state that holds.", ("state",), states),
            self._gauge("trader_flattening", "Whether everything is being sold.", status.get("is_flattening")),
            self._gauge("trader_cash", "Cash of the mount, in quote money.", status.get("cash")),
            self._gauge("trader_equity", "Cash and holdings at the last prices, in quote money.", measures.get("equity")),
            self._gauge("trader_drawdown_ratio", "How far the equity is below its highest, as a share.", measures.get("drawdown")),
            self._gauge("trader_drawdown_limit_ratio", "At which drawdown trading stops; absent = no limit.", measures.get("drawdown_limit")),
            self._many("trader_holding_quantity", "Units held, by asset.", ("asset",), held),
            self._many("trader_discrepancy", "What the account holds beyond what our facts explain, by asset.", ("asset",), off),
            self._gauge("trader_discrepancies", "How many assets of the account are off.", len(off)),
            self._many("trader_shut", "1 for each asset whose market cannot be traded now.", ("asset",), shut),
            self._gauge("trader_reconcile_age_seconds", "Since the account was last compared with the facts.", status.get("reconciled_seconds_ago")),
        )  # fmt: skip

    def _mounts(self, status: Rows) -> Iterable[Metric]:
        """Each mount of a run by its name: where there are several, none may hide behind what they are worth together."""
        mounts = {name: _rows(one) for name, one in _rows(status.get("mounts")).items()}
        states = [
            ({"name": name, "state": state}, int(one.get("state") == state))
            for name, one in mounts.items()
            for state in STATES
        ]
        held = [
            ({"name": name, "asset": asset}, _rows(holding).get("quantity"))
            for name, one in mounts.items() for asset, holding in _rows(one.get("holdings")).items()
        ]  # fmt: skip
        figures = (
            ("cash", "cash", "Cash of a mount, in quote money."),
            ("equity", "equity", "Cash and holdings of a mount at the last prices, in quote money."),
            ("drawdown_ratio", "drawdown", "How far a mount is below its highest equity, as a share."),
            ("drawdown_limit_ratio", "drawdown_limit", "At which drawdown a mount stops opening; absent = no limit."),
        )
        return (
            self._many("trader_mount_state", "1 for the trading state of a mount that holds.", ("name", "state"), states),
            *(
                self._many(f"trader_mount_{metric}", text, ("name",), [({"name": name}, one.get(key)) for name, one in mounts.items()])
                for metric, key, text in figures
            ),
            self._many("trader_mount_holding_quantity", "Units held by a mount, by asset.", ("name", "asset"), held),
        )  # fmt: skip

    def _flow(self, status: Rows, measures: Rows) -> Iterable[Metric]:
        listed = status.get("orders")
        states = [str(_rows(one).get("state")) for one in listed] if isinstance(listed, list) else []
        orders = _rows(measures.get("orders"))
        stages = [({"stage": name}, one) for name, one in _rows(measures.get("stages")).items()]
        return (
            self._tally("trader_signals", "Messages and publications that ended, by outcome.", "outcome", measures.get("signals")),
            self._tally("trader_orders_placed", "Orders that were decided on.", "side", orders.get("placed")),
            self._tally("trader_orders_closed", "Orders that are final, by how they ended.", "end", orders.get("closed")),
            self._tally("trader_order_attempts", "Requests for orders, by what became of them: each is sent once.", "result", measures.get("attempts")),
            self._tally("trader_fills", "Fills that were booked.", "side", measures.get("fills")),
            self._tally("trader_commands", "Commands of an operator that were carried out.", "command", measures.get("commands")),
            self._tally("trader_facts", "Facts that were kept, by kind.", "kind", measures.get("facts")),
            self._many("trader_orders_open", "Orders that are not final, by state.", ("state",), [({"state": one}, states.count(one)) for one in ORDER_STATES]),
            self._gauge("trader_order_unknown_seconds", "For how long the oldest unknown order is unknown; 0 = none is.", measures.get("unknown_seconds")),
            self._gauge("trader_queue_depth", "Messages, prices and commands that wait in line.", status.get("in_line")),
            self._gauge("trader_queue_capacity", "How many may wait before intake waits.", measures.get("line")),
            self._histogram("trader_stage_seconds", "How long each stage from a message to its fill takes.", ("stage",), stages),
            self._histogram("trader_signal_to_wire_seconds", "From a message's arrival to its first request for an order.", (), [({}, measures.get("to_wire"))]),
        )  # fmt: skip

    def _sources(self, status: Rows, measures: Rows) -> Iterable[Metric]:
        sources = {name: _rows(one) for name, one in _rows(status.get("sources")).items()}
        credits_ = {name: _rows(one.get("credits")) for name, one in sources.items()}
        newest = [
            ({"source": name, "kind": kind}, _unix(at))
            for name, one in sources.items() for kind, at in _rows(one.get("newest")).items()
        ]  # fmt: skip
        ages = [({"source": name}, age) for name, age in _rows(measures.get("message_seconds_ago")).items()]
        links = [({"link": name}, _rows(one).get("is_up")) for name, one in _rows(status.get("links")).items()]
        streams = [({"stream": name}, is_up) for name, is_up in _rows(status.get("streams")).items()]
        states = [
            ({"source": name, "state": state}, int(one["state"] == state))
            for name, one in sources.items() if "state" in one
            for state in dict.fromkeys((*SOURCE_STATES, str(one["state"])))
        ]  # fmt: skip
        return (
            self._gauge("trader_feed_age_seconds", "Since the market was last heard of.", status.get("market_seconds_ago")),
            self._many("trader_stream_up", "Whether a stream tells.", ("stream",), streams),
            self._many("trader_link_up", "Whether a connection is up.", ("link",), links),
            self._tally("trader_messages", "Messages that came in, by source.", "source", measures.get("messages")),
            self._many("trader_message_age_seconds", "Since a source last said something.", ("source",), ages),
            self._many("trader_source_state", "1 for how a vendor's source stands.", ("source", "state"), states),
            self._many("trader_source_newest_timestamp_seconds", "What the newest rating of a kind describes, in Unix time.", ("source", "kind"), newest),
            self._many("trader_source_credits_left", "Credits of a vendor that are left this month.", ("source",), [({"source": name}, one.get("left")) for name, one in credits_.items()]),
            self._many("trader_source_credits", "Credits of a vendor for the whole month.", ("source",), [({"source": name}, one.get("of_month")) for name, one in credits_.items()]),
        )  # fmt: skip

    # Families

    def _gauge(self, name: str, text: str, value: object) -> Metric:
        return self._many(name, text, (), [({}, value)])

    def _many(self, name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[Rows, object]]) -> Metric:
        family = GaugeMetricFamily(name, text, labels=[*self._labels, *labels])
        for given, value in rows:
            number = _number(value)
            if number is not None:
                family.add_metric(self._values(labels, given), number)
        return family

    def _tally(self, name: str, text: str, label: str, counts: object) -> Metric:
        return self._counter(name, text, (label,), [({label: one}, count) for one, count in _rows(counts).items()])

    def _counter(self, name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[Rows, object]]) -> Metric:
        family = CounterMetricFamily(name, text, labels=[*self._labels, *labels])
        for given, value in rows:
            number = _number(value)
            if number is not None:
                family.add_metric(self._values(labels, given), number)
        return family

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[Rows, object]]) -> Metric:
        family = HistogramMetricFamily(name, text, labels=[*self._labels, *labels])
        for given, value in rows:
            buckets = _buckets(_rows(value))
            if buckets:
                total = _number(_rows(value).get("sum")) or 0.0
                family.add_metric(self._values(labels, given), buckets, total)
        return family

    def _values(self, labels: tuple[str, ...], given: Rows) -> list[str]:
        return [*self._labels.values(), *(str(given.get(name, "")) for name in labels)]


def _rows(value: object) -> Rows:
    """A mapping of a status, empty where it has none."""
    return cast("Rows", value) if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    """A number as statuses have it: amounts are texts there."""
    if not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _unix(text: object) -> float | None:
    """Unix seconds of an instant that a source tells as text, UTC."""
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _buckets(value: Rows) -> list[tuple[str, float]]:
    """Upper bounds with the count of all that is not over them, as the format wants it; empty where it is no histogram."""
    bounds, counts = value.get("bounds"), value.get("counts")
    if not isinstance(bounds, list) or not isinstance(counts, list) or len(counts) != len(bounds) + 1:
        return []
    found, total = [], 0.0
    for bound, count in zip([*bounds, math.inf], counts, strict=True):
        total += float(count)
        found.append(("+Inf" if bound == math.inf else repr(float(bound)), total))
    return found


__all__ = ["CONTENT_TYPE", "exposition"]
