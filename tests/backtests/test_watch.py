"""The time left is told from what was done since it began to look."""

import io

from backtests import watch


def test_time_left():
    out, now = io.StringIO(), [100.0]
    tell = watch(out, lambda: now[0])
    tell(0.5)  # a sweep that goes on
    now[0] = 110.0
    tell(0.6)
    now[0] = 150.0
    tell(1.0)
    first, second, last = (part.strip() for part in out.getvalue().split("\r")[1:])
    assert first == "50%"
    assert second == "60%, 40 s left"
    assert last == "100%, 0 s left"
    assert out.getvalue().endswith("\n")
