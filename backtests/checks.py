"""Checks of frames that every kind of data shares: columns that must be there, times that must be UTC."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from trader.core.history import Instants


class TapeError(ValueError):
    """The data cannot be replayed honestly; the message names the row, the value and the remedy."""


def column_ns(frame: pd.DataFrame, column: str, what: str) -> Instants:
    """A time column as int64 nanoseconds UTC; naive times raise TapeError."""
    import pandas as pd  # noqa: PLC0415

    times = frame[column]
    if not pd.api.types.is_datetime64_any_dtype(times):
        try:
            times = pd.to_datetime(times, utc=True)
        except (ValueError, TypeError) as error:
            raise TapeError(f"{what}.{column}: {error}; give datetimes in UTC") from error
    if times.dt.tz is None:
        raise TapeError(f"{what}.{column} has no time zone; localise it: frame[{column!r}].dt.tz_localize('UTC')")
    if times.isna().any():
        raise TapeError(
            f"{what}.{column} is missing in row {int(times.isna().to_numpy().argmax())}; drop or fill that row"
        )
    return times.dt.tz_convert("UTC").dt.as_unit("ns").astype("int64").to_numpy()  # type: ignore[no-any-return]


def need(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Raise TapeError when a column is missing, with the nearest that is there."""
    for column in columns:
        if column not in frame.columns:
            near = difflib.get_close_matches(column, [str(c) for c in frame.columns], 1)
            hint = f"; did you mean to rename {near[0]!r}?" if near else ""
            raise TapeError(f"{what} has no column {column!r}; it needs {', '.join(columns)}{hint}")
