"""The look-ahead lesson on real grades: what one day of delay does to RatingCross(3, 7)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from strategies import RatingCross
from trader.core.conditions import BarColumns, Series, evaluate
from trader.core.instants import DAY

GRADES = Path(__file__).parents[2].parent / "shared" / "data" / "ratings_tokenmetrics_btc_u.parquet"


@pytest.mark.skipif(not GRADES.exists(), reason="the real grades are not bundled; they are read in place where present")
@pytest.mark.parametrize(("days", "growth"), [(0, 6.6), (1, 1.45), (2, 0.85)])
def test_growth_falls_with_each_day_of_delay(days: int, growth: float) -> None:
    frame = pd.read_parquet(GRADES)
    opens = frame["open"].to_numpy()
    as_of = frame["ts"].astype("datetime64[ns, UTC]").astype("int64").to_numpy()
    grades = (as_of + days * DAY, as_of, frame["tm_trader_grade"].to_numpy())
    nothing = np.empty(0)
    bars = BarColumns(np.empty(0, np.int64), nothing, nothing, nothing, nothing, nothing)
    wants = RatingCross(3, 7).wants
    assert wants.when_flat is not None
    assert wants.when_held is not None
    series = Series(bars, {"trader_grade": grades}, {})
    enter, leave = (evaluate(when, series, 3 * DAY) for when in (wants.when_flat, wants.when_held))
    held, found = False, 1.0
    after = np.append(opens[1:], frame["close"].iloc[-1])
    for day in range(days, len(opens)):
        held = not leave.true[day - days] if held else bool(enter.true[day - days])
        found *= after[day] / opens[day] if held else 1.0
    print(f"known {days} days after the grade's date: growth {found:.3f}, bought and held {after[-1] / opens[0]:.3f}")
    assert found == pytest.approx(growth, rel=0.03)
