"""A loopback vendor with the bundled ratings: DERIVED FROM PRICES, no vendor's and without edge. What it says of them is said as the API would."""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from backtests.sample import frames
from trader.loopback.vendor import Published, Token, Vendor

if TYPE_CHECKING:
    import pandas as pd

FIXED_DAY = date(1970, 1, 1)  # of rows that describe no day: each newer one takes the place of the one before
KEY = "tm-loopback-0000-0000-0000-000000000000"
IDS = {"BTC/USDT": 3375, "ETH/USDT": 3306, "SOL/USDT": 3988, "XRP/USDT": 3369, "LTC/USDT": 3377}
FIRST_ID = 90_001  # of tokens whose real id is not known here
DECOYS = (Token(17528, "BTC", "batcat"), Token(22600, "ETH", "an other ETH"))


def ids_of(assets: list[str]) -> dict[str, int]:
    """The vendor's token ids of assets: the real ones where they are known."""
    others = sorted(set(assets) - set(IDS))
    return {one: IDS[one] for one in assets if one in IDS} | {one: FIRST_ID + n for n, one in enumerate(others)}


def vendor_of(timeframe: str = "1d", key: str = KEY, *, later: timedelta = timedelta(0)) -> Vendor:
    """The vendor, with every row published when the sample says that it was known; `later` moves all of it in time."""
    bars, ratings, signals = frames(timeframe)
    rows: dict[tuple[str, datetime, datetime], dict[str, float]] = {}
    for frame in (ratings, signals):
        frame = frame.assign(as_of=frame["as_of"] + later, known_at=frame["known_at"] + later)
        columns = ["asset", "as_of", "known_at", "kind", "value"]
        for asset, as_of, known_at, kind, value in frame[columns].itertuples(index=False):
            name = (str(asset), as_of.to_pydatetime().astimezone(UTC), known_at.to_pydatetime().astimezone(UTC))
            rows.setdefault(name, {})[str(kind)] = float(value)
    ids = ids_of(sorted({name[0] for name in rows}))
    made = Vendor(
        key, [Token(token, asset.partition("/")[0], asset.partition("/")[0].title()) for asset, token in ids.items()]
    )
    made.tokens += DECOYS
    trends: dict[str, int] = {}
    highs: dict[tuple[datetime, datetime], list[bool]] = {}
    for (asset, as_of, known_at), said in sorted(rows.items(), key=lambda one: (one[0][1], one[0][0])):
        before, now = trends.get(asset, 0), int(said.get("derived_signal", 0))
        trend = trends[asset] = now or before
        grade = said.get("derived_trader")
        made.publish(_rows(ids[asset], as_of, known_at, said, flip=trend if trend != before else 0, trend=trend))
        if grade is not None:
            highs.setdefault((as_of, known_at), []).append(grade >= 60)
    made.publish(_market(highs))
    made.publish(_prices(bars, ids, later + (timedelta(hours=1) if timeframe == "1h" else timedelta(days=1))))
    return made


def _prices(bars: "pd.DataFrame", ids: dict[str, int], later: timedelta) -> list[Published]:
    """What each token costs: the close of each bar, seen so much later than the bar's open."""
    rows = bars[["ts", "asset", "close"]].itertuples(index=False)
    return [
        Published("price", ids[str(asset)], FIXED_DAY, round((at + later).timestamp() * 1_000), {"CURRENT_PRICE": float(close)})
        for at, asset, close in rows
        if str(asset) in ids
    ]  # fmt: skip


def _rows(
    token: int, as_of: datetime, known_at: datetime, said: dict[str, float], *, flip: int, trend: int
) -> list[Published]:  # fmt: skip
    at_ms, grade, quant = round(known_at.timestamp() * 1_000), said.get("derived_trader"), said.get("derived_quant")
    signals: dict[str, Any] = {
        "TRADING_SIGNAL": flip, "TOKEN_TREND": trend, "TRADING_SIGNALS_RETURNS": None, "HOLDING_RETURNS": None,
        "TM_TRADER_GRADE": grade, "TM_INVESTOR_GRADE": None,
    }  # fmt: skip
    grades: dict[str, Any] = {
        "TM_GRADE": grade,
        "TM_GRADE_24H_PCT_CHANGE": None,
        "QUANT_GRADE": quant,
        "TRADING_SIGNAL": flip,
    }
    return [
        Published("trading-signals", token, as_of.date(), at_ms, signals),
        Published("tm-grade-history", token, as_of.date(), at_ms, grades),
    ]


def _market(highs: dict[tuple[datetime, datetime], list[bool]]) -> list[Published]:
    state, found = 0, list[Published]()
    for (as_of, known_at), high in sorted(highs.items()):
        share = 100 * sum(high) / len(high)
        now = 1 if share > 50 else -1 if share < 30 else state
        values = {
            "TOTAL_CRYPTO_MCAP": None, "TM_GRADE_PERC_HIGH_COINS": round(share, 2), "TM_GRADE_SIGNAL": now if now != state else 0,
            "LAST_TM_GRADE_SIGNAL": now,
        }  # fmt: skip
        state = now
        found.append(Published("market-metrics", 0, as_of.date(), round(known_at.timestamp() * 1_000), values))
    return found
