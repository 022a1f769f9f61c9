"""A loopback of Token Metrics' API: v2 and v3 on an exchange-like clock, with its gaps, late batches, revisions, decoys and quotas.

What is not known of the real one is a quirk with a default. Its ratings are given to it; the bundled ones are derived from prices and are
no vendor's. No clock, no sockets: an instant comes in, a response goes out. A row is visible from its publication on, never before.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from trader.loopback.vendor_stream import PriceStream, Quoted
from trader.loopback.wire import Request, Response, Stream

DAY_MS = 86_400_000
V2_ODD = {"TM_GRADE_24H_PCT_CHANGE": "TM_GRADE_24h_PCT_CHANGE"}  # v2 writes this one so
V3_ODD = {
    "TM_GRADE_24H_PCT_CHANGE": "tm_grade_24_h_pct_change",
    "TM_TRADER_GRADE_24H_CHANGE": "tm_trader_grade_24_h_change",
}
V3_MOONSHOT = {"TM_TRADER_GRADE": "TM_GRADE", "MARKET_CAP": "MARKET_CAP_USD", "MOONSHOT_ROI": "ROI_PCT"}
AS_TEXT = {"tm-grade", "moonshot-tokens", "hourly-trading-signals"}  # numbers come as text there
AS_NUMBERS = {"TOKEN_ID", "CLOSE", "MOONSHOT_ROI"}  # but for these
DATED = {
    "trader-grades", "tm-grade-history", "trading-signals", "daily-ohlcv", "market-metrics", "technology-grade-history",
    "fundamental-grade-history", "investor-grades", "indices-performance",
}  # fmt: skip
SHOWN_DATE = {
    "technology-grade",
    "quantmetrics",
    "indices-holdings",
}  # rows say their day, and no range can be asked for
INSTANTS = {"hourly-trading-signals": "TIMESTAMP", "sentiments": "DATETIME"}  # rows of hours, the newest first
ONLY_V2 = {"trader-grades", "investor-grades"}
NEEDS = {"price": "token_id", "tm-grade": "token_id", "hourly-trading-signals": "token_id", "indices-holdings": "id"}


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the vendor; tickers repeat, ids do not."""

    id: int
    symbol: str
    name: str
    exchanges: tuple[str, ...] = ("gate",)
    contracts: tuple[tuple[str, str], ...] = ()  # chain and address

    @property
    def slug(self) -> str:
        """The name by which the stream of prices knows it."""
        return self.name.lower().replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Published:
    """One row as it was published: an endpoint's values for a token (0 = none) and a day, seen from `at_ms` until the next.

    hour: where a row describes an hour, or a moonshot its begin. index: whose holding it is; those published at one instant are the whole list.
    """

    path: str
    token: int
    day: date
    at_ms: int
    values: Mapping[str, Any]
    hour: datetime | None = None
    index: int = 0


@dataclass(slots=True)
class Quirks:
    """What is configurable because nobody knows it, and what goes wrong."""

    limit_max: int = 100
    over_limit: str = "clamp"  # or honour, refuse
    page_zero: str = "first"  # or refuse
    pages: str = "work"  # or repeat: every page is the first
    over_span: str = "refuse"  # or truncate to the newest thirty days
    ignores_ids: bool = False  # answers for every token, whichever were asked for
    bare_dates: bool = False
    moonshot_ids: bool = True  # in v3; v2 has none
    credits: int = 1_000_000
    per_minute: int = 1_000_000
    retry_after: int | None = None
    plan: frozenset[str] | None = None  # the paths of the plan; None = all


@dataclass(slots=True)
class Vendor:
    """Speaks for the vendor as the API does; `unknown` lists what it did not understand."""

    key: str
    tokens: list[Token]
    rows: list[Published] = field(default_factory=list)
    quirks: Quirks = field(default_factory=Quirks)
    unknown: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    spent: dict[str, int] = field(default_factory=dict)
    _minutes: list[int] = field(default_factory=list)
    _paths: dict[str, list[Published]] = field(default_factory=dict)
    _tokens: dict[tuple[str, int], list[Published]] = field(default_factory=dict)

    def publish(self, rows: Iterable[Published]) -> None:
        """Let rows be seen from their instants on; one of the same path, token and day revises the one before."""
        for one in rows:
            self.rows.append(one)
            self._paths.setdefault(one.path, []).append(one)
            self._tokens.setdefault((one.path, one.token), []).append(one)

    def connect(self, request: Request, now_ms: int) -> Stream | None:
        """Open the stream of prices: there is none of ratings. The key is in a header, and a wrong one is hung up on."""
        del now_ms
        is_good = request.headers.get("x-api-key") == self.key
        return PriceStream(self._quotes, self.unknown, is_good=is_good) if request.path == "/" else None

    def _quotes(self, now_ms: int) -> list[Quoted]:
        newest = {one.token: one for one in self._paths.get("price", ()) if one.at_ms <= now_ms}
        return [
            Quoted(one.id, one.symbol, one.name, one.slug, float(newest[one.id].values["CURRENT_PRICE"]))
            for one in self.tokens
            if one.id in newest
        ]

    def respond(self, request: Request, now_ms: int) -> Response:
        """Answer one request."""
        version, _, path = request.path.strip("/").partition("/")
        if version not in {"v2", "v3"} or request.method != "GET":
            self.unknown.append(f"{request.method} {request.path}")
            return _no(404, "Not Found")
        given = request.headers.get("x-api-key") or (request.headers.get("api_key") if version == "v2" else None)
        if given != self.key:
            return _no(401, "Invalid API key")
        if self.quirks.plan is not None and path not in self.quirks.plan:
            return _no(403, "Your plan does not include this endpoint")
        month = f"{_utc(now_ms):%Y-%m}"
        self._minutes = [one for one in self._minutes if now_ms - one < 60_000]
        if self.spent.get(month, 0) >= self.quirks.credits or len(self._minutes) >= self.quirks.per_minute:
            after = {} if self.quirks.retry_after is None else {"Retry-After": str(self.quirks.retry_after)}
            return _no(429, "Too Many Requests", after)
        self.spent[month] = self.spent.get(month, 0) + 1
        self._minutes.append(now_ms)
        self.asked.append(f"{path}?{request.query}")
        return self._answer(version, path, request.asked(), now_ms)

    def _answer(self, version: str, path: str, asked: Mapping[str, str], now_ms: int) -> Response:
        quirks = self.quirks
        if path in ONLY_V2 and version == "v3":
            return _no(404, "Not Found")
        limit, page = int(asked.get("limit", "50")), int(asked.get("page", "1"))
        if limit > quirks.limit_max:
            if quirks.over_limit == "refuse":
                return _no(422, f"limit must not exceed {quirks.limit_max}")
            limit = limit if quirks.over_limit == "honour" else quirks.limit_max
        if page < 1 and quirks.page_zero == "refuse":
            return _no(422, "page must be at least 1")
        page = 1 if quirks.pages == "repeat" else max(page, 1)
        needs = NEEDS.get(path)
        if needs is not None and needs not in asked:
            return _no(400, f"{needs} is required")
        if path == "hourly-trading-signals" and "," in asked["token_id"]:
            return _no(422, "token_id must be one token")
        part = slice((page - 1) * limit, page * limit)
        if path == "tokens":
            return _yes(self._listing(version, asked)[part])
        if path in INSTANTS or path in {"moonshot-tokens", "indices-holdings"}:
            found = self._listed(path, asked, now_ms)
        elif path in DATED | SHOWN_DATE | {"fundamental-grade"} or path in self._paths:
            begin, end = ("startDate", "endDate") if version == "v2" else ("start_date", "end_date")
            span = self._span(asked.get(begin), asked.get(end))
            if span is None:
                return _no(400, "the range must not exceed 29 days")
            found = self._seen(path, asked, span, now_ms)
        else:
            self.unknown.append(f"{version} {path}")
            return _no(404, "Not Found")
        return _yes([self._written(version, path, one) for one in found[part]])

    def _span(self, since: str | None, until: str | None) -> tuple[date | None, date | None] | None:
        """The asked days, None where they are too many."""
        begin = None if since is None else date.fromisoformat(since)
        end = None if until is None else date.fromisoformat(until)
        if begin is not None and end is not None and (end - begin).days > 29:
            if self.quirks.over_span == "refuse":
                return None
            begin = end - timedelta(days=29)
        return begin, end

    def _ids(self, asked: Mapping[str, str]) -> set[int]:
        """The tokens that are asked for; empty = all."""
        return set() if self.quirks.ignores_ids else {int(one) for one in asked.get("token_id", "").split(",") if one}

    def _seen(
        self, path: str, asked: Mapping[str, str], span: tuple[date | None, date | None], now_ms: int
    ) -> list[Published]:  # fmt: skip
        """What is published by now, the newest revision of each, the newest day first."""
        ids = self._ids(asked)
        if "symbol" in asked:
            names = set(asked["symbol"].split(","))
            ids |= {one.id for one in self.tokens if one.symbol in names}
        newest: dict[tuple[int, date], Published] = {}
        for one in self._paths.get(path, ()):
            if one.at_ms > now_ms or (ids and one.token not in ids):
                continue
            if (span[0] is not None and one.day < span[0]) or (span[1] is not None and one.day > span[1]):
                continue
            before = newest.get((one.token, one.day))
            if before is None or before.at_ms <= one.at_ms:
                newest[one.token, one.day] = one
        found = sorted(newest.values(), key=lambda one: (-one.day.toordinal(), one.token))
        if span == (None, None):  # without dates, the latest row of each token
            last: dict[int, Published] = {}
            for one in found:
                last.setdefault(one.token, one)
            found = sorted(last.values(), key=lambda one: one.token)
        return found

    def _listed(self, path: str, asked: Mapping[str, str], now_ms: int) -> list[Published]:
        """What is listed without a range of days: hours, the newest first; active or past moonshots; the newest list of an index."""
        here = (
            self._tokens.get((path, int(asked["token_id"])), []) if "token_id" in asked else self._paths.get(path, [])
        )
        rows = [one for one in here if one.at_ms <= now_ms]
        if path == "indices-holdings":
            mine = [one for one in rows if one.index == int(asked["id"])]
            newest = max((one.at_ms for one in mine), default=0)
            return [one for one in mine if one.at_ms == newest]
        last = {(one.token, one.hour): one for one in sorted(rows, key=lambda one: one.at_ms)}
        found = sorted(last.values(), key=lambda one: (one.hour or _utc(one.at_ms), -one.token), reverse=True)
        if path == "moonshot-tokens":
            is_past = asked.get("type", "active") == "past"
            found = [one for one in found if is_past == _is_over(one, now_ms)]
        return found

    def _listing(self, version: str, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        wanted = self._ids(asked)
        names = set(asked.get("symbol", "").split(",")) - {""}
        return [
            self._cased(version, "tokens", {
                "TOKEN_ID": one.id, "TOKEN_NAME": one.name, "TOKEN_SYMBOL": one.symbol,
                "EXCHANGE_LIST": [{"exchange_id": name, "exchange_name": name.title()} for name in one.exchanges],
                "CATEGORY_LIST": [], "TM_LINK": one.slug, "CONTRACT_ADDRESS": dict(one.contracts),
            })
            for one in self.tokens
            if (not wanted or one.id in wanted) and (not names or one.symbol in names)
        ]  # fmt: skip

    def _written(self, version: str, path: str, row: Published) -> dict[str, Any]:
        token = next((one for one in self.tokens if one.id == row.token), None)
        named = {} if token is None else {"TOKEN_ID": token.id, "TOKEN_NAME": token.name, "TOKEN_SYMBOL": token.symbol}
        bare = self.quirks.bare_dates or path == "trader-grades"
        when = (
            {"DATE": f"{row.day:%Y-%m-%d}" + ("" if bare else "T00:00:00.000Z")} if path in DATED | SHOWN_DATE else {}
        )
        if path in INSTANTS and row.hour is not None:
            when = {INSTANTS[path]: f"{row.hour:%Y-%m-%dT%H:%M:%S}.000Z"}
        if path == "moonshot-tokens" and (version == "v2" or not self.quirks.moonshot_ids):
            named.pop("TOKEN_ID", None)
        named = named if row.token else {}
        return self._cased(version, path, {**named, **when, **row.values})

    @staticmethod
    def _cased(version: str, path: str, row: Mapping[str, Any]) -> dict[str, Any]:
        if path in AS_TEXT:
            row = {
                name: str(value) if isinstance(value, int | float) and name not in AS_NUMBERS else value
                for name, value in row.items()
            }
        if version == "v2":
            return {V2_ODD.get(name, name): value for name, value in row.items()}
        if path == "moonshot-tokens":
            row = {V3_MOONSHOT.get(name, name): value for name, value in row.items()}
        return {V3_ODD.get(name, name.lower()): value for name, value in row.items()}


def _is_over(row: Published, now_ms: int) -> bool:
    end = row.values.get("MOONSHOT_END_AT")
    return isinstance(end, str) and datetime.fromisoformat(end) <= _utc(now_ms)


def _yes(rows: list[dict[str, Any]]) -> Response:
    body = {"success": True, "message": "Data fetched successfully", "length": len(rows), "data": rows}
    return Response(200, json.dumps(body), {"content-type": "application/json"})


def _no(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps({"success": False, "message": text})
    return Response(status, body, {"content-type": "application/json", **(headers or {})})


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def ending(day: date) -> int:
    """When a day is over, in milliseconds."""
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000) + DAY_MS
