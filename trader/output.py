"""What a command leaves behind: results as JSON and files that are written whole or not at all.

It knows the shapes of results, not how they came about; what cannot be written ends the command with a remedy.
"""

import dataclasses
import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trader import __version__

if TYPE_CHECKING:
    from backtests import Result
    from trader.settings import Backtest

BAD_INPUT, NOT_READY, REFUSED, INTERNAL = 2, 3, 4, 5


class Failure(Exception):  # noqa: N818  # it carries an exit code; the error itself is its text
    """The command ends here with this text on stderr and this exit code."""

    def __init__(self, text: str, code: int = BAD_INPUT) -> None:
        super().__init__(text)
        self.code = code


def backtest_json(settings: "Backtest", config: Path, result: "Result") -> str:
    """The result for machines, version 1 of its layout (docs/backtesting.md)."""
    equity = result.equity
    whole = plain(
        {
            "version": 1,
            "trader": __version__,
            "config": str(config),
            "strategy": {"name": settings.strategy.name, "parameters": settings.strategy.parameters},
            "assumed": {
                "costs": settings.costs.model_dump(),
                "latency": settings.latency,
                "exits": settings.exits,
                "limits": None if settings.limits is None else settings.limits.model_dump(exclude_none=True),
                "cash": settings.cash,
            },
            "data": {
                "label": result.tape.label,
                "assets": len(result.tape.assets),
                "caveats": [*result.tape.report, *result.notes],
            },
            "stats": dict(result.stats),
            "cash": result.cash,
            "holdings": dict(result.holdings),
            "equity": [[at, float(value)] for at, value in equity.items()],
        }
    )
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def plain(value: object) -> object:
    """A value as JSON has it: no NaN, no types of ours; a fact becomes a mapping with its name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__name__, **pairs}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return plain(value.item())  # a numpy scalar
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def check_writable(option: str, path: Path | None) -> None:
    """Tell before the work, not after it, when a result could not be written."""
    if path is None or str(path) == "-":
        return
    if path.is_dir():
        raise Failure(f"{option} {path}: is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise Failure(
            f"{option} {path}: is no ordinary file, and would be replaced by one; name a file, or - for stdout"
        )
    if not path.parent.is_dir():
        raise Failure(f"{option} {path}: there is no folder {path.parent}; create it first: mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise Failure(f"{option} {path}: the folder {path.parent} cannot be written to; choose another", NOT_READY)


def write(path: Path, text: str) -> None:
    """Write the whole text or leave what was there."""
    if str(path) == "-":
        sys.stdout.write(text)
        return
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise Failure(
            f"{path}: cannot be written: {error.strerror or error}; nothing was left there", NOT_READY
        ) from error
