"""Small random worlds and a strategy without sense: what nobody would write by hand."""

import math
from dataclasses import dataclass
from random import Random

import pandas as pd

from strategies import FollowSignal, RatingBand, Rules, SmaCross, TopRated
from trader import (
    HOLD,
    Above,
    After,
    Below,
    Costs,
    Decision,
    FallBy,
    FallTo,
    Quote,
    RiseBy,
    RiseTo,
    Target,
    TrailBy,
    Units,
    Wants,
)  # fmt: skip
from trader.core.instants import duration, from_ns, to_ns

START = pd.Timestamp("2024-03-01", tz="UTC")
ASSETS = ("A", "B", "C", "D")


@dataclass(frozen=True)
class Chaos:
    """Decide by lot, the same for the same instant."""

    seed: int
    wants: Wants
    kind: str = "g"

    def decide(self, view):
        lot = Random(f"{self.seed} {view.now}")
        names = list(view.assets)
        if self.wants.ratings:
            names = sorted(view.ratings(self.kind))
        targets = {asset: self.target(lot) for asset in names if lot.random() < 0.5}
        way = lot.random()
        if way < 0.15:
            return Decision.hold()
        if way < 0.4:
            unknown = {"unknown": HOLD} if lot.random() < 0.5 else {}
            decision = Decision.exactly({a: t for a, t in targets.items() if t != 0}, **unknown)
        else:
            decision = Decision.change(targets)
        if lot.random() < 0.1:
            decision = decision.wake_at(from_ns(to_ns(view.now) + duration(lot.choice(["5h", "1d", "37h"]))))
        return decision.remember(len(targets)) if lot.random() < 0.1 else decision

    def target(self, lot):
        if lot.random() < 0.25:
            return 0
        size = lot.choice(
            [round(lot.uniform(0.05, 0.6), 3), Quote(lot.choice([50.0, 300.0])), Units(lot.choice([1, 4.5]))]
        )
        return Target(size, exits(lot), lot.choice([0.0, 0.0, 0.05]))


def exits(lot):
    """Up to three exits, parts among them."""
    made = []
    for _ in range(lot.randrange(4)):
        share = lot.choice([1.0, 1.0, 0.5, 0.3])
        made.append(
            lot.choice(
                [
                    FallBy(lot.choice([0.02, 0.06]), share), RiseBy(lot.choice([0.03, 0.08]), share),
                    TrailBy(lot.choice([0.03, 0.07]), share), FallTo(92.0, share), RiseTo(110.0, share),
                    After(lot.choice(["30h", "3d", "12h"]), share), Below(30.0, "g", share), Above(80.0, "g", share),
                ]
            )
        )  # fmt: skip
    return tuple(dict.fromkeys(made))


def bars(lot, step):
    """Random walks with gaps, late starts, early ends and bars without volume."""
    rows = []
    for asset in ASSETS[: lot.randint(1, 4)]:
        price = lot.uniform(80, 120)
        first, last = lot.choice([0, 0, 5]), lot.choice([60, 60, 45])
        for bar in range(first, last):
            opens = price * math.exp(lot.gauss(0, 0.004))
            price = opens * math.exp(lot.gauss(0, 0.025))
            high = max(opens, price) * (1 + abs(lot.gauss(0, 0.01)))
            low = min(opens, price) * (1 - abs(lot.gauss(0, 0.01)))
            volume = 0.0 if lot.random() < 0.06 else lot.uniform(5, 80)
            if lot.random() > 0.05:
                rows.append((START + bar * step, asset, *(round(p, 4) for p in (opens, high, low, price)), volume))
    return pd.DataFrame(rows, columns=["ts", "asset", "open", "high", "low", "close", "volume"])


def news(lot, kind, values, *, step, assets):
    """Publications: some late, some outdated, some torn."""
    rows = []
    for bar in range(0, 60, lot.choice([1, 2, 3])):
        as_of = START + bar * step
        late = lot.choice([pd.Timedelta(0), step, step / 2, 3 * step, 5 * step])
        torn = lot.random() < 0.15
        for asset in assets:
            if not (torn and lot.random() < 0.5):
                odd = step / 3 if lot.random() < 0.03 else pd.Timedelta(0)
                rows.append((asset, kind, as_of, as_of + late + odd, float(lot.choice(values))))
    return pd.DataFrame(rows, columns=["asset", "kind", "as_of", "known_at", "value"])


def terms(lot):
    """Instruments with and without tick, lot, minimum, own fee and end."""
    rows = []
    for asset in ASSETS:
        row = {
            "asset": asset, "tick": lot.choice([None, 0.05]), "lot": lot.choice([None, 0.1, 0.001]),
            "min_notional": lot.choice([None, 15.0]), "fee_on_buy": lot.choice([None, "received"]), "delisted_at": None,
            "delisting_loss": None,
        }  # fmt: skip
        rows.append(row)
    frame = pd.DataFrame(rows)
    frame["delisted_at"] = pd.Series([pd.NaT] * len(frame), dtype="datetime64[ns, UTC]")
    return frame


def wants(lot):
    """What wakes: bars, ratings, periods, and fills or exits besides."""
    first = lot.choice(["bars", "ratings", "every", "at", "both"])
    given = {
        "bars": {"bars": 1}, "ratings": {"ratings": ("g",)}, "every": {"ratings": ("g",), "every": "1d"},
        "at": {"bars": 1, "every": "1d", "at": "06:00"}, "both": {"bars": 2, "ratings": ("g",)},
    }[first]  # fmt: skip
    return Wants(**given, on_fill=lot.random() < 0.2, on_exit=lot.random() < 0.2)


def case(seed):
    """A strategy, its frames and its assumptions, the same for the same seed."""
    lot = Random(seed)
    step = pd.Timedelta(lot.choice(["1D", "4h"]))
    candles = bars(lot, step)
    how = {"step": step, "assets": sorted(set(candles["asset"]))}
    given = terms(lot)
    data = (
        candles, news(lot, "g", range(101), **how), news(lot, "s", (-1, 0, 1), **how),
        given[given["asset"].isin(how["assets"])] if lot.random() < 0.6 else None,
    )  # fmt: skip
    some = exits(lot)
    strategy = lot.choice(
        [
            RatingBand(enter=60.0, leave=40.0, kind="g", size=lot.choice([0.3, Quote(500.0), Units(3)]), exits=some),
            TopRated(top=2, enter=50.0, kind="g", exits=some, every=lot.choice([None, "1d"]), max_age="4d"),
            FollowSignal(kind="s", size=0.3, exits=some, mode=lot.choice(["state", "flip"]), ttl=lot.choice([None, "2d"])),
            SmaCross(2, 5, size=0.4, exits=some),
            Rules(enter="rating(g) > 55 or close > sma(close, 4)", leave="rating(g) < 35", size=0.25, exits=some),
            *[Chaos(seed, wants(lot)) for _ in range(6)],
        ]
    )  # fmt: skip
    costs = Costs(
        fee=lot.choice([0.0, 0.002]), half_spread=lot.choice([0.0, 0.001]), impact=lot.choice([0.0, 0.05]),
        participation=lot.choice([None, None, 0.05]), fee_on_buy=lot.choice(["quote", "received"]),
    )  # fmt: skip
    how = {"cash": 1000.0, "costs": costs, "latency": lot.choice(["0s", "0s", "90m", "1d"])}
    return strategy, data, how | {"exits": lot.choice(["resting", "resting", "next_open"])}
