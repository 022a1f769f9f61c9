"""The cells of a frame as they come from files and hands: numbers that are text, times that are none, names that are missing.

Looks at single columns only and names the first bad row; what columns mean together is the tape's business. Columns that
have the right type already cost nothing but a look at it.
"""

import math

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
    for read, columns in ((_numbers, NUMBERS[what]), (_times, TIMES[what]), (_names, NAMES)):
        for column in columns:
            if column in frame.columns:
                given = frame[column]
                series = read(what, given, error)
                if series is not given:
                    found[column] = series
    return frame.assign(**found) if found else frame


def _numbers(what: str, given: pd.Series, error: type[ValueError]) -> pd.Series:
    if pd.api.types.is_bool_dtype(given):
        raise error(f"{what}.{given.name} holds true and false; give numbers")
    numbers = given
    if not pd.api.types.is_numeric_dtype(given):
        numbers = pd.to_numeric(given, errors="coerce")
        _refuse_first(what, given, numbers.isna() & given.notna(), "a number", error)
    values = numbers.to_numpy(dtype=np.float64, na_value=math.nan)
    _refuse_first(what, given, pd.Series(np.isinf(values), index=given.index), "a finite number", error)
    return numbers


def _times(what: str, given: pd.Series, error: type[ValueError]) -> pd.Series:
    allowed = "a time from 1970 to 2199 in UTC, such as 2024-01-31T00:00:00Z"
    times = given
    if pd.api.types.is_numeric_dtype(given) and given.notna().any():
        raise error(
            f"{what}.{given.name} holds numbers such as {given.dropna().iloc[0]}, and whether they count seconds or milliseconds is not "
            "for us to guess; convert them: pd.to_datetime(frame[...], unit='ms', utc=True)"
        )
    if not pd.api.types.is_datetime64_any_dtype(given):
        times = pd.to_datetime(given, utc=True, format="ISO8601", errors="coerce")
        _refuse_first(what, given, times.isna() & given.notna(), allowed, error)
    if times.dt.tz is not None:
        _refuse_first(what, given, (times < FIRST) | (times >= LAST), allowed, error)
    return times


def _names(what: str, given: pd.Series, error: type[ValueError]) -> pd.Series:
    if pd.api.types.is_integer_dtype(given):
        return given.astype(str)
    different = given.drop_duplicates().astype(object)
    wrong = [name for name in different if not isinstance(name, str) or not name.strip() or "\0" in name]
    bad = given.isin(wrong)
    _refuse_first(what, given, bad, "a name", error)
    return given


def _refuse_first(what: str, given: pd.Series, bad: pd.Series, allowed: str, error: type[ValueError]) -> None:
    if bad.any():
        row = int(bad.to_numpy(dtype=bool).argmax())
        value = given.iloc[row]
        shown = (
            value.item() if isinstance(value, np.generic) else str(value) if isinstance(value, pd.Timestamp) else value
        )
        raise error(f"{what} row {row}: {given.name} = {shown!r}; allowed is {allowed}; mend or drop the row")
