"""The cells of a frame as they come from files and hands: numbers that are text, times that are none, names that are missing.

Looks at single columns only and names the first bad row; what columns mean together is the tape's business. Columns that
have the right type already cost nothing but a look at it.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

NUMBERS = {
    "bars": ("open", "high", "low", "close", "volume"),
    "ratings": ("value",),
    "signals": ("value",),
    "instruments": ("tick", "lot", "min_notional", "delisting_loss"),
}
TIMES = {
    "bars": ("ts",),
    "ratings": ("as_of", "known_at"),
    "signals": ("as_of", "known_at"),
    "instruments": ("delisted_at",),
}
NAMES = ("asset", "kind")
FIRST, LAST = pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")


def checked(what: str, frame: pd.DataFrame, error: type[ValueError]) -> pd.DataFrame:
    """The frame with numbers as float64, times as UTC datetimes and names as text; raises `error` with the first bad row."""
    found: dict[str, pd.Series] = {}
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise error(f"{what} has two columns {str(twice[0])!r}; rename or drop one")
    for column in _there(frame, NUMBERS[what]):
        found[column] = _numbers(what, frame, column, error)
    for column in _there(frame, TIMES[what]):
        found[column] = _times(what, frame, column, error)
    for column in _there(frame, NAMES):
        found[column] = _names(what, frame, column, error)
    changed = {column: series for column, series in found.items() if series is not frame[column]}
    return frame.assign(**changed) if changed else frame


def _there(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column in frame.columns]


def _numbers(what: str, frame: pd.DataFrame, column: str, error: type[ValueError]) -> pd.Series:
    given = frame[column]
    if pd.api.types.is_bool_dtype(given):
        raise error(f"{what}.{column} holds true and false; give numbers")
    numbers = given
    if not pd.api.types.is_numeric_dtype(given):
        numbers = pd.to_numeric(given, errors="coerce")
        _refuse_first(what, frame, column, numbers.isna() & given.notna(), "a number", error)
    values = numbers.to_numpy(dtype=np.float64, na_value=math.nan)
    _refuse_first(what, frame, column, pd.Series(np.isinf(values), index=frame.index), "a finite number", error)
    return numbers


def _times(what: str, frame: pd.DataFrame, column: str, error: type[ValueError]) -> pd.Series:
    given = frame[column]
    allowed = "a time from 1970 to 2199 in UTC, such as 2024-01-31T00:00:00Z"
    times = given
    if pd.api.types.is_numeric_dtype(given) and given.notna().any():
        raise error(
            f"{what}.{column} holds numbers such as {given.dropna().iloc[0]}, and whether they count seconds or milliseconds is not "
            "for us to guess; convert them: pd.to_datetime(frame[...], unit='ms', utc=True)"
        )
    if not pd.api.types.is_datetime64_any_dtype(given):
        times = pd.to_datetime(given, utc=True, format="ISO8601", errors="coerce")
        _refuse_first(what, frame, column, times.isna() & given.notna(), allowed, error)
    if times.dt.tz is not None:
        _refuse_first(what, frame, column, (times < FIRST) | (times >= LAST), allowed, error)
    return times


def _names(what: str, frame: pd.DataFrame, column: str, error: type[ValueError]) -> pd.Series:
    given = frame[column]
    if pd.api.types.is_integer_dtype(given):
        return given.astype(str)
    if isinstance(given.dtype, pd.CategoricalDtype):
        given = given.astype(object)
    bad = (
        given.map(lambda name: not isinstance(name, str) or not name.strip() or "\0" in name)
        if given.dtype == object
        else given.isna()
    )
    if given.dtype != object and not bad.any():
        bad = ~given.drop_duplicates().str.contains(r"^[^\0]*[^\0\s][^\0]*$", regex=True).astype(bool)
        bad = given.isin(given.loc[bad[bad].index])
    _refuse_first(what, frame, column, bad, "a name", error)
    return given


def _refuse_first(
    what: str, frame: pd.DataFrame, column: str, bad: pd.Series, allowed: str, error: type[ValueError]
) -> None:
    if bad.any():
        row = int(bad.to_numpy(dtype=bool).argmax())
        raise error(
            f"{what} row {row}: {column} = {frame[column].iloc[row]!r}; allowed is {allowed}; mend or drop the row"
        )
