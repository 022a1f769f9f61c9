"""A version of a run's configuration: the values that count, their hash, what of the core they stand for, and how two differ.

What is kept of it in the journal is enough to decide again as it decided; secrets are masked before they get here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from strategies.loading import load as load_strategy
from trader.core.book import Mount
from trader.core.costs import Costs
from trader.core.engine import Engine
from trader.core.feed import Feed
from trader.core.instants import SECOND, duration
from trader.core.instruments import Instrument, Terms, exactly
from trader.core.risk import Gate, Limits
from trader.core.view import Strategy
from trader.origins import flat, masked
from trader.run_settings import Run, differences
from trader.runtime.desk import Execution

LEAST_BARS = 1_000
AT_ONCE = (
    "strategy",
    "limits",
    "execution",
    "costs",
    *(f"intake.{one}" for one in ("ttl", "drift", "max_age", "gather", "trust")),
)
NOW, RESTART = "at once", "restart"


@dataclass(frozen=True)
class Version:
    """A configuration that was read and checked."""

    settings: Run
    strategy: Strategy
    home: Path

    @cached_property
    def values(self) -> str:
        """The effective values as JSON, secrets masked; the same values are the same text."""
        found = masked(self.settings.model_dump(), self.home)
        return json.dumps(found, sort_keys=True, separators=(",", ":"), default=str)

    @property
    def hash(self) -> str:
        """What tells two versions apart."""
        return sha256(self.values.encode()).hexdigest()

    @property
    def limits(self) -> Limits:
        """What no order may exceed."""
        return Limits(**self.settings.limits.model_dump())

    @property
    def costs(self) -> Costs:
        """What trading costs."""
        return Costs(**self.settings.costs.model_dump())

    @property
    def execution(self) -> Execution:
        """How orders are carried out."""
        chosen = self.settings.execution
        return Execution(
            collar=chosen.collar, fee=self.settings.costs.fee, spends=chosen.market_buys, participation=chosen.participation,
            validity=timedelta(microseconds=duration(chosen.validity) / 1_000),
        )  # fmt: skip

    @property
    def fence_ms(self) -> int:
        """How long what is signed is valid."""
        return duration(self.settings.execution.fence) * 1_000 // SECOND


@dataclass(frozen=True, slots=True)
class Change:
    """A key whose value differs; `effect` says whether it can be applied while the bot runs."""

    key: str
    before: object
    after: object
    effect: str

    def __str__(self) -> str:
        return f"{self.key}: {self.before} -> {self.after}"


def changes(before: Version, after: Version, *, bars: int) -> list[Change]:
    """What differs, key by key. bars: how far back the running bot can look; a strategy that wants more needs a restart."""
    found = changed(before.values, after.values)
    seen = {one.key for one in found}
    told = [
        line.partition(":")[0] for line in differences(before.settings, after.settings) if line.endswith(": changes")
    ]
    found += [Change(key, "***", "***", RESTART) for key in told if key not in seen]
    if after.strategy.wants.bars > bars:
        found = [
            Change(one.key, one.before, one.after, RESTART) if one.key.startswith("strategy.") else one for one in found
        ]
    return found


def changed(before: str, after: str) -> list[Change]:
    """The same of two texts of values; nothing is known of a bot that would apply them."""
    old, new = (flat(json.loads(one or "{}")) for one in (before, after))
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key) or (key in old) != (key in new))
    return [Change(key, old.get(key), new.get(key), _effect(key)) for key in keys]


def _effect(key: str) -> str:
    return NOW if any(key == one or key.startswith(f"{one}.") for one in AT_ONCE) else RESTART


def recorded(values: str) -> tuple[Strategy, Limits, Costs]:
    """What decided under the values of a record; raises ValueError where the program knows its strategy no more."""
    found = cast("Mapping[str, Any]", json.loads(values))
    chosen = found["strategy"]
    return load_strategy(chosen["name"], chosen["parameters"]), Limits(**found["limits"]), Costs(**found["costs"])


def terms_of(instruments: Sequence[Instrument], costs: Costs) -> dict[str, Sequence[Terms]]:
    """Each asset's market in exact numbers."""
    return {one.asset: [Terms(one, costs.fee_on_buy, exactly)] for one in instruments}


def engine_of(
    name: str, strategy: Strategy, instruments: Sequence[Instrument], capital: Decimal, *,
    limits: Limits | None = None, costs: Costs | None = None, market: str = "",
) -> Engine:  # fmt: skip
    """A fresh engine of one mount, which hears a market: live, and when a journal is told again."""
    terms = terms_of(instruments, costs or Costs())
    mount = Mount(name, terms, {instruments[0].venue: exactly(float(capital))}, exactly(0))
    gate = Gate(limits) if limits is not None and limits.given() else None
    keep = max(LEAST_BARS, strategy.wants.bars)
    return Engine(strategy, mount, Feed(list(terms), exactly, keep, market), exactly, gate)
