"""From Token Metrics' rows to the product's observations: which field says what, of which type, and how long its period is.

A flip is an event of its day or hour and nothing else; the trend is the state that it leads to. Zero is no flip, and a missing grade is
nothing. A row of a day or an hour is final when that is over. A row that only tells how things stand now has no period: it describes the date
that it carries, else the instant at which it was asked for, and its kind ends in `_now` where there is one of days, too.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from trader.adapters.tokenmetrics_fields import ENDPOINTS, Aside, Row
from trader.core.observations import DAY, EVENT, RATING, STATE, Observation, seen
from trader.core.signals import MARKET

SOURCE = "tokenmetrics"
HOUR, NOW = timedelta(hours=1), timedelta(0)
MOONSHOT = "moonshot"
SAID: Mapping[str, Mapping[str, tuple[str, str]]] = {  # endpoint -> field -> (kind, type)
    "trading_signals": {
        "TRADING_SIGNAL": ("flip", EVENT), "TOKEN_TREND": ("trend", STATE), "TM_TRADER_GRADE": ("trader_grade", RATING),
        "TM_INVESTOR_GRADE": ("investor_grade", RATING), "TM_GRADE": ("tm_grade", RATING),
    },
    "trader_grades": {
        "TA_GRADE": ("ta_grade", RATING), "QUANT_GRADE": ("quant_grade", RATING), "TM_TRADER_GRADE": ("trader_grade", RATING),
    },
    "investor_grades": {
        "TM_INVESTOR_GRADE": ("investor_grade", RATING), "FUNDAMENTAL_GRADE": ("fundamental_grade", RATING),
        "TECHNOLOGY_GRADE": ("technology_grade", RATING), "VALUATION_GRADE": ("valuation_grade", RATING),
    },
    "tm_grade_history": {
        "TM_GRADE": ("tm_grade", RATING), "QUANT_GRADE": ("quant_grade", RATING), "TRADING_SIGNAL": ("flip", EVENT),
    },
    "technology_grade_history": {"TECHNOLOGY_GRADE": ("technology_grade", RATING)},
    "fundamental_grade_history": {"FUNDAMENTAL_GRADE": ("fundamental_grade", RATING)},
    "market_metrics": {"TM_GRADE_SIGNAL": ("regime_flip", EVENT), "LAST_TM_GRADE_SIGNAL": ("regime", STATE)},
    "hourly_trading_signals": {"SIGNAL": ("hourly_flip", EVENT), "POSITION": ("hourly_trend", STATE)},
    "sentiments": {
        "MARKET_SENTIMENT_GRADE": ("sentiment", RATING), "NEWS_SENTIMENT_GRADE": ("news_sentiment", RATING),
        "REDDIT_SENTIMENT_GRADE": ("reddit_sentiment", RATING), "TWITTER_SENTIMENT_GRADE": ("twitter_sentiment", RATING),
    },
    "tm_grade": {"TM_GRADE": ("tm_grade_now", RATING), "QUANT_GRADE": ("quant_grade_now", RATING)},
    "technology_grade": {"TECHNOLOGY_GRADE": ("technology_grade_now", RATING)},
    "fundamental_grade": {"FUNDAMENTAL_GRADE": ("fundamental_grade_now", RATING)},
    "quantmetrics": {
        "VOLATILITY": ("volatility", RATING), "SHARPE": ("sharpe", RATING), "SORTINO": ("sortino", RATING),
        "MAX_DRAWDOWN": ("max_drawdown", RATING), "CAGR": ("cagr", RATING),
    },
    "moonshots": {},  # lists: tokenmetrics_lists
    "indices_holdings": {},
}  # fmt: skip
PULLED = tuple(name for name in SAID if ENDPOINTS[name].is_dated)  # those that have a history
FED = tuple(SAID)  # those that the feed asks
HOURLY = frozenset({"hourly_trading_signals", "sentiments"})
OF_MARKET = frozenset({"market_metrics", "sentiments"})
POSITIONS = "plain", "binary", "unused"


def period_of(endpoint: str) -> timedelta:
    """How long what a row describes lasts: a day, an hour, or nothing where it tells how things stand."""
    return HOUR if endpoint in HOURLY else DAY if ENDPOINTS[endpoint].is_dated else NOW


STEPS: Mapping[
    str, timedelta
] = {  # kind -> how far apart its rows should be; kinds that have no such step are left out
    kind: period_of(endpoint)
    for endpoint, fields in SAID.items()
    for kind, type_ in fields.values()
    if type_ != EVENT and period_of(endpoint) != NOW
}


def observations_of(
    rows: Iterable[Row], assets: Mapping[int, str], *, observed_at: datetime, lag: timedelta, is_history: bool, position: str = "plain"
) -> list[Observation]:  # fmt: skip
    """What rows say of the assets that are mapped; `assets` is the vendor's token id to ours. Rows of others say nothing."""
    found = []
    for row in rows:
        asset = assets.get(row.token_id) if row.token_id is not None else MARKET
        period = period_of(row.endpoint)
        as_of = observed_at if row.as_of is None and period == NOW else row.as_of
        if asset is None or as_of is None:
            continue
        for name, (kind, type_) in SAID[row.endpoint].items():
            value = row.values.get(name)
            if name == "POSITION":
                value = position_in(value, position)
            if not isinstance(value, int | float) or (type_ == EVENT and not value):
                continue
            found.append(
                seen(
                    source=SOURCE, kind=kind, type_=type_, asset=asset, as_of=as_of, value=float(value),
                    observed_at=observed_at, lag=lag, is_history=is_history, period=period,
                )
            )  # fmt: skip
    return found


def position_in(value: object, position: str) -> float | None:
    """What POSITION means as a trend. Nobody published its values, so how it is read is configured.

    plain: -1, 0 and 1 as they come. binary: 0 and 1, so that 0 is short, as a public model of the vendor's warehouse has it. unused: nothing.
    """
    if (
        position == "unused"
        or not isinstance(value, int | float)
        or value not in ({0, 1} if position == "binary" else {-1, 0, 1})
    ):
        return None
    return 2.0 * value - 1.0 if position == "binary" else float(value)


def unread_positions(rows: Iterable[Row], position: str) -> list[Aside]:
    """Rows whose POSITION is none of those that are read."""
    return [
        Aside(row.endpoint, f"POSITION = {value!r} is not read as {position!r}: say under position: how it is meant",
              {"TOKEN_ID": row.token_id, "POSITION": value})
        for row in rows
        if position != "unused" and (value := row.values.get("POSITION")) is not None and position_in(value, position) is None
    ]  # fmt: skip
