"""What a sweep is asked to do: which strategy on which tape, over which space, searched how; and what identifies all that."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from backtests import shared
from backtests.metrics import MEASURES
from backtests.space import Point, Space, told
from backtests.study import code_of, digest, name_of
from backtests.trial import Named

if TYPE_CHECKING:
    from backtests.spans import Span
    from backtests.tape import Tape

METHODS = ("grid", "random", "optuna")
PRUNINGS = ("median", "halving")
# What an objective may be: the figures of a replay that are numbers (docs/backtesting.md).
FIGURES = (
    "final_equity", *MEASURES, "hit_rate", "profit_factor", "n_trades", "turnover", "fees", "n_fills", "exposure", "n_decisions",
    "ambiguous_bars", "trail_at_worst", "stale_marks", "unknown_held", "withheld_batches", "omitted_assets",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Search:
    """How a space is searched. objectives: names of stats, `-name` for as little as possible.

    runs: of random and optuna. batch, pruning, pieces: of optuna, see `optimise.py`.
    """

    method: str = "grid"
    runs: int | None = None
    seed: int = 0
    objectives: tuple[str, ...] = ("sharpe",)
    batch: int = 16
    pruning: str | None = None
    pieces: int = 4

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method = {self.method!r} is unknown; allowed are {', '.join(METHODS)}")
        if self.method != "grid" and (self.runs is None or self.runs < 1):
            raise ValueError(f"method {self.method} needs runs = a number from 1 up")
        if not self.objectives:
            raise ValueError("objectives: name at least one figure, such as sharpe")
        for one in self.objectives:
            if (name := one.removeprefix("-")) not in FIGURES:
                near = difflib.get_close_matches(name, FIGURES, 1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise ValueError(f"objective {one!r} is no figure of a replay; {hint}there are {', '.join(FIGURES)}")
        if self.pruning is not None and (self.method != "optuna" or len(self.objectives) > 1):
            raise ValueError("pruning is for method optuna with one objective")
        if self.pruning not in (None, *PRUNINGS):
            raise ValueError(f"pruning = {self.pruning!r} is unknown; allowed are {', '.join(PRUNINGS)}")
        if self.batch < 1 or self.pieces < 2:
            raise ValueError(f"batch = {self.batch} must be from 1 up, and pieces = {self.pieces} from 2 up")

    def told(self) -> dict[str, Any]:
        """What identifies the search; more runs of the same are a continuation."""
        if self.method == "optuna":
            more = {key: getattr(self, key) for key in ("batch", "pruning", "pieces")}
            return {"method": self.method, "seed": self.seed, "objectives": list(self.objectives), **more}
        return {"method": self.method, **({"seed": self.seed} if self.method == "random" else {})}


@dataclass(frozen=True)
class Plan:
    """A sweep as it was asked for. span: the part of the tape's time it is about, all of it unless given."""

    make: Callable[..., Any]
    space: Space
    tape: Tape
    search: Search
    assumed: Mapping[str, Any] = field(default_factory=dict)
    span: Span | None = None

    @cached_property
    def tape_id(self) -> str:
        """What identifies the tape."""
        return shared.fingerprint(self.tape)

    @property
    def name(self) -> str:
        """What the strategy is called."""
        return name_of(self.make)

    def manifest(self) -> dict[str, Any]:
        """What identifies a study: rows of two manifests must not be mixed."""
        span = {} if self.span is None else {"span": asdict(self.span)}
        return {
            "tape": self.tape_id, "strategy": {"name": self.name, "parameters": told(self._fixed)},
            "assumed": _plain(self.assumed), "space": self.space.told(), "search": self.search.told(), "code": code_of(self.make), **span,
        }  # fmt: skip

    def trial_id(self, point: Point) -> str:
        """What identifies a trial, whichever part of its parameters was swept."""
        return digest([_plain(self.assumed), told({**self._fixed, **self.space.values(point)})])

    @property
    def _fixed(self) -> Mapping[str, Any]:
        return self.make.parameters if isinstance(self.make, Named) else {}


def _plain(assumed: Mapping[str, Any]) -> Any:  # noqa: ANN401 - plain JSON
    return {
        key: asdict(value) if is_dataclass(value) and not isinstance(value, type) else told(value)
        for key, value in sorted(assumed.items())
    }
