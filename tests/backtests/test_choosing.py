"""A tape out of a configuration: files read, renamed, cut; each bad cell named by row and column."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtests import TapeError
from backtests.cells import checked
from backtests.choosing import choose
from trader.core.instants import to_ns

DAYS = pd.date_range("2024-01-01", periods=6, tz="UTC")


def bars() -> pd.DataFrame:
    one = pd.DataFrame({"ts": DAYS, "open": 1.0, "high": 2.0, "low": 1.0, "close": 2.0, "volume": 5.0})
    return pd.concat([one.assign(asset="X"), one.assign(asset="Y")], ignore_index=True)


def ratings() -> pd.DataFrame:
    return pd.DataFrame(
        {"asset": "X", "kind": "grade", "as_of": DAYS, "known_at": DAYS + pd.Timedelta("1D"), "value": 70.0}
    )


def saved(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    frame.to_csv(folder / name, index=False)
    return folder / name


def test_bars_are_cut_and_what_was_said_before_stays(tmp_path):
    tape = choose(
        None,
        [saved(tmp_path, "bars.csv", bars())],
        ratings=saved(tmp_path, "ratings.csv", ratings()),
        since=datetime(2024, 1, 3, tzinfo=UTC),
        until=datetime(2024, 1, 5, tzinfo=UTC),
        assets=["X"],
    )
    assert tape.assets == ["X"]
    assert tape.opens_ns.tolist() == [to_ns(datetime(2024, 1, day, tzinfo=UTC)) for day in (3, 4)]
    assert sorted(tape.panel.ratings) == ["grade"]


def test_several_files_make_one_table(tmp_path):
    both = bars()
    files = [saved(tmp_path, f"{name}.csv", both[both["asset"] == name]) for name in ("X", "Y")]
    assert choose(None, files).assets == ["X", "Y"]


def test_the_cut_sample_keeps_its_label():
    tape = choose("1d", since=datetime(2024, 6, 1, tzinfo=UTC))
    assert tape.label == "derived from prices, not a vendor's"
    assert len(tape.opens_ns) == 30


def test_good_cells_are_left_alone():
    frame = bars()
    assert checked("bars", frame, TapeError) is frame


@pytest.mark.parametrize(
    ("what", "column", "cell", "said"),
    [
        ("bars", "open", "much", "bars row 2: open = 'much'; allowed is a number"),
        ("bars", "close", np.inf, "bars row 2: close = inf; allowed is a finite number"),
        ("bars", "ts", "2024-13-01", "bars row 2: ts = '2024-13-01'; allowed is a time"),
        ("bars", "ts", "9999-01-01", "bars row 2: ts = '9999-01-01'; allowed is a time from 1970"),
        ("bars", "asset", None, "bars row 2: asset = nan; allowed is a name"),
        ("bars", "asset", "  ", "bars row 2: asset = '  '; allowed is a name"),
        ("ratings", "value", "high", "ratings row 2: value = 'high'; allowed is a number"),
        ("ratings", "kind", None, "ratings row 2: kind = nan; allowed is a name"),
        ("ratings", "known_at", "soon", "ratings row 2: known_at = 'soon'; allowed is a time"),
    ],
)
def test_a_bad_cell_is_named_by_row_and_column(what, column, cell, said):
    frame = {"bars": bars, "ratings": ratings}[what]()
    frame[column] = frame[column].astype(object if not isinstance(cell, float) else float)
    if column in {"ts", "known_at"}:
        frame[column] = frame[column].map(lambda at: at.isoformat())
    frame.loc[2, column] = cell
    with pytest.raises(TapeError) as refused:
        checked(what, frame, TapeError)
    assert said.replace("nan", "") in str(refused.value).replace("nan", "").replace("None", "")


def test_times_in_numbers_are_not_guessed_at():
    frame = bars().assign(ts=np.arange(12) * 86_400_000)
    with pytest.raises(TapeError, match="seconds or milliseconds"):
        checked("bars", frame, TapeError)


def test_a_column_that_stands_twice_is_refused():
    frame = bars()
    with pytest.raises(TapeError, match="two columns 'open'"):
        checked("bars", pd.concat([frame, frame[["open"]]], axis=1), TapeError)


def test_assets_named_by_numbers_are_text():
    frame = checked("bars", bars().assign(asset=1), TapeError)
    assert set(frame["asset"]) == {"1"}
