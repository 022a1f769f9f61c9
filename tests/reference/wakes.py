"""Why and when a strategy is called (rule 3): causes are gathered per instant, one wake per instant."""

from trader.core.conditions import newest
from trader.core.expression import BARS
from trader.core.instants import DAY, clock_time, duration

ORDER = ("rating", "signal", "bar", "every", "timer", "when_flat", "when_held", "when", "fill", "exit")
WEEK = 7 * DAY
MONDAY = 4 * DAY  # 1970 began on a Thursday


def period_start(at, period):
    offset = MONDAY if period % WEEK == 0 else 0
    return (at - offset) // period * period + offset


class Wakes:
    """The causes of the next wake, and the assets they concern."""

    def __init__(self, wants):
        self.wants = wants
        self.given = {name: getattr(wants, name) for name in ("when_flat", "when_held", "when")}
        self.given = {name: condition for name, condition in self.given.items() if condition is not None}
        self.listed = wants.every is None and not self.given
        self.period = None
        self.causes = {}
        self.withheld = {name: set() for name in self.given}
        self.max_age = duration(wants.max_age)

    def note(self, cause, assets):
        self.causes.setdefault(cause, set()).update(assets)

    def clock_instants(self, first, last):
        """The instants of `every` with `at`."""
        if self.wants.every is None or self.wants.at is None:
            return []
        period, clock = duration(self.wants.every), clock_time(self.wants.at)
        found, at = [], period_start(first, period) - period
        while at <= last:
            if first <= at + clock <= last:
                found.append(at + clock)
            at += period
        return found

    def arrivals(self, at, ratings, signals, closing):
        """Causes of listed kinds and of `every` from what became known now."""
        wants = self.wants
        news = [(f"rating:{kind}", ratings[kind][1]) for kind in wants.ratings if kind in ratings]
        news += [(f"signal:{kind}", signals[kind][1]) for kind in wants.signals if kind in signals]
        news = [(cause, assets) for cause, assets in news if assets]
        bars = {bar.asset for bar in closing}
        if self.listed:
            for cause, assets in news:
                self.note(cause, assets)
            if wants.bars > 0 and bars:
                self.note("bar", bars)
        elif wants.every is not None and wants.at is None:
            arrived = set().union(*(assets for _, assets in news))
            if not wants.ratings and not wants.signals:
                arrived = bars
            period = period_start(at, duration(wants.every))
            if arrived and period != self.period:
                self.period = period
                self.note("every", arrived)

    def conditions(self, at, stepper, ratings, signals, closing):
        """Each asset with a new datum of a condition's columns at which the condition is true."""
        bars = {bar.asset for bar in closing}
        for name, condition in self.given.items():
            fresh, released, held_back = set(), set(), set()
            for source, kind in condition.sources:
                if (source, kind) == BARS:
                    fresh |= bars
                    continue
                if source in {"rating", "age"} and kind in ratings:
                    new, woken = ratings[kind]
                    fresh |= new & woken
                    released |= woken
                    held_back |= new - woken
                if source in {"signal", "age"} and kind in signals:
                    fresh |= signals[kind][0]
            true = {asset for asset in fresh | held_back if self._true(condition, asset, at, stepper)}
            awake = (true & fresh) | (self.withheld[name] & released - fresh)
            self.withheld[name] = (self.withheld[name] - released) | (true & held_back - fresh)
            awake = {asset for asset in awake if self._applies(name, asset, at, stepper)}
            if awake:
                self.note(name, awake)

    def _true(self, condition, asset, at, stepper):
        if not stepper.tradable(asset, at):
            return False
        series = stepper.news.series(asset, stepper.closed[asset], condition.lookback)
        return newest(condition, series, self.max_age, at) is True

    @staticmethod
    def _applies(name, asset, at, stepper):
        if not stepper.tradable(asset, at):
            return False
        return name == "when" or stepper.stands(asset) == (name == "when_held")

    def take(self):
        """The causes in their order and all their assets; empty when there is no reason to wake."""
        causes = sorted(self.causes, key=lambda cause: (ORDER.index(cause.split(":")[0]), cause))
        assets = set().union(*self.causes.values())
        self.causes = {}
        return tuple(causes), assets
