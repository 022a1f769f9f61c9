"""What Token Metrics answers with: endpoints, their fields, and one tolerant reader of rows.

Names come in two casings and several spellings, numbers as numbers or as text, and nothing as null or "". A row with a field that nobody
knows, or of another type, is set aside with its payload: the rest goes on. Percent and fraction are different kinds and stay so.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

Value = float | int | str | datetime | list[object] | dict[str, object] | None
IDENTITY = {"TOKEN_ID": "whole", "TOKEN_NAME": "text", "TOKEN_SYMBOL": "text"}
LINKS = {"TM_LINK": "text", "APP_LINK": "text", "SLUG": "text"}
SCORES = ("COMMUNITY", "EXCHANGE", "VC", "TOKENOMICS", "DEFI_SCANNER")
CODE_SCORES = ("ACTIVITY", "SECURITY", "REPOSITORY", "COLLABORATION", "DEFI_SCANNER")
CANDLE = dict.fromkeys(("OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"), "number")
WORDS = {"TOKEN_SIGNAL_STR": "text", "TOKEN_TREND_STR": "text"}


def _of(kind: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, kind)


def _scores(names: Sequence[str]) -> dict[str, str]:
    return {f"{name}_SCORE": "number" for name in names}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: its fields by kind, which of them says when (empty = the moment of asking), what must be given, and how it is asked.

    is_dated: takes a range of days. v3: its path there, empty = absent. Kinds: number, percent, fraction, whole, text, when, data.
    """

    path: str
    fields: Mapping[str, str]
    when: str = ""
    needs: str = ""
    is_dated: bool = False
    v3: str | None = None

    def path_in(self, version: str) -> str:
        """The path in a version; raises KeyError where it has none."""
        found = self.path if version == "v2" or self.v3 is None else self.v3
        if not found:
            raise KeyError(f"{self.path} does not exist in {version}")
        return found


TM_GRADE = {
    **IDENTITY, **LINKS, **WORDS, **_of("number", "TM_GRADE", "TM_TRADER_GRADE_24H_CHANGE", "QUANT_GRADE", "FUNDAMENTAL_GRADE"),
    "TM_GRADE_24H_PCT_CHANGE": "percent", **_of("text", "TM_GRADE_SIGNAL", "MOMENTUM", "FUNDAMENTAL_GRADE_CLASS"),
}  # fmt: skip
TECHNOLOGY = {**IDENTITY, **LINKS, "DATE": "when", "TECHNOLOGY_GRADE": "number", **_scores(CODE_SCORES)}
FUNDAMENTAL = {
    **IDENTITY, **LINKS, "FUNDAMENTAL_GRADE": "number", "FUNDAMENTAL_GRADE_CLASS": "text", **_scores(SCORES), "DATE": "when",
}  # fmt: skip
TOKENS = {
    **IDENTITY, **LINKS, **_of("data", "EXCHANGE_LIST", "CATEGORY_LIST", "CONTRACT_ADDRESS"),
    **_of("number", "CURRENT_PRICE", "MARKET_CAP", "TOTAL_VOLUME", "HIGH_24H", "LOW_24H"),
    "PRICE_CHANGE_PERCENTAGE_24H_IN_CURRENCY": "percent",
}  # fmt: skip
ENDPOINTS: Mapping[str, Endpoint] = {
    "tokens": Endpoint("/tokens", TOKENS),
    "price": Endpoint("/price", {**IDENTITY, **LINKS, "CURRENT_PRICE": "number"}, needs="token_id"),
    "daily_ohlcv": Endpoint(
        "/daily-ohlcv", {**IDENTITY, **LINKS, **CANDLE, "DATE": "when", "TIMESTAMP": "when"}, "DATE", is_dated=True
    ),
    "hourly_ohlcv": Endpoint(
        "/hourly-ohlcv", {**IDENTITY, **LINKS, **CANDLE, "DATE": "when", "TIMESTAMP": "when"}, "TIMESTAMP", is_dated=True
    ),
    "trader_grades": Endpoint(
        "/trader-grades", {
            **IDENTITY, **LINKS, "DATE": "when", **_of("number", "TA_GRADE", "QUANT_GRADE", "TM_TRADER_GRADE"),
            "TM_TRADER_GRADE_24H_PCT_CHANGE": "percent",
        }, "DATE", is_dated=True, v3="",
    ),
    "investor_grades": Endpoint(
        "/investor-grades", {
            **IDENTITY, **LINKS, "DATE": "when", "TM_INVESTOR_GRADE_7D_PCT_CHANGE": "percent",
            **_of("number", "TM_INVESTOR_GRADE", "FUNDAMENTAL_GRADE", "TECHNOLOGY_GRADE", "VALUATION_GRADE"),
            **_scores((*SCORES, *CODE_SCORES, "DEFI_USAGE")),
        }, "DATE", is_dated=True, v3="",
    ),
    "tm_grade": Endpoint("/tm-grade", TM_GRADE, needs="token_id"),
    "tm_grade_history": Endpoint(
        "/tm-grade-history", {**TM_GRADE, "DATE": "when", "TRADING_SIGNAL": "whole"}, "DATE", "token_id", is_dated=True
    ),
    "technology_grade": Endpoint("/technology-grade", TECHNOLOGY, "DATE"),
    "technology_grade_history": Endpoint("/technology-grade-history", TECHNOLOGY, "DATE", is_dated=True),
    "fundamental_grade": Endpoint("/fundamental-grade", FUNDAMENTAL),
    "fundamental_grade_history": Endpoint("/fundamental-grade-history", FUNDAMENTAL, "DATE", is_dated=True),
    "trading_signals": Endpoint(
        "/trading-signals", {
            **IDENTITY, **LINKS, **WORDS, "DATE": "when", **_of("whole", "TRADING_SIGNAL", "TOKEN_TREND"),
            **_of("fraction", "TRADING_SIGNALS_RETURNS", "HOLDING_RETURNS"),
            **_of("number", "TM_TRADER_GRADE", "TM_INVESTOR_GRADE", "TM_GRADE", "FUNDAMENTAL_GRADE"),
        }, "DATE", is_dated=True,
    ),
    "hourly_trading_signals": Endpoint(
        "/hourly-trading-signals",
        {**IDENTITY, **LINKS, "TIMESTAMP": "when", "CLOSE": "number", **_of("whole", "SIGNAL", "POSITION")},
        "TIMESTAMP", "token_id",
    ),
    "moonshots": Endpoint(
        "/moonshot-tokens", {
            **IDENTITY, **LINKS, **_of("when", "LAST_TRADING_SIGNAL_TIME", "MOONSHOT_AT", "MOONSHOT_END_AT"),
            **_of("number", "TM_TRADER_GRADE", "MARKET_CAP", "VOLUME_24H", "MOONSHOT_ROI", "TM_GRADE", "ROI_PCT", "MARKET_CAP_USD"),
            **_of("percent", "TM_TRADER_GRADE_24H_PCT_CHANGE", "PRICE_CHANGE_PERCENTAGE_7D_IN_CURRENCY"),
        }, "MOONSHOT_AT",
    ),
    "market_metrics": Endpoint(
        "/market-metrics", {
            "DATE": "when", "TOTAL_CRYPTO_MCAP": "number", "TM_GRADE_PERC_HIGH_COINS": "percent",
            **_of("whole", "TM_GRADE_SIGNAL", "LAST_TM_GRADE_SIGNAL"),
        }, "DATE", is_dated=True,
    ),
    "indices": Endpoint(
        "/indices", {
            "ID": "whole", **_of("text", "NAME", "TICKER"), "COINS": "whole", "TOP_GAINERS_ICONS": "data",
            **_of("number", "PRICE", "24H", "7D", "1M", "24H_VOLUME", "INDEX_GRADE", "ALL_TIME", "MARKET_CAP"),
        },
    ),
    "indices_holdings": Endpoint(
        "/indices-holdings", {
            **IDENTITY, **LINKS, **_of("text", "COIN", "CG_ID", "ICON"), "DATE": "when", "WEIGHT": "number",
            **_of("number", "MARKET_CAP", "PRICE", "CURRENT_ROI", "TRADER_GRADE", "TRADER_GRADE_CHANGE_24H"),
        }, "DATE", "id",
    ),
    "indices_performance": Endpoint(
        "/indices-performance",
        {"ID": "whole", "DATE": "when", "INDEX_CUMULATIVE_ROI": "number", **_of("number", "MARKET_CAP", "VOLUME", "FDV")},
        "DATE", "id", is_dated=True,
    ),
    "sentiments": Endpoint(
        "/sentiments", {
            "DATETIME": "when", **{f"{who}_SENTIMENT_GRADE": "number" for who in ("MARKET", "NEWS", "REDDIT", "TWITTER")},
            **{f"{who}_SENTIMENT_LABEL": "text" for who in ("MARKET", "NEWS", "REDDIT", "TWITTER")},
            **_of("text", "NEWS_SUMMARY", "REDDIT_SUMMARY", "TWITTER_SUMMARY"),
        }, "DATETIME",
    ),
    "resistance_support": Endpoint(
        "/resistance-support", {**IDENTITY, **LINKS, "DATE": "when", "HISTORICAL_RESISTANCE_SUPPORT_LEVELS": "data"}, "DATE",
    ),
    "quantmetrics": Endpoint(
        "/quantmetrics", {
            **IDENTITY, **LINKS, "DATE": "when", **_of(
                "number", "VOLATILITY", "ALL_TIME_RETURN", "CAGR", "SHARPE", "SORTINO", "MAX_DRAWDOWN", "SKEW", "TAIL_RATIO",
                "RISK_REWARD_RATIO", "PROFIT_FACTOR", "KURTOSIS", "DAILY_VALUE_AT_RISK", "DAILY_RETURN_AVG", "DAILY_RETURN_STD",
            ),
        }, "DATE",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One row that was understood: `values` by field name in upper case, `as_of` what it describes."""

    endpoint: str
    token_id: int | None
    symbol: str
    as_of: datetime | None
    values: Mapping[str, Value]

    @property
    def key(self) -> tuple[int | None, object, datetime | None]:
        """What names it: token or index, or symbol and name where there is neither, and the time it describes."""
        named = None if self.token_id else (self.symbol, self.values.get("TOKEN_NAME"))
        return self.token_id, self.values.get("ID") or named, self.as_of


@dataclass(frozen=True, slots=True)
class Aside:
    """A row that was set aside, with its payload and the reason."""

    endpoint: str
    why: str
    payload: object


@dataclass(frozen=True, slots=True)
class Page:
    """What an answer held, duplicates removed, in its order."""

    rows: tuple[Row, ...]
    aside: tuple[Aside, ...] = ()
    length: int = field(default=0, compare=False)  # rows as they came


def canonical(name: str) -> str:
    """One spelling of a field's name: upper case, no underscores beside digits."""
    return re.sub(r"(?<=\d)_|_(?=\d)", "", name.upper())


_NAMES = {one: {canonical(name): name for name in spec.fields} for one, spec in ENDPOINTS.items()}


def page_of(endpoint: str, rows: Sequence[object], *, allow: Collection[str] = ()) -> Page:
    """Read rows. `allow` are fields that an operator accepts although nobody knows them; they are left out."""
    ignored = {canonical(one) for one in allow}
    found: dict[object, Row] = {}
    aside = []
    for payload in rows:
        try:
            row = _row(endpoint, payload, ignored)
        except ValueError as error:
            aside.append(Aside(endpoint, str(error), payload))
            continue
        found.setdefault(row.key, row)
    return Page(tuple(found.values()), tuple(aside), len(rows))


def _row(endpoint: str, payload: object, ignored: Collection[str]) -> Row:
    if not isinstance(payload, dict):
        raise ValueError(f"a row is an object, not {type(payload).__name__}")
    spec, names = ENDPOINTS[endpoint], _NAMES[endpoint]
    values: dict[str, Value] = {}
    for said, value in payload.items():
        name = names.get(canonical(said))
        if name is None:
            if canonical(said) in ignored:
                continue
            raise ValueError(f"{said}: unknown field; name it under `allow` to go on without it")
        read = _READERS[spec.fields[name]](value, said)
        if name not in values or values[name] is None:
            values[name] = read
    token = values.get("TOKEN_ID")
    as_of = values.get(spec.when or "DATE")
    if as_of is None and spec.when in {"DATE", "TIMESTAMP"}:
        as_of = values.get("TIMESTAMP" if spec.when == "DATE" else "DATE")
    if spec.when and not isinstance(as_of, datetime):
        raise ValueError(f"{spec.when}: missing, it says what the row describes")
    if "TOKEN_ID" in spec.fields and token is None and endpoint != "moonshots":
        raise ValueError("TOKEN_ID: missing, and a ticker alone names several tokens")
    return Row(
        endpoint, token if isinstance(token, int) else None, str(values.get("TOKEN_SYMBOL") or ""),
        as_of if isinstance(as_of, datetime) else None, values,
    )  # fmt: skip


def _number(value: object, name: str) -> float | None:
    """A number, or text of one; nothing stays nothing, and zero stays zero."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{name} = {value!r} is no number")
    try:
        found = float(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} = {value!r} is no number") from error
    if not math.isfinite(found):
        raise ValueError(f"{name} = {value!r} is no number")
    return found


def _whole(value: object, name: str) -> int | None:
    found = _number(value, name)
    if found is not None and found != int(found):
        raise ValueError(f"{name} = {value!r} is no whole number")
    return None if found is None else int(found)


def _text(value: object, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError(f"{name} = {value!r} is no text")


def _when(value: object, name: str) -> datetime | None:
    """An instant: ISO with or without a zone (then UTC), a bare date, or seconds or milliseconds since 1970."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value / 1_000 if value > 1e11 else value, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise ValueError(f"{name} = {value!r} is no instant") from error
    if not isinstance(value, str):
        raise ValueError(f"{name} = {value!r} is no instant")
    try:
        found = datetime.fromisoformat(value.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name} = {value!r} is no instant") from error


def _data(value: object, name: str) -> list[object] | dict[str, object] | None:
    if value is None or isinstance(value, list | dict):
        return value
    raise ValueError(f"{name} = {value!r} is neither a list nor an object")


_READERS = {
    "number": _number, "percent": _number, "fraction": _number, "whole": _whole, "text": _text, "when": _when, "data": _data,
}  # fmt: skip


def day(at: datetime | date) -> str:
    """A day as the API writes it."""
    return f"{at:%Y-%m-%d}"
