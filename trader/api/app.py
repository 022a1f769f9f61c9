"""Puts the API together: routes, the door, the guard, the dashboard's files, and what runs beside them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from trader.api import acting, jobs, reading
from trader.api.acting import Hook, Hooks
from trader.api.door import COOKIE, GUARDED, Door, Problem, Refusal, cookie, needs, problems, refuse
from trader.api.guard import Application, Guard
from trader.api.house import DarkError, House, UnreadableError
from trader.api.jobs import Jobs
from trader.api.live import Failed, Live
from trader.api.metrics import CONTENT_TYPE, exposition
from trader.api.tokens import SESSION_SECONDS, Caller, Rate, Sessions, Throttle, Token, Vault

PAGE = Path(__file__).parent / "page"
FILES = {"index.html": "text/html", "docs.html": "text/html", "app.js": "text/javascript", "docs.js": "text/javascript"}
FILES |= {"charts.js": "text/javascript", "style.css": "text/css", "icon.svg": "image/svg+xml", "NOTICE": "text/plain"}
ENVELOPE = {
    "type": "object", "required": ["payload", "key_id", "signature"], "additionalProperties": False,
    "properties": {name: {"type": "string"} for name in ("payload", "key_id", "signature")},
}  # fmt: skip
DESCRIPTION = """\
The bot beside which this runs, as it says itself and as it wrote it down. Every list is cut and gone on with; what changes
something is carried out once per `Idempotency-Key`, by the bot and in its turn. See docs/api.md.
"""


class Shown(BaseModel, extra="forbid"):
    """A token, shown once for a session."""

    token: str = Field(max_length=1_000)


class Session(BaseModel):
    """Who is in."""

    name: str
    scopes: list[str]
    run: str


class Health(BaseModel):
    """Whether it runs, what keeps it from being ready, and which assets it goes without."""

    ok: bool
    problems: list[str] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask what, how often, and under which names."""

    tokens: Sequence[Token]
    hooks: Mapping[str, Hook]
    names: Sequence[str]
    requests: int = 2_000
    commands: int = 5
    proxies: Sequence[str] = ()
    is_secure: bool = False  # whether cookies may travel by TLS alone


def application(
    house: House, rules: Rules, *, now: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic, failed: Failed,
) -> Application:  # fmt: skip
    """The whole of it, as ASGI. failed: told of what ended unexpectedly and is begun anew."""
    app = _app(house, rules, now=now, monotonic=monotonic, failed=failed)
    return Guard(app, {"localhost", "127.0.0.1", "::1", *rules.names})


def openapi(house: House) -> dict[str, Any]:
    """The OpenAPI document of the routes."""
    app = _app(
        house, Rules((), {}, ()), now=lambda: datetime.now(UTC), monotonic=time.monotonic, failed=lambda *_: None
    )
    return documented(app)


def documented(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with what every refusal looks like, and a message."""
    found, house = app.openapi(), app.state.house
    found["components"]["schemas"] |= {"Problem": Problem.model_json_schema(), **house.message_schema}
    if house.message_schema:
        body = found["paths"]["/v1/signals"]["post"]["requestBody"]["content"]["application/json"]
        body["schema"] = {"anyOf": [{"$ref": "#/components/schemas/Message"}, ENVELOPE]}
    return found


def _app(
    house: House, rules: Rules, *, now: Callable[[], datetime], monotonic: Callable[[], float], failed: Failed
) -> FastAPI:  # fmt: skip
    live = Live(house, monotonic)

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(live.go_on(failed), name="what happens")
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        if app.state.jobs is not None:
            await app.state.jobs.close()
        await house.pages.close()

    app = FastAPI(
        title=f"trader: {house.name}", version=house.version, description=DESCRIPTION, docs_url=None, redoc_url=None,
        openapi_url=None, lifespan=alive, telemetry={"tracing": False},
    )  # fmt: skip
    app.state.house, app.state.live = house, live
    app.state.door = Door(
        Vault(rules.tokens, now), Sessions(monotonic), Throttle(monotonic), Rate(rules.requests, monotonic),
        Rate(rules.commands, monotonic), rules.proxies,
    )  # fmt: skip
    app.state.hooks = Hooks(dict(rules.hooks), now, Rate(rules.commands, monotonic))
    app.state.jobs = None
    for router in (reading.router, acting.router):
        app.include_router(router)
    if house.jobs is not None and house.configs is not None:
        app.state.jobs = Jobs(house.configs, house.jobs, now)
        app.include_router(jobs.router)
    _handlers(app)
    _own_routes(app, house, live, is_secure=rules.is_secure)
    _files(app)
    return app


def _handlers(app: FastAPI) -> None:
    async def unreadable(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, UnreadableError)
        return JSONResponse(
            {"error": f"the journal cannot be read: {error}", "remedy": error.remedy, "outcome": ""}, 503
        )

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        status = 400 if first["type"] == "json_invalid" else 422
        return JSONResponse(
            {"error": f"{where}: {first['msg']}", "remedy": "/docs has the layout", "outcome": ""}, status
        )

    async def plain(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return JSONResponse(
            {"error": str(error.detail), "remedy": "/docs lists what there is", "outcome": ""},
            error.status_code,
            error.headers,
        )

    app.add_exception_handler(Refusal, refuse)
    app.add_exception_handler(UnreadableError, unreadable)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)


# long: the few routes that belong to no part
def _own_routes(app: FastAPI, house: House, live: Live, *, is_secure: bool) -> None:
    @app.get("/health")
    async def health() -> Health:
        """Whether this process runs."""
        return Health(ok=True)

    @app.get("/ready", responses={503: {"model": Health, "description": "not ready"}})
    async def ready(response: Response) -> Health:
        """Whether the bot answers and its journal can be read."""
        found = []
        try:
            await house.pages.last()
        except UnreadableError:
            found.append("the journal cannot be read")
        status = await live.status()
        if status.get("answers") is not True:
            found.append("the bot does not answer")
        response.status_code = 503 if found else 200
        shut = status.get("shut")
        noted = [f"{asset} is not traded: {why}" for asset, why in shut.items()] if isinstance(shut, dict) else []
        return Health(ok=not found, problems=[*found, *noted])

    @app.get(
        "/metrics", dependencies=[Depends(needs("read"))], response_class=PlainTextResponse,
        responses=problems(*GUARDED),
    )  # fmt: skip
    async def metrics() -> PlainTextResponse:
        """The bot's figures for Prometheus."""
        try:
            status: dict[str, object] | None = await house.ask("status", "", "", "")
        except DarkError:
            status = None
        return PlainTextResponse(exposition(status, mount=house.name), media_type=CONTENT_TYPE)

    @app.post("/v1/session", responses=problems(400, 401, 413, 422, 429))
    async def begin(shown: Annotated[Shown, Body()], request: Request, response: Response) -> Session:
        """Show a token and get a cookie for the dashboard."""
        door: Door = app.state.door
        caller = door.shown(door.address(request), shown.token)
        response.set_cookie(
            COOKIE, door.sessions.begin(caller, shown.token), max_age=int(SESSION_SECONDS), httponly=True, samesite="strict",
            secure=is_secure, path="/",
        )  # fmt: skip
        return Session(name=caller.name, scopes=sorted(caller.scopes), run=house.name)

    @app.get("/v1/session", responses=problems(*GUARDED))
    async def who(caller: Annotated[Caller, Depends(needs("read"))]) -> Session:
        """Who is in."""
        return Session(name=caller.name, scopes=sorted(caller.scopes), run=house.name)

    @app.delete("/v1/session", status_code=204)
    async def end(session: Annotated[str | None, Depends(cookie)], response: Response) -> None:
        """Leave."""
        if session is not None:
            app.state.door.sessions.end(session)
        response.delete_cookie(COOKIE, path="/")


def _files(app: FastAPI) -> None:
    """The dashboard: a few files of this package; nothing is loaded from elsewhere."""
    document: list[bytes] = []

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        if not document:
            document.append(json.dumps(documented(app)).encode())
        return Response(document[0], media_type="application/json")

    def serve(path: str, name: str) -> None:
        @app.get(path, include_in_schema=False)
        async def file() -> FileResponse:
            return FileResponse(PAGE / name, media_type=FILES[name], headers={"Cache-Control": "no-cache"})

    serve("/", "index.html")
    serve("/docs", "docs.html")
    for name in FILES:
        serve(f"/page/{name}", name)
