"""vectorbt on one workload: signals or target weights as columns, one simulation, the value of every bar."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import vectorbt as vbt
from timing import asked, seconds, tell
from workloads import DAY_BARS

work, data, repeats, engine = asked()
how = {"fees": work.fee, "init_cash": work.cash, "freq": f"{work.step_ns // 60_000_000_000}min", "engine": engine}
make = vbt.Portfolio


def delayed(mask):
    """True one bar later: what is decided at a close is filled at the next open."""
    return np.concatenate(([False], mask[:-1]))


def one_asset(enters, leaves):
    found = make.from_signals(
        data["close"], delayed(enters), delayed(leaves), price=data["open"], size=work.units, max_orders=100_000, **how
    )  # fmt: skip
    found.value()
    return float(np.squeeze(found.final_value())), int(np.squeeze(found.orders.count()))


def w1():
    change = np.diff(data["state"], prepend=np.int8(0))
    return one_asset(change > 0, change < 0)


def w4():
    fast, slow = (vbt.MA.run(data["close"], count).ma.to_numpy().ravel() for count in (work.fast, work.slow))
    return one_asset(fast > slow, fast < slow)


def w2():
    size = np.full((work.bars, work.assets), np.nan)
    best = np.argsort(-data["rating"], axis=1, kind="stable")[:, : work.top]
    weights = np.zeros_like(data["rating"])
    np.put_along_axis(weights, best, work.invest / work.top, axis=1)
    size[1::DAY_BARS] = np.where(data["rating"] >= work.least, weights, 0.0)
    found = make.from_orders(
        by_time["close"], size, size_type="targetpercent", price=by_time["open"], val_price=by_time["before"],
        cash_sharing=True, group_by=True, call_seq="auto", max_orders=200_000, **how,
    )  # fmt: skip
    found.value()
    return float(np.squeeze(found.final_value())), int(found.orders.count())


def w3(step=1):
    enter, leave = (side[::step] for side in work.thresholds())
    shape = work.bars, len(enter)
    enters, leaves = np.zeros(shape, bool, order="F"), np.zeros(shape, bool, order="F")  # column by column is quicker
    enters[::DAY_BARS], leaves[::DAY_BARS] = data["rating"][:, None] >= enter, data["rating"][:, None] <= leave
    column = {name: data[name][:, None] for name in ("open", "high", "low", "close")}
    found = make.from_signals(
        column["close"], enters, leaves, price=np.append(data["open"][1:], np.nan)[:, None], open=column["open"],
        high=column["high"], low=column["low"], sl_stop=work.stop, tp_stop=work.goal, stop_entry_price="fillprice",
        max_orders=400 * len(enter), **how,
    )  # fmt: skip
    return float(np.sum(found.final_value())), int(np.sum(found.orders.count()))


if work.name == "W2":
    by_time = {name: np.ascontiguousarray(data[name].T) for name in ("open", "close")}
    by_time["before"] = np.vstack([np.full((1, work.assets), np.nan), by_time["close"][:-1]])
if work.name == "W3":
    w3(step=500)  # compiles
times, (equity, fills) = seconds({"W1": w1, "W2": w2, "W3": w3, "W4": w4}[work.name], repeats)
tell(f"vectorbt ({engine})", "vectorbt", times, equity, fills)
