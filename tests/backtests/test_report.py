"""The page of a result: complete, self-contained, escaped, and written whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtests import report
from backtests.charts import Line, chart, number, thin
from backtests.report import ReportError, plot, render, write
from backtests.reported import held_times, holdings, most_traded
from backtests.sections import span

DAY_NS = 86_400_000_000_000
FILL_COLUMNS = ["at", "asset", "venue", "side", "quantity", "price", "fee", "fee_asset", "why"]
VOID = {"meta", "br", "path"}


@dataclasses.dataclass(frozen=True)
class TopRated:
    top: int = 10
    enter: float = 70.0
    kind: str = "trader_grade"


@dataclasses.dataclass(frozen=True)
class Costs:
    fee: float = 0.002
    half_spread: float = 0.0005
    participation: float | None = None


STATS: dict[str, Any] = {
    "total_return": 0.123, "cagr": 0.05, "volatility": 0.6, "sharpe": 0.4, "sortino": 0.55, "calmar": float("nan"),
    "max_drawdown": -0.44, "max_drawdown_days": 301.0, "exposure": 0.72, "turnover": 12.3, "hit_rate": 0.48,
    "profit_factor": float("inf"), "n_fills": 4, "n_trades": 2, "fees": 123.4, "ambiguous_bars": 7,
    "trail_at_worst": 3, "stale_marks": 0, "unknown_held": 11, "withheld_batches": 2,
    "omitted_assets": ["DOGE", "<b>X</b>"], "delay_assumed": "1d", "delay_applied": DAY_NS,
    "final_equity": 112_300.0, "ended_assets": [], "refused": {"cash": 3, "no_price": 1}, "delisted": ("LUNA",),
}  # fmt: skip


def made_result(bars: int = 900, assets: int = 7, seed: int = 1) -> SimpleNamespace:
    random = np.random.default_rng(seed)
    names = sorted(["BTC", "ETH", "SOL", "XRP", "ADA", "LTC", "DOT"][:assets])
    closes = np.datetime64("2021-01-02", "ns").astype(np.int64) + np.arange(bars, dtype=np.int64) * DAY_NS
    close = 100.0 * np.cumprod(1.0 + random.normal(0.0007, 0.04, (assets, bars)), axis=1)
    close[-1, : bars // 4] = np.nan
    rows, ratings = [], []
    for number_, name in enumerate(names):
        known = np.arange(bars // 4 + 1, bars - 1, 17 + 5 * number_)
        for turn, bar in enumerate(known[: len(known) // 2 * 2]):
            side, quantity = ("buy", 10.0) if turn % 2 == 0 else ("sell", 10.0)
            price = close[number_, bar]
            rows.append(
                (closes[bar], name, "replay", side, quantity, price, quantity * price * 0.002, "USDT", "decision")
            )
        ratings += [
            (name, "trader_grade", closes[bar], closes[bar] + DAY_NS, 50 + 40 * np.sin(bar / 40)) for bar in range(bars)
        ]
    rows.sort()
    fills = pd.DataFrame(rows, columns=FILL_COLUMNS)
    fills["at"] = pd.to_datetime(fills["at"], utc=True)
    rated = pd.DataFrame(ratings, columns=["asset", "kind", "as_of", "known_at", "value"])
    rated["known_at"] = pd.to_datetime(rated["known_at"], utc=True)
    index = pd.DatetimeIndex(pd.to_datetime(closes, utc=True))
    decisions = pd.DataFrame({"at": fills["at"], "wake": [("ratings",)] * len(fills), "targets": "", "why": ""})
    tape = SimpleNamespace(
        assets=names, step_ns=DAY_NS, closes_ns=closes, close=close, rating_frame=rated,
        report=["gap: SOL has no bar on 2021-05-19"], label="derived from prices, not a vendor's",
    )  # fmt: skip
    return SimpleNamespace(
        strategy=TopRated(), tape=tape, costs=Costs(), latency_ns=0, exits="resting", limits=None, cash_start=100_000,
        equity=pd.Series(1000.0 * close[0], index=index), fills=fills, decisions=decisions, cash=1.0, holdings={},
        stats=dict(STATS), notes=["Null test: no significant edge (p = 0.41)."],
    )  # fmt: skip


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def words_of(html: str) -> str:
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    return " ".join(parser.words)


def test_the_page_says_what_was_assumed_and_counts_every_caveat() -> None:
    words = words_of(render(made_result()))
    for said in (
        "TopRated(top=10, enter=70.0, kind='trader_grade')",
        "Derived from prices, not a vendor's",
        "Period from (UTC) 2021-01-02 00:00",
        "Period to (UTC) 2023-06-20 00:00",
        "Limits none",
        "Exits resting",
        "Delay assumed for ratings 1d",
        "Delay applied to fills 1 day",
        "fee 0.002, half spread 0.0005",
        "Null test: no significant edge (p = 0.41).",
        "gap: SOL has no bar on 2021-05-19",
        "12.3 %",
        "closed bar. DOGE, <b>X</b> 2",
        "declared loss. LUNA 1",
        "By the rule named. cash 3, no_price 1 4",
    ):
        assert said in words
    for section in (
        "Key figures", "Equity and drawdown", "Monthly returns, %", "Fills on price", "Exposure over time",
        "Rating against position", "Costs", "Decisions", "Caveats", "Notes", "Look-ahead",
    ):  # fmt: skip
        assert section in words
    for name, count in (
        ("Ambiguous bars", 7), ("Trail at worst", 3), ("Stale marks", 0), ("Held though unknown", 11),
        ("Batches withheld", 2), ("Assets that ended", 0),
    ):  # fmt: skip
        assert re.search(rf"{name} [^.]*\. {count} ", words)


def test_the_page_needs_nothing_from_elsewhere_and_escapes_names() -> None:
    html = render(made_result())
    assert not re.search(r"https?://|src=|<link|@import|url\(", html)
    assert "<b>X</b>" not in html
    assert 'name="viewport"' in html
    assert "@media print" in html
    assert "prefers-color-scheme:dark" in html


def test_at_most_five_assets_are_drawn_with_their_fills() -> None:
    html = render(made_result())
    assert html.count("aria-label") == 3 + 5 + 1
    assert "2 more assets were traded less" in html
    assert len(re.findall('class="mark (?:buy|sell)"', html)) <= 5 * 300


def test_a_tape_without_ratings_label_or_fills_gives_a_page() -> None:
    result = made_result(bars=30)
    result.fills, result.decisions = result.fills.iloc[:0], result.decisions.iloc[:0]
    result.tape.label = None
    del result.tape.rating_frame, result.notes
    words = words_of(render(result))
    assert "Rating against position" not in words
    assert "No fill." in words
    assert "0 decisions, 0 fills." in words
    result.fills = pd.DataFrame(columns=FILL_COLUMNS)
    assert "No fill." in words_of(render(result))


def test_a_long_curve_stays_a_small_page() -> None:
    result = made_result(bars=300)
    index = pd.date_range("2021-01-01", periods=300_000, freq="min", tz="UTC")
    result.equity = pd.Series(100_000.0 + np.random.default_rng(0).normal(0, 1, len(index)).cumsum(), index=index)
    assert len(render(result)) < 600_000


def test_months_belong_to_the_day_that_ends_at_midnight() -> None:
    result = made_result(bars=30)
    index = pd.DatetimeIndex(["2021-01-31", "2021-02-01", "2021-02-02"], tz="UTC")
    result.equity = pd.Series([100_000.0, 110_000.0, 121_000.0], index=index)
    table = render(result).split('class="months"')[1]
    row = re.findall(r"<td[^>]*>([^<]*)</td>", table)
    assert row[:4] == ["21.0", "10.0", "10.0", ""]


def test_writing_gives_the_path_and_replaces_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    target.write_text("old")
    assert write(made_result(bars=60), target) == target
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_leaves_the_old_report_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.html"
    target.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report.os, "fsync", full)
    with pytest.raises(
        ReportError, match=r"out\.html was not written: No space left on device; free some space"
    ) as told:
        write(made_result(bars=60), target)
    assert told.value.path == target
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_that_is_full_is_a_clear_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = report.os.fdopen

    def onto_full(handle: int, *_: Any, **__: Any) -> Any:
        report.os.close(handle)
        return real(report.os.open("/dev/full", report.os.O_WRONLY), "w", encoding="utf-8")

    monkeypatch.setattr(report.os, "fdopen", onto_full)
    with pytest.raises(ReportError, match="No space left"):
        write(made_result(bars=60), tmp_path / "out.html")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_and_a_folder_as_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="make the folder first"):
        write(made_result(bars=60), tmp_path / "nowhere" / "out.html")
    with pytest.raises(ReportError, match="name a file in it"):
        write(made_result(bars=60), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_plot_draws_equity_drawdown_and_fills() -> None:
    pytest.importorskip("plotly", reason="the extra `research` is not installed")
    drawn = plot(made_result(bars=60))
    assert [trace.name for trace in drawn.data][:2] == ["equity", "drawdown"]
    assert {"buy", "sell"} <= {trace.name for trace in drawn.data}
    assert "not a vendor" in drawn.layout.title.text


def test_plot_without_plotly_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.subplots", None)
    with pytest.raises(ImportError, match=r"pip install signal-trader\[research\]"):
        plot(made_result(bars=60))


def test_thinning_keeps_ends_and_extremes() -> None:
    values = np.random.default_rng(2).normal(size=100_000)
    values[[41_234, 77_777]] = 50.0, -50.0
    values[500:600] = np.nan
    kept = thin(values, 1500)
    assert len(kept) <= 1500
    assert {0, 41_234, 77_777, 99_999} <= set(kept.tolist())
    assert np.isfinite(values[kept]).all()
    assert (np.diff(kept) > 0).all()
    assert thin(np.full(5, np.nan)).size == 0


def test_charts_of_nothing_one_point_and_a_flat_line_are_drawn() -> None:
    assert "nothing to draw" in chart("a", [Line("a", np.empty(0, np.int64), np.empty(0))])
    for values in ([5.0], [0.0, 0.0], [-1e-9, 1e-9], [1e12, 2e12]):
        times = np.arange(len(values), dtype=np.int64) * DAY_NS
        assert "nan" not in chart("a", [Line("a", times, np.array(values), is_area=True)])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234567.8, "number", "1,234,568"),
        (-0.0512, "percent", "−5.12 %"),
        (float("nan"), "number", "–"),
        (float("inf"), "number", "∞"),
        (0.00012345, "number", "0.000123"),
        (12.5, "percent", "1,250 %"),
    ],
)
def test_figures_are_written_shortly(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


def test_spans_are_written_in_words() -> None:
    assert [span(value) for value in (0, 3_600_000_000_000, 2 * DAY_NS, None, "1d")] == [
        "none", "1 hour", "2 days", "none", "1d",
    ]  # fmt: skip


def test_holdings_follow_fills_and_fees_in_kind() -> None:
    at = pd.to_datetime(["2021-01-01", "2021-01-02", "2021-01-03"], utc=True)
    fills = pd.DataFrame(
        {"at": at, "asset": "BTC", "side": ["buy", "sell", "buy"], "quantity": [1.0, 0.99, 2.0], "price": 1.0,
         "fee": [0.01, 0.0, 0.0], "fee_asset": ["BTC", "USDT", "USDT"]}
    )  # fmt: skip
    times, held = holdings(fills, "BTC")
    assert held.tolist() == [0.99, 0.0, 2.0]
    day = times[0]
    assert held_times(fills, "BTC", day + 5 * DAY_NS) == [(day, day + DAY_NS), (day + 2 * DAY_NS, day + 5 * DAY_NS)]
    assert most_traded(fills) == ["BTC"]
