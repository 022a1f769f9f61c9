"""When each endpoint of Token Metrics is asked, and what that costs: polls on a grid of time, and credits a month beside the plan's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from trader.adapters.tokenmetrics import LIMIT, windows
from trader.adapters.tokenmetrics_signals import HOUR, NOW, OF_MARKET, period_of
from trader.core.observations import DAY

MONDAY = datetime(1970, 1, 5, tzinfo=UTC)  # polls lie on a grid from here: weeks begin on Mondays
MONTH = 30 * DAY
OFTEN = frozenset({"moonshots"})  # without a period, and asked hourly all the same: an end must not be missed by a day


class PlanError(ValueError):
    """What is configured costs more than the plan includes."""


@dataclass(frozen=True, slots=True)
class Feeding:
    """What is asked for and how. `indices` are the vendor's ids by the kind that their weights become."""

    assets: Mapping[str, int]
    endpoints: Sequence[str]
    lag: timedelta = timedelta(hours=1)
    again: timedelta = timedelta(minutes=15)
    wait: timedelta = timedelta(hours=8)  # how long a late row is asked for
    back_days: int = 7  # how far back what was missed is made up for
    revised_days: int = 2  # how far back a revision is looked for
    provisional: bool = False
    hourly_lag: timedelta = timedelta(minutes=5)
    hourly_again: timedelta = timedelta(minutes=10)
    hourly_wait: timedelta = timedelta(minutes=20)  # each token that is late costs a credit each time
    polls: Mapping[str, timedelta] = field(default_factory=dict)
    indices: Mapping[str, int] = field(default_factory=dict)
    position: str = "plain"
    weight_unit: str = "percent"

    def every(self, endpoint: str) -> timedelta:
        """How often an endpoint is asked."""
        usual = HOUR if endpoint in OFTEN or period_of(endpoint) == HOUR else DAY
        return self.polls.get(endpoint, usual)

    def lag_of(self, endpoint: str) -> timedelta:
        """How long after a period, or after the instant of a poll, a row should be there."""
        period = period_of(endpoint)
        is_hourly = self.every(endpoint) < DAY if period == NOW else period == HOUR
        return self.hourly_lag if is_hourly else self.lag

    def slot(self, endpoint: str, at: datetime) -> datetime:
        """When the poll that is due at an instant was due."""
        return _floor(at - self.lag_of(endpoint), self.every(endpoint)) + self.lag_of(endpoint)

    def expected(self, endpoint: str, at: datetime) -> datetime:
        """What the newest row describes that should be there; without a period, the slot of the poll."""
        period = period_of(endpoint)
        return self.slot(endpoint, at) if period == NOW else _floor(at - self.lag_of(endpoint), period) - period

    def next(self, endpoint: str, at: datetime, *, is_there: bool) -> datetime:
        """When it is asked next: in the next slot, or again soon while a row is late and still waited for."""
        period = period_of(endpoint)
        again, wait = (self.hourly_again, self.hourly_wait) if period == HOUR else (self.again, self.wait)
        published = self.expected(endpoint, at) + period + self.lag_of(endpoint)
        after = self.slot(endpoint, at) + self.every(endpoint)
        return min(at + again, after) if not is_there and at < published + wait else after

    def requests(self, endpoint: str, limit: int = LIMIT) -> int:
        """How many requests, hence credits, one poll costs at the least."""
        count = len(self.assets)
        if endpoint in OF_MARKET or endpoint == "moonshots":
            return 1
        if endpoint == "indices_holdings":
            return len(self.indices)
        if period_of(endpoint) == HOUR:
            return count  # each token is asked for by itself
        if period_of(endpoint) == NOW:
            return -(-count // max(limit - 1, 1))
        first = MONDAY.date()
        return sum(1 for _ in windows(self.assets.values(), first, first + self.revised_days * DAY, limit=limit))

    def monthly(self, endpoint: str, limit: int = LIMIT) -> int:
        """Credits of thirty days, without what is asked again because it was late or failed."""
        names = 2 * MONTH // DAY if endpoint == "moonshots" else 0  # which token has which name, once a day
        return self.requests(endpoint, limit) * (MONTH // self.every(endpoint)) + names


def check_plan(feeding: Feeding, included: int, limit: int = LIMIT) -> int:
    """Credits of thirty days; raises PlanError where the plan does not include as many."""
    costs = {one: feeding.monthly(one, limit) for one in feeding.endpoints}
    total = sum(costs.values())
    if total > included:
        dearest = max(costs, key=lambda one: costs[one])
        raise PlanError(
            f"what is asked for takes {total:,} credits a month and the plan includes {included:,}: {_told(feeding, dearest, costs[dearest])}."
            f" Map fewer assets, ask less often (polls: {{{dearest}: {_longer(feeding.every(dearest))}}}), leave an endpoint out, or, with a"
            " larger plan, give its size under credits:"
        )
    return total


def _told(feeding: Feeding, endpoint: str, cost: int) -> str:
    each = feeding.every(endpoint)
    often = {HOUR: "hourly", DAY: "daily"}.get(each, f"every {_longer(each / 2)}")
    many = len(feeding.indices) if endpoint == "indices_holdings" else len(feeding.assets)
    what = "indices" if endpoint == "indices_holdings" else "tokens"
    who = "" if endpoint in OF_MARKET or endpoint == "moonshots" else f"{many} {what} "
    return f"{endpoint}, {who}{often} = {cost:,} a month"


def _longer(each: timedelta) -> str:
    """Twice as long, as it is written in YAML."""
    twice = round(2 * each.total_seconds())
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if twice % seconds == 0:
            return f"{twice // seconds}{unit}"
    return f"{twice}s"


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - (at - MONDAY) % step


__all__ = ["Feeding", "PlanError", "check_plan"]
