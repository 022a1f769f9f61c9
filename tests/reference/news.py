"""What is known, and who is woken by it: newest as_of first (rule 5), batches under 80 % withheld (rule 12)."""

from collections import defaultdict

import numpy as np

from trader.core.conditions import BarColumns, Series


class Gate:
    """Rule 12 for one kind of rating. `arrive` tells whose arrival may wake now; an empty set wakes nobody."""

    def __init__(self):
        self.before = 0  # assets of the batch that the next one is compared with
        self.as_of = None
        self.union = set()  # assets of the batches that share the newest as_of
        self.needed_of = 0  # assets of the batch before the withheld one
        self.withheld = set()
        self.count = 0

    def arrive(self, assets, as_of):
        same = as_of == self.as_of
        if not same:
            self.as_of, self.union, self.needed_of = as_of, set(), self.before
        self.union |= assets
        enough = len(assets) >= 0.8 * self.before
        completes = len(self.union) >= 0.8 * self.needed_of
        if same and self.withheld:  # parts of one batch complete it, they do not confirm it
            passes, self.before = completes, len(self.union)
        elif enough:
            passes, self.before = True, len(assets)
        elif same and completes:  # a late part of a batch that was complete already
            passes, self.before = True, len(self.union)
        else:
            passes, self.needed_of, self.before = False, self.before, len(assets)
        if not passes:
            self.count += 1
            self.withheld |= assets
            return set()
        woken = self.withheld | assets
        self.withheld = set()
        return woken


class News:
    """Everything that became visible, per source (`rating` or `signal`), kind and asset."""

    def __init__(self):
        self.newest = defaultdict(dict)  # (source, kind) -> asset -> Datum
        self.accepted = defaultdict(list)  # (source, kind, asset) -> [Datum], outdated ones removed
        self.gates = defaultdict(Gate)  # kind -> Gate

    def arrive(self, source, rows):
        """Store the rows of one instant; return kind -> (assets with news, assets that may wake now)."""
        fresh = defaultdict(dict)
        for row in sorted(rows, key=lambda row: (row.kind, row.asset, row.as_of)):
            now = self.newest[source, row.kind].get(row.asset)
            if now is None or row.as_of >= now.as_of:
                self.newest[source, row.kind][row.asset] = row
                fresh[row.kind][row.asset] = row
        found = {}
        for kind, by_asset in fresh.items():
            for asset, row in by_asset.items():
                self.accepted[source, kind, asset].append(row)
            woken = set(by_asset)
            if source == "rating":
                woken = self.gates[kind].arrive(set(by_asset), max(row.as_of for row in by_asset.values()))
            found[kind] = (set(by_asset), woken)
        return found

    def known(self, source, kind, asset):
        return self.newest.get((source, kind), {}).get(asset)

    def series(self, asset, bars, lookback):
        """What a condition may look at, cut to its look-back."""
        ratings, signals = {}, {}
        for (source, kind, name), rows in self.accepted.items():
            if name == asset:
                tail = rows[-lookback - 1 :]
                into = ratings if source == "rating" else signals
                into[kind] = (
                    np.array([row.known_at for row in tail], np.int64),
                    np.array([row.as_of for row in tail], np.int64),
                    np.array([row.value for row in tail], np.float64),
                )
        return Series(columns_of(bars[-lookback - 1 :]), ratings, signals)


def columns_of(bars):
    def column(name):
        values = [getattr(bar, name) for bar in bars]
        return np.array([np.nan if value is None else float(value) for value in values], np.float64)

    closes = np.array([bar.close_ns for bar in bars], np.int64)
    return BarColumns(closes, *(column(name) for name in ("open", "high", "low", "close", "volume")))
