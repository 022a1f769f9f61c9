"""From Token Metrics' rows to the product's observations: which field says what, and of which type.

A flip is an event of its day and nothing else; the trend is the state that it leads to. Zero is no flip, and a missing grade is nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from trader.adapters.tokenmetrics_fields import ENDPOINTS, Row
from trader.core.observations import EVENT, RATING, STATE, Observation, seen
from trader.core.signals import MARKET

SOURCE = "tokenmetrics"
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
}  # fmt: skip
PULLED = tuple(name for name in SAID if ENDPOINTS[name].is_dated)  # those that have a history


def observations_of(
    rows: Iterable[Row], assets: Mapping[int, str], *, observed_at: datetime, lag: timedelta, is_history: bool
) -> list[Observation]:
    """What rows say of the assets that are mapped; `assets` is the vendor's token id to ours. Rows of others say nothing."""
    found = []
    for row in rows:
        asset = assets.get(row.token_id) if row.token_id is not None else MARKET
        if asset is None or row.as_of is None:
            continue
        for name, (kind, type_) in SAID[row.endpoint].items():
            value = row.values.get(name)
            if not isinstance(value, int | float) or (type_ == EVENT and not value):
                continue
            found.append(
                seen(
                    source=SOURCE, kind=kind, type_=type_, asset=asset, as_of=row.as_of, value=float(value),
                    observed_at=observed_at, lag=lag, is_history=is_history,
                )
            )  # fmt: skip
    return found
