"""What may be looked at: the bot's status, its journal, its configuration, and what happens as it happens."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field

from trader.api.door import GUARDED, Refusal, needs, problems
from trader.api.house import (
    FillSeen,
    HoldingSeen,
    House,
    MountSeen,
    OrderSeen,
    SignalSeen,
    Step,
    UnreadableError,
    Worth,
)
from trader.api.live import CrowdedError, Live, event_text, fact_row, plain
from trader.core.facts import BarClosed, SignalsKnown

Row = TypeVar("Row")
MOST = 1_000
LARGEST_PLACE = 2**53
EXPORTS = ("facts", "signals", "orders", "fills", "equity")

router = APIRouter(
    prefix="/v1", dependencies=[Depends(needs("read"))], responses=problems(*GUARDED, 503)
)  # fmt: skip
Before = Annotated[int | None, Query(ge=0, le=LARGEST_PLACE, description="only what came before this place")]
Most = Annotated[int, Query(ge=1, le=MOST, description="at most so many")]
Key = Annotated[str, Path(min_length=1, max_length=300)]
Asset = Annotated[str, Query(min_length=1, max_length=100, description="as in the universe of the run")]


OfMount = Annotated[str, Query(max_length=200, description="only of this mount; see GET /v1/mounts")]


class Rows(BaseModel, Generic[Row]):
    """A part of a list, newest first; `next` is the `before` of the part that follows, null at the end."""

    rows: list[Row]
    next: int | None = None


class Status(BaseModel, extra="allow"):
    """What the bot says of itself. Where `answers` is false it says nothing, and nothing of it is shown."""

    answers: bool
    name: str
    age_seconds: float = Field(description="how old the answer is")


class Value(BaseModel):
    """One effective value of the configuration; secrets are hidden."""

    key: str
    value: Any
    origin: str = Field(description="default, file:line:column, environment NAME, or secret file")


class Known(BaseModel):
    """A rating or state that became known."""

    at: datetime
    kind: str
    value: float


class Bar(BaseModel):
    """A closed bar; `at` is its close."""

    at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


class Chart(BaseModel):
    """Bars of an asset with what was said of it, oldest first."""

    asset: str
    bars: list[Bar]
    known: list[Known]
    fills: list[FillSeen]


async def house_of(request: Request) -> House:
    """What the API stands on."""
    house: House = request.app.state.house
    return house


async def live_of(request: Request) -> Live:
    """What watches."""
    live: Live = request.app.state.live
    return live


TheHouse = Annotated[House, Depends(house_of)]
TheLive = Annotated[Live, Depends(live_of)]


async def known_mount(house: TheHouse, mount: OfMount = "") -> str:
    """The mount that is asked for; raises Refusal where the run has none of that name."""
    names = [one.name for one in house.mounts]
    if mount and mount not in names:
        raise Refusal(404, f"no mount is named {mount!r}", f"there are {', '.join(names)}")
    return mount


TheMount = Annotated[str, Depends(known_mount)]


@router.get("/status", response_model=Status)
async def status(live: TheLive) -> Response:
    """How the bot stands, by itself: state, holdings, orders on their way, links, ages."""
    return Response(await live.status_text(), media_type="application/json")


@router.get("/facts")
async def facts(house: TheHouse, before: Before = None, most: Most = 100) -> Rows[dict[str, Any]]:
    """Facts as they were written down: `seq`, `kind`, `at`, and what the kind has."""
    end = await house.pages.last() + 1 if before is None else before
    rows = [one for one in await house.pages.facts(max(end - most - 1, 0), most) if one.seq < end]
    return Rows(
        rows=[fact_row(one) for one in reversed(rows)],
        next=rows[0].seq if rows and rows[0].seq > 1 else None,
    )


@router.get("/signals")
async def signals(
    house: TheHouse,
    before: Before = None,
    most: Most = 100,
    outcome: Annotated[str | None, Query(max_length=100)] = None,
) -> Rows[SignalSeen]:
    """Messages and how each ended."""
    rows = await house.pages.signals(before, most, outcome)
    return Rows(rows=list(rows), next=rows[-1].seq if len(rows) == most else None)


@router.get("/signals/{key:path}", responses=problems(404))
async def story(key: Key, house: TheHouse) -> list[Step]:
    """Why: what became of a message, step by step to the fills."""
    steps = await house.pages.story(key)
    if not steps:
        raise Refusal(404, f"no message has the key {key!r}", "GET /v1/signals lists the keys")
    return list(steps)


@router.get("/mounts")
async def mounts(house: TheHouse) -> list[MountSeen]:
    """What is set to work: each mount with its account, its strategy, its capital and its universe. How they stand is in the status."""
    return list(house.mounts)


@router.get("/orders", responses=problems(404))
async def orders(
    house: TheHouse, mount: TheMount, before: Before = None, most: Most = 100,
    working: Annotated[bool, Query(description="only those on their way")] = False,
) -> Rows[OrderSeen]:  # fmt: skip
    """Orders and their states; a part may be a little longer than `most` where several mounts order at one instant."""
    rows = await house.pages.orders(before, most, is_working=working, mount=mount)
    return Rows(rows=list(rows), next=house.pages.place_of(rows[-1], mount) if len(rows) >= most else None)


@router.get("/fills", responses=problems(404))
async def fills(house: TheHouse, mount: TheMount, before: Before = None, most: Most = 100) -> Rows[FillSeen]:
    """Fills."""
    rows = await house.pages.fills(before, most, mount)
    return Rows(rows=list(rows), next=rows[-1].seq if len(rows) == most else None)


@router.get("/holdings", responses=problems(404))
async def holdings(house: TheHouse, mount: TheMount) -> list[HoldingSeen]:
    """What is held, from the bot's own fills, with the profit realised so far."""
    return list(await house.pages.holdings(mount))


@router.get("/equity", responses=problems(404))
async def equity(
    house: TheHouse, mount: TheMount, since: AwareDatetime | None = None, most: Annotated[int, Query(ge=2, le=20_000)] = 2_000,
) -> list[Worth]:  # fmt: skip
    """What the bot was worth whenever bars closed, oldest first, thinned to `most` points."""
    return list(await house.pages.worth(since, most, mount))


def _market_of(house: House, asset: str, mount: str) -> str:
    """Whose bars are shown: those of the mount, or of the first that trades the asset."""
    named = [one for one in house.mounts if (one.name == mount if mount else asset in one.assets)]
    return named[0].market if named else ""


@router.get("/chart", responses=problems(404))
async def chart(house: TheHouse, asset: Asset, mount: TheMount, most: Most = 300) -> Chart:
    """Bars, what was said, and fills of one asset."""
    market, several = _market_of(house, asset, mount), len({one.market for one in house.mounts})
    found = await house.pages.of_kind("BarClosed", asset, most * max(several, 1))
    bars = [one.fact for one in found if getattr(one.fact, "market", "") in {"", market} or not market][-most:]
    shown = [
        Bar(**{name: getattr(bar, name) for name in Bar.model_fields}) for bar in bars if isinstance(bar, BarClosed)
    ]
    said = await house.pages.of_kind("SignalsKnown", asset, most)
    known = [
        Known(at=one.fact.at, kind=signal.kind, value=signal.value)
        for one in said if isinstance(one.fact, SignalsKnown)
        for signal in one.fact.signals if signal.asset == asset
    ]  # fmt: skip
    mine = [one for one in await house.pages.fills(None, MOST, mount) if one.asset == asset]
    return Chart(asset=asset, bars=shown, known=known, fills=list(reversed(mine)))


@router.get("/strategies")
async def strategies(house: TheHouse) -> list[dict[str, Any]]:
    """The bundled strategies: thesis, parameters, defaults."""
    return [dict(one) for one in house.strategies()]


@router.get("/configuration")
async def configuration(house: TheHouse) -> list[Value]:
    """Every value that counts and where it comes from; secrets are hidden."""
    return [Value(key=one.key, value=plain(one.value), origin=one.origin) for one in house.configuration()]


@router.get(
    "/events", response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "what happens, as it happens"}},
)  # fmt: skip
async def events(
    live: TheLive, last_event_id: Annotated[int | None, Header(ge=0, le=LARGEST_PLACE)] = None
) -> StreamingResponse:
    """Server-sent events: `fact` with its place as id, `status` every second, `trouble`. A `Last-Event-ID` is gone on from."""
    headers = {
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
    }  # the latter for nginx, which would keep them back
    return StreamingResponse(_events(live, last_event_id), media_type="text/event-stream", headers=headers)


async def _events(live: Live, after: int | None) -> AsyncIterator[str]:
    try:
        async for text in live.events(after):
            yield text
    except (CrowdedError, UnreadableError) as error:
        yield event_text("trouble", json.dumps({"error": str(error)}), retry=10_000)


@router.get(
    "/export/{what}",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}, "description": "one JSON object per line"}},
)  # fmt: skip
async def export(what: Literal["facts", "signals", "orders", "fills", "equity"], house: TheHouse) -> StreamingResponse:
    """A whole list, one JSON object per line, sent while it is read: it may be long."""
    if what == "facts":
        await house.pages.last()  # whether there is a journal is said before the answer begins
    return StreamingResponse(_lines(what, house), media_type="application/x-ndjson")


async def _lines(what: str, house: House) -> AsyncIterator[str]:
    try:
        async for rows in _parts(what, house):
            yield "".join(json.dumps(row) + "\n" for row in rows)
    except UnreadableError as error:
        yield json.dumps({"error": str(error)}) + "\n"


async def _parts(what: str, house: House) -> AsyncIterator[Sequence[object]]:
    pages, before = house.pages, None
    if what == "facts":
        after = 0
        while told := await pages.facts(after, MOST):
            yield [fact_row(one) for one in told]
            after = told[-1].seq
        return
    if what == "equity":
        yield [plain(asdict(one)) for one in await pages.worth(None, 10**9)]
        return
    while True:
        rows: Sequence[Any]
        match what:
            case "signals":
                rows = await pages.signals(before, MOST, None)
            case "orders":
                rows = await pages.orders(before, MOST, is_working=False)
            case _:
                rows = await pages.fills(before, MOST)
        yield [plain(asdict(one)) for one in rows]
        if len(rows) < MOST:
            return
        newest: Any = rows[-1]
        before = pages.place_of(newest, "") if what == "orders" else newest.seq
