"""The `sweep:` section of a backtest: which parameters are searched, how, and how the find is validated.

It holds what the file says; whether a strategy takes it is asked where strategies are known.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from trader import setting_values as read
from trader.setting_types import Count, Duration, File, Part, Share, Whole

_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\s*[+-]?\d+(\.\d+)?\s*%\s*$"}]}
_RANGE = {
    "type": "object",
    "properties": {"from": _NUMBER, "to": _NUMBER, "step": _NUMBER, "log": {"type": "boolean"}},
    "required": ["from", "to"],
    "additionalProperties": False,
}
Axis = Annotated[Any, BeforeValidator(read.axis), WithJsonSchema({"anyOf": [{"type": "array", "minItems": 1}, _RANGE]})]
Figures = Annotated[tuple[str, ...], BeforeValidator(read.figures)]


class ValidationChoice(Part):
    """How a find is validated (docs/sweeps.md)."""

    folds: Count = Field(5, description="walk-forward: spans of time in which what the time before chose is tested")
    anchored: bool = Field(
        True, description="walk-forward: choose on all the time before, or (false) on as much as one fold has before it"
    )
    groups: Count = Field(8, description="cross-validation: spans that the time is cut into")
    tests: Count = Field(2, description="combinatorial cross-validation: how many of the groups are tested at once")
    purge: Duration = Field(
        "7d", description="time before a test that nothing is chosen on: as long as a holding lasts"
    )
    embargo: Duration = Field("7d", description="time after a test that nothing is chosen on")
    shuffles: Count = Field(1000, description="Monte-Carlo on the order of trades")
    fills: Count = Field(50, description="Monte-Carlo on fills: replays with other opens")
    slip: Share = Field(0.25, description="share of a bar's way to its high or low that an open may move there")

    @model_validator(mode="after")
    def _fewer_tests(self) -> Self:
        if self.groups < 2 or self.tests >= self.groups:
            raise ValueError(f"tests = {self.tests} must be under groups = {self.groups}, and groups at least 2")
        return self


class SweepChoice(Part):
    """What is searched, how, and where it is kept."""

    space: dict[str, Axis] = Field(
        description="by parameter: a list of values, {from, to, step}, whole numbers {from, to}, or {from, to, log: true}",
        min_length=1,
    )
    method: Annotated[Literal["grid", "random", "optuna"], BeforeValidator(read.one_of("grid", "random", "optuna"))] = (
        Field("grid", description="every point, points by lot, or points that Optuna proposes (extra `optimise`)")
    )
    runs: Count | None = Field(None, description="how many points random and optuna take")
    seed: Whole = Field(0, description="the same seed gives the same points")
    objectives: Figures = Field(
        ("sharpe",), description="figures to be large; -name to be small; the first decides the best"
    )
    folder: File | None = Field(None, description="where the study is kept; studies/NAME unless given")
    tally: File | None = Field(
        None, description="the database that counts every trial ever made; trials.sqlite beside the folder unless given"
    )
    batch: Count = Field(16, description="optuna: how many points are proposed at once")
    pruning: Annotated[Literal["median", "halving"], BeforeValidator(read.one_of("median", "halving"))] | None = Field(
        None, description="optuna: give up what does badly on the first pieces of the tape"
    )
    pieces: Count = Field(4, description="optuna with pruning: into how many growing pieces the tape is cut")
    validation: ValidationChoice = Field(default_factory=ValidationChoice)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.method == "grid" and self.runs is not None:
            raise ValueError(
                "runs: is for random and optuna; a grid takes every point: remove it, or choose another method"
            )
        if self.method != "grid" and self.runs is None:
            raise ValueError(f"method {self.method} needs runs:, a whole number from 1 up")
        endless = [k for k, v in self.space.items() if isinstance(v, dict) and "step" not in v and not _is_whole(v)]
        if self.method == "grid" and endless:
            raise ValueError(f"space.{endless[0]}: a grid needs step:, or a list of values")
        if self.pruning is not None and (self.method != "optuna" or len(self.objectives) > 1):
            raise ValueError("pruning: is for method optuna with one objective")
        return self


def _is_whole(bounds: dict[str, Any]) -> bool:
    return isinstance(bounds["from"], int) and isinstance(bounds["to"], int)
