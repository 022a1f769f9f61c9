"""Plain columns: a tape of them is the tape of the same frames, and what is wrong is refused with row, value and remedy."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from backtests import Tape, TapeError, replay
from tests.proofs.chaos import case
from trader.core.instruments import Instrument

DAYS = np.datetime64("2024-01-01") + np.arange(3)
BARS = {
    "ts": DAYS,
    "asset": "A",
    "open": [10.0, 11.0, 12.0],
    "high": [13.0] * 3,
    "low": [9.0] * 3,
    "close": [11.0, 12.0, 12.5],
}
RATINGS = {
    "asset": "A",
    "kind": "grade",
    "as_of": DAYS,
    "known_at": DAYS + np.timedelta64(1, "D"),
    "value": [10, 50, 90],
}


def plain(frame):
    """The columns of a frame as who has no pandas has them: times in UTC without a zone, names as text."""
    if frame is None:
        return None
    return {
        name: column.dt.tz_convert(None).to_numpy()
        if isinstance(column.dtype, pd.DatetimeTZDtype)
        else column.to_numpy()
        for name, column in frame.items()
    }


def terms(frame):
    if frame is None:
        return ()
    rows = frame.drop(columns=["delisted_at"]).to_dict("records")
    return [Instrument(**{name: value for name, value in row.items() if not pd.isna(value)}) for row in rows]


@pytest.mark.parametrize("seed", range(40))
def test_columns_make_the_tape_that_the_same_frames_make(seed):
    strategy, (bars, ratings, signals, instruments), how = case(seed)
    framed = Tape.from_frames(bars, ratings, signals, instruments)
    tape = Tape.from_columns(plain(bars), plain(ratings), plain(signals), terms(instruments))
    assert (tape.assets, tape.step_ns, tape.report, tape.delay_ns) == (
        framed.assets,
        framed.step_ns,
        framed.report,
        framed.delay_ns,
    )
    assert tape.omitted_assets == framed.omitted_assets
    for name in ("opens_ns", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(tape, name), getattr(framed, name))
    mine, theirs = replay(strategy, tape, **how), replay(strategy, framed, **how)
    assert mine.facts() == theirs.facts()
    assert mine.final_equity == theirs.final_equity


def test_aware_datetimes_lists_and_a_delay_will_do():
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    said = {name: column for name, column in RATINGS.items() if name != "known_at"}
    tape = Tape.from_columns(BARS | {"ts": days}, said | {"as_of": days, "asset": ["A"] * 3}, delay="1d")
    same = Tape.from_columns(BARS, RATINGS)
    np.testing.assert_array_equal(tape.opens_ns, same.opens_ns)
    np.testing.assert_array_equal(tape.panel.ratings["grade"].known_ns, same.panel.ratings["grade"].known_ns)
    assert np.isnan(tape.volume).all(), "not given"


def changed(column, row, value):
    found = np.array(np.broadcast_to(np.asarray(column), 3), dtype=object)
    found[row] = value
    return found


@pytest.mark.parametrize(
    ("bars", "ratings", "told"),
    [
        ({"close": None}, {}, "bars has no column 'close'; columns are ts, asset, open, high, low, close, volume"),
        ({"close": None, "closed": [1.0] * 3}, {}, "did you mean 'closed'?"),
        ({"extra": 1}, {}, "bars has an unknown column 'extra'"),
        ({"close": [1.0, 2.0]}, {}, "bars.close has the shape (2,), bars.ts has 3 rows; give one value per row"),
        ({"close": np.ones((3, 2))}, {}, "bars.close has the shape (3, 2)"),
        ({"ts": [1, 2, 3]}, {}, "bars.ts holds numbers such as 1, and whether they count seconds or milliseconds"),
        ({"ts": changed(DAYS, 1, "yesterday")}, {}, "bars row 0: ts = datetime.date(2024, 1, 1); allowed is a time"),
        ({"ts": [datetime(2024, 1, day) for day in (1, 2, 3)]}, {}, "bars row 0: ts = datetime.datetime(2024, 1, 1, 0, 0); allowed is"),  # noqa: DTZ001
        ({"ts": np.array(["2024-01-01", "NaT", "2024-01-03"], "datetime64[D]")}, {}, "bars row 1: ts = None; allowed is a time"),
        ({"ts": np.array(["2024-01-01", "2024-01-02", "2300-01-01"], "datetime64[D]")}, {}, "bars row 2: ts = '2300-01-01'"),
        ({"ts": [datetime(year, 1, 1, tzinfo=UTC) for year in (2023, 2024, 2300)]}, {}, "bars row 2: ts = '2300-01-01 00:00:00+00:00'"),
        ({"asset": ["A", " ", "A"]}, {}, "bars row 1: asset = ' '; allowed is a name; mend or drop the row"),
        ({"asset": changed("A", 2, None)}, {}, "bars row 2: asset = None"),
        ({"asset": changed("A", 1, float("nan"))}, {}, "bars row 1: asset = nan"),
        ({"close": [True, False, True]}, {}, "bars.close holds true and false; give numbers"),
        ({"close": changed([11.0, 12.0, 12.5], 1, "12.0")}, {}, "bars row 1: close = '12.0'; allowed is a number"),
        ({"close": [11.0, float("inf"), 12.0]}, {}, "bars row 1: close = inf; allowed is a finite number"),
        ({"close": [11.0, float("nan"), 12.0]}, {}, "bars row 1 (A 2024-01-02 00:00:00+00:00): close = nan; prices must be over 0"),
        ({"volume": [1.0, -1.0, 1.0]}, {}, "volume = -1.0 is negative"),
        ({"high": [13.0, 8.0, 13.0]}, {}, "no such bar can be"),
        ({"ts": DAYS[[0, 2, 1]]}, {}, "bars row 2: A 2024-01-02 00:00:00+00:00 stands out of order"),
        ({"ts": DAYS[[0, 1, 1]]}, {}, "bars row 2: A 2024-01-02 00:00:00+00:00 stands twice"),
        ({name: [] for name in BARS}, {}, "bars are empty"),
        ({}, {"known_at": None}, "ratings has no known_at"),
        ({}, {"value": [1.0, float("nan"), 2.0]}, "ratings row 1 (A 2024-01-02 00:00:00+00:00): value is NaN"),
        ({}, {"kind": ["grade", "", "grade"]}, "ratings row 1: kind = ''"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_row_value_and_remedy(bars, ratings, told):
    given, said = (
        {k: v for k, v in (one | new).items() if v is not None} for one, new in ((BARS, bars), (RATINGS, ratings))
    )
    with pytest.raises(TapeError) as refused:
        Tape.from_columns(given, said)
    assert told in str(refused.value)


def test_a_first_backtest_of_columns_imports_no_pandas():
    code = """
import sys
import numpy
from backtests import Tape, replay
from strategies import SmaCross
close = 100 + numpy.sin(numpy.arange(300) / 9)
bars = {"ts": numpy.datetime64("2024-01-01") + numpy.arange(300), "asset": "A", "open": close, "high": close, "low": close, "close": close}
result = replay(SmaCross(10, 30), Tape.from_columns(bars))
print(result.n_fills, result.final_equity, result.stats["sharpe"])
print(sorted({"pandas", "pyarrow", "ccxt", "sqlmodel"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, loaded = done.stdout.splitlines()
    assert int(first.split()[0]) > 4
    assert loaded == "[]"
