"""Observations: what a vendor said of an asset, what it describes, and since when it was knowable. Revisions are observations too."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

RATING, STATE, EVENT = "rating", "state", "event"
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Observation:
    """One value as it was seen.

    as_of: the instant that it describes; a daily row of day D describes D 00:00 UTC. known_at: since when it was knowable.
    observed_at: when we saw it. is_provisional: its day was not over. is_assumed: known_at is a rule's, not a sighting.
    """

    source: str
    kind: str
    type: str
    asset: str
    as_of: datetime
    value: float
    known_at: datetime
    observed_at: datetime
    is_provisional: bool = False
    is_assumed: bool = False


def published_at(as_of: datetime, lag: timedelta, period: timedelta = DAY) -> datetime:
    """When a row of a period can have been known at the earliest: when the period is over, and the vendor's lag."""
    return as_of + period + lag


def seen(
    *, source: str, kind: str, type_: str, asset: str, as_of: datetime, value: float, observed_at: datetime,
    lag: timedelta, is_history: bool, period: timedelta = DAY,
) -> Observation:  # fmt: skip
    """A value as it was seen: live, it is known since now; of history, since its publication by rule, and not later than now."""
    if as_of.tzinfo is None or observed_at.tzinfo is None:
        raise ValueError(f"{kind} of {asset}: instants need a zone")
    rule = published_at(as_of, lag, period)
    known_at = min(rule, observed_at) if is_history else observed_at
    return Observation(
        source, kind, type_, asset, as_of.astimezone(UTC), value, known_at, observed_at,
        is_provisional=observed_at < as_of + period, is_assumed=known_at != observed_at,
    )  # fmt: skip
