"""Long frames as plain dicts and lists: bars by instant, data by the instant at which they became known."""

import math
from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

import pandas as pd

from trader.core.instants import DAY, duration


class Bar(NamedTuple):
    asset: str
    open_ns: int
    close_ns: int
    open: object
    high: object
    low: object
    close: object
    volume: object  # None: not known, taken as unlimited


class Datum(NamedTuple):
    asset: str
    kind: str
    as_of: int
    known_at: int
    value: float
    exits: tuple


class Instrument(NamedTuple):
    tick: object = None
    lot: object = None
    min_notional: object = None
    fee_on_buy: str | None = None
    delisted_ns: int | None = None
    loss: float = 1.0


def instants_of(column):
    stamps = pd.DatetimeIndex(pd.to_datetime(column, utc=True))
    return [int(ns) for ns in stamps.as_unit("ns").asi8]


def step_of(frame):
    opens = defaultdict(set)
    for at, asset in zip(instants_of(frame["ts"]), frame["asset"], strict=True):
        opens[asset].add(at)
    gaps = []
    for stamps in opens.values():
        ordered = sorted(stamps)
        gaps += [later - earlier for earlier, later in pairwise(ordered)]
    if not gaps:
        union = sorted(set().union(*opens.values()))
        gaps = [later - earlier for earlier, later in pairwise(union)]
    return min(gaps) if gaps else DAY


def bars_of(frame, instruments, number):
    """All bars, by asset name and then open; a bar that closes after a declared delisting never was."""
    step = step_of(frame)
    columns = [frame[name] for name in ("asset", "open", "high", "low", "close", "volume")]
    bars = []
    for at, asset, open_, high, low, close, volume in zip(instants_of(frame["ts"]), *columns, strict=True):
        if math.isnan(close):
            continue
        gone = instruments.get(asset, Instrument()).delisted_ns
        if gone is not None and at + step > gone:
            continue
        traded = None if math.isnan(volume) else number(volume)
        prices = (number(open_), number(high), number(low), number(close))
        bars.append(Bar(str(asset), at, at + step, *prices, traded))
    return sorted(bars, key=lambda bar: (bar.asset, bar.open_ns)), step


def data_of(frame, delay):
    """The rows by known_at; without known_at it is as_of + delay."""
    found = defaultdict(list)
    if frame is None or len(frame) == 0:
        return found
    as_of = instants_of(frame["as_of"])
    if "known_at" in frame:
        known_at = instants_of(frame["known_at"])
    elif delay is not None:
        known_at = [at + duration(delay) for at in as_of]
    else:
        raise ValueError("data without known_at need delay=")
    exits = frame["exits"] if "exits" in frame else [()] * len(frame)
    rows = zip(frame["asset"], frame["kind"], as_of, known_at, frame["value"], exits, strict=True)
    for asset, kind, described, known, value, attached in rows:
        if not math.isnan(value):
            carried = attached if isinstance(attached, tuple) else ()
            found[known].append(Datum(str(asset), str(kind), described, known, float(value), carried))
    return found


def instruments_of(frame, number):
    found = {}
    if frame is None:
        return found
    for row in frame.to_dict("records"):

        def given(name, row=row):
            value = row.get(name)
            return None if value is None or pd.isna(value) or value == 0 else value

        def figure(name, given=given):
            return None if given(name) is None else number(given(name))

        gone = given("delisted_at")
        loss = row.get("delisting_loss")
        found[str(row["asset"])] = Instrument(
            tick=figure("tick"),
            lot=figure("lot"),
            min_notional=figure("min_notional"),
            fee_on_buy=given("fee_on_buy"),
            delisted_ns=None if gone is None else instants_of([gone])[0],
            loss=1.0 if loss is None or pd.isna(loss) else float(loss),
        )
    return found
