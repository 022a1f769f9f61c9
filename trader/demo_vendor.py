"""A loopback vendor with the bundled ratings: DERIVED FROM PRICES, no vendor's and without edge. What it says of them is said as the API would.

Regime, moonshots, the index, hourly signals and sentiment are derived from the bundled prices, too (backtests/derived.py); decoys carry the
tickers of others.
"""

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from backtests import derived
from backtests.bundled import frames
from trader.loopback.vendor import Published, Token, Vendor

if TYPE_CHECKING:
    import pandas as pd

FIXED_DAY = date(1970, 1, 1)  # of rows that describe no day: each newer one takes the place of the one before
KEY = "tm-loopback-0000-0000-0000-000000000000"
IDS = {"BTC/USDT": 3375, "ETH/USDT": 3306, "SOL/USDT": 3988, "XRP/USDT": 3369, "LTC/USDT": 3377}
INDEX = 1  # the vendor's id of the derived index
HOURS_SINCE = datetime(2024, 1, 1, tzinfo=UTC)  # from when on there are rows of hours
FIRST_UNRATED = 99_001  # of tokens that have prices and no ratings
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
    unrated = sorted(set(bars["asset"].astype(str)) - set(ids))
    ids |= {asset: FIRST_UNRATED + n for n, asset in enumerate(unrated)}
    made = Vendor(
        key, [Token(token, asset.partition("/")[0], asset.partition("/")[0].title()) for asset, token in ids.items()]
    )
    made.tokens += DECOYS
    trends: dict[str, int] = {}
    for (asset, as_of, known_at), said in sorted(rows.items(), key=lambda one: (one[0][1], one[0][0])):
        before, now = trends.get(asset, 0), int(said.get("derived_signal", 0))
        trend = trends[asset] = now or before
        made.publish(_rows(ids[asset], as_of, known_at, said, flip=trend if trend != before else 0, trend=trend))
    hours = bars if timeframe == "1h" else frames("1h")[0]
    made.publish(_market(bars, later))
    made.publish(_moonshots(bars, ids, later))
    made.publish(_holdings(bars, ids, later))
    made.publish(_hours(hours[hours["ts"] >= HOURS_SINCE], ids, later))
    made.publish(_sentiment(hours[hours["ts"] >= HOURS_SINCE], later))
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
        Published("tm-grade", token, FIXED_DAY, at_ms, {name: grades[name] for name in ("TM_GRADE", "QUANT_GRADE")}),
    ]


def _market(bars: "pd.DataFrame", later: timedelta) -> list[Published]:
    share, before, found = derived.breadth(bars), 0, list[Published]()
    columns = ["as_of", "known_at", "value"]
    for as_of, known_at, value in derived.regime(bars)[columns].itertuples(index=False):
        now = int(value)
        values = {
            "TOTAL_CRYPTO_MCAP": None, "TM_GRADE_PERC_HIGH_COINS": round(100 * float(share[as_of]), 2),
            "TM_GRADE_SIGNAL": now if now != before else 0, "LAST_TM_GRADE_SIGNAL": now,
        }  # fmt: skip
        before = now
        found.append(Published("market-metrics", 0, (as_of + later).date(), _ms(known_at + later), values))
    return found


def _moonshots(bars: "pd.DataFrame", ids: dict[str, int], later: timedelta) -> list[Published]:
    """A row from each begin, and from its end on one that says so; and one of a coin that only has Bitcoin's ticker."""
    found, begins = list[Published](), dict[str, datetime]()
    columns = ["as_of", "asset", "value"]
    for at, asset, value in derived.moonshots(bars)[columns].itertuples(index=False):
        now = (at + later).to_pydatetime().astimezone(UTC)
        begin = now if value else begins[asset]
        begins[asset] = begin
        found.append(_moonshot(ids[asset], begin, None if value else now, now))
    decoy = HOURS_SINCE + later
    return [*found, _moonshot(DECOYS[0].id, decoy, None, decoy)]


def _moonshot(token: int, begin: datetime, end: datetime | None, at: datetime) -> Published:
    values = {
        "LAST_TRADING_SIGNAL_TIME": None, "TM_TRADER_GRADE": None, "TM_TRADER_GRADE_24H_PCT_CHANGE": None, "MARKET_CAP": None,
        "VOLUME_24H": None, "MOONSHOT_AT": begin.isoformat(), "MOONSHOT_END_AT": None if end is None else end.isoformat(),
        "MOONSHOT_ROI": 0.0,
    }  # fmt: skip
    return Published("moonshot-tokens", token, begin.date(), _ms(at), values, hour=begin)


def _holdings(bars: "pd.DataFrame", ids: dict[str, int], later: timedelta) -> list[Published]:
    columns = ["asset", "as_of", "known_at", "value"]
    about = {"ID": INDEX, "NAME": "DERIVED from prices", "TICKER": "DRVD"}
    return [Published("indices", 0, FIXED_DAY, 0, about)] + [
        Published(
            "indices-holdings", ids[asset], (as_of + later).date(), _ms(known_at + later), {"WEIGHT": 100 * value}, index=INDEX
        )
        for asset, as_of, known_at, value in derived.weights(bars)[columns].itertuples(index=False)
    ]  # fmt: skip


def _hours(bars: "pd.DataFrame", ids: dict[str, int], later: timedelta) -> list[Published]:
    found, before = list[Published](), dict[str, float]()
    close = bars.set_index(["asset", "ts"])["close"]
    columns = ["asset", "as_of", "known_at", "value"]
    for asset, as_of, known_at, value in derived.hourly(bars)[columns].itertuples(index=False):
        flip = int(value) if value != before.get(asset, 0.0) else 0
        before[asset] = value
        hour = (as_of + later).to_pydatetime().astimezone(UTC)
        values = {"CLOSE": float(close[asset, as_of]), "SIGNAL": flip, "POSITION": int(value)}
        found.append(
            Published("hourly-trading-signals", ids[asset], hour.date(), _ms(known_at + later), values, hour=hour)
        )
    return found


def _sentiment(bars: "pd.DataFrame", later: timedelta) -> list[Published]:
    """By hour, the share of coins whose close is over that of a day before."""
    close = bars.pivot_table(index="ts", columns="asset", values="close", observed=True)
    before = close.shift(24, freq="h").reindex(close.index)
    share = (close > before).sum(axis=1) / before.notna().sum(axis=1)
    found = list[Published]()
    for ts, value in share.dropna().items():
        at = datetime.fromisoformat(str(ts)).astimezone(UTC) + later
        label = "positive" if value > 0.6 else "negative" if value < 0.4 else "neutral"
        values = {"MARKET_SENTIMENT_GRADE": round(100 * float(value), 2), "MARKET_SENTIMENT_LABEL": label}
        found.append(Published("sentiments", 0, at.date(), _ms(at + timedelta(hours=1)), values, hour=at))
    return found


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1_000)
