"""The client against the loopback vendor over real sockets: hours, moonshots and the holdings of an index, in both versions."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.adapters.test_tokenmetrics import BOTH, vendor
from trader.adapters import tokenmetrics as api
from trader.loopback.vendor import Published, Quirks, ending

BEGIN, OVER = datetime(2024, 5, 20, 6, tzinfo=UTC), datetime(2024, 5, 28, 6, tzinfo=UTC)


def further():
    """Hours, moonshots and an index: what was published by the first of June, and what comes later."""
    rows = []
    for n in range(-30, 3):
        at = datetime(2024, 6, 1, tzinfo=UTC) + timedelta(hours=n)
        values = {"SIGNAL": 1 if n == -2 else 0, "POSITION": 1, "CLOSE": 61_000.5}
        seen = round((at + timedelta(hours=1)).timestamp() * 1_000)
        rows.append(Published("hourly-trading-signals", 3375, at.date(), seen, values, hour=at))
    for token, begin, end in (
        (3375, BEGIN, None),
        (17528, BEGIN, None),
        (3306, BEGIN, OVER),
        (3306, OVER, datetime(2024, 7, 1, tzinfo=UTC)),
    ):
        values = {
            "MOONSHOT_AT": begin.isoformat(),
            "MOONSHOT_END_AT": None,
            "MARKET_CAP": 2e6,
            "TM_TRADER_GRADE": 88.5,
            "MOONSHOT_ROI": 0.5,
        }
        rows.append(
            Published("moonshot-tokens", token, begin.date(), round(begin.timestamp() * 1_000), values, hour=begin)
        )
        if end is not None:
            over = {**values, "MOONSHOT_END_AT": end.isoformat()}
            rows.append(
                Published("moonshot-tokens", token, begin.date(), round(end.timestamp() * 1_000), over, hour=begin)
            )
    for day, weights in ((30, {3375: 100.0}), (31, {3375: 60.0, 3306: 40.0}), (32, {3306: 100.0})):
        at = date(2024, 5, 1) + timedelta(days=day - 1)
        rows += [
            Published("indices-holdings", token, at, ending(at), {"WEIGHT": one}, index=5)
            for token, one in weights.items()
        ]
    return rows


@BOTH
async def test_hours_come_newest_first_for_one_token_and_none_before_it_is_over(version):
    async with vendor(version=version, limit=10) as (made, client, _now):
        made.publish(further())
        page = await client.recent("hourly_trading_signals", token_id=3375)
        assert [row.as_of for row in page.rows] == [
            datetime(2024, 6, 1, tzinfo=UTC) - timedelta(hours=n) for n in range(1, 11)
        ]
        assert [row.values["SIGNAL"] for row in page.rows[:3]] == [0, 1, 0]
        assert {(row.values["POSITION"], row.values["CLOSE"]) for row in page.rows} == {(1, 61_000.5)}
        with pytest.raises(ValueError, match="needs token_id"):
            await client.recent("hourly_trading_signals")
        with pytest.raises(api.BadQuestionError, match="one token"):
            await client.recent("hourly_trading_signals", token_id="3375,3306")


@BOTH
@pytest.mark.parametrize("ids", [True, False])
async def test_moonshots_are_active_or_past_and_v2_says_no_id(version, ids):
    async with vendor(version=version, limit=2, quirks=Quirks(moonshot_ids=ids)) as (made, client, _now):
        made.publish(further())
        active = await client.listed("moonshots", type="active")
        names = {(row.values["TOKEN_NAME"], row.symbol, row.values["MOONSHOT_END_AT"]) for row in active.rows}
        assert names == {("Bitcoin", "BTC", None), ("batcat", "BTC", None), ("Ethereum", "ETH", None)}, (
            "two of one ticker are two"
        )
        assert {row.token_id is None for row in active.rows} == {version == "v2" or not ids}
        (past,) = (await client.recent("moonshots", type="past")).rows
        assert (past.symbol, past.as_of, past.values["MOONSHOT_END_AT"]) == ("ETH", BEGIN, OVER)
        cap, grade = ("MARKET_CAP", "TM_TRADER_GRADE") if version == "v2" else ("MARKET_CAP_USD", "TM_GRADE")
        assert (past.values[cap], past.values[grade]) == (2e6, 88.5)


@BOTH
async def test_the_newest_list_of_an_index_is_whole_and_others_are_not_mixed_in(version):
    async with vendor(version=version) as (made, client, _now):
        made.publish(further())
        found = {row.token_id: row.values["WEIGHT"] for row in (await client.latest("indices_holdings", id=5)).rows}
        assert found == {3375: 60.0, 3306: 40.0}
        assert (await client.latest("indices_holdings", id=6)).rows == ()
        with pytest.raises(ValueError, match="needs id"):
            await client.latest("indices_holdings")
