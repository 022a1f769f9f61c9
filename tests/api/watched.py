"""A real daemon with everything that a status can tell of: an exchange, a bus, and a vendor with credits."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from tests.runtime.test_daemon import daemon
from trader.adapters.clock import SystemClock
from trader.adapters.ratings_store import RatingsStore
from trader.adapters.tokenmetrics import Budget, Manner, TokenMetrics
from trader.adapters.tokenmetrics_feed import Feeding, TokenMetricsFeed
from trader.core.risk import Limits
from trader.loopback.server import LoopbackServer
from trader.loopback.vendor import Published, Token, Vendor


@asynccontextmanager
async def watched(folder):
    """The daemon and its bus, once the vendor answered."""
    api = Vendor("right", [Token(3375, "BTC", "Bitcoin")])
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    api.publish([Published("tm-grade-history", 3375, yesterday, 0, {"TM_GRADE": 40.0, "QUANT_GRADE": 40.0})])

    def feed(one):
        client = TokenMetrics(
            "right", SystemClock(), Budget(50), Manner(base=server.url, apart_seconds=0.0, tries=1)
        )  # fmt: skip
        feeding = Feeding({"BTC/USDT": 3375}, ("tm_grade_history",), lag=timedelta(0))
        tell = lambda is_up, why: one.link_changed("tokenmetrics", is_up, why)  # noqa: E731
        return TokenMetricsFeed(client, RatingsStore(folder / "ratings.db"), SystemClock(), feeding, tell)

    limits = Limits(drawdown=0.5)
    async with (
        LoopbackServer(api) as server,
        daemon("gate", folder / "j.db", limits=limits, more=feed) as (it, one, bus, _),
    ):
        yield it, one, bus
