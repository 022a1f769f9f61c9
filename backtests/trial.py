"""One trial of a sweep: build the strategy, replay it, and bring back its figures as a plain row.

This is all that a worker does, whether it is this process, another one, or one on another machine. What goes wrong in a
trial is a row that says so.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backtests import machine, metrics
from backtests.replay import StrategyError, replay
from backtests.spans import Still, cut
from strategies.loading import load

if TYPE_CHECKING:
    from backtests.result import Result
    from backtests.spans import Span
    from backtests.tape import Tape
    from trader.core.history import Floats, Instants
    from trader.core.view import Strategy

CACHE_MOST = 64_000_000  # bytes that a worker may keep of what it computed from the tape, columns and searches each
PARTS = 9  # cut tapes that a worker keeps, which share as much again
COLLECT_SECONDS = 0.1
COMPILE_AFTER = 3.0  # seconds of trials after which the kernel is worth its half second, where numba is installed
# What a user's class and a replay may raise; anything else is our mistake and ends the sweep.
WRONG = (
    StrategyError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Job:
    """What to replay. jitter: seed of other opens, and the share of a bar's way to its high or low that they may move."""

    number: int
    parameters: Mapping[str, Any]
    span: Span | None = None
    jitter: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What came of it. returns: per UTC day, of the span alone, float32; `error` in place of figures."""

    number: int
    stats: dict[str, Any] | None
    error: str | None
    returns: bytes = field(repr=False)
    seconds: float

    @property
    def gains(self) -> Floats:
        """The returns as numbers."""
        return np.frombuffer(self.returns, np.float32).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Named:
    """A strategy by its name, with the parameters that a sweep does not touch; built as a YAML file would build it."""

    name: str
    parameters: Mapping[str, Any]

    def __call__(self, **swept: Any) -> Strategy:  # noqa: ANN401 - whatever the strategy takes
        """Build it; raises StrategyLoadError."""
        return load(self.name, {**self.parameters, **swept})


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trials share: how a strategy is built, and what `replay` assumes."""

    make: Callable[..., Any]
    assumed: Mapping[str, Any] = field(default_factory=dict)


class Bench:
    """A worker's place: the tape and the setting, and the parts of the tape that it cut before."""

    def __init__(self, tape: Tape, setting: Setting) -> None:
        self.tape, self.setting = tape, setting
        tape.panel.shelf.most = min(tape.panel.shelf.most, CACHE_MOST)
        self.parts: dict[Span, Tape] = {}
        self.has_settled = False
        self.uncollected = 0.0  # seconds of trials since the last collection
        self.spent = 0.0  # seconds of trials

    def settle(self) -> None:
        """Set apart what is there already, so that what a trial leaves behind is found without searching all of it."""
        if not self.has_settled and not gc.get_freeze_count():
            gc.collect()
            gc.freeze()
            self.has_settled = True

    def leave(self) -> None:
        """Put it back."""
        if self.has_settled:
            gc.unfreeze()
            self.has_settled = False

    def run(self, job: Job) -> Row:
        """One trial. What it made holds itself in circles that nobody else collects: without that, memory grows by each."""
        self.settle()
        is_solo = len(self.tape.panel.names) == 1  # of several assets the kernel plays nothing, and it takes 100 MB
        if is_solo and self.spent > COMPILE_AFTER and not machine.is_ready() and machine.is_installed():
            machine.ready()
        row = self._row(job)
        self.spent += row.seconds
        self.uncollected += row.seconds
        if self.uncollected > COLLECT_SECONDS:
            gc.collect()
            self.uncollected = 0.0
        return row

    def _row(self, job: Job) -> Row:
        begun = time.perf_counter()
        try:
            strategy = self.setting.make(**job.parameters)
            stats, returns = self._played(strategy, job)
        except WRONG as error:
            return Row(job.number, None, f"{type(error).__name__}: {error}", b"", time.perf_counter() - begun)
        return Row(job.number, stats, None, returns.astype(np.float32).tobytes(), time.perf_counter() - begun)

    def _played(self, strategy: Strategy, job: Job) -> tuple[dict[str, Any], Floats]:
        tape = self._tape(job)
        if job.span is not None:
            strategy = Still(strategy, job.span.begin_ns)
        result = played(strategy, tape, self.setting.assumed)
        stats, first = dict(result.stats), 0
        if job.span is not None:
            first = int(np.searchsorted(tape.closes_ns, job.span.begin_ns, side="right"))
            stats |= _measured(result, first)
        _trim(tape)
        return stats, daily(result, first)

    def _tape(self, job: Job) -> Tape:
        tape = self.tape
        if job.span is not None:
            if job.span not in self.parts:
                if len(self.parts) >= PARTS:
                    self.parts.clear()
                part = self.parts[job.span] = cut(tape, job.span)
                part.panel.shelf.most = CACHE_MOST // PARTS
            tape = self.parts[job.span]
        return tape if job.jitter is None else _jittered(tape, *job.jitter)


def played(strategy: Strategy, tape: Tape, assumed: Mapping[str, Any]) -> Result:
    """The one place where a sweep replays."""
    return replay(strategy, tape, **assumed)


def _measured(result: Result, first: int) -> dict[str, float]:
    """The figures of a curve from a bar on, before which nothing was held."""
    tape, stats = result.tape, result.stats
    curve, closes = result.curve[first:], result.tape.closes_ns[first:]
    mean, years = float(curve.mean()), metrics.span_years(closes, tape.step_ns)
    notional = stats["turnover"] * float(result.curve.mean()) * metrics.span_years(tape.closes_ns, tape.step_ns)
    return {
        **metrics.measure(curve, closes, tape.step_ns, cash_start=result.cash_start),
        "turnover": notional / mean / years if mean > 0 else float("nan"),
        "exposure": stats["exposure"] * len(result.curve) / len(curve),
    }


def daily(result: Result, first: int = 0) -> Floats:
    """Returns per UTC day from a bar on; of a tape with coarser bars, per bar."""
    return metrics.daily_returns(result.curve[first:], result.tape.closes_ns[first:], result.cash_start)[1]


def days_of(tape: Tape) -> Instants:
    """The instants at which the days of `daily` end."""
    return metrics.daily_returns(np.ones(len(tape.closes_ns)), tape.closes_ns, 1.0)[0]


def _jittered(tape: Tape, seed: int, slip: float) -> Tape:
    """The same tape with each open moved by lot towards the bar's high or low: what other fills there might have been."""
    from backtests.tape import Tape as Made  # noqa: PLC0415 - the name at the top is for annotations

    panel, lot = tape.panel, np.random.default_rng(seed)
    moved = lot.uniform(-slip, slip, panel.open.shape)
    reach = np.where(moved > 0, panel.high - panel.open, panel.open - panel.low)
    found = replace(panel, open=panel.open + moved * np.maximum(reach, 0.0))
    return Made(
        found, instruments=tape.instruments, report=tape.report, label=tape.label, delay_ns=tape.delay_ns,
        omitted=tape.omitted_assets, withheld=tape.withheld,
    )  # fmt: skip


def _trim(tape: Tape) -> None:
    """Forget what was computed from the tape when it has grown too large: parameters may ask for ever new columns."""
    caches = tape.panel.caches
    if sum(_bytes(one) for one in caches.values()) > CACHE_MOST:
        caches.clear()


def _bytes(one: object) -> int:
    if isinstance(one, np.ndarray):
        return one.nbytes if one.base is None else 0
    if isinstance(one, tuple | list):
        return sum(_bytes(part) for part in one) if one and not isinstance(one[0], int | float | bool) else 8 * len(one)
    return 0
